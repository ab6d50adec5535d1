//! Rows as an aligned table.

use std::fmt::Write as _;

use crate::row::Row;

const HEADS: [&str; 9] = [
    "bench",
    "case",
    "metric",
    "unit",
    "value",
    "floor",
    "ratio",
    "floor min-max",
    "peers",
];

/// Renders the table as text, one line for each row, columns aligned; requirements are at the end
/// of their line.
pub(crate) fn render(rows: &[Row]) -> String {
    let cells: Vec<[String; 9]> = rows.iter().map(cells).collect();
    let mut widths = HEADS.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    line(&mut text, &HEADS.map(str::to_owned), &widths, "");
    for (row, cells) in rows.iter().zip(&cells) {
        let mut results = String::new();
        for result in &row.targets {
            let word = if result.met { "ok" } else { "MISSED" };
            let _ = write!(results, "  [{word}: {}]", result.target);
        }
        line(&mut text, cells, &widths, &results);
    }
    text
}

fn line(text: &mut String, cells: &[String; 9], widths: &[usize; 9], tail: &str) {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = if column == 0 { "" } else { "  " };
        // Numbers are aligned to the right, names to the left.
        let _ = match column {
            4..=6 => write!(line, "{gap}{cell:>width$}"),
            _ => write!(line, "{gap}{cell:<width$}"),
        };
    }
    text.push_str(line.trim_end());
    text.push_str(tail);
    text.push('\n');
}

fn cells(row: &Row) -> [String; 9] {
    let ratio = |name: &str| {
        row.peer_ratios
            .get(name)
            .copied()
            .map(times)
            .unwrap_or_default()
    };
    let peers: Vec<_> = row
        .peers
        .iter()
        .map(|(name, value)| format!("{name} {} {}", number(*value), ratio(name)))
        .collect();
    [
        row.bench.to_owned(),
        row.case.clone(),
        row.metric.to_owned(),
        row.unit.to_owned(),
        number(row.value),
        row.floor.map(number).unwrap_or_default(),
        row.ratio.map(times).unwrap_or_default(),
        row.noise
            .map(|[a, b]| format!("{}-{}", number(a), number(b)))
            .unwrap_or_default(),
        peers.join(", "),
    ]
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// Formats about three significant digits, thousands with a `k`, millions with an `M`.
fn number(value: f64) -> String {
    let (value, suffix) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::{number, render};
    use crate::row::{Row, Target};

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.1234, "0.123"),
            (4.567, "4.57"),
            (43.21, "43.2"),
            (980.0, "980"),
        ];
        for (value, text) in cases
            .into_iter()
            .chain([(23456.0, "23.5k"), (1.5e6, "1.50M")])
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_line_up_and_targets_stand_at_the_end() {
        let row = |case: &str, value| Row::of("many", case, ("rate", "1/s"), value);
        let text = render(&[
            row("a", 5.0),
            row("long case", 250_000.0).target(Target::AtLeast(200e3)),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let column = lines[0].find("metric").unwrap();
        assert!(
            lines[1..]
                .iter()
                .all(|line| line[column..].starts_with("rate"))
        );
        assert!(lines[2].ends_with("[ok: >= 200000]"), "{}", lines[2]);
    }
}
