//! How numbers lie in memory: 16-bit floats, stochastic rounding, and 8-bit codes with a scale per
//! block. A block is decoded to `f32` in the cache, stepped, and encoded again.

use half::slice::HalfFloatSliceExt;

use super::code_book::{Signed, Unsigned, inverse, signed_code, signed_value, unsigned_code};
use super::hints::{Hints, ask};
use super::isa::{Isa, Target, Task, on};
use super::kernel::{BLOCK, CHUNK};

/// A storage format other than the number type of the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE half precision of 2¹¹ times the number, for what rounding to half precision cuts off: as it is that
    /// would often be subnormal. Rounded to the nearest.
    F16Rest,
    /// 8-bit codes of numbers of either sign.
    Signed,
    /// 8-bit codes of numbers that are never negative; a positive number never becomes zero.
    Unsigned,
}

/// What [`Packing::F16Rest`] multiplies by.
const REST: f32 = 2048.0;

impl Packing {
    /// Bytes per coordinate.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Packing::Bf16 | Packing::F16 | Packing::F16Rest => 2,
            Packing::Signed | Packing::Unsigned => 1,
        }
    }

    /// The most that rounding to the nearest cuts off a number: a share of what is left of it, and of the
    /// smallest numbers so much; a little more, because it is itself kept in this format.
    pub(crate) fn rounds_off(self) -> (f64, f64) {
        let (digits, smallest) = match self {
            Packing::Bf16 => (8, -133),
            Packing::F16 => (11, -24),
            // Parameters are never kept so.
            _ => return (f64::INFINITY, 0.0),
        };
        (1.01 * 0.5f64.powi(digits), 0.5 * 2f64.powi(smallest))
    }

    /// Its largest finite number, of those that parameters are kept in.
    pub(crate) fn largest(self) -> f64 {
        match self {
            Packing::Bf16 => f64::from(half::bf16::MAX),
            Packing::F16 => f64::from(half::f16::MAX),
            _ => f64::INFINITY,
        }
    }

    /// Its name in checkpoints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Packing::Bf16 => "bf16",
            Packing::F16 => "f16",
            Packing::F16Rest => "f16_rest",
            Packing::Signed => "signed8",
            Packing::Unsigned => "unsigned8",
        }
    }

    /// The format of that name.
    pub(crate) fn named(name: &str) -> Option<Packing> {
        let all = [Packing::Bf16, Packing::F16, Packing::Signed, Packing::Unsigned];
        all.into_iter().find(|p| p.name() == name)
    }

    /// The format for what rounding to this one cuts off.
    pub(crate) fn of_rest(self) -> Packing {
        if self == Packing::F16 { Packing::F16Rest } else { self }
    }

    /// Whether every block has a scale.
    pub(crate) fn scaled(self) -> bool {
        self.bytes() == 1
    }
}

/// How a number between two representable ones is rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Up or down with the probability that keeps the mean, by a generator that counts: what
    /// coordinate `first + i` draws of stream `key` depends on nothing else.
    Stochastic {
        /// The stream.
        key: u32,
        /// The first coordinate.
        first: usize,
    },
}

/// The words of a stream are mixed from numbers so far apart.
const STRIDE: u32 = 0x9E37_79B9;

/// A random word: number `i` of stream `key`.
#[inline(always)]
fn noise(key: u32, i: u32) -> u32 {
    mix(i.wrapping_mul(STRIDE) ^ key)
}

/// Wellons' `lowbias32`.
#[inline(always)]
fn mix(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x21F0_AAAD);
    h = (h ^ (h >> 15)).wrapping_mul(0x735A_2D97);
    h ^ (h >> 15)
}

/// Half a random word for a coordinate: those half a chunk apart share a word, so that a loop over
/// chunks mixes half as many.
#[inline(always)]
fn half_noise(key: u32, coordinate: usize) -> u32 {
    let (chunk, lane) = (coordinate / CHUNK, coordinate % CHUNK);
    let word = noise(key, (chunk * (CHUNK / 2) + lane % (CHUNK / 2)) as u32);
    if lane < CHUNK / 2 { word >> 16 } else { word & 0xFFFF }
}

