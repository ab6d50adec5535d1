//! The tests that are repeated on a free-threaded interpreter: all of Python's, and the thread
//! profile end to end.

use std::path::Path;

use anyhow::Result;

use super::pytest;
use super::totals::{Counts, Totals, cargo_test, nextest};
use crate::free_threaded::{self, Effort};
use crate::{python, shell, venv};

/// Rust tests to repeat. The tests of other profiles would not show anything new.
const REPEATED: [&str; 2] = ["thread_profile", "free_threading"];

/// The tests that are skipped without such an interpreter.
const LEFT_OUT: &str = "all of python/tests, and the thread profile, on free-threaded CPython";

pub(super) fn run(
    totals: &mut Totals,
    effort: Effort,
    wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let base = match free_threaded::find(effort) {
        Ok(base) => base,
        Err(reason) => {
            skip(totals, &format!("{LEFT_OUT}: {reason}"));
            return Ok(());
        }
    };
    python::build_free_threaded(false, &base)?;
    let tools = venv::ensure_free_threaded(&base);
    if wanted("rust") {
        // The environment with the tools has numpy, which some tests use.
        rust(totals, tools.as_deref().unwrap_or(&base))?;
    }
    if wanted("python") {
        match tools {
            Ok(python) => pytest::with(totals, "pytest, free-threaded", &python)?,
            Err(error) => skip(
                totals,
                &format!("all of python/tests on free-threaded CPython: {error:#}"),
            ),
        }
    }
    Ok(())
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
        let mut command = shell::cargo(["nextest", "run", "--package", "snakepit"]);
        command.args(["--all-features", "--test", "e2e", "--no-fail-fast"]);
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
        let mut command = shell::cargo(["test", "--package", "snakepit", "--all-features"]);
        command.args(["--test", "e2e", "--no-fail-fast", "--color", "never", "--"]);
        command.args(REPEATED).env("SNAKEPIT_PYTHON", python);
        let (status, output) = shell::tee(&mut command)?;
        totals.add(NAME, status.success(), cargo_test(&output));
    }
    Ok(())
}
