//! The non-negative least-squares problem of X02, and the methods that are tried on it.

use proptest::prelude::*;
use thalweg::Chain;
use thalweg::geometry::NegativeEntropy;
use thalweg::recipes::gd;

use super::walk::{Walk, tuned};

/// The matrix of the least-squares problem of X02.
const B: [[f64; 3]; 4] = [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 1.0]];
pub const THIRDS: [f64; 3] = [1.0 / 3.0; 3];

fn product(x: &[f64]) -> [f64; 4] {
    B.map(|row| row.iter().zip(x).map(|(b, x)| b * x).sum())
}

/// `‖Bx − B·solution‖²/2`.
pub fn squares(x: &[f64], solution: [f64; 3]) -> f64 {
    let residual = product(x).into_iter().zip(product(&solution)).map(|(a, b)| a - b);
    residual.map(|r| 0.5 * r * r).sum()
}

pub fn squares_gradient(x: &[f64], solution: [f64; 3]) -> Vec<f64> {
    let (at, target) = (product(x), product(&solution));
    let column = |j: usize| (0..4).map(|i| B[i][j] * (at[i] - target[i])).sum();
    (0..3).map(column).collect()
}

/// The gradient of the problem whose solution is not negative.
pub fn inside(x: &[f64]) -> Vec<f64> {
    squares_gradient(x, [1.0, 0.5, 0.0])
}

pub fn descent(lr: f64) -> Chain {
    tuned(gd(), &[("lr", lr)])
}

pub fn exponentiated(lr: f64) -> Chain {
    descent(lr).over(NegativeEntropy::default())
}

pub fn gradients(steps: usize, length: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    proptest::collection::vec(proptest::collection::vec(-2.0..2.0_f64, length), steps)
}

pub fn feed(chain: Chain, start: &[f64], gradients: &[Vec<f64>]) -> Vec<f64> {
    Walk::along(chain, start, gradients).x
}
