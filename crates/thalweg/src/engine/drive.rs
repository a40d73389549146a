//! The driver: which thread sweeps which blocks, and sums in a fixed order.
//!
//! Blocks start at multiples of [`BLOCK`] of their tensor and every sum is joined block by block
//! in the tensor's order, so neither the thread count nor the neighbours of a tensor change a bit.

use super::isa::Isa;
use super::kernel::{self, BLOCK, Block, CHUNK, Gather, Kernel, MAX_SLOTS, join, neutral};
use super::threads::Threads;
use super::{Element, buffer::Slots};
use crate::part::Join;

/// Coordinates a thread takes at a time.
const BATCH: usize = 16 * BLOCK;
/// Below this many coordinates a step stays on the calling thread: waking another costs more.
pub(crate) const ALONE: usize = 24 * BLOCK;

/// A tensor as the sweep sees it.
pub(crate) struct Tensor<'a, E> {
    pub(crate) x: *mut E,
    pub(crate) g: *const E,
    pub(crate) len: usize,
    pub(crate) slots: &'a Slots<E>,
    /// Which of the prepared chains it follows.
    pub(crate) chain: usize,
}

// SAFETY: the pointers come from slices that the step borrows, mutably for `x`, until it is over.
unsafe impl<E: Element> Send for Tensor<'_, E> {}
// SAFETY: threads share tensors but never a block of them.
unsafe impl<E: Element> Sync for Tensor<'_, E> {}

/// The formulas of a chain at one moment.
pub(crate) struct Prepared<E> {
    pub(crate) kernels: Vec<Box<dyn Kernel<E>>>,
    /// The first slot of each kernel.
    pub(crate) first_slot: Vec<usize>,
    /// Whether the last kernel writes the parameter itself.
    pub(crate) geometry: bool,
}

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
    /// Ends of the batches in `spans`.
    batches: Vec<usize>,
    /// The first leaf of each tensor, and the number of all.
    first_leaf: Vec<usize>,
}

impl Plan {
    /// Cuts tensors of these lengths, unless they are cut already.
    pub(crate) fn update(&mut self, lengths: impl Iterator<Item = usize> + Clone) {
        if lengths.clone().eq(self.lengths.iter().copied()) {
            return;
        }
        *self = Plan { lengths: lengths.collect(), ..Plan::default() };
        let (mut leaf, mut in_batch) = (0, 0);
        for (tensor, &length) in self.lengths.iter().enumerate() {
            self.first_leaf.push(leaf);
            leaf += length.div_ceil(BLOCK);
            let mut start = 0;
            while start < length {
                let len = (BATCH - in_batch).next_multiple_of(BLOCK).min(length - start);
                self.spans.push(Span { tensor, start, len });
                start += len;
                in_batch += len;
                if in_batch >= BATCH {
                    self.batches.push(self.spans.len());
                    in_batch = 0;
                }
            }
        }
        if in_batch > 0 {
            self.batches.push(self.spans.len());
        }
        self.first_leaf.push(leaf);
    }

    fn leaves(&self) -> usize {
        self.first_leaf.last().copied().unwrap_or(0)
    }

    /// Calls `block(tensor, start, n)` for every block, spread over the threads.
    fn each_block(&self, threads: &Threads, block: impl Fn(usize, usize, usize) + Sync) {
        let batch = |k: usize| {
            let first = if k == 0 { 0 } else { self.batches[k - 1] };
            for span in &self.spans[first..self.batches[k]] {
                let end = span.start + span.len;
                for start in (span.start..end).step_by(BLOCK) {
                    block(span.tensor, start, BLOCK.min(end - start));
                }
            }
        };
        let few = self.lengths.iter().sum::<usize>() < ALONE;
        let threads = if few { &Threads::Caller } else { threads };
        threads.run(self.batches.len(), &batch);
    }
}

/// A block's buffers in the cache.
#[repr(align(64))]
struct Buffer<E>([E; BLOCK]);

impl<E: Element> Buffer<E> {
    fn new() -> Buffer<E> {
        Buffer([E::number(0.0); BLOCK])
    }
    fn pointer(&mut self) -> *mut E {
        self.0.as_mut_ptr()
    }
}

/// Where a block's slots stand.
fn slots_at<E: Element>(
    tensor: &Tensor<'_, E>,
    first: usize,
    start: usize,
    none: *mut E,
) -> [*mut E; MAX_SLOTS] {
    let mut pointers = [none; MAX_SLOTS];
    let count = tensor.slots.count().saturating_sub(first).min(MAX_SLOTS);
    for (k, pointer) in pointers.iter_mut().enumerate().take(count) {
        *pointer = tensor.slots.pointer(first + k).wrapping_add(start);
    }
    pointers
}

/// What a sweep works with.
pub(crate) struct Sweep<'a, E> {
    pub(crate) isa: Isa,
    pub(crate) threads: &'a Threads,
    pub(crate) plan: &'a Plan,
    pub(crate) tensors: &'a [Tensor<'a, E>],
    /// What every gradient is multiplied by.
    pub(crate) scale: E,
}

