//! Softmax and cross-entropy in one operation, and the score of a model.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::super::model::Score;
use super::tensor::{operand, stored};

/// The mean over the rows of `log Σ exp(zⱼ) - z_label`; argument `z [n, classes]`.
#[derive(Debug)]
pub(super) struct CrossEntropy {
    labels: Vec<u8>,
}

impl CrossEntropy {
    pub(super) fn new(labels: &[u8]) -> Self {
        CrossEntropy { labels: labels.to_vec() }
    }
}

/// The largest value of a row, and the sum of exponentials relative to it.
fn normaliser(row: &[f32]) -> (f32, f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (largest, row.iter().map(|z| (z - largest).exp()).sum())
}

fn cross_entropy(row: &[f32], label: u8) -> f64 {
    let (largest, sum) = normaliser(row);
    f64::from(sum.ln() + largest - row[usize::from(label)])
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "softmax-cross-entropy"
    }

    fn cpu_fwd(&self, z: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, classes) = layout.shape().dims2()?;
        let z = operand(z, layout)?.chunks_exact(classes);
        let total: f64 = z.zip(&self.labels).map(|(row, y)| cross_entropy(row, *y)).sum();
        Ok((CpuStorage::F32(vec![(total / rows as f64) as f32]), ().into()))
    }

    fn bwd(&self, z: &Tensor, _loss: &Tensor, d: &Tensor) -> Result<Option<Tensor>> {
        let (rows, classes) = z.dims2()?;
        let scale = d.to_scalar::<f32>()? / rows as f32;
        let (storage, layout) = z.storage_and_layout();
        let z = stored(&storage, layout)?;
        let mut dz = vec![0.0; z.len()];
        let pairs = z.chunks_exact(classes).zip(dz.chunks_exact_mut(classes));
        for ((row, out), label) in pairs.zip(&self.labels) {
            let (largest, sum) = normaliser(row);
            for (out, z) in out.iter_mut().zip(row) {
                *out = (z - largest).exp() * (scale / sum);
            }
            out[usize::from(*label)] -= scale;
        }
        Ok(Some(Tensor::from_vec(dz, (rows, classes), &Device::Cpu)?))
    }
}

/// Loss and accuracy of logits. A row with a NaN counts as wrong, and a tie goes to the first class.
pub(super) fn score(logits: &[f32], labels: &[u8]) -> Score {
    let classes = logits.len() / labels.len().max(1);
    let mut score = Score { count: labels.len(), ..Score::default() };
    for (row, label) in logits.chunks_exact(classes.max(1)).zip(labels) {
        let own = row[usize::from(*label)];
        let beaten = |(j, z): (usize, &f32)| *z < own || (*z == own && j >= usize::from(*label));
        score.correct += usize::from(row.iter().enumerate().all(beaten));
        score.loss_sum += cross_entropy(row, *label);
    }
    score
}
