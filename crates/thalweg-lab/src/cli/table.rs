//! Plain tables that align, and nothing more.

/// Rows of cells under a header.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: &[&str; N]) -> Self {
        Table { rows: vec![header.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table with columns as wide as their widest cell; columns of numbers align right.
    pub(super) fn render(&self) -> String {
        let width = |i: usize| self.rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let number = |cell: &str| {
            cell == "inf" || cell.chars().all(|c| c.is_ascii_digit() || " .,-+=%/∞".contains(c))
        };
        let numeric =
            |i: usize| self.rows.len() > 1 && self.rows[1..].iter().all(|r| number(&r[i]));
        let right: [bool; N] = std::array::from_fn(numeric);
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[i] - cell.chars().count());
                line += if i == 0 { "  " } else { "   " };
                line += &if right[i] { pad + cell } else { format!("{cell}{pad}") };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn words_align_left_and_numbers_right() {
        let mut table = Table::new(&["name", "n", "what"]);
        table.row(["a".to_owned(), "10 %".to_owned(), "8x8 pixels".to_owned()]);
        table.row(["long".to_owned(), "inf".to_owned(), "x".to_owned()]);
        let expected = "  name      n   what\n  a      10 %   8x8 pixels\n  long    inf   x\n";
        assert_eq!(table.render(), expected);
    }
}
