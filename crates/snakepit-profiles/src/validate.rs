//! Validation of an interpreter: whether it can run workers, and with which drawbacks.

use snakepit_core::error::{ErrorCode, StartError};

use crate::Interpreter;

/// Oldest free-threaded version for which the worker runtime is built.
const OLDEST_FREE_THREADED: (u8, u8) = (3, 14);

/// The result for an interpreter that can run workers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// Drawbacks, one sentence each.
    pub warnings: Vec<String>,
}

impl Interpreter {
    /// Validates the properties that the probe reported. The oldest version is 3.10: the worker
    /// runtime is built for its stable ABI, and tools use type hints such as `int | None` as their
    /// schema.
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] if it cannot run workers at all.
    pub fn validate(&self) -> Result<Validation, StartError> {
        let refuse = |message: String, help: &str| {
            let mut error = StartError::new(ErrorCode::NoInterpreter, message);
            error.help = Some(help.to_owned());
            error.permanent = true;
            Err(error)
        };
        let version = self.version_text();
        if (self.version.0, self.version.1) < (3, 10) {
            return refuse(
                format!("it is Python {version}, 3.10 or newer is needed"),
                "the worker runtime needs the stable ABI of 3.10, and tools its type hints",
            );
        }
        if self.implementation != "cpython" {
            return refuse(
                format!("it is {} {version}, CPython is needed", self.implementation),
                "the worker runtime is an extension module for CPython",
            );
        }
        let mut warnings = Vec::new();
        if self.free_threaded && (self.version.0, self.version.1) < OLDEST_FREE_THREADED {
            return refuse(
                format!("it is a free-threaded Python {version}, 3.14 or newer is needed"),
                "free threading was an experiment before 3.14; use a build with the GIL, or 3.14t",
            );
        }
        if self.free_threaded && self.gil_enabled {
            warnings.push(
                "it is free-threaded, but its environment switches the GIL on: unset PYTHON_GIL"
                    .to_owned(),
            );
        }
        Ok(Validation { warnings })
    }

    /// Returns whether threads of one worker run in parallel, as far as its libraries allow.
    pub const fn parallel_threads(&self) -> bool {
        self.free_threaded && !self.gil_enabled
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns an interpreter as the probe would describe it.
    pub(crate) fn interpreter(version: (u8, u8, u8), free: bool, gil: bool) -> Interpreter {
        Interpreter {
            executable: "/usr/bin/python3".into(),
            version,
            implementation: "cpython".to_owned(),
            free_threaded: free,
            gil_enabled: gil,
            platform: "linux-x86_64".to_owned(),
            prefix: "/usr".into(),
            bridge: None,
            extension_suffixes: vec![".so".to_owned()],
        }
    }

    #[test]
    fn what_can_run_workers() {
        let plain = interpreter((3, 10, 0), false, true);
        assert_eq!(plain.validate().unwrap().warnings, Vec::<String>::new());
        assert!(!plain.parallel_threads());
        let free = interpreter((3, 14, 1), true, false);
        assert_eq!(free.validate().unwrap().warnings, Vec::<String>::new());
        assert!(free.parallel_threads());
        let switched_on = interpreter((3, 14, 1), true, true);
        let warnings = switched_on.validate().unwrap().warnings;
        assert!(warnings[0].contains("PYTHON_GIL"), "{warnings:?}");
        assert!(!switched_on.parallel_threads());
    }

    #[test]
    fn what_cannot() {
        let mut pypy = interpreter((3, 11, 0), false, true);
        pypy.implementation = "pypy".to_owned();
        for (refused, expected) in [
            (pypy, "it is pypy 3.11.0, CPython is needed"),
            (interpreter((3, 9, 2), false, true), "3.10 or newer"),
            (interpreter((3, 13, 0), true, false), "3.14 or newer"),
        ] {
            let error = refused.validate().unwrap_err();
            assert_eq!(error.code, ErrorCode::NoInterpreter);
            assert!(error.message.contains(expected), "{}", error.message);
            assert!(error.permanent && error.help.is_some());
        }
    }
}