/// A parameter's name as a number (FNV-1a), the same in every process.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The stream of one slot of one parameter at one step.
pub(crate) fn stream(seed: u64, name_hash: u64, slot: usize, t: u64) -> u32 {
    let mut h = name_hash;
    // SplitMix64's finaliser: any change changes every bit.
    for word in [seed, slot as u64, t] {
        h = (h ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        h = (h ^ (h >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        h = (h ^ (h >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        h ^= h >> 31;
    }
    (h >> 32) as u32
}

#[inline(always)]
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[inline(always)]
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16;
    // A NaN must not round to infinity.
    let quiet = (bits >> 16) | 0x40;
    (if value.is_nan() { quiet } else { nearest }) as u16
}

#[inline(always)]
fn to_bf16_stochastic(value: f32, half_noise: u32) -> u16 {
    // Infinity is not moved, nor is a NaN: what arithmetic gives has its highest bit set, and stays one.
    // Nor is a number beyond the largest, which it is cut off to: a parameter must not become infinite.
    let moved = if value.abs() < from_bf16(0x7F7F) { half_noise } else { 0 };
    (value.to_bits().wrapping_add(moved) >> 16) as u16
}

/// A number that half precision has.
#[inline(always)]
fn to_f16_stochastic(value: f32, noise: u32) -> f32 {
    // A number beyond the largest is the largest: a parameter must not become infinite.
    let magnitude = value.abs().min(65504.0);
    // Below the normal numbers the spacing is constant: 2⁻²⁴. What is left of it is compared, not added, for
    // a sum would be rounded.
    let spacings = magnitude * 16_777_216.0;
    let whole = spacings.floor();
    let up = if (noise >> 8) as f32 / 16_777_216.0 < spacings - whole { 1.0 } else { 0.0 };
    let small = (whole + up) / 16_777_216.0;
    let large = f32::from_bits((magnitude.to_bits() + (noise >> 19)) & !0x1FFF);
    let rounded = if magnitude < 6.103_515_6e-5 { small } else { large };
    if value.is_finite() { rounded.copysign(value) } else { value }
}

/// Loops over chunks of constant length, which become vector code.
#[inline(always)]
fn map<A: Copy, B>(
    from: &[A],
    to: &mut [B],
    hints: Option<&Hints>,
    formula: impl Fn(usize, A) -> B,
) {
    let (chunks, rest) = from.as_chunks::<CHUNK>();
    let (chunks_to, rest_to) = to.as_chunks_mut::<CHUNK>();
    for (k, (from, to)) in chunks.iter().zip(chunks_to).enumerate() {
        ask(hints, k * CHUNK);
        for j in 0..CHUNK {
            to[j] = formula(k * CHUNK + j, from[j]);
        }
    }
    let done = chunks.len() * CHUNK;
    for (j, (from, to)) in rest.iter().zip(rest_to).enumerate() {
        *to = formula(done + j, *from);
    }
}

/// Multiples of [`STRIDE`].
const STRIDES: [u32; CHUNK / 2] = {
    let mut all = [0; CHUNK / 2];
    let mut j = 1;
    while j < all.len() {
        all[j] = STRIDE.wrapping_add(all[j - 1]);
        j += 1;
    }
    all
};

/// Rounds to bfloat16 with the noise of the coordinates from `first` on.
#[inline(always)]
fn bf16_stochastic(
    key: u32,
    first: usize,
    from: &[f32],
    to: &mut [[u8; 2]],
    hints: Option<&Hints>,
) {
    const HALF: usize = CHUNK / 2;
    let one_by_one = |first: usize, from: &[f32], to: &mut [[u8; 2]]| {
        for (i, (from, to)) in from.iter().zip(to).enumerate() {
            *to = to_bf16_stochastic(*from, half_noise(key, first + i)).to_le_bytes();
        }
    };
    // A row may begin within a chunk.
    let head = (first.next_multiple_of(CHUNK) - first).min(from.len());
    let ((before, from), (before_to, to)) = (from.split_at(head), to.split_at_mut(head));
    one_by_one(first, before, before_to);
    let first = first + head;
    let words = (first / 2) as u32;
    let (chunks, rest) = from.as_chunks::<CHUNK>();
    let (chunks_to, rest_to) = to.as_chunks_mut::<CHUNK>();
    for (k, (from, to)) in chunks.iter().zip(chunks_to).enumerate() {
        ask(hints, k * CHUNK);
        // As [`noise`] multiplies, but once a chunk: a vector's product costs as much as four sums.
        let at = words.wrapping_add((k * HALF) as u32).wrapping_mul(STRIDE);
        for j in 0..HALF {
            let word = mix(at.wrapping_add(STRIDES[j]) ^ key);
            to[j] = to_bf16_stochastic(from[j], word >> 16).to_le_bytes();
            to[j + HALF] = to_bf16_stochastic(from[j + HALF], word & 0xFFFF).to_le_bytes();
        }
    }
    one_by_one(first + chunks.len() * CHUNK, rest, rest_to);
}

/// Rounds to the nearest numbers in half precision.
#[inline(always)]
fn f16_nearest(from: &[f32], to: &mut [u8], hints: Option<&Hints>) {
    let mut words = [half::f16::ZERO; BLOCK];
    words[..from.len()].convert_from_f32_slice(from);
    map(&words[..from.len()], to.as_chunks_mut::<2>().0, hints, |_, h| h.to_le_bytes());
}

struct Decode<'a> {
    packing: Packing,
    from: &'a [u8],
    scale: f32,
    to: &'a mut [f32],
    hints: Option<&'a Hints>,
}

impl Task for Decode<'_> {
    #[inline(always)]
    fn run(self) {
        let Decode { packing, from, scale, to, hints } = self;
        match packing {
            Packing::Bf16 => {
                let (pairs, _) = from.as_chunks::<2>();
                map(pairs, to, hints, |_, b| from_bf16(u16::from_le_bytes(b)));
            }
            Packing::F16 | Packing::F16Rest => {
                let (pairs, _) = from.as_chunks::<2>();
                let mut words = [half::f16::ZERO; BLOCK];
                map(pairs, &mut words[..to.len()], hints, |_, b| half::f16::from_le_bytes(b));
                words[..to.len()].convert_to_f32_slice(to);
                if packing == Packing::F16Rest {
                    to.iter_mut().for_each(|v| *v *= 1.0 / REST);
                }
            }
            Packing::Signed => map(from, to, hints, |_, c| scale * signed_value(c)),
            Packing::Unsigned => map(from, to, hints, |_, c| scale * Unsigned::value(u32::from(c))),
        }
    }
}

struct Encode<'a> {
    packing: Packing,
    rounding: Rounding,
    from: &'a [f32],
    to: &'a mut [u8],
    scale: &'a mut f32,
    hints: Option<&'a Hints>,
}

impl Task for Encode<'_> {
    #[inline(always)]
    fn run(self) {
        let Encode { packing, rounding, from, to, scale, hints } = self;
        match (packing, rounding) {
            (Packing::Bf16, Rounding::Nearest) => {
                map(from, to.as_chunks_mut::<2>().0, hints, |_, v| to_bf16(v).to_le_bytes());
            }
            (Packing::Bf16, Rounding::Stochastic { key, first }) => {
                bf16_stochastic(key, first, from, to.as_chunks_mut::<2>().0, hints);
            }
            (Packing::F16, Rounding::Nearest) => f16_nearest(from, to, hints),
            (Packing::F16, Rounding::Stochastic { key, first }) => {
                let first = first as u32;
                let mut rounded = [0.0; BLOCK];
                map(from, &mut rounded[..from.len()], hints, |i, v| {
                    to_f16_stochastic(v, noise(key, first.wrapping_add(i as u32)))
                });
                f16_nearest(&rounded[..from.len()], to, None);
            }
            (Packing::F16Rest, _) => {
                let mut large = [0.0; BLOCK];
                map(from, &mut large[..from.len()], None, |_, v| v * REST);
                f16_nearest(&large[..from.len()], to, hints);
            }
            (Packing::Signed, _) => {
                *scale = Signed::unit(from);
                let inverse = inverse(*scale);
                map(from, to, hints, |_, v| signed_code(v, inverse));
            }
            (Packing::Unsigned, _) => {
                *scale = Unsigned::unit(from);
                let inverse = inverse(*scale);
                map(from, to, hints, |_, v| unsigned_code(v, inverse));
            }
        }
    }
}