/// What a probe gathers: terms of a block, before or after the formulas have run.
pub(crate) struct Watch<E> {
    pub(crate) before: bool,
    /// Per prepared chain: the terms, and the first slot they read.
    pub(crate) terms: Vec<Option<(Box<dyn Gather<E>>, usize)>>,
    pub(crate) join: &'static [Join],
}

/// Partial results, one row of terms per leaf, written by many threads.
struct Leaves {
    values: Vec<f64>,
    terms: usize,
}

struct Row(*mut f64);
// SAFETY: every leaf is written by the one thread that has its block.
unsafe impl Sync for Row {}

impl Leaves {
    fn new(plan: &Plan, join: &[Join]) -> Leaves {
        let row: Vec<f64> = join.iter().map(|j| neutral(*j)).collect();
        Leaves { values: row.repeat(plan.leaves()), terms: join.len() }
    }

    fn row(&mut self) -> Row {
        Row(self.values.as_mut_ptr())
    }

    /// The joined terms of each tensor.
    fn join(&self, plan: &Plan, how: &[Join]) -> Vec<Vec<f64>> {
        plan.first_leaf
            .windows(2)
            .map(|w| {
                (0..self.terms)
                    .map(|k| pairwise(how[k], w[0], w[1], &|leaf| self.values[leaf * self.terms + k]))
                    .collect()
            })
            .collect()
    }
}

