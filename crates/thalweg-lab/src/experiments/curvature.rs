//! X26–X28: learning rates, curvature and ill-conditioning.

use thalweg::recipes::{adabelief, adagrad, adam, gd, nesterov, rmsprop};
use thalweg::{Chain, Optimizer, Param};

use super::figure::{Axis, Figure, numbered};
use super::walk::{Best, Runs, Walk, advance, best, distance, rates, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "parabola",
        row: "X26",
        source: "003 §1 and hints 1-4, §2",
        claim: "for L = a·w² + b·w + c the slope is a·w + b, the curvature a, and the best step 1/a",
        correct: "L' = 2a·w + b and L'' = 2a: the minimum −b/(2a) is one step of 1/(2a) away; a step of 1/a goes to and fro for ever",
        errata: &["E44"],
        decides: &["w after a step of 1/(2a)", "w after 3 steps of 1/a"],
        features: &["F068", "F096", "F097"],
        expected: Verdict::Refuted,
        run: parabola,
    },
    Experiment {
        name: "parabola-rate",
        row: "X26",
        source: "003 §0-1",
        claim: "gradient descent finally reaches the minimum",
        correct: "for rates below 2/L''",
        errata: &["E45"],
        decides: &["error after 50 steps of 1.9/L''", "error after 50 steps of 2.1/L''"],
        features: &["F001", "F060", "F095"],
        expected: Verdict::HoldsIf("0 < η < 2/L''"),
        run: parabola_rate,
    },
    Experiment {
        name: "descent-rate",
        row: "X27",
        source: "002 Ill-conditioning; 004 §1.3",
        claim: "gradient descent shrinks the error by (κ − 1)/(κ + 1) per step",
        correct: "at the rate 2/(L + μ) only; at 1/L by 1 − 1/κ",
        errata: &["E55"],
        decides: &["ratio at η = 2/101", "ratio at η = 1/100"],
        features: &["F001", "F060", "F101", "F108"],
        expected: Verdict::HoldsIf("the rate is 2/(L + μ)"),
        run: descent_rate,
    },
    Experiment {
        name: "preconditioner-note",
        row: "X27",
        source: "002 Ill-conditioning, editor's note",
        claim: "the ideal diagonal preconditioner has D⁻² proportional to the curvature",
        correct: "D proportional to the curvature; D⁻² ∝ a is right for D·A·D only",
        errata: &["E40"],
        decides: &[
            "condition number of D⁻¹·A with D = a",
            "condition number of D⁻¹·A with D⁻² ∝ a",
            "condition number of D·A·D with D⁻² ∝ a",
        ],
        features: &["F092", "F097", "F106"],
        expected: Verdict::Refuted,
        run: preconditioner,
    },
    Experiment {
        name: "diagonal-balance",
        row: "X28",
        source: "002 AdaGrad",
        claim: "on Σ Lᵢ·xᵢ²/2 AdaGrad balances all directions",
        correct: "so it does, and so do RMSProp, Adam and AdaBelief: all coordinates take the same way",
        errata: &["E47"],
        decides: &["AdaGrad, largest difference of coordinates"],
        features: &["F064"],
        expected: Verdict::Holds,
        run: balance,
    },
    Experiment {
        name: "ill-conditioning",
        row: "X28",
        source: "002 Ill-conditioning",
        claim: "adaptive methods greatly improve ill-conditioned problems",
        correct: "along the axes the condition number does not count; turned by 45°, each method at its best rate, AdaGrad is behind gradient descent, and Adam and AdaBelief, still ahead of it, pay for κ too: four times the steps for ten times κ",
        errata: &["E43"],
        decides: &[
            "gradient descent, turned by 45°, κ = 100, steps at the best rate",
            "gradient descent, turned by 45°, κ = 1000, steps at the best rate",
            "AdaGrad, turned by 45°, κ = 100, steps at the best rate",
            "AdaGrad, turned by 45°, κ = 1000, steps at the best rate",
            "Adam, along the axes, κ = 100, steps at the best rate",
            "Adam, along the axes, κ = 1000, steps at the best rate",
            "Adam, turned by 45°, κ = 100, steps at the best rate",
            "Adam, turned by 45°, κ = 1000, steps at the best rate",
        ],
        features: &["F092", "F107"],
        expected: Verdict::HoldsIf("the curvature is along the axes"),
        run: rotation,
    },
];

