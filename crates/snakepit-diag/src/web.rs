//! The page: a host in a browser, live, or as a file that can be passed on.
//!
//! Both use the same front end. It is embedded, loads nothing from elsewhere, and inserts all text
//! from workers as plain text.

mod answer;
mod columns;
mod document;
mod feed;
mod guard;
mod page;
mod server;

pub use document::{Document, PoolProfile, STACKS};
pub use page::report_page;
pub use server::{WebError, WebServer};
