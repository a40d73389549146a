//! The `npm` client.

use std::path::{Path, PathBuf};

use super::{only, run};
use crate::Result;

pub(super) fn pack(package: &str, version: &str, directory: &Path) -> Result<PathBuf> {
    let specification = format!("{package}@{version}");
    let arguments = ["pack", &specification, "--loglevel=error", "--ignore-scripts"];
    run("npm", &arguments, &[], directory)?;
    only(directory, "npm", |name| name.ends_with(".tgz"))
}
