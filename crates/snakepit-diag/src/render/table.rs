//! Columns of text.

use snakepit_core::printable::Printable;

/// Spaces between two columns.
const GAP: usize = 2;

/// A table of `N` columns, each as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Creates a table with a header line.
    pub fn new(titles: [&str; N]) -> Self {
        Self {
            rows: vec![titles.map(str::to_owned)],
        }
    }

    /// Adds a row. Control characters in the cells are escaped.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.map(|cell| Printable(&cell).to_text().replace('\t', "\\t")));
    }

    /// Lays out the table, without a line break at the end. Each line begins with `indentation`.
    /// With `colour` the header is dim.
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
                // A width in a format must fit in 16 bits, which a text of a host may exceed.
                let padding = width - cell.chars().count() + GAP;
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', padding));
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
