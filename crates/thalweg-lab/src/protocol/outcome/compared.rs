//! Optimizers against each other: who may be the best, flips, targets.

use super::types::{Flip, Leader, Level, Pair, SeedResult, Standing, Target, ToTarget};
use crate::protocol::stats::multiple::may_be_best;
use crate::protocol::stats::runs::{Against, Runs, Yardstick};
use crate::protocol::stats::scale::{Distance, Scale};
use crate::protocol::stats::{Estimate, above_zero, mean, median, paired_p, quantile};
use crate::protocol::training::Point;
use crate::tasks::Task;

/// The probability below which a corrected difference counts as one.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// The runs of two optimizers on the seeds that both have run.
fn shared(a: &Standing, b: &Standing) -> (Runs, Runs) {
    let other = |seed| b.seeds.iter().find(|s| s.seed == seed);
    let both: Vec<[&SeedResult; 2]> =
        a.seeds.iter().filter_map(|s| Some([s, other(s.seed)?])).collect();
    let of = |i: usize| both.iter().map(move |pair| [pair[i].test_loss, pair[i].best_step as f64]);
    (of(0).collect(), of(1).collect())
}

/// Writes ranks, distances to the first and who may be the best into the standings.
pub(super) fn place(ranked: &mut [Standing], scale: Scale) {
    let worse = |i: usize, j: usize| {
        let (a, b) = shared(&ranked[i], &ranked[j]);
        let (a, b) = (scale.places(&a.losses), scale.places(&b.losses));
        above_zero(paired_p(&a, &b), Estimate::of_differences(&a, &b).mean)
    };
    // One seed tells nothing about the next, not even that it would diverge.
    let finite = |s: &Standing| s.seeds.iter().filter(|r| r.test_loss.is_finite()).count();
    let can_tell = ranked.first().is_some_and(|s| finite(s) >= 2);
    let p_best = match can_tell {
        true => may_be_best(ranked.len(), worse),
        false => vec![1.0; ranked.len()],
    };
    let behind = |s: &Standing| {
        let (own, first) = shared(s, &ranked[0]);
        scale.distance(&first.losses, &own.losses)
    };
    let behind: Vec<Distance> = ranked.iter().map(behind).collect();
    let best_is_finite = can_tell && ranked[0].test_loss.mean.is_finite();
    for (i, (standing, behind)) in ranked.iter_mut().zip(behind).enumerate() {
        standing.rank = i + 1;
        (standing.behind_first, standing.behind_factor) = (behind.mean, behind.factor);
        standing.behind_interval = behind.interval.filter(|_| i > 0);
        standing.p_best = p_best[i];
        // Who has been seen to diverge has no finite mean, however few the seeds.
        let out = best_is_finite && standing.test_loss.mean.is_infinite();
        standing.may_be_best = standing.p_best >= SIGNIFICANT && !out;
    }
}

/// Every two of the ranked standings, the better one first; `floor` is the loss at which the task is solved.
pub(super) fn pairs(ranked: &[Standing], scale: Scale, floor: Option<f64>) -> Vec<Pair> {
    let run: Vec<&Standing> = ranked.iter().filter(|s| s.has_runs()).collect();
    let twos = run.iter().enumerate().flat_map(|(i, a)| run[i + 1..].iter().map(move |b| (*a, *b)));
    let pair = |(a, b): (&Standing, &Standing)| {
        let (own, first) = shared(b, a);
        let every = a.every().max(b.every()).unwrap_or(0) as f64;
        let by = Yardstick { scale, floor, every };
        let Against { in_gradients, distance, p } = own.against(&first, by);
        Pair {
            optimizers: [a.optimizer, b.optimizer],
            in_gradients,
            behind: distance.mean.mean,
            interval: distance.interval,
            p,
            distinguishable: p < SIGNIFICANT,
        }
    };
    twos.map(pair).collect()
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
    [(Level::Easy, 0.75), (Level::Medium, 0.5), (Level::Hard, 0.1)]
        .map(|(level, q)| Target { level, loss: quantile(&medians, q) })
        .to_vec()
}

/// What counts as having reached a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// A measurement at or below it: who stops there has that loss.
    Once,
    /// The mean over so many gradient evaluations stays at or below it until the end. On a noisy task runs
    /// count by that mean, and a single measurement may be luck.
    Held(usize),
}

impl Reached {
    /// The rule of a task.
    pub(super) fn on(task: &Task, budget: usize) -> Self {
        if task.noisy { Reached::Held(budget.div_ceil(10).max(1)) } else { Reached::Once }
    }

    /// Where a run reached it.
    fn at(self, points: &[Point], target: f64) -> Option<Point> {
        match self {
            Reached::Once => points.iter().find(|p| p.validation.loss <= target).copied(),
            Reached::Held(window) => {
                let held = |end: &usize| mean_before(&points[..=*end], window) <= target;
                // Before a whole window there is no mean that a run could count by.
                let whole = points.iter().filter(|p| p.step < window).count();
                let first = (whole..points.len()).rev().take_while(held).last()?;
                Some(points[first])
            }
        }
    }
}

/// The mean loss over the last `window` gradient evaluations, the way the [ending](crate::protocol::Run::ending) of a run is
/// averaged.
fn mean_before(points: &[Point], window: usize) -> f64 {
    let end = points.last().map_or(0, |p| p.step);
    let recent = points.iter().filter(|p| p.step + window > end);
    mean(&recent.map(|p| p.validation.loss).collect::<Vec<_>>())
}

