//! What the screen shows, apart from how it looks.

use std::time::Duration;

use super::super::tally::{self, Contest, Tally};
use crate::diagnosis::{Finding, Kind, Severity, findings_of};
use crate::protocol::{Job, Phase, Plan, Run, RunSpec};
use crate::tasks::Task;

/// What the screen shows.
#[derive(Debug)]
pub(super) struct State {
    tally: Tally,
    tasks: Vec<&'static Task>,
    budgets: Vec<usize>,
    /// One for each contest of the tally.
    curves: Vec<Curves>,
    /// The tuning trials of each contest, and what they came to: advice is held against them.
    trials: Vec<Vec<(RunSpec, f64)>>,
    found: Vec<Found>,
    task: usize,
    selected: Option<&'static str>,
    /// Whether the keys are explained.
    pub(super) help: bool,
    /// What Ctrl-C has led to.
    pub(super) stopping: Option<&'static str>,
}

/// The curves of one optimizer on one task.
#[derive(Debug, Default)]
pub(super) struct Curves {
    /// Of the run with the lowest validation loss.
    pub(super) best: Option<Curve>,
    /// Of runs that are being made.
    pub(super) hands: Vec<Curve>,
}

/// The validation losses of a run.
#[derive(Debug)]
pub(super) struct Curve {
    /// Gradient evaluations and loss.
    pub(super) points: Vec<[f64; 2]>,
    spec: RunSpec,
}

/// What the doctor said of final runs.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) optimizer: &'static str,
    pub(super) severity: Severity,
    pub(super) what: String,
    /// Seeds in which it was found.
    pub(super) seeds: usize,
    task: &'static str,
    kind: Kind,
    parameter: Option<String>,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    NextTask,
    PreviousTask,
    Up,
    Down,
    Help,
    Back,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The place of the optimizer among those of its task.
    pub(super) number: usize,
    /// The place of the contest among all.
    pub(super) index: usize,
    pub(super) contest: &'a Contest,
    pub(super) curves: &'a Curves,
    pub(super) selected: bool,
}

impl Row<'_> {
    /// The letter that marks the optimizer's curve.
    pub(super) fn letter(&self) -> char {
        let letters = ('a'..='z').chain('A'..='Z');
        letters.cycle().nth(self.number).unwrap_or('?')
    }
}

impl State {
    pub(super) fn new(plan: &Plan) -> Self {
        let tally = Tally::new(plan);
        State {
            curves: tally.contests.iter().map(|_| Curves::default()).collect(),
            trials: tally.contests.iter().map(|_| Vec::new()).collect(),
            tally,
            budgets: plan.tasks.iter().map(|task| plan.budget(task)).collect(),
            tasks: plan.tasks.clone(),
            found: Vec::new(),
            task: 0,
            selected: None,
            help: false,
            stopping: None,
        }
    }

    /// A run beyond those of the plan will be made.
    pub(super) fn added(&mut self, job: &Job) {
        self.tally.added(job);
    }

    /// A run that is being made has been measured.
    pub(super) fn measured(&mut self, run: &Run) {
        let Some(index) = self.tally.index(&run.spec) else { return };
        let hands = &mut self.curves[index].hands;
        hands.retain(|curve| !same(&curve.spec, &run.spec));
        hands.push(Curve::of(run));
    }

    /// A run has ended this long after the start.
    pub(super) fn ended(&mut self, phase: Phase, run: &Run, elapsed: Duration) {
        let Some(index) = self.tally.index(&run.spec) else { return };
        let better = run.validation_loss() < self.tally.contests[index].best;
        self.tally.ended(phase, run, elapsed);
        let curves = &mut self.curves[index];
        curves.hands.retain(|curve| !same(&curve.spec, &run.spec));
        if better {
            curves.best = Some(Curve::of(run));
        }
        match phase {
            Phase::Screening | Phase::Extension => {
                self.trials[index].push((run.spec.clone(), run.validation_loss()));
            }
            Phase::Final => {
                let tried = self.trials[index].iter().map(|(spec, loss)| (&spec.hypers[..], *loss));
                let findings = findings_of(&[&run.findings], &run.spec.hypers, tried);
                // What other storage would have lost is no trouble of this run.
                let own = findings.iter().filter(|f| f.kind.if_stored().is_none());
                own.for_each(|finding| self.find(&run.spec, finding));
            }
            Phase::Default | Phase::Repeat => {}
        }
    }

