//! Loops over numbers, compiled once per instruction set.
//!
//! The program is built for the oldest processor it runs on; [`vectorized!`] compiles a loop for newer
//! ones too and chooses when it is called. Sums run in [`LANES`] fixed lanes that are added in a fixed
//! order, so a result depends neither on the instruction set nor on the number of threads.

/// Partial sums that a sum keeps: one vector register of the widest instruction set.
pub(super) const LANES: usize = 16;

/// Defines functions whose loops use the widest instruction set of the processor.
macro_rules! vectorized {
    ($($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?)
        $(-> $result:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $visible fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    portable($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    portable($($argument),*)
                }
                let wide = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq");
                if wide {
                    // SAFETY: the processor has just said that it has these instructions.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just said that it has these instructions.
                    return unsafe { avx2($($argument),*) };
                }
            }
            portable($($argument),*)
        }
    )*};
}
pub(super) use vectorized;

/// `Σ f(i)` over `0..n` in lanes; `f` is called once per index.
#[inline(always)]
pub(super) fn lane_sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    for i in whole..n {
        lanes[i - whole] += f(i);
    }
    total(lanes)
}

/// The sum of the lanes, in halves.
#[inline(always)]
pub(super) fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `eˣ` within 2 units in the last place, 0 below -87.3 and infinite above 88.3; NaN stays NaN.
///
/// Cody and Waite's reduction `x = k ln 2 + r` and a polynomial of degree 6 in `r` (coefficients of the
/// Cephes library's `expf`): plain arithmetic that becomes vector code, which a call to the system's
/// `expf` never does.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let clamped = if x > 88.3 { 88.3 } else { x };
    let clamped = if clamped < -87.3 { -87.3 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = clamped - k * 0.693_359_4 + k * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p * r + c;
    }
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let result = p * power;
    if x < -87.3 {
        0.0
    } else if x > 88.3 {
        f32::INFINITY
    } else if x.is_nan() {
        x
    } else {
        result
    }
}

/// `tanh x` by way of [`exp`], within 3e-7.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

vectorized! {
    /// `to += from`.
    pub(super) fn add(to: &mut [f32], from: &[f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }

    /// Adds the rows of `rows` to `sums`, from the first to the last.
    pub(super) fn add_rows(sums: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

/// Makes `values` hold `n` numbers of any value, without touching those that are there.
pub(super) fn sized(values: &mut Vec<f32>, n: usize) -> &mut [f32] {
    values.resize(n, 0.0);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_agree_with_double_precision() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}) is off by {error:e}");
        }
        assert_eq!((exp(0.0), exp(-1e30), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert_eq!((exp(1e30), exp(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }

    #[test]
    fn hyperbolic_tangents_agree_with_double_precision() {
        for i in -20_000..20_000 {
            let x = i as f32 * 1e-3;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 3e-7, "tanh({x})");
        }
        assert_eq!((tanh(100.0), tanh(-100.0)), (1.0, -1.0));
    }

    #[test]
    fn sums_take_every_number_once() {
        let values: Vec<f32> = (0..53).map(|i| i as f32).collect();
        assert_eq!(lane_sum(values.len(), |i| values[i]), 1378.0);
        assert_eq!(lane_sum(0, |_| 1.0), 0.0);
    }
}
