//! The verdicts on several libraries, with the versions that are installed.

use serde::Serialize;

use super::{Compatibility, LibraryCheck, Threading, Verdict};
use crate::{Installed, Interpreter, ProfileKind};

/// Verdicts on the libraries of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompatibilityReport {
    /// The profile that it is about.
    pub profile: ProfileKind,
    /// How threads of the interpreter run.
    pub threading: Threading,
    /// One outcome for each library, in the order in which they were given.
    pub checks: Vec<LibraryCheck>,
}

impl Compatibility {
    /// Checks libraries with the versions that an interpreter has of them.
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

    /// The version of a library; what is a part of Python has Python's.
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
    /// The outcomes with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &LibraryCheck> {
        let checks = self.checks.iter();
        checks.filter(move |check| check.verdict == verdict)
    }

    /// The worst verdict; `Ok` when there are no libraries.
    pub fn worst(&self) -> Verdict {
        let verdicts = self.checks.iter().map(|check| check.verdict);
        verdicts.max().unwrap_or(Verdict::Ok)
    }
}
