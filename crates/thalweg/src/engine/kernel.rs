//! The inner loop: one formula over one block.
//!
//! ```text
//! for each chunk of 64 coordinates:
//!     ask the memory for the chunk 2 KiB ahead, of every stream
//!     for each coordinate of the chunk:            ← vector code
//!         load u, g, x and the memory; run the formula; store what changed
//! ```
//!
//! Departures from the obvious loop, each measured:
//! 1. Kernels run on whole chunks only; the driver gives them the partial last one as a padded
//!    copy. So the formula has one call site, and no call stays in the loop around it.
//! 2. Every stream is a separate `&mut` argument of [`chunk`]: only so does the compiler know that
//!    they do not overlap, for any number of slots.
//! 3. Prefetching by hand: a core can wait for more cache lines than the hardware prefetcher asks
//!    for when seven streams compete for it.

use std::hint::black_box;
use std::marker::PhantomData;

use super::isa::{BaselineTarget, Isa, On, ScalarTarget, Target, Task};
#[cfg(target_arch = "x86_64")]
use super::isa::{Avx2Target, Avx512Target};
use super::Element;
use crate::part::{Join, Part};
use crate::rule::{Flow, Here, Memory};

/// Coordinates in a chunk, and the granule to which slots are padded.
pub(crate) const CHUNK: usize = 64;
/// Coordinates in a block: what is worked on at a time, and the leaf of every sum.
pub(crate) const BLOCK: usize = 1024;
/// Most terms a part may gather.
pub(crate) const MAX_TERMS: usize = 8;
/// Most slots a part may have.
pub(crate) const MAX_SLOTS: usize = 8;
/// How far ahead of use memory is asked for, in bytes.
const AHEAD: usize = 2048;

/// One block of one parameter.
#[derive(Clone, Copy)]
pub(crate) struct Block<E> {
    /// Coordinates, at most [`BLOCK`]; for kernels a multiple of [`CHUNK`].
    pub(crate) n: usize,
    /// The parameter.
    pub(crate) x: *mut E,
    /// The gradient; scaled and in the cache for staged kernels, as the user has it for fused ones.
    pub(crate) g: *mut E,
    /// The update, in the cache; staged kernels only.
    pub(crate) u: *mut E,
    /// What a fused kernel multiplies the gradient by.
    pub(crate) scale: E,
    /// The slots of this part, padded to whole chunks.
    pub(crate) slots: [*mut E; MAX_SLOTS],
}

/// A formula ready to run, its constants computed.
pub(crate) trait Kernel<E>: Send + Sync {
    /// From the user's gradient straight to the parameter.
    ///
    /// # Safety
    /// `x`, `g` and the slots are valid for `n` coordinates, a multiple of [`CHUNK`]; none overlap
    /// and nobody else uses them meanwhile.
    unsafe fn fused(&self, block: &Block<E>);

    /// From the update in the cache to the update in the cache (or, for a geometry, the
    /// parameter).
    ///
    /// # Safety
    /// As for [`fused`](Self::fused); `u` is valid as well.
    unsafe fn staged(&self, block: &Block<E>);
}

/// Terms ready to be gathered.
pub(crate) trait Gather<E>: Send + Sync {
    /// Writes the joined terms of the block.
    ///
    /// # Safety
    /// All streams of the block are valid for `n` coordinates, any number; nothing is written to them.
    unsafe fn gather(&self, block: &Block<E>, sums: &mut [f64]);
}

/// The formula `flow` of part `P`, compiled for target `T`.
pub(crate) struct Compiled<T, P, C, const GEOMETRY: bool> {
    pub(crate) flow: C,
    pub(crate) marker: PhantomData<(T, P)>,
}

struct Sweep<'a, T, E, P, C, const FUSED: bool, const GEOMETRY: bool> {
    flow: &'a C,
    block: &'a Block<E>,
    marker: PhantomData<(T, P)>,
}

