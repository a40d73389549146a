//! The package client of Debian.

use std::path::{Path, PathBuf};

use super::{only, run};
use crate::Result;

pub(super) fn download(package: &str, version: &str, directory: &Path) -> Result<PathBuf> {
    let specification = format!("{package}={version}");
    run("apt-get", &["download", &specification], &[], directory)?;
    only(directory, "apt-get", |name| name.ends_with(".deb"))
}
