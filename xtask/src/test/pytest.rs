//! Python tests, in the virtual environment that `venv` keeps.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::totals::{Counts, Totals, pytest};
use crate::{shell, venv};

pub(super) fn run(totals: &mut Totals) -> Result<()> {
    let python = match venv::ensure() {
        Ok(python) => python,
        // A developer without a network still wants the other tests; continuous integration must
        // not lose tests silently.
        Err(error) if std::env::var_os("CI").is_none_or(|ci| ci != "true") => {
            let reason = format!("all of python/tests: {error:#}").replace('\n', " ");
            let counts = Counts {
                skipped: 1,
                skips: vec![reason],
                ..Counts::default()
            };
            totals.add("pytest", true, Some(counts));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    with(totals, "pytest", &python)
}

/// Runs the tests with an interpreter that has the tools.
pub(super) fn with(totals: &mut Totals, name: &str, python: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command.args([
        "-m",
        "pytest",
        "-ra",
        "--color=no",
        "--strict-markers",
        "tests",
    ]);
    command.current_dir(shell::root().join("python"));
    command.env("PYTHONPATH", shell::root().join("python"));
    let (status, output) = shell::tee(&mut command)?;
    totals.add(name, status.success(), pytest(&output));
    Ok(())
}
