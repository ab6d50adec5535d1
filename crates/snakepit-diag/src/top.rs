//! A live view of a host in a terminal. The drawing is a pure function of the [`Screen`].

mod draw;
mod flame;
mod keys;
mod run;
mod screen;
mod terminal;

pub use run::{End, Failed, Options, Source, run, text};
pub use screen::{Action, Screen};

#[cfg(test)]
mod tests;