/// Decodes `to.len()` coordinates, at most a block.
pub(crate) fn decode(
    isa: Isa,
    packing: Packing,
    from: &[u8],
    scale: f32,
    to: &mut [f32],
    hints: Option<&Hints>,
) {
    debug_assert!(from.len() == to.len() * packing.bytes() && to.len() <= BLOCK);
    // SAFETY: an optimizer only has an instruction set that is available.
    on!(isa, T => unsafe { T::run(Decode { packing, from, scale, to, hints }) });
}

/// Encodes `from.len()` coordinates, at most a block, and returns the scale of those that have one.
pub(crate) fn encode(
    isa: Isa,
    packing: Packing,
    rounding: Rounding,
    from: &[f32],
    to: &mut [u8],
    hints: Option<&Hints>,
) -> f32 {
    debug_assert!(to.len() == from.len() * packing.bytes() && from.len() <= BLOCK);
    let mut scale = 0.0;
    // SAFETY: an optimizer only has an instruction set that is available.
    on!(isa, T => unsafe {
        T::run(Encode { packing, rounding, from, to, scale: &mut scale, hints })
    });
    scale
}

/// [`decode`] to `f64`.
pub(crate) fn decode_wide(
    isa: Isa,
    packing: Packing,
    from: &[u8],
    scale: f32,
    to: &mut [f64],
    hints: Option<&Hints>,
) {
    let mut narrow = [0.0; BLOCK];
    let narrow = &mut narrow[..to.len()];
    decode(isa, packing, from, scale, narrow, hints);
    to.iter_mut().zip(narrow).for_each(|(to, from)| *to = f64::from(*from));
}

