//! The driver: what happens to a block, before, during and after its formulas.

use super::given::{self, Given, RowCopy};
use super::hints::{Effort, Hints, Shares, Touched, effort};
use super::kernel::{Block, CHUNK, Gather, Kernel, MAX_SLOTS};
use super::plan::{Plan, RowSums, Rows, Sums};
use super::stage::{Gathers, Kernels};
use super::tensor::{Buffer, Edge, Loaded, MAX_CHAIN_SLOTS, Tensor};
use super::threads::Threads;
use super::{Element, Isa};
use crate::part::Join;

/// Below this many coordinates everything is in a cache already, and asking only costs.
const CACHED: usize = 1 << 19;

/// As many slots as most chains have, at most.
const FEW_SLOTS: usize = 4;

/// The effort of gathering terms.
const TERMS: Effort = effort(0);

/// The formulas of a chain at one moment.
#[derive(Default)]
pub(crate) struct Prepared<E> {
    pub(crate) kernels: Kernels<E>,
    /// The first slot of each kernel.
    pub(crate) first_slot: Vec<usize>,
    /// What stands in for the slots of each kernel.
    pub(crate) given: Vec<Given<E>>,
    /// The terms of all its reading passes so far.
    pub(crate) gathers: Gathers<E>,
    /// Which of them the pass in hand gathers.
    pub(crate) reading: Option<usize>,
}

impl<E> Prepared<E> {
    /// The terms that the pass in hand gathers of tensors that follow the chain.
    fn terms(&self) -> Option<&dyn Gather<E>> {
        self.reading.map(|k| self.gathers[k].as_ref())
    }

    /// The effort of a sweep over a block, and whether it is a single job.
    fn work(&self, watches: &[Watch<E>]) -> (Effort, bool) {
        let slots = self.first_slot.last().copied().unwrap_or(0);
        let kernels = self.kernels.len();
        (kernels * effort(0) + slots + watches.len() * TERMS, kernels + watches.len() == 1)
    }
}

/// What a sweep works with.
pub(crate) struct Sweep<'a, E> {
    pub(crate) threads: &'a Threads,
    pub(crate) isa: Isa,
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

/// A block of a tensor: where it starts, how long it is, and whose sums its own are joined to.
#[derive(Clone, Copy)]
struct Place {
    span: usize,
    start: usize,
    n: usize,
}

