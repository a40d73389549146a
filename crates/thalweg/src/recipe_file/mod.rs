//! Recipe files: an optimizer described in TOML or JSON.
//!
//! A file has the builder's settings and groups; a group has a pattern and either the name of a
//! registry entry or a chain of building blocks by name. The book's chapter has the grammar.

mod blocks;
mod node;
mod read;
mod schedule;
mod words;
mod write;

pub(crate) use blocks::{block_by_block, slots_of};

use std::path::Path;

use crate::error::Error;
use crate::optimizer::Builder;

impl Builder {
    /// Reads a recipe in TOML.
    ///
    /// ```
    /// use thalweg::{Builder, Optimizer};
    /// let opt: Optimizer<f32> = Builder::from_toml(r#"
    ///     clip_global_norm = 1.0
    ///     [[group]]
    ///     name = "all"
    ///     optimizer = "adamw"
    ///     lr = { warmup = { steps = 10, then = { cosine = { from = 1e-3, to = 0.0, steps = 90 } } } }
    /// "#)?.build()?;
    /// let error = Builder::from_toml("[[group]]\nname = 'all'\noptimizer = 'adam'\nbeta1 = 2").unwrap_err();
    /// assert_eq!(error.to_string(), "line 4, column 9: beta1 = 2 is outside [0, 1)");
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Recipe`] with line and column: not TOML, a name that is not known (with those that
    /// are near), a value outside its range.
    pub fn from_toml(text: &str) -> Result<Builder, Error> {
        read::builder(text, node::toml(text))
    }

    /// Reads a recipe in JSON; the same keys as in TOML.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Builder, Error> {
        read::builder(text, node::json(text))
    }

    /// Reads a recipe from a file: JSON if its name ends in `.json`, TOML otherwise.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Recipe`] with the file's name.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Builder, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            action: "reading",
            path: path.to_owned(),
            source,
        })?;
        let json = path.extension().is_some_and(|e| e == "json");
        let read = if json { Builder::from_json(&text) } else { Builder::from_toml(&text) };
        read.map_err(|error| match error {
            Error::Recipe { place, what } => {
                Error::Recipe { place: format!("{}, {place}", path.display()), what }
            }
            other => other,
        })
    }

    /// Writes the recipe in TOML, with every hyper-parameter. Reading it gives the same groups, the
    /// same formulas and values.
    ///
    /// Probes, an instruction set and a pool of the user's belong to the run and are not written; of
    /// a pool its size is.
    ///
    /// ```
    /// use thalweg::{Builder, recipes::adam};
    /// let text = Builder::new().rest("all", adam()).to_toml()?;
    /// assert!(text.contains(r#"{ rule = "Adam", beta1 = 0.9, beta2 = 0.999, denominator = "Outside", eps = 1e-8 }"#));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Engine`] if a group goes by a test that is a function, or a chain has a block that is
    /// not this library's, or one of its blocks completed by types in a way that has no name
    /// (`RAdam<Outside>`): no file can say what they are.
    pub fn to_toml(&self) -> Result<String, Error> {
        write::recipe(self).map(|recipe| write::toml(&recipe))
    }

    /// Writes the recipe in JSON; see [`to_toml`](Self::to_toml).
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn to_json(&self) -> Result<String, Error> {
        write::recipe(self).map(|recipe| write::json(&recipe))
    }
}
