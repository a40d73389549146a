//! A tensor as the sweep sees it, and a block of it in the number type of the formulas: in place
//! where the memory holds that type already, else decoded into the cache and encoded again.

use std::mem::MaybeUninit;

use super::codec::{Packing, Rounding, stream};
use super::hints::{DECODE, ENCODE, Effort, Hints, begin};
use super::kernel::{BLOCK, CHUNK, MAX_SLOTS};
use super::stream::{Extent, Rows, Stream};
use super::{Element, Isa, buffer::Slots};

/// Most slots the stages of a chain may have together, with those the engine adds.
pub(crate) const MAX_CHAIN_SLOTS: usize = 32;

/// What makes up for a parameter's low precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing: it is rounded to the nearest.
    Nearest,
    /// Stochastic rounding.
    Stochastic,
    /// What rounding cut off is kept in this slot, in the parameter's format.
    Compensated(usize),
    /// The exact value is kept in this slot.
    Master(usize),
}

impl Keep {
    /// The slot that keeps it.
    pub(crate) fn slot(self) -> Option<usize> {
        match self {
            Keep::Compensated(k) | Keep::Master(k) => Some(k),
            Keep::Nearest | Keep::Stochastic => None,
        }
    }

    /// Adds to a parameter, lent in the format `packing`, what that could not hold and the slot has
    /// `kept`.
    pub(crate) fn make_whole<E: Element>(
        self,
        isa: Isa,
        packing: Option<Packing>,
        x: &mut [E],
        kept: &[E],
    ) {
        if matches!(self, Keep::Compensated(_)) {
            let (share, least) = packing.map_or((0.0, 0.0), Packing::rounds_off);
            for (x, low) in x.iter_mut().zip(kept) {
                // What no rounding cuts off is left of a parameter that the user changed since.
                let possible = low.widen().abs() <= share * x.widen().abs() + least;
                *x = if possible { *x + *low } else { *x };
            }
            return;
        }
        let mut rounded = [E::number(0.0); BLOCK];
        for (x, kept) in x.chunks_mut(BLOCK).zip(kept.chunks(BLOCK)) {
            round(packing, isa, kept, &mut rounded[..kept.len()]);
            // A parameter that is not the rounded master was changed by the user since.
            for ((x, rounded), master) in x.iter_mut().zip(&rounded).zip(kept) {
                *x = if *x == *rounded { *master } else { *x };
            }
        }
    }
}

/// Where random numbers for rounding come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    pub(crate) seed: u64,
    pub(crate) name_hash: u64,
    pub(crate) t: u64,
}

impl Noise {
    /// The rounding of a slot (or, with the number after the last slot, of the parameter).
    fn rounding(&self, slot: usize, first: usize) -> Rounding {
        Rounding::Stochastic { key: stream(self.seed, self.name_hash, slot, self.t), first }
    }
}

/// A tensor as the sweep sees it.
pub(crate) struct Tensor<'a, E> {
    pub(crate) x: Stream,
    pub(crate) g: Stream,
    pub(crate) len: usize,
    pub(crate) slots: &'a Slots<E>,
    /// Which of the prepared chains it follows.
    pub(crate) chain: usize,
    /// What makes up for the parameter's low precision.
    pub(crate) keep: Keep,
    /// For stochastic rounding of packed slots and the parameter, if any.
    pub(crate) noise: Option<Noise>,
    /// The hash of the parameter's name, where noise depends on it.
    pub(crate) name_hash: u64,
    pub(crate) extent: Extent<Rows<'a>>,
    /// Gradients of earlier batches; added to `g·weight`, then zeroed.
    pub(crate) sum: Option<*mut E>,
    pub(crate) weight: E,
    /// Whether the gradient is zeroed once it is used.
    pub(crate) zero: bool,
    /// Where the new parameter is copied to.
    pub(crate) copy: Option<Stream>,
}

// SAFETY: the pointers come from slices that the step borrows, mutably where they are written,
// until it is over.
unsafe impl<E: Element> Send for Tensor<'_, E> {}
// SAFETY: threads share tensors but never a block of them.
unsafe impl<E: Element> Sync for Tensor<'_, E> {}

/// A block in the cache. Not cleared: that would cost as much as a stage.
///
/// A chunk longer than a block: buffers that follow each other would lie 4 KiB apart otherwise, where
/// loads wait for stores to the other (see [`Slots::new`]).
#[repr(align(64))]
pub(super) struct Buffer<E>(MaybeUninit<[E; BLOCK + CHUNK]>);

impl<E: Element> Buffer<E> {
    pub(super) const fn new() -> Buffer<E> {
        Buffer(MaybeUninit::uninit())
    }

    pub(super) fn pointer(&mut self) -> *mut E {
        self.0.as_mut_ptr().cast()
    }

