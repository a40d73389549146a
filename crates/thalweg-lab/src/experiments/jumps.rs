//! X19 and X20: gradients that change their size.

use thalweg::Chain;
use thalweg::recipes::{adagrad, rmsprop};

use super::figure::{Axis, Figure, numbered};
use super::walk::{Best, Walk, best, mean, rates, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "scale-jump",
        row: "X19",
        source: "002 RMSProp",
        claim: "after gradients have jumped up AdaGrad cannot forget their small past",
        correct: "it forgets a small past in about t₀/c² steps; what it never forgets is a large one",
        errata: &["E32"],
        decides: &[
            "steps to 90 % of a fresh start, up × 10",
            "steps to 90 % of a fresh start, down from 10",
        ],
        features: &["F075"],
        expected: Verdict::Refuted,
        run: adagrad_jump,
    },
    Experiment {
        name: "rmsprop-time-constant",
        row: "X19",
        source: "002 RMSProp; 004 §6.1-6.2",
        claim: "RMSProp adapts to a jump within its time constant 1/(1 − ρ)",
        correct: "the mean square forgets by 1/e in −1/ln ρ steps; the rate, its inverse root, is there sooner after a jump up and has hardly begun after one down: to within 10 % it takes 17 steps up and 58 to 102 down at ρ = 0.9",
        errata: &["E34"],
        decides: &[
            "share of the way that the rate has left after 1/(1 − ρ) steps, from 1 to 10, ρ = 0.9",
            "share of the way that the rate has left after 1/(1 − ρ) steps, from 10 to 1, ρ = 0.9",
            "share of the old mean square after 10 steps, ρ = 0.9",
        ],
        features: &["F074", "F075", "F078"],
        expected: Verdict::HoldsIf(
            "the jump is upwards, or what adapts is the mean square and not the rate",
        ),
        run: time_constant,
    },
    Experiment {
        name: "feature-relevance",
        row: "X20",
        source: "002 RMSProp",
        claim: "when a quiet feature becomes relevant its past slows AdaGrad down",
        correct: "a quiet past is no burden: the relative effect is 5e-6; AdaGrad then slows down on the new gradients",
        errata: &["E33"],
        decides: &["share of AdaGrad's step that the past takes"],
        features: &["F076"],
        expected: Verdict::Refuted,
        run: relevance,
    },
    Experiment {
        name: "flat-to-steep",
        row: "X20",
        source: "002 RMSProp",
        claim: "from a flat region into a steep one RMSProp does better than AdaGrad",
        correct: "at the same small rate it crosses sooner, and then cycles at half that rate where AdaGrad converges; at the best rate of each AdaGrad, which may take a large one, is the first to come to rest",
        errata: &["E32"],
        decides: &[
            "AdaGrad, step at which it enters",
            "RMSProp 0.9, step at which it enters",
            "AdaGrad, steps to |x| < 0.05 for good at the best rate",
            "RMSProp 0.9, steps to |x| < 0.05 for good at the best rate",
        ],
        features: &["F077"],
        expected: Verdict::HoldsIf("both have the same small rate and what counts is the crossing"),
        run: flat_to_steep,
    },
];

/// Step per unit of gradient after 1000 gradients of size `before`, at each of `count` of size `after`.
fn after_jump(chain: Chain, before: f64, after: f64, count: usize) -> Result<Vec<f64>> {
    let mut walk = Walk::new(chain, &[0.0])?;
    (0..1000).try_for_each(|_| walk.step(&[before]))?;
    (0..count).map(|_| Ok(walk.fall(after)? / after)).collect()
}

fn ada() -> Result<Chain> {
    tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])
}

fn rms(rho: f64) -> Result<Chain> {
    tuned(rmsprop(), &[("lr", 1.0), ("rho", rho), ("eps", 0.0)])
}

