//! Softmax and cross-entropy in one operation, and the score of a model.

use super::super::model::Score;
use super::vector::{exp, lane_sum, vectorized};

/// The sum over the rows of `log Σ exp(zⱼ) - z_label`; `z` is overwritten with its gradient times
/// `scale`.
pub(super) fn cross_entropy(z: &mut [f32], labels: &[u8], scale: f32) -> f64 {
    let classes = z.len() / labels.len().max(1);
    let mut loss = 0.0;
    for (row, label) in z.chunks_exact_mut(classes.max(1)).zip(labels) {
        let own = row[usize::from(*label)];
        loss += f64::from(softmax(row, scale) - own);
        row[usize::from(*label)] -= scale;
    }
    loss
}

vectorized! {
    /// Softmax times `scale`, in place; returns `log Σ exp(zⱼ)`.
    fn softmax(row: &mut [f32], scale: f32) -> f32 {
        let mut largest = f32::NEG_INFINITY;
        for z in row.iter() {
            largest = if *z > largest { *z } else { largest };
        }
        for z in row.iter_mut() {
            *z = exp(*z - largest);
        }
        let sum = lane_sum(row.len(), |j| row[j]);
        let factor = scale / sum;
        for z in row.iter_mut() {
            *z *= factor;
        }
        sum.ln() + largest
    }
}

/// Loss and accuracy of logits, which are overwritten. A row with a NaN counts as wrong, and a tie goes
/// to the first class.
pub(super) fn score(logits: &mut [f32], labels: &[u8]) -> Score {
    let classes = logits.len() / labels.len().max(1);
    let mut score = Score { count: labels.len(), ..Score::default() };
    for (row, label) in logits.chunks_exact(classes.max(1)).zip(labels) {
        let own = row[usize::from(*label)];
        let beaten = |(j, z): (usize, &f32)| *z < own || (*z == own && j >= usize::from(*label));
        score.correct += usize::from(row.iter().enumerate().all(beaten));
    }
    score.loss_sum = cross_entropy(logits, labels, 1.0);
    score
}
