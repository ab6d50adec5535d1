//! The flight recorder of a pool, or of the host tools: its last calls and the last deaths of its
//! workers, in a file that outlives the host.
//!
//! The file is a table of words: a header, the names of tools and workers, the deaths, and a ring
//! of 4,096 records of 64 bytes. The host writes them as plain stores into mapped memory; it holds
//! a lock only while a name is new. A record exists if its first word, the number of the call, is
//! not 0. It is whole if its checksum is right; the same holds for names and deaths. The reader
//! trusts nothing in the file: damaged entries are left out and counted.

mod check;
mod findings;
mod host_tools;
mod layout;
mod names;
mod reader;
mod ring;
mod writer;

pub(crate) use host_tools::{HOST_TOOLS, HostToolRecorder};
pub use reader::{RecordedCall, RecordedDeath, Recording};
pub(crate) use writer::Recorder;

#[cfg(test)]
mod tests;
