//! The number type a formula is written over.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::hyper::HyperSpec;
use crate::math;

/// A number a formula can be evaluated with: `f32`, `f64`, or the symbol [`Sym`](crate::Sym), which
/// records the formula instead of computing it.
///
/// Every operation means the same on every machine: there is no contraction to fused
/// multiply-add, `exp` and `ln` are this crate's own (faithful to about one unit in the last
/// place, written so that the compiler turns them into vector code), and `min`, `max` and
/// comparisons are defined by selection. A result therefore has the same bits on every
/// instruction set.
pub trait Real:
    Copy
    + Debug
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The type in which per-step constants are computed: `f64`, or the symbol itself.
    type Wide: Real<Wide = Self::Wide>;
    /// The answer of a comparison.
    type Mask: Copy;

    /// Rounds a per-step constant to this type.
    fn lift(constant: Self::Wide) -> Self;
    /// Widens a value (exactly) to the type of constants and sums.
    fn widen(self) -> Self::Wide;
    /// A literal number.
    fn number(value: f64) -> Self;
    /// The value of a hyper-parameter; the symbol keeps its name instead.
    fn hyper(spec: &'static HyperSpec, value: f64) -> Self;
    /// A named quantity of the step: the step number, a running sum.
    fn named(name: &'static str, value: f64) -> Self;

    /// `self`, which the printed formula gives a name and a line of its own.
    #[inline(always)]
    #[must_use]
    fn called(self, _name: &'static str) -> Self {
        self
    }

    /// `self < other`; false when either is NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// `yes` where `mask` holds, `no` elsewhere. Both are computed: a formula has no branch.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Natural exponential.
    fn exp(self) -> Self;
    /// Natural logarithm; minus infinity at zero, NaN below.
    fn ln(self) -> Self;
    /// `self` to the power `exponent`, for `self ≥ 0`; zero stays zero.
    fn pow(self, exponent: Self) -> Self;

    /// The larger of two numbers; `other` when either is NaN.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(other.lt(self), self, other)
    }
    /// The smaller of two numbers; `other` when either is NaN.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(self.lt(other), self, other)
    }
    /// `self` limited to `[low, high]`; NaN becomes a limit.
    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        self.max(low).min(high)
    }
    /// `self`, or the smallest normal number if `self` is closer to zero.
    ///
    /// What a divisor adds to a root: 0/0 becomes 0, and no root of a representable square
    /// notices. Formulas are printed without it.
    fn away_from_zero(self) -> Self;
    /// −1, 0 or 1 by the sign of `self`; 0 for both zeros and for NaN.
    #[inline(always)]
    fn sign(self) -> Self {
        let zero = Self::number(0.0);
        let one = Self::number(1.0);
        Self::select(zero.lt(self), one, Self::select(self.lt(zero), -one, zero))
    }
    /// The inverse hyperbolic sine.
    #[inline(always)]
    fn asinh(self) -> Self {
        let (one, a) = (Self::number(1.0), self.abs());
        let square = a * a;
        // ln(1 + z) loses z's last bits when z is small; the quotient puts them back.
        let z = a + square / (one + (square + one).sqrt());
        let w = one + z;
        let correction = (z - (w - one)) / w;
        let y = w.ln() + correction;
        // Where the square would overflow, its root is the number itself to the last digit.
        let huge = a.ln() + Self::number(std::f64::consts::LN_2);
        let y = Self::select(Self::number(1e9).lt(a), huge, y);
        Self::select(self.lt(Self::number(0.0)), -y, y)
    }
    /// The hyperbolic sine.
    #[inline(always)]
    fn sinh(self) -> Self {
        let (half, a) = (Self::number(0.5), self.abs());
        let (grow, square) = (a.exp(), a * a);
        let large = half * grow - half / grow;
        // Below one the two exponentials cancel; the odd series does not.
        let mut small = Self::number(0.0);
        for k in (1..9).rev() {
            let factor = Self::number(1.0 / ((2 * k) * (2 * k + 1)) as f64);
            small = square * factor * (Self::number(1.0) + small);
        }
        let y = Self::select(a.lt(Self::number(1.0)), a + a * small, large);
        Self::select(self.lt(Self::number(0.0)), -y, y)
    }
}

macro_rules! real {
    ($float:ident, $pow:expr) => {
        impl Real for $float {
            type Wide = f64;
            type Mask = bool;

            #[inline(always)]
            fn lift(constant: f64) -> Self {
                constant as $float
            }
            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn number(value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn hyper(_: &'static HyperSpec, value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn named(_: &'static str, value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $float::abs(self)
            }
            #[inline(always)]
            fn away_from_zero(self) -> Self {
                self.max($float::MIN_POSITIVE)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                math::$float::exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                math::$float::ln(self)
            }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                $pow(self, exponent)
            }
        }
    };
}

real!(f32, |x: f32, e: f32| {
    if x == 0.0 { if e == 0.0 { 1.0 } else { 0.0 } } else { math::f32::exp(e * math::f32::ln(x)) }
});
// Constants of the step (β to the power t) are computed here, once, so exactness wins over speed.
real!(f64, libm::pow);
