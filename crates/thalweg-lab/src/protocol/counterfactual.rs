//! What would have come of runs if they had gone on in another way (counterfactual probes): from one point
//! of each, the step of every optimizer, and the rest of the run under it.

use std::sync::Arc;

use serde::Serialize;

use super::in_parallel;
use super::stats::bootstrap::Interval;
use super::stats::mean;
use super::stats::multiple::holm;
use super::stats::runs::{Against, Runs, Yardstick, is_worse};
use super::stats::scale::Scale;
use super::training::{
    Branch, MULTIPLES, Memory, OneStep, Run, RunSpec, Turn, Way, branches, is_late,
};
use crate::tasks::Workload;
use crate::{Error, Result};

/// The answer for all seeds of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Counterfactual {
    /// The task.
    pub task: &'static str,
    /// The optimizer that led the runs to the point.
    pub optimizer: &'static str,
    /// The hyper-parameters it had.
    pub hypers: Vec<(&'static str, f64)>,
    /// The seeds of the runs.
    pub seeds: Vec<u64>,
    /// Gradient evaluations before the point.
    pub at: usize,
    /// Gradient evaluations of a whole run.
    pub budget: usize,
    /// The mean loss of the next batch at the point, over the seeds.
    pub batch_loss: f64,
    /// The mean validation loss at the point, on the [scale](Self::scale).
    pub validation_loss: f64,
    /// The arithmetic mean of the same, from which a step [changes](Fan::validation_change) it.
    pub validation_mean: f64,
    /// On which scale test losses are averaged and compared.
    pub scale: Scale,
    /// The lengths, in steps, at which losses along a step are given.
    pub multiples: [f64; MULTIPLES.len()],
    /// The ways of going on: as it was first, then the lowest typical test loss first.
    pub alternatives: Vec<Alternative>,
}

/// One way of going on, over all seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Alternative {
    /// The optimizer that goes on.
    pub optimizer: &'static str,
    /// Its hyper-parameters; those not named keep their defaults.
    pub hypers: Vec<(&'static str, f64)>,
    /// How it comes to the point.
    pub memory: Memory,
    /// Its first step; `None` if that was refused on some seed.
    pub step: Option<Fan>,
    /// The test loss of each seed, infinite if it diverged: at the lowest validation loss from the point on,
    /// or on a noisy task the mean over the last tenth of the run.
    pub test_losses: Vec<f64>,
    /// The typical one, as [`scale`](Counterfactual::scale) averages.
    pub test_loss: f64,
    /// Whether this way and the run as it was both solve the task on every seed, and are compared by the gradient
    /// evaluations that takes.
    pub in_gradients: bool,
    /// How far that is from the run as it was, paired by seed: a difference, or where losses are compared by
    /// ratios how many times as much is left above the smallest loss, or how many more gradient evaluations it takes.
    pub difference: f64,
    /// Its 95 % bootstrap interval.
    pub interval: Option<Interval>,
    /// Two-sided paired t test against the run as it was, adjusted for the number of alternatives (Holm).
    pub p_adjusted: f64,
    /// Whether that is below 0.05.
    pub distinguishable: bool,
    /// Gradient evaluations and mean validation loss from the point on (on the scale), as far as every seed
    /// came.
    pub curve: Vec<(usize, f64)>,
}

/// The first step of an alternative, means over the seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Fan {
    /// The Euclidean length of the step.
    pub length: f64,
    /// The cosine between the step and the negative gradient of its batch.
    pub cosine_descent: f64,
    /// The cosine between the step and that of the run as it was.
    pub cosine_kept: f64,
    /// By how much the loss of its batch changes with so many times the step, per entry of
    /// [`multiples`](Counterfactual::multiples).
    pub batch_change: Vec<f64>,
    /// The same of the validation loss.
    pub validation_change: Vec<f64>,
}

