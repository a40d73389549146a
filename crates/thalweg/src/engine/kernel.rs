//! The inner loop: one formula over one block.
//!
//! ```text
//! for each chunk of 64 coordinates:
//!     ask the memory for what will be needed later
//!     for each coordinate of the chunk:            ← vector code
//!         load u, g, x and the memory; run the formula; store what changed
//! ```
//!
//! Departures from the obvious loop, each measured:
//! 1. Kernels run on whole chunks only; the driver gives them the partial last one as a padded
//!    copy. So the formula has one call site, and no call stays in the loop around it.
//! 2. Every stream is a separate `&mut` argument of [`chunk`]: only so does the compiler know that
//!    they do not overlap, for any number of slots.
//! 3. Prefetching by hand ([`Hints`]).

use std::any::Any;
use std::hint::black_box;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::Element;
use super::hints::{Hints, ask};
use super::isa::{On, Target, Task};
use crate::part::{Join, Part};
use crate::real::Real;
use crate::rule::{Flow, Here, Memory};

/// Coordinates in a chunk, and the granule to which slots are padded.
pub(crate) const CHUNK: usize = 64;
/// Coordinates in a block: what is worked on at a time, and the leaf of every sum.
pub(crate) const BLOCK: usize = 1024;
/// Most terms a part may gather.
pub(crate) const MAX_TERMS: usize = 8;
/// Most slots a part may have.
pub(crate) const MAX_SLOTS: usize = 8;

/// One block of one parameter, as one kernel sees it.
#[derive(Clone, Copy)]
pub(crate) struct Block<'s, E> {
    /// Coordinates, at most [`BLOCK`]; for a [`Kernel`] a multiple of [`CHUNK`].
    pub(crate) n: usize,
    /// The parameter.
    pub(crate) x: *mut E,
    /// The update that reaches the kernel, and what it is multiplied by.
    pub(crate) u: *const E,
    pub(crate) u_scale: E,
    /// The gradient, and what it is multiplied by. May be the same memory as `u`.
    pub(crate) g: *const E,
    pub(crate) g_scale: E,
    /// Where [`Kernel::update`] leaves the update and, if the part redefines it, the gradient.
    pub(crate) u_out: *mut E,
    pub(crate) g_out: *mut E,
    /// The slots of this part, padded to whole chunks.
    pub(crate) slots: [*mut E; MAX_SLOTS],
    /// What to ask the memory for meanwhile.
    pub(crate) hints: Option<&'s Hints>,
}

