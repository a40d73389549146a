//! The plan: how tensors are cut into work, and sums over that work in a fixed order.
//!
//! Tensors are cut into spans at multiples of [`SPAN`]. A span is swept block by block by one
//! thread, which joins its sums in order; spans are joined as a balanced tree. So neither the
//! thread count nor the neighbours of a tensor change a bit.

use super::Element;
use super::kernel::{BLOCK, Block, Gather, MAX_TERMS, join, neutral};
use super::threads::Threads;
use crate::part::Join;

/// Coordinates in a span.
const SPAN: usize = 16 * BLOCK;
/// Below this many coordinates a step stays on the calling thread: waking another costs more.
pub(crate) const ALONE: usize = 24 * BLOCK;

#[derive(Clone, Copy, Debug)]
struct Span {
    tensor: usize,
    start: usize,
    len: usize,
}

/// How the tensors are cut: computed when the list of tensors changes, not at every step.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    lengths: Vec<usize>,
    spans: Vec<Span>,
    /// Ends of the batches in `spans`: what a thread takes at a time.
    batches: Vec<usize>,
    /// The first span of each tensor, and the number of all.
    first_span: Vec<usize>,
}

impl Plan {
    /// Cuts tensors of these lengths, unless they are cut already.
    pub(crate) fn update(&mut self, lengths: impl Iterator<Item = usize> + Clone) {
        if lengths.clone().eq(self.lengths.iter().copied()) {
            return;
        }
        *self = Plan { lengths: lengths.collect(), ..Plan::default() };
        // Long batches keep the memory streaming; many of them keep all threads busy to the end.
        let batch = (self.len() / 32).clamp(SPAN, 16 * SPAN);
        let mut in_batch = 0;
        for (tensor, &length) in self.lengths.iter().enumerate() {
            self.first_span.push(self.spans.len());
            for start in (0..length).step_by(SPAN) {
                let len = SPAN.min(length - start);
                if in_batch + len > batch {
                    self.batches.push(self.spans.len());
                    in_batch = 0;
                }
                self.spans.push(Span { tensor, start, len });
                in_batch += len;
            }
        }
        self.batches.push(self.spans.len());
        self.first_span.push(self.spans.len());
    }

    /// The tensor a span is a part of.
    pub(super) fn tensor_of(&self, span: usize) -> usize {
        self.spans[span].tensor
    }

    /// Coordinates in all.
    pub(super) fn len(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Calls `block(span, tensor, start, n)` for every block, spread over the threads; the blocks
    /// of a span in order and on one thread.
    pub(super) fn each_block(
        &self,
        threads: &Threads,
        block: impl Fn(usize, usize, usize, usize) + Sync,
    ) {
        let batch = |k: usize| {
            let first = if k == 0 { 0 } else { self.batches[k - 1] };
            for k in first..self.batches[k] {
                let Span { tensor, start, len } = self.spans[k];
                let end = start + len;
                for start in (start..end).step_by(BLOCK) {
                    block(k, tensor, start, BLOCK.min(end - start));
                }
            }
        };
        let few = self.len() < ALONE;
        let threads = if few { &Threads::Caller } else { threads };
        threads.run(self.batches.len(), &batch);
    }
}

/// Partial results, one row of terms per span, written by many threads.
pub(super) struct Partial {
    values: Vec<f64>,
    how: &'static [Join],
}

/// The rows for writing.
pub(super) struct Rows {
    first: *mut f64,
    how: &'static [Join],
}

// SAFETY: a row is only used by the one thread that has its span.
unsafe impl Sync for Rows {}

impl Partial {
    pub(super) fn new(plan: &Plan, how: &'static [Join]) -> Partial {
        let row: Vec<f64> = how.iter().map(|how| neutral(*how)).collect();
        Partial { values: row.repeat(plan.spans.len()), how }
    }

    pub(super) fn rows(&mut self) -> Rows {
        Rows { first: self.values.as_mut_ptr(), how: self.how }
    }

