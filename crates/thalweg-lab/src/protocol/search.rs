//! One optimizer on one task: which runs it gets, in which order, and what is chosen.

use std::cmp::Ordering;

use super::plan::{Plan, ROUNDS};
use super::sobol;
use super::stats::{mean, median};
use super::training::{Run, RunSpec};
use super::{Edge, Extension, Phase, Side};
use crate::optimizers::{Entry, Range, Stepper};
use crate::tasks::Task;

/// How far a range is extended at a time.
const DECADE: f64 = 10.0;

/// By how much the learning rates of a screen are lowered if every trial has diverged.
const LOWERED: f64 = 1e3;

/// A run that is to be made.
#[derive(Debug, Clone)]
pub struct Job {
    /// What the run is for.
    pub phase: Phase,
    /// The number of the configuration: 0 for the optimizer's defaults, then the trials from 1.
    pub trial: usize,
    /// What is run.
    pub spec: RunSpec,
    /// Which contest it belongs to.
    pub(super) contest: usize,
}

impl Job {
    /// A run outside any comparison.
    pub fn new(phase: Phase, trial: usize, spec: RunSpec) -> Self {
        Job { phase, trial, spec, contest: usize::MAX }
    }
}

/// A run that has been made.
#[derive(Debug, Clone)]
pub struct Record {
    /// What the run was for.
    pub phase: Phase,
    /// The number of the configuration.
    pub trial: usize,
    /// What came of it.
    pub run: Run,
}

/// One optimizer on one task, and all its runs so far.
pub(super) struct Contest {
    pub task: &'static Task,
    pub entry: Entry,
    /// What has been searched, extensions included.
    pub ranges: Vec<Range>,
    pub extensions: Vec<Extension>,
    /// How many trials there are beyond those of the plan.
    pub extra: usize,
    /// Where further trials lie that are at no edge: the ranges, or those of the last screen if it was
    /// lowered.
    inside: Vec<Range>,
    pub records: Vec<Record>,
    index: usize,
}

impl Contest {
    pub fn new(index: usize, task: &'static Task, entry: Entry) -> Self {
        let ranges = entry.tune.clone();
        Contest {
            task,
            entry,
            inside: ranges.clone(),
            ranges,
            extensions: Vec::new(),
            extra: 0,
            records: Vec::new(),
            index,
        }
    }

