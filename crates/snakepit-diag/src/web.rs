//! The page: a host in a browser, live, or as a file that can be sent to somebody.
//!
//! Both are the same front end. It is embedded, asks no other host for anything, and takes every text from workers as text.

mod answer;
mod columns;
mod document;
mod feed;
mod guard;
mod page;
mod server;

pub use document::{Document, STACKS};
pub use page::report_page;
pub use server::{WebError, WebServer};
