//! What is to be compared, and what every optimizer is given.

use super::{Target, sobol};
use crate::optimizers::{self, Entry, Range, Stepper};
use crate::tasks::Task;
use crate::{Error, Result};

/// The seed of all tuning trials of the first study. No run of the final comparison repeats one that hyper-parameters were
/// selected on.
pub const TUNING_SEED: u64 = 0;

/// The first seed of the final runs.
pub const FIRST_SEED: u64 = 1;

/// The first seed on which the best trials are repeated before one is chosen, in the first study.
pub const REPEAT_SEED: u64 = 1_001;

/// How far the seeds of two studies lie apart.
const STUDY: u64 = 1_000_000;

/// Final seeds unless the user asks for another number or the task for more.
pub const FINAL_SEEDS: usize = 5;

/// How often the search is continued after screening: each time, an optimizer whose best trial lies at
/// the edge of its range gets its further trials in the next decade beyond it, any other inside.
pub const ROUNDS: usize = 2;

/// How often the screen of an optimizer is repeated at lower learning rates if every trial has diverged.
pub const LOWERINGS: usize = 3;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tasks.
    pub tasks: Vec<&'static Task>,
    /// The optimizers; `None` takes those that each task names.
    pub optimizers: Option<Vec<Entry>>,
    /// The number of final seeds; `None` takes the task's own number, at least [`FINAL_SEEDS`].
    pub seeds: Option<usize>,
    /// Screening trials per optimizer and task; `None` takes the task's own number, 0 tunes nothing and compares
    /// the defaults.
    pub trials: Option<usize>,
    /// Gradient evaluations per run; `None` takes the task's own number.
    pub budget: Option<usize>,
    /// Ranges to search instead of those that the optimizers declare, or of more hyper-parameters, by the
    /// optimizer's name.
    pub tune: Vec<(String, Range)>,
    /// What is to be reached on a task, by its name; elsewhere targets follow from the optimizers' repetitions.
    pub targets: Vec<(String, Vec<Target>)>,
    /// Which tuning study this is, from 0: each tunes at other points and on other seeds, and compares on the same.
    pub study: u32,
    /// Runs at once, one per core. Changes how long it takes, never what comes out.
    pub workers: usize,
}

impl Plan {
    /// Gradient evaluations per run of `task`.
    pub fn budget(&self, task: &Task) -> usize {
        self.budget.unwrap_or(task.budget)
    }

    /// The seed of all tuning trials.
    pub fn tuning_seed(&self) -> u64 {
        TUNING_SEED + u64::from(self.study) * STUDY
    }

    /// The first seed on which the best trials are repeated.
    pub fn repeat_seed(&self) -> u64 {
        REPEAT_SEED + u64::from(self.study) * STUDY
    }

    /// Screening trials of an optimizer on `task`: none if it declares nothing to tune.
    pub fn trials(&self, task: &Task, entry: &Entry) -> usize {
        if entry.tune.is_empty() { 0 } else { self.trials.unwrap_or(task.trials) }
    }

    /// Further trials in each of the [`ROUNDS`] after screening: an eighth of the screening trials, at
    /// least one. None where there is a single trial or none.
    pub fn further_trials(&self, task: &Task, entry: &Entry) -> usize {
        match self.trials(task, entry) {
            0 | 1 => 0,
            n => (n / 8).max(1),
        }
    }

    /// How many of the best trials are repeated, and on how many fresh seeds: three on three after at
    /// least eight screening trials, two on two after fewer, none where there is a single trial or none.
    pub fn repeats(&self, task: &Task, entry: &Entry) -> (usize, usize) {
        match self.trials(task, entry) {
            0 | 1 => (0, 0),
            2..8 => (2, 2),
            _ => (3, 3),
        }
    }

    /// The seeds of the final runs of `task`.
    pub fn seeds(&self, task: &Task) -> impl Iterator<Item = u64> + use<> {
        let count = self.seeds.unwrap_or_else(|| task.seeds.max(FINAL_SEEDS));
        FIRST_SEED..FIRST_SEED + count as u64
    }

