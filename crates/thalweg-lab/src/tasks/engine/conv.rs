//! Convolution, bias, rectifier and pooling in one operation.
//!
//! The full-size activation, four times as large as the pooled one, lives in one image's scratch buffer
//! and never on the tape. A convolution is a matrix product over the image's patches (im2col).

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{Matrix, multiply};
use super::tensor::{operand, stored};

/// A batch is cut into this many parts whatever the number of threads, so that sums over the batch are
/// always formed in the same order.
const PARTS: usize = 8;

/// The mark of an output that the rectifier set to zero.
const INACTIVE: u8 = 4;

/// 3x3 convolution with padding 1, bias, `max(·, 0)` and 2x2 pooling; arguments `x [n, c, h, w]`,
/// `W [o, c, 3, 3]`, `b [o]`, result `[n, o, h/2, w/2]`.
#[derive(Debug)]
pub(super) struct ConvPool {
    threads: usize,
    /// Which of the four inputs each output came from, kept from the forward to the backward pass.
    origin: Mutex<Vec<u8>>,
}

/// Sizes of one image's arrays.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    channels: usize,
    height: usize,
    width: usize,
    outputs: usize,
}

impl Geometry {
    fn of(x: &Shape, w: &Shape) -> Result<(usize, Self)> {
        let (rows, channels, height, width) = x.dims4()?;
        Ok((rows, Geometry { channels, height, width, outputs: w.dims4()?.0 }))
    }

    /// Values of one input channel, or of one output channel before pooling.
    fn plane(&self) -> usize {
        self.height * self.width
    }

    fn input(&self) -> usize {
        self.channels * self.plane()
    }

    fn output(&self) -> usize {
        self.outputs * self.plane() / 4
    }

    /// Inputs that one output sums over.
    fn patch(&self) -> usize {
        self.channels * 9
    }
}

impl ConvPool {
    pub(super) fn new(threads: usize) -> Self {
        ConvPool { threads, origin: Mutex::new(Vec::new()) }
    }

    fn for_each<T: Send>(&self, parts: Vec<T>, work: impl Fn(T) + Sync + Send) {
        if self.threads > 1 {
            parts.into_par_iter().for_each(work);
        } else {
            parts.into_iter().for_each(work);
        }
    }
}

impl CustomOp3 for ConvPool {
    fn name(&self) -> &'static str {
        "convolution-relu-pool"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, g) = Geometry::of(x_layout.shape(), w_layout.shape())?;
        let (x, w, b) = (operand(x, x_layout)?, operand(w, w_layout)?, operand(b, b_layout)?);
        let mut y = vec![0.0; rows * g.output()];
        let mut origin = vec![0u8; rows * g.output()];
        let part = rows.div_ceil(PARTS).max(1);
        let parts = x
            .chunks(part * g.input())
            .zip(y.chunks_mut(part * g.output()))
            .zip(origin.chunks_mut(part * g.output()))
            .collect();
        self.for_each(parts, |((x, y), origin): ((&[f32], &mut [f32]), &mut [u8])| {
            let mut patches = vec![0.0; g.patch() * g.plane()];
            let mut full = vec![0.0; g.outputs * g.plane()];
            let results = y.chunks_exact_mut(g.output()).zip(origin.chunks_exact_mut(g.output()));
            for (x, (y, origin)) in x.chunks_exact(g.input()).zip(results) {
                gather(g, x, &mut patches);
                let kernel = Matrix::new(w, g.outputs, g.patch());
                let patches = Matrix::new(&patches, g.patch(), g.plane());
                multiply(&mut full, kernel, patches, false, 1);
                pool(g, &full, b, y, origin);
            }
        });
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = origin;
        Ok((CpuStorage::F32(y), (rows, g.outputs, g.height / 2, g.width / 2).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, g) = Geometry::of(x.shape(), w.shape())?;
        let ((xs, xl), (ws, wl)) = (x.storage_and_layout(), w.storage_and_layout());
        let (ds, dl) = dy.storage_and_layout();
        let (x_values, w_values, dy) = (stored(&xs, xl)?, stored(&ws, wl)?, stored(&ds, dl)?);
        let origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner);

        let part = rows.div_ceil(PARTS).max(1);
        let parameters = g.outputs * (g.patch() + 1);
        let mut sums = vec![0.0; PARTS * parameters];
        let mut dx = vec![0.0; if x.track_op() { rows * g.input() } else { 0 }];
        let mut dx_parts: Vec<&mut [f32]> = dx.chunks_mut(part * g.input()).collect();
        dx_parts.resize_with(PARTS, || &mut []);
        let parts = x_values
            .chunks(part * g.input())
            .zip(dy.chunks(part * g.output()))
            .zip(origin.chunks(part * g.output()))
            .zip(sums.chunks_exact_mut(parameters).zip(dx_parts))
            .map(|(((x, dy), origin), (sums, dx))| Part { x, dy, origin, sums, dx })
            .collect();
        self.for_each(parts, |part: Part<'_>| part.backward(g, w_values));

        let mut dw = vec![0.0; parameters];
        for part in sums.chunks_exact(parameters) {
            for (total, part) in dw.iter_mut().zip(part) {
                *total += part;
            }
        }
        let db = dw.split_off(g.outputs * g.patch());
        let dx = match dx.is_empty() {
            true => None,
            false => Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?),
        };
        let dw = Tensor::from_vec(dw, w.shape(), &Device::Cpu)?;
        Ok((dx, Some(dw), Some(Tensor::from_vec(db, g.outputs, &Device::Cpu)?)))
    }
}

