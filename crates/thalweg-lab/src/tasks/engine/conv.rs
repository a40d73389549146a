//! Convolutions: plain, and with bias, rectifier and pooling in one operation.
//!
//! A convolution is a matrix product over the patches of one image. In [`ConvPool`] the full-size
//! activation, four times as large as the pooled one, lives in a scratch buffer and is never kept.

use super::gemm::{Matrix, multiply, row_stride};
use super::op::{Back, Memory, Op, Scratch};
use super::patches::Window;
use super::vector::{LANES, sized, total, vectorized};

/// The mark of an output that the rectifier set to zero.
const INACTIVE: u8 = 4;

/// A convolution without bias; parameter `W [outputs, channels, kernel, kernel]`.
#[derive(Debug)]
pub(super) struct Conv {
    pub(super) window: Window,
    pub(super) outputs: usize,
}

impl Op for Conv {
    fn parameters(&self) -> usize {
        1
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, scratch: &mut Scratch) {
        let g = &self.window;
        let output = self.outputs * g.columns();
        let y = sized(&mut memory.y, x.len() / g.image() * output);
        let kernel = Matrix::new(w[0], self.outputs, g.rows());
        for (x, y) in x.chunks_exact(g.image()).zip(y.chunks_exact_mut(output)) {
            let patches = patches_of(g, x, &mut scratch.a);
            multiply(y, kernel, patches, false);
        }
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], _: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, scratch } = back;
        let g = &self.window;
        let output = self.outputs * g.columns();
        let dw = sized(&mut dw[0], w[0].len());
        let kernel = Matrix::new(w[0], self.outputs, g.rows()).transposed();
        let mut dx = dx.map(|dx| {
            sized(dx, x.len()).fill(0.0);
            dx.chunks_exact_mut(g.image())
        });
        let images = x.chunks_exact(g.image()).zip(dy.chunks_exact(output));
        for (i, (x, dy)) in images.enumerate() {
            let gradient = Matrix::spread(dy, self.outputs, g.columns(), &mut scratch.c);
            let patches = patches_of(g, x, &mut scratch.a);
            multiply(dw, gradient, patches.transposed(), i > 0);
            if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                scatter_product(g, kernel, gradient, &mut scratch.b, dx);
            }
        }
    }
}

/// The patch matrix of an image, fit to be transposed; in `buffer` unless it is the image itself.
fn patches_of<'a>(g: &Window, x: &'a [f32], buffer: &'a mut Vec<f32>) -> Matrix<'a> {
    if g.trivial() {
        return Matrix::spread(x, g.rows(), g.columns(), buffer);
    }
    let stride = row_stride(g.columns());
    let buffer = sized(buffer, g.rows() * stride);
    g.gather(x, buffer, stride);
    Matrix::strided(buffer, g.rows(), g.columns(), stride)
}

/// `dx += scatter(kernel · gradient)`.
fn scatter_product(
    g: &Window,
    kernel: Matrix<'_>,
    gradient: Matrix<'_>,
    buffer: &mut Vec<f32>,
    dx: &mut [f32],
) {
    if g.trivial() {
        return multiply(dx, kernel, gradient, true);
    }
    let buffer = sized(buffer, g.rows() * g.columns());
    multiply(buffer, kernel, gradient, false);
    g.scatter(buffer, dx);
}

/// A convolution with stride 1, bias, `max(·, 0)` and 2x2 maximum pooling; parameters
/// `W [outputs, channels, kernel, kernel]`, `b [outputs]`.
#[derive(Debug)]
pub(super) struct ConvPool {
    pub(super) window: Window,
    pub(super) outputs: usize,
}

impl ConvPool {
    fn output(&self) -> usize {
        self.outputs * self.window.plane() / 4
    }
}