    fn find(&mut self, spec: &RunSpec, finding: &Finding) {
        let (task, optimizer) = (spec.task.name, spec.optimizer);
        let known = self.found.iter_mut().find(|f| {
            (f.task, f.optimizer, f.kind) == (task, optimizer, finding.kind)
                && f.parameter == finding.parameter
        });
        match known {
            Some(found) => found.seeds += 1,
            None => self.found.push(Found {
                optimizer,
                severity: finding.severity,
                what: finding.what.clone(),
                seeds: 1,
                task,
                kind: finding.kind,
                parameter: finding.parameter.clone(),
            }),
        }
    }

    /// Does what a key asks for.
    pub(super) fn go(&mut self, to: Move) {
        let tasks = self.tasks.len();
        match to {
            Move::NextTask => self.task = (self.task + 1) % tasks,
            Move::PreviousTask => self.task = (self.task + tasks - 1) % tasks,
            Move::Up => self.select(|place, last| place.map_or(last, |p| p.saturating_sub(1))),
            Move::Down => self.select(|place, last| place.map_or(0, |p| (p + 1).min(last))),
            Move::Help => self.help = !self.help,
            Move::Back if self.help => self.help = false,
            Move::Back => self.selected = None,
        }
    }

    fn select(&mut self, to: impl FnOnce(Option<usize>, usize) -> usize) {
        let rows = self.rows();
        let place = rows.iter().position(|row| row.selected);
        let chosen = rows.get(to(place, rows.len().saturating_sub(1)));
        self.selected = chosen.map(|row| row.contest.optimizer);
    }

    /// The tasks, each with its runs that have ended and all its runs.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (&'static str, [usize; 2])> {
        self.tasks.iter().map(|task| (task.name, self.tally.runs_on(task.name)))
    }

    /// The number of the task that is shown.
    pub(super) fn shown(&self) -> usize {
        self.task
    }

    /// The task that is shown.
    pub(super) fn task(&self) -> &'static Task {
        self.tasks[self.task]
    }

    /// Gradient evaluations per run of the task that is shown.
    pub(super) fn budget(&self) -> usize {
        self.budgets[self.task]
    }

    /// The counts of all tasks.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The optimizers of the task that is shown, the lowest validation loss first, those without one last.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let task = self.task().name;
        let contests = self.tally.contests.iter().zip(&self.curves).enumerate();
        let own = contests.filter(|(_, (contest, _))| contest.task == task);
        let mut rows: Vec<Row> = Vec::new();
        for (number, (index, (contest, curves))) in own.enumerate() {
            let selected = self.selected == Some(contest.optimizer);
            rows.push(Row { number, index, contest, curves, selected });
        }
        // Stable: where there is nothing to tell them apart the order is the plan's.
        rows.sort_by(|a, b| a.contest.best.total_cmp(&b.contest.best));
        rows
    }

    /// What the doctor found on the task that is shown: of the selected optimizer alone if there is one;
    /// the most severe first, of those the latest.
    pub(super) fn findings(&self) -> Vec<&Found> {
        let task = self.task().name;
        let here = self.tally.of(self.selected.unwrap_or("")).any(|c| c.task == task);
        let selected = self.selected.filter(|_| here);
        let wanted = |f: &&Found| f.task == task && selected.is_none_or(|name| f.optimizer == name);
        let mut found: Vec<&Found> = self.found.iter().rev().filter(wanted).collect();
        found.sort_by_key(|f| std::cmp::Reverse(f.severity));
        found
    }
}

impl Curve {
    fn of(run: &Run) -> Self {
        let points = run.points.iter().map(|p| [p.step as f64, p.validation.loss]);
        Curve { points: points.collect(), spec: run.spec.clone() }
    }

    /// The hyper-parameters of the run.
    pub(super) fn hypers(&self) -> String {
        match &self.spec.hypers[..] {
            [] => "its defaults".to_owned(),
            hypers => {
                let each = hypers.iter().map(|(name, value)| format!("{name} {value:.2e}"));
                each.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// The lowest loss and where it was.
    pub(super) fn lowest(&self) -> Option<(String, usize)> {
        let finite = self.points.iter().filter(|p| p[1].is_finite());
        let [step, loss] = finite.min_by(|a, b| a[1].total_cmp(&b[1]))?;
        Some((tally::loss(*loss), *step as usize))
    }
}

/// Whether two runs are the same.
fn same(a: &RunSpec, b: &RunSpec) -> bool {
    (a.seed, &a.hypers) == (b.seed, &b.hypers)
}
