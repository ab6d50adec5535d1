//! The compatibility of libraries with several threads in one worker.
//!
//! `compatibility.json` has one entry for each known library. Facts that are not known are
//! `unknown` there, and never guessed.

mod check;
mod report;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use check::{LibraryCheck, Suitability, Threading};
pub use report::CompatibilityReport;

use crate::installed::normal;

static KNOWN: LazyLock<Compatibility> = LazyLock::new(|| {
    serde_json::from_str(include_str!("compatibility.json")).expect("a test reads the file")
});

/// The known libraries.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    /// Year and month in which the entries were last checked.
    checked: String,
    /// Pages against which they were checked.
    sources: Vec<String>,
    libraries: Vec<Library>,
}

/// The entry of one library.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Library {
    /// The usual name.
    pub name: String,
    /// The name by which it is imported.
    pub import: String,
    /// The names under which it is installed. Empty if it is a part of Python.
    pub distributions: Vec<String>,
    /// The oldest version that the entry covers. `None` for all versions.
    pub minimum: Option<String>,
    /// Safety in threads that take turns.
    pub gil: Safety,
    /// Safety in threads that run in parallel.
    pub free_threaded: Safety,
    /// The first version known to support free-threaded Python. `None` if there is none.
    pub free_threaded_since: Option<String>,
    /// Safe and unsafe uses.
    pub notes: String,
    /// Workaround for unsafe uses. `None` if there is none.
    pub workaround: Option<String>,
}

/// Safety of a library in concurrent threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Safety {
    /// Threads may use it concurrently unless they write to shared objects.
    Safe,
    /// Threads may use it concurrently under a condition stated in the notes.
    Conditional,
    /// Threads must not use it concurrently without a lock.
    Unsafe,
    /// No version is known to support free-threaded Python: importing it enables the GIL, or fails.
    Unsupported,
    /// Nothing reliable is known.
    Unknown,
}

impl Compatibility {
    /// Returns the entries of this version of snakepit.
    pub fn known() -> &'static Self {
        &KNOWN
    }

    /// Returns year and month in which the entries were last checked, for example `2026-11`.
    pub fn checked(&self) -> &str {
        &self.checked
    }

    /// Returns the pages against which the entries were checked.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Returns all libraries, sorted by name.
    pub fn list(&self) -> &[Library] {
        &self.libraries
    }

    /// Returns the entry of a library, by its usual name, its import name or a name under which it
    /// is installed. Ignores case.
    pub fn info(&self, library: &str) -> Option<&Library> {
        let wanted = normal(library);
        let named = |entry: &&Library| {
            let import = normal(&entry.import);
            let mut distributions = entry.distributions.iter();
            normal(&entry.name) == wanted
                || import == wanted
                || distributions.any(|name| normal(name) == wanted)
        };
        self.libraries.iter().find(named)
    }

    /// Returns all names under which known libraries are installed.
    pub fn distributions(&self) -> impl Iterator<Item = &str> {
        let lists = self.libraries.iter().map(|entry| &entry.distributions);
        lists.flatten().map(String::as_str)
    }
}

#[cfg(test)]
#[path = "compatibility/tests.rs"]
mod tests;