    /// Has `fill` write the first `n` values and returns all up to a whole chunk, the rest zeros.
    pub(super) fn filled(&mut self, n: usize, fill: impl FnOnce(&mut [E])) -> *mut E {
        let whole = n.next_multiple_of(CHUNK);
        let start = self.pointer();
        // SAFETY: a buffer holds a block. `fill` writes before it reads, as all do that are passed.
        unsafe {
            std::ptr::write_bytes(start.add(n), 0, whole - n);
            fill(std::slice::from_raw_parts_mut(start, n));
        }
        start
    }
}

/// Copies for blocks whose parameter or gradient cannot be used in place.
pub(super) struct Edge<E> {
    x: Buffer<E>,
    g: Buffer<E>,
}

impl<E: Element> Edge<E> {
    pub(super) fn new() -> Edge<E> {
        Edge { x: Buffer::new(), g: Buffer::new() }
    }
}

/// A block in the number type of the formulas, readable in whole chunks.
#[derive(Clone, Copy)]
pub(super) struct Loaded<E> {
    pub(super) x: *mut E,
    pub(super) g: *const E,
    /// Whether the slots are those of the tensor, not copies.
    pub(super) in_place: bool,
    /// Longer by what a stage looks at past its own slots.
    slots: [*mut E; MAX_CHAIN_SLOTS + MAX_SLOTS],
}

impl<E: Element> Loaded<E> {
    /// The slots of a stage whose first is `first`.
    pub(super) fn slots_from(&self, first: usize) -> [*mut E; MAX_SLOTS] {
        std::array::from_fn(|k| self.slots[first + k])
    }
}

impl<'a, E: Element> Tensor<'a, E> {
    /// A dense tensor stepped on its gradient alone.
    pub(crate) fn new(x: Stream, g: Stream, len: usize, slots: &'a Slots<E>) -> Tensor<'a, E> {
        Tensor {
            x,
            g,
            len,
            slots,
            chain: 0,
            keep: Keep::Nearest,
            noise: None,
            name_hash: 0,
            extent: Extent::Whole,
            sum: None,
            weight: E::number(1.0),
            zero: false,
            copy: None,
        }
    }

    /// The rows that are stepped, if not all.
    pub(super) fn rows(&self) -> Option<&Rows<'a>> {
        if let Extent::Rows(rows) = &self.extent { Some(rows) } else { None }
    }

