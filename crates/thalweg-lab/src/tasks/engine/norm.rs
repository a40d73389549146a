//! Group and layer normalisation.
//!
//! Both normalise runs of neighbouring numbers to mean 0 and variance 1 (with [`EPS`] under the root)
//! and then scale and shift them. Neither looks at other examples, so a loss stays a function of
//! parameters and batch alone, with no running averages to carry along.

use super::op::{Back, Memory, Op, Scratch, mask};
use super::vector::{lane_sum, sized, vectorized};

/// Added to the variance; PyTorch's default.
const EPS: f32 = 1e-5;

/// Group normalisation (Wu and He 2018) over `channels` planes in `groups` groups of neighbours, then
/// `max(·, 0)` if `relu`; parameters scale and shift `[channels]`.
#[derive(Debug)]
pub(super) struct GroupNorm {
    pub(super) channels: usize,
    pub(super) groups: usize,
    pub(super) plane: usize,
    pub(super) relu: bool,
}

impl Op for GroupNorm {
    fn parameters(&self) -> usize {
        2
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, _: &mut Scratch) {
        let run = self.channels / self.groups * self.plane;
        let y = sized(&mut memory.y, x.len());
        let kept = sized(&mut memory.kept, 2 * x.len() / run);
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let runs = y.chunks_exact_mut(run).zip(x.chunks_exact(run));
        for (i, ((y, x), kept)) in runs.zip(kept.chunks_exact_mut(2)).enumerate() {
            let first = i % self.groups * (self.channels / self.groups);
            group_forward(y, x, [&w[0][first..], &w[1][first..]], self.plane, kept, floor);
        }
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, .. } = back;
        if self.relu {
            mask(dy, &memory.y);
        }
        let (d_scale, d_shift) = dw.split_at_mut(1);
        let d_scale = sized(&mut d_scale[0], self.channels);
        let d_shift = sized(&mut d_shift[0], self.channels);
        d_scale.fill(0.0);
        d_shift.fill(0.0);
        let run = self.channels / self.groups * self.plane;
        let mut dx = dx.map(|dx| sized(dx, x.len()).chunks_exact_mut(run));
        let runs = x.chunks_exact(run).zip(dy.chunks_exact(run)).zip(memory.kept.chunks_exact(2));
        for (i, ((x, dy), kept)) in runs.enumerate() {
            let channels = self.channels / self.groups;
            let own = i % self.groups * channels..(i % self.groups + 1) * channels;
            let dx = dx.as_mut().and_then(Iterator::next);
            let (scale, shift) = (&mut d_scale[own.clone()], &mut d_shift[own.clone()]);
            group_backward(dx, x, dy, &w[0][own], self.plane, kept, [scale, shift]);
        }
    }
}

/// Mean and reciprocal deviation.
#[inline(always)]
fn statistics(x: &[f32]) -> [f32; 2] {
    let n = x.len() as f32;
    let mean = lane_sum(x.len(), |i| x[i]) / n;
    let variance = lane_sum(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / n;
    [mean, 1.0 / (variance + EPS).sqrt()]
}

vectorized! {
    fn group_forward(
        y: &mut [f32], x: &[f32], w: [&[f32]; 2], plane: usize, kept: &mut [f32], floor: f32,
    ) {
        let [mean, r] = statistics(x);
        kept.copy_from_slice(&[mean, r]);
        let planes = y.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
        for ((y, x), (scale, shift)) in planes.zip(w[0].iter().zip(w[1])) {
            let factor = r * scale;
            for (y, x) in y.iter_mut().zip(x) {
                let value = (x - mean) * factor + shift;
                *y = if value < floor { floor } else { value };
            }
        }
    }

    fn group_backward(
        dx: Option<&mut [f32]>, x: &[f32], dy: &[f32], scale: &[f32], plane: usize, kept: &[f32],
        dw: [&mut [f32]; 2],
    ) {
        let [d_scale, d_shift] = dw;
        let (mean, r) = (kept[0], kept[1]);
        let (mut sum, mut product) = (0.0, 0.0);
        let planes = x.chunks_exact(plane).zip(dy.chunks_exact(plane));
        for (c, (x, dy)) in planes.enumerate() {
            let plain = lane_sum(plane, |i| dy[i]);
            let with_x = lane_sum(plane, |i| dy[i] * (x[i] - mean)) * r;
            d_shift[c] += plain;
            d_scale[c] += with_x;
            sum += scale[c] * plain;
            product += scale[c] * with_x;
        }
        let Some(dx) = dx else { return };
        let n = x.len() as f32;
        let (constant, slope) = (r * sum / n, r * r * product / n);
        let planes = x.chunks_exact(plane).zip(dy.chunks_exact(plane));
        for ((x, dy), (dx, scale)) in planes.zip(dx.chunks_exact_mut(plane).zip(scale)) {
            let factor = r * scale;
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = factor * dy - constant - (x - mean) * slope;
            }
        }
    }
}

