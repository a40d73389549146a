//! The 8-bit code books, for numbers in units of about the largest of their block.
//!
//! The code book is *dynamic* (Dettmers, Lewis, Shleifer & Zettlemoyer 2022, arXiv 2110.02861):
//! few large numbers are told apart finely, many small ones coarsely. A magnitude code `c` with its
//! highest bit at `e` stands in decade `e` of eight's powers and has `e` bits that divide the
//! decade evenly, so with `f = c` as a float and `p = 2ᵉ`
//!
//! ```text
//! value(c) = p²·(7/8·(f + 1/2) − 3/4·p) / 8ᵗᵒᵖ      (the middle of its interval)
//! ```
//!
//! Decades of eight instead of the paper's ten make both directions a dozen vector instructions
//! without a table: the exponent of the float says the decade.

use super::kernel::CHUNK;

/// The constants of an 8-bit code book with `TOP` as its highest decade: 6 with a sign, else 7.
///
/// The largest number of a block is exactly that of the highest code, which is a little less than 1.
/// Were it the end of that code's interval, it would come back smaller, at every step again: a second
/// moment would decay faster than its β says.
pub(crate) struct Book<const TOP: u32>;

impl<const TOP: u32> Book<TOP> {
    /// `2^(3·TOP)`: what the formula of the module gives at the end of the highest decade.
    const UNIT: f32 = (1u32 << (3 * TOP)) as f32;
    /// The lower end of the lowest decade.
    pub(crate) const LEAST: f32 = 1.0 / (8.0 * Self::UNIT);

    /// The number a magnitude code stands for, in the block's unit.
    #[inline(always)]
    pub(super) fn value(code: u32) -> f32 {
        let f = code as f32;
        let p = f32::from_bits(f.to_bits() & 0x7F80_0000);
        p * p * (0.875 * (f + 0.5) - 0.75 * p) * (1.0 / Self::UNIT)
    }

    /// The bits of a float whose low byte is the code of a magnitude in `[FLOOR, 1)`, in the block's
    /// unit: `trunc(2^(TOP − d)·(8/7·8ᵈ·y + 6/7))` in decade `d`.
    #[inline(always)]
    fn code(y: f32) -> u32 {
        let below = 126 - (y.to_bits() >> 23);
        // A third, exact up to 30, as an exponent.
        let decade = ((below * 11) << 18) & 0x7F80_0000;
        let slope = f32::from_bits((8.0f32 / 7.0).to_bits() + (TOP << 23) + 2 * decade);
        let offset = f32::from_bits((6.0f32 / 7.0).to_bits() + (TOP << 23) - decade);
        // Adding 2²³ − ½ leaves the whole part in the lowest bits.
        (y * slope + offset + 8_388_607.5).to_bits()
    }

    /// Where a magnitude is held up: in the decade below the lowest, whose code is zero.
    const FLOOR: f32 = Self::LEAST / 8.0;

    /// The unit of a block: what its codes' numbers are multiplied by so that the highest stands for the
    /// largest magnitude. No unit has an infinite reciprocal, nor is any infinite: one number that has
    /// overflowed would take its whole block along.
    #[inline(always)]
    pub(super) fn unit(values: &[f32]) -> f32 {
        let (largest, least) = (largest(values), f32::from_bits(3 << 23));
        let unit = (largest / Self::value((2 << TOP) - 1)).max(least).min(f32::MAX);
        if largest > 0.0 { unit } else { 0.0 }
    }
}

pub(super) type Signed = Book<6>;
pub(crate) type Unsigned = Book<7>;

/// What is below a block's unit, whatever its largest number is.
const BELOW_ONE: f32 = 1.0 - 1.0 / 65536.0;

/// The number held between `floor`, which stands for a NaN too, and the highest code, which stands for
/// infinity.
#[inline(always)]
fn within(floor: f32, y: f32) -> f32 {
    let y = if y > floor { y } else { floor };
    if y < BELOW_ONE { y } else { BELOW_ONE }
}

#[inline(always)]
pub(super) fn signed_value(code: u8) -> f32 {
    let magnitude = Signed::value(u32::from(code & 0x7F));
    f32::from_bits(magnitude.to_bits() | (u32::from(code & 0x80) << 24))
}

#[inline(always)]
pub(super) fn signed_code(value: f32, inverse: f32) -> u8 {
    let magnitude = Signed::code(within(Signed::FLOOR, value.abs() * inverse));
    (magnitude | ((value.to_bits() >> 24) & 0x80)) as u8
}

#[inline(always)]
pub(super) fn unsigned_code(value: f32, inverse: f32) -> u8 {
    // A second moment that vanished would divide by ε alone: rather too large than zero.
    // (One and a half of the least is well inside the interval of code 1.)
    let code = Unsigned::code(within(1.5 * Unsigned::LEAST, value * inverse));
    (if value > 0.0 { code } else { 0 }) as u8
}

