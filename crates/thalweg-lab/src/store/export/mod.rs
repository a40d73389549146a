//! Runs in the formats of other tools.

#[cfg(feature = "parquet")]
pub mod parquet;
pub mod tensorboard;
mod text;

pub use text::{csv, jsonl};

use super::Kept;

/// The tuned hyper-parameters as one word: `lr=0.01;decay=0.001`.
fn hypers(run: &Kept) -> String {
    let pairs = run.hypers.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(";")
}
