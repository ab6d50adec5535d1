//! The choice of a profile by interpreter, workload and libraries.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::Serialize;

use crate::compatibility::{Compatibility, LibraryCheck, Safety, Suitability, Threading};
use crate::{Installed, Interpreter};

/// Threads for work that waits: a waiting thread costs its stack and little else.
const WAITING: usize = 16;

/// The two kinds of profiles for concurrent calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProfileKind {
    /// Many workers with one slot each.
    Process,
    /// Few workers with many slots each.
    Thread,
}

/// The main activity of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Workload {
    /// Calls wait for the network, a disk or a database.
    IoBound,
    /// Calls compute in Python.
    CpuBound,
    /// Calls read large data that should be in memory once, such as a model.
    SharedMemory,
    /// A mixture.
    #[default]
    Mixed,
}

/// The error of parsing an unknown name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name `{given}`; choose one of {choices}")]
pub struct UnknownName {
    given: String,
    choices: String,
}

macro_rules! named {
    ($type:ty: $($variant:ident = $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownName {
                        given: text.to_owned(),
                        choices: [$($name),+].join(", "),
                    }),
                }
            }
        }
    };
}

named!(ProfileKind: Process = "process", Thread = "thread");
named!(Workload: IoBound = "io-bound", CpuBound = "cpu-bound", SharedMemory = "shared-memory", Mixed = "mixed");

/// A recommended profile, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// The profile.
    pub profile: ProfileKind,
    /// Slots of each worker.
    pub threads: NonZeroUsize,
    /// The reason, in one sentence.
    pub reason: String,
}

/// Recommends a profile for workers on this machine: threads only if they help, and if all
/// libraries are safe in threads. An unknown library counts as unsafe.
pub fn recommend_profile<S: AsRef<str>>(
    interpreter: &Interpreter,
    workload: Workload,
    libraries: impl IntoIterator<Item = S>,
    installed: &Installed,
) -> Recommendation {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    recommend(interpreter, workload, libraries, installed, cores)
}

fn recommend<S: AsRef<str>>(
    interpreter: &Interpreter,
    workload: Workload,
    libraries: impl IntoIterator<Item = S>,
    installed: &Installed,
    cores: NonZeroUsize,
) -> Recommendation {
    let process = |reason: String| Recommendation {
        profile: ProfileKind::Process,
        threads: NonZeroUsize::MIN,
        reason,
    };
    let thread = |threads: usize, reason: &str| Recommendation {
        profile: ProfileKind::Thread,
        threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
        reason: reason.to_owned(),
    };
    let known = Compatibility::known();
    let report = known.report(libraries, ProfileKind::Thread, interpreter, installed);
    if report.worst() >= Suitability::Unknown {
        let worst = report.with(report.worst()).map(quoted).collect::<Vec<_>>();
        let list = worst.join(", ");
        return process(match report.worst() {
            Suitability::Unsafe => format!("threads must not use {list} concurrently"),
            _ => format!("the thread safety of {list} is unknown"),
        });
    }
    let parallel = interpreter.parallel_threads();
    let back = report.checks.iter().find(|check| {
        let safety = known
            .info(&check.library)
            .map(|entry| entry.safety(Threading::of(interpreter), check.installed.as_deref()));
        safety == Some(Safety::Unsupported)
    });
    match (workload, back) {
        (Workload::IoBound, _) => thread(
            WAITING,
            "waiting calls do not block others, with or without a GIL",
        ),
        (Workload::SharedMemory, None) if parallel => thread(
            cores.get(),
            "one copy in memory serves threads that run in parallel",
        ),
        (Workload::SharedMemory, _) => thread(
            cores.get(),
            "one copy in memory serves all threads, which take turns in Python code",
        ),
        (Workload::CpuBound | Workload::Mixed, Some(check)) => process(format!(
            "{} switches the GIL on, so that threads would take turns",
            quoted(check)
        )),
        (Workload::CpuBound, None) if parallel => thread(
            cores.get(),
            "this Python runs threads in parallel, one for each core",
        ),
        (Workload::Mixed, None) if parallel => thread(
            cores.get().saturating_mul(2),
            "this Python runs threads in parallel, and some of them will wait",
        ),
        (Workload::CpuBound | Workload::Mixed, None) => {
            process("with a GIL threads take turns in Python code, processes do not".to_owned())
        }
    }
}

