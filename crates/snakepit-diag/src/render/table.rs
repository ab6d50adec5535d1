//! Columns of text.

use std::fmt::Write as _;

use snakepit_core::Printable;

/// A table of `N` columns, each as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Creates a table with a line of titles.
    pub fn new(titles: [&str; N]) -> Self {
        Self {
            rows: vec![titles.map(str::to_owned)],
        }
    }

    /// Adds a row. Cells may be any text: what a terminal would act on is escaped.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.map(|cell| Printable(&cell).to_text().replace('\t', "\\t")));
    }

    /// Lays it out, each line after an indentation; without a line break at the end. Titles are dim where there are colours.
    pub fn render(&self, indentation: &str, colour: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut lines = Vec::with_capacity(self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = indentation.to_owned();
            for (cell, width) in row.iter().zip(widths) {
                // Writing to a `String` cannot fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            let line = line.trim_end();
            lines.push(match (index, colour) {
                (0, true) => format!("\x1b[2m{line}\x1b[0m"),
                _ => line.to_owned(),
            });
        }
        lines.join("\n")
    }
}
