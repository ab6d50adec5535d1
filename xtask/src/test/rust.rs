//! Rust tests: with nextest if it is installed, otherwise with `cargo test`; and the doc tests.

use anyhow::Result;

use super::totals::{Totals, cargo_test, nextest};
use crate::faults::Collected;
use crate::shell;

pub(super) fn run(totals: &mut Totals) -> Result<()> {
    if has_nextest() {
        let mut command = shell::cargo(["nextest", "run", "--workspace", "--all-features"]);
        command.args(["--no-fail-fast", "--color", "never", "--no-tests", "pass"]);
        command.args(["--status-level", "pass", "--final-status-level", "skip"]);
        let collected = Collected::of(&mut command)?;
        let (status, output) = shell::tee_without(&mut command, "PASS [")?;
        println!("{}", collected.table(&output)?);
        totals.add("cargo nextest", status.success(), nextest(&output));
    } else {
        let mut command = shell::cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests", "--color", "never"]);
        let (status, output) = shell::tee(&mut command)?;
        totals.add("cargo test", status.success(), cargo_test(&output));
    }
    let mut command = shell::cargo(["test", "--doc", "--workspace", "--all-features"]);
    let (status, output) = shell::tee(command.args(["--no-fail-fast", "--color", "never"]))?;
    totals.add("cargo test --doc", status.success(), cargo_test(&output));
    Ok(())
}

/// Returns whether nextest is installed.
pub(super) fn has_nextest() -> bool {
    shell::cargo(["nextest", "--version"])
        .stdin(std::process::Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}
