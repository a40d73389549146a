//! X27, X50 and E49: what one coordinate alone, and the diagonal, tell of a loss.

use thalweg::recipes::gd;

use super::figure::{Axis, Figure, numbered};
use super::regression::mean_square;
use super::spiral::{diagonal, loss_along_first};
use super::walk::{Walk, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "frozen-parameters",
        row: "E49",
        source: "003 §1",
        claim: "with all parameters but one held fast the loss is a·w² + b·w + c",
        correct: "if it is quadratic in that parameter: of a regression it is, of a network it is not",
        errata: &["E49"],
        decides: &[
            "regression of source 003, slope w: off the parabola",
            "network on the spirals, first weight: off the parabola",
        ],
        features: &["F094"],
        expected: Verdict::HoldsIf("the loss is quadratic in that parameter"),
        run: frozen,
    },
    Experiment {
        name: "spectral-radius",
        row: "X27",
        source: "002 Ill-conditioning",
        claim: "the speed of descent is set by the spectral radius of D⁻¹·A",
        correct: "by that of I − η·D⁻¹·A, which at the best rate is (κ − 1)/(κ + 1): by the condition number",
        errata: &["E41"],
        decides: &[
            "factor per step at the best rate, diag(1, 100)",
            "factor per step at the best rate, diag(50, 100)",
            "factor per step at the best rate, diag(10, 1000)",
        ],
        features: &["F092"],
        expected: Verdict::Refuted,
        run: radius,
    },
    Experiment {
        name: "diagonal-at-saddles",
        row: "X50",
        source: "004 §10.4",
        claim: "the diagonal of the Hessian is usually not negative, so that keeping it alone avoids negative curvature",
        correct: "at the saddle of x² − y² it is (2, −2), and a step of g/h leads into the saddle; of the network on the spirals a part is negative at the first weights",
        errata: &["E73"],
        decides: &[
            "diagonal of x² − y²[2]",
            "y after a step of g/h from (1, 0.1)",
            "negative entries of the network's diagonal, of 99",
        ],
        features: &["F139"],
        expected: Verdict::Refuted,
        run: saddles,
    },
];

/// How far `f` is off the parabola through −1, 0 and 1, at most over [−3, 3] and in units of its range there.
fn off_parabola(f: impl Fn(f64) -> f64) -> (f64, [Vec<(f64, f64)>; 2]) {
    let [left, middle, right] = [-1.0, 0.0, 1.0].map(&f);
    let parabola =
        |x: f64| middle + 0.5 * (right - left) * x + 0.5 * (right + left - 2.0 * middle) * x * x;
    let places = || (-30..=30).map(|k| 0.1 * f64::from(k));
    let [curve, through] =
        [places().map(|x| (x, f(x))).collect(), places().map(|x| (x, parabola(x))).collect()];
    let values = |points: &Vec<(f64, f64)>| points.iter().map(|p| p.1).collect::<Vec<f64>>();
    let (of, other) = (values(&curve), values(&through));
    let highest = of.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lowest = of.iter().copied().fold(f64::INFINITY, f64::min);
    (super::walk::distance(&of, &other) / (highest - lowest), [curve, through])
}

fn frozen(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "frozen-parameters",
        "The loss of the network on the spirals along its first weight",
        Axis::linear("change of the weight"),
        Axis::linear("loss"),
    );
    let cases: [(&str, &dyn Fn(f64) -> f64); 3] = [
        ("regression of source 003, intercept b", &|x| mean_square(-120.0 + x, -4.0)),
        ("regression of source 003, slope w", &|x| mean_square(-120.0, -4.0 + x)),
        ("network on the spirals, first weight", &|x| loss_along_first(x)),
    ];
    for (name, loss) in cases {
        let (off, [curve, through]) = off_parabola(loss);
        let what = format!("{name}: off the parabola");
        match name.starts_with("regression") {
            true => r.near(&what, off, 0.0, 1e-9),
            false => r.note(&what, off),
        }
        r.claim(name, off < 1e-3);
        if name.starts_with("network") {
            let marks = [-1.0, 0.0, 1.0].map(|x| (x, loss(x)));
            figure = figure
                .line("loss", curve)
                .bound("parabola through three of its places", through)
                .points("the three places", marks);
        }
    }
    r.figure(figure);
    Ok(())
}