fn adagrad_jump(r: &mut Record) -> Result<()> {
    let caught_up = |before: f64, after: f64| -> Result<Option<usize>> {
        let fresh = |k: usize| 1.0 / (after * ((k + 1) as f64).sqrt());
        let rates = after_jump(ada()?, before, after, 20_000)?;
        Ok(rates.iter().enumerate().position(|(k, r)| *r >= 0.9 * fresh(k)).map(|k| k + 1))
    };
    for (c, want) in [(10.0, 43), (100.0, 1)] {
        let steps = caught_up(1.0, c)?;
        r.count(&format!("steps to 90 % of a fresh start, up × {c}"), steps, Some(want), 0);
        r.claim(
            &format!("up × {c}: no 90 % of a fresh start within 100 steps"),
            steps.is_none_or(|s| s > 100),
        );
        let steps = caught_up(c, 1.0)?;
        r.count(&format!("steps to 90 % of a fresh start, down from {c}"), steps, None, 0);
    }
    let relative =
        |rates: Vec<f64>, after: f64| numbered(rates.into_iter().map(move |r| r * after));
    let figure = Figure::new(
        "scale-jump",
        "Step sizes after a jump of the gradient at step 1000, in units of the rate",
        Axis::log("steps since the jump"),
        Axis::log("step / rate"),
    );
    r.figure(
        figure
            .line("AdaGrad, up × 10", relative(after_jump(ada()?, 1.0, 10.0, 2000)?, 10.0))
            .line("AdaGrad, down from 10", relative(after_jump(ada()?, 10.0, 1.0, 2000)?, 1.0))
            .line("RMSProp 0.9, up × 10", relative(after_jump(rms(0.9)?, 1.0, 10.0, 2000)?, 10.0))
            .line(
                "RMSProp 0.9, down from 10",
                relative(after_jump(rms(0.9)?, 10.0, 1.0, 2000)?, 1.0),
            )
            .bound("AdaGrad, fresh", (1..=2000).map(|k| (f64::from(k), 1.0 / f64::from(k).sqrt()))),
    );
    Ok(())
}

fn time_constant(r: &mut Record) -> Result<()> {
    let jumps = [
        (1.0, 10.0, 0.9, 17),
        (1.0, 10.0, 0.99, 174),
        (10.0, 1.0, 0.9, 58),
        (10.0, 1.0, 0.99, 602),
        (100.0, 1.0, 0.9, 102),
        (100.0, 1.0, 0.99, 1061),
    ];
    let mut figure = Figure::new(
        "rmsprop-time-constant",
        "RMSProp's rate after a jump of the gradients, ρ = 0.9, by what it settles at",
        Axis::log("steps since the jump"),
        Axis::log("rate / settled rate"),
    );
    for (before, after, rho, want) in jumps {
        let rates = after_jump(rms(rho)?, before, after, 2000)?;
        if rho == 0.9 {
            let path = rates.iter().take(200).enumerate();
            let path = path.map(|(k, rate)| (k as f64 + 1.0, rate * after));
            figure = figure.line(&format!("from {before} to {after}"), path);
        }
        let settled = rates.iter().position(|r| (r * after - 1.0).abs() <= 0.1).map(|k| k + 1);
        let case = format!("from {before} to {after}, ρ = {rho}");
        r.count(&format!("steps until the rate is within 10 %, {case}"), settled, Some(want), 1);
        // The same yardstick as for the mean square: 1/e of the way left when the time constant is over.
        let constant = (1.0 / (1.0 - rho) + 0.5) as usize;
        let left = (rates[constant - 1] * after - 1.0) / (before.recip() * after - 1.0);
        r.note(
            &format!("share of the way that the rate has left after 1/(1 − ρ) steps, {case}"),
            left,
        );
        r.claim(&format!("rate, {case}"), left <= (-1f64).exp());
    }
    r.figure(figure.bound("time constant", [(10.0, 0.1), (10.0, 10.0)]));
    let mut walk = Walk::new(rms(0.9)?, &[0.0])?;
    (0..1000).try_for_each(|_| walk.step(&[1.0]))?;
    (0..10).try_for_each(|_| walk.step(&[10.0]))?;
    let left = (100.0 - walk.slot("v")?[0]) / 99.0;
    r.printed("share of the old mean square after 10 steps, ρ = 0.9", left, "0.348678");
    r.near("the same, exactly", left, 0.9f64.powi(10), 1e-12);
    r.printed("steps to 1/e, ρ = 0.9", -1.0 / 0.9f64.ln(), "9.4912");
    r.printed("steps to 1/e, ρ = 0.99", -1.0 / 0.99f64.ln(), "99.499");
    r.claim("mean square, ρ = 0.9: down to 1/e after 10 steps", left <= (-1f64).exp());
    Ok(())
}

fn relevance(r: &mut Record) -> Result<()> {
    let cases = [
        ("AdaGrad", ada()?, [".999995", ".707105", ".316228", ".100000"]),
        ("RMSProp 0.9", rms(0.9)?, ["3.162278", "2.294157", "1.239088", "1.000013"]),
        ("RMSProp 0.99", rms(0.99)?, ["10.0000", "7.0888", "3.2339", "1.2559"]),
    ];
    let mut figure = Figure::new(
        "feature-relevance",
        "Step sizes of a coordinate after 1000 gradients of 0.0001 followed by gradients of 1",
        Axis::log("steps since the change"),
        Axis::log("step / rate"),
    );
    for (name, chain, want) in cases {
        let steps = after_jump(chain, 1e-4, 1.0, 100)?;
        for (k, want) in [1, 2, 10, 100].into_iter().zip(want) {
            r.printed(&format!("{name}, step {k}"), steps[k - 1], want);
        }
        if name == "AdaGrad" {
            let fresh = |k: usize| 1.0 / ((k + 1) as f64).sqrt();
            let effect = (0..100).map(|k| 1.0 - steps[k] / fresh(k)).fold(0.0, f64::max);
            r.at_most("share of AdaGrad's step that the past takes", effect, 5.1e-6);
            r.claim("1000 steps of 0.0001: the past takes more than 1 % of a step", effect > 0.01);
        }
        figure = figure.line(name, numbered(steps));
    }
    r.figure(figure);
    Ok(())
}

