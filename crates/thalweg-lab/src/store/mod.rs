//! What was measured, as data: the outcome with everything needed to judge and repeat it.
//!
//! [`Database`] keeps every run, point by point, as it ends; [`Document`] is the outcome computed from
//! them, as JSON.

mod database;
pub mod export;
mod kept;
mod manifest;
mod number;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

pub(crate) use database::first_difference;
pub use database::{Database, FILE, Facts};
pub use kept::{Cell, Kept};
pub use manifest::Manifest;
pub(crate) use manifest::{
    command_line, data_key, facts, notes, optimum_key, program_sha256, threads,
};

use crate::protocol::Outcome;
use crate::{Error, Result, files};

/// The version of the document's layout.
pub const LAYOUT: u32 = 1;

/// A comparison and the circumstances of its making.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// The version of this layout.
    pub layout: u32,
    /// Versions, machine and time.
    pub manifest: Manifest,
    /// The results. A loss that is infinite (a divergence) is `null`.
    pub outcome: Outcome,
}

impl Document {
    /// The document of an outcome.
    pub fn new(outcome: Outcome, command: Vec<String>, seconds: f64) -> Self {
        Document { layout: LAYOUT, manifest: Manifest::new(command, seconds), outcome }
    }

    /// The document as JSON.
    pub fn to_json(&self) -> Result<String> {
        json(self)
    }
}

/// Anything as JSON, on one line.
///
/// # Errors
/// None that a user can cause.
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|e| {
        Error::failed(format!("cannot write the results as JSON: {e}"), "please report this defect")
    })
}

/// Writes `text` to `directory/name`, making the directory if needed. What stood there stays whole until the new
/// file is.
pub fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    if directory.is_file() {
        return Err(Error::usage(
            format!("{} is a file, and results need a directory", directory.display()),
            "give --out a directory; it is made if there is none",
        ));
    }
    let path = directory.join(name);
    let written =
        std::fs::create_dir_all(directory).and_then(|()| files::replace(&path, text.as_bytes()));
    written.map_err(|e| {
        let problem = format!("cannot write {}: {e}", path.display());
        Error::failed(problem, files::remedy(&e, "--out"))
    })
}

/// Checks that results can be written to `directory` before hours are spent on making them.
pub fn prepare(directory: &Path) -> Result<()> {
    let probe = ".thalweg-write-test";
    write(directory, probe, "")?;
    // A probe that stays behind does no harm, and the check has done its work.
    let _ = std::fs::remove_file(directory.join(probe));
    Ok(())
}
