//! Which libraries may be used by several threads of one worker.
//!
//! What is known stands in `compatibility.json`, one entry for each library; what is not known is
//! `unknown` there, and never guessed.

mod check;
mod report;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use check::{LibraryCheck, Threading, Verdict};
pub use report::CompatibilityReport;

use crate::installed::normal;

static KNOWN: LazyLock<Compatibility> = LazyLock::new(|| {
    serde_json::from_str(include_str!("compatibility.json")).expect("a test reads the file")
});

/// What is known of libraries.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    /// Year and month in which the entries were last checked.
    checked: String,
    /// Pages that they were checked against.
    sources: Vec<String>,
    libraries: Vec<Library>,
}

/// One library.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Library {
    /// Its usual name, as people write it.
    pub name: String,
    /// The name by which it is imported.
    pub import: String,
    /// The names under which it is installed; none when it is a part of Python.
    pub distributions: Vec<String>,
    /// The oldest version that the entry is about.
    pub minimum: Option<String>,
    /// In threads that take turns.
    pub gil: Safety,
    /// In threads that run in parallel.
    pub free_threaded: Safety,
    /// The first version that is known to support a free-threaded Python.
    pub free_threaded_since: Option<String>,
    /// What is and what is not safe.
    pub notes: String,
    /// What to do about it.
    pub workaround: Option<String>,
}

/// Whether threads may use a library at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Safety {
    /// They may, as long as they do not write what they share.
    Safe,
    /// They may under a condition that the notes tell.
    Conditional,
    /// They must not, without a lock.
    Unsafe,
    /// No version is known to support a free-threaded Python: importing it switches the GIL back on,
    /// or fails.
    Unsupported,
    /// Nothing reliable is known.
    Unknown,
}

impl Compatibility {
    /// What this version of snakepit knows.
    pub fn known() -> &'static Self {
        &KNOWN
    }

    /// Year and month in which the entries were last checked, for example `2026-11`.
    pub fn checked(&self) -> &str {
        &self.checked
    }

    /// Pages that the entries were checked against.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// All libraries, by name.
    pub fn list(&self) -> &[Library] {
        &self.libraries
    }

    /// The entry of a library, by its usual name, by the name it is imported with or by one it is
    /// installed with, in any case.
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

    /// All names under which known libraries are installed.
    pub fn distributions(&self) -> impl Iterator<Item = &str> {
        let lists = self.libraries.iter().map(|entry| &entry.distributions);
        lists.flatten().map(String::as_str)
    }
}

#[cfg(test)]
#[path = "compatibility/tests.rs"]
mod tests;