    /// The runs of a phase, in the order of trials and seeds.
    pub fn of(&self, phase: Phase) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.phase == phase)
    }

    /// All tuning trials on the tuning seed, the defaults left out.
    pub fn trials(&self) -> Vec<&Record> {
        let search = |r: &&Record| matches!(r.phase, Phase::Screening | Phase::Extension);
        self.records.iter().filter(search).collect()
    }

    fn job(&self, plan: &Plan, phase: Phase, trial: usize, hypers: Hypers, seed: u64) -> Job {
        let spec = RunSpec::new(self.task, &self.entry, hypers, seed, plan.budget(self.task));
        Job { phase, trial, spec, contest: self.index }
    }

    /// The defaults, and the trials at shared points of the unit cube.
    pub fn screening(&self, plan: &Plan) -> Vec<Job> {
        let count = plan.trials(self.task, &self.entry);
        let mut jobs = vec![self.job(plan, Phase::Default, 0, Vec::new(), plan.tuning_seed())];
        for (i, point) in self.points(plan, 0, count).iter().enumerate() {
            let hypers = at(&self.ranges, point);
            jobs.push(self.job(plan, Phase::Screening, i + 1, hypers, plan.tuning_seed()));
        }
        jobs
    }

    fn points(&self, plan: &Plan, from: usize, to: usize) -> Vec<Vec<f64>> {
        let dimensions = self.entry.tune.len().min(sobol::DIMENSIONS);
        sobol::points(self.task.name, plan.tuning_seed(), dimensions, to).split_off(from)
    }

    /// The screen again, three decades lower, if every trial so far has diverged: that only says that the
    /// learning rates were too large. There are as many trials as the gradient evaluations pay for that
    /// the diverged ones left, so that the search costs no more than any other.
    pub fn lower(&mut self, plan: &Plan) -> Vec<Job> {
        let trials = self.trials();
        let first = trials.len();
        let budget = plan.budget(self.task);
        let spent: usize = trials.iter().map(|r| r.run.gradients).sum();
        let planned = plan.trials(self.task, &self.entry);
        let count = (planned * budget).saturating_sub(spent) / budget;
        let survived = trials.iter().any(|r| r.run.divergence.is_none());
        let Some(index) = self.inside.iter().position(|r| r.hyper == "lr") else {
            return Vec::new();
        };
        if planned < 2 || survived || count == 0 {
            return Vec::new();
        }
        let high = self.inside[index].low;
        let low = high / LOWERED;
        let mut space = self.inside.clone();
        space[index] = Range { low, high, ..space[index] };
        if ![0.0, 1.0].iter().all(|u| self.takes(plan, &at(&space, &vec![*u; space.len()]))) {
            return Vec::new();
        }
        self.ranges[index].low = low;
        self.extensions.push(Extension {
            hyper: space[index].hyper,
            side: Side::Low,
            low,
            high,
            all_diverged: true,
        });
        self.inside = space;
        self.extra += count;
        let points = self.points(plan, 0, count);
        let jobs = points.iter().enumerate().map(|(i, point)| {
            let hypers = at(&self.inside, point);
            self.job(plan, Phase::Extension, first + i + 1, hypers, plan.tuning_seed())
        });
        jobs.collect()
    }

    /// Whether the optimizer can be made with these values.
    fn takes(&self, plan: &Plan, hypers: &[(&'static str, f64)]) -> bool {
        let (task, budget) = (self.task, plan.budget(self.task));
        Stepper::new(self.entry.name, hypers, task, budget).is_ok()
    }

    /// The further trials of a round: beyond the edge at which the best trial lies, or else inside. The
    /// points of the unit cube are again the same for every optimizer.
    pub fn further(&mut self, plan: &Plan, round: usize) -> Vec<Job> {
        debug_assert!(round < ROUNDS);
        let count = plan.further_trials(self.task, &self.entry);
        let first = plan.trials(self.task, &self.entry) + round * count;
        let made = self.trials().len();
        let mut space = self.inside.clone();
        if count > 0
            && let Some((index, extension)) = self.extension(plan)
        {
            space[index] =
                Range { hyper: extension.hyper, low: extension.low, high: extension.high };
            for range in [&mut self.ranges[index], &mut self.inside[index]] {
                range.low = range.low.min(extension.low);
                range.high = range.high.max(extension.high);
            }
            self.extensions.push(extension);
        }
        let points = self.points(plan, first, first + count);
        let trials = points.iter().enumerate().map(|(i, point)| {
            self.job(plan, Phase::Extension, made + i + 1, at(&space, point), plan.tuning_seed())
        });
        trials.collect()
    }

    /// The decade beyond a hyper-parameter whose best value is at an edge, if the optimizer takes such
    /// values: one that was extended least often so far.
    fn extension(&self, plan: &Plan) -> Option<(usize, Extension)> {
        let best = self.best(1).first().copied()?;
        let mut edges = edges(best, &self.trials());
        edges.sort_by_key(|e| self.extensions.iter().filter(|x| x.hyper == e.hyper).count());
        edges.into_iter().find_map(|edge| self.beyond(plan, best, edge))
    }

    /// The decade beyond an edge at which the best trial lies.
    fn beyond(&self, plan: &Plan, best: &Record, edge: Edge) -> Option<(usize, Extension)> {
        let index = self.inside.iter().position(|r| r.hyper == edge.hyper)?;
        let range = self.inside[index];
        let (low, high) = match edge.side {
            Side::Low => (range.low / DECADE, range.low),
            Side::High => (range.high, range.high * DECADE),
        };
        let mut hypers = best.run.spec.hypers.clone();
        for end in [low, high] {
            hypers[index].1 = end;
            if !self.takes(plan, &hypers) {
                return None;
            }
        }
        let Edge { hyper, side } = edge;
        Some((index, Extension { hyper, side, low, high, all_diverged: false }))
    }

    /// The `count` trials with the lowest validation loss, the best first. Of equal ones, which have all
    /// solved the task, the soonest is the best; among trials that diverged, the one that lasted longest, and of
    /// these that with the lowest learning rate.
    pub fn best(&self, count: usize) -> Vec<&Record> {
        let mut trials = self.trials();
        let lasted = |r: &Record| r.run.divergence.as_ref().map_or(usize::MAX, |d| d.step);
        trials.sort_by(|a, b| {
            let (x, y) = (a.run.validation_loss(), b.run.validation_loss());
            let sooner = best_step(a).total_cmp(&best_step(b));
            let calmer = match x.is_finite() {
                true => Ordering::Equal,
                false => rate(a).total_cmp(&rate(b)),
            };
            x.total_cmp(&y)
                .then(lasted(b).cmp(&lasted(a)))
                .then(calmer)
                .then(sooner)
                .then(a.trial.cmp(&b.trial))
        });
        trials.truncate(count);
        trials
    }

    /// The best trials again, on fresh seeds.
    pub fn repeats(&self, plan: &Plan) -> Vec<Job> {
        let (count, seeds) = plan.repeats(self.task, &self.entry);
        let mut jobs = Vec::new();
        for trial in self.best(count) {
            for seed in plan.repeat_seed()..plan.repeat_seed() + seeds as u64 {
                let hypers = trial.run.spec.hypers.clone();
                jobs.push(self.job(plan, Phase::Repeat, trial.trial, hypers, seed));
            }
        }
        jobs
    }

    /// A trial's repetitions.
    fn repetitions(&self, trial: usize) -> impl Iterator<Item = &Record> {
        self.of(Phase::Repeat).filter(move |r| r.trial == trial)
    }

    /// The validation losses of a trial's repetitions.
    pub fn repeated(&self, trial: usize) -> Vec<f64> {
        self.repetitions(trial).map(|r| r.run.validation_loss()).collect()
    }

    /// The trial with the lowest median validation loss over its repetitions (then the lowest mean, then
    /// the soonest at its best points, then the best in screening); without repetitions, the best trial.
    pub fn chosen(&self) -> Option<&Record> {
        let best = self.best(usize::MAX);
        let repeated = best.iter().filter(|r| !self.repeated(r.trial).is_empty());
        let by = |r: &Record| {
            let losses = self.repeated(r.trial);
            let steps: Vec<f64> = self.repetitions(r.trial).map(best_step).collect();
            [median(&losses), mean(&losses), mean(&steps)]
        };
        let first = repeated.min_by(|a, b| {
            let pairs = by(a).into_iter().zip(by(b));
            pairs.map(|(x, y)| x.total_cmp(&y)).fold(Ordering::Equal, Ordering::then)
        });
        first.or_else(|| best.first()).copied()
    }

    /// The chosen configuration on the final seeds; the defaults if there was nothing to tune.
    pub fn finals(&self, plan: &Plan) -> Vec<Job> {
        let (trial, hypers) =
            self.chosen().map_or((0, Vec::new()), |r| (r.trial, r.run.spec.hypers.clone()));
        plan.seeds(self.task)
            .map(|seed| self.job(plan, Phase::Final, trial, hypers.clone(), seed))
            .collect()
    }
}

/// The gradient evaluation at which a run was at its best.
fn best_step(record: &Record) -> f64 {
    record.run.best.map_or(f64::INFINITY, |point| point.step as f64)
}

/// The learning rate of a run, 0 where it is not tuned.
fn rate(record: &Record) -> f64 {
    record.run.spec.lr().unwrap_or(0.0)
}

type Hypers = Vec<(&'static str, f64)>;

fn at(ranges: &[Range], point: &[f64]) -> Hypers {
    ranges.iter().zip(point).map(|(range, u)| (range.hyper, range.at(*u))).collect()
}

/// Which values of a trial are the outermost of all that were tried. Where even the best one has diverged, nothing says
/// that others might do better beyond.
pub(super) fn edges(best: &Record, trials: &[&Record]) -> Vec<Edge> {
    if trials.len() < 2 || best.run.divergence.is_some() {
        return Vec::new();
    }
    let hypers = best.run.spec.hypers.iter().enumerate();
    let edge = |(i, (hyper, value)): (usize, &(&'static str, f64))| {
        let tried = || trials.iter().filter_map(|t| t.run.spec.hypers.get(i));
        let side = match () {
            () if tried().all(|(_, v)| v <= value) => Side::High,
            () if tried().all(|(_, v)| v >= value) => Side::Low,
            () => return None,
        };
        Some(Edge { hyper, side })
    };
    hypers.filter_map(edge).collect()
}
