//! X06: regret of exponentiated gradient on the simplex.

use thalweg::Optimizer;
use thalweg::geometry::Simplex;
use thalweg::online::{self, Experts, Game, Linear};

use super::egd::descent;
use super::figure::{Axis, Figure, numbered};
use super::stream::Rng;
use super::walk::{Walk, log_slope};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "regret-bound",
        row: "X06",
        source: "000 §3.1, §3.2",
        claim: "the regret of exponentiated gradient is at most ln d/η + η·T·G²/2 for every sequence of losses",
        correct: "so it is; tuned, G·√(2·T·ln d) at η = √(2 ln d/T)/G",
        errata: &[],
        decides: &["regret on signs, G = 1", "bound, G = 1"],
        features: &["F014", "F016", "F017", "F019"],
        expected: Verdict::Holds,
        run: bound,
    },
    Experiment {
        name: "regret-norm",
        row: "X06",
        source: "000 §3.2 eq. 24",
        claim: "g·(θ − θ*) ≤ [D(θ*, θ) − D(θ*, θ')]/η + η/2·‖g‖² in the norm dual to ∇²ψ, ‖g‖² = Σ θᵢ·gᵢ²",
        correct: "in that norm for g ≥ 0 only; for every g with the largest |gᵢ|, because ψ is strongly convex in the l₁ norm",
        errata: &["E08"],
        decides: &[
            "gap of the inequality, losses of both signs, norm dual to ∇²ψ",
            "gap of the inequality, losses of both signs, largest |gᵢ|",
        ],
        features: &["F019"],
        expected: Verdict::HoldsIf("no loss is negative, or the norm is the largest |gᵢ|"),
        run: norm,
    },
    Experiment {
        name: "regret-source-rate",
        row: "X06",
        source: "000 §3.2 Theorem 1, eq. 22 and 29",
        claim: "with η = √(2 ln d/(G·T)) the regret is at most √(2·G·T·ln d)",
        correct: "G·√(2·T·ln d) with η = √(2 ln d/T)/G",
        errata: &["E06"],
        decides: &["regret with the source's rate, G = 4", "the source's bound, G = 4"],
        features: &["F018"],
        expected: Verdict::HoldsIf("G = 1"),
        run: source_rate,
    },
    Experiment {
        name: "regret-growth",
        row: "X06",
        source: "000 §3.2",
        claim: "the regret grows as √T",
        correct: "so it does on random signs",
        errata: &[],
        decides: &["slope of ln regret on ln T"],
        features: &["F017", "F020"],
        expected: Verdict::Holds,
        run: growth,
    },
];

const EXPERTS: usize = 10;
const START: [f64; EXPERTS] = [0.1; EXPERTS];

/// Charges of `limit` in absolute value with the signs of a stream.
fn charges(seed: u64, rounds: usize, limit: f64) -> Vec<Linear> {
    let mut rng = Rng::new(seed);
    (0..rounds).map(|_| Linear((0..EXPERTS).map(|_| limit * rng.sign()).collect())).collect()
}

fn expert(lr: f64) -> Result<Optimizer<f64>> {
    let chain = descent(lr)?.over(Simplex::default());
    Ok(Optimizer::<f64>::builder().rest("all", chain).threads(1).build()?)
}

fn play(seed: u64, rounds: usize, limit: f64, lr: f64) -> Result<Game<Linear>> {
    Ok(Game::play(&mut expert(lr)?, &START, charges(seed, rounds, limit))?)
}

/// The regret of exponentiated gradient on random signs.
fn regret(seed: u64, rounds: usize, limit: f64, lr: f64) -> Result<f64> {
    Ok(play(seed, rounds, limit, lr)?.standing(lr)?.regret)
}

/// Charges `limit` for the heaviest expert and pays as much for the others.
fn against_the_heaviest(x: &[f64]) -> Linear {
    let heavier = |a: usize, b: usize| if x[b] > x[a] { b } else { a };
    let heaviest = (0..x.len()).reduce(heavier);
    Linear((0..x.len()).map(|i| if Some(i) == heaviest { 1.0 } else { -1.0 }).collect())
}

fn bound(r: &mut Record) -> Result<()> {
    let unit = Experts::new(EXPERTS, 2000, 1.0)?;
    let lr = unit.tuned_lr();
    let game = play(7, 2000, 1.0, lr)?;
    let small = game.standing(lr)?.regret;
    r.printed("regret on signs, G = 1", small, "78.122179");
    r.printed("bound, G = 1", unit.tuned_bound(), "95.9705");
    r.claim("random signs, G = 1", small <= unit.tuned_bound());
    let hundred = Experts::new(EXPERTS, 2000, 100.0)?;
    let large = regret(7, 2000, 100.0, hundred.tuned_lr())?;
    r.printed("regret on signs, G = 100", large, "7812.217941");
    r.printed("bound, G = 100", hundred.tuned_bound(), "9597.1");
    r.near("regret at G = 100 by that at G = 1", large / small, 100.0, 1e-10);
    r.claim("random signs, G = 100", large <= hundred.tuned_bound());
    let adaptive = Game::against(&mut expert(lr)?, &START, 2000, against_the_heaviest)?;
    let adaptive = adaptive.standing(lr)?;
    r.printed("regret against an adversary who charges the heaviest", adaptive.regret, "17.492990");
    r.claim("adaptive adversary", adaptive.regret <= adaptive.bound);
    let (curve, so_far) = (game.expert_regret_curve(), |t: usize| Experts::new(EXPERTS, t, 1.0));
    let limits = (1..=2000).map(|t| Ok(so_far(t)?.bound(lr))).collect::<Result<Vec<f64>>>()?;
    r.claim("after every round", curve.iter().zip(&limits).all(|(regret, limit)| regret <= limit));
    r.figure(
        Figure::new(
            "regret-bound",
            "Regret of exponentiated gradient with ten experts and random signs",
            Axis::linear("round"),
            Axis::linear("regret to the best expert so far"),
        )
        .line("regret", numbered(curve))
        .bound("ln d/η + η·t·G²/2", numbered(limits)),
    );
    Ok(())
}

