//! Ctrl-C.

use crate::protocol::interrupt;

/// The exit code of a process that was ended in earnest, and of a comparison that was interrupted: 128
/// plus the number of SIGINT.
pub(super) const EXIT_CODE: u8 = 130;

/// Turns the first Ctrl-C (or SIGTERM) into a polite stop, the second into an impatient one, and lets the
/// third end the process. Runs that have ended are safe in every case.
pub(super) fn listen(quiet: bool) {
    let handler = move || {
        let word = match interrupt::request() {
            1 => "stopping after the runs in hand; Ctrl-C again gives them up",
            2 => "giving up the runs in hand",
            _ => std::process::exit(i32::from(EXIT_CODE)),
        };
        if !quiet {
            eprintln!("\n{word}");
        }
    };
    // Without a handler Ctrl-C ends the process at once, which the store survives.
    let _ = ctrlc::set_handler(handler);
}