    /// The rows that the gradient is of, if all are stepped.
    pub(super) fn scattered(&self) -> Option<&Rows<'a>> {
        if let Extent::Scattered(rows) = &self.extent { Some(rows) } else { None }
    }

    /// Whether formulas can run on the slots as they are.
    pub(super) fn slots_in_place(&self) -> bool {
        let packed = || (0..self.slots.count()).any(|k| self.slots.packing(k).is_some());
        self.rows().is_none() && self.keep == Keep::Nearest && !packed()
    }

    /// Calls `run(offset, at, count)` for each run of the block that lies together: its offset in the
    /// block, and its place in the parameter.
    pub(crate) fn each_place(
        &self,
        start: usize,
        n: usize,
        mut run: impl FnMut(usize, usize, usize),
    ) {
        match self.rows() {
            None => run(0, start, n),
            Some(rows) => rows.each(start, n, run),
        }
    }

    /// The gradient of a block, with what has been accumulated. Decoding asks for the hints.
    pub(super) fn load_gradient(
        &self,
        isa: Isa,
        start: usize,
        n: usize,
        edge: &mut Edge<E>,
        hints: Option<&Hints>,
    ) -> *const E {
        if let Some(rows @ Rows { source: Some(_), .. }) = self.rows() {
            return edge.g.filled(n, |to| {
                rows.each_run(start, n, |offset, k, column, count| {
                    // SAFETY: every source is a row of the gradient or of the sums.
                    unsafe {
                        rows.read_gradient(self.g, isa, k, column, &mut to[offset..offset + count]);
                    }
                });
            });
        }
        let whole = n.is_multiple_of(CHUNK) && self.scattered().is_none();
        if whole && self.g.packing.is_none() && self.sum.is_none() {
            return self.g.place::<E>(start).cast();
        }
        edge.g.filled(n, |to| {
            // SAFETY: the tensor holds `n` coordinates from `start`, and so does the sum.
            unsafe {
                match self.scattered() {
                    None => self.g.read(isa, start, to, hints),
                    Some(rows) => rows.scatter(self.g, isa, start, to),
                }
            }
            if let Some(sum) = self.sum {
                for (i, g) in to.iter_mut().enumerate() {
                    // SAFETY: as above; this thread alone has the block.
                    *g = unsafe { *sum.add(start + i) } + *g * self.weight;
                }
            }
        })
    }

    /// The whole gradient, with what has been accumulated.
    pub(crate) fn gradient(&self, isa: Isa) -> Vec<E> {
        let mut all = Vec::with_capacity(self.len);
        let mut edge = Edge::new();
        for start in (0..self.len).step_by(BLOCK) {
            let n = BLOCK.min(self.len - start);
            let g = self.load_gradient(isa, start, n, &mut edge, None);
            // SAFETY: `n` values were loaded.
            all.extend_from_slice(unsafe { std::slice::from_raw_parts(g, n) });
        }
        all
    }

    /// A block where it is: parameter and gradient as copies at a ragged end.
    pub(super) fn load(
        &self,
        isa: Isa,
        start: usize,
        n: usize,
        edge: &mut Edge<E>,
        hints: Option<&Hints>,
    ) -> Loaded<E> {
        let g = self.load_gradient(isa, start, n, edge, coding(self.g, hints, DECODE));
        let whole = n.is_multiple_of(CHUNK);
        let x = if whole && self.x.packing.is_none() && self.rows().is_none() {
            self.x.place::<E>(start).cast()
        } else {
            // SAFETY: the tensor holds `n` coordinates from `start`.
            edge.x.filled(n, |to| unsafe { self.read_x(isa, start, to, hints) })
        };
        let mut slots = [x; MAX_CHAIN_SLOTS + MAX_SLOTS];
        for (k, slot) in slots.iter_mut().enumerate().take(self.slots.count()) {
            *slot = self.slots.place(k, start).cast();
        }
        Loaded { x, g, in_place: true, slots }
    }

    /// [`load`](Self::load) for tensors with slots that are packed or in scattered rows.
    pub(super) fn load_copied(
        &self,
        isa: Isa,
        start: usize,
        n: usize,
        edge: &mut Edge<E>,
        copies: &mut [Buffer<E>],
        hints: Option<&Hints>,
    ) -> Loaded<E> {
        let mut loaded = self.load(isa, start, n, edge, hints);
        loaded.in_place = false;
        for (k, copy) in copies.iter_mut().enumerate().take(self.slots.count()) {
            if !self.copied(k) {
                continue;
            }
            loaded.slots[k] = copy.filled(n, |to| match self.rows() {
                None => self.slots.unpack(k, start, isa, to, begin(hints, DECODE)),
                // SAFETY: slot and copy hold the block's rows, which this thread alone has.
                Some(rows) => unsafe { self.slots.stream(k).read_rows(isa, rows, start, to) },
            });
        }
        self.make_whole(isa, n, &loaded);
        loaded
    }

    /// Adds a block of the gradient to the sum.
    pub(super) fn accumulate(&self, isa: Isa, start: usize, n: usize) {
        let Some(sum) = self.sum else { return };
        let mut edge = Edge::new();
        let total = self.load_gradient(isa, start, n, &mut edge, None);
        // SAFETY: the sum holds `n` coordinates from `start`; this thread alone has the block.
        unsafe { std::ptr::copy_nonoverlapping(total, sum.add(start), n) };
        self.clear(start, n);
    }

    /// Zeroes a block of the gradient, if that is asked for.
    pub(super) fn clear(&self, start: usize, n: usize) {
        if self.zero {
            // SAFETY: the tensor holds `n` coordinates from `start`; this thread alone has them.
            unsafe {
                std::ptr::write_bytes(self.g.place::<E>(start), 0, n * self.g.width::<E>());
            }
        }
    }

    /// Whether slot `k` cannot be used in place.
    fn copied(&self, k: usize) -> bool {
        self.slots.packing(k).is_some() || self.rows().is_some()
    }

    /// # Safety
    /// The tensor holds `to.len()` coordinates from `start` on.
    unsafe fn read_x(&self, isa: Isa, start: usize, to: &mut [E], hints: Option<&Hints>) {
        let Some(rows) = self.rows() else {
            let hints = coding(self.x, hints, DECODE);
            // SAFETY: the caller's promise.
            return unsafe { self.x.read(isa, start, to, hints) };
        };
        // SAFETY: the caller's promise.
        unsafe { self.x.read_rows(isa, rows, start, to) }
    }

    /// Adds to the parameter what its format could not hold.
    fn make_whole(&self, isa: Isa, n: usize, loaded: &Loaded<E>) {
        let Some(k) = self.keep.slot() else { return };
        // SAFETY: copies of this block, both of `n` coordinates.
        let (x, kept) = unsafe {
            let x = std::slice::from_raw_parts_mut(loaded.x, n);
            (x, std::slice::from_raw_parts(loaded.slots[k], n))
        };
        self.keep.make_whole(isa, self.x.packing, x, kept);
    }

    /// Writes a block back: what is not in place already, and the rest of the tail.
    ///
    /// # Safety
    /// `loaded` is this block of this tensor, and this thread alone has it.
    pub(super) unsafe fn store(
        &self,
        isa: Isa,
        start: usize,
        n: usize,
        loaded: &Loaded<E>,
        hints: Option<&Hints>,
    ) {
        // SAFETY: the caller's promise; all streams hold `n` coordinates from `start`.
        unsafe {
            let x = std::slice::from_raw_parts_mut(loaded.x, n);
            if let Some(copy) = self.copy {
                copy.write(isa, start, Rounding::Nearest, x, None);
            }
            if loaded.x.cast() != self.x.place::<E>(start) {
                self.store_x(isa, start, x, loaded, hints);
            }
            self.clear(start, n);
            if let Some(sum) = self.sum {
                std::ptr::write_bytes(sum.add(start), 0, n);
            }
        }
    }

    /// Writes the slots of a block back that [`load_copied`](Self::load_copied) copied.
    ///
    /// # Safety
    /// As for [`store`](Self::store), which must have come before.
    pub(super) unsafe fn store_slots(
        &self,
        isa: Isa,
        start: usize,
        n: usize,
        loaded: &Loaded<E>,
        hints: Option<&Hints>,
    ) {
        for k in (0..self.slots.count()).filter(|k| self.copied(*k)) {
            let noise = self.noise.filter(|_| self.keep != Keep::Compensated(k));
            let how = |at| noise.map_or(Rounding::Nearest, |noise| noise.rounding(k, at));
            // SAFETY: the caller's promise.
            unsafe {
                let from = std::slice::from_raw_parts(loaded.slots[k], n);
                match self.rows() {
                    None => {
                        self.slots.pack(k, start, isa, how(start), from, begin(hints, ENCODE));
                    }
                    Some(rows) => rows.each(start, n, |offset, at, count| {
                        let run = &from[offset..offset + count];
                        self.slots.stream(k).write(isa, at, how(at), run, None);
                    }),
                }
            }
        }
    }

    /// Rounds the new parameter to its format and keeps what that cuts off.
    ///
    /// # Safety
    /// As for [`store`](Self::store).
    unsafe fn store_x(
        &self,
        isa: Isa,
        start: usize,
        x: &mut [E],
        loaded: &Loaded<E>,
        hints: Option<&Hints>,
    ) {
        let n = x.len();
        let how = |at: usize| match (self.keep, self.noise) {
            (Keep::Stochastic, Some(noise)) => noise.rounding(self.slots.count(), at),
            _ => Rounding::Nearest,
        };
        if let (Keep::Compensated(_), Some(packing)) = (self.keep, self.x.packing) {
            hold_finite(x, packing.largest());
        }
        // SAFETY: the caller's promise.
        unsafe {
            match self.rows() {
                None => {
                    let hints = coding(self.x, hints, ENCODE);
                    self.x.write(isa, start, how(start), x, hints);
                }
                Some(rows) => rows.each(start, n, |offset, at, count| {
                    self.x.write(isa, at, how(at), &x[offset..offset + count], None);
                }),
            }
            match self.keep {
                Keep::Master(k) => {
                    std::ptr::copy_nonoverlapping(x.as_ptr(), loaded.slots[k], n);
                }
                Keep::Compensated(k) => {
                    let low = std::slice::from_raw_parts_mut(loaded.slots[k], n);
                    round(self.x.packing, isa, x, low);
                    low.iter_mut().zip(x).for_each(|(low, x)| *low = *x - *low);
                }
                Keep::Nearest | Keep::Stochastic => {}
            }
        }
    }
}

