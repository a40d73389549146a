//! Files that are replaced as a whole: whoever reads one finds the old or the new one, never half of it.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

/// Nothing takes so long to write or fetch: what is older was left by a process that was killed.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes `bytes` to a file of this process beside `path`, which takes its name when it is complete. On a full
/// disk, or if the process is killed, what stood at `path` is still there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    clear_old(path.parent().unwrap_or(Path::new("")), &format!("{name}."), ".part");
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let write = || {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().inspect_err(|_| {
        // If even that fails it is cleared when it is old.
        let _ = fs::remove_file(&part);
    })
}

/// Removes what killed processes have left in `directory` under names that start with `prefix` and end with
/// `suffix`; what is younger than a day may be another process's work in hand.
pub(crate) fn clear_old(directory: &Path, prefix: &str, suffix: &str) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let modified = || entry.metadata()?.modified();
        let old = || modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > OLD));
        if name.starts_with(prefix) && name.ends_with(suffix) && old() {
            // One that cannot be removed does no harm.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

/// What to do about an `error` in the directory that `option` names.
pub(crate) fn remedy(error: &io::Error, option: &str) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("free some space, or give {option} a directory on another disk")
        }
        _ => format!("give {option} a directory you may write to"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::SystemTime;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let name = |e: io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stays_whole_until_the_new_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace(&path, b"old").unwrap();
        let mut reader = fs::File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        let mut held = String::new();
        reader.read_to_string(&mut held).unwrap();
        assert_eq!((&held[..], fs::read(&path).unwrap()), ("old", b"new".to_vec()));
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        assert!(replace(&dir.path().join("a"), b"new").is_err());
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn what_was_left_behind_is_cleared_when_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * OLD;
        for name in ["a.1.part", "a.2.part", "b.1.part"] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(if name == "a.1.part" { SystemTime::now() } else { old }).unwrap();
        }
        replace(&dir.path().join("a"), b"new").unwrap();
        assert_eq!(names(dir.path()), ["a", "a.1.part", "b.1.part"]);
    }

    #[test]
    fn the_remedy_goes_by_the_error() {
        let told = |kind: ErrorKind| remedy(&io::Error::from(kind), "--out");
        assert!(told(ErrorKind::StorageFull).starts_with("free some space, or give --out"));
        assert_eq!(told(ErrorKind::PermissionDenied), "give --out a directory you may write to");
    }
}
