//! `test faults` and `faults [--write]`: the fault suite and its table.

mod matrix;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{python, shell};
use rows::Row;

const TABLE: &str = "docs/faults.md";

const HEAD: &str = "\
# Faults

The faults that the suite injects into hosts, workers and records, and the results of its last run.
`cargo xtask faults --write` writes this file from the results of a run; `cargo xtask test faults`
runs the suite and prints the same table. Row 0 is the loop of random kills.

";

/// `cargo xtask faults [--write]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--write"])?;
    suite(args.iter().any(|arg| arg == "--write"))
}

/// Runs the suite, prints its table, and writes the table to the page if `write`.
pub(crate) fn suite(write: bool) -> Result<()> {
    python::build_with_tests()?;
    let mut command = shell::cargo(["nextest", "run", "--no-fail-fast", "--color", "never"]);
    // Uses the features of all other tests, which are built already.
    command.args(["--workspace", "--all-features"]);
    // The rows measure times, so only few of them share the processors.
    command.args(["--status-level", "all", "--test-threads", "2"]);
    command.args(["-E", "test(/(^|::)row_/)"]);
    let collected = Collected::of(&mut command)?;
    let (status, output) = shell::tee(&mut command)?;
    let table = collected.table(&output)?;
    println!("{table}");
    if write {
        fs::write(shell::root().join(TABLE), format!("{HEAD}{table}"))?;
    }
    let holds = status.success() && !table.contains("| FAILED");
    ensure!(holds, "there are failures, see above");
    Ok(())
}

/// The directory for the results of one run.
#[derive(Debug)]
pub(crate) struct Collected(PathBuf);

impl Collected {
    /// Makes a test command write the results of its rows.
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let out = python::target().join("faults");
        if out.exists() {
            fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
        }
        command.env("FAULTS_OUT", &out);
        Ok(Self(out))
    }

    /// Builds the table of the rows of a run that has printed `output`.
    pub(crate) fn table(&self, output: &str) -> Result<String> {
        let mut rows = Vec::new();
        let mut skips = BTreeMap::new();
        for entry in fs::read_dir(&self.0).context("no row has written its result")? {
            let path = entry?.path();
            let text = fs::read_to_string(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some(test) = skipped(&name) {
                skips.insert(test, text);
                continue;
            }
            let value = serde_json::from_str(&text)?;
            rows.push(Row::of_file(&value).with_context(|| format!("result of a row: {text}"))?);
        }
        rows.extend(rows::of_names(output, &skips));
        rows.extend(matrix::missing(&rows));
        rows.sort();
        Ok(rows::table(&rows))
    }
}

/// Returns the test to which the file with a reason for skipping belongs.
fn skipped(file: &str) -> Option<String> {
    let test = file.strip_prefix("skipped-")?.strip_suffix(".txt")?;
    Some(test.replace('.', "::"))
}