/// Layer normalisation (Ba, Kiros and Hinton 2016) of rows of `width` numbers; parameters scale and
/// shift `[width]`.
#[derive(Debug)]
pub(super) struct LayerNorm {
    pub(super) width: usize,
}

impl Op for LayerNorm {
    fn parameters(&self) -> usize {
        2
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, _: &mut Scratch) {
        let kept = sized(&mut memory.kept, 2 * x.len() / self.width);
        layer_forward(sized(&mut memory.y, x.len()), x, w[0], w[1], kept);
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, .. } = back;
        let (d_scale, d_shift) = dw.split_at_mut(1);
        let d_scale = sized(&mut d_scale[0], self.width);
        let d_shift = sized(&mut d_shift[0], self.width);
        d_scale.fill(0.0);
        d_shift.fill(0.0);
        let dx = dx.map(|dx| sized(dx, x.len()));
        layer_backward(dx, x, dy, w[0], &memory.kept, d_scale, d_shift);
    }
}

vectorized! {
    fn layer_forward(y: &mut [f32], x: &[f32], scale: &[f32], shift: &[f32], kept: &mut [f32]) {
        let width = scale.len();
        let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for ((y, x), kept) in rows.zip(kept.chunks_exact_mut(2)) {
            let [mean, r] = statistics(x);
            kept.copy_from_slice(&[mean, r]);
            for ((y, x), (scale, shift)) in y.iter_mut().zip(x).zip(scale.iter().zip(shift)) {
                *y = (x - mean) * r * scale + shift;
            }
        }
    }

    fn layer_backward(
        dx: Option<&mut [f32]>, x: &[f32], dy: &[f32], scale: &[f32], kept: &[f32],
        d_scale: &mut [f32], d_shift: &mut [f32],
    ) {
        let width = scale.len();
        let n = width as f32;
        let mut dx = dx.map(|dx| dx.chunks_exact_mut(width));
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(kept.chunks_exact(2));
        for ((x, dy), kept) in rows {
            let (mean, r) = (kept[0], kept[1]);
            let sums = d_scale.iter_mut().zip(d_shift.iter_mut());
            for ((d_scale, d_shift), (x, dy)) in sums.zip(x.iter().zip(dy)) {
                *d_scale += dy * ((x - mean) * r);
                *d_shift += dy;
            }
            let Some(dx) = dx.as_mut().and_then(Iterator::next) else { continue };
            let constant = lane_sum(width, |i| dy[i] * scale[i]) * r / n;
            let slope = lane_sum(width, |i| dy[i] * scale[i] * (x[i] - mean)) * (r * r * r) / n;
            for ((dx, scale), (x, dy)) in dx.iter_mut().zip(scale).zip(x.iter().zip(dy)) {
                *dx = r * scale * dy - constant - (x - mean) * slope;
            }
        }
    }
}
