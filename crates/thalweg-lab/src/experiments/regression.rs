//! X18: the linear regression of source 003.

use thalweg::recipes::{adagrad, gd};
use thalweg::rules::{AdaGrad, Scale};
use thalweg::{Chain, Denominator, Inside, Optimizer, Param};

use super::figure::{Axis, Figure};
use super::walk::{Walk, advance, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "adagrad-regression",
        row: "X18",
        source: "003 Code",
        claim: "AdaGrad with rate 1 arrives at the marked optimum in 100 000 steps",
        correct: "it is still 0.066 away in b; its contours are of the mean of the squares and its gradients of the sum, which AdaGrad does not notice and descent would; the code also divides 0/0 if a first gradient is zero",
        errata: &["E48", "E31"],
        decides: &[
            "b left to go",
            "w left to go",
            "gradient of the code by that of its contours, b",
        ],
        features: &["F062", "F067", "F071", "F072"],
        expected: Verdict::Refuted,
        run: demo,
    },
    Experiment {
        name: "global-rate",
        row: "X18",
        source: "002 intro; 003 §0; 004 §3.3",
        claim: "one global rate is too small for one direction or too large for another",
        correct: "here the condition number is 313 418: the largest stable rate still leaves b behind",
        errata: &["E45"],
        decides: &["eigenvalues, condition number[3]", "largest stable rate"],
        features: &["F060"],
        expected: Verdict::Holds,
        run: global_rate,
    },
];

/// Inputs and outputs.
const DEMO: [(f64, f64); 10] = [
    (338.0, 640.0),
    (333.0, 633.0),
    (328.0, 619.0),
    (207.0, 393.0),
    (226.0, 428.0),
    (25.0, 27.0),
    (179.0, 193.0),
    (60.0, 66.0),
    (208.0, 226.0),
    (606.0, 1591.0),
];

/// The largest rate of gradient descent that is stable, rounded down.
const STABLE: f64 = 1.14e-6;

const START: [f64; 2] = [-120.0, -4.0];

pub(super) fn mean_square(b: f64, w: f64) -> f64 {
    DEMO.iter().map(|(x, y)| (y - b - w * x).powi(2)).sum::<f64>() / 10.0
}

/// The gradient of the sum, not of the mean, as in the source.
fn gradient(x: &[f64]) -> Vec<f64> {
    let mut gradient = vec![0.0, 0.0];
    for (input, output) in DEMO {
        let residual = output - x[0] - x[1] * input;
        gradient[0] -= 2.0 * residual;
        gradient[1] -= 2.0 * residual * input;
    }
    gradient
}

/// Iteration, intercept, slope, mean square.
const TABLE: [(usize, f64, f64, f64); 7] = [
    (1, -119.0, -3.0, 2624774.0),
    (2, -118.355442041234, -2.354543357960, 2042895.792818972),
    (10, -115.919584466227, 0.097619685179, 499533.837905523),
    (100, -114.033805259463, 2.451482140915, 11737.734982598),
    (1000, -118.993407911575, 2.469674868059, 11537.421631596),
    (10000, -152.507929371259, 2.566104337962, 10553.340409430),
    (100000, -188.366838749532, 2.669264071338, 10193.674216707),
];

/// The least-squares solution, and the eigenvalues of half the Hessian of the sum.
struct Solution {
    b: f64,
    w: f64,
    low: f64,
    high: f64,
}

fn solution() -> Solution {
    let (mut sum, mut square, mut outputs, mut products) = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in DEMO {
        (sum, square) = (sum + x, square + x * x);
        (outputs, products) = (outputs + y, products + x * y);
    }
    let determinant = 10.0 * square - sum * sum;
    let trace = 10.0 + square + ((10.0 - square).powi(2) + 4.0 * sum * sum).sqrt();
    Solution {
        b: (square * outputs - sum * products) / determinant,
        w: (10.0 * products - sum * outputs) / determinant,
        low: 4.0 * determinant / trace,
        high: trace,
    }
}

