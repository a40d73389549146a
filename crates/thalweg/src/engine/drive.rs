//! The driver: which thread sweeps which blocks, and sums in a fixed order.
//!
//! Tensors are cut into spans at multiples of [`SPAN`]. A span is swept block by block by one
//! thread, which joins its sums in order; spans are joined as a balanced tree. So neither the
//! thread count nor the neighbours of a tensor change a bit.

use std::mem::MaybeUninit;

use super::kernel::{
    BLOCK, Block, CHUNK, Gather, Kernel, MAX_HINTS, MAX_SLOTS, MAX_TERMS, join, neutral,
};
use super::threads::Threads;
use super::{Element, buffer::Slots};
use crate::part::Join;

/// Coordinates in a span, and about as many as a thread takes at a time.
const SPAN: usize = 16 * BLOCK;
/// How far ahead of use a chain of one stage asks for memory, in bytes. (A longer chain asks for
/// the next block, spread over its stages, so that loading and computing overlap.)
const AHEAD: usize = 2048;
/// The same for a pass that only reads one stream: further, since nothing else fills the queue.
const READ_AHEAD: usize = 4096;
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
        let mut in_batch = 0;
        for (tensor, &length) in self.lengths.iter().enumerate() {
            self.first_span.push(self.spans.len());
            for start in (0..length).step_by(SPAN) {
                let len = SPAN.min(length - start);
                if in_batch + len > SPAN {
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

    /// Calls `block(span, tensor, start, n)` for every block, spread over the threads; the blocks
    /// of a span in order and on one thread.
    fn each_block(&self, threads: &Threads, block: impl Fn(usize, usize, usize, usize) + Sync) {
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
        let few = self.lengths.iter().sum::<usize>() < ALONE;
        let threads = if few { &Threads::Caller } else { threads };
        threads.run(self.batches.len(), &batch);
    }
}

/// A block in the cache. Not cleared: that would cost as much as a stage.
#[repr(align(64))]
struct Buffer<E>(MaybeUninit<[E; BLOCK]>);

impl<E: Element> Buffer<E> {
    fn new() -> Buffer<E> {
        Buffer(MaybeUninit::uninit())
    }
    fn pointer(&mut self) -> *mut E {
        self.0.as_mut_ptr().cast()
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

/// Partial results, one row of terms per span, written by many threads.
struct Partial {
    values: Vec<f64>,
    how: &'static [Join],
}

/// The rows for writing.
struct Rows {
    first: *mut f64,
    how: &'static [Join],
}

// SAFETY: a row is only used by the one thread that has its span.
unsafe impl Sync for Rows {}

impl Partial {
    fn new(plan: &Plan, how: &'static [Join]) -> Partial {
        let row: Vec<f64> = how.iter().map(|how| neutral(*how)).collect();
        Partial { values: row.repeat(plan.spans.len()), how }
    }

    fn rows(&mut self) -> Rows {
        Rows { first: self.values.as_mut_ptr(), how: self.how }
    }

    /// The joined terms of each tensor.
    fn join(&self, plan: &Plan) -> Vec<Vec<f64>> {
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
    unsafe fn gather<E: Element>(&self, span: usize, terms: &dyn Gather<E>, block: &Block<E>) {
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
        let mut partial = Partial::new(self.plan, &[Join::Sum]);
        let rows = partial.rows();
        self.plan.each_block(self.threads, |span, t, start, n| {
            let mut copies = [Buffer::new(), Buffer::new()];
            let mut block = self.readable(&self.tensors[t], start, n, &mut copies);
            block.x = block.g.cast_mut();
            block.hint(&[block.g], READ_AHEAD / size_of::<E>());
            // SAFETY: the block is readable in whole chunks; this thread alone has the span.
            unsafe { rows.gather(span, gather, &block) }
        });
        partial.join(self.plan).into_iter().map(|sums| sums[0]).collect()
    }

    /// One reading pass: the terms of stage `stage` after the stages before it, per tensor. Nothing
    /// is written. Neutral for tensors whose chain has no such terms.
    pub(crate) fn gather(
        &self,
        prepared: &[Prepared<E>],
        stage: usize,
        terms: &[Option<Box<dyn Gather<E>>>],
        how: &'static [Join],
    ) -> Vec<Vec<f64>> {
        let mut partial = Partial::new(self.plan, how);
        let rows = partial.rows();
        self.plan.each_block(self.threads, |span, t, start, n| {
            let tensor = &self.tensors[t];
            let Some(gather) = &terms[tensor.chain] else { return };
            self.dry_run(tensor, &prepared[tensor.chain], stage, start, n, |block| {
                // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                unsafe { rows.gather(span, gather.as_ref(), block) }
            });
        });
        partial.join(self.plan)
    }

    /// A block of `n` coordinates that reads the scaled gradient and writes nothing.
    fn plain(&self, n: usize, x: *mut E, g: *const E) -> Block<E> {
        Block {
            n,
            x,
            u: g,
            u_scale: self.scale,
            g,
            g_scale: self.scale,
            u_out: x,
            g_out: x,
            slots: [x; MAX_SLOTS],
            hints: [x; MAX_HINTS],
            hint_count: 0,
        }
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
        let mut copies = [Buffer::new(), Buffer::new()];
        let mut block = self.readable(tensor, start, n, &mut copies);
        let mut buffers = Buffers::new();
        let whole = n.next_multiple_of(CHUNK);
        // SAFETY: the slots hold whole chunks from `start`; what is written are copies and buffers
        // of this function.
        unsafe {
            block.n = whole;
            for (k, kernel) in chain.kernels[..stage].iter().enumerate() {
                let first = chain.first_slot[k];
                let count = chain.first_slot[k + 1] - first;
                let mut copies: Vec<Buffer<E>> = (0..count).map(|_| Buffer::new()).collect();
                for (j, copy) in copies.iter_mut().enumerate() {
                    let slot = tensor.slots.pointer(first + j).add(start);
                    std::ptr::copy_nonoverlapping(slot, copy.pointer(), whole);
                    block.slots[j] = copy.pointer();
                }
                buffers.pass(kernel.as_ref(), &mut block);
            }
        }
        block.n = n;
        block.slots = slots_at(tensor, chain.first_slot[stage], start, block.x);
        see(&block);
    }

    /// A block whose parameter and gradient can be read in whole chunks: in place, or, at a ragged
    /// end, as copies.
    fn readable(
        &self,
        tensor: &Tensor<'_, E>,
        start: usize,
        n: usize,
        [x_copy, g_copy]: &mut [Buffer<E>; 2],
    ) -> Block<E> {
        let (x, g) = (tensor.x.wrapping_add(start), tensor.g.wrapping_add(start));
        let whole = n.next_multiple_of(CHUNK);
        if whole == n {
            return self.plain(n, x, g);
        }
        for (from, to) in [(x.cast_const(), x_copy.pointer()), (g, g_copy.pointer())] {
            // SAFETY: tensors hold `n` coordinates from `start`, a buffer a block.
            unsafe {
                std::ptr::copy_nonoverlapping(from, to, n);
                std::ptr::write_bytes(to.add(n), 0, whole - n);
            }
        }
        self.plain(n, x_copy.pointer(), g_copy.pointer())
    }

    /// The step itself: every formula over every block, once. Returns what the watches gathered,
    /// per watch and tensor.
    pub(crate) fn sweep(
        &self,
        prepared: &[Prepared<E>],
        watches: &[Watch<E>],
    ) -> Vec<Vec<Vec<f64>>> {
        let mut gathered: Vec<Partial> =
            watches.iter().map(|w| Partial::new(self.plan, w.join)).collect();
        let rows: Vec<Rows> = gathered.iter_mut().map(Partial::rows).collect();
        self.plan.each_block(self.threads, |span, t, start, n| {
            let tensor = &self.tensors[t];
            let watch = |before: bool| {
                let mine = watches.iter().zip(&rows).filter(|(w, _)| w.before == before);
                for (watch, rows) in mine {
                    let Some((terms, first)) = &watch.terms[tensor.chain] else { continue };
                    let mut copies = [Buffer::new(), Buffer::new()];
                    let mut block = self.readable(tensor, start, n, &mut copies);
                    block.slots = slots_at(tensor, *first, start, block.x);
                    // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                    unsafe { rows.gather(span, terms.as_ref(), &block) }
                }
            };
            watch(true);
            // What is watched before the step has to be there before it.
            let ahead = if watches.is_empty() { AHEAD } else { BLOCK * size_of::<E>() };
            self.block(tensor, &prepared[tensor.chain], start, n, ahead);
            watch(false);
        });
        gathered.iter().map(|partial| partial.join(self.plan)).collect()
    }

    /// One block: its whole chunks in place, the partial last one on copies.
    fn block(
        &self,
        tensor: &Tensor<'_, E>,
        chain: &Prepared<E>,
        start: usize,
        n: usize,
        ahead: usize,
    ) {
        let whole = n / CHUNK * CHUNK;
        let (x, g) = (tensor.x.wrapping_add(start), tensor.g.wrapping_add(start));
        if whole > 0 {
            // SAFETY: tensors hold `n` coordinates from `start`.
            unsafe { self.chunks(tensor, chain, start, x, g, whole, ahead) }
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
                self.chunks(tensor, chain, start + whole, copy, g_copy.as_ptr(), CHUNK, ahead);
                std::ptr::copy_nonoverlapping(copy, x, rest);
            }
        }
    }

    /// # Safety
    /// `x` and `g` hold `n` coordinates, whole chunks; the slots do from `start` on.
    #[allow(clippy::too_many_arguments, reason = "the whole situation of a block")]
    unsafe fn chunks(
        &self,
        tensor: &Tensor<'_, E>,
        chain: &Prepared<E>,
        start: usize,
        x: *mut E,
        g: *const E,
        n: usize,
        ahead: usize,
    ) {
        let mut block = self.plain(n, x, g);
        let Some((last, before)) = chain.kernels.split_last() else {
            return;
        };
        let streams = streams(tensor, x, g, start);
        let streams = &streams[..2 + tensor.slots.count().min(MAX_SLOTS)];
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            if before.is_empty() {
                block.hint(streams, ahead / size_of::<E>());
                block.slots = slots_at(tensor, 0, start, x);
                return last.apply(&block);
            }
            let mut buffers = Buffers::new();
            let share = streams.len().div_ceil(chain.kernels.len());
            let mut hints = streams.chunks(share);
            for (kernel, first) in before.iter().zip(&chain.first_slot) {
                block.slots = slots_at(tensor, *first, start, x);
                block.hint(hints.next().unwrap_or(&[]), BLOCK);
                buffers.pass(kernel.as_ref(), &mut block);
            }
            block.slots = slots_at(tensor, chain.first_slot[before.len()], start, x);
            block.hint(hints.next().unwrap_or(&[]), BLOCK);
            last.apply(&block);
        }
    }
}

/// The streams of a tensor from `start` on: parameter, gradient, slots.
fn streams<E: Element>(
    tensor: &Tensor<'_, E>,
    x: *mut E,
    g: *const E,
    start: usize,
) -> [*const E; MAX_HINTS] {
    let mut streams = [g; MAX_HINTS];
    streams[0] = x.cast_const();
    for k in 0..tensor.slots.count().min(MAX_SLOTS) {
        streams[2 + k] = tensor.slots.pointer(k).wrapping_add(start).cast_const();
    }
    streams
}

impl<E: Element> Block<E> {
    /// Has the next kernel ask for these streams, `ahead` coordinates further on.
    fn hint(&mut self, streams: &[*const E], ahead: usize) {
        for (hint, stream) in self.hints.iter_mut().zip(streams) {
            *hint = stream.wrapping_add(ahead);
        }
        self.hint_count = streams.len();
    }
}

/// The buffers between the stages of a chain, in the cache: the update in two that take turns, and
/// the gradient once a stage has redefined it.
struct Buffers<E> {
    u: [Buffer<E>; 2],
    g: [Buffer<E>; 2],
    turn: usize,
}

impl<E: Element> Buffers<E> {
    fn new() -> Buffers<E> {
        Buffers {
            u: [Buffer::new(), Buffer::new()],
            g: [Buffer::new(), Buffer::new()],
            turn: 0,
        }
    }

    /// Runs a stage and makes its result what the block's next stage receives.
    ///
    /// # Safety
    /// As for [`Kernel::update`], but for `u_out` and `g_out`.
    unsafe fn pass(&mut self, kernel: &dyn Kernel<E>, block: &mut Block<E>) {
        let one = E::number(1.0);
        block.u_out = self.u[self.turn].pointer();
        block.g_out = self.g[self.turn].pointer();
        // SAFETY: the caller's promise; of two buffers the one not read is written.
        unsafe { kernel.update(block) }
        (block.u, block.u_scale) = (block.u_out, one);
        if kernel.redefines_gradient() {
            (block.g, block.g_scale) = (block.g_out, one);
        }
        self.turn = 1 - self.turn;
    }
}