/// The slope of `3w² − 12w + 5`.
fn slope(x: &[f64]) -> Vec<f64> {
    vec![6.0 * x[0] - 12.0]
}

/// Where gradient descent at this rate is after each step from 10.
fn path(lr: f64, slope: impl Fn(&[f64]) -> Vec<f64>, count: usize) -> Result<Vec<f64>> {
    let mut walk = Walk::new(tuned(gd(), &[("lr", lr)])?, &[10.0])?;
    (0..count)
        .map(|_| {
            walk.descend(1, &slope)?;
            Ok(walk.x[0])
        })
        .collect()
}

fn parabola(r: &mut Record) -> Result<()> {
    let right = path(1.0 / 6.0, slope, 1)?[0];
    r.near("w after a step of 1/(2a)", right, 2.0, 1e-12);
    let mirror = path(1.0 / 3.0, slope, 4)?;
    for (t, (got, want)) in mirror.iter().zip([-6.0, 10.0, -6.0, 10.0]).enumerate() {
        r.near(&format!("w after {} steps of 1/a", t + 1), *got, want, 1e-9);
    }
    let source = path(1.0 / 3.0, |x| vec![3.0 * x[0] - 12.0], 1)?[0];
    r.near("where the source's slope a·w + b leads", source, 4.0, 1e-12);
    r.claim("3w² − 12w + 5 from 10: a step of 1/a arrives", (mirror[0] - 2.0).abs() < 1e-9);
    r.claim(
        "3w² − 12w + 5 from 10: the source's slope leads to the minimum",
        (source - 2.0).abs() < 1e-9,
    );
    let mut figure = Figure::new(
        "parabola",
        "Gradient descent on 3w² − 12w + 5 from 10",
        Axis::linear("step"),
        Axis::linear("w"),
    );
    for (name, lr) in [("1/a", 1.0 / 3.0), ("1/(2a)", 1.0 / 6.0)] {
        let path = path(lr, slope, 6)?.into_iter().enumerate();
        let path = path.map(|(t, w)| (t as f64 + 1.0, w));
        figure =
            figure.line(&format!("a step of {name}"), std::iter::once((0.0, 10.0)).chain(path));
    }
    r.figure(figure.bound("minimum", [(0.0, 2.0), (6.0, 2.0)]));
    Ok(())
}

fn parabola_rate(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "parabola-rate",
        "Gradient descent on 3w² − 12w + 5 from 10",
        Axis::linear("step"),
        Axis::log("distance from the minimum"),
    );
    for (share, want) in [(1.9, "0.04123"), (2.0, "8.000000000"), (2.1, "939.1")] {
        let errors: Vec<f64> =
            path(share / 6.0, slope, 50)?.iter().map(|w| (w - 2.0).abs()).collect();
        r.printed(&format!("error after 50 steps of {share}/L''"), errors[49], want);
        r.claim(&format!("η = {share}/L''"), errors[49] < 1.0);
        let points = errors.into_iter().enumerate().map(|(t, e)| (t as f64 + 1.0, e));
        figure = figure.line(&format!("η = {share}/L''"), points);
    }
    r.figure(figure);
    Ok(())
}

const PAIR: [f64; 2] = [1.0, 100.0];

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// By what factor one late step of gradient descent on `(x₁² + 100·x₂²)/2` shrinks the error.
fn asymptotic_ratio(lr: f64) -> Result<f64> {
    let gradient = |x: &[f64]| vec![PAIR[0] * x[0], PAIR[1] * x[1]];
    let mut walk = Walk::new(tuned(gd(), &[("lr", lr)])?, &[1.0, 1.0])?;
    walk.descend(3000, gradient)?;
    let before = norm(&walk.x);
    walk.descend(1, gradient)?;
    Ok(norm(&walk.x) / before)
}

