//! Prefetching by hand: while one block is worked on, the memory is asked for what comes later.
//!
//! A core can wait for more cache lines than the hardware prefetcher asks for when several streams
//! compete for it. The lines of a block are shared out among the jobs that work on it in proportion to
//! how long they take, so that memory has work all the time: a job that asked for more than memory
//! delivers meanwhile would wait, and one that asked for nothing would leave memory idle.

use std::cell::Cell;
use std::sync::OnceLock;

use super::Element;
use super::kernel::{BLOCK, CHUNK, MAX_SLOTS};
use super::tensor::Tensor;

/// Most streams that are asked for.
const MAX_STREAMS: usize = MAX_SLOTS + 2;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Chunks in a block.
const CHUNKS: usize = BLOCK / CHUNK;
/// How many blocks a pass over a single stream asks for at once. What the hardware guesses ends with a
/// page; from eight pages at once a core gets half as much again as from the next one (Intel).
const BLOCKS_AHEAD: usize = 8;

const _: () = assert!(CHUNK == LINE, "so a chunk has as many lines as a coordinate has bytes");

/// Asks the memory for a cache line, to have it in the first-level cache or only in the second.
#[inline(always)]
pub(super) fn prefetch_line<const FIRST_LEVEL: bool>(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: prefetching never faults, whatever the address.
        unsafe {
            if FIRST_LEVEL {
                _mm_prefetch::<_MM_HINT_T0>(place.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(place.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// How a processor is best asked: measured, as makers differ (`BENCHMARKS.md`).
struct Manner {
    /// Whether lines are to come into the first-level cache, or only into the second.
    first_level: bool,
    /// How far ahead of use a single job asks, in bytes of the formulas' numbers.
    alone: usize,
    /// How far ahead of the block in hand several jobs ask between them, in coordinates.
    several: usize,
    /// Whether a pass over a single stream asks.
    lonely: bool,
    /// Below so many coordinates everything is in a cache already, and asking only costs.
    cached: usize,
    /// The same for a single job; at least as many.
    cached_alone: usize,
}

/// Intel's cores, and those that nobody has measured.
const USUAL: Manner = Manner {
    first_level: true,
    alone: 2048,
    several: BLOCK,
    lonely: true,
    cached: 1 << 19,
    cached_alone: 1 << 19,
};

/// AMD's cores of the family of Zen 4: their first-level cache loses lines that come so early, and a single
/// stream comes by itself.
const ZEN_4: Manner = Manner {
    first_level: false,
    alone: 3072,
    several: BLOCK + BLOCK / 2,
    lonely: false,
    cached: 1 << 19,
    cached_alone: 1 << 21,
};

/// That of this machine.
fn manner() -> &'static Manner {
    static MANNER: OnceLock<&Manner> = OnceLock::new();
    MANNER.get_or_init(|| if is_zen_4() { &ZEN_4 } else { &USUAL })
}

/// Whether this is a core of AMD's family 25.
fn is_zen_4() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        let maker = __cpuid(0);
        let maker = [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes);
        let version = __cpuid(1).eax;
        let family = (version >> 8 & 0xF) + (version >> 20 & 0xFF);
        maker.as_flattened() == b"AuthenticAMD" && family == 25
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// How long a job takes, roughly.
pub(super) type Effort = usize;

/// Gathering terms.
pub(super) const TERMS: Effort = 2;
/// Decoding a stream.
pub(super) const DECODE: Effort = 1;
/// Encoding a stream.
pub(super) const ENCODE: Effort = 2;

/// A kernel with so many slots.
pub(super) fn effort(slots: usize) -> Effort {
    2 + 2 * slots
}

/// What is to be done with a block, besides decoding and encoding.
#[derive(Clone, Copy)]
pub(super) struct Work {
    /// The effort of all jobs.
    pub(super) effort: Effort,
    /// How many they are.
    pub(super) jobs: usize,
    /// Of a reading pass, how many of the first slots it touches. (Whether it looks at the parameter is
    /// the formula's secret.)
    pub(super) reads: Option<usize>,
}

/// A place in a stream, and the bytes of a coordinate there.
#[derive(Clone, Copy)]
struct Bytes {
    place: *const u8,
    width: usize,
}

/// The streams of a block, shared out among the jobs that work on it. Jobs that are given none are not to
/// ask.
///
/// In cells, not in the loops' own variables: a loop over seven streams has no register to spare.
pub(crate) struct Hints {
    streams: [Bytes; MAX_STREAMS],
    count: usize,
    /// Whether lines are to come into the first-level cache.
    first_level: bool,
    /// Whether the stream is the only one of a long pass.
    lonely: bool,
    /// The stream that is next, and the coordinate it has come to.
    next: Cell<(usize, usize)>,
    /// The effort of all jobs, and of those that have begun.
    efforts: Effort,
    begun: Cell<Effort>,
    /// Chunks of streams that the job in hand asks for in a whole block, and how many of their parts are due.
    share: Cell<usize>,
    due: Cell<usize>,
}

impl Hints {
    fn empty(manner: &Manner, efforts: Effort) -> Hints {
        Hints {
            streams: [Bytes { place: std::ptr::null(), width: 0 }; MAX_STREAMS],
            count: 0,
            first_level: manner.first_level,
            lonely: false,
            next: Cell::new((0, 0)),
            efforts,
            begun: Cell::new(0),
            share: Cell::new(0),
            due: Cell::new(0),
        }
    }

    /// For a single job on the gradient of the block at `start`, one of all those of so many `coordinates`, if
    /// asking pays: it asks for the next blocks. Rows in no order are asked for row by row.
    pub(super) fn lonely<E: Element>(
        tensor: &Tensor<'_, E>,
        start: usize,
        coordinates: usize,
    ) -> Option<Hints> {
        let manner = manner();
        let Manner { lonely, cached_alone, .. } = *manner;
        if !lonely || coordinates < cached_alone || tensor.rows().or(tensor.scattered()).is_some() {
            return None;
        }
        let mut hints = Hints { lonely, ..Hints::empty(manner, 1) };
        hints.touch(tensor.g.place::<E>(start), tensor.g.width::<E>());
        Some(hints)
    }

    /// For jobs on the block at `start`, one of all those of so many `coordinates`, if asking pays. Rows in no
    /// order are asked for row by row.
    pub(super) fn new<E: Element>(
        tensor: &Tensor<'_, E>,
        start: usize,
        work: Work,
        coordinates: usize,
    ) -> Option<Hints> {
        Hints::in_manner(manner(), tensor, start, work, coordinates)
    }

    fn in_manner<E: Element>(
        manner: &Manner,
        tensor: &Tensor<'_, E>,
        start: usize,
        work: Work,
        coordinates: usize,
    ) -> Option<Hints> {
        let Manner { alone, several, cached, cached_alone, .. } = *manner;
        if coordinates < cached || tensor.rows().is_some() {
            return None;
        }
        let packed = |k: &usize| tensor.slots.packing(*k).is_some();
        let slots = 0..tensor.slots.count();
        let (x, g) = (tensor.x.packing.is_some(), tensor.g.packing.is_some());
        let coded = slots.clone().filter(packed).count() + usize::from(x);
        let decoded = coded + usize::from(g);
        let encoded = if work.reads.is_none() { coded } else { 0 };
        // A single job asks for what it needs itself a little later, several for what comes after the block.
        let single = work.jobs == 1 && decoded == 0;
        if single && coordinates < cached_alone {
            return None;
        }
        let ahead = if single { alone / size_of::<E>() } else { several };
        let mut hints = Hints::empty(manner, work.effort + decoded * DECODE + encoded * ENCODE);
        let at = start + ahead;
        // What is packed is decoded whether a reading pass needs it or not.
        if work.reads.is_none() || x {
            hints.touch(tensor.x.place::<E>(at), tensor.x.width::<E>());
        }
        if tensor.scattered().is_none() {
            hints.touch(tensor.g.place::<E>(at), tensor.g.width::<E>());
        }
        for k in slots.filter(|k| work.reads.is_none_or(|first| *k < first) || packed(k)) {
            hints.touch(tensor.slots.place(k, at), tensor.slots.stream(k).width::<E>());
        }
        Some(hints)
    }

    /// Adds a stream while there is room.
    fn touch(&mut self, place: *mut u8, width: usize) {
        if let Some(stream) = self.streams.get_mut(self.count) {
            *stream = Bytes { place, width };
            self.count += 1;
        }
    }

    /// Begins the next job: until another begins, its share is asked for.
    fn begin(&self, effort: Effort) -> &Hints {
        let up_to = |effort: Effort| (self.count * CHUNKS * effort).div_ceil(self.efforts);
        let before = self.begun.replace(self.begun.get() + effort);
        if !self.lonely {
            self.share.set(up_to(before + effort) - up_to(before));
        }
        self.due.set(0);
        self
    }

    /// Asks for what is due with the chunk at `at` of the block.
    #[inline(always)]
    fn ask(&self, at: usize) {
        let mut due = self.due.get() + self.share.get();
        while due >= CHUNKS {
            due -= CHUNKS;
            let (stream, to) = self.next.get();
            let Bytes { place, width } = self.streams[stream];
            // A chunk has as many lines as a coordinate has bytes.
            let first = place.wrapping_add(to * width);
            for line in (0..width).map(|line| first.wrapping_add(line * LINE)) {
                if self.first_level {
                    prefetch_line::<true>(line);
                } else {
                    prefetch_line::<false>(line);
                }
            }
            let last = stream + 1 == self.count;
            self.next.set(if last { (0, to + CHUNK) } else { (stream + 1, to) });
        }
        self.due.set(due);
        if self.lonely {
            let stream = self.streams[0];
            let first = at * stream.width / LINE;
            for line in first..first + stream.width {
                prefetch_line::<true>(stream.far(line));
            }
        }
    }
}

impl Bytes {
    /// What is asked for with line `line` of a block, evenly from the next blocks: of the nearest the last
    /// lines, of the furthest the first, so that each is asked for once.
    #[inline(always)]
    fn far(self, line: usize) -> *const u8 {
        let block = BLOCK * self.width;
        let share = block / BLOCKS_AHEAD;
        let ahead = 1 + line % BLOCKS_AHEAD;
        let place = ahead * block + (BLOCKS_AHEAD - ahead) * share + line / BLOCKS_AHEAD * LINE;
        self.place.wrapping_add(place)
    }
}

/// Begins a job that may ask.
pub(super) fn begin(hints: Option<&Hints>, effort: Effort) -> Option<&Hints> {
    hints.map(|hints| hints.begin(effort))
}

/// Asks for what is due with the chunk at `at` of the block, if the job may ask.
#[inline(always)]
pub(super) fn ask(hints: Option<&Hints>, at: usize) {
    if let Some(hints) = hints {
        hints.ask(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::buffer::Slots;
    use crate::engine::codec::Packing;
    use crate::engine::stream::Stream;

    /// What jobs of these efforts ask for, as (stream, chunk).
    fn asked(manner: &Manner, efforts: &[Effort], packing: Option<Packing>) -> Vec<(usize, usize)> {
        let mut values = vec![0.0f32; 4 * BLOCK];
        let data: *mut u8 = values.as_mut_ptr().cast();
        let stream = |k: usize| Stream { data: data.wrapping_add(k * 4 * BLOCK), packing };
        let slots = Slots::new(&[packing], BLOCK);
        let tensor = Tensor::<f32>::new(stream(0), stream(1), BLOCK, &slots);
        let work = Work { effort: efforts.iter().sum(), jobs: efforts.len(), reads: None };
        let hints = Hints::in_manner(manner, &tensor, 0, work, usize::MAX);
        let hints = hints.expect("of more than any cache holds");
        let coding: &[Effort] = match packing {
            None => &[],
            Some(_) => &[DECODE, DECODE, DECODE, ENCODE, ENCODE],
        };
        let mut all = vec![];
        for effort in coding.iter().chain(efforts) {
            hints.begin(*effort);
            for chunk in 0..CHUNKS {
                let asked = || hints.next.get().0 + hints.next.get().1 / CHUNK * hints.count;
                let before = asked();
                hints.ask(chunk * CHUNK);
                all.extend((before..asked()).map(|k| (k % hints.count, k / hints.count)));
            }
        }
        all
    }

    #[test]
    fn the_jobs_on_a_block_ask_for_every_chunk_once() {
        let every: Vec<(usize, usize)> =
            (0..CHUNKS).flat_map(|chunk| (0..3).map(move |stream| (stream, chunk))).collect();
        for efforts in [&[4][..], &[2, 6], &[2, 6, 2], &[6, 2, 2], &[1, 1, 9, 7, 2]] {
            for packing in [None, Some(Packing::Bf16), Some(Packing::Unsigned)] {
                for manner in [&USUAL, &ZEN_4] {
                    assert_eq!(asked(manner, efforts, packing), every, "{efforts:?} {packing:?}");
                }
            }
        }
    }

    #[test]
    fn a_pass_over_a_single_stream_asks_for_every_line_once() {
        for width in [1, 2, 4, 8] {
            let mut lines = vec![];
            for block in 0..3 * BLOCKS_AHEAD {
                let place = std::ptr::without_provenance(block * BLOCK * width);
                let far = |line| Bytes { place, width }.far(line).addr() / LINE;
                lines.extend((0..BLOCK * width / LINE).map(far));
            }
            lines.sort_unstable();
            assert!(lines.windows(2).all(|two| two[0] < two[1]), "{width} bytes: one line twice");
            // All of them, once the first requests have come as far ahead as they go.
            let steady =
                BLOCKS_AHEAD * BLOCK * width / LINE..2 * BLOCKS_AHEAD * BLOCK * width / LINE;
            assert!(steady.into_iter().all(|line| lines.binary_search(&line).is_ok()), "{width}");
        }
    }
}
