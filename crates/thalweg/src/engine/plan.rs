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
    /// Their sum: asked for with every block.
    len: usize,
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
        let len = lengths.clone().sum();
        *self = Plan { lengths: lengths.collect(), len, ..Plan::default() };
        // Long batches keep the memory streaming; many of them keep all threads busy to the end.
        let batch = (len / 32).clamp(SPAN, 16 * SPAN);
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
        self.len
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

/// Terms of a pass over the data: partial results, one row per span, written by many threads, then
/// the joined ones of each tensor.
#[derive(Default)]
pub(crate) struct Sums {
    partial: Vec<f64>,
    joined: Vec<f64>,
    how: &'static [Join],
}

/// The rows for writing.
pub(super) struct Rows {
    first: *mut f64,
    how: &'static [Join],
}

// SAFETY: a row is only used by the one thread that has its span.
unsafe impl Sync for Rows {}

/// Makes `values` as many rows of what the joins start from.
fn restart(values: &mut Vec<f64>, how: &[Join], rows: usize) {
    values.clear();
    for _ in 0..rows {
        values.extend(how.iter().map(|how| neutral(*how)));
    }
}

impl Sums {
    /// Before a pass: the rows of partial results.
    pub(super) fn start(&mut self, plan: &Plan, how: &'static [Join]) -> Rows {
        self.how = how;
        restart(&mut self.partial, how, plan.spans.len());
        Rows { first: self.partial.as_mut_ptr(), how }
    }

    /// After a pass: joins the terms of each tensor.
    pub(super) fn join(&mut self, plan: &Plan) {
        let terms = self.how.len();
        self.joined.clear();
        for span in plan.first_span.windows(2) {
            let joined = |(k, how): (usize, &Join)| {
                pairwise(*how, span[0], span[1], &|span| self.partial[span * terms + k])
            };
            self.joined.extend(self.how.iter().enumerate().map(joined));
        }
    }

    /// The joined terms of a tensor.
    pub(crate) fn of(&self, tensor: usize) -> &[f64] {
        &self.joined[tensor * self.how.len()..][..self.how.len()]
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
        block: &Block<'_, E>,
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

/// Terms of a pass per row of a tensor: partial results, each span having some for every row it has a
/// part of, then the joined ones of each row.
#[derive(Default)]
pub(crate) struct RowSums {
    /// Per span: its first row, and how many rows all spans before it have.
    first: Vec<(usize, usize)>,
    partial: Vec<f64>,
    /// The rows of one tensor after another.
    joined: Vec<f64>,
    /// Where those of each tensor begin and end in `joined`.
    ends: Vec<usize>,
    how: &'static [Join],
}

/// The rows for writing.
pub(super) struct SpanRows<'p> {
    first: &'p [(usize, usize)],
    rows: Rows,
}

impl RowSums {
    /// Before a pass over the tensors whose rows' width is given: the rows of partial results.
    pub(super) fn start(
        &mut self,
        plan: &Plan,
        widths: &[Option<usize>],
        how: &'static [Join],
    ) -> SpanRows<'_> {
        let mut count = 0;
        self.how = how;
        self.first.clear();
        for span in &plan.spans {
            let Some(width) = widths[span.tensor] else {
                self.first.push((0, count));
                continue;
            };
            let row = span.start / width;
            self.first.push((row, count));
            count += (span.start + span.len).div_ceil(width) - row;
        }
        restart(&mut self.partial, how, count);
        SpanRows { first: &self.first, rows: Rows { first: self.partial.as_mut_ptr(), how } }
    }

    /// After a pass: joins the terms of each row.
    pub(super) fn join(&mut self, plan: &Plan, widths: &[Option<usize>]) {
        let terms = self.how.len();
        self.joined.clear();
        self.ends.clear();
        self.ends.push(0);
        for ((width, length), first_span) in widths.iter().zip(&plan.lengths).zip(&plan.first_span)
        {
            let rows = width.map_or(0, |width| length / width);
            for row in 0..rows {
                let width = width.unwrap_or_default();
                let (low, high) = (row * width / SPAN, ((row + 1) * width).div_ceil(SPAN));
                for (k, how) in self.how.iter().enumerate() {
                    let value = |span: usize| {
                        let (first, count) = self.first[span];
                        self.partial[(count + row - first) * terms + k]
                    };
                    self.joined.push(pairwise(*how, first_span + low, first_span + high, &value));
                }
            }
            self.ends.push(self.joined.len());
        }
    }

    /// The joined terms of the rows of a tensor, one row after another.
    pub(crate) fn of(&self, tensor: usize) -> &[f64] {
        &self.joined[self.ends[tensor]..self.ends[tensor + 1]]
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
        run: &Block<'_, E>,
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
