//! `test faults` and `faults [--write]`: the fault suite and its table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{python, shell};

const TABLE: &str = "docs/faults.md";

const HEAD: &str = "\
# Faults

What is done to hosts, workers and records, and what was seen when the suite ran last.
`cargo xtask faults --write` writes this file from the results of a run; `cargo xtask test faults`
runs the suite and prints the same table. Row 0 is the loop of random kills.

";

/// One line of the table: what was done, what was seen, and how long the test took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    number: u64,
    fault: String,
    result: String,
}

/// `cargo xtask faults [--write]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--write"])?;
    suite(args.iter().any(|arg| arg == "--write"))
}

/// Runs the suite, prints its table, and writes it where that is asked for.
pub(crate) fn suite(write: bool) -> Result<()> {
    python::build(false)?;
    let out = shell::root().join("target/faults");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
    }
    let mut command = shell::cargo(["nextest", "run", "--no-fail-fast", "--color", "never"]);
    command.args([
        "-p",
        "snakepit",
        "-p",
        "snakepit-registry",
        "--all-features",
    ]);
    // The rows are about time, so few of them share the processor.
    command.args(["--status-level", "all", "--test-threads", "2"]);
    command.args(["-E", "test(/(^|::)row_/)"]);
    command.env("SNAKEPIT_FAULTS_OUT", &out);
    let (status, output) = shell::tee(&mut command)?;
    let mut rows = of_registry(&output);
    for entry in fs::read_dir(&out).context("no row has written its result")? {
        let text = fs::read_to_string(entry?.path())?;
        let value = serde_json::from_str(&text)?;
        rows.push(of_file(&value).with_context(|| format!("result of a row: {text}"))?);
    }
    rows.sort();
    let table = table(&rows);
    println!("{table}");
    if write {
        fs::write(shell::root().join(TABLE), format!("{HEAD}{table}"))?;
    }
    ensure!(status.success(), "there are failures, see above");
    Ok(())
}

fn of_file(value: &Value) -> Option<Row> {
    Some(Row {
        number: value["row"].as_u64()?,
        fault: value["fault"].as_str()?.to_owned(),
        result: value["result"].as_str()?.to_owned(),
    })
}

/// The rows of the registry's own tests, whose names tell what they are about: `row_31_truncated_databases`.
fn of_registry(output: &str) -> Vec<Row> {
    // A test that is tried again has several lines; the last one counts.
    let mut rows = BTreeMap::new();
    for line in output.lines() {
        let Some((status, rest)) = line.trim_start().split_once(" [") else {
            continue;
        };
        let result = match status.trim() {
            "PASS" => "holds",
            "FAIL" | "TIMEOUT" | "SIGABRT" | "SIGSEGV" | "SIGBUS" => "FAILED",
            _ => continue,
        };
        let Some((_, name)) = rest.split_once("snakepit-registry::it ") else {
            continue;
        };
        let Some((_, name)) = name.rsplit_once("::row_") else {
            continue;
        };
        for number in numbers(name) {
            let fault = format!("registry: {}", title(name));
            rows.insert((number, fault), result);
        }
    }
    let row = |((number, fault), result): ((u64, String), &str)| Row {
        number,
        fault,
        result: result.to_owned(),
    };
    rows.into_iter().map(row).collect()
}

/// The numbers that a name begins with: `1_and_4_host_killed` has two.
fn numbers(name: &str) -> Vec<u64> {
    name.split('_')
        .take_while(|word| *word == "and" || word.parse::<u64>().is_ok())
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn title(name: &str) -> String {
    let mut words = name.split('_').peekable();
    while words
        .next_if(|word| *word == "and" || word.parse::<u64>().is_ok())
        .is_some()
    {}
    words.collect::<Vec<_>>().join(" ")
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| row | fault | result |\n|---|---|---|\n");
    for row in rows {
        let (fault, result) = (row.fault.replace('|', "/"), row.result.replace('|', "/"));
        let _ = writeln!(text, "| {} | {fault} | {result} |", row.number);
    }
    let numbers: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.number).collect();
    let count = |start: &str| {
        rows.iter()
            .filter(|row| row.result.starts_with(start))
            .count()
    };
    let (hold, skipped, failed) = (count("holds"), count("skipped"), count("FAILED"));
    let total = (rows.len(), numbers.len());
    let _ = writeln!(
        text,
        "\n{} tests of {} rows: {hold} hold, {skipped} skipped, {failed} failed",
        total.0, total.1
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_names() {
        let output = "        PASS [   0.123s] ( 1/30) snakepit-registry::it host::row_1_and_4_killed\n\
                      \x20       FAIL [   0.123s] ( 2/30) snakepit-registry::it damage::row_31_truncated\n\
                      \x20       PASS [   0.123s] ( 3/30) snakepit::faults host_death::row_02_busy\n";
        let rows = of_registry(output);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.number, row.fault.as_str(), row.result.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "registry: killed", "holds"),
                (4, "registry: killed", "holds"),
                (31, "registry: truncated", "FAILED"),
            ]
        );
        assert!(table(&rows).ends_with("3 tests of 3 rows: 2 hold, 0 skipped, 1 failed\n"));
    }
}
