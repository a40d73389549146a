//! The registry: every optimizer by name.

use crate::chain::Chain;
use crate::error::Error;
use crate::rules::CATALOGUE;

/// A hyper-parameter worth tuning, with the range to look in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tune {
    /// Its name.
    pub hyper: &'static str,
    /// Lower end; the range is meant logarithmically.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A range on a logarithmic scale.
pub(crate) const fn log_range(hyper: &'static str, low: f64, high: f64) -> Tune {
    Tune { hyper, low, high }
}

/// An optimizer of the registry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name; presets that follow a library are `name@library`.
    pub name: &'static str,
    /// Its name as people write it.
    pub title: &'static str,
    /// One sentence: what it does.
    pub summary: &'static str,
    /// Paper with year and arXiv id, or the library whose convention it is.
    pub source: &'static str,
    /// The chain with its defaults.
    pub chain: fn() -> Chain,
    /// What to tune, most important first.
    pub tune: &'static [Tune],
}

/// Every optimizer, in the order of the catalogue.
pub fn all() -> Vec<&'static Entry> {
    CATALOGUE.iter().flat_map(|file| file.iter()).collect()
}

/// The optimizer called `name`.
///
/// # Errors
/// [`Error::UnknownOptimizer`], suggesting names that are near.
///
/// ```
/// let entry = thalweg::registry::get("adamw@keras")?;
/// assert_eq!((entry.chain)().hyper("eps")?.value(0), 1e-7);
/// assert!(thalweg::registry::get("adamv").unwrap_err().to_string().contains("adamw"));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn get(name: &str) -> Result<&'static Entry, Error> {
    all().into_iter().find(|e| e.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|e| e.name).collect();
        let hint = near(name, &names);
        let hint = if hint.is_empty() {
            "; `thalweg list optimizers` shows them all".to_owned()
        } else {
            format!("; did you mean {}?", hint.join(" or "))
        };
        Error::UnknownOptimizer { name: name.to_owned(), hint }
    })
}

/// The chain of the optimizer called `name` with these hyper-parameters.
///
/// # Errors
/// Those of [`get`] and [`Chain::set`].
pub fn build(name: &str, hypers: &[(&str, f64)]) -> Result<Chain, Error> {
    let mut chain = (get(name)?.chain)();
    for (hyper, value) in hypers {
        chain.set(hyper, *value)?;
    }
    Ok(chain)
}

/// The table of a file's building blocks, for recipe files to name: `rule`, `fold` or `geometry` and
/// the type, the usual form of a name first.
macro_rules! blocks {
    (@ rule $block:ty) => { || $crate::Chain::new(<$block>::default()) };
    (@ fold $block:ty) => { || $crate::Chain::new(()).fold(<$block>::default()) };
    (@ geometry $block:ty) => { || $crate::Chain::new(()).over(<$block>::default()) };
    ($($kind:ident $block:ty),+ $(,)?) => {
        pub(crate) const BLOCKS: &[fn() -> $crate::Chain] =
            &[$($crate::registry::blocks!(@ $kind $block)),+];
    };
}
pub(crate) use blocks;

/// At most three of these names that `name` may be a slip for.
pub(crate) fn near<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = names.iter().map(|n| (distance(name, n), *n)).collect();
    near.sort();
    near.dedup();
    let near = near.iter().take(3).filter(|(d, _)| *d <= 1 + name.len() / 3);
    near.map(|(_, n)| *n).collect()
}

/// Edits (insert, delete, replace) between two names (Levenshtein).
#[doc(hidden)]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