/// A few images on their way back.
struct Part<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    origin: &'a [u8],
    /// Gradients of the kernel and then of the bias, summed over this part's images.
    sums: &'a mut [f32],
    /// Empty if nobody asks for the gradient of the input.
    dx: &'a mut [f32],
}

impl Part<'_> {
    fn backward(self, g: Geometry, w: &[f32]) {
        let (dw, db) = self.sums.split_at_mut(g.outputs * g.patch());
        let mut patches = vec![0.0; g.patch() * g.plane()];
        let mut full = vec![0.0; g.outputs * g.plane()];
        let mut dx = self.dx.chunks_exact_mut(g.input());
        let gradients = self.dy.chunks_exact(g.output()).zip(self.origin.chunks_exact(g.output()));
        for (x, (dy, origin)) in self.x.chunks_exact(g.input()).zip(gradients) {
            unpool(g, dy, origin, &mut full, db);
            gather(g, x, &mut patches);
            let d_full = Matrix::new(&full, g.outputs, g.plane());
            let columns = Matrix::new(&patches, g.patch(), g.plane()).transposed();
            multiply(dw, d_full, columns, true, 1);
            if let Some(dx) = dx.next() {
                let kernel = Matrix::new(w, g.outputs, g.patch()).transposed();
                multiply(&mut patches, kernel, d_full, false, 1);
                scatter(g, &patches, dx);
            }
        }
    }
}

/// For each of the nine offsets of a 3x3 patch and each image row, the columns of the patch matrix and
/// of the image that meet: `visit(patch row, column range, image range)`; the rest is padding.
fn overlaps(
    g: Geometry,
    mut visit: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let (height, width) = (g.height, g.width);
    for channel in 0..g.channels {
        for offset in 0..9 {
            let (dy, dx) = (offset / 3, offset % 3);
            let patch_row = channel * 9 + offset;
            // An offset of 0 reaches one pixel to the left, of 2 one to the right.
            let (first, last) = (usize::from(dx == 0), width - usize::from(dx == 2));
            for y in usize::from(dy == 0)..height - usize::from(dy == 2) {
                let column = y * width;
                let image = channel * g.plane() + (y + dy - 1) * width;
                let shift = |c: usize| image + c + dx - 1;
                visit(patch_row, column + first..column + last, shift(first)..shift(last));
            }
        }
    }
}

/// Writes the patches of an image as the columns of a matrix. Padding positions are the same for every
/// image, but the buffer also serves the backward pass, so they are cleared here.
fn gather(g: Geometry, x: &[f32], patches: &mut [f32]) {
    patches.fill(0.0);
    overlaps(g, |row, columns, image| {
        patches[row * g.plane()..][columns].copy_from_slice(&x[image]);
    });
}

/// Adds the columns of a patch matrix back to where they came from.
fn scatter(g: Geometry, patches: &[f32], x: &mut [f32]) {
    overlaps(g, |row, columns, image| {
        for (x, p) in x[image].iter_mut().zip(&patches[row * g.plane()..][columns]) {
            *x += p;
        }
    });
}

/// The largest of each 2x2 square plus bias, rectified, and which of the four it was. The bias is the
/// same for all four and rectifying keeps order, so both can wait until after the comparison.
fn pool(g: Geometry, full: &[f32], bias: &[f32], y: &mut [f32], origin: &mut [u8]) {
    let half = g.width / 2;
    let squares = full.chunks_exact(2 * g.width);
    let results = y.chunks_exact_mut(half).zip(origin.chunks_exact_mut(half));
    for (row, (square, (y, origin))) in squares.zip(results).enumerate() {
        let bias = bias[row / (g.height / 2)];
        let (top, bottom) = square.split_at(g.width);
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
fn unpool(g: Geometry, dy: &[f32], origin: &[u8], full: &mut [f32], d_bias: &mut [f32]) {
    let half = g.width / 2;
    let squares = full.chunks_exact_mut(2 * g.width);
    let sources = dy.chunks_exact(half).zip(origin.chunks_exact(half));
    for (row, (square, (dy, origin))) in squares.zip(sources).enumerate() {
        let (top, bottom) = square.split_at_mut(g.width);
        let pairs = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
        let mut sum = 0.0;
        for ((d, from), (t, b)) in dy.iter().zip(origin).zip(pairs) {
            let to = |i: u8| if *from == i { *d } else { 0.0 };
            (t[0], t[1], b[0], b[1]) = (to(0), to(1), to(2), to(3));
            sum += if *from == INACTIVE { 0.0 } else { *d };
        }
        d_bias[row / (g.height / 2)] += sum;
    }
}
