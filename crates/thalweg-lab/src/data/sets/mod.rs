//! The data sets: how each is made from the files of its package, and what it gives to tasks.

pub(super) mod cifar;
pub(super) mod digits;
mod idx;
pub(super) mod images;
pub(super) mod mnist;
pub(super) mod ratings;
pub(super) mod reviews;
pub(super) mod texts;

use super::cache::sha256;
use super::fetch::Member;
use crate::{Error, Result};

/// The member whose path ends with `end`.
fn member<'a>(members: &'a [Member], end: &str) -> std::result::Result<&'a Member, String> {
    let found = members.iter().find(|m| m.path.ends_with(end));
    found.ok_or_else(|| format!("it has no file {end}"))
}

/// Refuses bytes with another SHA-256.
fn expect(what: &str, bytes: &[u8], expected: &str) -> std::result::Result<(), String> {
    match sha256(bytes) {
        found if found == expected => Ok(()),
        found => Err(format!("the SHA-256 of {what} is {found}, expected {expected}")),
    }
}

/// The SHA-256 of data inside the program.
///
/// # Errors
/// If it is another one than `expected`.
fn intact(what: &str, bytes: &[u8], expected: &str) -> Result<String> {
    let damaged = |why| {
        let problem = format!("{what} inside the program are damaged: {why}");
        Error::failed(problem, "install or build the program again")
    };
    expect(what, bytes, expected).map(|()| expected.to_owned()).map_err(damaged)
}
