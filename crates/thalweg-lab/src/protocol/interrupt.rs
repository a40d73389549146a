//! A polite stop: what the first and second Ctrl-C ask for.

use std::sync::atomic::{AtomicU8, Ordering};

static REQUESTS: AtomicU8 = AtomicU8::new(0);

/// Asks to stop: once, and no new run starts; twice, and the runs in hand are given up after their
/// present step. Returns how often it has been asked.
pub fn request() -> u8 {
    REQUESTS.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// Whether no new run may start.
pub fn requested() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 0
}

/// Whether runs in hand are to be given up.
pub fn abandoned() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 1
}
