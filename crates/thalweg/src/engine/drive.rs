//! The driver: what happens to a block, before, during and after its formulas.

use super::given::{self, Given, RowCopy};
use super::hints::{Effort, Hints, TERMS, Work, begin, effort};
use super::kernel::{Block, CHUNK, Gather, Kernel, MAX_SLOTS};
use super::plan::{Plan, RowSums, Rows, Sums};
use super::stage::{Gathers, Kernels};
use super::tensor::{Buffer, Edge, Loaded, MAX_CHAIN_SLOTS, Tensor};
use super::threads::Threads;
use super::{Element, Isa};
use crate::part::Join;

/// As many slots as most chains have, at most.
const FEW_SLOTS: usize = 4;

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
    /// What the pass in hand gathers, if the chain takes part.
    pub(crate) reading: Option<Reading>,
}

/// A reading pass of a chain.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    /// The stage that asks for it.
    pub(crate) stage: usize,
    /// Which of the terms it gathers.
    pub(crate) terms: usize,
}

impl<E> Prepared<E> {
    /// The stage of the pass in hand, and the terms that it gathers of tensors that follow the chain.
    fn terms(&self) -> Option<(usize, &dyn Gather<E>)> {
        self.reading.map(|reading| (reading.stage, self.gathers[reading.terms].as_ref()))
    }

    /// The effort of the stages before `stage`.
    fn effort(&self, stage: usize) -> Effort {
        (0..stage).map(|k| effort(self.first_slot[k + 1] - self.first_slot[k])).sum()
    }

    /// What the reading pass in hand does with a block, if the chain takes part.
    fn reading(&self) -> Option<Work> {
        let stage = self.reading?.stage;
        let reads = Some(self.first_slot[stage + 1]);
        Some(Work { effort: self.effort(stage) + TERMS, jobs: stage + 1, reads })
    }

    /// What a sweep does with a block.
    fn stepping(&self, watches: &[Watch<E>]) -> Work {
        let (kernels, watches) = (self.kernels.len(), watches.len());
        Work {
            effort: self.effort(kernels) + watches * TERMS,
            jobs: kernels + watches,
            reads: None,
        }
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
    /// Per prepared chain: what comes before the rule whose gradient is looked at, if it redefines that.
    pub(crate) ahead: Vec<Option<Ahead<E>>>,
    pub(crate) join: &'static [Join],
}

/// What comes before a rule in its chain.
pub(crate) struct Ahead<E> {
    /// The stages before its own.
    pub(crate) stages: usize,
    /// The rules before it in the tuple of its stage, one after another.
    pub(crate) kernels: Kernels<E>,
    /// The slots of each of them, and where they end.
    pub(crate) first_slot: Vec<usize>,
}

/// A block of a tensor: where it starts, how long it is, and whose sums its own are joined to.
#[derive(Clone, Copy)]
struct Place {
    span: usize,
    start: usize,
    n: usize,
}

/// A block that is being worked on.
struct Held<'h, 't, E> {
    tensor: &'h Tensor<'t, E>,
    place: Place,
    loaded: Loaded<E>,
}

impl<E: Element> Held<'_, '_, E> {
    /// Makes the block that of stage `k`.
    fn ready<'s>(
        &self,
        chain: &Prepared<E>,
        k: usize,
        hints: Option<&'s Hints>,
        given: &mut Buffer<E>,
        block: &mut Block<'s, E>,
    ) {
        block.slots = self.loaded.slots_from(chain.first_slot[k]);
        chain.given[k].give(self.tensor, self.place.start, self.place.n, given, block);
        block.hints = begin(hints, effort(chain.first_slot[k + 1] - chain.first_slot[k]));
    }
}

