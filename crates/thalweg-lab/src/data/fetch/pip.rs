//! The `pip` client of Python.

use std::path::{Path, PathBuf};

use super::{only, run};
use crate::{Error, Result};

pub(super) fn download(package: &str, version: &str, directory: &Path) -> Result<PathBuf> {
    let constraints = directory.join("constraints.txt");
    // Old packages ask for a module that setuptools has since dropped. Older versions of pip read the
    // first setting, newer ones the second; each ignores the other.
    std::fs::write(&constraints, "setuptools<80\n").map_err(|e| {
        Error::failed(
            format!("cannot write {}: {e}", constraints.display()),
            "free some space, or set THALWEG_CACHE to another directory",
        )
    })?;
    let constraints = constraints.display().to_string();
    let settings = [("PIP_CONSTRAINT", &*constraints), ("PIP_BUILD_CONSTRAINT", &*constraints)];
    let specification = format!("{package}=={version}");
    let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", &specification];
    run("python3", &arguments, &settings, directory)?;
    only(directory, "pip", |name| name.ends_with(".whl") || name.ends_with(".tar.gz"))
}
