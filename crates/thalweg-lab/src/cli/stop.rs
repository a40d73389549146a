//! Ctrl-C.

use super::progress;
use crate::protocol::interrupt;

/// The exit code of a process that was ended in earnest, and of a comparison that was interrupted: 128
/// plus the number of SIGINT.
pub(super) const EXIT_CODE: u8 = 130;

/// Turns the first Ctrl-C (or SIGTERM) into a polite stop, the second into an impatient one, and lets the
/// third end the process. Runs that have ended are safe in every case.
pub(super) fn listen(quiet: bool) {
    let handler = move || {
        request();
        if !quiet && !progress::has_screen() {
            crate::cli::say!("\n{}", state().unwrap_or_default());
        }
    };
    // Without a handler Ctrl-C ends the process at once, which the store survives.
    let _ = ctrlc::set_handler(handler);
}

/// Turns the first Ctrl-C (or SIGTERM) into a polite stop, of which `stopping` tells, and lets the second end the
/// process: for work that is told and written when it ends.
pub(super) fn listen_once(quiet: bool, stopping: &'static str) {
    let handler = move || {
        if interrupt::request() > 1 {
            std::process::exit(i32::from(EXIT_CODE));
        }
        if !quiet {
            crate::cli::say!("\n{stopping}");
        }
    };
    // Without a handler Ctrl-C ends the process at once.
    let _ = ctrlc::set_handler(handler);
}

/// What a Ctrl-C does.
pub(super) fn request() {
    if interrupt::request() > 2 {
        progress::close_screen();
        std::process::exit(i32::from(EXIT_CODE));
    }
}

/// What the program is about to do because of a Ctrl-C.
pub(super) fn state() -> Option<&'static str> {
    match (interrupt::requested(), interrupt::abandoned()) {
        (_, true) => Some("giving up the runs in hand"),
        (true, _) => Some("stopping after the runs in hand; Ctrl-C again gives them up"),
        _ => None,
    }
}
