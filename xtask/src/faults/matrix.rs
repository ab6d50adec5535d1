//! The rows that the fault matrix must have, so that a missing test is noticed.

use super::rows::Row;

/// Numbers of the rows; each has a test.
const ROWS: &[u64] = &[
    1, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 19, 20, 21, 23, 24, 25, 26, 27, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 53, 55, 57, 58, 61,
    62, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 76, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88,
    89, 90,
];

/// Lines for the rows of the matrix that are not among these.
pub(super) fn missing(rows: &[Row]) -> Vec<Row> {
    let has = |number: u64| rows.iter().any(|row| row.number == number);
    let missing = ROWS.iter().filter(|number| !has(**number));
    missing
        .map(|number| Row {
            number: *number,
            fault: "row of the matrix".to_owned(),
            result: "FAILED: its test did not run".to_owned(),
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
        let mut rows: Vec<Row> = ROWS.iter().copied().map(row).collect();
        assert_eq!(missing(&rows), []);
        rows.retain(|row| row.number != 6 && row.number != 90);
        let missing: Vec<_> = missing(&rows).into_iter().map(|row| row.number).collect();
        assert_eq!(missing, [6, 90]);
    }
}
