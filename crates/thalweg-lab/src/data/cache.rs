//! The cache directory and the one layout all fetched data is kept in.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Examples;
use crate::{Error, Result};

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
        Ok(Cache { root })
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

    /// Writes a file so that an interrupted write never leaves half of it under its name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let root = self.create()?;
        let (part, path) = (root.join(format!("{name}.part")), root.join(name));
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        write().map_err(|e| {
            Error::failed(
                format!("cannot write {}: {e}", path.display()),
                "free some space, or set THALWEG_CACHE to another directory",
            )
        })
    }
}

/// The lower-case hexadecimal SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

const MAGIC: &[u8; 8] = b"THWDATA1";

/// The stored form of a data set: a header of eight bytes and four little-endian 32-bit numbers
/// (training images, test images, pixels per image, classes), then training images, training labels,
/// test images and test labels as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The canonical training part.
    pub train: Examples,
    /// The canonical test part.
    pub test: Examples,
    /// The number of classes.
    pub classes: u32,
}

impl Store {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let pixels = self.train.images.len() / self.train.len().max(1);
        let mut bytes = MAGIC.to_vec();
        for n in [self.train.len() as u32, self.test.len() as u32, pixels as u32, self.classes] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        for part in [&self.train, &self.test] {
            bytes.extend_from_slice(&part.images);
            bytes.extend_from_slice(&part.labels);
        }
        bytes
    }

    /// Reads the stored form; `Err` says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        if bytes.len() < 24 || &bytes[..8] != MAGIC {
            return Err("it is not a data file of this program".to_owned());
        }
        let number = |i: usize| {
            let at = 8 + 4 * i;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let [train, test, pixels] = [number(0), number(1), number(2)].map(|n| n as usize);
        let classes = number(3);
        let expected = (pixels as u128 + 1) * (train as u128 + test as u128) + 24;
        if bytes.len() as u128 != expected {
            return Err(format!("it is {} bytes long, expected {expected}", bytes.len()));
        }
        let mut rest = &bytes[24..];
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head.to_vec()
        };
        let mut part = |n: usize| Examples { images: take(n * pixels), labels: take(n) };
        let store = Store { train: part(train), test: part(test), classes };
        let labels = store.train.labels.iter().chain(&store.test.labels);
        match labels.copied().max() {
            Some(label) if u32::from(label) >= classes => Err(format!("it has a label {label}")),
            _ => Ok(store),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Store {
        let part = |n: usize| Examples {
            images: (0..n * 6).map(|i| i as u8).collect(),
            labels: (0..n).map(|i| (i % 3) as u8).collect(),
        };
        Store { train: part(5), test: part(2), classes: 3 }
    }

    #[test]
    fn stored_form_reads_back() {
        assert_eq!(Store::from_bytes(&sample().to_bytes()), Ok(sample()));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let good = sample().to_bytes();
        for n in 0..good.len() {
            assert!(Store::from_bytes(&good[..n]).is_err(), "cut at {n}");
        }
        let mut huge = good.clone();
        huge[8..24].fill(0xff);
        assert!(Store::from_bytes(&huge).is_err());
        let mut label = good.clone();
        *label.last_mut().unwrap() = 7;
        assert!(Store::from_bytes(&label).unwrap_err().contains("label 7"));
    }

    #[test]
    fn a_directory_that_cannot_be_made_names_the_variable() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Cache::at(file.join("below")).write("x", b"y").unwrap_err();
        assert!(error.fix().contains("THALWEG_CACHE"));
    }
}
