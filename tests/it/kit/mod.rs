//! The plugin kit as a newcomer meets it: the commands on the pages of `docs/plugins` are run, and
//! what they print is held to what the pages say.

mod tools;
mod transcript;

mod examples;
mod kinds;
mod page;
mod pages;
