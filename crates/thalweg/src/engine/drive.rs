//! The driver: what happens to a block, before, during and after its formulas.

use super::given::{self, Given, RowCopy};
use super::kernel::{BLOCK, Block, CHUNK, Gather, Kernel, MAX_HINTS, MAX_SLOTS};
use super::plan::{Plan, RowSums, Rows, Sums};
use super::stage::{Gathers, Kernels};
use super::tensor::{Buffer, Edge, Loaded, MAX_CHAIN_SLOTS, Tensor};
use super::threads::Threads;
use super::{Element, Isa};
use crate::part::Join;

/// How far ahead of use a chain of one stage asks for memory, in bytes. (Several jobs on a block
/// ask for the next one between them, so that loading and computing overlap.)
const AHEAD: usize = 2048;
/// Below this many coordinates everything is in a cache already, and asking only costs.
const CACHED: usize = 1 << 19;

/// As many slots as most chains have, at most.
const FEW_SLOTS: usize = 4;

/// The formulas of a chain at one moment.
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

impl<E> Default for Prepared<E> {
    fn default() -> Prepared<E> {
        let (kernels, first_slot, given, gathers) = (vec![], vec![], vec![], vec![]);
        Prepared { kernels, first_slot, given, gathers, reading: None }
    }
}

impl<E> Prepared<E> {
    /// The terms that the pass in hand gathers of tensors that follow the chain.
    fn terms(&self) -> Option<&dyn Gather<E>> {
        self.reading.map(|k| self.gathers[k].as_ref())
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
            block.lonely = self.plan.len() >= CACHED;
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
            hints: [x; MAX_HINTS],
            hint_count: 0,
            lonely: false,
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
        let mut hints = self.hints(tensor, place, stage + 1, Touched::GradientAndSlots(slots));
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
                hints.give(&mut block);
                buffers.pass(kernel.as_ref(), &mut block);
            }
        }
        hints.give(&mut block);
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
            let jobs = watches.len() + chain.kernels.len();
            let direct = tensor.slots_in_place();
            let mut hints = self.hints(tensor, place, jobs, Touched::All);
            let watch = |before: bool, hints: &mut Hints<E>| {
                let mine = watches.iter().zip(&rows).filter(|(w, _)| w.before == before);
                for (watch, rows) in mine {
                    let Some((terms, first)) = &watch.terms[tensor.chain] else { continue };
                    let mut block = self.plain(place.n, loaded.x, loaded.g);
                    block.slots = loaded.slots_from(*first);
                    hints.give(&mut block);
                    // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                    unsafe { rows.gather(place.span, terms.as_ref(), &block) }
                }
            };
            watch(true, &mut hints);
            // SAFETY: the loaded block is this thread's alone, in whole chunks.
            unsafe { self.formulas(chain, tensor, place, loaded, &mut hints) }
            watch(false, &mut hints);
            // SAFETY: as above.
            unsafe {
                tensor.store(self.isa, place.start, place.n, loaded);
                if !direct {
                    tensor.store_slots(self.isa, place.start, place.n, loaded);
                }
            }
        });
        gathered.iter_mut().for_each(|sums| sums.join(self.plan));
        gathered
    }

    /// What the jobs on a block are to ask the memory for.
    fn hints(
        &self,
        tensor: &Tensor<'_, E>,
        place: Place,
        jobs: usize,
        touched: Touched,
    ) -> Hints<E> {
        if self.plan.len() < CACHED || tensor.rows.is_some() {
            return Hints::none();
        }
        Hints::new(tensor, place, jobs, touched)
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
        hints: &mut Hints<E>,
    ) {
        let Place { start, n, .. } = place;
        let mut block = self.plain(n.next_multiple_of(CHUNK), loaded.x, loaded.g);
        let Some((last, before)) = chain.kernels.split_last() else {
            return;
        };
        let mut buffers = Buffers::new();
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            for (k, kernel) in before.iter().enumerate() {
                block.slots = loaded.slots_from(chain.first_slot[k]);
                chain.given[k].give(tensor, start, n, &mut buffers.given, &mut block);
                hints.give(&mut block);
                buffers.pass(kernel.as_ref(), &mut block);
            }
            block.slots = loaded.slots_from(chain.first_slot[before.len()]);
            chain.given[before.len()].give(tensor, start, n, &mut buffers.given, &mut block);
            hints.give(&mut block);
            last.apply(&block);
        }
    }
}

/// What of a tensor the jobs on a block touch.
#[derive(Clone, Copy)]
enum Touched {
    All,
    /// A reading pass: the gradient and so many of the first slots. (Whether it looks at the parameter is
    /// the formula's secret.)
    GradientAndSlots(usize),
}

/// The streams of a block that are used in place, shared out among the jobs that work on it: each
/// asks the memory for its share of what comes later. (Decoding asks for what it decodes.)
struct Hints<E> {
    streams: [*const E; MAX_HINTS],
    count: usize,
    share: usize,
    given: usize,
}

impl<E: Element> Hints<E> {
    fn new(tensor: &Tensor<'_, E>, place: Place, jobs: usize, touched: Touched) -> Hints<E> {
        let (parameter, most) = match touched {
            Touched::All => (true, MAX_SLOTS),
            Touched::GradientAndSlots(slots) => (false, slots.min(MAX_SLOTS)),
        };
        // A single job asks for what it needs itself a little later, several for the next block.
        let alone = jobs == 1 && tensor.slots_in_place();
        let ahead = if alone { AHEAD / size_of::<E>() } else { BLOCK };
        let at = place.start + ahead;
        let x = parameter.then(|| (tensor.x.packing, tensor.x.place::<E>(at)));
        let g = (tensor.g.packing, tensor.g.place::<E>(at));
        let slots = (0..tensor.slots.count().min(most))
            .map(|k| (tensor.slots.packing(k), tensor.slots.place(k, at)));
        let streams_touched = x.into_iter().chain([g]).chain(slots);
        let in_place = streams_touched.filter(|(packing, _)| packing.is_none());
        let mut streams = [std::ptr::null(); MAX_HINTS];
        let mut count = 0;
        for (stream, (_, place)) in streams.iter_mut().zip(in_place) {
            *stream = place.cast_const().cast();
            count += 1;
        }
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