impl Op for ConvPool {
    fn parameters(&self) -> usize {
        2
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, scratch: &mut Scratch) {
        let g = &self.window;
        let values = x.len() / g.image() * self.output();
        let y = sized(&mut memory.y, values).chunks_exact_mut(self.output());
        memory.marks.resize(values, 0);
        let origin = memory.marks.chunks_exact_mut(self.output());
        let kernel = Matrix::new(w[0], self.outputs, g.rows());
        for (x, (y, origin)) in x.chunks_exact(g.image()).zip(y.zip(origin)) {
            let full = sized(&mut scratch.b, self.outputs * g.plane());
            multiply(full, kernel, patches_of(g, x, &mut scratch.a), false);
            pool(full, w[1], g.width, y, origin);
        }
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, scratch } = back;
        let g = &self.window;
        let (dw, db) = dw.split_at_mut(1);
        let (dw, db) = (sized(&mut dw[0], w[0].len()), sized(&mut db[0], self.outputs));
        db.fill(0.0);
        let kernel = Matrix::new(w[0], self.outputs, g.rows()).transposed();
        let mut dx = dx.map(|dx| {
            sized(dx, x.len()).fill(0.0);
            dx.chunks_exact_mut(g.image())
        });
        let gradients = dy.chunks_exact(self.output());
        let gradients = gradients.zip(memory.marks.chunks_exact(self.output()));
        let Scratch { a, b, c } = scratch;
        for (i, (x, (dy, origin))) in x.chunks_exact(g.image()).zip(gradients).enumerate() {
            let full = sized(b, self.outputs * g.plane());
            unpool(full, db, g.width, dy, origin);
            let full = Matrix::spread(full, self.outputs, g.plane(), c);
            multiply(dw, full, patches_of(g, x, a).transposed(), i > 0);
            if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                scatter_product(g, kernel, full, a, dx);
            }
        }
    }
}

vectorized! {
    /// The largest of each 2x2 square plus bias, rectified, and which of the four it was. The bias is the
    /// same for all four and rectifying keeps order, so both can wait until after the comparison.
    fn pool(full: &[f32], bias: &[f32], width: usize, y: &mut [f32], origin: &mut [u8]) {
        let half = width / 2;
        let lines = y.len() / half / bias.len();
        let squares = full.chunks_exact(2 * width);
        let results = y.chunks_exact_mut(half).zip(origin.chunks_exact_mut(half));
        for (row, (square, (y, origin))) in squares.zip(results).enumerate() {
            let bias = bias[row / lines];
            let (top, bottom) = square.split_at(width);
            let pairs = top.chunks_exact(2).zip(bottom.chunks_exact(2));
            for ((y, origin), (t, b)) in y.iter_mut().zip(origin).zip(pairs) {
                let (mut largest, mut from) = (t[0], 0);
                for (i, v) in [(1, t[1]), (2, b[0]), (3, b[1])] {
                    // Weights that are not finite spoil a whole channel, its first pixel included, and
                    // that one is never replaced: a divergence shows without a test for NaN here.
                    let take = v > largest;
                    largest = if take { v } else { largest };
                    from = if take { i } else { from };
                }
                let sum = largest + bias;
                let inactive = sum <= 0.0;
                *y = if inactive { 0.0 } else { sum };
                *origin = if inactive { INACTIVE } else { from };
            }
        }
    }

    /// Sends each gradient back to the one input it came from, and adds it to its channel's bias.
    fn unpool(full: &mut [f32], d_bias: &mut [f32], width: usize, dy: &[f32], origin: &[u8]) {
        let half = width / 2;
        let lines = dy.len() / half / d_bias.len();
        let squares = full.chunks_exact_mut(2 * width);
        let sources = dy.chunks_exact(half).zip(origin.chunks_exact(half));
        for (row, (square, (dy, origin))) in squares.zip(sources).enumerate() {
            let (top, bottom) = square.split_at_mut(width);
            let pairs = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
            let mut sums = [0.0; LANES];
            for (i, ((d, from), (t, b))) in dy.iter().zip(origin).zip(pairs).enumerate() {
                let to = |i: u8| if *from == i { *d } else { 0.0 };
                (t[0], t[1], b[0], b[1]) = (to(0), to(1), to(2), to(3));
                sums[i % LANES] += if *from == INACTIVE { 0.0 } else { *d };
            }
            d_bias[row / lines] += total(sums);
        }
    }
}

/// The mean over each plane.
#[derive(Debug)]
pub(super) struct GlobalAveragePool {
    pub(super) plane: usize,
}

impl Op for GlobalAveragePool {
    fn parameters(&self) -> usize {
        0
    }

    fn forward(&self, _: &[&[f32]], x: &[f32], memory: &mut Memory, _: &mut Scratch) {
        average(sized(&mut memory.y, x.len() / self.plane), x, self.plane);
    }

    fn backward(&self, _: &[&[f32]], x: &[f32], _: &mut Memory, back: Back<'_>) {
        let Some(dx) = back.dx else { return };
        let planes = sized(dx, x.len()).chunks_exact_mut(self.plane);
        for (plane, d) in planes.zip(back.dy.iter()) {
            plane.fill(d / self.plane as f32);
        }
    }
}

vectorized! {
    fn average(y: &mut [f32], x: &[f32], plane: usize) {
        for (y, x) in y.iter_mut().zip(x.chunks_exact(plane)) {
            *y = super::vector::lane_sum(plane, |i| x[i]) / plane as f32;
        }
    }
}
