//! Optimizers against each other: pairs, letters, flips, targets.

use super::types::{Flip, Leader, Level, Pair, SeedResult, Standing, Target, ToTarget};
use crate::protocol::stats::bootstrap::mean_interval;
use crate::protocol::stats::multiple::{holm, letters, may_be_best};
use crate::protocol::stats::{Estimate, above_zero, mean, median, paired_p, quantile};
use crate::protocol::training::Point;

/// The probability below which a corrected difference counts as one.
const SIGNIFICANT: f64 = 0.05;

fn losses(standing: &Standing) -> Vec<f64> {
    standing.seeds.iter().map(|r| r.test_loss).collect()
}

/// Test losses of two optimizers on the seeds that both have run.
fn shared(a: &Standing, b: &Standing) -> (Vec<f64>, Vec<f64>) {
    let other = |seed| b.seeds.iter().find(|s| s.seed == seed);
    let both = a.seeds.iter().filter_map(|s| Some((s.test_loss, other(s.seed)?.test_loss)));
    both.unzip()
}

/// All pairs, corrected together: for the letters, which answer every question about two optimizers.
pub(super) fn pairs(ranked: &[Standing]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (i, a) in ranked.iter().enumerate() {
        for b in &ranked[i + 1..] {
            let (of_a, of_b) = shared(a, b);
            let differences: Vec<f64> = of_b.iter().zip(&of_a).map(|(b, a)| b - a).collect();
            pairs.push(Pair {
                a: a.optimizer,
                b: b.optimizer,
                difference: Estimate::of(&differences),
                interval: mean_interval(&differences),
                p: paired_p(&of_b, &of_a),
                p_adjusted: 1.0,
                distinguishable: false,
            });
        }
    }
    let adjusted = holm(&pairs.iter().map(|p| p.p).collect::<Vec<_>>());
    for (pair, p) in pairs.iter_mut().zip(adjusted) {
        pair.p_adjusted = p;
        pair.distinguishable = p < SIGNIFICANT;
    }
    pairs
}

/// Writes ranks, letters, distances to the first and who may be the best into the standings.
pub(super) fn place(ranked: &mut [Standing], pairs: &[Pair]) {
    let n = ranked.len();
    // Pairs come row by row: those of item i start after the n-1 + n-2 + ... of the rows before.
    let pair = |i: usize, j: usize| &pairs[i * (2 * n - i - 1) / 2 + j - i - 1];
    let letters = letters(n, |i, j| pair(i, j).distinguishable);
    let worse = |i: usize, j: usize| match i < j {
        // A difference is the loss of the later one minus that of the earlier one.
        true => above_zero(pair(i, j).p, -pair(i, j).difference.mean),
        false => above_zero(pair(j, i).p, pair(j, i).difference.mean),
    };
    let p_best = may_be_best(n, worse);
    let first = ranked.first().map(losses).unwrap_or_default();
    let best_is_finite = mean(&first).is_finite();
    for (i, (standing, letters)) in ranked.iter_mut().zip(letters).enumerate() {
        standing.rank = i + 1;
        standing.letters = letters;
        standing.behind_first = Estimate::of_differences(&losses(standing), &first);
        standing.behind_interval = if i == 0 { None } else { pair(0, i).interval };
        standing.p_best = p_best[i];
        // Who has been seen to diverge has no finite mean, however few the seeds.
        let out = best_is_finite && standing.test_loss.mean.is_infinite();
        standing.may_be_best = standing.p_best >= SIGNIFICANT && !out;
    }
}

/// The targets that follow from the optimizers' repetitions; see [`Target::loss`].
pub(super) fn targets(standings: &[Standing]) -> Vec<Target> {
    let chosen = |s: &Standing| match s.repeats.iter().find(|r| r.trial == s.chosen_trial) {
        Some(repeat) => Some(repeat.median),
        // Nothing was repeated: what selection saw, or else the defaults.
        None => s
            .trials
            .iter()
            .find(|t| t.number == s.chosen_trial)
            .map(|t| t.validation_loss)
            .or(s.default_loss),
    };
    let mut medians: Vec<f64> =
        standings.iter().filter_map(chosen).filter(|m| m.is_finite()).collect();
    medians.sort_by(f64::total_cmp);
    if medians.is_empty() {
        return Vec::new();
    }
    [(Level::Easy, 0.75), (Level::Medium, 0.5), (Level::Hard, 0.0)]
        .map(|(level, q)| Target { level, loss: quantile(&medians, q) })
        .to_vec()
}