fn demo(r: &mut Record) -> Result<()> {
    // The source has no ε at all.
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, &START)?;
    let mut path = vec![(START[0], START[1])];
    let mut done = 0;
    for (iteration, b, w, loss) in TABLE {
        for _ in done..iteration {
            walk.descend(1, gradient)?;
            path.push((walk.x[0], walk.x[1]));
        }
        done = iteration;
        r.near(&format!("b after {iteration}"), walk.x[0], b, 1e-8);
        r.near(&format!("w after {iteration}"), walk.x[1], w, 1e-8);
        // Of a loss of 2.6e6, 1e-8 is less than 53 bits hold.
        let got = mean_square(walk.x[0], walk.x[1]);
        r.near(&format!("mean square after {iteration}"), got, loss, 1e-8 + 1e-14 * loss);
    }
    let sums = walk.slot("sum")?;
    r.all_printed("accumulator", sums, &["6.340738968e+09", "6.605186425e+14"]);
    let best = solution();
    let at_best = [best.b, best.w, mean_square(best.b, best.w)];
    r.all_printed(
        "optimum b, w, mean square",
        &at_best,
        &["-188.4331966573", "2.6694549668", "10193.672990"],
    );
    let (left_b, left_w) = (walk.x[0] - best.b, walk.x[1] - best.w);
    r.printed("b left to go", left_b, "6.636e-02");
    r.printed("w left to go", left_w, "-1.909e-04");
    r.claim(
        "b and w within 0.001 of the optimum after 100 000 steps",
        left_b.abs().max(left_w.abs()) < 1e-3,
    );
    other_forms(r)?;
    grid(r);
    zero_gradient(r)?;
    figures(r, path, &best)
}

/// The run with the two usual ε, and with the gradient of the mean that the contours show.
fn other_forms(r: &mut Record) -> Result<()> {
    let inside = AdaGrad::<Inside>::default().denominator(Inside::new(1e-8));
    let forms = [
        ("ε = 1e-8 inside", Chain::new((inside, Scale::default().lr(1.0)))),
        ("ε = 1e-10 outside", tuned(adagrad(), &[("lr", 1.0), ("eps", 1e-10)])?),
    ];
    for (name, chain) in forms {
        let mut walk = Walk::new(chain, &START)?;
        walk.descend(100_000, gradient)?;
        // Twelve digits, as the reference says.
        r.printed(&format!("b after 100000, {name}"), walk.x[0], "-188.366838750");
        r.printed(&format!("w after 100000, {name}"), walk.x[1], "2.66926407134");
    }
    let of_mean = |x: &[f64]| gradient(x).iter().map(|g| g / 10.0).collect::<Vec<f64>>();
    let step = 1e-3;
    let slopes = [
        mean_square(START[0] + step, START[1]) - mean_square(START[0] - step, START[1]),
        mean_square(START[0], START[1] + step) - mean_square(START[0], START[1] - step),
    ];
    for ((name, slope), g) in ["b", "w"].iter().zip(slopes).zip(gradient(&START)) {
        let what = format!("gradient of the code by that of its contours, {name}");
        r.relative(&what, g * 2.0 * step / slope, 10.0, 1e-6);
    }
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, &START)?;
    walk.descend(1000, of_mean)?;
    r.near("b after 1000, gradient of the mean", walk.x[0], TABLE[4].1, 1e-8);
    Ok(())
}

/// The source's grid of 100 by 100 places.
fn grid(r: &mut Record) {
    let places = (0..100).flat_map(|i| (0..100).map(move |j| (i, j)));
    let heights: Vec<(f64, f64, f64)> = places
        .map(|(i, j)| (-200.0 + f64::from(i), -5.0 + 0.1 * f64::from(j)))
        .map(|(b, w)| (mean_square(b, w), b, w))
        .collect();
    let by_height = |a: &&(f64, f64, f64), b: &&(f64, f64, f64)| a.0.total_cmp(&b.0);
    let list = |place: Option<&(f64, f64, f64)>| place.map_or([f64::NAN; 3], |p| [p.0, p.1, p.2]);
    let low = list(heights.iter().min_by(by_height));
    r.all_printed(
        "lowest of the contour grid: value, b, w",
        &low,
        &["10216.392", "-196.000000", "2.700000"],
    );
    let high = list(heights.iter().max_by(by_height));
    r.all_printed(
        "highest of the contour grid: value, b, w",
        &high,
        &["5192293.4", "-200.000000", "-5.000000"],
    );
}

/// Where the source's code divides zero by zero, the library must not.
fn zero_gradient(r: &mut Record) -> Result<()> {
    let mut opt = Optimizer::<f64>::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?)?;
    let mut x = [1.0];
    advance(&mut opt, &mut [Param::new("x", &[1], &mut x, &[0.0])])?;
    r.near("x after a first gradient of 0 without ε", x[0], 1.0, 0.0);
    Ok(())
}

