//! The plugin kit as a newcomer meets it: the commands on the pages of `docs/plugins` are run, and
//! what they print is held to what the pages say.

mod page;
mod pages;
mod transcript;