fn quoted(check: &LibraryCheck) -> String {
    format!("`{}`", check.library)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::interpreter;

    fn on(free: bool, workload: Workload, libraries: &[&str]) -> (ProfileKind, usize, String) {
        let interpreter = interpreter((3, 14, 0), free, !free);
        let cores = NonZeroUsize::new(4).unwrap();
        let installed = Installed::default();
        let got = recommend(&interpreter, workload, libraries, &installed, cores);
        assert!(
            !got.reason.contains('.') && !got.reason.is_empty(),
            "one sentence"
        );
        (got.profile, got.threads.get(), got.reason)
    }

    #[test]
    fn work_and_interpreter_decide() {
        use ProfileKind::{Process, Thread};
        for (workload, gil, free) in [
            (Workload::IoBound, (Thread, 16), (Thread, 16)),
            (Workload::CpuBound, (Process, 1), (Thread, 4)),
            (Workload::SharedMemory, (Thread, 4), (Thread, 4)),
            (Workload::Mixed, (Process, 1), (Thread, 8)),
        ] {
            let (profile, threads, _) = on(false, workload, &["numpy"]);
            assert_eq!((profile, threads), gil, "{workload} with a GIL");
            let (profile, threads, _) = on(true, workload, &["numpy"]);
            assert_eq!((profile, threads), free, "{workload} without one");
        }
    }

    #[test]
    fn libraries_speak_against_threads() {
        for (free, library, expected) in [
            (
                false,
                "matplotlib",
                "threads must not use `matplotlib` concurrently",
            ),
            (
                true,
                "matplotlib",
                "threads must not use `matplotlib` concurrently",
            ),
            (false, "mine", "the thread safety of `mine` is unknown"),
            (true, "grpcio", "`grpcio` switches the GIL on"),
        ] {
            let (profile, threads, reason) = on(free, Workload::CpuBound, &["numpy", library]);
            assert_eq!((profile, threads), (ProfileKind::Process, 1), "{reason}");
            assert!(reason.starts_with(expected), "{reason}");
        }
        // For calls that wait, taking turns costs nothing.
        let (profile, _, _) = on(true, Workload::IoBound, &["grpcio"]);
        assert_eq!(profile, ProfileKind::Thread);
        let (_, _, reason) = on(true, Workload::SharedMemory, &["lxml"]);
        assert!(reason.contains("take turns"), "{reason}");
    }

    #[test]
    fn a_version_that_is_too_old_counts_as_unsupported() {
        let interpreter = interpreter((3, 14, 0), true, false);
        let installed = Installed::default().with("numpy", "2.0.0");
        let got = recommend_profile(&interpreter, Workload::CpuBound, ["numpy"], &installed);
        assert_eq!(got.profile, ProfileKind::Process);
        let installed = Installed::default().with("numpy", "2.3.0");
        let got = recommend_profile(&interpreter, Workload::CpuBound, ["numpy"], &installed);
        assert_eq!(got.profile, ProfileKind::Thread);
    }

    #[test]
    fn names_are_read_as_they_are_shown() {
        for workload in ["io-bound", "cpu-bound", "shared-memory", "mixed"] {
            assert_eq!(workload.parse::<Workload>().unwrap().to_string(), workload);
        }
        assert_eq!("thread".parse(), Ok(ProfileKind::Thread));
        let error = "fibre".parse::<ProfileKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown name `fibre`; choose one of process, thread"
        );
    }
}
