//! Plans against a slow evaluation of the same graph.
