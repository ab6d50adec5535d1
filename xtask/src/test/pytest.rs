//! Python tests, in the virtual environments that `venv` keeps.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::totals::{Counts, Totals, pytest};
use crate::{shell, venv};

/// Returns the interpreter for the tests. `None` if the tools cannot be installed, which counts as
/// one skipped test.
///
/// # Errors
/// As above, in continuous integration, which must not lose tests silently.
pub(super) fn interpreter(totals: &mut Totals) -> Result<Option<PathBuf>> {
    let error = match venv::ensure() {
        Ok(python) => return Ok(Some(python)),
        Err(error) => error,
    };
    // A developer without a network still wants the other tests.
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return Err(error);
    }
    let reason = format!("all of python/tests: {error:#}").replace('\n', " ");
    let counts = Counts {
        skipped: 1,
        skips: vec![reason],
        ..Counts::default()
    };
    totals.add("pytest", true, Some(counts));
    Ok(None)
}

/// Runs the tests with each interpreter, side by side: a run keeps one processor busy. Prints the
/// output of each run once it has ended.
pub(super) fn run(totals: &mut Totals, runs: &[(&str, &Path)]) -> Result<()> {
    std::thread::scope(|scope| {
        let running = runs
            .iter()
            .map(|(name, python)| (name, scope.spawn(|| shell::collect(&mut command(python)))));
        // All are started before the first is awaited.
        for (name, run) in running.collect::<Vec<_>>() {
            let (status, output) = run.join().expect("no run panics")?;
            println!("=== {name}\n{output}");
            totals.add(name, status.success(), pytest(&output));
        }
        Ok(())
    })
}

fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-ra", "--color=no", "--strict-markers"]);
    // The runs share the directory, not a cache in it.
    command.args(["-p", "no:cacheprovider", "tests"]);
    command.current_dir(shell::root().join("python"));
    command.env("PYTHONPATH", shell::root().join("python"));
    command
}
