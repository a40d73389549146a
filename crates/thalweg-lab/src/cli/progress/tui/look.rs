//! Colours of the screen: those of the report, as far as the terminal has them.

use ratatui::style::{Color, Modifier, Style};

use crate::report::series;

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// None, or none are wanted.
    Plain,
    /// The 256 of xterm.
    Indexed,
    /// All.
    Full,
}

impl Look {
    /// What this terminal has, if colours are wanted.
    pub(super) fn of_terminal(colours: bool) -> Self {
        let full = |value: String| value == "truecolor" || value == "24bit";
        match (colours, std::env::var("COLORTERM").is_ok_and(full)) {
            (false, _) => Look::Plain,
            (true, true) => Look::Full,
            (true, false) => Look::Indexed,
        }
    }

    /// The colour of the optimizer of that number.
    ///
    /// The report's light colours stand out from white and from black, and nobody can say which of them
    /// the terminal has; its ink does not, and becomes the colour of the terminal's text.
    pub(super) fn series(self, number: usize) -> Color {
        match (self, series(number)) {
            (Look::Plain, _) | (_, None) => Color::Reset,
            (Look::Indexed, Some(rgb)) => Color::Indexed(nearest(rgb)),
            (Look::Full, Some([r, g, b])) => Color::Rgb(r, g, b),
        }
    }

    /// What is there but not to be looked at first.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Something is wrong.
    pub(super) fn bad(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self == Look::Plain { style } else { style.fg(Color::Red) }
    }
}

/// The nearest colour of xterm's cube of 6 × 6 × 6.
fn nearest(rgb: [u8; 3]) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let level = |value: u8| (0..6).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(value));
    let [r, g, b] = rgb.map(|value| level(value).unwrap_or(0));
    16 + 36 * r + 6 * g + b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_report_as_far_as_there_are_any() {
        assert_eq!(Look::Full.series(0), Color::Rgb(0x00, 0x72, 0xb2));
        assert_eq!(Look::Indexed.series(0), Color::Indexed(25));
        assert_eq!(Look::Plain.series(0), Color::Reset);
        assert_eq!(Look::Full.series(6), Color::Reset);
        assert_eq!(Look::Full.series(7), Look::Full.series(0));
        assert_eq!([nearest([0, 0, 0]), nearest([255, 255, 255])], [16, 231]);
    }
}
