//! Exponential and logarithm for the sweep: no table, no branch, no call, so that a loop over
//! them becomes vector code, and only IEEE 754 basic operations, so that the bits are the same on
//! every instruction set.
//!
//! `exp(x) = 2ⁿ·exp(r)` with `n = round(x / ln 2)`, `r = x − n·ln 2` (ln 2 in two parts) and the
//! Taylor series on `|r| ≤ ln 2 / 2`. `ln(x) = e·ln 2 + 2·atanh((m − 1)/(m + 1))` with `x = 2ᵉ·m`,
//! `m` in `[√½, √2)`. Errors stay below one unit in the last place for `f64` and `f32`.

macro_rules! elementary {
    (
        $float:ident, bits $bits:ident, signed $int:ident, mantissa $mantissa:literal, bias $bias:literal,
        round $round:literal, ln2 $hi:literal + $lo:literal,
        exp range $least:literal .. $most:literal, exp terms $exp_terms:literal,
        ln terms $ln_terms:literal, tiny scale $up:literal = 2^ $up_bits:literal
    ) => {
        pub(crate) mod $float {
            /// `2ⁿ` for `n` in the normal range.
            #[inline(always)]
            fn power_of_two(n: $int) -> $float {
                $float::from_bits(((n + $bias) as $bits) << $mantissa)
            }

            /// `1/k!`, the coefficients of the exponential series.
            const INVERSE_FACTORIAL: [$float; $exp_terms] = {
                let mut c = [1.0; $exp_terms];
                let (mut k, mut f) = (1, 1.0_f64);
                while k < $exp_terms {
                    f *= k as f64;
                    c[k] = (1.0 / f) as $float;
                    k += 1;
                }
                c
            };

            #[inline(always)]
            pub(crate) fn exp(x: $float) -> $float {
                let y = if x < $least { $least } else { x };
                let y = if y > $most { $most } else { y };
                // Adding and removing 1.5·2^mantissa rounds to an integer, and leaves that
                // integer in the low bits.
                let shifted = y * (core::$float::consts::LOG2_E) + $round;
                let n = shifted - $round;
                let (large, small) = (y - n * $hi, n * $lo);
                let r = large - small;
                // What rounding r has cost.
                let rest = (large - r) - small;
                let mut p = INVERSE_FACTORIAL[$exp_terms - 1];
                let mut k = $exp_terms - 1;
                while k > 2 {
                    k -= 1;
                    p = p * r + INVERSE_FACTORIAL[k];
                }
                let p = 1.0 + (r + (r * r * p + rest));
                let n =
                    (shifted.to_bits() as $int).wrapping_sub(($round as $float).to_bits() as $int);
                // Two factors, because 2ⁿ alone leaves the normal range before the result does.
                let half = n >> 1;
                p * power_of_two(half) * power_of_two(n - half)
            }

            #[inline(always)]
            pub(crate) fn ln(x: $float) -> $float {
                let tiny = x < $float::MIN_POSITIVE;
                let scaled = if tiny { x * $up } else { x };
                let bits = scaled.to_bits();
                let offset = core::$float::consts::FRAC_1_SQRT_2.to_bits();
                let e = (bits.wrapping_sub(offset) as $int) >> $mantissa;
                let m = $float::from_bits(bits.wrapping_sub((e as $bits) << $mantissa));
                let f = m - 1.0;
                let s = f / (2.0 + f);
                let z = s * s;
                let mut p: $float = 0.0;
                let mut k: $int = $ln_terms;
                while k > 0 {
                    p = (p + 2.0 / ((2 * k + 1) as $float)) * z;
                    k -= 1;
                }
                // e as a float by the same rounding trick, which has a vector form everywhere.
                let e = e - if tiny { $up_bits } else { 0 };
                let n = $float::from_bits(($round as $float).to_bits().wrapping_add(e as $bits))
                    - $round;
                // 2s = f − s·f exactly in the reals; written so that f carries its full precision.
                let y = n * $hi + (f - (s * f - (s * p + n * $lo)));
                let y = if x < $float::INFINITY { y } else { x };
                let y = if x == 0.0 { -$float::INFINITY } else { y };
                if x < 0.0 { $float::NAN } else { y }
            }
        }
    };
}

elementary!(
    f64, bits u64, signed i64, mantissa 52, bias 1023,
    round 6755399441055744.0, ln2 0.6931471803691238 + 1.9082149292705877e-10,
    exp range -746.0 .. 710.0, exp terms 14, ln terms 11,
    tiny scale 18014398509481984.0 = 2^ 54
);
elementary!(
    f32, bits u32, signed i32, mantissa 23, bias 127,
    round 12582912.0, ln2 0.693_359_4 + -2.121_944_4e-4,
    exp range -104.0 .. 89.0, exp terms 8, ln terms 5,
    tiny scale 33554432.0 = 2^ 25
);

#[cfg(test)]
mod tests {
    /// Distance in units of the last place of the correctly rounded value.
    fn ulps32(got: f32, want: f64) -> f64 {
        let unit = f64::from(f32::from_bits((want as f32).abs().to_bits() + 1))
            - f64::from((want as f32).abs());
        (f64::from(got) - want).abs() / unit
    }

    #[test]
    fn exp_and_ln_f32_are_faithful() {
        let (mut worst_exp, mut worst_ln) = (0.0f64, 0.0f64);
        for k in 0..2_000_000u32 {
            let x = -86.0 + 174.0 * (k as f32) / 2e6;
            worst_exp = worst_exp.max(ulps32(super::f32::exp(x), libm::exp(f64::from(x))));
            let y = f32::from_bits(0x0080_0000 + k * 1060);
            if y.is_finite() && (y - 1.0).abs() > 1e-3 {
                worst_ln = worst_ln.max(ulps32(super::f32::ln(y), libm::log(f64::from(y))));
            }
        }
        assert!(worst_exp < 1.0, "exp is off by {worst_exp} units in the last place");
        assert!(worst_ln < 1.0, "ln is off by {worst_ln} units in the last place");
    }

    #[test]
    fn exp_and_ln_f64_are_faithful() {
        for k in 0..400_000 {
            let x = -700.0 + 1400.0 * f64::from(k) / 4e5;
            let (got, want) = (super::f64::exp(x), libm::exp(x));
            assert!((got - want).abs() <= 2.5e-16 * want, "exp({x}) = {got:e}, not {want:e}");
            let y = want;
            let (got, want) = (super::f64::ln(y), libm::log(y));
            assert!((got - want).abs() <= 2.5e-16 * want.abs(), "ln({y}) = {got:e}, not {want:e}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(super::f64::exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(super::f64::exp(f64::INFINITY), f64::INFINITY);
        assert!(super::f64::exp(f64::NAN).is_nan());
        assert_eq!(super::f32::exp(-200.0), 0.0);
        assert_eq!(super::f32::exp(100.0), f32::INFINITY);
        assert_eq!(super::f32::exp(0.0), 1.0);
        assert_eq!(super::f64::ln(0.0), f64::NEG_INFINITY);
        assert!(super::f64::ln(-1.0).is_nan() && super::f64::ln(f64::NAN).is_nan());
        assert_eq!(super::f64::ln(f64::INFINITY), f64::INFINITY);
        assert_eq!(super::f32::ln(1.0), 0.0);
        let tiny = f64::from_bits(3);
        assert!((super::f64::ln(tiny) - libm::log(tiny)).abs() < 1e-12);
        assert!((super::f64::exp(-740.0) / libm::exp(-740.0) - 1.0).abs() < 1e-1);
    }
}