fn figures(r: &mut Record, path: Vec<(f64, f64)>, best: &Solution) -> Result<()> {
    // Not the 1e-7 of the source: AdaGrad is held against descent at the largest rate it can have.
    let mut plain = Walk::new(descent(STABLE)?, &START)?;
    let mut slow = vec![(START[0], START[1])];
    for _ in 0..100_000 {
        plain.descend(1, gradient)?;
        slow.push((plain.x[0], plain.x[1]));
    }
    let least = mean_square(best.b, best.w);
    let excess = |path: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let left =
            |(t, place): (usize, &(f64, f64))| (t as f64, mean_square(place.0, place.1) - least);
        path.iter().enumerate().skip(1).map(left).collect()
    };
    let levels = [10_250.0, 12_000.0, 2e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2e6, 4e6];
    r.figure(
        Figure::new(
            "adagrad-regression",
            "100 000 steps on the regression of source 003, over its mean square",
            Axis::linear("intercept b").between(-200.0, -100.0),
            Axis::linear("slope w").between(-5.0, 5.0),
        )
        .over(&levels, mean_square)
        .line("AdaGrad, rate 1", dense(&path))
        .line("gradient descent, rate 1.14e-6", dense(&slow))
        .points("optimum", [(best.b, best.w)]),
    );
    r.figure(
        Figure::new(
            "adagrad-regression-loss",
            "What is left of the mean square above its minimum",
            Axis::log("step"),
            Axis::log("mean square − minimum"),
        )
        .line("AdaGrad, rate 1", excess(&path))
        .line("gradient descent, rate 1.14e-6", excess(&slow)),
    );
    Ok(())
}

/// Every step of the first hundred, then ever fewer: the path bends early.
fn dense(path: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut next = 0;
    let keep = |(i, place): (usize, &(f64, f64))| {
        let wanted = i >= next;
        if wanted {
            next = i + 1 + i / 100;
        }
        wanted.then_some(*place)
    };
    let last = path.last().copied();
    path.iter().enumerate().filter_map(keep).chain(last).collect()
}

fn descent(lr: f64) -> Result<Chain> {
    tuned(gd(), &[("lr", lr)])
}

fn global_rate(r: &mut Record) -> Result<()> {
    let best = solution();
    let eigenvalues = [best.low, best.high, best.high / best.low];
    r.all_printed(
        "eigenvalues, condition number",
        &eigenvalues,
        &["5.57347746", "1.74683043e+06", "313418.4"],
    );
    r.printed("largest stable rate", 2.0 / best.high, "1.1449e-06");
    let mut walk = Walk::new(descent(1e-7)?, &START)?;
    walk.descend(100_000, gradient)?;
    r.all_printed("b, w after 100 000 steps of rate 1e-7", &walk.x, &["-123.692175", "2.483402"]);
    r.claim("rate 1e-7 is too small for b", (walk.x[0] - best.b).abs() > 1.0);
    let after = |lr: f64| -> Result<f64> {
        let mut walk = Walk::new(descent(lr)?, &START)?;
        walk.descend(1000, gradient)?;
        Ok(mean_square(walk.x[0], walk.x[1]))
    };
    let (large, stable) = (after(1.2e-6)?, after(STABLE)?);
    let (least, edge) = (mean_square(best.b, best.w), 2.0 / best.high);
    let rates = (0..=40).map(|k| 1e-9 * 10f64.powf(0.075 * f64::from(k)));
    let rates = rates.chain([1.1e-6, 1.14e-6, 1.16e-6, 1.2e-6]);
    let left = rates.map(|lr| Ok((lr, after(lr)? - least))).collect::<Result<Vec<_>>>()?;
    r.figure(
        Figure::new(
            "global-rate",
            "Gradient descent on the regression of source 003: what 1000 steps leave, by the rate",
            Axis::log("learning rate"),
            Axis::log("mean square − minimum").between(1e2, 1e10),
        )
        .line("gradient descent", left)
        .points("rate 1.14e-6", [(STABLE, stable - least)])
        .bound("largest stable rate", [(edge, 1e2), (edge, 1e10)]),
    );
    r.above("mean square after 1000 steps of rate 1.2e-6", large, 1e9);
    r.at_most("mean square after 1000 steps of rate 1.14e-6", stable, 1e9);
    r.claim("rate 1.2e-6 is too large for w", large > 1e9);
    r.claim("rate 1.14e-6 is stable and still too small for b", stable < 1e9 && stable > 11_000.0);
    Ok(())
}