impl<T, E, P, C, const GEOMETRY: bool> Kernel<E> for Compiled<T, P, C, GEOMETRY>
where
    T: Target,
    E: Element,
    P: Part,
    C: Fn(Flow<On<T, E>>, P::Memory<On<T, E>>) -> (Flow<On<T, E>>, P::Memory<On<T, E>>)
        + Copy
        + Send
        + Sync,
{
    unsafe fn fused(&self, block: &Block<E>) {
        let task: Sweep<'_, T, E, P, C, true, GEOMETRY> =
            Sweep { flow: &self.flow, block, marker: PhantomData };
        // SAFETY: kernels are only made for available instruction sets.
        unsafe { T::run(task) }
    }
    unsafe fn staged(&self, block: &Block<E>) {
        let task: Sweep<'_, T, E, P, C, false, GEOMETRY> =
            Sweep { flow: &self.flow, block, marker: PhantomData };
        // SAFETY: kernels are only made for available instruction sets.
        unsafe { T::run(task) }
    }
}

/// A chunk of a stream.
type Lane<E> = [E; CHUNK];

#[inline(always)]
fn prefetch<E>(stream: *const E) {
    #[cfg(target_arch = "x86_64")]
    {
        let ahead = stream.cast::<i8>().wrapping_add(AHEAD);
        let mut line = 0;
        while line < CHUNK * size_of::<E>() {
            // SAFETY: prefetching never faults, whatever the address.
            unsafe {
                core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
                    ahead.wrapping_add(line),
                );
            }
            line += 64;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = stream;
}

/// The coordinate loop's index; opaque for the scalar target, whose loop must stay scalar.
#[inline(always)]
fn index<T: Target>(j: usize) -> usize {
    if T::VECTOR { j } else { black_box(j) }
}

/// One chunk of a sweep, for each number of slots (departure 2).
mod chunk {
    use super::*;

    macro_rules! chunk {
        ($($name:ident: $($slot:ident)*;)*) => {$(
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "one argument per stream")]
            pub(super) fn $name<T, E, P, C, const FUSED: bool, const GEOMETRY: bool>(
                flow: &C,
                x: &mut Lane<E>,
                g: &mut Lane<E>,
                u: &mut Lane<E>,
                $($slot: &mut Lane<E>),*
            ) where
                T: Target,
                E: Element,
                P: Part,
                C: Fn(Flow<On<T, E>>, P::Memory<On<T, E>>) -> (Flow<On<T, E>>, P::Memory<On<T, E>>),
            {
                let mut j = 0;
                while j < CHUNK {
                    let i = index::<T>(j);
                    // The parameter stands at the end only to give an empty list its type.
                    let mut values = [$($slot[i],)* x[i]];
                    let mut k = 0;
                    let memory = P::Memory::load(&mut || {
                        k += 1;
                        On::new(values[k - 1])
                    });
                    let u_in = if FUSED { g[i] } else { u[i] };
                    let before = Flow { u: On::new(u_in), g: On::new(g[i]), x: On::new(x[i]) };
                    let (after, memory) = flow(before, memory);
                    k = 0;
                    memory.store(&mut |v| {
                        values[k] = v.0;
                        k += 1;
                    });
                    let [$($slot,)* _] = [$(&mut $slot[i],)* &mut x[i]];
                    let mut _k = 0;
                    $(*$slot = values[_k]; _k += 1;)*
                    if GEOMETRY {
                        x[i] = after.u.0;
                    } else if FUSED {
                        x[i] = x[i] - after.u.0;
                    } else {
                        u[i] = after.u.0;
                        g[i] = after.g.0;
                    }
                    j += 1;
                }
            }
        )*};
    }
    chunk! {
        n0: ; n1: a; n2: a b; n3: a b c; n4: a b c d; n5: a b c d e; n6: a b c d e h;
        n7: a b c d e h k7; n8: a b c d e h k7 k8;
    }
}

impl<T, E, P, C, const FUSED: bool, const GEOMETRY: bool> Task
    for Sweep<'_, T, E, P, C, FUSED, GEOMETRY>