/// The factor of the last of a thousand steps of descent on `(a·x² + b·y²)/2` at the rate 2/(a + b).
fn factor(a: f64, b: f64) -> Result<f64> {
    let mut walk = Walk::new(tuned(gd(), &[("lr", 2.0 / (a + b))])?, &[1.0, 1.0])?;
    let size = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    walk.descend(20, |x| vec![a * x[0], b * x[1]])?;
    let before = size(&walk.x);
    walk.descend(1, |x| vec![a * x[0], b * x[1]])?;
    Ok(size(&walk.x) / before)
}

fn radius(r: &mut Record) -> Result<()> {
    for (a, b) in [(1.0, 100.0), (50.0, 100.0), (10.0, 1000.0)] {
        let what = format!("factor per step at the best rate, diag({a}, {b})");
        r.relative(&what, factor(a, b)?, (b - a) / (b + a), 1e-9);
    }
    let same = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
    let [first, better, larger] =
        [factor(1.0, 100.0)?, factor(50.0, 100.0)?, factor(10.0, 1000.0)?];
    r.claim(
        "diag(1, 100) and diag(50, 100), spectral radius 100: the same speed",
        same(first, better),
    );
    r.claim(
        "diag(1, 100) and diag(10, 1000), ten times the radius: another speed",
        !same(first, larger),
    );
    let lows = || (1..=20).map(|k| 100f64.powf(f64::from(k) / 21.0));
    let at = |scale: f64| {
        let points = lows().map(move |a| Ok((100.0 / a, factor(scale * a, scale * 100.0)?)));
        points.collect::<Result<Vec<_>>>()
    };
    r.figure(
        Figure::new(
            "spectral-radius",
            "Factor per step of descent at its best rate by the condition number",
            Axis::log("condition number κ"),
            Axis::linear("factor"),
        )
        .bound("(κ − 1)/(κ + 1)", lows().map(|a| (100.0 / a, (100.0 - a) / (100.0 + a))))
        .points("spectral radius 100", at(1.0)?.into_iter().step_by(2))
        .points("spectral radius 1000", at(10.0)?.into_iter().skip(1).step_by(2)),
    );
    Ok(())
}

fn saddles(r: &mut Record) -> Result<()> {
    // Its gradient is linear: a difference over 1 is exact.
    let gradient = |x: &[f64]| vec![2.0 * x[0], -2.0 * x[1]];
    let diagonal_of_saddle: Vec<f64> =
        (0..2).map(|i| gradient(&[1.0, 1.0])[i] - gradient(&[0.0, 0.0])[i]).collect();
    r.near("diagonal of x² − y²[1]", diagonal_of_saddle[0], 2.0, 1e-12);
    r.near("diagonal of x² − y²[2]", diagonal_of_saddle[1], -2.0, 1e-12);
    let mut walk = Walk::new(tuned(gd(), &[("lr", 1.0)])?, &[1.0, 0.1])?;
    walk.descend(1, |x| gradient(x).iter().zip(&diagonal_of_saddle).map(|(g, h)| g / h).collect())?;
    r.near("x after a step of g/h from (1, 0.1)", walk.x[0], 0.0, 1e-12);
    r.near("y after a step of g/h from (1, 0.1)", walk.x[1], 0.0, 1e-12);
    r.claim("x² − y² from (1, 0.1): the step leads away from the saddle", walk.x[1].abs() > 0.1);
    let mut diagonal = diagonal();
    let negative = diagonal.iter().filter(|h| **h < 0.0).count();
    r.note("negative entries of the network's diagonal, of 99", negative as f64);
    r.claim("network on the spirals, first weights: no entry is negative", negative == 0);
    diagonal.sort_by(f64::total_cmp);
    r.figure(
        Figure::new(
            "diagonal-at-saddles",
            "The diagonal of the Hessian of the network on the spirals at its first weights, sorted",
            Axis::linear("place"),
            Axis::linear("second derivative"),
        )
        .points("second derivative in one weight", numbered(diagonal))
        .bound("0", [(1.0, 0.0), (99.0, 0.0)]),
    );
    Ok(())
}
