//! Progress on stderr: a live screen, a bar per optimizer, or plain lines.

mod lines;
mod tally;
#[cfg(feature = "tui")]
mod tui;

use crate::protocol::{Observer, Plan};
use crate::{Error, Result};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Not at all.
    Silent,
    /// Bars on a terminal, lines elsewhere.
    Lines,
    /// Curves that fill the terminal.
    Screen,
}

impl How {
    /// What the flags ask for.
    ///
    /// # Errors
    /// If they ask for a screen and the program was built without one.
    pub(super) fn of(tui: bool, quiet: bool) -> Result<Self> {
        match (tui, quiet) {
            (true, _) if cfg!(not(feature = "tui")) => Err(Error::usage(
                "--tui is not part of this program: it was built without the feature `tui`",
                "build it with the feature, `cargo run --release --features tui -- compare --tui`, or \
                 leave --tui out",
            )),
            (true, _) => Ok(How::Screen),
            (_, true) => Ok(How::Silent),
            _ => Ok(How::Lines),
        }
    }
}

/// Shows the progress of `work` while it runs.
pub(super) fn watch<R>(plan: &Plan, how: How, work: impl FnOnce(&dyn Observer) -> R) -> R {
    #[cfg(feature = "tui")]
    if how == How::Screen {
        match tui::Screen::open() {
            Ok(screen) => return tui::watch(screen, plan, work),
            Err(problem) => crate::cli::say!("{problem}: plain progress in place of --tui"),
        }
    }
    let lines = lines::Lines::new(plan, how == How::Silent);
    let result = work(&lines);
    lines.close();
    result
}

/// Whether a screen has the terminal to itself, so that nothing else may be written there.
pub(super) fn has_screen() -> bool {
    #[cfg(feature = "tui")]
    {
        tui::Screen::is_open()
    }
    #[cfg(not(feature = "tui"))]
    {
        false
    }
}

/// Gives the terminal back, if a screen has it.
pub(super) fn close_screen() {
    #[cfg(feature = "tui")]
    tui::Screen::close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_was_not_built_is_refused_with_the_command_that_has_it() {
        assert_eq!(How::of(false, true).unwrap(), How::Silent);
        assert_eq!(How::of(false, false).unwrap(), How::Lines);
        match How::of(true, false) {
            Ok(how) => assert!(how == How::Screen && cfg!(feature = "tui")),
            Err(error) => {
                assert!(cfg!(not(feature = "tui")) && error.exit_code() == 2);
                assert!(error.fix().contains("--features tui"), "{error}");
            }
        }
    }
}
