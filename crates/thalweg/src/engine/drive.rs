//! The driver: what happens to a block, before, during and after its formulas.

use std::mem::MaybeUninit;

use super::kernel::{BLOCK, Block, CHUNK, Gather, Kernel, MAX_HINTS, MAX_SLOTS};
use super::plan::{Partial, Plan, Rows};
use super::threads::Threads;
use super::{Element, buffer::Slots};
use crate::part::Join;

/// How far ahead of use a chain of one stage asks for memory, in bytes. (Several jobs on a block
/// ask for the next one between them, so that loading and computing overlap.)
const AHEAD: usize = 2048;
/// The same for a pass that only reads one stream: further, since nothing else fills the queue.
const READ_AHEAD: usize = 4096;
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
            let chain = &prepared[tensor.chain];
            let mut hints = Hints::new(tensor, start, watches.len() + chain.kernels.len());
            let watch = |before: bool, hints: &mut Hints<E>| {
                let mine = watches.iter().zip(&rows).filter(|(w, _)| w.before == before);
                for (watch, rows) in mine {
                    let Some((terms, first)) = &watch.terms[tensor.chain] else { continue };
                    let mut copies = [Buffer::new(), Buffer::new()];
                    let mut block = self.readable(tensor, start, n, &mut copies);
                    block.slots = slots_at(tensor, *first, start, block.x);
                    hints.give(&mut block);
                    // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                    unsafe { rows.gather(span, terms.as_ref(), &block) }
                }
            };
            watch(true, &mut hints);
            self.block(tensor, chain, start, n, &mut hints);
            watch(false, &mut hints);
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
        hints: &mut Hints<E>,
    ) {
        let whole = n / CHUNK * CHUNK;
        let (x, g) = (tensor.x.wrapping_add(start), tensor.g.wrapping_add(start));
        if whole > 0 {
            // SAFETY: tensors hold `n` coordinates from `start`.
            unsafe { self.chunks(tensor, chain, start, x, g, whole, hints) }
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
                let none = &mut Hints::none();
                self.chunks(tensor, chain, start + whole, copy, g_copy.as_ptr(), CHUNK, none);
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
        hints: &mut Hints<E>,
    ) {
        let mut block = self.plain(n, x, g);
        let Some((last, before)) = chain.kernels.split_last() else {
            return;
        };
        let mut buffers = Buffers::new();
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            for (kernel, first) in before.iter().zip(&chain.first_slot) {
                block.slots = slots_at(tensor, *first, start, x);
                hints.give(&mut block);
                buffers.pass(kernel.as_ref(), &mut block);
            }
            block.slots = slots_at(tensor, chain.first_slot[before.len()], start, x);
            hints.give(&mut block);
            last.apply(&block);
        }
    }
}

/// The streams of a block, shared out among the jobs that work on it: each asks the memory for its
/// share of what comes later.
struct Hints<E> {
    streams: [*const E; MAX_HINTS],
    count: usize,
    share: usize,
    given: usize,
}

impl<E: Element> Hints<E> {
    fn new(tensor: &Tensor<'_, E>, start: usize, jobs: usize) -> Hints<E> {
        // A single job asks for what it needs itself a little later, several for the next block.
        let ahead = if jobs == 1 { AHEAD / size_of::<E>() } else { BLOCK };
        let at = start + ahead;
        let slots = tensor.slots.count().min(MAX_SLOTS);
        let mut streams = [tensor.g.wrapping_add(at); MAX_HINTS];
        streams[0] = tensor.x.wrapping_add(at).cast_const();
        for k in 0..slots {
            streams[2 + k] = tensor.slots.pointer(k).wrapping_add(at).cast_const();
        }
        let count = 2 + slots;
        Hints { streams, count, share: count.div_ceil(jobs.max(1)), given: 0 }
    }

    fn none() -> Hints<E> {
        Hints { streams: [std::ptr::null(); MAX_HINTS], count: 0, share: 0, given: 0 }
    }

    /// Gives the next share to the kernel that runs the block next.
    fn give(&mut self, block: &mut Block<E>) {
        let end = (self.given + self.share).min(self.count);
        block.hint(&self.streams[self.given..end], 0);
        self.given = end;
    }
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
        Buffers { u: [Buffer::new(), Buffer::new()], g: [Buffer::new(), Buffer::new()], turn: 0 }
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
