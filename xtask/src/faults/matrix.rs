//! The rows of the fault matrix, so that one without a test is not forgotten.

use super::rows::{NOT_BUILT, Row};

/// Number, fault, and the feature that its test waits for.
const WAITING: &[(u64, &str, &str)] = &[
    (
        6,
        "host and shim SIGKILL together",
        "containment by a shim or a namespace",
    ),
    (14, "second SIGTERM in drain", "signal handling"),
    (
        53,
        "worker SIGKILL during a tool's call back",
        "calls from tools to the host",
    ),
    (
        68,
        "shutdown during calls back",
        "calls from tools to the host",
    ),
    (83, "Python client at the gRPC socket", "gRPC server"),
    (84, "10 min idle with keepalive", "gRPC server"),
];

/// Numbers of the other rows; each has a test.
const BUILT: &[u64] = &[
    1, 4, 5, 7, 8, 9, 10, 13, 15, 16, 17, 19, 20, 21, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34,
    35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 55, 57, 58, 61, 62, 64, 65,
    66, 67, 69, 70, 71, 72, 73, 74, 76, 78, 79, 80, 81, 82, 85, 86, 87, 88, 89, 90,
];

/// Lines for the rows of the matrix that are not among these.
pub(super) fn not_built(rows: &[Row]) -> Vec<Row> {
    let has = |number: u64| rows.iter().any(|row| row.number == number);
    let waiting = WAITING
        .iter()
        .map(|(number, fault, feature)| (*number, *fault, format!("{NOT_BUILT}: {feature}")));
    let lost = BUILT.iter().map(|number| {
        let result = "FAILED: its test did not run".to_owned();
        (*number, "row of the matrix", result)
    });
    waiting
        .chain(lost)
        .filter(|(number, ..)| !has(*number))
        .map(|(number, fault, result)| Row {
            number,
            fault: fault.to_owned(),
            result,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_is_listed() {
        let row = |number| Row {
            number,
            fault: String::new(),
            result: "holds".to_owned(),
        };
        let all = BUILT
            .iter()
            .chain(WAITING.iter().map(|(number, ..)| number));
        let mut rows: Vec<Row> = all.copied().map(row).collect();
        assert_eq!(not_built(&rows), []);
        rows.retain(|row| row.number != 6 && row.number != 90);
        let missing: Vec<_> = not_built(&rows).into_iter().map(|row| row.number).collect();
        assert_eq!(missing, [6, 90]);
    }
}
