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

/// The member whose path ends with `end`.
fn member<'a>(members: &'a [Member], end: &str) -> Result<&'a Member, String> {
    let found = members.iter().find(|m| m.path.ends_with(end));
    found.ok_or_else(|| format!("it has no file {end}"))
}

/// Refuses bytes with another SHA-256.
fn expect(what: &str, bytes: &[u8], expected: &str) -> Result<(), String> {
    match sha256(bytes) {
        found if found == expected => Ok(()),
        found => Err(format!("the SHA-256 of {what} is {found}, expected {expected}")),
    }
}