    /// The joined terms of each tensor.
    pub(super) fn join(&self, plan: &Plan) -> Vec<Vec<f64>> {
        let terms = self.how.len();
        let tensors = plan.first_span.windows(2);
        let joined = |w: &[usize], k: usize| {
            pairwise(self.how[k], w[0], w[1], &|span| self.values[span * terms + k])
        };
        tensors.map(|w| (0..terms).map(|k| joined(w, k)).collect()).collect()
    }
}

impl Rows {
    /// Joins the terms of a block to those of its span.
    ///
    /// # Safety
    /// `span` is in range, and this thread alone has it.
    pub(super) unsafe fn gather<E: Element>(
        &self,
        span: usize,
        terms: &dyn Gather<E>,
        block: &Block<E>,
    ) {
        let mut sums = [0.0; MAX_TERMS];
        let count = self.how.len();
        // SAFETY: the caller's promise; every block given here is readable in whole chunks.
        unsafe {
            terms.gather(block, &mut sums[..count]);
            let row = std::slice::from_raw_parts_mut(self.first.add(span * count), count);
            for ((value, sum), how) in row.iter_mut().zip(sums).zip(self.how) {
                *value = join(*how, *value, sum);
            }
        }
    }
}

/// Partial results per row of a tensor: each span has terms for every row it has a part of.
pub(super) struct RowPartial<'w> {
    widths: &'w [Option<usize>],
    how: &'static [Join],
    /// Per span: its first row, and how many rows all spans before it have.
    first: Vec<(usize, usize)>,
    values: Vec<f64>,
}

/// The rows for writing.
pub(super) struct SpanRows<'p> {
    first: &'p [(usize, usize)],
    rows: Rows,
}

impl<'w> RowPartial<'w> {
    /// For the tensors whose rows' width is given.
    pub(super) fn new(
        plan: &Plan,
        widths: &'w [Option<usize>],
        how: &'static [Join],
    ) -> RowPartial<'w> {
        let mut count = 0;
        let mut first = Vec::with_capacity(plan.spans.len());
        for span in &plan.spans {
            let Some(width) = widths[span.tensor] else {
                first.push((0, count));
                continue;
            };
            let row = span.start / width;
            first.push((row, count));
            count += (span.start + span.len).div_ceil(width) - row;
        }
        let row: Vec<f64> = how.iter().map(|how| neutral(*how)).collect();
        RowPartial { widths, how, first, values: row.repeat(count) }
    }

    pub(super) fn rows(&mut self) -> SpanRows<'_> {
        let rows = Rows { first: self.values.as_mut_ptr(), how: self.how };
        SpanRows { first: &self.first, rows }
    }

    /// The joined terms of the rows of each tensor, one row after another.
    pub(super) fn join(&self, plan: &Plan) -> Vec<Vec<f64>> {
        let tensors = self.widths.iter().zip(&plan.lengths).zip(&plan.first_span);
        tensors
            .map(|((width, length), first_span)| {
                let Some(width) = width else { return vec![] };
                let joined = |row: usize| {
                    let (low, high) = (row * width / SPAN, ((row + 1) * width).div_ceil(SPAN));
                    let value = move |span: usize, k: usize| {
                        let (first, count) = self.first[span];
                        self.values[(count + row - first) * self.how.len() + k]
                    };
                    self.how.iter().enumerate().map(move |(k, how)| {
                        pairwise(*how, first_span + low, first_span + high, &|s| value(s, k))
                    })
                };
                (0..length / width).flat_map(joined).collect()
            })
            .collect()
    }
}

impl SpanRows<'_> {
    /// Joins the terms of a run of `row` to those its span has of that row.
    ///
    /// # Safety
    /// As for [`Rows::gather`]; the span has a part of the row.
    pub(super) unsafe fn gather<E: Element>(
        &self,
        span: usize,
        row: usize,
        terms: &dyn Gather<E>,
        run: &Block<E>,
    ) {
        let (first, count) = self.first[span];
        // SAFETY: the caller's promise; every span has its own rows.
        unsafe { self.rows.gather(count + row - first, terms, run) }
    }
}

/// Joins the values from `low` to `high` as a balanced tree, whose error grows with its depth only.
fn pairwise(how: Join, low: usize, high: usize, value: &impl Fn(usize) -> f64) -> f64 {
    match high - low {
        0 => neutral(how),
        1 => value(low),
        n => {
            let middle = low + n / 2;
            join(how, pairwise(how, low, middle, value), pairwise(how, middle, high, value))
        }
    }
}