where
    T: Target,
    E: Element,
    P: Part,
    C: Fn(Flow<On<T, E>>, P::Memory<On<T, E>>) -> (Flow<On<T, E>>, P::Memory<On<T, E>>),
{
    #[inline(always)]
    fn run(self) {
        let Block { n, x, g, u, scale, slots } = *self.block;
        let mut at = 0;
        while at < n {
            let mut g_scaled = [scale; CHUNK];
            let mut no_u = [scale; CHUNK];
            // SAFETY: all streams hold a whole chunk from `at` on, and none overlap.
            unsafe {
                let g = if FUSED {
                    prefetch(x.add(at));
                    prefetch(g.add(at));
                    let from = &*g.add(at).cast::<Lane<E>>();
                    let mut j = 0;
                    while j < CHUNK {
                        g_scaled[j] = from[j] * scale;
                        j += 1;
                    }
                    &mut g_scaled
                } else {
                    &mut *g.add(at).cast()
                };
                let x = &mut *x.add(at).cast();
                let u = if FUSED { &mut no_u } else { &mut *u.add(at).cast() };
                let s = |k: usize| {
                    prefetch(slots[k].add(at));
                    &mut *slots[k].add(at).cast::<Lane<E>>()
                };
                macro_rules! call {
                    ($name:ident $($k:literal)*) => {
                        chunk::$name::<T, E, P, C, FUSED, GEOMETRY>(self.flow, x, g, u, $(s($k)),*)
                    };
                }
                match P::Memory::<On<T, E>>::LEN {
                    0 => call!(n0),
                    1 => call!(n1 0),
                    2 => call!(n2 0 1),
                    3 => call!(n3 0 1 2),
                    4 => call!(n4 0 1 2 3),
                    5 => call!(n5 0 1 2 3 4),
                    6 => call!(n6 0 1 2 3 4 5),
                    7 => call!(n7 0 1 2 3 4 5 6),
                    _ => call!(n8 0 1 2 3 4 5 6 7),
                }
            }
            at += CHUNK;
        }
    }
}

/// The first stage of a staged chain: `g` and `u` become the scaled gradient in the cache.
struct Load<'a, T, E> {
    block: &'a Block<E>,
    from: *const E,
    marker: PhantomData<T>,
}

impl<T: Target, E: Element> Task for Load<'_, T, E> {
    #[inline(always)]
    fn run(self) {
        let Block { n, x, g, u, scale, .. } = *self.block;
        let mut at = 0;
        while at < n {
            // SAFETY: as in `Sweep::run`; `from` holds whole chunks as well.
            unsafe {
                prefetch(x.add(at));
                prefetch(self.from.add(at));
                let from = &*self.from.add(at).cast::<Lane<E>>();
                let g = &mut *g.add(at).cast::<Lane<E>>();
                let u = &mut *u.add(at).cast::<Lane<E>>();
                let mut j = 0;
                while j < CHUNK {
                    let scaled = from[j] * scale;
                    g[j] = scaled;
                    u[j] = scaled;
                    j += 1;
                }
            }
            at += CHUNK;
        }
    }
}

/// The last stage of a staged chain: `x − u`.
struct Apply<'a, T, E> {
    block: &'a Block<E>,
    marker: PhantomData<T>,
}

impl<T: Target, E: Element> Task for Apply<'_, T, E> {
    #[inline(always)]
    fn run(self) {
        let Block { n, x, u, .. } = *self.block;
        let mut at = 0;
        while at < n {
            // SAFETY: as in `Sweep::run`.
            unsafe {
                let x = &mut *x.add(at).cast::<Lane<E>>();
                let u = &*u.add(at).cast::<Lane<E>>();
                let mut j = 0;
                while j < CHUNK {
                    x[j] = x[j] - u[j];
                    j += 1;
                }
            }
            at += CHUNK;
        }
    }
}

/// Runs `$task::<Target, ..>` on the instruction set `$isa`.
macro_rules! on {
    ($isa:expr, $target:ident => $run:expr) => {
        match $isa {
            Isa::Scalar => {
                type $target = ScalarTarget;
                $run
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                type $target = Avx2Target;
                $run
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                type $target = Avx512Target;
                $run
            }
            _ => {
                type $target = BaselineTarget;
                $run
            }
        }
    };
}
pub(crate) use on;