/// The slope of 0.01 outside |x| = 1 and the bowl inside, in every coordinate.
fn slope(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| if x.abs() > 1.0 { 0.01 * x.signum() } else { 100.0 * x }).collect()
}

/// Steps at the best rate until |x| < 0.05, and until that is so for good: means of eight starts from 2
/// to 4, because from a single one a first step may lead into the minimum by chance.
fn at_best_rates(chain: &Chain) -> Result<[Best; 2]> {
    const LONGEST: usize = 2000;
    let starts: Vec<f64> = (0..8).map(|k| 2.125 + 0.25 * f64::from(k)).collect();
    let steps = |lr: f64| -> Result<[f64; 2]> {
        let mut walk = Walk::new(tuned(chain.clone(), &[("lr", lr)])?, &starts)?;
        let (mut first, mut last) = ([None; 8], [0; 8]);
        for t in 1..=LONGEST {
            walk.descend(1, slope)?;
            for (i, x) in walk.x.iter().enumerate() {
                match x.abs() < 0.05 {
                    true => first[i] = first[i].or(Some(t)),
                    false => last[i] = t,
                }
            }
        }
        let arrived = first.map(|t| t.map_or(f64::INFINITY, |t| t as f64));
        let rested = last.map(|t| if t == LONGEST { f64::INFINITY } else { t as f64 + 1.0 });
        Ok([mean(&arrived), mean(&rested)])
    };
    let of = |k: usize| best(rates(), |lr, _| Ok(steps(lr)?[k]));
    Ok([of(0)?, of(1)?])
}

fn flat_to_steep(r: &mut Record) -> Result<()> {
    let rms = |rho| tuned(rmsprop(), &[("lr", 0.05), ("rho", rho)]);
    let cases = [
        ("AdaGrad", tuned(adagrad(), &[("lr", 0.05)])?, 430, 719),
        ("RMSProp 0.9", rms(0.9)?, 32, 53),
        ("RMSProp 0.99", rms(0.99)?, 7, 12),
    ];
    let mut figure = Figure::new(
        "flat-to-steep",
        "From a slope of 0.01 into a bowl of curvature 100 at |x| = 1, rate 0.05",
        Axis::log("step"),
        Axis::linear("x"),
    );
    let (mut crossings, mut ends, mut rests) = (vec![], vec![], vec![]);
    for (name, chain, enters, arrives) in cases {
        let [arrival, rest] = at_best_rates(&chain)?;
        r.steps(&format!("{name}, steps to |x| < 0.05 at the best rate"), arrival.steps);
        r.steps(&format!("{name}, steps to |x| < 0.05 for good at the best rate"), rest.steps);
        rests.push(rest.steps);
        let mut walk = Walk::new(chain, &[3.0])?;
        let (mut entered, mut arrived, mut path) = (None, None, vec![]);
        for t in 1..=2000 {
            walk.descend(1, slope)?;
            entered = entered.or((walk.x[0].abs() <= 1.0).then_some(t));
            arrived = arrived.or((walk.x[0].abs() < 0.05).then_some(t));
            path.push(walk.x[0]);
        }
        r.count(&format!("{name}, step at which it enters"), entered, Some(enters), 0);
        r.count(&format!("{name}, step at which |x| < 0.05"), arrived, Some(arrives), 0);
        crossings.push(entered);
        ends.push(walk.x[0].abs());
        figure = figure.line(name, numbered(path));
    }
    r.printed("AdaGrad, |x| after 2000 steps", ends[0], "0.0000");
    r.printed("RMSProp 0.9, |x| after 2000 steps", ends[1], "0.0250");
    // A longer memory makes the cycle uneven by a little.
    r.near("RMSProp 0.99, |x| after 2000 steps", ends[2], 0.025, 1e-3);
    r.claim(
        "both at rate 0.05: RMSProp crosses sooner",
        crossings[1] < crossings[0] && crossings[2] < crossings[0],
    );
    r.claim(
        "both at rate 0.05: RMSProp ends nearer to the minimum",
        ends[1] < ends[0] || ends[2] < ends[0],
    );
    r.claim(
        "each at its best rate: RMSProp comes to rest sooner",
        rests[1] < rests[0] || rests[2] < rests[0],
    );
    r.figure(figure);
    Ok(())
}
