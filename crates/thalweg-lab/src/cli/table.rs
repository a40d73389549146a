//! Plain tables that align, as wide as the terminal at most.

/// The width of the terminal that stdout is; `None` if it is none, and nothing has to fit.
pub(super) fn room() -> Option<usize> {
    let terminal = console::Term::stdout();
    let size = terminal.is_term().then(|| terminal.size_checked()).flatten();
    size.map(|(_, width)| usize::from(width)).filter(|width| *width > 0)
}

/// The text in lines of at most `room` characters, broken at blanks.
pub(super) fn wrapped(text: &str, room: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if used > 0 && used + 1 + width > room {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines += word;
        used += width;
    }
    lines
}

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
        self.columns(&[true; N])
    }

    /// The table in `room` characters: columns enter in the order of `importance` while they have room, the
    /// first in any case. Returns the names of those left out as well.
    pub(super) fn render_within(
        &self,
        room: usize,
        importance: &[usize; N],
    ) -> (String, Vec<String>) {
        let mut shown = [false; N];
        for (i, column) in importance.iter().enumerate() {
            shown[*column] = true;
            shown[*column] = i == 0 || self.width(&shown) <= room;
        }
        let left_out = (0..N).filter(|i| !shown[*i]).map(|i| self.rows[0][i].clone());
        (self.columns(&shown), left_out.collect())
    }

    /// The characters of the widest line that these columns can make.
    pub(super) fn width(&self, shown: &[bool; N]) -> usize {
        let widths = (0..N).filter(|i| shown[*i]).map(|i| self.widest(i));
        widths.map(|w| w + GAP).sum::<usize>().saturating_sub(GAP - MARGIN)
    }

    fn widest(&self, column: usize) -> usize {
        self.rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0)
    }

    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().skip(1).map(|r| &r[column]).peekable();
        cells.peek().is_some() && cells.all(|cell| is_number(cell))
    }

    fn columns(&self, shown: &[bool; N]) -> String {
        let columns: Vec<(usize, usize, bool)> =
            (0..N).filter(|i| shown[*i]).map(|i| (i, self.widest(i), self.is_numeric(i))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (place, (i, width, right)) in columns.iter().enumerate() {
                let cell = &row[*i];
                let pad = " ".repeat(width - cell.chars().count());
                line += &" ".repeat(if place == 0 { MARGIN } else { GAP });
                line += &if *right { pad + cell } else { format!("{cell}{pad}") };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Blanks before the first column, and before each other one.
const MARGIN: usize = 2;
const GAP: usize = 3;

/// Whether a cell holds numbers: `1.20e-5`, `3/15`, `0.1 .. 0.2`, `-` for none.
fn is_number(cell: &str) -> bool {
    let figures = |c: char| c.is_ascii_digit() || " .,-+=%/∞×".contains(c);
    // An `e` belongs to a number after a digit only.
    let power = |(i, _): (usize, &str)| cell[..i].ends_with(|c: char| c.is_ascii_digit());
    cell == "inf"
        || cell.chars().all(|c| figures(c) || c == 'e') && cell.match_indices('e').all(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_align_left_and_numbers_right() {
        let mut table = Table::new(&["name", "n", "what"]);
        table.row(["a".to_owned(), "10 %".to_owned(), "8x8 pixels".to_owned()]);
        table.row(["long".to_owned(), "inf".to_owned(), "x".to_owned()]);
        let expected = "  name      n   what\n  a      10 %   8x8 pixels\n  long    inf   x\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn powers_of_ten_are_numbers_and_words_are_not() {
        for number in ["1.20e-5", "-", "inf", "3/15", "× 0.5 .. 0.6"] {
            assert!(is_number(number), "{number}");
        }
        for word in ["e", "may be", "1.0 %!", "see", "× e5"] {
            assert!(!is_number(word), "{word}");
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_by_its_importance() {
        let mut table = Table::new(&["name", "n", "what"]);
        table.row(["a".to_owned(), "10 %".to_owned(), "8x8 pixels".to_owned()]);
        let within = |room| table.render_within(room, &[0, 2, 1]);
        assert_eq!(within(26), (table.render(), Vec::new()));
        assert_eq!(table.render().lines().last().map(|l| l.chars().count()), Some(26));
        let (text, left_out) = within(25);
        assert_eq!((&*text, left_out), ("  name   what\n  a      8x8 pixels\n", vec!["n".into()]));
        // The second column has room where the third has none.
        assert_eq!(within(18).0, "  name      n\n  a      10 %\n");
        assert_eq!(within(0), ("  name\n  a\n".into(), vec!["n".into(), "what".into()]));
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one two three", 20), "one two three");
        assert_eq!(wrapped("incomprehensible two", 5), "incomprehensible\ntwo");
    }
}