/// A formula ready to run, its constants computed.
pub(crate) trait Kernel<E>: Any + Send + Sync {
    /// Leaves the result in `u_out`.
    ///
    /// # Safety
    /// All streams are valid for `n` coordinates, a multiple of [`CHUNK`]; those that are written
    /// overlap no other, and nobody else uses them meanwhile.
    unsafe fn update(&self, block: &Block<'_, E>);

    /// Applies the result to the parameter.
    ///
    /// # Safety
    /// As for [`update`](Self::update), without `u_out` and `g_out`.
    unsafe fn apply(&self, block: &Block<'_, E>);

    /// Whether [`update`](Self::update) writes `g_out`.
    fn redefines_gradient(&self) -> bool;
}

/// Terms ready to be gathered.
pub(crate) trait Gather<E>: Any + Send + Sync {
    /// Writes the joined terms of the block.
    ///
    /// # Safety
    /// `x`, `u`, `g` and the slots are valid for `n` coordinates rounded up to whole chunks, of
    /// which `n` count; nothing is written to them.
    unsafe fn gather(&self, block: &Block<'_, E>, sums: &mut [f64]);
}

/// The formula `flow` of part `P`, compiled for target `T`.
pub(crate) struct Compiled<T, P, C, const GEOMETRY: bool> {
    pub(crate) flow: C,
    pub(crate) marker: PhantomData<(T, P)>,
}

/// What becomes of a kernel's result.
const TO_UPDATE: u8 = 0;
const SUBTRACT: u8 = 1;
const TO_PARAMETER: u8 = 2;

struct Sweep<'a, T, E, P, C, const RESULT: u8> {
    flow: &'a C,
    block: &'a Block<'a, E>,
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
        + Sync
        + 'static,
{
    unsafe fn update(&self, block: &Block<'_, E>) {
        let task: Sweep<'_, T, E, P, C, TO_UPDATE> =
            Sweep { flow: &self.flow, block, marker: PhantomData };
        // SAFETY: kernels are only made for available instruction sets.
        unsafe { T::run(task) }
    }

    unsafe fn apply(&self, block: &Block<'_, E>) {
        let (flow, marker) = (&self.flow, PhantomData);
        // SAFETY: kernels are only made for available instruction sets.
        unsafe {
            if GEOMETRY {
                T::run(Sweep::<'_, T, E, P, C, TO_PARAMETER> { flow, block, marker });
            } else {
                T::run(Sweep::<'_, T, E, P, C, SUBTRACT> { flow, block, marker });
            }
        }
    }

    fn redefines_gradient(&self) -> bool {
        P::REDEFINES_GRADIENT
    }
}

/// A chunk of a stream.
type Lane<E> = [E; CHUNK];

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
            pub(super) fn $name<T, E, P, C, const RESULT: u8>(
                flow: &C,
                block: &Block<'_, E>,
                x: &mut Lane<E>,
                u: &Lane<E>,
                g: &Lane<E>,
                u_out: &mut Lane<E>,
                g_out: &mut Lane<E>,
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
                    let before = Flow {
                        u: On::new(u[i] * block.u_scale),
                        g: On::new(g[i] * block.g_scale),
                        x: On::new(x[i]),
                    };
                    let (after, memory) = flow(before, memory);
                    k = 0;
                    memory.store(&mut |v| {
                        values[k] = v.0;
                        k += 1;
                    });
                    let [$($slot,)* _] = [$(&mut $slot[i],)* &mut x[i]];
                    let mut _k = 0;
                    $(*$slot = values[_k]; _k += 1;)*
                    match RESULT {
                        TO_UPDATE => {
                            u_out[i] = after.u.0;
                            if P::REDEFINES_GRADIENT {
                                g_out[i] = after.g.0;
                            }
                        }
                        SUBTRACT => x[i] = x[i] - after.u.0,
                        _ => x[i] = after.u.0,
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

impl<T, E, P, C, const RESULT: u8> Task for Sweep<'_, T, E, P, C, RESULT>
where
    T: Target,
    E: Element,
    P: Part,
    C: Fn(Flow<On<T, E>>, P::Memory<On<T, E>>) -> (Flow<On<T, E>>, P::Memory<On<T, E>>),
{
    #[inline(always)]
    fn run(self) {
        let block = self.block;
        let mut at = 0;
        while at < block.n {
            ask(block.hints, at);
            // Streams that a kernel does not write may be missing.
            let (mut no_u, mut no_g) = ([block.u_scale; CHUNK], [block.u_scale; CHUNK]);
            // SAFETY: all streams hold a whole chunk from `at` on; those written overlap no other.
            unsafe {
                let x = &mut *block.x.add(at).cast();
                let (u, g) = (&*block.u.add(at).cast(), &*block.g.add(at).cast());
                let u_out =
                    if RESULT == TO_UPDATE { &mut *block.u_out.add(at).cast() } else { &mut no_u };
                let g_out = if RESULT == TO_UPDATE && P::REDEFINES_GRADIENT {
                    &mut *block.g_out.add(at).cast()
                } else {
                    &mut no_g
                };
                let s = |k: usize| &mut *block.slots[k].add(at).cast::<Lane<E>>();
                macro_rules! call {
                    ($name:ident $($k:literal)*) => {
                        chunk::$name::<T, E, P, C, RESULT>(
                            self.flow, block, x, u, g, u_out, g_out, $(s($k)),*
                        )
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

/// The number type that terms are evaluated in and joined within a block.
pub(crate) trait Precision: Send + Sync + 'static {
    /// The type.
    type Number<T: Target, E: Element>: Real<Wide = f64>;
    /// A value of the data.
    fn of<T: Target, E: Element>(value: E) -> Self::Number<T, E>;
}

/// That of the sums, for terms whose sums need it.
pub(crate) struct Double;

impl Precision for Double {
    type Number<T: Target, E: Element> = On<T, f64>;
    #[inline(always)]
    fn of<T: Target, E: Element>(value: E) -> On<T, f64> {
        On::new(value.widen())
    }
}

/// That of the data, for terms like counts and extremes that are exact in it.
pub(crate) struct Native;

impl Precision for Native {
    type Number<T: Target, E: Element> = On<T, E>;
    #[inline(always)]
    fn of<T: Target, E: Element>(value: E) -> On<T, E> {
        On::new(value)
    }
}

/// The terms `terms` of part `P`, compiled for target `T`.
pub(crate) struct CompiledTerms<T, N, P, C> {
    pub(crate) terms: C,
    pub(crate) marker: PhantomData<(T, N, P)>,
}

struct Terms<'a, T, N, E, P, C> {
    terms: &'a C,
    block: &'a Block<'a, E>,
    sums: &'a mut [f64],
    marker: PhantomData<(T, N, P)>,
}

impl<T, N, E, P, C> Gather<E> for CompiledTerms<T, N, P, C>
where
    T: Target,
    N: Precision,
    E: Element,
    P: Part,
    C: Fn(
            N::Number<T, E>,
            Here<N::Number<T, E>>,
            P::Memory<N::Number<T, E>>,
        ) -> P::Terms<N::Number<T, E>>
        + Send
        + Sync
        + 'static,
{
    unsafe fn gather(&self, block: &Block<'_, E>, sums: &mut [f64]) {
        let task: Terms<'_, T, N, E, P, C> =
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
pub(crate) fn join<F: Real>(join: Join, a: F, b: F) -> F {
    match join {
        Join::Sum => a + b,
        Join::Max => a.max(b),
    }
}

impl<T, N, E, P, C> Task for Terms<'_, T, N, E, P, C>
where
    T: Target,
    N: Precision,
    E: Element,
    P: Part,
    C: Fn(
        N::Number<T, E>,
        Here<N::Number<T, E>>,
        P::Memory<N::Number<T, E>>,
    ) -> P::Terms<N::Number<T, E>>,
{
    #[inline(always)]
    fn run(self) {
        // Independent chains that become vector code, in an order that no instruction set changes.
        let mut lanes = Lanes([const { MaybeUninit::uninit() }; MAX_TERMS]);
        for (lane, how) in lanes.0.iter_mut().zip(P::JOIN) {
            lane.write([Real::number(neutral(*how)); LANES]);
        }
        let mut at = 0;
        while at < self.block.n {
            ask(self.block.hints, at);
            if self.block.n - at >= CHUNK {
                self.chunk::<false>(at, &mut lanes);
            } else {
                self.chunk::<true>(at, &mut lanes);
            }
            at += CHUNK;
        }
        for ((lane, how), sum) in lanes.0.iter_mut().zip(P::JOIN).zip(self.sums) {
            // SAFETY: initialised above, one for every join.
            let lane = unsafe { lane.assume_init_mut() };
            // Halves onto each other, so that this too is vector code.
            let mut half = LANES / 2;
            while half > 0 {
                for j in 0..half {
                    lane[j] = join(*how, lane[j], lane[j + half]);
                }
                half /= 2;
            }
            *sum = lane[0].widen();
        }
    }
}

/// Partial results of a term. A chunk is joined to as few before they are touched: they are loaded and
/// stored again for every chunk, and sixteen are one vector of the widest kind.
const LANES: usize = 16;

/// The partial results of each term, on cache-line borders: they are stored and loaded again for
/// every chunk, and a vector across a border takes twice as long.
#[repr(align(64))]
struct Lanes<N>([MaybeUninit<[N; LANES]>; MAX_TERMS]);

impl<T, N, E, P, C> Terms<'_, T, N, E, P, C>
where
    T: Target,
    N: Precision,
    E: Element,
    P: Part,
    C: Fn(
        N::Number<T, E>,
        Here<N::Number<T, E>>,
        P::Memory<N::Number<T, E>>,
    ) -> P::Terms<N::Number<T, E>>,
{
    /// The terms of coordinate `i` of the block, neutral past the end of the `LAST` chunk.
    ///
    /// A method, not a closure: those are not always inlined, and a call here keeps the loop scalar.
    #[inline(always)]
    fn of<const LAST: bool>(&self, i: usize) -> [N::Number<T, E>; MAX_TERMS] {
        let Block { n, x, g, u, u_scale, g_scale, slots, .. } = *self.block;
        // SAFETY: all streams hold whole chunks.
        let read = |stream: *const E| unsafe { *stream.add(i) };
        let mut k = 0;
        let memory = P::Memory::load(&mut || {
            k += 1;
            N::of::<T, E>(read(slots[k - 1]))
        });
        let here = Here { g: N::of(read(g) * g_scale), x: N::of(read(x)) };
        let terms = (self.terms)(N::of(read(u) * u_scale), here, memory);
        let mut all = [Real::number(0.0); MAX_TERMS];
        k = 0;
        terms.store(&mut |term| {
            let outside: N::Number<T, E> = Real::number(neutral(P::JOIN[k]));
            all[k] = if !LAST || i < n { term } else { outside };
            k += 1;
        });
        all
    }

    /// Joins the terms of one chunk, of the coordinates that count if it is the `LAST`. `lanes` is an
    /// argument so that the compiler knows it for separate from the streams.
    #[inline(always)]
    fn chunk<const LAST: bool>(&self, at: usize, lanes: &mut Lanes<N::Number<T, E>>) {
        let mut j = 0;
        while j < LANES {
            let i = index::<T>(j);
            let (a, b) = (self.of::<LAST>(at + i), self.of::<LAST>(at + i + LANES));
            let (c, d) = (self.of::<LAST>(at + i + 2 * LANES), self.of::<LAST>(at + i + 3 * LANES));
            let mut k = 0;
            while k < P::JOIN.len() {
                let how = P::JOIN[k];
                // SAFETY: there is a join, and so an initialised lane, for every term.
                let lane = unsafe { lanes.0[k].assume_init_mut() };
                let four = join(how, join(how, a[k], b[k]), join(how, c[k], d[k]));
                lane[i] = join(how, lane[i], four);
                k += 1;
            }
            j += 1;
        }
    }
}

const _: () = assert!(CHUNK == 4 * LANES);
