//! The suitability of several libraries and their installed versions.

use serde::Serialize;

use super::{Compatibility, LibraryCheck, Suitability, Threading};
use crate::{Installed, Interpreter, ProfileKind};

/// Suitability of the libraries of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompatibilityReport {
    /// The profile that was checked.
    pub profile: ProfileKind,
    /// Execution of the interpreter's threads.
    pub threading: Threading,
    /// One check for each library, in the order given.
    pub checks: Vec<LibraryCheck>,
}

impl Compatibility {
    /// Checks libraries in the versions that an interpreter has.
    pub fn report<S: AsRef<str>>(
        &self,
        libraries: impl IntoIterator<Item = S>,
        profile: ProfileKind,
        interpreter: &Interpreter,
        installed: &Installed,
    ) -> CompatibilityReport {
        let threading = Threading::of(interpreter);
        let check = |library: S| {
            let library = library.as_ref();
            let version = self.installed_version(library, interpreter, installed);
            self.check_version(library, profile, threading, version.as_deref())
        };
        CompatibilityReport {
            profile,
            threading,
            checks: libraries.into_iter().map(check).collect(),
        }
    }

    /// Returns the version of a library. A part of Python has Python's version. `None` if the
    /// library is not installed.
    pub fn installed_version(
        &self,
        library: &str,
        interpreter: &Interpreter,
        installed: &Installed,
    ) -> Option<String> {
        let Some(entry) = self.info(library) else {
            return installed.version(library).map(str::to_owned);
        };
        if entry.distributions.is_empty() {
            return Some(interpreter.version_text());
        }
        let mut names = entry.distributions.iter();
        names
            .find_map(|name| installed.version(name))
            .map(str::to_owned)
    }
}

impl CompatibilityReport {
    /// Returns the checks with this suitability.
    pub fn with(&self, suitability: Suitability) -> impl Iterator<Item = &LibraryCheck> {
        let checks = self.checks.iter();
        checks.filter(move |check| check.suitability == suitability)
    }

    /// Returns the worst suitability. `Ok` if there are no libraries.
    pub fn worst(&self) -> Suitability {
        let suitabilities = self.checks.iter().map(|check| check.suitability);
        suitabilities.max().unwrap_or(Suitability::Ok)
    }
}
