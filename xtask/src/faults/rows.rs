//! The lines of the table: read from files and from the names of tests, and written as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// One line of the table: the fault and the observation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) fault: String,
    pub(super) result: String,
}

impl Row {
    /// Reads the result file of a row.
    pub(super) fn of_file(value: &Value) -> Option<Self> {
        Some(Self {
            number: value["row"].as_u64()?,
            fault: value["fault"].as_str()?.to_owned(),
            result: value["result"].as_str()?.to_owned(),
        })
    }
}

/// Suites whose tests write no result: the text before a test's name in the output, and the label
/// of its rows.
const NAMED: [(&str, &str); 2] = [
    ("snakepit-registry::it ", "registry"),
    ("snakepit-grpc::grpcio ", "grpc"),
];

/// Reads rows from the names of tests, such as `row_31_truncated_databases`.
///
/// `skips` has the tests that cannot run here, with the reasons.
pub(super) fn of_names(output: &str, skips: &BTreeMap<String, String>) -> Vec<Row> {
    // A retried test has several lines; the last one counts.
    let mut rows = BTreeMap::new();
    for line in output.lines() {
        let Some((status, rest)) = line.trim_start().split_once(" [") else {
            continue;
        };
        let result = match status.trim() {
            "PASS" => "holds".to_owned(),
            "FAIL" | "TIMEOUT" | "SIGABRT" | "SIGSEGV" | "SIGBUS" => "FAILED".to_owned(),
            _ => continue,
        };
        let mut suites = NAMED.iter();
        let found = suites.find_map(|(suite, label)| Some((label, rest.split_once(suite)?.1)));
        let Some((label, name)) = found else {
            continue;
        };
        let result = match skips.get(name) {
            Some(why) if result == "holds" => format!("skipped: {why}"),
            _ => result,
        };
        let own = name.rsplit_once("::").map_or(name, |(_, own)| own);
        let Some(name) = own.strip_prefix("row_") else {
            continue;
        };
        for number in numbers(name) {
            let fault = format!("{label}: {}", title(name));
            rows.insert((number, fault), result.clone());
        }
    }
    let row = |((number, fault), result): ((u64, String), String)| Row {
        number,
        fault,
        result,
    };
    rows.into_iter().map(row).collect()
}

/// Returns the numbers at the beginning of a name: `1_and_4_host_killed` has two.
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

pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| row | fault | result |\n|---|---|---|\n");
    for row in rows {
        let (fault, result) = (row.fault.replace('|', "/"), row.result.replace('|', "/"));
        let _ = writeln!(text, "| {} | {fault} | {result} |", row.number);
    }
    let numbers: BTreeSet<u64> = rows.iter().map(|row| row.number).collect();
    let count = |start: &str| {
        rows.iter()
            .filter(|row| row.result.starts_with(start))
            .count()
    };
    let (hold, skipped, failed) = (count("holds"), count("skipped"), count("FAILED"));
    let _ = writeln!(
        text,
        "\n{} tests of {} rows: {hold} hold, {skipped} skipped, {failed} failed",
        rows.len(),
        numbers.len()
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
                      \x20       PASS [   0.123s] ( 3/30) snakepit::faults host_death::row_02_busy\n\
                      \x20       PASS [   0.123s] ( 4/30) snakepit-grpc::grpcio row_83_client\n";
        let rows = of_names(output, &BTreeMap::new());
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
                (83, "grpc: client", "holds"),
            ]
        );
        assert!(table(&rows).ends_with("4 tests of 4 rows: 3 hold, 0 skipped, 1 failed\n"));
    }

    #[test]
    fn a_test_that_skips_itself_does_not_hold() {
        let output =
            "        PASS [   0.123s] ( 1/30) snakepit-registry::it reuse::row_19_a_stranger\n";
        let skips = BTreeMap::from([("reuse::row_19_a_stranger".to_owned(), "why".to_owned())]);
        let rows = of_names(output, &skips);
        assert_eq!(rows[0].result, "skipped: why");
    }
}