/// What the right-hand side of eq. 24 has more than the left-hand side after a step from (0.9, 0.1), for the
/// square of a norm. It does not depend on θ*.
fn gap(g: [f64; 2], lr: f64, square: f64) -> Result<f64> {
    let start = [0.9, 0.1];
    let mut walk = Walk::new(descent(lr)?.over(Simplex::default()), &start)?;
    walk.step(&g)?;
    let to = [0.5, 0.5];
    let moved = online::kullback_leibler(&to, &start)? - online::kullback_leibler(&to, &walk.x)?;
    let suffered: f64 = (0..2).map(|i| g[i] * (start[i] - to[i])).sum();
    Ok(moved / lr + 0.5 * lr * square - suffered)
}

fn norm(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "regret-norm",
        "Right less left of eq. 24 after a step from (0.9, 0.1): where it is negative the inequality fails",
        Axis::linear("learning rate η"),
        Axis::linear("gap"),
    );
    let both_signs = [1.0 / 9.0, -1.0];
    let games: [(&str, [f64; 2]); 2] =
        [("losses of both signs", both_signs), ("losses not negative", [0.0, 1.0])];
    for (name, g) in games {
        let local = 0.9 * g[0] * g[0] + 0.1 * g[1] * g[1];
        let largest = f64::max(g[0].abs(), g[1].abs()).powi(2);
        for (norm, square) in [("norm dual to ∇²ψ", local), ("largest |gᵢ|", largest)] {
            let gaps = (1..=20).map(|k| 0.05 * f64::from(k));
            let gaps = gaps.map(|lr| Ok((lr, gap(g, lr, square)?))).collect::<Result<Vec<_>>>()?;
            r.note(&format!("gap of the inequality, {name}, {norm}"), gaps[9].1);
            // At a small rate both sides meet: what rounding leaves there is no failure.
            r.claim(&format!("{name}, {norm}"), gaps.iter().all(|(_, gap)| *gap > -1e-12));
            figure = figure.line(&format!("{name}, {norm}"), gaps);
        }
    }
    r.figure(figure.bound("equality", [(0.05, 0.0), (1.0, 0.0)]));
    Ok(())
}

fn source_rate(r: &mut Record) -> Result<()> {
    let log = (EXPERTS as f64).ln();
    let cases = [
        (1.0, "78.122179", "95.9705"),
        (4.0, "331.757", "191.94"),
        (100.0, "9881.180986", "959.7052"),
    ];
    let suffer = |limit: f64| regret(7, 2000, limit, (2.0 * log / (limit * 2000.0)).sqrt());
    let bound = |limit: f64| (2.0 * limit * 2000.0 * log).sqrt();
    for (limit, suffered, promised) in cases {
        let got = suffer(limit)?;
        r.printed(&format!("regret with the source's rate, G = {limit}"), got, suffered);
        r.printed(&format!("the source's bound, G = {limit}"), bound(limit), promised);
        r.claim(&format!("G = {limit}"), got <= bound(limit));
    }
    let (mut source, mut tuned, mut bounds) = (vec![], vec![], [vec![], vec![]]);
    for limit in [1.0, 2.0, 4.0, 10.0, 20.0, 40.0, 100.0] {
        let setting = Experts::new(EXPERTS, 2000, limit)?;
        source.push((limit, suffer(limit)?));
        tuned.push((limit, regret(7, 2000, limit, setting.tuned_lr())?));
        bounds[0].push((limit, bound(limit)));
        bounds[1].push((limit, setting.tuned_bound()));
    }
    let [promised, correct] = bounds;
    r.figure(
        Figure::new(
            "regret-source-rate",
            "Regret after 2000 rounds of random signs times G: the source's bound grows too slowly",
            Axis::log("size of the charges G"),
            Axis::log("regret"),
        )
        .bound("source's bound √(2·G·T·ln d)", promised)
        .bound("bound G·√(2·T·ln d)", correct)
        .points("source's rate √(2 ln d/(G·T))", source)
        .points("rate √(2 ln d/T)/G", tuned),
    );
    Ok(())
}

fn growth(r: &mut Record) -> Result<()> {
    let wanted = ["24.663", "34.079", "48.795", "69.481", "98.064"];
    let (mut points, mut bounds) = (vec![], vec![]);
    for (rounds, want) in [250, 500, 1000, 2000, 4000].into_iter().zip(wanted) {
        let setting = Experts::new(EXPERTS, rounds, 1.0)?;
        let lr = setting.tuned_lr();
        let regrets =
            (1000..1020).map(|seed| regret(seed, rounds, 1.0, lr)).collect::<Result<Vec<_>>>()?;
        let mean = super::walk::mean(&regrets);
        r.printed(&format!("mean regret of 20 games of {rounds} rounds"), mean, want);
        points.push((rounds as f64, mean));
        bounds.push((rounds as f64, setting.tuned_bound()));
    }
    let slope = log_slope(&points);
    r.near("slope of ln regret on ln T", slope, 0.501, 0.02);
    r.claim("250 to 4000 rounds", (slope - 0.5).abs() <= 0.02);
    r.figure(
        Figure::new(
            "regret-growth",
            "Mean regret of twenty games against their length",
            Axis::log("rounds T"),
            Axis::log("regret"),
        )
        .line("measured", points)
        .bound("G·√(2·T·ln d)", bounds),
    );
    Ok(())
}