fn descent_rate(r: &mut Record) -> Result<()> {
    let promised = 99.0 / 101.0;
    let best = asymptotic_ratio(2.0 / 101.0)?;
    let mut measured = vec![(2.0 / 101.0, best)];
    r.printed("ratio at η = 2/101", best, ".980198");
    r.claim("κ = 100, η = 2/(L + μ)", (best - promised).abs() < 1e-6);
    for (name, lr) in [("1/100", 0.01), ("1.99/100", 0.0199)] {
        let ratio = asymptotic_ratio(lr)?;
        r.near(&format!("ratio at η = {name}"), ratio, 0.99, 1e-9);
        r.claim(&format!("κ = 100, η = {name}"), (ratio - promised).abs() < 1e-6);
        measured.push((lr, ratio));
    }
    for lr in [0.0025, 0.005, 0.0075, 0.0125, 0.015, 0.0175] {
        measured.push((lr, asymptotic_ratio(lr)?));
    }
    let rates = || (1..=199).map(|k| f64::from(k) * 1e-4);
    r.figure(
        Figure::new(
            "descent-rate",
            "Factor per step of gradient descent at κ = 100",
            Axis::linear("learning rate η"),
            Axis::linear("factor"),
        )
        .bound("(κ − 1)/(κ + 1)", rates().map(|lr| (lr, promised)))
        .bound("max |1 − η·λ|", rates().map(|lr| (lr, (1.0 - lr).max((1.0 - 100.0 * lr).abs()))))
        .points("measured", measured),
    );
    Ok(())
}

/// The condition number of `D⁻¹A` with `A = diag(a)`, as gradient descent with one rate per coordinate sees it.
fn condition(preconditioner: [f64; 2], a: [f64; 2]) -> Result<f64> {
    let lr = 1e-3;
    let chain = |k: usize| tuned(gd(), &[("lr", lr / preconditioner[k])]);
    let builder = Optimizer::<f64>::builder().group("flat", "flat", chain(0)?);
    let mut opt = builder.rest("steep", chain(1)?).build::<f64>()?;
    let (mut flat, mut steep) = ([1.0], [1.0]);
    let (g, h) = ([a[0]], [a[1]]);
    let params =
        &mut [Param::new("flat", &[1], &mut flat, &g), Param::new("steep", &[1], &mut steep, &h)];
    advance(&mut opt, params)?;
    let eigenvalues = [(1.0 - flat[0]) / lr, (1.0 - steep[0]) / lr];
    Ok(eigenvalues[0].max(eigenvalues[1]) / eigenvalues[0].min(eigenvalues[1]))
}

fn preconditioner(r: &mut Record) -> Result<()> {
    r.relative("condition number without", condition([1.0, 1.0], PAIR)?, 100.0, 1e-9);
    r.relative("condition number of D⁻¹·A with D = a", condition(PAIR, PAIR)?, 1.0, 1e-9);
    let d = PAIR.map(|a| a.powf(-0.5));
    let printed = condition(d, PAIR)?;
    r.relative("condition number of D⁻¹·A with D⁻² ∝ a", printed, 1000.0, 1e-9);
    // Descent in y, where x = D·y.
    let scaled = [d[0] * PAIR[0] * d[0], d[1] * PAIR[1] * d[1]];
    let both_sides = condition([1.0, 1.0], scaled)?;
    r.relative("condition number of D·A·D with D⁻² ∝ a", both_sides, 1.0, 1e-9);
    r.claim("diag(1, 100): better than without", printed < 100.0);
    let power = |s: f64| Ok((s, condition(PAIR.map(|a| a.powf(s)), PAIR)?));
    let powers = (-4..=8).map(|k| power(0.25 * f64::from(k))).collect::<Result<Vec<_>>>()?;
    r.figure(
        Figure::new(
            "preconditioner-note",
            "What gradient descent sees of diag(1, 100) through a diagonal preconditioner",
            Axis::linear("s, where D = a^s"),
            Axis::log("condition number of D⁻¹A"),
        )
        .line("measured", powers)
        .points("without: s = 0", [power(0.0)?])
        .points("source: D⁻² ∝ a, s = −1/2", [(-0.5, printed)])
        .points("D = a: s = 1", [power(1.0)?]),
    );
    Ok(())
}

