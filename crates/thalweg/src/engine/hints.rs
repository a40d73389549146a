//! Prefetching by hand: while one block is worked on, the memory is asked for what comes later.
//!
//! A core can wait for more cache lines than the hardware prefetcher asks for when several streams
//! compete for it. The lines of a block are shared out among the jobs that work on it in proportion to
//! how long they take, so that memory has work all the time: a job that asked for more than memory
//! delivers meanwhile would wait, and one that asked for nothing would leave memory idle.

use super::Element;
use super::kernel::{BLOCK, CHUNK, MAX_SLOTS};
use super::tensor::{Loaded, Tensor};

/// Most streams that are asked for.
const MAX_STREAMS: usize = MAX_SLOTS + 2;
/// Chunks in a block.
const CHUNKS: usize = BLOCK / CHUNK;
/// How far ahead of use a single job asks for memory, in bytes. (Several jobs ask for the next block
/// between them.)
const AHEAD: usize = 2048;
/// How many blocks a pass over a single stream asks for at once. What the hardware guesses ends with a
/// page; from eight pages at once a core gets half as much again as from the next one (Intel).
const BLOCKS_AHEAD: usize = 8;

/// Asks the memory for a chunk.
#[inline(always)]
pub(super) fn prefetch<E>(chunk: *const E) {
    let mut line = 0;
    while line < CHUNK * size_of::<E>() {
        prefetch_line(chunk.cast::<u8>().wrapping_add(line));
        line += 64;
    }
}