/// Holds finite numbers within ±`largest`: what rounding to infinity cuts off could not be compensated.
fn hold_finite<E: Element>(values: &mut [E], largest: f64) {
    // Hardly ever is there one: looking at all of them is vector code.
    let limit = E::lift(largest);
    if !values.iter().fold(false, |beyond, value| beyond | limit.lt(value.abs())) {
        return;
    }
    for value in values {
        let wide = value.widen();
        if wide.is_finite() && wide.abs() > largest {
            *value = E::lift(largest.copysign(wide));
        }
    }
}

/// Begins to code a stream: a job if it is packed.
fn coding(stream: Stream, hints: Option<&Hints>, effort: Effort) -> Option<&Hints> {
    if stream.packing.is_some() { begin(hints, effort) } else { None }
}

/// The nearest numbers that a format has.
fn round<E: Element>(packing: Option<Packing>, isa: Isa, from: &[E], to: &mut [E]) {
    let Some(packing) = packing else { return to.copy_from_slice(from) };
    let mut bytes = [0u8; 2 * BLOCK];
    let bytes = &mut bytes[..from.len() * packing.bytes()];
    let scale = E::pack(isa, packing, Rounding::Nearest, from, bytes, None);
    E::unpack(isa, packing, bytes, scale, to, None);
}
