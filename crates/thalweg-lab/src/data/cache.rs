//! The cache directory.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, Result, files};

/// The directory that fetched data is kept in.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$THALWEG_CACHE`, else `$XDG_CACHE_HOME/thalweg`, else `$HOME/.cache/thalweg`.
    pub fn open() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let root = match (variable("THALWEG_CACHE"), variable("XDG_CACHE_HOME"), variable("HOME")) {
            (Some(root), _, _) => PathBuf::from(root),
            (_, Some(base), _) => PathBuf::from(base).join("thalweg"),
            (_, _, Some(home)) => PathBuf::from(home).join(".cache/thalweg"),
            _ => {
                return Err(Error::failed(
                    "no cache directory is known: neither HOME nor XDG_CACHE_HOME is set",
                    "set THALWEG_CACHE to a directory for data sets",
                ));
            }
        };
        // The clients that fetch data sets run in directories of their own.
        Ok(Cache { root: std::path::absolute(&root).unwrap_or(root) })
    }

    /// A cache in the given directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Cache { root: root.into() }
    }

    /// The path of a file in the cache.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Creates the directory.
    pub fn create(&self) -> Result<&Path> {
        fs::create_dir_all(&self.root).map_err(|e| {
            Error::failed(
                format!("cannot create the cache directory {}: {e}", self.root.display()),
                "set THALWEG_CACHE to a directory you may write to",
            )
        })?;
        Ok(&self.root)
    }

    /// The files whose name starts with `prefix` and ends with `suffix`, as what is between, sorted.
    pub fn names(&self, prefix: &str, suffix: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|e| e.file_name().into_string().ok())
            .filter_map(|n| Some(n.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Writes a file so that an interrupted write never leaves half of it under its name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.create()?.join(name);
        files::replace(&path, bytes).map_err(|e| {
            Error::failed(
                format!("cannot write {}: {e}", path.display()),
                "free some space, or set THALWEG_CACHE to another directory",
            )
        })
    }
}

/// The lower-case hexadecimal SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_names_the_variable() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Cache::at(file.join("below")).write("x", b"y").unwrap_err();
        assert!(error.fix().contains("THALWEG_CACHE"));
    }

    #[test]
    fn what_another_process_is_writing_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        for other in ["x.part", "x.0.part"] {
            fs::create_dir(cache.path(other)).unwrap();
        }
        cache.write("x", b"y").unwrap();
        assert_eq!(fs::read(cache.path("x")).unwrap(), b"y");
        assert!(cache.path("x.part").exists() && cache.path("x.0.part").exists());
    }
}
