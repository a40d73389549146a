//! The memory bound: kernels with the streams of a method and almost no arithmetic.
//!
//! Two of them, and the faster one counts: a plain loop on operating-system threads, each on its
//! own contiguous part, as a benchmark like STREAM would have it; and the library's sweep with a
//! rule that adds a multiple of the gradient to every stream, which prefetches. So the bound does
//! not flatter the engine: where the plain loop is faster, that is the bound.

use std::time::Instant;

use thalweg::{At, Chain, Here, Hypers, Real, Rule, Slot, slot};

/// Streams that are read and written besides the parameter.
pub(super) const MOST_SLOTS: usize = 4;

/// The buffers of the plain loop.
pub(super) struct Plain {
    x: Vec<f32>,
    g: Vec<f32>,
    slots: Vec<Vec<f32>>,
    threads: usize,
}

impl Plain {
    /// Buffers of `n` coordinates with `slots` state streams.
    pub(super) fn new(n: usize, slots: usize, threads: usize) -> Plain {
        let slots = (0..slots).map(|_| vec![0.0; n]).collect();
        Plain { x: vec![0.5; n], g: vec![1e-3; n], slots, threads }
    }

    /// One pass, in seconds.
    pub(super) fn pass(&mut self) -> f64 {
        let part = self.x.len().div_ceil(self.threads).next_multiple_of(64);
        let mut slots: Vec<_> = self.slots.iter_mut().map(|s| s.chunks_mut(part)).collect();
        let mut parts: Vec<_> = self
            .x
            .chunks_mut(part)
            .zip(self.g.chunks(part))
            .map(|(x, g)| {
                let slots: Vec<&mut [f32]> = slots.iter_mut().filter_map(Iterator::next).collect();
                (x, g, slots)
            })
            .collect();
        let first = parts.pop();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (x, g, slots) in parts {
                scope.spawn(move || touch(x, g, slots));
            }
            if let Some((x, g, slots)) = first {
                touch(x, g, slots);
            }
        });
        start.elapsed().as_secs_f64()
    }
}

/// Reads and writes every stream once.
fn touch(x: &mut [f32], g: &[f32], slots: Vec<&mut [f32]>) {
    let mut slots = slots.into_iter();
    match (slots.next(), slots.next(), slots.next(), slots.next()) {
        (None, ..) => x.iter_mut().zip(g).for_each(|(x, g)| *x -= 1e-6 * g),
        (Some(a), None, ..) => {
            for ((x, g), a) in x.iter_mut().zip(g).zip(a) {
                *a += 1e-6 * g;
                *x -= *a;
            }
        }
        (Some(a), Some(b), None, _) => {
            for (((x, g), a), b) in x.iter_mut().zip(g).zip(a).zip(b) {
                *a += 1e-6 * g;
                *b += 1e-6 * g;
                *x -= *a + *b;
            }
        }
        (Some(a), Some(b), Some(c), None) => {
            for ((((x, g), a), b), c) in x.iter_mut().zip(g).zip(a).zip(b).zip(c) {
                *a += 1e-6 * g;
                *b += 1e-6 * g;
                *c += 1e-6 * g;
                *x -= *a + *b + *c;
            }
        }
        (Some(a), Some(b), Some(c), Some(d)) => {
            for (((((x, g), a), b), c), d) in x.iter_mut().zip(g).zip(a).zip(b).zip(c).zip(d) {
                *a += 1e-6 * g;
                *b += 1e-6 * g;
                *c += 1e-6 * g;
                *d += 1e-6 * g;
                *x -= *a + *b + *c + *d;
            }
        }
    }
}

/// A rule with the streams of a method and the least arithmetic that touches them all.
#[derive(Clone, Debug)]
struct Streams<const N: usize>;

impl<const N: usize> Hypers for Streams<N> {
    fn each(&self, _: &mut dyn FnMut(&thalweg::Hyper)) {}
    fn each_mut(&mut self, _: &mut dyn FnMut(&mut thalweg::Hyper)) {}
}

macro_rules! streams {
    ($($n:literal: $($slot:ident)*;)*) => {$(
        impl Rule for Streams<$n> {
            type Memory<F: Real> = [F; $n];
            const SLOTS: &'static [Slot] = &[$(slot(stringify!($slot))),*];

            #[inline(always)]
            fn at<F: Real>(
                &self,
                _: &At<F>,
            ) -> impl Fn(F, Here<F>, [F; $n]) -> (F, [F; $n]) + Copy + Send + Sync + use<F> {
                let c = F::number(1e-6);
                move |g, _, [$($slot),*]| {
                    let step = c * g;
                    $(let $slot = $slot + step;)*
                    (step $(+ $slot)*, [$($slot),*])
                }
            }
        }
    )*};
}
streams! { 0: ; 1: a; 2: a b; 3: a b c; 4: a b c d; }

/// The chain that moves `slots` state streams.
pub(super) fn chain(slots: usize) -> Chain {
    match slots {
        0 => Chain::new(Streams::<0>),
        1 => Chain::new(Streams::<1>),
        2 => Chain::new(Streams::<2>),
        3 => Chain::new(Streams::<3>),
        _ => Chain::new(Streams::<4>),
    }
}