impl<E: Element> Sweep<'_, E> {
    /// Calls `work` with every block, loaded. What `work` changes is in place or in the copies.
    fn each_loaded(&self, work: impl Fn(&Tensor<'_, E>, Place, &Loaded<E>) + Sync) {
        self.plan.each_block(self.threads, |span, t, start, n| {
            let tensor = &self.tensors[t];
            let place = Place { span, start, n };
            let mut edge = Edge::new();
            if tensor.slots_in_place() {
                work(tensor, place, &tensor.load(self.isa, start, n, &mut edge));
            } else if tensor.slots.count() <= FEW_SLOTS {
                self.copied::<FEW_SLOTS>(tensor, place, &mut edge, &work);
            } else {
                self.copied::<MAX_CHAIN_SLOTS>(tensor, place, &mut edge, &work);
            }
        });
    }

    /// Apart, so that blocks in place do not pay for its stack: every page of it is touched per block.
    #[inline(never)]
    fn copied<const SLOTS: usize>(
        &self,
        tensor: &Tensor<'_, E>,
        place: Place,
        edge: &mut Edge<E>,
        work: &impl Fn(&Tensor<'_, E>, Place, &Loaded<E>),
    ) {
        let mut copies = [const { Buffer::new() }; SLOTS];
        let loaded = tensor.load_copied(self.isa, place.start, place.n, edge, &mut copies);
        work(tensor, place, &loaded);
    }

    /// The sum of the squares of each tensor's gradient, unscaled.
    pub(crate) fn squares(&self, gather: &dyn Gather<E>, sums: &mut Sums) {
        let rows = sums.start(self.plan, &[Join::Sum]);
        self.plan.each_block(self.threads, |span, t, start, n| {
            let mut edge = Edge::new();
            let g = self.tensors[t].load_gradient(self.isa, start, n, &mut edge);
            let mut block = self.plain(n, g.cast_mut(), g);
            (block.u_scale, block.g_scale) = (E::number(1.0), E::number(1.0));
            if self.plan.len() >= CACHED {
                block.hints = Hints::lonely(g);
            }
            // SAFETY: the block is readable in whole chunks; this thread alone has the span.
            unsafe { rows.gather(span, gather, &block) }
        });
        sums.join(self.plan);
    }

    /// One reading pass: the terms of stage `stage` after the stages before it, per tensor. Nothing
    /// is written. Neutral for tensors whose chain has no such terms.
    pub(crate) fn gather(
        &self,
        prepared: &[Prepared<E>],
        stage: usize,
        how: &'static [Join],
        sums: &mut Sums,
    ) {
        let rows = sums.start(self.plan, how);
        self.each_loaded(|tensor, place, loaded| {
            let Some(gather) = prepared[tensor.chain].terms() else { return };
            self.dry_run(&prepared[tensor.chain], stage, tensor, place, loaded, |block| {
                // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                unsafe { rows.gather(place.span, gather, block) }
            });
        });
        sums.join(self.plan);
    }

    /// [`gather`](Self::gather) per row: for each tensor that is given the `widths` of its rows, the
    /// terms of one row after another.
    pub(crate) fn gather_rows(
        &self,
        prepared: &[Prepared<E>],
        stage: usize,
        widths: &[Option<usize>],
        how: &'static [Join],
        sums: &mut RowSums,
    ) {
        let rows = sums.start(self.plan, widths, how);
        self.each_loaded(|tensor, place, loaded| {
            let Some(gather) = prepared[tensor.chain].terms() else { return };
            let Some(width) = widths[self.plan.tensor_of(place.span)] else { return };
            self.dry_run(&prepared[tensor.chain], stage, tensor, place, loaded, |block| {
                let mut copy = RowCopy::new();
                given::each_row(width, place.start, place.n, |offset, row, count| {
                    // SAFETY: the run lies in the block, and what is read of it are whole chunks; this
                    // thread alone has the span.
                    unsafe {
                        let run = copy.run(block, offset, count);
                        rows.gather(place.span, row, gather, &run);
                    }
                });
            });
        });
        sums.join(self.plan, widths);
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
            hints: Hints::none(),
        }
    }

    /// Runs the stages before `stage` on copies and shows the block that stage would receive.
    fn dry_run(
        &self,
        chain: &Prepared<E>,
        stage: usize,
        tensor: &Tensor<'_, E>,
        place: Place,
        loaded: &Loaded<E>,
        see: impl FnOnce(&Block<E>),
    ) {
        let n = place.n;
        let whole = n.next_multiple_of(CHUNK);
        let mut block = self.plain(whole, loaded.x, loaded.g);
        let mut buffers = Buffers::new();
        let slots = chain.first_slot[stage + 1];
        let work = (stage + chain.first_slot[stage] + TERMS, stage == 0);
        let touched = Touched::GradientAndSlots(slots);
        let mut shares = self.shares(tensor, place, loaded, work, touched);
        // SAFETY: the slots hold whole chunks; what is written are copies and buffers of this
        // function.
        unsafe {
            for (k, kernel) in chain.kernels[..stage].iter().enumerate() {
                let (first, end) = (chain.first_slot[k], chain.first_slot[k + 1]);
                let slots = loaded.slots_from(first);
                let mut copies = [const { Buffer::new() }; MAX_SLOTS];
                for (j, copy) in copies.iter_mut().enumerate().take(end - first) {
                    std::ptr::copy_nonoverlapping(slots[j], copy.pointer(), whole);
                    block.slots[j] = copy.pointer();
                }
                chain.given[k].give(tensor, place.start, n, &mut buffers.given, &mut block);
                block.hints = shares.next(effort(end - first));
                buffers.pass(kernel.as_ref(), &mut block);
            }
        }
        block.hints = shares.next(TERMS);
        block.n = n;
        block.slots = loaded.slots_from(chain.first_slot[stage]);
        see(&block);
    }

    /// The step itself: every formula over every block, once. Returns what each watch gathered.
    pub(crate) fn sweep(&self, prepared: &[Prepared<E>], watches: &[Watch<E>]) -> Vec<Sums> {
        let mut gathered: Vec<Sums> = watches.iter().map(|_| Sums::default()).collect();
        let starts = gathered.iter_mut().zip(watches);
        let rows: Vec<Rows> = starts.map(|(sums, w)| sums.start(self.plan, w.join)).collect();
        self.each_loaded(|tensor, place, loaded| {
            let chain = &prepared[tensor.chain];
            let mut shares = self.shares(tensor, place, loaded, chain.work(watches), Touched::All);
            let watch = |before: bool, shares: &mut Shares<E>| {
                let mine = watches.iter().zip(&rows).filter(|(w, _)| w.before == before);
                for (watch, rows) in mine {
                    let Some((terms, first)) = &watch.terms[tensor.chain] else { continue };
                    let mut block = self.plain(place.n, loaded.x, loaded.g);
                    block.slots = loaded.slots_from(*first);
                    block.hints = shares.next(TERMS);
                    // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                    unsafe { rows.gather(place.span, terms.as_ref(), &block) }
                }
            };
            watch(true, &mut shares);
            // SAFETY: the loaded block is this thread's alone, in whole chunks.
            unsafe { self.formulas(chain, tensor, place, loaded, &mut shares) }
            watch(false, &mut shares);
            // SAFETY: as above.
            unsafe {
                tensor.store(self.isa, place.start, place.n, loaded);
                if !loaded.in_place {
                    tensor.store_slots(self.isa, place.start, place.n, loaded);
                }
            }
        });
        gathered.iter_mut().for_each(|sums| sums.join(self.plan));
        gathered
    }

    /// What the jobs on a block are to ask the memory for.
    fn shares(
        &self,
        tensor: &Tensor<'_, E>,
        place: Place,
        loaded: &Loaded<E>,
        work: (Effort, bool),
        touched: Touched,
    ) -> Shares<E> {
        if self.plan.len() < CACHED || tensor.rows.is_some() {
            return Shares::none();
        }
        Shares::new(tensor, place.start, loaded, work, touched)
    }

    /// Adds the gradients to the sums, weighted, and zeroes those that are to be.
    pub(crate) fn accumulate(&self) {
        self.plan.each_block(self.threads, |_, t, start, n| {
            self.tensors[t].accumulate(self.isa, start, n);
        });
    }

    /// Zeroes the gradients that are to be, of a step that is not taken.
    pub(crate) fn clear(&self) {
        self.plan.each_block(self.threads, |_, t, start, n| self.tensors[t].clear(start, n));
    }

    /// Runs the formulas of a chain on a block.
    ///
    /// # Safety
    /// `loaded` holds `n` coordinates rounded up to whole chunks, and nobody else uses them.
    unsafe fn formulas(
        &self,
        chain: &Prepared<E>,
        tensor: &Tensor<'_, E>,
        place: Place,
        loaded: &Loaded<E>,
        shares: &mut Shares<E>,
    ) {
        let Place { start, n, .. } = place;
        let mut block = self.plain(n.next_multiple_of(CHUNK), loaded.x, loaded.g);
        let Some((last, before)) = chain.kernels.split_last() else {
            return;
        };
        let mut buffers = Buffers::new();
        let mut prepare = |k: usize, block: &mut Block<E>, given: &mut Buffer<E>| {
            block.slots = loaded.slots_from(chain.first_slot[k]);
            chain.given[k].give(tensor, start, n, given, block);
            block.hints = shares.next(effort(chain.first_slot[k + 1] - chain.first_slot[k]));
        };
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            for (k, kernel) in before.iter().enumerate() {
                prepare(k, &mut block, &mut buffers.given);
                buffers.pass(kernel.as_ref(), &mut block);
            }
            prepare(before.len(), &mut block, &mut buffers.given);
            last.apply(&block);
        }
    }
}

/// The buffers between the stages of a chain, in the cache: the update in two that take turns, and
/// the gradient once a stage has redefined it.
struct Buffers<E> {
    u: [Buffer<E>; 2],
    g: [Buffer<E>; 2],
    /// What a stage is given in place of slots.
    given: Buffer<E>,
    turn: usize,
}

impl<E: Element> Buffers<E> {
    fn new() -> Buffers<E> {
        let pair = || [Buffer::new(), Buffer::new()];
        Buffers { u: pair(), g: pair(), given: Buffer::new(), turn: 0 }
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
