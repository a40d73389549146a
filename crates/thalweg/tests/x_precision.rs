//! X25: what half precision does to Adam, and what single-precision state does about it.

mod common;

use common::walk::{Walk, near, near_relative, printed, tuned};
use proptest::prelude::*;
use thalweg::recipes::*;
use thalweg::{Chain, Optimizer, Param};

#[test]
fn a_tiny_gradient_is_a_small_step_in_single_precision_too() {
    // The factor that divides by such a norm is more than single precision holds.
    for name in ["lars", "lars@paper", "lamb", "d_adapt_sgd"] {
        for g in [1e-30f32, 1e-38, 1e-39, 1e-42, 1e-45] {
            let chain = thalweg::registry::build(name, &[]).expect("an entry");
            let mut opt = Optimizer::<f32>::new(chain).expect("a chain");
            let mut x = [1000.0f32];
            let _ = opt.step(&mut [Param::new("x", &[1], &mut x, &[g])]).expect("a step");
            assert!((998.9..=1000.0).contains(&x[0]), "{name}, {g:e}: {x:?}");
        }
    }
}

/// A binary format: digits of the significand, exponents of the smallest normal number and of the
/// first power of two that is too large.
#[derive(Clone, Copy)]
struct Format {
    digits: i32,
    smallest: i32,
    beyond: i32,
}

const FLOAT16: Format = Format { digits: 11, smallest: -14, beyond: 16 };
const BFLOAT16: Format = Format { digits: 8, smallest: -126, beyond: 128 };

impl Format {
    /// The nearest number of the format, the even one of two.
    ///
    /// Of a sum, product, quotient or root computed in f64 this is the correctly rounded result:
    /// f64 has more than twice the digits.
    fn round(self, x: f64) -> f64 {
        if x == 0.0 || !x.is_finite() {
            return x;
        }
        let unit = self.unit(x);
        let rounded = (x / unit).round_ties_even() * unit;
        let fits = rounded.abs() < 2f64.powi(self.beyond);
        if fits { rounded } else { f64::INFINITY.copysign(x) }
    }

    /// The positive numbers of the format up to `last`, ascending.
    fn numbers(self, last: f64) -> impl Iterator<Item = f64> {
        let mut x = 0.0;
        std::iter::from_fn(move || {
            x += self.unit(x);
            (x <= last).then_some(x)
        })
    }

    /// What separates `x` from the next number away from zero.
    fn unit(self, x: f64) -> f64 {
        // The biased exponent of zero is zero, far below the smallest.
        let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        2f64.powi(exponent.max(self.smallest) - self.digits + 1)
    }
}

/// The first step of Adam from 1 with every operation rounded.
fn rounded_adam(format: Format, g: f64, eps: f64) -> f64 {
    let r = |x: f64| format.round(x);
    let [g, eps, lr, beta1, beta2] = [g, eps, 1e-3, 0.9, 0.999].map(r);
    let m = r(r(1.0 - beta1) * g);
    let v = r(r(1.0 - beta2) * r(g * g));
    // The corrections are constants of the step, computed outside and rounded once.
    let (m, v) = (r(m / r(1.0 - 0.9)), r(v / r(1.0 - 0.999)));
    r(1.0 - r(lr * r(m / r(r(v.sqrt()) + eps))))
}

#[test]
fn x25_the_range_of_float16() {
    let r = |x: f64| FLOAT16.round(x);
    let share = r(1.0 - r(0.999));
    let last = |vanishes: &dyn Fn(f64) -> bool| {
        FLOAT16.numbers(1.0).filter(|g| vanishes(*g)).last().expect("a number")
    };
    printed(last(&|g| r(g * g) == 0.0), "1.726151e-04");
    printed(last(&|g| r(share * r(g * g)) == 0.0), "5.523682e-03");
    let first = FLOAT16.numbers(1000.0).find(|g| r(g * g).is_infinite());
    assert_eq!(first, Some(256.0));
    assert_eq!(r(1e-8), 0.0);
    printed(r(1e-7), "1.19209e-07");
    assert_eq!((r(65504.0), r(65520.0)), (65504.0, f64::INFINITY));
}