/// As `f32`, which has fewer of the large and small ones: a finite number stays finite, and a positive one
/// positive.
fn narrowed(value: f64) -> f32 {
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        f32::MAX.copysign(narrow)
    } else if narrow == 0.0 && value > 0.0 {
        f32::from_bits(1)
    } else {
        narrow
    }
}

/// [`encode`] from `f64`, by way of `f32`.
pub(crate) fn encode_wide(
    isa: Isa,
    packing: Packing,
    rounding: Rounding,
    from: &[f64],
    to: &mut [u8],
    hints: Option<&Hints>,
) -> f32 {
    let mut narrow = [0.0; BLOCK];
    let narrow = &mut narrow[..from.len()];
    narrow.iter_mut().zip(from).for_each(|(to, from)| *to = narrowed(*from));
    encode(isa, packing, rounding, narrow, to, hints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_round_to_the_nearest_as_the_half_crate_does() {
        let edges = [0.0f32, -0.0, 1.0, 1.003_906_3, 1.0e-40, 3.4e38, f32::MAX, f32::INFINITY];
        let many = (0..200_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9E37_79B9)));
        for v in edges.into_iter().chain(many).filter(|v| !v.is_nan()) {
            assert_eq!(to_bf16(v), half::bf16::from_f32(v).to_bits(), "{v:e}");
            assert_eq!(to_bf16(-v), half::bf16::from_f32(-v).to_bits(), "{v:e}");
        }
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
        assert!(from_bf16(to_bf16_stochastic(f32::NAN, 1)).is_nan());
        assert_eq!(from_bf16(to_bf16_stochastic(f32::NEG_INFINITY, u32::MAX)), f32::NEG_INFINITY);
    }

    #[test]
    fn stochastic_rounding_keeps_the_mean_and_what_is_representable() {
        let mean = |v: f32, round: &dyn Fn(f32, usize) -> f32| {
            (0..40_000).map(|i| f64::from(round(v, i))).sum::<f64>() / 40_000.0
        };
        let bf16 = |v, i| from_bf16(to_bf16_stochastic(v, half_noise(7, i)));
        let f16 = |v, i| to_f16_stochastic(v, noise(7, i as u32));
        for v in [1.001f32, -0.3333, 1e-3, 12345.0, 2.5e-6, 3e-8] {
            for (name, round, spacing) in [
                ("bf16", &bf16 as &dyn Fn(f32, usize) -> f32, v.abs() / 128.0),
                ("f16", &f16, (v.abs() / 1024.0).max(6e-8)),
            ] {
                // Four standard errors of a mean of 40,000 draws one spacing apart.
                let bound = 4.0 * f64::from(spacing) * 0.5 / 200.0;
                let error = (mean(v, round) - f64::from(v)).abs();
                assert!(error < bound, "{name} {v:e}: {error:e} > {bound:e}");
            }
        }
        // A finite number stays one, whatever is drawn.
        for (v, half_noise) in [(f32::MAX, 0xFFFF), (3.39e38, 0xFFFF), (65504.1, 0), (1e9, 0)] {
            let kept = from_bf16(to_bf16_stochastic(-v, half_noise));
            assert!(kept.is_finite() && kept <= -0.99 * v, "{v}");
            let kept = to_f16_stochastic(-v, u32::MAX);
            assert_eq!(kept, -65504.0, "{v}");
        }
        for v in [1.0f32, -0.5, 0.0, 65504.0] {
            let f16 = to_f16_stochastic(v, u32::MAX);
            assert_eq!((from_bf16(to_bf16_stochastic(1.0, 0xFFFF)), f16), (1.0, v));
        }
        // Whatever half precision has is left as it is, and whatever comes of rounding it has.
        for bits in 0..0x7C00 {
            let v = half::f16::from_bits(bits).to_f32();
            for draw in [0, 0xFFFF_FFFF, noise(9, u32::from(bits))] {
                assert_eq!(to_f16_stochastic(v, draw), v);
                let rounded = to_f16_stochastic(v * 1.0003, draw);
                assert_eq!(half::f16::from_f32(rounded).to_f32(), rounded, "{v:e}");
            }
        }
        // The loop over chunks draws what the coordinates draw one by one.
        let values: Vec<f32> = (0..200).map(|i| 1.0 + i as f32 / 777.0).collect();
        for first in [0, 64, 99, 1024] {
            let mut all = vec![[0; 2]; values.len()];
            bf16_stochastic(5, first, &values, &mut all, None);
            for (i, v) in values.iter().enumerate() {
                let one = to_bf16_stochastic(*v, half_noise(5, first + i)).to_le_bytes();
                assert_eq!(all[i], one, "{first} {i}");
            }
        }
    }

    #[test]
    fn a_finite_double_stays_finite_and_a_positive_one_positive() {
        for (wide, narrow) in
            [(1e300, f32::MAX), (-1e39, -f32::MAX), (1e-300, 1e-45), (-1e-300, -0.0)]
        {
            assert_eq!(narrowed(wide).to_bits(), f32::to_bits(narrow), "{wide:e}");
        }
        assert_eq!((narrowed(f64::INFINITY), narrowed(0.5)), (f32::INFINITY, 0.5));
        assert!(narrowed(f64::NAN).is_nan());
    }

    #[test]
    fn every_instruction_set_leaves_the_same_bits() {
        let values: Vec<f32> = (0..BLOCK as u32)
            .map(|i| f32::from_bits(noise(3, i) & 0xBFFF_FFFF))
            .map(|v| if v.is_nan() { 0.0 } else { v.clamp(-60000.0, 60000.0) })
            .collect();
        let all =
            [Packing::Bf16, Packing::F16, Packing::F16Rest, Packing::Signed, Packing::Unsigned];
        for packing in all {
            let values: Vec<f32> = match packing {
                Packing::Unsigned => values.iter().map(|v| v.abs()).collect(),
                _ => values.clone(),
            };
            for rounding in [Rounding::Nearest, Rounding::Stochastic { key: 5, first: 99 }] {
                for n in [0, 1, 63, 64, 1000, BLOCK] {
                    let run = |isa| {
                        let mut bytes = vec![0; n * packing.bytes()];
                        let scale = encode(isa, packing, rounding, &values[..n], &mut bytes, None);
                        let mut back = vec![0.0; n];
                        decode(isa, packing, &bytes, scale, &mut back, None);
                        (
                            bytes,
                            scale.to_bits(),
                            back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
                        )
                    };
                    let want = run(Isa::Scalar);
                    for isa in Isa::available() {
                        assert!(run(isa) == want, "{packing:?} {rounding:?} {n} on {isa}");
                    }
                }
            }
        }
    }
}
