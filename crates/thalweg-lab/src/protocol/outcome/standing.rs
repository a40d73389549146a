//! How one optimizer did on one task.

use super::types::{Band, CurvePoint, Repeat, SeedResult, Standing, Trial};
use crate::diagnosis::{self, Courses, Finding, Probe};
use crate::optimizers;
use crate::protocol::Phase;
use crate::protocol::search::{Contest, Record, edges};
use crate::protocol::stats::basin::{Basin, basin};
use crate::protocol::stats::order::{BestOf, tunability};
use crate::protocol::stats::scale::Scale;
use crate::protocol::stats::{Estimate, mean, median};
use crate::protocol::training::{Point, Run};
use crate::tasks::Task;

/// The standing but for what depends on the other optimizers.
pub(super) fn standing(contest: &Contest, initial_loss: f64, scale: Scale) -> Standing {
    let (task, entry) = (contest.task, &contest.entry);
    let finals: Vec<&Run> = contest.of(Phase::Final).map(|r| &r.run).collect();
    let trials = contest.trials();
    let chosen = contest.chosen();
    let seeds: Vec<SeedResult> = finals.iter().map(|r| seed_result(r)).collect();
    let of = |f: &dyn Fn(&SeedResult) -> f64| seeds.iter().map(f).collect::<Vec<_>>();
    let (test_loss, test_factor) = scale.estimate(&of(&|s| s.test_loss));
    let cost = entry.gradients_per_step;
    let per_step = |f: fn(&Run) -> f64| {
        let stepped = finals.iter().filter(|r| r.gradients >= cost);
        let each: Vec<f64> = stepped.map(|r| 1e6 * f(r) / (r.gradients / cost) as f64).collect();
        if each.is_empty() { 0.0 } else { median(&each) }
    };
    let all = || contest.records.iter().map(|r| &r.run);
    let diverged = |r: &&&Record| r.run.divergence.is_some();
    Standing {
        optimizer: entry.name,
        summary: entry.summary,
        gradients_per_step: cost,
        rank: 0,
        declared: contest.entry.tune.clone(),
        ranges: contest.ranges.clone(),
        extensions: contest.extensions.clone(),
        edges: chosen.map(|best| edges(best, &trials)).unwrap_or_default(),
        fixed: optimizers::fixed(entry, task),
        chosen: chosen.map(|best| best.run.spec.hypers.clone()).unwrap_or_default(),
        chosen_trial: chosen.map_or(0, |best| best.trial),
        repeats: repeats(contest),
        default_loss: contest.of(Phase::Default).next().map(|r| r.run.validation_loss()),
        tunability: curve_of_trials(contest, initial_loss),
        basin: learning_rates(&trials, chosen, initial_loss),
        to_target: Vec::new(),
        test_loss,
        test_factor,
        test_metric: task
            .metric
            .map(|metric| Estimate::of(&of(&|s| s.test_metric.unwrap_or(metric.worst())))),
        behind_first: Estimate::of(&[]),
        behind_factor: None,
        behind_interval: None,
        p_best: 1.0,
        may_be_best: false,
        p_soonest: None,
        curve: curve(&finals, task, cost, scale),
        findings: findings(&finals, &trials),
        courses: Courses::of(&finals.iter().map(|run| &run.probes[..]).collect::<Vec<&[Probe]>>()),
        diverged_trials: trials.iter().filter(diverged).count(),
        diverged_seeds: finals.iter().filter(|r| r.divergence.is_some()).count(),
        diverged_runs: all().filter(|r| r.divergence.is_some()).count(),
        runs: contest.records.len(),
        gradients_spent: all().map(|r| r.gradients).sum(),
        seconds_spent: all().map(|r| r.gradient_seconds + r.optimizer_seconds).sum(),
        step_microseconds: per_step(|r| r.optimizer_seconds),
        gradient_microseconds: per_step(|r| r.gradient_seconds),
        trials: trials.iter().map(|r| trial(r)).collect(),
        seeds,
    }
}

fn findings(finals: &[&Run], trials: &[&Record]) -> Vec<Finding> {
    let seeds: Vec<&[Finding]> = finals.iter().map(|run| &run.findings[..]).collect();
    let hypers = finals.first().map_or(&[][..], |run| &run.spec.hypers);
    let tried = trials.iter().map(|r| (&r.run.spec.hypers[..], r.run.validation_loss()));
    diagnosis::findings_of(&seeds, hypers, tried)
}