impl Alternative {
    /// What to call it.
    pub fn name(&self) -> String {
        match self.memory {
            Memory::Kept => format!("{} as it was", self.optimizer),
            Memory::Watched => format!("{} that watched", self.optimizer),
            Memory::Empty => format!("{} with empty state", self.optimizer),
        }
    }
}

impl Counterfactual {
    /// What came of it in a sentence.
    pub fn sentence(&self) -> String {
        let others = self.alternatives.iter().skip(1);
        let apart = others.clone().filter(|a| a.distinguishable);
        let (worse, better): (Vec<&Alternative>, Vec<_>) = apart.partition(|a| self.is_worse(a));
        let alike = others.len() - worse.len() - better.len();
        let seeds = self.seeds.len();
        let told = match (seeds, better.len(), worse.len()) {
            (1, ..) => "one seed cannot tell any other way of going on from chance".to_owned(),
            (_, 0, 0) => {
                format!(
                    "none of {} other ways of going on makes a difference that {seeds} seeds can tell",
                    others.len()
                )
            }
            (_, better, worse) => format!(
                "of {} other ways of going on {better} end better than the run as it was, {worse} worse, and \
                 {alike} cannot be told from it with {seeds} seeds",
                others.len()
            ),
        };
        format!(
            "After {} of {} gradient evaluations of {} on {}, {told}.",
            self.at, self.budget, self.optimizer, self.task,
        )
    }

    /// Whether the runs end worse this way than as they were, sure or not.
    pub fn is_worse(&self, alternative: &Alternative) -> bool {
        is_worse(alternative.difference, alternative.in_gradients, self.scale)
    }

    /// The change of the batch's loss with the step as it is.
    pub fn change(&self, fan: &Fan) -> f64 {
        MULTIPLES.iter().zip(&fan.batch_change).find(|(m, _)| **m == 1.0).map_or(f64::NAN, |c| *c.1)
    }