impl Row {
    /// # Safety
    /// `leaf` is in range, and nobody else uses its row.
    #[allow(clippy::mut_from_ref, reason = "rows are disjoint")]
    unsafe fn at(&self, leaf: usize, terms: usize) -> &mut [f64] {
        // SAFETY: as the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(leaf * terms), terms) }
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

impl<E: Element> Sweep<'_, E> {
    /// The sum of the squares of each tensor's gradient, unscaled.
    pub(crate) fn squares(&self, gather: &dyn Gather<E>) -> Vec<f64> {
        const JOIN: &[Join] = &[Join::Sum];
        let mut leaves = Leaves::new(self.plan, JOIN);
        let rows = leaves.row();
        self.plan.each_block(self.threads, |t, start, n| {
            let tensor = &self.tensors[t];
            let g = tensor.g.cast_mut().wrapping_add(start);
            let block = Block { n, x: g, g, u: g, scale: self.scale, slots: [g; MAX_SLOTS] };
            let leaf = self.plan.first_leaf[t] + start / BLOCK;
            // SAFETY: the gradient holds `n` coordinates from `start`; gathering only reads.
            unsafe { gather.gather(&block, rows.at(leaf, 1)) }
        });
        leaves.join(self.plan, JOIN).into_iter().map(|sums| sums[0]).collect()
    }

    /// One reading pass: the terms of stage `stage` after the stages before it, per tensor. Nothing
    /// is written. `None` for tensors whose chain has no such terms.
    pub(crate) fn gather(
        &self,
        prepared: &[Prepared<E>],
        stage: usize,
        terms: &[Option<Box<dyn Gather<E>>>],
        how: &'static [Join],
    ) -> Vec<Vec<f64>> {
        let mut leaves = Leaves::new(self.plan, how);
        let rows = leaves.row();
        self.plan.each_block(self.threads, |t, start, n| {
            let tensor = &self.tensors[t];
            let Some(gather) = &terms[tensor.chain] else { return };
            let leaf = self.plan.first_leaf[t] + start / BLOCK;
            // SAFETY: this thread alone has the leaf.
            let sums = unsafe { rows.at(leaf, how.len()) };
            self.dry_run(tensor, &prepared[tensor.chain], stage, start, n, |block| {
                // SAFETY: the block's streams hold `n` coordinates; gathering only reads.
                unsafe { gather.gather(block, sums) }
            });
        });
        leaves.join(self.plan, how)
    }

    /// Runs the stages before `stage` on copies and shows the block that stage would receive.
    fn dry_run(
        &self,
        tensor: &Tensor<'_, E>,
        chain: &Prepared<E>,
        stage: usize,
        start: usize,
        n: usize,
        see: impl FnOnce(&Block<E>),
    ) {
        let (mut x, mut g, mut u) = (Buffer::new(), Buffer::new(), Buffer::new());
        let mut from = Buffer::new();
        let whole = n.next_multiple_of(CHUNK);
        let none = u.pointer();
        let mut block = Block {
            n: whole,
            x: x.pointer(),
            g: g.pointer(),
            u: u.pointer(),
            scale: self.scale,
            slots: [none; MAX_SLOTS],
        };
        // SAFETY: tensors hold `n` coordinates from `start`, slots whole chunks; the copies are
        // this function's own and hold a block.
        unsafe {
            std::ptr::copy_nonoverlapping(tensor.x.add(start), block.x, n);
            std::ptr::copy_nonoverlapping(tensor.g.add(start), from.pointer(), n);
            kernel::load(self.isa, &block, from.pointer());
            for (k, kernel) in chain.kernels[..stage].iter().enumerate() {
                let first = chain.first_slot[k];
                let count = chain.first_slot[k + 1] - first;
                let mut copies: Vec<Buffer<E>> = (0..count).map(|_| Buffer::new()).collect();
                for (j, copy) in copies.iter_mut().enumerate() {
                    let slot = tensor.slots.pointer(first + j).add(start);
                    std::ptr::copy_nonoverlapping(slot, copy.pointer(), whole);
                    block.slots[j] = copy.pointer();
                }
                kernel.staged(&block);
            }
        }
        block.n = n;
        block.slots = slots_at(tensor, chain.first_slot[stage], start, none);
        see(&block);
    }

    /// The step itself: every formula over every block, once. Returns what the watches gathered,
    /// per watch and tensor.
    pub(crate) fn sweep(
        &self,
        prepared: &[Prepared<E>],
        watches: &[Watch<E>],
    ) -> Vec<Vec<Vec<f64>>> {
        let mut gathered: Vec<Leaves> =
            watches.iter().map(|w| Leaves::new(self.plan, w.join)).collect();
        let rows: Vec<Row> = gathered.iter_mut().map(Leaves::row).collect();
        self.plan.each_block(self.threads, |t, start, n| {
            let tensor = &self.tensors[t];
            let leaf = self.plan.first_leaf[t] + start / BLOCK;
            let watch = |before: bool| {
                for (watch, rows) in watches.iter().zip(&rows) {
                    if watch.before == before {
                        // SAFETY: this thread alone has the leaf.
                        let sums = unsafe { rows.at(leaf, watch.join.len()) };
                        self.watch(watch, tensor, start, n, sums);
                    }
                }
            };
            watch(true);
            self.block(tensor, &prepared[tensor.chain], start, n);
            watch(false);
        });
        gathered.iter().zip(watches).map(|(g, w)| g.join(self.plan, w.join)).collect()
    }

    fn watch(
        &self,
        watch: &Watch<E>,
        tensor: &Tensor<'_, E>,
        start: usize,
        n: usize,
        sums: &mut [f64],
    ) {
        let Some((terms, first)) = &watch.terms[tensor.chain] else { return };
        let (x, g) = (tensor.x.wrapping_add(start), tensor.g.cast_mut().wrapping_add(start));
        let slots = slots_at(tensor, *first, start, x);
        let block = Block { n, x, g, u: g, scale: self.scale, slots };
        // SAFETY: the streams hold `n` coordinates from `start`; gathering only reads.
        unsafe { terms.gather(&block, sums) }
    }

    /// One block: its whole chunks in place, the partial last one on copies.
    fn block(&self, tensor: &Tensor<'_, E>, chain: &Prepared<E>, start: usize, n: usize) {
        let whole = n / CHUNK * CHUNK;
        let (x, g) = (tensor.x.wrapping_add(start), tensor.g.wrapping_add(start));
        if whole > 0 {
            // SAFETY: tensors hold `n` coordinates from `start`.
            unsafe { self.chunks(tensor, chain, start, x, g, whole) }
        }
        let rest = n - whole;
        if rest > 0 {
            let (mut x_copy, mut g_copy) = ([E::number(0.0); CHUNK], [E::number(0.0); CHUNK]);
            // SAFETY: `rest` coordinates remain; slots are padded to whole chunks.
            unsafe {
                let (x, g) = (x.add(whole), g.add(whole));
                std::ptr::copy_nonoverlapping(x, x_copy.as_mut_ptr(), rest);
                std::ptr::copy_nonoverlapping(g, g_copy.as_mut_ptr(), rest);
                let copy = x_copy.as_mut_ptr();
                self.chunks(tensor, chain, start + whole, copy, g_copy.as_ptr(), CHUNK);
                std::ptr::copy_nonoverlapping(copy, x, rest);
            }
        }
    }

    /// # Safety
    /// `x` and `g` hold `n` coordinates, whole chunks; the slots do from `start` on.
    unsafe fn chunks(
        &self,
        tensor: &Tensor<'_, E>,
        chain: &Prepared<E>,
        start: usize,
        x: *mut E,
        g: *const E,
        n: usize,
    ) {
        let scale = self.scale;
        if let [kernel] = &chain.kernels[..] {
            let slots = slots_at(tensor, 0, start, x);
            // SAFETY: the caller's promise; a fused kernel only reads `g` and ignores `u`.
            return unsafe { kernel.fused(&Block { n, x, g: g.cast_mut(), u: x, scale, slots }) };
        }
        let (mut g_here, mut u_here) = (Buffer::new(), Buffer::new());
        let (u, none) = (u_here.pointer(), x);
        let mut block =
            Block { n, x, g: g_here.pointer(), u, scale, slots: [none; MAX_SLOTS] };
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            kernel::load(self.isa, &block, g);
            for (kernel, first) in chain.kernels.iter().zip(&chain.first_slot) {
                block.slots = slots_at(tensor, *first, start, none);
                kernel.staged(&block);
            }
            if !chain.geometry {
                kernel::apply(self.isa, &block);
            }
        }
    }
}
