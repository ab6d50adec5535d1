//! The tests that are repeated on a free-threaded interpreter: all of Python's, and the thread
//! profile end to end.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::totals::{Counts, Totals, cargo_test, nextest};
use crate::free_threaded::{self, Effort};
use crate::{python, shell, venv};

/// Rust tests to repeat. The tests of other profiles would not show anything new.
const REPEATED: [&str; 2] = ["thread_profile", "free_threading"];

/// The tests that are skipped without such an interpreter.
const LEFT_OUT: &str = "all of python/tests, and the thread profile, on free-threaded CPython";

/// The interpreter and its environment, once the extension module for it is built.
pub(super) struct FreeThreaded {
    base: PathBuf,
    /// Interpreter of the environment with the tools.
    tools: Result<PathBuf>,
}

/// Builds what the tests need. `None` if there is no interpreter, which counts as one skipped test.
pub(super) fn prepare(totals: &mut Totals, effort: Effort) -> Result<Option<FreeThreaded>> {
    let base = match free_threaded::find(effort) {
        Ok(base) => base,
        Err(reason) => {
            skip(totals, &format!("{LEFT_OUT}: {reason}"));
            return Ok(None);
        }
    };
    python::build_free_threaded(false, &base)?;
    let tools = venv::ensure_free_threaded(&base);
    Ok(Some(FreeThreaded { base, tools }))
}

impl FreeThreaded {
    /// Runs the Rust tests. The environment with the tools has numpy, which some tests use.
    pub(super) fn rust(&self, totals: &mut Totals) -> Result<()> {
        rust(totals, self.tools.as_deref().unwrap_or(&self.base))
    }

    /// Returns the interpreter for the Python tests. `None` if the tools cannot be installed, which
    /// counts as one skipped test.
    pub(super) fn python(&self, totals: &mut Totals) -> Option<&Path> {
        let error = match &self.tools {
            Ok(python) => return Some(python),
            Err(error) => error,
        };
        skip(
            totals,
            &format!("all of python/tests on free-threaded CPython: {error:#}"),
        );
        None
    }
}

fn skip(totals: &mut Totals, reason: &str) {
    let counts = Counts {
        skipped: 1,
        skips: vec![reason.replace('\n', " ")],
        ..Counts::default()
    };
    totals.add("free-threaded", true, Some(counts));
}

fn rust(totals: &mut Totals, python: &Path) -> Result<()> {
    const NAME: &str = "the thread profile, free-threaded";
    if super::rust::has_nextest() {
        // The features of all other tests: everything is built already.
        let mut command = shell::cargo(["nextest", "run", "--workspace", "--all-features"]);
        command.args(["--test", "e2e", "--no-fail-fast"]);
        command.args(["--color", "never", "--no-tests", "pass"]);
        command
            .args(["--final-status-level", "fail"])
            .args(REPEATED);
        let (status, output) = shell::tee(command.env("SNAKEPIT_PYTHON", python))?;
        // The other tests of the binary ran before and are not skipped.
        let counts = nextest(&output).map(|counts| Counts {
            skipped: 0,
            skips: Vec::new(),
            ..counts
        });
        totals.add(NAME, status.success(), counts);
    } else {
        let mut command = shell::cargo(["test", "--workspace", "--all-features"]);
        command.args(["--test", "e2e", "--no-fail-fast", "--color", "never", "--"]);
        command.args(REPEATED).env("SNAKEPIT_PYTHON", python);
        let (status, output) = shell::tee(&mut command)?;
        totals.add(NAME, status.success(), cargo_test(&output));
    }
    Ok(())
}