/// The methods that look at each coordinate alone and at no scale.
fn scale_free() -> Result<[(&'static str, Chain); 4]> {
    Ok([
        ("AdaGrad", tuned(adagrad(), &[("lr", 0.5), ("eps", 0.0)])?),
        ("RMSProp", tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9), ("eps", 0.0)])?),
        ("Adam", tuned(adam(), &[("lr", 0.05), ("eps", 0.0)])?),
        ("AdaBelief", tuned(adabelief(), &[("lr", 0.05), ("eps", 0.0)])?),
    ])
}

fn balance(r: &mut Record) -> Result<()> {
    let curvature = [1.0, 10.0, 100.0, 1e4];
    let want = ["4.31704927e-25", "0.08758652", "-0.0042114", "0.0043739"];
    let mut figure = Figure::new(
        "diagonal-balance",
        "All coordinates of Σ Lᵢ·xᵢ²/2 from 1: the lines are those of L = 1",
        Axis::linear("step"),
        Axis::linear("coordinate xᵢ"),
    );
    // The other coordinates take turns, so that their circles do not hide each other.
    let mut others = [vec![], vec![], vec![]];
    for ((name, chain), want) in scale_free()?.into_iter().zip(want) {
        let (mut walk, mut first) = (Walk::new(chain, &[1.0; 4])?, vec![]);
        for t in 1..=100 {
            walk.descend(1, |x| x.iter().zip(curvature).map(|(x, h)| h * x).collect())?;
            first.push(walk.x[0]);
            if t % 5 == 0 {
                let turn = t / 5 % 3;
                others[turn].push((t as f64, walk.x[turn + 1]));
            }
        }
        figure = figure.line(name, numbered(first));
        let spread = distance(&walk.x, &[walk.x[0]; 4]);
        for (i, x) in walk.x.iter().enumerate() {
            r.printed(&format!("{name}, x[{}] after 100 steps", i + 1), *x, want);
        }
        r.near(&format!("{name}, largest difference of coordinates"), spread, 0.0, 1e-12);
        r.claim(&format!("{name}, curvatures 1 to 10 000"), spread <= 1e-12);
    }
    for (curvature, points) in curvature.iter().skip(1).zip(others) {
        figure = figure.points(&format!("L = {curvature}, any of them"), points);
    }
    r.figure(figure);
    Ok(())
}

/// The bowl `(x₁² + steep·x₂²)/2`, turned by the angle with this sine and cosine.
#[derive(Clone, Copy)]
struct Turned {
    steep: f64,
    sin: f64,
    cos: f64,
}

impl Turned {
    /// Coordinates along the axes of the bowl, and back.
    fn along(self, x: &[f64]) -> [f64; 2] {
        [self.cos * x[0] + self.sin * x[1], self.cos * x[1] - self.sin * x[0]]
    }

    fn back(self, y: [f64; 2]) -> Vec<f64> {
        vec![self.cos * y[0] - self.sin * y[1], self.sin * y[0] + self.cos * y[1]]
    }

    fn height(self, x: &[f64]) -> f64 {
        let y = self.along(x);
        0.5 * (y[0] * y[0] + self.steep * y[1] * y[1])
    }

    fn gradient(self, x: &[f64]) -> Vec<f64> {
        let y = self.along(x);
        self.back([y[0], self.steep * y[1]])
    }
}

/// Steps until a bowl is below 1e-6, and the way there; the start, at (1, 1), turns with the bowl.
fn path_down(chain: Chain, bowl: Turned) -> Result<(Option<usize>, Vec<(f64, f64)>)> {
    let mut walk = Walk::new(chain, &bowl.back([1.0, 1.0]))?;
    let mut path = vec![(walk.x[0], walk.x[1])];
    for t in 1..2000 {
        walk.descend(1, |x| bowl.gradient(x))?;
        path.push((walk.x[0], walk.x[1]));
        if bowl.height(&walk.x) < 1e-6 {
            return Ok((Some(t), path));
        }
    }
    Ok((None, path))
}

/// Steps that the figure shows: with more, descent fills it with one colour.
const SHOWN: usize = 60;

