//! X25: what half precision does to Adam, and what single-precision state does about it.

use thalweg::recipes::adam;
use thalweg::{Optimizer, Param};

use super::figure::{Axis, Figure};
use super::walk::{advance, defect, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "float16-epsilon",
        row: "X25",
        source: "002 Epsilon; 004 §11.2",
        claim: "in float16 an ε of 1e-6 or 1e-4 (002), 1e-6 or 1e-5 (004) keeps Adam stable",
        correct: "the squared gradient is already lost; moments must be kept in float32, and then ε = 1e-8 does",
        errata: &["E39"],
        decides: &[
            "x after a step at g = 0.001, ε = 1e-6",
            "moments in float32, g = 0.001, ε = 1e-8",
        ],
        features: &["F089", "F090", "F143"],
        expected: Verdict::HoldsIf("(1 − β₂)·g² does not underflow, or the moments are float32"),
        run: float16,
    },
    Experiment {
        name: "float16-underflow",
        row: "X25",
        source: "002 Epsilon",
        claim: "a small non-zero gradient has a square of zero in float16, and ε decides the step",
        correct: "so it has, from |g| = 1.73e-4 down and from 5.52e-3 down once multiplied by 1 − β₂; 1e-8 itself is zero",
        errata: &["E39"],
        decides: &["largest |g| with g² = 0", "largest |g| with (1 − β₂)·g² = 0"],
        features: &["F090"],
        expected: Verdict::Holds,
        run: underflow,
    },
    Experiment {
        name: "bfloat16",
        row: "X25",
        source: "004 §11.2",
        claim: "bfloat16 needs the same larger ε as float16",
        correct: "it has the range of float32, and nothing underflows; but 0.999 rounds to 1 and v freezes, which no ε mends",
        errata: &["E39"],
        decides: &["0.999 in bfloat16", "v after 5000 gradients of 0 from 1"],
        features: &["F090", "F143"],
        expected: Verdict::Refuted,
        run: bfloat16,
    },
];

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
    /// Of a sum, product, quotient or root computed in f64 this is the correctly rounded result: f64
    /// has more than twice the digits.
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

/// The first step of the library from 1, with single-precision state, on a gradient of the format.
fn mixed(format: Format, g: f64, eps: f64) -> Result<f64> {
    let mut opt = Optimizer::<f32>::new(tuned(adam(), &[("eps", eps)])?)?;
    let mut x = [1.0f32];
    let g = [format.round(g) as f32];
    advance(&mut opt, &mut [Param::new("x", &[1], &mut x, &g)])?;
    Ok(f64::from(x[0]))
}

/// Whether a step from 1 is within a fifth of the 0.001 that it should be.
fn right(x: f64) -> bool {
    (0.9988..0.9992).contains(&x)
}

fn float16(r: &mut Record) -> Result<()> {
    let infinite = rounded_adam(FLOAT16, 1e-3, 1e-8);
    let lost = usize::from(infinite == f64::NEG_INFINITY);
    r.count("runs with ε = 1e-8 that are at −∞ after a step, of 1", Some(lost), Some(1), 0);
    for (eps, want) in [(1e-6, 0.01171875), (1e-4, 0.98974609375)] {
        let x = rounded_adam(FLOAT16, 1e-3, eps);
        r.near(&format!("x after a step at g = 0.001, ε = {eps:e}"), x, want, 0.0);
        r.claim(&format!("all in float16, g = 0.001, ε = {eps:e}"), right(x));
    }
    // The reference has no number for the ε that only source 004 advises.
    let x = rounded_adam(FLOAT16, 1e-3, 1e-5);
    r.note("x after a step at g = 0.001, ε = 1e-5", x);
    r.claim("all in float16, g = 0.001, ε = 1e-5", right(x));
    for eps in [1e-8, 1e-6, 1e-5, 1e-4] {
        let x = rounded_adam(FLOAT16, 1e-2, eps);
        r.near(&format!("x after a step at g = 0.01, ε = {eps:e}"), x, 0.999, 2e-4);
        r.claim(&format!("all in float16, g = 0.01, ε = {eps:e}"), right(x));
    }
    let g = FLOAT16.round(1e-3);
    for eps in [1e-8, 1e-6, 1e-5, 1e-4] {
        let x = mixed(FLOAT16, 1e-3, eps)?;
        let exact = 1.0 - 1e-3 * g / (g + eps);
        r.near(&format!("moments in float32, g = 0.001, ε = {eps:e}"), x, exact, 1e-7);
        r.claim(&format!("moments in float32, g = 0.001, ε = {eps:e}"), right(x));
    }
    let mut figure = Figure::new(
        "float16-epsilon",
        "The first step of Adam at rate 0.001, every operation in float16",
        Axis::log("gradient"),
        Axis::log("step"),
    );
    for eps in [1e-8, 1e-6, 1e-5, 1e-4] {
        let gradients = (0..=80).map(|i| 10f64.powf(f64::from(i) / 20.0 - 4.0));
        let steps = gradients.map(|g| (g, 1.0 - rounded_adam(FLOAT16, g, eps)));
        let steps = steps.filter(|p| p.1.is_finite());
        figure = figure.line(&format!("ε = {eps:e}"), steps);
    }
    r.figure(figure.bound("the rate", [(1e-4, 1e-3), (1.0, 1e-3)]));
    Ok(())
}

