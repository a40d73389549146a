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

/// The text with each line in lines of at most `room` characters, whole where nothing has to fit. What goes on is
/// indented by two more.
pub(super) fn fitted(text: &str, room: Option<usize>) -> String {
    let Some(room) = room else { return text.to_owned() };
    let line = |line: &str| {
        let words = line.trim_start_matches(' ');
        let indent = line.len() - words.len();
        if line.chars().count() <= room {
            return line.to_owned();
        }
        let lines = wrapped(words, room.saturating_sub(indent + 2));
        " ".repeat(indent) + &lines.replace('\n', &format!("\n{}", " ".repeat(indent + 2)))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
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
        self.columns(&[true; N], &self.widths())
    }

    /// The table in `room` characters with the names of the columns left out, the whole of it where nothing has to
    /// fit.
    pub(super) fn fitted(&self, room: Option<usize>, importance: &[usize; N]) -> String {
        let Some(room) = room else { return self.render() };
        match self.render_within(room, importance) {
            (text, left_out) if left_out.is_empty() => text,
            (text, left_out) => {
                let names = left_out.join(", ");
                let note = format!("left out for want of room: {names} (--json has all)\n");
                text + &fitted(&note, Some(room))
            }
        }
    }

    /// The table in `room` characters: columns enter in the order of `importance` while they have room, the
    /// first in any case; for that, cells of many words are broken at blanks. Returns the names of those left out
    /// as well.
    pub(super) fn render_within(
        &self,
        room: usize,
        importance: &[usize; N],
    ) -> (String, Vec<String>) {
        let (mut shown, mut widths, narrow) = ([false; N], self.widths(), self.narrow());
        for (i, column) in importance.iter().enumerate() {
            shown[*column] = true;
            shown[*column] = i == 0 || Self::sum(&shown, &narrow) <= room;
        }
        while Self::sum(&shown, &widths) > room {
            let wide = (0..N).filter(|i| shown[*i] && widths[*i] > narrow[*i]);
            let Some(widest) = wide.max_by_key(|i| widths[*i]) else { break };
            widths[widest] -= 1;
        }
        let left_out = (0..N).filter(|i| !shown[*i]).map(|i| self.rows[0][i].clone());
        (self.columns(&shown, &widths), left_out.collect())
    }

    /// The characters of the widest line.
    pub(super) fn width(&self) -> usize {
        Self::sum(&[true; N], &self.widths())
    }

    /// The characters of a line with these columns.
    fn sum(shown: &[bool; N], widths: &[usize; N]) -> usize {
        let widths = (0..N).filter(|i| shown[*i]).map(|i| widths[i]);
        widths.map(|w| w + GAP).sum::<usize>().saturating_sub(GAP - MARGIN)
    }

    /// The characters of the widest cell of each column.
    fn widths(&self) -> [usize; N] {
        std::array::from_fn(|i| self.rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0))
    }

    /// The characters into which the cells of each column can be broken.
    fn narrow(&self) -> [usize; N] {
        let widths = self.widths();
        std::array::from_fn(|i| {
            let words = self.rows.iter().flat_map(|r| r[i].split(' '));
            let longest = words.map(|word| word.chars().count()).max().unwrap_or(0);
            widths[i].min(longest.max(WORDS))
        })
    }

    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().skip(1).map(|r| &r[column]).peekable();
        cells.peek().is_some() && cells.all(|cell| is_number(cell))
    }

    fn columns(&self, shown: &[bool; N], widths: &[usize; N]) -> String {
        let columns: Vec<(usize, bool)> =
            (0..N).filter(|i| shown[*i]).map(|i| (i, self.is_numeric(i))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: [String; N] = std::array::from_fn(|i| match row[i].chars().count() {
                width if width <= widths[i] => row[i].clone(),
                _ => wrapped(&row[i], widths[i]),
            });
            let height = columns.iter().map(|(i, _)| cells[*i].lines().count()).max().unwrap_or(0);
            for k in 0..height {
                let mut line = String::new();
                for (place, (i, right)) in columns.iter().enumerate() {
                    let cell = cells[*i].lines().nth(k).unwrap_or("");
                    let pad = " ".repeat(widths[*i].saturating_sub(cell.chars().count()));
                    line += &" ".repeat(if place == 0 { MARGIN } else { GAP });
                    line += &if *right { pad + cell } else { format!("{cell}{pad}") };
                }
                text += line.trim_end();
                text.push('\n');
            }
        }
        text
    }
}

/// Blanks before the first column, and before each other one.
const MARGIN: usize = 2;
const GAP: usize = 3;

/// The characters below which no column is broken into lines.
const WORDS: usize = 24;

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
    fn cells_of_many_words_are_broken_before_columns_are_left_out() {
        let mut table = Table::new(&["name", "what", "n"]);
        let words = "the motion of a damped spring from 200 noisy measurements";
        table.row(["springs".to_owned(), words.to_owned(), "7".to_owned()]);
        let text = table.fitted(Some(50), &[0, 1, 2]);
        assert_eq!(
            text,
            "  name      what                                 n\n  \
             springs   the motion of a damped spring from   7\n            200 noisy measurements\n"
        );
        let text = table.fitted(Some(38), &[0, 1, 2]);
        assert!(text.ends_with("left out for want of room: n (--json\n  has all)\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 38), "{text}");
        assert_eq!(table.fitted(None, &[0, 1, 2]), table.render());
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(fitted("a\n  one two three\n", Some(11)), "a\n  one two\n    three\n");
        assert_eq!(fitted("  one two three", None), "  one two three");
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one two three", 20), "one two three");
        assert_eq!(wrapped("incomprehensible two", 5), "incomprehensible\ntwo");
    }
}