    /// Of the lengths tried, that with the lowest loss of the batch, and the change there.
    pub fn best(&self, fan: &Fan) -> Option<(f64, f64)> {
        let all = self.multiples.iter().zip(&fan.batch_change).map(|(m, change)| (*m, *change));
        all.filter(|(_, change)| !change.is_nan()).min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Branches each of the runs `specs`, which differ in their seeds only, after `at` gradient evaluations;
/// `workers` of them at once.
///
/// # Errors
/// If one of the runs diverges before that point, or is judged by what came before it as well, or the computation
/// fails.
pub fn counterfactual(
    specs: &[RunSpec],
    workload: &Arc<dyn Workload>,
    at: usize,
    others: &[Way],
    workers: usize,
) -> Result<Option<Counterfactual>> {
    let Some(first) = specs.first() else { return Ok(None) };
    if first.task.noisy && is_late(at, first.budget) {
        return Err(Error::usage(
            format!(
                "after {at} of {} gradient evaluations the last tenth has begun, by all of which runs on {} are judged",
                first.budget, first.task.name
            ),
            "give --at at most 0.9",
        ));
    }
    let all = in_parallel(workers, specs.to_vec(), |spec| branches(spec, workload, at, others))?;
    let (turns, all): (Vec<Turn>, Vec<Vec<Branch>>) = all.into_iter().unzip();
    let over = |f: fn(&Turn) -> f64| mean(&turns.iter().map(f).collect::<Vec<_>>());
    let results = |branches: &[&Branch]| -> Runs {
        let of = |run: &Run| {
            let loss = run.test.map_or(f64::INFINITY, |t| t.loss);
            [loss, run.best.map_or(f64::INFINITY, |point| point.step as f64)]
        };
        branches.iter().map(|b| of(&b.run)).collect()
    };
    let tested = all.iter().flatten().filter_map(|b| b.run.test).map(|t| t.loss);
    let scale = Scale::of(workload.optimum(), tested);
    // What one seed lacks, because an optimizer that watched refused a step, no mean can have.
    let of = |like: &Branch| -> Option<Vec<&Branch>> {
        let same = |b: &&Branch| {
            b.memory == like.memory
                && (b.run.spec.optimizer, &b.run.spec.hypers)
                    == (like.run.spec.optimizer, &like.run.spec.hypers)
        };
        all.iter().map(|branches| branches.iter().find(same)).collect()
    };
    let groups: Vec<Vec<&Branch>> = all[0].iter().filter_map(of).collect();
    let kept = results(&groups[0]);
    let mut alternatives: Vec<Alternative> =
        groups.iter().map(|g| alternative(g, &turns, scale, &kept, results(g))).collect();
    let tests: Vec<f64> = alternatives[1..].iter().map(|a| a.p_adjusted).collect();
    for (alternative, p) in alternatives[1..].iter_mut().zip(holm(&tests)) {
        (alternative.p_adjusted, alternative.distinguishable) = (p, p < 0.05);
    }
    alternatives[1..].sort_by(|a, b| a.test_loss.total_cmp(&b.test_loss));
    let before: Vec<f64> = turns.iter().map(|t| t.point.validation.loss).collect();
    Ok(Some(Counterfactual {
        task: first.task.name,
        optimizer: first.optimizer,
        hypers: first.hypers.clone(),
        seeds: specs.iter().map(|s| s.seed).collect(),
        at: turns[0].gradients,
        budget: first.budget,
        batch_loss: over(|t| t.batch_loss),
        validation_loss: scale.typical(&before),
        validation_mean: mean(&before),
        scale,
        multiples: MULTIPLES,
        alternatives,
    }))
}

fn alternative(
    branches: &[&Branch],
    turns: &[Turn],
    scale: Scale,
    kept: &Runs,
    results: Runs,
) -> Alternative {
    let spec = &branches[0].run.spec;
    let by = Yardstick { scale, floor: spec.task.floor, every: spec.every() as f64 };
    let Against { in_gradients, distance, p } = results.against(kept, by);
    let steps: Option<Vec<&OneStep>> = branches.iter().map(|b| b.step.as_ref()).collect();
    Alternative {
        optimizer: spec.optimizer,
        hypers: spec.hypers.clone(),
        memory: branches[0].memory,
        step: steps.map(|steps| fan(&steps, turns)),
        test_loss: scale.typical(&results.losses),
        in_gradients,
        difference: distance.mean.mean,
        interval: distance.interval,
        p_adjusted: p,
        distinguishable: false,
        curve: curve(branches, scale),
        test_losses: results.losses,
    }
}

fn fan(steps: &[&OneStep], turns: &[Turn]) -> Fan {
    let over = |f: &dyn Fn(&OneStep) -> f64| mean(&steps.iter().map(|s| f(s)).collect::<Vec<_>>());
    let change = |losses: &dyn Fn(&OneStep) -> &[f64], before: &dyn Fn(&Turn) -> f64| {
        let at = |i: usize| {
            let pairs = steps.iter().zip(turns);
            mean(&pairs.map(|(s, turn)| losses(s)[i] - before(turn)).collect::<Vec<_>>())
        };
        (0..MULTIPLES.len()).map(at).collect()
    };
    Fan {
        length: over(&|s| s.length),
        cosine_descent: over(&|s| s.cosine_descent),
        cosine_kept: over(&|s| s.cosine_kept),
        batch_change: change(&|s| &s.batch_loss, &|turn| turn.batch_loss),
        validation_change: change(&|s| &s.validation_loss, &|turn| turn.point.validation.loss),
    }
}

/// Means, on the scale on which losses are compared, end where the first seed diverges.
fn curve(branches: &[&Branch], scale: Scale) -> Vec<(usize, f64)> {
    let shortest = branches.iter().map(|b| b.run.points.len()).min().unwrap_or(0);
    let at = |i: usize| {
        let losses: Vec<f64> = branches.iter().map(|b| b.run.points[i].validation.loss).collect();
        (branches[0].run.points[i].step, scale.typical(&losses))
    };
    (0..shortest).map(at).take_while(|(_, loss)| loss.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{optimizers, tasks};

    fn answer(at: usize, workers: usize) -> Counterfactual {
        let task = tasks::select(&["digits-softmax".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["adam".to_owned()]).unwrap()[0];
        let spec = |seed| RunSpec::new(task, entry, vec![("lr", 0.01)], seed, 80);
        let specs: Vec<RunSpec> = (1..=3).map(spec).collect();
        let others = [
            Way { optimizer: "gd", hypers: vec![("lr", 0.3)] },
            Way { optimizer: "gd", hypers: vec![("lr", 1e-3)] },
        ];
        let workload = (task.open)(task).unwrap();
        counterfactual(&specs, &workload, at, &others, workers).unwrap().unwrap()
    }

    #[test]
    fn a_change_that_matters_is_told_from_the_run_as_it_was() {
        let found = answer(20, 2);
        assert_eq!(found.alternatives.len(), 6);
        let kept = &found.alternatives[0];
        assert_eq!((kept.memory, kept.difference, kept.p_adjusted), (Memory::Kept, 0.0, 1.0));
        assert_eq!(kept.curve[0], (20, found.validation_loss));
        let still = found.alternatives.last().unwrap();
        // A rate at which little moves ends near where it began, and that is worse on every seed.
        assert!(still.hypers == [("lr", 1e-3)] && still.distinguishable && still.difference > 0.0);
        let end = still.curve.last().unwrap().1;
        assert!(end < found.validation_loss && end > 0.9 * found.validation_loss, "{end}");
        let fan = still.step.as_ref().unwrap();
        assert!((fan.cosine_descent - 1.0).abs() < 1e-6);
        let (best, change) = found.best(fan).unwrap();
        assert!(best == 100.0 && change < found.change(fan) && found.change(fan) < 0.0);
        let order: Vec<f64> = found.alternatives[1..].iter().map(|a| a.test_loss).collect();
        assert!(order.is_sorted());
    }

    #[test]
    fn the_answer_does_not_depend_on_the_number_of_workers() {
        let [a, b] = [1, 3].map(|n| serde_json::to_string(&answer(40, n)).unwrap());
        assert_eq!(a, b);
    }

    #[test]
    fn ways_that_solve_the_task_differ_by_how_soon() {
        let task = tasks::select(&["bowl@4".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["gd".to_owned()]).unwrap()[0];
        let spec = |seed| RunSpec::new(task, entry, vec![("lr", 0.1)], seed, 500);
        let workload = (task.open)(task).unwrap();
        let others = [Way { optimizer: "gd", hypers: vec![("lr", 0.35)] }];
        let specs = [1, 2, 3].map(spec);
        let found = counterfactual(&specs, &workload, 20, &others, 2).unwrap().unwrap();
        assert_eq!(Some(found.alternatives[0].test_loss), task.floor);
        for faster in &found.alternatives[2..] {
            assert!(faster.in_gradients && faster.difference < 0.0, "{faster:?}");
            assert!(faster.distinguishable && !found.is_worse(faster));
        }
    }

    #[test]
    fn a_noisy_run_does_not_branch_in_what_it_is_judged_by() {
        let task = tasks::select(&["noisy-quadratic".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["adam".to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 0.01)], 1, 100);
        let workload = (task.open)(task).unwrap();
        let at = |at| counterfactual(std::slice::from_ref(&spec), &workload, at, &[], 1);
        let whole = crate::protocol::train(&spec, &workload, crate::protocol::Phase::Final);
        let kept = at(90).unwrap().unwrap().alternatives.remove(0);
        assert_eq!(kept.test_losses, [whole.unwrap().test.unwrap().loss]);
        let error = at(91).unwrap_err().to_string();
        assert!(error.contains("the last tenth has begun"), "{error}");
    }

    #[test]
    fn no_runs_no_answer() {
        let task = tasks::select(&["digits-softmax".to_owned()], None).unwrap()[0];
        let workload = (task.open)(task).unwrap();
        assert!(counterfactual(&[], &workload, 10, &[], 1).unwrap().is_none());
    }
}