#[test]
fn x25_adam_in_float16() {
    assert_eq!(rounded_adam(FLOAT16, 1e-3, 1e-8), f64::NEG_INFINITY);
    assert_eq!(rounded_adam(FLOAT16, 1e-3, 1e-6), 0.01171875);
    assert_eq!(rounded_adam(FLOAT16, 1e-3, 1e-4), 0.98974609375);
    for eps in [1e-8, 1e-6, 1e-4] {
        near(rounded_adam(FLOAT16, 1e-2, eps), 0.999, 2e-4);
    }
}

#[test]
fn x25_bfloat16_freezes_the_second_moment() {
    let r = |x: f64| BFLOAT16.round(x);
    assert_eq!(r(0.999), 1.0);
    let beta2 = r(0.999);
    let frozen = (0..5000).fold(1.0, |v, _| r(r(beta2 * v) + r(r(1.0 - beta2) * 0.0)));
    assert_eq!(frozen, 1.0);
    printed(0.999f64.powi(5000), "0.006721");
    // The first gradient puts 1 into the library's moment, which then fades as it should.
    let mut opt = Optimizer::<f32>::new(adam()).expect("a valid chain");
    let mut x = [0.0f32];
    for t in 0..=5000 {
        let g = [if t == 0 { 1000f32.sqrt() } else { 0.0 }];
        assert!(opt.step(&mut [Param::new("x", &[1], &mut x, &g)]).expect("a step").applied());
    }
    // To single precision: β₂ itself is rounded, five thousand times over.
    near_relative(f64::from(opt.slot("x", "v").expect("v")[0]), 0.006721, 1e-4);
}

/// Steps from 1 with single-precision state on a gradient of half precision.
fn mixed(chain: Chain, g: f64, steps: usize) -> f64 {
    let mut opt = Optimizer::<f32>::new(chain).expect("a valid chain");
    let mut x = [1.0f32];
    let g = [FLOAT16.round(g) as f32];
    for _ in 0..steps {
        assert!(opt.step(&mut [Param::new("x", &[1], &mut x, &g)]).expect("a step").applied());
    }
    f64::from(x[0])
}

#[test]
fn x25_single_precision_state_passes() {
    // Down to gradients whose square is nothing in float16.
    for g in [1e-2, 1e-3, 1e-4] {
        let after = mixed(adam(), g, 1);
        near(after, 1.0 - 1e-3 * g / (g + 1e-8), 1e-7);
        assert_eq!(FLOAT16.round(after), FLOAT16.round(0.999));
        near(mixed(adam(), g, 100), 0.9, 2e-5);
    }
    for eps in [1e-6, 1e-4] {
        let g = FLOAT16.round(1e-3);
        let after = mixed(tuned(adam(), &[("eps", eps)]), 1e-3, 1);
        near(after, 1.0 - 1e-3 * g / (g + eps), 1e-7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every normal gradient of float16 moves the parameter as it does with double precision.
    #[test]
    fn x25_single_precision_follows_double(size in -4.2..4.8f64, negative in prop::bool::ANY) {
        let g = FLOAT16.round(10f64.powf(size)) * if negative { -1.0 } else { 1.0 };
        for chain in [adam(), adamw(), rmsprop(), adagrad(), adabelief()] {
            let mut wide = Walk::new(chain.clone(), &[1.0]);
            wide.descend(20, |_| vec![g]);
            near_relative(mixed(chain, g, 20) - 1.0, wide.x[0] - 1.0, 1e-3);
        }
    }

    /// The rounding is to the nearest number of the format.
    #[test]
    fn x25_rounding_is_to_nearest(x in -300.0..300.0f64) {
        for format in [FLOAT16, BFLOAT16] {
            let rounded = format.round(x);
            prop_assert_eq!(format.round(rounded), rounded);
            prop_assert!((rounded - x).abs() <= 0.5 * format.unit(x));
        }
    }
}