    /// The optimizers that are compared on `task`: those that were asked for and fit its domain. Weight decay
    /// is only tuned where the task [takes](Task::takes_decay) it, or whoever compares asks for it.
    pub fn entries(&self, task: &Task) -> Vec<Entry> {
        let fits = |e: &&Entry| optimizers::unfit(e.name, task.domain).is_none();
        let mut entries = match &self.optimizers {
            Some(asked) => asked.iter().filter(fits).cloned().collect(),
            None => optimizers::defaults(task),
        };
        for entry in entries.iter_mut().filter(|e| optimizers::undecayed(e.name, task)) {
            entry.tune.retain(|range| range.hyper != optimizers::DECAY);
        }
        for (name, range) in &self.tune {
            for entry in entries.iter_mut().filter(|e| e.name == name) {
                match entry.tune.iter_mut().find(|known| known.hyper == range.hyper) {
                    Some(known) => *known = *range,
                    None => entry.tune.push(*range),
                }
            }
        }
        if self.trials == Some(0) {
            entries.iter_mut().for_each(|entry| entry.tune.clear());
        }
        entries
    }

    /// Those that were asked for (or are compared where nobody asks) but make no sense on the domain of
    /// `task`, and why.
    pub fn left_out(&self, task: &Task) -> Vec<(&'static str, &'static str)> {
        let asked = match &self.optimizers {
            Some(asked) => asked.iter().map(|e| e.name).collect(),
            None if task.shortlist.is_empty() => optimizers::REPRESENTATIVES.to_vec(),
            None => task.shortlist.to_vec(),
        };
        let reason = |name| Some((name, optimizers::unfit(name, task.domain)?));
        asked.into_iter().filter_map(reason).collect()
    }

    /// What is to be reached on `task`, if that was given.
    pub fn given_targets(&self, task: &Task) -> Option<&[Target]> {
        let given = self.targets.iter().find(|(name, _)| name == task.name);
        given.map(|(_, targets)| &targets[..])
    }

    /// All runs of one optimizer on `task`, the one with its defaults included; a screen in which every
    /// trial diverges is followed by more.
    pub fn runs_of(&self, task: &Task, entry: &Entry) -> usize {
        let (best, seeds) = self.repeats(task, entry);
        let search = self.trials(task, entry) + ROUNDS * self.further_trials(task, entry);
        1 + search + best * seeds + self.seeds(task).count()
    }

    /// The optimizers of all tasks, each once, with the number of its runs.
    pub fn runs(&self) -> Vec<(Entry, usize)> {
        let mut all: Vec<(Entry, usize)> = Vec::new();
        for task in &self.tasks {
            for entry in self.entries(task) {
                let runs = self.runs_of(task, &entry);
                match all.iter_mut().find(|(e, _)| e.name == entry.name) {
                    Some((_, sum)) => *sum += runs,
                    None => all.push((entry, runs)),
                }
            }
        }
        all
    }