/// Asks the memory for a cache line.
#[inline(always)]
pub(super) fn prefetch_line(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// What one job asks for while it runs over its block, chunk by chunk.
#[derive(Clone, Copy)]
pub(crate) struct Hints<E> {
    streams: [*const E; MAX_STREAMS],
    count: usize,
    /// The stream that is next, and the coordinate it has come to.
    stream: usize,
    at: usize,
    /// Chunks of streams to ask for in a whole block, and how many of their parts are due.
    share: usize,
    due: usize,
    /// The stream of a pass that has no other, if it is long.
    lonely: Option<*const E>,
}

impl<E> Hints<E> {
    /// Nothing.
    pub(super) fn none() -> Hints<E> {
        let streams = [std::ptr::null(); MAX_STREAMS];
        Hints { streams, count: 0, stream: 0, at: 0, share: 0, due: 0, lonely: None }
    }

    /// The next blocks of the only stream of a pass.
    pub(super) fn lonely(stream: *const E) -> Hints<E> {
        Hints { lonely: Some(stream), ..Hints::none() }
    }

    /// Asks for what is due with the chunk at `at`.
    #[inline(always)]
    pub(super) fn ask(&mut self, at: usize) {
        self.due += self.share;
        while self.due >= CHUNKS {
            self.due -= CHUNKS;
            prefetch(self.streams[self.stream].wrapping_add(self.at));
            self.stream += 1;
            if self.stream == self.count {
                (self.stream, self.at) = (0, self.at + CHUNK);
            }
        }
        if let Some(stream) = self.lonely {
            ask_far(stream, at);
        }
    }
}

/// Asks for as many lines as a chunk has, evenly from the next blocks: of the nearest the last ones, of the
/// furthest the first, so that each line is asked for once.
#[inline(always)]
fn ask_far<E>(stream: *const E, at: usize) {
    let block = BLOCK * size_of::<E>();
    let share = block / BLOCKS_AHEAD;
    let first = at * size_of::<E>() / 64;
    for line in first..first + CHUNK * size_of::<E>() / 64 {
        let ahead = 1 + line % BLOCKS_AHEAD;
        let place = ahead * block + (BLOCKS_AHEAD - ahead) * share + line / BLOCKS_AHEAD * 64;
        prefetch_line(stream.cast::<u8>().wrapping_add(place));
    }
}

/// What of a tensor the jobs on a block touch.
#[derive(Clone, Copy)]
pub(super) enum Touched {
    All,
    /// A reading pass: the gradient and so many of the first slots. (Whether it looks at the parameter is
    /// the formula's secret.)
    GradientAndSlots(usize),
}

/// How long a job takes: a kernel's streams say it roughly, terms count as one.
pub(super) type Effort = usize;

/// The effort of a kernel with so many slots.
pub(super) const fn effort(slots: usize) -> Effort {
    1 + slots
}

/// The streams of a block that are used in place, shared out among the jobs that work on it. (Decoding
/// asks for what it decodes.)
pub(super) struct Shares<E> {
    all: Hints<E>,
    /// The effort of all jobs, and of those that have had their share.
    efforts: Effort,
    before: Effort,
}

impl<E: Element> Shares<E> {
    /// For jobs on the block at `start` that make `efforts` together; `alone` if it is but one.
    pub(super) fn new(
        tensor: &Tensor<'_, E>,
        start: usize,
        loaded: &Loaded<E>,
        (efforts, alone): (Effort, bool),
        touched: Touched,
    ) -> Shares<E> {
        let (parameter, most) = match touched {
            Touched::All => (true, MAX_SLOTS),
            Touched::GradientAndSlots(slots) => (false, slots.min(MAX_SLOTS)),
        };
        // A single job asks for what it needs itself a little later, several for the next block.
        let ahead = if alone && loaded.in_place { AHEAD / size_of::<E>() } else { BLOCK };
        let at = start + ahead;
        let x = parameter.then(|| (tensor.x.packing, tensor.x.place::<E>(at)));
        let g = (tensor.g.packing, tensor.g.place::<E>(at));
        let slots = (0..tensor.slots.count().min(most))
            .map(|k| (tensor.slots.packing(k), tensor.slots.place(k, at)));
        let streams_touched = x.into_iter().chain([g]).chain(slots);
        let in_place = streams_touched.filter(|(packing, _)| packing.is_none());
        let mut all = Hints::none();
        for (stream, (_, place)) in all.streams.iter_mut().zip(in_place) {
            *stream = place.cast_const().cast();
            all.count += 1;
        }
        Shares { all, efforts, before: 0 }
    }

    /// For a block in a cache.
    pub(super) fn none() -> Shares<E> {
        Shares { all: Hints::none(), efforts: 1, before: 0 }
    }

    /// The share of the next job.
    pub(super) fn next(&mut self, effort: Effort) -> Hints<E> {
        let count = self.all.count;
        if count == 0 {
            return self.all;
        }
        let up_to = |effort: Effort| (count * CHUNKS * effort).div_ceil(self.efforts);
        let (first, end) = (up_to(self.before), up_to(self.before + effort));
        self.before += effort;
        Hints { stream: first % count, at: first / count * CHUNK, share: end - first, ..self.all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Isa;
    use crate::engine::buffer::Slots;
    use crate::engine::stream::Stream;
    use crate::engine::tensor::Edge;

    /// What jobs of these efforts ask for, as (stream, chunk).
    fn asked(efforts: &[Effort]) -> Vec<(usize, usize)> {
        let mut values = vec![0.0f32; 4 * BLOCK];
        let data: *mut u8 = values.as_mut_ptr().cast();
        let stream = |k: usize| Stream { data: data.wrapping_add(k * 4 * BLOCK), packing: None };
        let slots = Slots::new(&[None], BLOCK);
        let tensor = Tensor::<f32>::new(stream(0), stream(1), BLOCK, &slots);
        let loaded = tensor.load(Isa::Scalar, 0, BLOCK, &mut Edge::new());
        let whole = (efforts.iter().sum(), efforts.len() == 1);
        let mut shares = Shares::new(&tensor, 0, &loaded, whole, Touched::All);
        let mut all = vec![];
        for effort in efforts {
            let mut hints = shares.next(*effort);
            for chunk in 0..CHUNKS {
                let (stream, at) = (hints.stream, hints.at);
                let before = stream + at / CHUNK * hints.count;
                hints.ask(chunk * CHUNK);
                let after = hints.stream + hints.at / CHUNK * hints.count;
                all.extend((before..after).map(|k| (k % hints.count, k / hints.count)));
            }
        }
        all
    }

    #[test]
    fn the_jobs_on_a_block_ask_for_every_chunk_once() {
        let every: Vec<(usize, usize)> =
            (0..CHUNKS).flat_map(|chunk| (0..3).map(move |stream| (stream, chunk))).collect();
        for efforts in [&[3][..], &[1, 3], &[1, 3, 1], &[3, 1, 1], &[1, 1, 9, 7, 2]] {
            assert_eq!(asked(efforts), every, "{efforts:?}");
        }
    }
}
