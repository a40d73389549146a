//! Tasks that are formulas: a few coordinates, no data, and a minimum that is known.
//!
//! Where every run would start at the same point, the seed moves the start a little, so that five
//! seeds say more than one.

mod catalogue;
mod streams;
mod surfaces;

pub(super) use catalogue::{FAMILIES, TASKS};

use crate::rng::Stream;

/// A start near `center`: each coordinate moves by at most `spread`.
fn near(center: &[f64], spread: f64, stream: &mut Stream) -> Vec<f64> {
    center.iter().map(|c| c + spread * f64::from(2.0 * stream.uniform() - 1.0)).collect()
}

/// A number with mean 0 and variance 1, nearly normal: the sum of twelve uniform ones. It is the same on
/// every machine, which logarithms and cosines are not.
fn noise(stream: &mut Stream) -> f64 {
    (0..12).map(|_| f64::from(stream.uniform())).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests;