/// When the final runs reached the targets.
pub(super) fn to_target(seeds: &[SeedResult], targets: &[Target], rule: Reached) -> Vec<ToTarget> {
    let of = |target: &Target| {
        let reached = |seed: &SeedResult| match seed.divergence.is_some() && rule != Reached::Once {
            true => None,
            false => rule.at(&seed.points, target.loss),
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

/// The lowest validation loss so far (where `noisy`, the loss itself), averaged over the seeds on the task's scale, at each measurement
/// that every seed has: `(step, loss)`.
fn best_so_far(standing: &Standing, scale: Scale, noisy: bool) -> Vec<(usize, f64)> {
    let length = standing.seeds.iter().map(|s| s.points.len()).min().unwrap_or(0);
    let mut best = vec![f64::INFINITY; standing.seeds.len()];
    (0..length)
        .map(|i| {
            for (best, seed) in best.iter_mut().zip(&standing.seeds) {
                let loss = seed.points[i].validation.loss;
                *best = if noisy { loss } else { best.min(loss) };
            }
            (standing.seeds[0].points[i].step, scale.typical(&best))
        })
        .collect()
}

/// Those that are ruled out as the best at the end but were ahead of the first at some point before.
pub(super) fn flips(ranked: &[Standing], scale: Scale, noisy: bool) -> Vec<Flip> {
    let Some(first) = ranked.first() else { return Vec::new() };
    let winner = best_so_far(first, scale, noisy);
    let flip = |loser: &Standing| {
        let curve = best_so_far(loser, scale, noisy);
        // Losing on the test set while ahead on the validation set to the end is no crossing.
        let crossed = winner.last()?.1 < curve.last()?.1;
        let ahead = |(step, loss): &&(usize, f64)| {
            winner.iter().rfind(|w| w.0 <= *step).is_some_and(|w| *loss < w.1)
        };
        let (step, _) = curve.iter().rfind(ahead).filter(|_| crossed)?;
        Some(Flip { winner: first.optimizer, loser: loser.optimizer, step: *step })
    };
    ranked.iter().filter(|s| !s.may_be_best).filter_map(flip).collect()
}

/// Who leads at each quarter of the budget, among those of whom no run has diverged by then.
pub(super) fn leaders(
    standings: &[Standing],
    budget: usize,
    scale: Scale,
    noisy: bool,
) -> Vec<Leader> {
    let curves: Vec<_> = standings.iter().map(|s| (s, best_so_far(s, scale, noisy))).collect();
    let at = |quarter: usize| {
        let limit = budget * quarter / 4;
        let lasts = |s: &Standing| {
            s.seeds.iter().filter_map(|r| r.divergence.as_ref()).all(|d| d.step > limit)
        };
        let last = |curve: &[(usize, f64)]| curve.iter().rfind(|p| p.0 <= limit).copied();
        let there = curves
            .iter()
            .filter(|(s, _)| lasts(s))
            .filter_map(|(s, curve)| Some((s.optimizer, last(curve)?)));
        let (optimizer, (step, loss)) = there.min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
        Some(Leader { step, optimizer, loss })
    };
    (1..=4).filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Measurement;

    fn run(losses: &[f64]) -> Vec<Point> {
        let point = |(i, loss): (usize, &f64)| Point {
            step: 10 * i,
            seconds: 0.0,
            train_loss: None,
            validation: Measurement { loss: *loss, metric: None },
        };
        losses.iter().enumerate().map(point).collect()
    }

    fn step(rule: Reached, losses: &[f64], target: f64) -> Option<usize> {
        rule.at(&run(losses), target).map(|p| p.step)
    }

    #[test]
    fn where_gradients_are_noisy_a_lucky_measurement_reaches_no_target() {
        let lucky = [9.0, 5.0, 0.1, 5.0, 5.0, 5.0, 5.0];
        assert_eq!(step(Reached::Once, &lucky, 1.0), Some(20));
        assert_eq!(step(Reached::Held(30), &lucky, 1.0), None);
        // Nor is it enough to have been there: what counts is the end.
        let left = [9.0, 0.5, 0.5, 0.5, 0.5, 7.0, 7.0];
        assert_eq!(step(Reached::Held(30), &left, 1.0), None);
        // Three measurements below make a mean below; one above among them does not end it.
        let held = [9.0, 0.5, 0.5, 0.5, 1.2, 0.5, 0.5];
        assert_eq!(step(Reached::Held(30), &held, 1.0), Some(30));
        // Here one measurement is all of the window.
        assert_eq!(step(Reached::Held(10), &held, 1.0), Some(50));
        assert_eq!(step(Reached::Held(10), &[0.5, 0.5, 0.5], 1.0), Some(10));
    }

    #[test]
    fn a_target_is_held_at_the_end_where_the_run_counts_as_better() {
        let window = Reached::Held(20);
        for end in [0.8, 1.0, 1.1] {
            let losses = [9.0, 3.0, 0.1, 2.0, 0.7, end];
            let counts = (0.7 + end) / 2.0;
            for target in [0.7, counts, 0.99 * counts] {
                assert_eq!(step(window, &losses, target).is_some(), counts <= target, "{end}");
            }
        }
    }
}