fn trial(record: &Record) -> Trial {
    Trial {
        number: record.trial,
        phase: record.phase,
        hypers: record.run.spec.hypers.clone(),
        validation_loss: record.run.validation_loss(),
        divergence: record.run.divergence.clone(),
    }
}

fn repeats(contest: &Contest) -> Vec<Repeat> {
    let best = contest.best(usize::MAX).into_iter().map(|r| (r.trial, contest.repeated(r.trial)));
    best.filter(|(_, losses)| !losses.is_empty())
        .map(|(trial, losses)| Repeat { trial, median: median(&losses), losses })
        .collect()
}

fn curve_of_trials(contest: &Contest, initial_loss: f64) -> Vec<BestOf> {
    let losses: Vec<f64> =
        contest.of(Phase::Screening).map(|r| r.run.validation_loss().min(initial_loss)).collect();
    if losses.iter().any(|l| !l.is_finite()) { Vec::new() } else { tunability(&losses) }
}

fn learning_rates(trials: &[&Record], chosen: Option<&Record>, initial_loss: f64) -> Option<Basin> {
    let of = |r: &&Record| Some((r.run.spec.lr()?, r.run.validation_loss()));
    let all: Vec<(f64, f64)> = trials.iter().filter_map(of).collect();
    basin(&all, initial_loss, chosen.as_ref().and_then(of))
}

fn seed_result(run: &Run) -> SeedResult {
    let metric = run.spec.task.metric;
    SeedResult {
        seed: run.spec.seed,
        best_step: run.best.map_or(0, |p| p.step),
        validation_loss: run.validation_loss(),
        test_loss: run.test.map_or(f64::INFINITY, |t| t.loss),
        test_metric: metric
            .map(|metric| run.test.and_then(|t| t.metric).unwrap_or_else(|| metric.worst())),
        divergence: run.divergence.clone(),
        points: run.points.clone(),
        trajectory: run.trajectory.clone(),
        stride: run.stride,
    }
}

/// How many points of a run have a loss that can be averaged: those before it diverged.
fn lasts(run: &&Run) -> usize {
    run.points.iter().take_while(|p| p.validation.loss.is_finite()).count()
}

/// The means end where the first run diverges: what the others did later is not what the optimizer does.
fn curve(finals: &[&Run], task: &Task, cost: usize, scale: Scale) -> Vec<CurvePoint> {
    let Some(shortest) = finals.iter().min_by_key(|r| lasts(r)) else { return Vec::new() };
    let share = task.metric.is_some_and(|m| m.higher_is_better && m.percent);
    let band = |values: &[f64]| (!values.is_empty()).then(|| Band::of(values, Scale::Plain));
    shortest
        .points
        .iter()
        .enumerate()
        .take(lasts(shortest))
        .map(|(i, point)| {
            let points: Vec<&Point> = finals.iter().map(|r| &r.points[i]).collect();
            let over = |f: fn(&Point) -> f64| points.iter().map(|p| f(p)).collect::<Vec<_>>();
            let train: Vec<f64> = points.iter().filter_map(|p| p.train_loss).collect();
            let metrics: Vec<f64> = points.iter().filter_map(|p| p.validation.metric).collect();
            let errors: Vec<f64> = metrics.iter().filter(|_| share).map(|m| 1.0 - m).collect();
            CurvePoint {
                step: point.step / cost,
                gradients: point.step,
                samples: point.step / cost * task.batch,
                seconds: mean(&over(|p| p.seconds)),
                train_loss: band(&train),
                validation_loss: Band::of(&over(|p| p.validation.loss), scale),
                validation_metric: band(&metrics),
                validation_error: band(&errors),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Divergence, RunSpec, train};
    use crate::tasks;

    #[test]
    fn means_end_where_the_first_seed_diverges() {
        let task: &'static Task = tasks::select(&["digits-softmax".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["adam".to_owned()]).unwrap()[0];
        let run = |seed| {
            let spec = RunSpec::new(task, entry, vec![("lr", 0.01)], seed, 40);
            train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap()
        };
        let (whole, mut half) = (run(1), run(2));
        assert_eq!(curve(&[&whole, &half], task, 1, Scale::Plain).len(), 41);
        half.points.truncate(20);
        half.points[19].validation.loss = f64::INFINITY;
        half.divergence = Some(Divergence { step: 19, reason: String::new() });
        let means = curve(&[&whole, &half], task, 1, Scale::Plain);
        assert_eq!(means.len(), 19);
        let losses = [&whole, &half].map(|r| r.points[18].validation.loss);
        assert_eq!(means[18].validation_loss.mean, mean(&losses));
    }
}
