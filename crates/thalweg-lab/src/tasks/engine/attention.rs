//! Causal multi-head attention, and the embedding of tokens.

use super::super::network::Embedding;
use super::gemm::{Matrix, multiply, multiply_into};
use super::op::{Back, Memory, Op, Scratch};
use super::vector::{add, exp, lane_sum, sized, vectorized};

/// Attention of every position to itself and those before it (Vaswani et al. 2017). The input holds a
/// query, a key and a value of `width` numbers per position, as a linear layer made them; each head
/// takes a slice of all three. No parameters of its own.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Positions of a sequence.
    pub(super) context: usize,
}

/// Where one head of one sequence finds its matrices `[context, width / heads]`.
struct Head<'a> {
    q: Matrix<'a>,
    k: Matrix<'a>,
    v: Matrix<'a>,
}

impl Attention {
    fn size(&self) -> usize {
        self.width / self.heads
    }

    /// The factor of the scores: 1/√size.
    fn factor(&self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
    }

    fn head<'a>(&self, sequence: &'a [f32], head: usize) -> Head<'a> {
        let at = |which: usize| {
            let start = which * self.width + head * self.size();
            Matrix::strided(&sequence[start..], self.context, self.size(), 3 * self.width)
        };
        Head { q: at(0), k: at(1), v: at(2) }
    }
}

impl Op for Attention {
    fn parameters(&self) -> usize {
        0
    }

    fn forward(&self, _: &[&[f32]], x: &[f32], memory: &mut Memory, _: &mut Scratch) {
        let (t, d) = (self.context, self.width);
        let sequences = x.len() / (3 * d * t);
        let y = sized(&mut memory.y, sequences * t * d);
        let kept = sized(&mut memory.kept, sequences * self.heads * t * t);
        let sequences = x.chunks_exact(3 * d * t).zip(y.chunks_exact_mut(t * d));
        for ((x, y), shares) in sequences.zip(kept.chunks_exact_mut(self.heads * t * t)) {
            for (i, shares) in shares.chunks_exact_mut(t * t).enumerate() {
                let Head { q, k, v } = self.head(x, i);
                multiply_into(shares, t, q, k.transposed(), self.factor(), false);
                causal_softmax(shares, t);
                let out = &mut y[i * self.size()..];
                multiply_into(out, d, Matrix::new(shares, t, t), v, 1.0, false);
            }
        }
    }

    fn backward(&self, _: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Some(dx) = back.dx else { return };
        let (t, d) = (self.context, self.width);
        let dx = sized(dx, x.len()).chunks_exact_mut(3 * d * t);
        let sequences = x.chunks_exact(3 * d * t).zip(back.dy.chunks_exact(t * d));
        let shares = memory.kept.chunks_exact(self.heads * t * t);
        let ds = sized(&mut back.scratch.a, t * t);
        for (((x, dy), dx), shares) in sequences.zip(dx).zip(shares) {
            for (i, shares) in shares.chunks_exact(t * t).enumerate() {
                let Head { q, k, v } = self.head(x, i);
                let dy = Matrix::strided(&dy[i * self.size()..], t, self.size(), d);
                multiply(ds, dy, v.transposed(), false);
                softmax_backward(ds, shares, t);
                let shares = Matrix::new(shares, t, t);
                let ds = Matrix::new(ds, t, t);
                let mut put = |which: usize, a: Matrix<'_>, b: Matrix<'_>, factor: f32| {
                    let out = &mut dx[which * d + i * self.size()..];
                    multiply_into(out, 3 * d, a, b, factor, false);
                };
                put(0, ds, k, self.factor());
                put(1, ds.transposed(), q, self.factor());
                put(2, shares.transposed(), dy, 1.0);
            }
        }
    }
}

vectorized! {
    /// Softmax of each row over the columns up to the diagonal; the others become zero.
    fn causal_softmax(scores: &mut [f32], context: usize) {
        for (i, row) in scores.chunks_exact_mut(context).enumerate() {
            let (row, future) = row.split_at_mut(i + 1);
            future.fill(0.0);
            let mut largest = f32::NEG_INFINITY;
            for s in row.iter() {
                largest = if *s > largest { *s } else { largest };
            }
            for s in row.iter_mut() {
                *s = exp(*s - largest);
            }
            let factor = 1.0 / lane_sum(row.len(), |j| row[j]);
            for s in row.iter_mut() {
                *s *= factor;
            }
        }
    }

    /// `dSᵢⱼ = Pᵢⱼ (dPᵢⱼ - Σₖ dPᵢₖ Pᵢₖ)`, in place of `dP`.
    fn softmax_backward(d: &mut [f32], shares: &[f32], context: usize) {
        for (d, p) in d.chunks_exact_mut(context).zip(shares.chunks_exact(context)) {
            let mean = lane_sum(context, |j| d[j] * p[j]);
            for (d, p) in d.iter_mut().zip(p) {
                *d = p * (*d - mean);
            }
        }
    }
}

/// `y = E[token] + P[position]`; `w` is `E [vocabulary, width]` and `P [context, width]`.
pub(super) fn embed(e: &Embedding, w: &[&[f32]], tokens: &[u32], y: &mut Vec<f32>) {
    let rows = sized(y, tokens.len() * e.width).chunks_exact_mut(e.width);
    for (i, (row, token)) in rows.zip(tokens).enumerate() {
        row.copy_from_slice(&w[0][*token as usize * e.width..][..e.width]);
        add(row, &w[1][i % e.context * e.width..][..e.width]);
    }
}

/// The gradients of both tables from that of the vectors.
pub(super) fn embed_backward(e: &Embedding, tokens: &[u32], dy: &[f32], dw: &mut [Vec<f32>]) {
    for (dw, rows) in dw.iter_mut().zip([e.vocabulary, e.context]) {
        sized(dw, rows * e.width).fill(0.0);
    }
    for (i, (row, token)) in dy.chunks_exact(e.width).zip(tokens).enumerate() {
        add(&mut dw[0][*token as usize * e.width..][..e.width], row);
        add(&mut dw[1][i % e.context * e.width..][..e.width], row);
    }
}
