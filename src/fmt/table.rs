//! Tables of text.

use std::fmt;

use super::line;

/// A table with aligned columns. Each row is one line, whatever its cells contain.
pub(crate) struct Table<const COLUMNS: usize> {
    heads: [Column; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

/// The head of a column. Words align left, numbers right.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    Words(&'static str),
    Numbers(&'static str),
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(
        heads: [Column; COLUMNS],
        rows: impl IntoIterator<Item = [String; COLUMNS]>,
    ) -> Self {
        let rows = rows
            .into_iter()
            .map(|row| row.map(|cell| line(&cell)))
            .collect();
        Self { heads, rows }
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    /// Writes a line with the heads and one per row, without a final line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.heads.map(|head| head.text().to_owned());
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            lines()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        for (number, row) in lines().enumerate() {
            let cells = row.iter().zip(self.heads).zip(widths);
            let cells: Vec<String> = cells
                .map(|((cell, head), width)| match head {
                    Column::Words(_) => format!("{cell:<width$}"),
                    Column::Numbers(_) => format!("{cell:>width$}"),
                })
                .collect();
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

impl Column {
    fn text(self) -> &'static str {
        match self {
            Self::Words(text) | Self::Numbers(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_no_cell_breaks_a_line() {
        let heads = [
            Column::Words("id"),
            Column::Numbers("rows"),
            Column::Words("why"),
        ];
        let long = "ä".repeat(200);
        let rows = [["a\nb", "1", "-"], ["c", "12,345", &long]];

        let table = Table::new(heads, rows.map(|row| row.map(str::to_owned))).to_string();

        let expected = format!(
            "id      rows  why\na\\nb       1  -\nc     12,345  {}..",
            "ä".repeat(120)
        );
        assert_eq!(table, expected);
        let empty = Table::new(heads, []).to_string();
        assert_eq!(empty, "id  rows  why");
    }
}