/// Fills `g` and `u` of the block from the user's gradient.
///
/// # Safety
/// As for [`Kernel::staged`]; `from` is valid for `n` coordinates.
pub(crate) unsafe fn load<E: Element>(isa: Isa, block: &Block<E>, from: *const E) {
    // SAFETY: `isa` is available, the rest is the caller's promise.
    unsafe { on!(isa, T => T::run(Load::<T, E> { block, from, marker: PhantomData })) }
}

/// Subtracts the update from the parameter.
///
/// # Safety
/// As for [`Kernel::staged`].
pub(crate) unsafe fn apply<E: Element>(isa: Isa, block: &Block<E>) {
    // SAFETY: `isa` is available, the rest is the caller's promise.
    unsafe { on!(isa, T => T::run(Apply::<T, E> { block, marker: PhantomData })) }
}

/// The terms `terms` of part `P`, compiled for target `T`.
pub(crate) struct CompiledTerms<T, P, C> {
    pub(crate) terms: C,
    pub(crate) marker: PhantomData<(T, P)>,
}

struct Terms<'a, T, E, P, C> {
    terms: &'a C,
    block: &'a Block<E>,
    sums: &'a mut [f64],
    marker: PhantomData<(T, P)>,
}

/// A number of a gathering loop.
type Wide<T> = On<T, f64>;

impl<T, E, P, C> Gather<E> for CompiledTerms<T, P, C>
where
    T: Target,
    E: Element,
    P: Part,
    C: Fn(Wide<T>, Here<Wide<T>>, P::Memory<Wide<T>>) -> P::Terms<Wide<T>> + Send + Sync,
{
    unsafe fn gather(&self, block: &Block<E>, sums: &mut [f64]) {
        let task: Terms<'_, T, E, P, C> =
            Terms { terms: &self.terms, block, sums, marker: PhantomData };
        // SAFETY: kernels are only made for available instruction sets.
        unsafe { T::run(task) }
    }
}

/// What a join starts from.
pub(crate) fn neutral(join: Join) -> f64 {
    match join {
        Join::Sum => 0.0,
        Join::Max => f64::NEG_INFINITY,
    }
}

/// Joins two partial results.
#[inline(always)]
pub(crate) fn join(join: Join, a: f64, b: f64) -> f64 {
    match join {
        Join::Sum => a + b,
        Join::Max => {
            if b > a || b.is_nan() {
                b
            } else {
                a
            }
        }
    }
}

impl<T, E, P, C> Task for Terms<'_, T, E, P, C>
where
    T: Target,
    E: Element,
    P: Part,
    C: Fn(Wide<T>, Here<Wide<T>>, P::Memory<Wide<T>>) -> P::Terms<Wide<T>>,
{
    #[inline(always)]
    fn run(self) {
        let count = P::Terms::<Wide<T>>::LEN;
        let Block { n, x, g, u, slots, .. } = *self.block;
        // One partial result per place in the chunk: independent chains that become vector code,
        // and an order that no instruction set changes.
        let mut lanes = [[0.0; CHUNK]; MAX_TERMS];
        for (lane, kind) in lanes.iter_mut().zip(P::JOIN) {
            *lane = [neutral(*kind); CHUNK];
        }
        let mut at = 0;
        while at < n {
            let rest = (n - at).min(CHUNK);
            let mut j = 0;
            while j < rest {
                let i = at + index::<T>(j);
                // SAFETY: `i` is below `n`, for which all streams are valid.
                let read = |stream: *mut E| Wide::<T>::new(unsafe { *stream.add(i) }.widen());
                let mut k = 0;
                let memory = P::Memory::load(&mut || {
                    k += 1;
                    read(slots[k - 1])
                });
                let terms = (self.terms)(read(u), Here { g: read(g), x: read(x) }, memory);
                k = 0;
                terms.store(&mut |term: Wide<T>| {
                    lanes[k][j] = join(P::JOIN[k], lanes[k][j], term.0);
                    k += 1;
                });
                j += 1;
            }
            at += CHUNK;
        }
        for k in 0..count {
            let start = neutral(P::JOIN[k]);
            self.sums[k] = lanes[k].iter().fold(start, |a, b| join(P::JOIN[k], a, *b));
        }
    }
}