/// The largest magnitude.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; CHUNK];
    let (chunks, rest) = values.as_chunks::<CHUNK>();
    for chunk in chunks {
        for j in 0..CHUNK {
            let a = chunk[j].abs();
            lanes[j] = if a > lanes[j] { a } else { lanes[j] };
        }
    }
    lanes.iter().copied().chain(rest.iter().map(|v| v.abs())).fold(0.0, f32::max)
}

/// What a block's values are multiplied by to be in its unit, and below 1 even if that is `f32::MAX`.
#[inline(always)]
pub(super) fn inverse(unit: f32) -> f32 {
    if unit > 0.0 { BELOW_ONE / unit } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_values_are_inverse_and_in_order() {
        let signed: Vec<f32> = (0..128).map(Signed::value).collect();
        let unsigned: Vec<f32> = (0..256).map(Unsigned::value).collect();
        for values in [&signed, &unsigned] {
            assert_eq!(values[0], 0.0);
            assert!(values.windows(2).all(|w| w[0] < w[1]));
            assert!(*values.last().expect("a code") > 0.99);
        }
        let signed_of = |y: f32| u32::from(signed_code(y, 1.0));
        let unsigned_of = |y: f32| u32::from(unsigned_code(y, 1.0));
        assert!((0..128).all(|c| signed_of(signed[c as usize]) == c));
        assert!((0..256).all(|c| unsigned_of(unsigned[c as usize]) == c));
        assert_eq!(signed_of(-signed[127]), 255);
        // A number lies no further from its code's value than half the interval.
        for k in 0..100_000 {
            let y = (k as f32 + 0.5) / 1e5;
            let (s, u) = (Signed::value(signed_of(y)), Unsigned::value(unsigned_of(y)));
            assert!((s - y).abs() <= 0.44 / 64.0 * 1.001, "{y} {s}");
            assert!((u - y).abs() <= 0.44 / 128.0 * 1.001, "{y} {u}");
        }
        assert_eq!(signed_code(f32::NAN, 1.0) & 0x7F, 0);
        // The lowest code and the next one give back what `Storage::LEAST` says.
        let least = |code: usize| unsigned[code] / Unsigned::LEAST;
        assert_eq!([least(1), least(2)], [4.5, 22.0]);
        // Tiny against the largest: nothing that is positive becomes zero where it divides.
        assert_eq!((signed_code(1e-9, 1.0), unsigned_code(1e-30, 1.0)), (0, 1));
        assert_eq!((signed_code(0.0, 0.0), unsigned_code(0.0, 0.0)), (0, 0));
    }

    #[test]
    fn the_largest_of_a_block_comes_back_however_often_it_is_coded() {
        // Down to where floats have few digits.
        let numbers = (1..1000).map(|i| 1.0 + i as f32 / 777.0);
        for first in [f32::MAX, 1e-30, 1e-37, 3e-38, 1e-39].into_iter().chain(numbers) {
            let (mut signed, mut unsigned) = (-first, first);
            for _ in 0..1000 {
                let unit = Signed::unit(&[signed, 0.0]);
                signed = unit * signed_value(signed_code(signed, inverse(unit)));
                let unit = Unsigned::unit(&[unsigned, 0.0]);
                let code = unsigned_code(unsigned, inverse(unit));
                unsigned = unit * Unsigned::value(u32::from(code));
            }
            let few = match first {
                // Its unit would be infinite: once it loses the half of an interval.
                f32::MAX => 0.007,
                small if small < 1e-37 => 0.07,
                _ => 1e-5,
            };
            for back in [-signed, unsigned] {
                assert!((back / first - 1.0).abs() < few, "{first:e}: {back:e}");
            }
        }
    }

    #[test]
    fn what_has_overflowed_comes_back_huge_and_leaves_its_block_finite() {
        let values = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1.0, 0.0, f32::NAN];
        let unit = Signed::unit(&values);
        let back = values.map(|v| unit * signed_value(signed_code(v, inverse(unit))));
        assert!(back[0] > 3.3e38 && back[1] < -3.3e38 && back[2] == back[0], "{back:?}");
        assert!(back.iter().all(|v| v.is_finite()) && back[4] == 0.0, "{back:?}");
        let unit = Unsigned::unit(&values);
        let code = |v| u32::from(unsigned_code(v, inverse(unit)));
        let back = values.map(|v| unit * Unsigned::value(code(v)));
        assert!(back[0] > 3.3e38 && back[3] > 0.0 && back[4] == 0.0, "{back:?}");
        assert!(back.iter().all(|v| v.is_finite()), "{back:?}");
    }
}