impl<'a, E: Element> Sweep<'a, E> {
    /// Calls `work` with every block of the tensors that have a `plan`, loaded, and with what the jobs of
    /// the plan are to ask for. What `work` changes is in place or in the copies.
    fn each_loaded(
        &self,
        plan: impl Fn(&Tensor<'a, E>) -> Option<Work> + Sync,
        work: impl Fn(&Held<'_, 'a, E>, Option<&Hints>) + Sync,
    ) {
        self.plan.each_block(self.threads, |span, t, start, n| {
            let tensor = &self.tensors[t];
            let Some(plan) = plan(tensor) else { return };
            let place = Place { span, start, n };
            let mut edge = Edge::new();
            let hints = Hints::new(tensor, start, plan, self.plan.len());
            if tensor.slots_in_place() {
                let loaded = tensor.load(self.isa, start, n, &mut edge, hints.as_ref());
                work(&Held { tensor, place, loaded }, hints.as_ref());
            } else if tensor.slots.count() <= FEW_SLOTS {
                self.copied::<FEW_SLOTS>(tensor, place, &mut edge, hints, &work);
            } else {
                self.copied::<MAX_CHAIN_SLOTS>(tensor, place, &mut edge, hints, &work);
            }
        });
    }

    /// Apart, so that blocks in place do not pay for its stack: every page of it is touched per block.
    #[inline(never)]
    fn copied<const SLOTS: usize>(
        &self,
        tensor: &Tensor<'a, E>,
        place: Place,
        edge: &mut Edge<E>,
        hints: Option<Hints>,
        work: &impl Fn(&Held<'_, 'a, E>, Option<&Hints>),
    ) {
        let mut copies = [const { Buffer::new() }; SLOTS];
        let Place { start, n, .. } = place;
        let loaded = tensor.load_copied(self.isa, start, n, edge, &mut copies, hints.as_ref());
        work(&Held { tensor, place, loaded }, hints.as_ref());
    }

    /// The sum of the squares of each tensor's gradient, unscaled.
    pub(crate) fn squares(&self, gather: &dyn Gather<E>, sums: &mut Sums) {
        let rows = sums.start(self.plan, &[Join::Sum]);
        self.plan.each_block(self.threads, |span, t, start, n| {
            let mut edge = Edge::new();
            let tensor = &self.tensors[t];
            let stream = tensor.g;
            let hints = Hints::lonely(tensor, start, self.plan.len());
            let (decoding, summing) = match stream.packing {
                Some(_) => (hints.as_ref(), None),
                None => (None, hints.as_ref()),
            };
            let g = self.tensors[t].load_gradient(self.isa, start, n, &mut edge, decoding);
            let mut block = self.plain(n, g.cast_mut(), g);
            (block.u_scale, block.g_scale) = (E::number(1.0), E::number(1.0));
            block.hints = summing;
            // SAFETY: the block is readable in whole chunks; this thread alone has the span.
            unsafe { rows.gather(span, gather, &block) }
        });
        sums.join(self.plan);
    }

    /// One reading pass: the terms of a stage after the stages before it, per tensor. Nothing is written.
    /// Neutral for tensors whose chain has no such terms.
    pub(crate) fn gather(&self, prepared: &[Prepared<E>], how: &'static [Join], sums: &mut Sums) {
        let rows = sums.start(self.plan, how);
        let plan = |tensor: &Tensor<'_, E>| prepared[tensor.chain].reading();
        self.each_loaded(plan, |held, hints| {
            let chain = &prepared[held.tensor.chain];
            let Some((stage, gather)) = chain.terms() else { return };
            self.dry_run(chain, stage, None, held, hints, |block| {
                // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                unsafe { rows.gather(held.place.span, gather, block) }
            });
        });
        sums.join(self.plan);
    }

    /// [`gather`](Self::gather) per row: for each tensor that is given the `widths` of its rows, the
    /// terms of one row after another.
    pub(crate) fn gather_rows(
        &self,
        prepared: &[Prepared<E>],
        widths: &[Option<usize>],
        how: &'static [Join],
        sums: &mut RowSums,
    ) {
        let rows = sums.start(self.plan, widths, how);
        let plan = |tensor: &Tensor<'_, E>| prepared[tensor.chain].reading();
        self.each_loaded(plan, |held, hints| {
            let chain = &prepared[held.tensor.chain];
            let Some((stage, gather)) = chain.terms() else { return };
            let place = held.place;
            let Some(width) = widths[self.plan.tensor_of(place.span)] else { return };
            self.dry_run(chain, stage, None, held, hints, |block| {
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
    fn plain<'s>(&self, n: usize, x: *mut E, g: *const E) -> Block<'s, E> {
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
            hints: None,
        }
    }

    /// Runs the stages before `stage`, and rules `ahead` of another in it, on copies and shows the block that
    /// would be received.
    // Out of line: its buffers would make the frame of every sweep larger than a page.
    #[inline(never)]
    fn dry_run(
        &self,
        chain: &Prepared<E>,
        stage: usize,
        ahead: Option<&Ahead<E>>,
        held: &Held<'_, 'a, E>,
        hints: Option<&Hints>,
        see: impl FnOnce(&Block<'_, E>),
    ) {
        let Held { tensor, place: Place { start, n, .. }, loaded } = held;
        let (start, n) = (*start, *n);
        let whole = n.next_multiple_of(CHUNK);
        let mut block = self.plain(whole, loaded.x, loaded.g);
        let mut buffers = Buffers::new();
        // SAFETY: the slots hold whole chunks; what is written are copies and buffers of this
        // function.
        unsafe {
            let mut run =
                |kernel: &dyn Kernel<E>, first: usize, end: usize, given: Option<&Given<E>>| {
                    let slots = loaded.slots_from(first);
                    let mut copies = [const { Buffer::new() }; MAX_SLOTS];
                    for (j, copy) in copies.iter_mut().enumerate().take(end - first) {
                        std::ptr::copy_nonoverlapping(slots[j], copy.pointer(), whole);
                        block.slots[j] = copy.pointer();
                    }
                    if let Some(given) = given {
                        given.give(tensor, start, n, &mut buffers.given, &mut block);
                    }
                    block.hints = begin(hints, effort(end - first));
                    buffers.pass(kernel, &mut block);
                };
            for (k, kernel) in chain.kernels[..stage].iter().enumerate() {
                let (first, end) = (chain.first_slot[k], chain.first_slot[k + 1]);
                run(kernel.as_ref(), first, end, Some(&chain.given[k]));
            }
            for (k, kernel) in ahead.iter().flat_map(|ahead| ahead.kernels.iter().enumerate()) {
                let slots = ahead.map_or(&[][..], |ahead| &ahead.first_slot[k..]);
                run(kernel.as_ref(), slots[0], slots[1], None);
            }
        }
        block.hints = begin(hints, TERMS);
        block.n = n;
        block.slots = loaded.slots_from(chain.first_slot[stage]);
        see(&block);
    }

    /// The step itself: every formula over every block, once. Returns what each watch gathered.
    pub(crate) fn sweep(&self, prepared: &[Prepared<E>], watches: &[Watch<E>]) -> Vec<Sums> {
        let mut gathered: Vec<Sums> = watches.iter().map(|_| Sums::default()).collect();
        let starts = gathered.iter_mut().zip(watches);
        let rows: Vec<Rows> = starts.map(|(sums, w)| sums.start(self.plan, w.join)).collect();
        let plan = |tensor: &Tensor<'_, E>| Some(prepared[tensor.chain].stepping(watches));
        self.each_loaded(plan, |held, hints| {
            let Held { tensor, place, loaded } = held;
            let chain = &prepared[tensor.chain];
            let watch = |before: bool, hints: Option<&Hints>| {
                let mine = watches.iter().zip(&rows).filter(|(w, _)| w.before == before);
                for (watch, rows) in mine {
                    let Some((terms, first)) = &watch.terms[tensor.chain] else { continue };
                    let see = |seen: &Block<'_, E>, hints| {
                        let mut block = *seen;
                        block.slots = loaded.slots_from(*first);
                        block.hints = hints;
                        // SAFETY: the block is readable in whole chunks; this thread alone has the span.
                        unsafe { rows.gather(place.span, terms.as_ref(), &block) }
                    };
                    let ahead = watch.ahead.get(tensor.chain).and_then(Option::as_ref);
                    match ahead {
                        None => {
                            let block = self.plain(place.n, loaded.x, loaded.g);
                            see(&block, begin(hints, TERMS));
                        }
                        Some(ahead) => {
                            let stage = ahead.stages;
                            self.dry_run(chain, stage, Some(ahead), held, None, |b| see(b, None));
                        }
                    }
                }
            };
            watch(true, hints);
            // SAFETY: the loaded block is this thread's alone, in whole chunks.
            unsafe { self.formulas(chain, held, hints) }
            watch(false, hints);
            // SAFETY: as above.
            unsafe {
                tensor.store(self.isa, place.start, place.n, loaded, hints);
                if !loaded.in_place {
                    tensor.store_slots(self.isa, place.start, place.n, loaded, hints);
                }
            }
        });
        gathered.iter_mut().for_each(|sums| sums.join(self.plan));
        gathered
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
    /// The block's coordinates, rounded up to whole chunks, are this thread's alone.
    unsafe fn formulas(&self, chain: &Prepared<E>, held: &Held<'_, 'a, E>, hints: Option<&Hints>) {
        let (n, loaded) = (held.place.n, &held.loaded);
        let mut block = self.plain(n.next_multiple_of(CHUNK), loaded.x, loaded.g);
        let Some((last, before)) = chain.kernels.split_last() else {
            return;
        };
        let mut buffers = Buffers::new();
        // SAFETY: the caller's promise; the buffers hold a block.
        unsafe {
            for (k, kernel) in before.iter().enumerate() {
                held.ready(chain, k, hints, &mut buffers.given, &mut block);
                buffers.pass(kernel.as_ref(), &mut block);
            }
            held.ready(chain, before.len(), hints, &mut buffers.given, &mut block);
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
    unsafe fn pass(&mut self, kernel: &dyn Kernel<E>, block: &mut Block<'_, E>) {
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