fn underflow(r: &mut Record) -> Result<()> {
    let round = |x: f64| FLOAT16.round(x);
    let share = round(1.0 - round(0.999));
    let last = |vanishes: &dyn Fn(f64) -> bool| {
        FLOAT16.numbers(1.0).filter(|g| vanishes(*g)).last().unwrap_or(0.0)
    };
    let square = last(&|g| round(g * g) == 0.0);
    r.printed("largest |g| with g² = 0", square, "1.726151e-04");
    let moment = last(&|g| round(share * round(g * g)) == 0.0);
    r.printed("largest |g| with (1 − β₂)·g² = 0", moment, "5.523682e-03");
    let first = FLOAT16.numbers(1000.0).find(|g| round(g * g).is_infinite());
    r.near("smallest |g| with infinite g²", first.unwrap_or(f64::NAN), 256.0, 0.0);
    r.near("1e-8 in float16", round(1e-8), 0.0, 0.0);
    r.printed("1e-7 in float16", round(1e-7), "1.19209e-07");
    r.claim("some non-zero gradients", square > 0.0 && moment > square);
    let gradients = || (0..=320).map(|k| round(10f64.powf(f64::from(k) / 40.0 - 5.0)));
    let finite = |p: &(f64, f64)| p.1.is_finite();
    r.figure(
        Figure::new(
            "float16-underflow",
            "What float16 keeps of the square of a gradient, as a share of its size",
            Axis::log("|g|"),
            Axis::linear("√(kept / exact)"),
        )
        .line("g²", gradients().map(|g| (g, round(g * g).sqrt() / g)).filter(finite))
        .line(
            "(1 − β₂)·g²",
            gradients()
                .map(|g| (g, (round(share * round(g * g)) / share).sqrt() / g))
                .filter(finite),
        )
        .bound(&format!("|g| = {square:.3e}"), [(square, 0.0), (square, 1.6)])
        .bound(&format!("|g| = {moment:.3e}"), [(moment, 0.0), (moment, 1.6)]),
    );
    Ok(())
}

fn bfloat16(r: &mut Record) -> Result<()> {
    let round = |x: f64| BFLOAT16.round(x);
    let beta2 = round(0.999);
    r.near("0.999 in bfloat16", beta2, 1.0, 0.0);
    let (mut frozen, mut bfloat) = (1.0, vec![(0.0, 1.0)]);
    for t in 1..=5000 {
        frozen = round(round(beta2 * frozen) + round(round(1.0 - beta2) * 0.0));
        bfloat.push((f64::from(t), frozen));
    }
    r.near("v after 5000 gradients of 0 from 1", frozen, 1.0, 0.0);
    r.printed("the same, exactly", 0.999f64.powi(5000), "0.006721");
    // The first gradient puts 1 into the library's moment, which then fades as it should.
    let mut opt = Optimizer::<f32>::new(adam())?;
    let (mut x, mut single) = ([0.0f32], vec![]);
    for t in 0..=5000 {
        let g = [if t == 0 { 1000f32.sqrt() } else { 0.0 }];
        advance(&mut opt, &mut [Param::new("x", &[1], &mut x, &g)])?;
        let v = opt.slot("x", "v").ok_or_else(|| defect("Adam has no second moment"))?;
        single.push((f64::from(t), f64::from(v[0])));
    }
    // To single precision: β₂ itself is rounded, five thousand times over.
    r.relative("v of the library in float32", single[5000].1, 0.006721, 1e-4);
    r.figure(
        Figure::new(
            "bfloat16",
            "The running mean square v under gradients of 0, β₂ = 0.999",
            Axis::linear("step"),
            Axis::log("v").between(1e-3, 2.0),
        )
        .line("all in bfloat16", bfloat)
        .line("the library, state in float32", single)
        .bound("0.999^t", (0..=5000).map(|t| (f64::from(t), 0.999f64.powi(t)))),
    );
    let smallest = [1e-3, 1e-8, 1e-15].map(|g| round(g * g));
    r.count(
        "squares of 1e-3, 1e-8 and 1e-15 that vanish",
        Some(smallest.iter().filter(|s| **s == 0.0).count()),
        Some(0),
        0,
    );
    r.claim("squares of 1e-3 to 1e-15: they underflow", smallest.contains(&0.0));
    // If ε were the remedy, a larger one would unfreeze v; it does not enter v at all.
    r.claim("5000 gradients of 0: v fades, whatever ε is", frozen < 0.5);
    Ok(())
}
