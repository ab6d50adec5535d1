//! The suitability of one library, for one profile and one interpreter.

use std::fmt;

use serde::Serialize;

use super::{Compatibility, Library, Safety};
use crate::version::at_least;
use crate::{Interpreter, ProfileKind};

/// Execution of the threads of one interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Threading {
    /// The threads take turns: there is a GIL.
    Gil,
    /// The threads run in parallel.
    FreeThreaded,
}

impl Threading {
    /// Returns the threading of an interpreter before any import.
    pub const fn of(interpreter: &Interpreter) -> Self {
        if interpreter.parallel_threads() {
            Self::FreeThreaded
        } else {
            Self::Gil
        }
    }
}

/// The consequence for a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Suitability {
    /// Nothing to do.
    Ok,
    /// Usable with care: the advice says how.
    Care,
    /// Nothing is known; try it under load.
    Unknown,
    /// Slots must not use it concurrently.
    Unsafe,
}

impl fmt::Display for Suitability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Care => "care",
            Self::Unknown => "unknown",
            Self::Unsafe => "unsafe",
        })
    }
}

/// The suitability of one library, with reason and advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LibraryCheck {
    /// The library, by the name that the caller gave.
    pub library: String,
    /// Suitability of the library.
    pub suitability: Suitability,
    /// The reason, in one or two sentences.
    pub reason: String,
    /// One thing to do. `None` if there is nothing to do.
    pub advice: Option<String>,
    /// The installed version. `None` if it is unknown or not installed.
    pub installed: Option<String>,
}

impl Compatibility {
    /// Judges whether workers of this profile may use a library, independently of its version. In
    /// the process profile every library is allowed: a worker has one slot.
    pub fn check(
        &self,
        library: &str,
        profile: ProfileKind,
        interpreter: &Interpreter,
    ) -> LibraryCheck {
        self.check_version(library, profile, Threading::of(interpreter), None)
    }

    /// Checks like [`check`](Self::check), for the installed version.
    pub(super) fn check_version(
        &self,
        library: &str,
        profile: ProfileKind,
        threading: Threading,
        installed: Option<&str>,
    ) -> LibraryCheck {
        let (suitability, reason, advice) = match self.info(library) {
            Some(entry) => entry.judge(profile, threading, installed),
            None if profile == ProfileKind::Process => one_slot(),
            None => (
                Suitability::Unknown,
                format!("the thread safety of `{library}` is unknown"),
                Some("try it under load with a ThreadSafetyChecker, or use processes".to_owned()),
            ),
        };
        LibraryCheck {
            library: library.to_owned(),
            suitability,
            reason,
            advice,
            installed: installed.map(str::to_owned),
        }
    }
}

type Judgement = (Suitability, String, Option<String>);

fn one_slot() -> Judgement {
    let reason = "one slot in each worker: nothing is shared".to_owned();
    (Suitability::Ok, reason, None)
}

impl Library {
    /// Returns the safety with this threading. A version older than the first that supports free
    /// threading is unsupported there.
    pub(crate) fn safety(&self, threading: Threading, installed: Option<&str>) -> Safety {
        if threading == Threading::Gil {
            return self.gil;
        }
        let too_old = match (installed, &self.free_threaded_since) {
            (Some(version), Some(since)) => at_least(version, since) == Some(false),
            _ => false,
        };
        if too_old {
            Safety::Unsupported
        } else {
            self.free_threaded
        }
    }

    fn judge(
        &self,
        profile: ProfileKind,
        threading: Threading,
        installed: Option<&str>,
    ) -> Judgement {
        if profile == ProfileKind::Process {
            return one_slot();
        }
        let older = match (installed, &self.minimum) {
            (Some(version), Some(minimum)) if at_least(version, minimum) == Some(false) => {
                Some(minimum)
            }
            _ => None,
        };
        if let Some(minimum) = older {
            let reason = format!("what is known is about {minimum} and newer");
            return (Suitability::Unknown, reason, Some("upgrade it".to_owned()));
        }
        let advice = self.workaround.clone();
        match self.safety(threading, installed) {
            Safety::Safe => (Suitability::Ok, self.notes.clone(), None),
            Safety::Conditional => (Suitability::Care, self.notes.clone(), advice),
            Safety::Unsafe => (Suitability::Unsafe, self.notes.clone(), advice),
            Safety::Unknown => (Suitability::Unknown, self.notes.clone(), advice),
            Safety::Unsupported => self.unsupported(installed),
        }
    }

    /// Judges an unsupported library: importing it enables the GIL, so the safety with a GIL
    /// applies.
    fn unsupported(&self, installed: Option<&str>) -> Judgement {
        let suitability = match self.gil {
            Safety::Unsafe => Suitability::Unsafe,
            _ => Suitability::Care,
        };
        match (&self.free_threaded_since, installed) {
            (Some(since), Some(version)) => {
                let reason = format!(
                    "Version {version} is older than the first that supports free threading: it \
                     switches the GIL back on, if it can be imported at all. {}",
                    self.notes
                );
                (
                    suitability,
                    reason,
                    Some(format!("upgrade it to {since} or newer")),
                )
            }
            _ => {
                let reason = format!(
                    "No version is known to support free threading: it switches the GIL back on, \
                     if it can be imported at all. {}",
                    self.notes
                );
                (suitability, reason, self.workaround.clone())
            }
        }
    }
}