fn rotation(r: &mut Record) -> Result<()> {
    let places = [
        ("along the axes", "aligned", (0.0, 1.0)),
        ("turned by 45°", "turned", std::f64::consts::FRAC_PI_4.sin_cos()),
    ];
    let mut scaling = Figure::new(
        "ill-conditioning",
        "Steps until (x₁² + κ·x₂²)/2 is below 1e-6, each method at its best rate",
        Axis::log("condition number κ"),
        Axis::log("steps, mean of eight starts"),
    );
    for (place, short, (sin, cos)) in places {
        let at = |steep| Turned { steep, sin, cos };
        at_fixed_rates(r, place, short, at(100.0))?;
        for (name, method) in [
            ("gradient descent", gd as fn() -> Chain),
            ("Nesterov", nesterov),
            ("AdaGrad", adagrad),
            ("Adam", adam),
            ("AdaBelief", adabelief),
        ] {
            let mut steps = vec![];
            for condition in [10.0, 100.0, 1000.0] {
                let best = best_steps(method, at(condition))?;
                let what = format!("{name}, {place}, κ = {condition}");
                r.note(&format!("{what}, steps at the best rate"), best.steps);
                r.note(&format!("{what}, best rate"), best.lr);
                steps.push((condition, best.steps));
            }
            if !["gradient descent", "Nesterov"].contains(&name) {
                let case = format!("{name}, {place}: ten times κ, less than twice the steps");
                r.claim(&case, steps[2].1 < 2.0 * steps[1].1);
                scaling = scaling.line(&format!("{name}, {place}"), steps);
            } else if short == "turned" {
                // They do not notice that the bowl was turned, and show what κ costs.
                scaling = scaling.line(&format!("{name}, in both places"), steps);
            }
        }
    }
    r.figure(scaling);
    Ok(())
}

/// The counts of E43, at its rates. They decide nothing: the rate of descent is the best there is, the
/// others were never tuned.
fn at_fixed_rates(r: &mut Record, place: &str, short: &str, bowl: Turned) -> Result<()> {
    let table = [
        ("gradient descent", tuned(gd(), &[("lr", 2.0 / 101.0)])?, [444, 444]),
        ("AdaGrad", tuned(adagrad(), &[("lr", 0.5)])?, [16, 973]),
        ("Adam", tuned(adam(), &[("lr", 0.05)])?, [129, 901]),
        ("AdaBelief", tuned(adabelief(), &[("lr", 0.05)])?, [106, 752]),
    ];
    let turned = short == "turned";
    let mut figure = Figure::new(
        if turned { "ill-conditioning-turned" } else { "ill-conditioning-aligned" },
        &format!("The first {SHOWN} steps on (x₁² + 100·x₂²)/2 {place}, at the rates of E43"),
        Axis::linear("x₁").between(-1.6, 1.6),
        Axis::linear("x₂").between(-1.6, 1.6),
    )
    .over(&[0.01, 0.1, 0.5, 2.0, 8.0, 25.0, 60.0, 120.0], |x, y| bowl.height(&[x, y]));
    for (name, chain, want) in table {
        let (steps, path) = path_down(chain, bowl)?;
        r.count(&format!("{name}, {place}, steps"), steps, Some(want[usize::from(turned)]), 1);
        figure = figure.line(name, path.into_iter().take(SHOWN + 1));
    }
    r.figure(figure);
    Ok(())
}

/// Steps down a bowl at the best rate, from eight places of a circle around its minimum that turn with it.
fn best_steps(method: fn() -> Chain, bowl: Turned) -> Result<Best> {
    let starts: Vec<_> = (0..8)
        .map(|k| (f64::from(k) + 0.5) * std::f64::consts::FRAC_PI_4)
        .map(|angle| bowl.back([2f64.sqrt() * angle.cos(), 2f64.sqrt() * angle.sin()]))
        .collect();
    let (gradient, loss) = (|x: &[f64]| bowl.gradient(x), |x: &[f64]| bowl.height(x));
    let runs = Runs { starts: &starts, gradient: &gradient, loss: &loss };
    best(rates(), |lr, limit| runs.steps(tuned(method(), &[("lr", lr)])?, limit))
}