    /// What decides the results, line by line, for comparison with another plan.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.study > 0 {
            lines.push(format!("tuning study {}", self.study));
        }
        for task in &self.tasks {
            let (trials, seeds) = (self.trials.unwrap_or(task.trials), self.seeds(task).count());
            lines.push(format!(
                "task {}: {} gradient evaluations, {trials} trials, {seeds} seeds",
                task.name,
                self.budget(task)
            ));
            for Target { level, loss } in self.given_targets(task).unwrap_or_default() {
                lines.push(format!("the {level:?} target of {}: {loss:e}", task.name));
            }
            if task.noisy {
                lines.push(format!("{} is judged by where its runs end", task.name));
            }
            for entry in self.entries(task) {
                let ranges =
                    entry.tune.iter().map(|r| format!("{} {:e}..{:e}", r.hyper, r.low, r.high));
                let ranges = ranges.collect::<Vec<_>>().join(", ");
                lines.push(format!("{} on {}: {ranges}", entry.name, task.name));
            }
        }
        lines
    }

    pub(super) fn check(&self) -> Result<()> {
        let positive = [
            (self.seeds.unwrap_or(1), "--seeds"),
            (self.budget.unwrap_or(1), "--budget"),
            (self.optimizers.as_ref().map_or(1, Vec::len), "--optimizers"),
            (self.workers, "--workers"),
            (self.tasks.len(), "TASK"),
        ];
        if let Some((_, flag)) = positive.iter().find(|(n, _)| *n == 0) {
            return Err(Error::usage(
                format!("{flag} is empty or zero"),
                format!("give {flag} at least one"),
            ));
        }
        self.check_ranges()?;
        self.check_seeds()?;
        self.check_budgets()?;
        let empty = self.tasks.iter().find(|task| self.entries(task).is_empty());
        match empty.and_then(|task| Some((task, *self.left_out(task).first()?))) {
            Some((task, (name, reason))) => Err(Error::usage(
                format!(
                    "no optimizer is left for {}: {name} is left out because {reason}",
                    task.name
                ),
                "name optimizers without weight decay that only need gradients, such as gd, adagrad and adam",
            )),
            None => Ok(()),
        }
    }

    /// Whether no final run repeats a seed that hyper-parameters were selected on.
    fn check_seeds(&self) -> Result<()> {
        let most = (REPEAT_SEED - FIRST_SEED) as usize;
        match self.seeds {
            Some(seeds) if seeds > most => Err(Error::usage(
                format!(
                    "--seeds {seeds} reaches the seeds from {REPEAT_SEED} on, on which trials are repeated"
                ),
                format!("give --seeds at most {most}"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether every optimizer can take a step: one that cannot would be ranked by where it starts.
    fn check_budgets(&self) -> Result<()> {
        for task in &self.tasks {
            let budget = self.budget(task);
            let entries = self.entries(task);
            if let Some(entry) = entries.iter().find(|e| e.gradients_per_step > budget) {
                let (name, needed) = (entry.name, entry.gradients_per_step);
                return Err(Error::usage(
                    format!(
                        "--budget {budget} is less than the {needed} gradients of one step of {name}"
                    ),
                    format!("give --budget at least {needed}, or leave {name} out"),
                ));
            }
        }
        Ok(())
    }

    /// Whether every range that was asked for can be searched.
    fn check_ranges(&self) -> Result<()> {
        if self.trials == Some(0) && !self.tune.is_empty() {
            return Err(Error::usage(
                "--tune asks for a range to be searched, and --trials 0 for no search",
                "leave out one of them",
            ));
        }
        for (i, (name, range)) in self.tune.iter().enumerate() {
            let Range { hyper, low, high } = *range;
            let wrong = |problem: &str| {
                Err(Error::usage(
                    format!("--tune {name}.{hyper}={low:e}..{high:e}: {problem}"),
                    "give --tune OPTIMIZER.HYPER=LOW..HIGH with 0 < LOW < HIGH, for an optimizer that is compared, and once for each",
                ))
            };
            if self.tune[..i].iter().any(|(n, r)| n == name && r.hyper == hyper) {
                return wrong("another range of it is given before");
            }
            if !(0.0 < low && low < high && high.is_finite()) {
                return wrong(
                    "a range is searched by its logarithm, from its lower to its higher end",
                );
            }
            let mut compared = self.tasks.iter().flat_map(|task| {
                let own = self.entries(task).into_iter().filter(|e| e.name == name);
                own.map(move |entry| (*task, entry))
            });
            let Some((task, entry)) = compared.next() else {
                return wrong("that optimizer is not compared");
            };
            if entry.tune.len() > sobol::DIMENSIONS {
                return wrong(&format!(
                    "at most {} ranges can be searched at once",
                    sobol::DIMENSIONS
                ));
            }
            for end in [low, high] {
                let hypers = [(hyper, end)];
                let made = Stepper::new(entry.name, &hypers, task, self.budget(task));
                if let Err(error) = made {
                    return wrong(error.problem());
                }
            }
        }
        Ok(())
    }
}
