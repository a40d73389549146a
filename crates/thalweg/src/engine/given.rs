//! What a stage is given for each coordinate in place of something remembered: a number of its row,
//! or noise.

use super::Element;
use super::codec::stream;
use super::kernel::{BLOCK, Block, CHUNK};
use super::tensor::{Buffer, Tensor};
use crate::real::Real;

/// What a kernel is given in the place of its slots.
pub(crate) enum Given<E> {
    /// Nothing: it has slots.
    Slots,
    /// The number of the coordinate's row.
    Rows {
        /// Coordinates in a row.
        width: usize,
        /// A number per row.
        values: Vec<E>,
    },
    /// A standard normal number.
    Noise {
        /// What the numbers depend on besides the coordinate: seed and step.
        seed: u64,
        /// The step number.
        t: u64,
    },
}

impl<E: Element> Given<E> {
    /// Fills `buffer` for the `n` coordinates from `start` on and makes it the first slot of `block`.
    pub(super) fn give(
        &self,
        tensor: &Tensor<'_, E>,
        start: usize,
        n: usize,
        buffer: &mut Buffer<E>,
        block: &mut Block<'_, E>,
    ) {
        let filled = match self {
            Given::Slots => return,
            Given::Rows { width, values } => buffer.filled(n, |to| {
                each_row(*width, start, n, |offset, row, count| {
                    to[offset..offset + count].fill(values[row]);
                });
            }),
            Given::Noise { seed, t } => buffer.filled(n, |to| {
                // The number after the last slot any chain can have, so no rounding shares it.
                let key = stream(*seed, tensor.name_hash, usize::MAX, *t);
                tensor.each_place(start, n, |offset, at, count| {
                    for (i, value) in to[offset..offset + count].iter_mut().enumerate() {
                        *value = E::lift(normal(key, (at + i) as u64));
                    }
                });
            }),
        };
        block.slots[0] = filled;
    }
}

/// Calls `run(offset, row, count)` for each run of the coordinates from `start` to `start + n` that
/// lies in one row.
pub(super) fn each_row(
    width: usize,
    start: usize,
    n: usize,
    mut run: impl FnMut(usize, usize, usize),
) {
    let mut done = 0;
    while done < n {
        let (row, column) = ((start + done) / width, (start + done) % width);
        let count = (width - column).min(n - done);
        run(done, row, count);
        done += count;
    }
}

/// Room for a copy of a run of a block: rows end where they like, sums are taken of whole chunks.
pub(super) struct RowCopy<E> {
    x: Buffer<E>,
    u: Buffer<E>,
    g: Buffer<E>,
}

impl<E: Element> RowCopy<E> {
    pub(super) fn new() -> RowCopy<E> {
        RowCopy { x: Buffer::new(), u: Buffer::new(), g: Buffer::new() }
    }

    /// The `count` coordinates of `block` from `offset` on, as a block of their own. Parts that sum
    /// over rows remember nothing, so there are no slots to take along.
    ///
    /// # Safety
    /// The block's streams hold that many, and are readable in whole chunks of the block; nobody writes
    /// them meanwhile.
    pub(super) unsafe fn run<'s>(
        &mut self,
        block: &Block<'s, E>,
        offset: usize,
        count: usize,
    ) -> Block<'s, E> {
        if offset + count.next_multiple_of(CHUNK) <= block.n.next_multiple_of(CHUNK) {
            let x = block.x.wrapping_add(offset);
            let (u, g) = (block.u.wrapping_add(offset), block.g.wrapping_add(offset));
            return Block { n: count, x, u, g, u_out: x, g_out: x, hints: None, ..*block };
        }
        let copy = |to: &mut Buffer<E>, from: *const E| {
            // SAFETY: the caller's promise; a buffer holds a block.
            to.filled(count, |to| unsafe {
                std::ptr::copy_nonoverlapping(from.add(offset), to.as_mut_ptr(), count);
            })
        };
        let x = copy(&mut self.x, block.x);
        let (u, g) = (copy(&mut self.u, block.u), copy(&mut self.g, block.g));
        Block { n: count, x, u, g, u_out: x, g_out: x, hints: None, ..*block }
    }
}

const _: () = assert!(BLOCK.is_multiple_of(CHUNK));

/// The standard normal number of a coordinate, by Marsaglia's polar method (1964): no number depends on
/// another coordinate's.
fn normal(key: u32, at: u64) -> f64 {
    let mut word = (u64::from(key) << 32) ^ at.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mut uniform = || {
        word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        2.0 * ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 1.0
    };
    loop {
        let (a, b) = (uniform(), uniform());
        let square = a * a + b * b;
        if 0.0 < square && square < 1.0 {
            // This crate's own logarithm is the same on every machine.
            return a * (-2.0 * Real::ln(square) / square).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_standard_normal_and_independent_of_its_neighbours() {
        let n = 200_000u64;
        let draw: Vec<f64> = (0..n).map(|i| normal(7, i)).collect();
        let mean = |f: &dyn Fn(usize) -> f64| (1..n as usize).map(f).sum::<f64>() / (n - 1) as f64;
        // Standard errors: 1/√n, √2/√n, √6/√n of the mean, the square and the kurtosis' part, 1/√n of
        // the product; four of each are allowed.
        let error = 4.0 / (n as f64).sqrt();
        assert!(mean(&|i| draw[i]).abs() < error);
        assert!((mean(&|i| draw[i].powi(2)) - 1.0).abs() < error * 2f64.sqrt());
        assert!((mean(&|i| draw[i].powi(4)) - 3.0).abs() < error * 96f64.sqrt());
        assert!(mean(&|i| draw[i] * draw[i - 1]).abs() < error);
        assert!(mean(&|i| draw[i] * normal(8, i as u64)).abs() < error);
    }

    #[test]
    fn rows_are_cut_at_blocks() {
        let mut seen = vec![];
        each_row(5, 8, 9, |offset, row, count| seen.push((offset, row, count)));
        assert_eq!(seen, [(0, 1, 2), (2, 2, 5), (7, 3, 2)]);
    }
}