/// When the final runs reached the targets.
pub(super) fn to_target(seeds: &[SeedResult], targets: &[Target]) -> Vec<ToTarget> {
    let of = |target: &Target| {
        let reached = |seed: &SeedResult| -> Option<Point> {
            seed.points.iter().find(|p| p.validation.loss <= target.loss).copied()
        };
        let at: Vec<Option<Point>> = seeds.iter().map(reached).collect();
        let median_of = |f: fn(&Point) -> f64| {
            let times = at.iter().map(|p| p.as_ref().map_or(f64::INFINITY, f));
            Some(median(&times.collect::<Vec<_>>())).filter(|m| m.is_finite())
        };
        ToTarget {
            level: target.level,
            loss: target.loss,
            gradients: at.iter().map(|p| p.map(|p| p.step)).collect(),
            seconds: at.iter().map(|p| p.map(|p| p.seconds)).collect(),
            reached: at.iter().flatten().count(),
            median_gradients: median_of(|p| p.step as f64),
            median_seconds: median_of(|p| p.seconds),
        }
    };
    targets.iter().map(of).collect()
}

/// The lowest validation loss so far, averaged over the seeds, at each measurement that every seed has:
/// `(step, loss)`.
fn best_so_far(standing: &Standing) -> Vec<(usize, f64)> {
    let length = standing.seeds.iter().map(|s| s.points.len()).min().unwrap_or(0);
    let mut best = vec![f64::INFINITY; standing.seeds.len()];
    (0..length)
        .map(|i| {
            for (best, seed) in best.iter_mut().zip(&standing.seeds) {
                *best = best.min(seed.points[i].validation.loss);
            }
            (standing.seeds[0].points[i].step, mean(&best))
        })
        .collect()
}

/// Pairs told apart at the end whose loser was ahead at some point after the start.
pub(super) fn flips(ranked: &[Standing], pairs: &[Pair]) -> Vec<Flip> {
    let curves: Vec<_> = ranked.iter().map(|s| (s.optimizer, best_so_far(s))).collect();
    let curve = |name| curves.iter().find(|(n, _)| *n == name).map(|(_, curve)| curve);
    let mut flips = Vec::new();
    for pair in pairs.iter().filter(|p| p.distinguishable) {
        let (Some(a), Some(b)) = (curve(pair.a), curve(pair.b)) else { continue };
        let ahead = a.iter().zip(b).rfind(|(a, b)| b.1 < a.1);
        // Losing on the test set while ahead on the validation set to the end is no crossing.
        let crossed = a.len() == b.len() && a.last().zip(b.last()).is_some_and(|(a, b)| a.1 < b.1);
        if let Some(((step, _), _)) = ahead.filter(|_| crossed) {
            flips.push(Flip { winner: pair.a, loser: pair.b, step: *step });
        }
    }
    flips
}

/// Who leads at each quarter of the budget.
pub(super) fn leaders(standings: &[Standing], budget: usize) -> Vec<Leader> {
    let curves: Vec<_> = standings.iter().map(|s| (s.optimizer, best_so_far(s))).collect();
    let at = |quarter: usize| {
        let limit = budget * quarter / 4;
        let last = |curve: &[(usize, f64)]| curve.iter().rfind(|p| p.0 <= limit).copied();
        let there = curves.iter().filter_map(|(name, curve)| Some((*name, last(curve)?)));
        let (optimizer, (step, loss)) = there.min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
        Some(Leader { step, optimizer, loss })
    };
    (1..=4).filter_map(at).collect()
}
