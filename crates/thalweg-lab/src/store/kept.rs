//! Reading runs back without the plan that made them.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Row;

use super::Database;
use super::database::{findings, hypers, points, probes, trajectory};
use super::number::Number;
use crate::diagnosis::{Finding, Probe};
use crate::protocol::stats::mean;
use crate::protocol::{Point, ending};
use crate::{Error, Result, tasks};

/// A run as it was kept, all names as text.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its number in the file.
    pub id: i64,
    /// The task.
    pub task: String,
    /// The optimizer.
    pub optimizer: String,
    /// The number of the configuration; 0 for the optimizer's defaults.
    pub trial: usize,
    /// What the run was for: `default`, `screening`, `extension`, `repeat` or `final`.
    pub phase: String,
    /// The seed.
    pub seed: u64,
    /// Gradient evaluations allowed.
    pub budget: usize,
    /// Gradient evaluations spent.
    pub gradients: usize,
    /// Seconds spent on gradients.
    pub gradient_seconds: f64,
    /// Seconds spent on the optimizer's steps.
    pub optimizer_seconds: f64,
    /// The step at which it diverged and why, if it did.
    pub divergence: Option<(usize, String)>,
    /// Which of the points has the lowest validation loss; on a noisy task the last one.
    pub best_point: Option<usize>,
    /// The test loss there (final runs that did not diverge).
    pub test_loss: Option<f64>,
    /// The task's metric there.
    pub test_metric: Option<f64>,
    /// The tuned hyper-parameters.
    pub hypers: Vec<(String, f64)>,
    /// The measurements.
    pub points: Vec<Point>,
    /// The positions on a task of two coordinates, from the start on.
    pub trajectory: Vec<[f64; 2]>,
    /// Steps from one of them to the next.
    pub stride: usize,
}

impl Kept {
    /// The shortest name that finds this run again: see [`Cell`].
    pub fn cell(&self) -> String {
        match &self.phase[..] {
            "final" => format!("{}/{}/{}", self.task, self.optimizer, self.seed),
            "repeat" => format!("{}/{}/t{}/{}", self.task, self.optimizer, self.trial, self.seed),
            _ => format!("{}/{}/t{}", self.task, self.optimizer, self.trial),
        }
    }

    /// Seconds after so many gradient evaluations: those of the measurements, and between two of them in proportion.
    pub fn seconds_at(&self, step: usize) -> f64 {
        let after = self.points.partition_point(|p| p.step < step);
        match self.points[after.saturating_sub(1)..] {
            [a, b, ..] if after > 0 => {
                let share = (step - a.step) as f64 / (b.step - a.step) as f64;
                a.seconds + share * (b.seconds - a.seconds)
            }
            [only, ..] => only.seconds,
            [] => 0.0,
        }
    }

    /// Whether it is a tuning trial, the defaults and repetitions left out.
    pub fn is_trial(&self) -> bool {
        ["screening", "extension"].contains(&&*self.phase)
    }

    /// Whether both are of one optimizer on one task.
    pub fn is_beside(&self, other: &Kept) -> bool {
        (&self.task, &self.optimizer) == (&other.task, &other.optimizer)
    }

    /// What the run is judged by, as [`Run::validation_loss`](crate::protocol::Run::validation_loss) has it;
    /// infinite if it diverged. Its points are needed.
    pub fn validation_loss(&self) -> f64 {
        let noisy = || {
            let task = tasks::select(std::slice::from_ref(&self.task), None);
            task.is_ok_and(|task| task[0].noisy)
        };
        match (&self.divergence, self.best_point.and_then(|i| self.points.get(i))) {
            (None, Some(_)) if noisy() => {
                let late = ending(&self.points, self.budget).iter().map(|p| p.validation.loss);
                mean(&late.collect::<Vec<_>>())
            }
            (None, Some(best)) => best.validation.loss,
            _ => f64::INFINITY,
        }
    }
}

/// Names one run: `TASK/OPTIMIZER/SEED` is a final run, `TASK/OPTIMIZER/tN` tuning trial `N` (0: the
/// defaults), `TASK/OPTIMIZER/tN/SEED` the same on another seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    task: String,
    optimizer: String,
    trial: Option<usize>,
    /// That of the tuning trials if none is given.
    seed: Option<u64>,
}

impl Cell {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let trial = |part: &str| part.strip_prefix('t').and_then(|n| n.parse().ok());
        let parsed = match parts[..] {
            [task, optimizer, last] => match (last.parse(), trial(last)) {
                (Ok(seed), _) => Some((task, optimizer, None, Some(seed))),
                (_, Some(n)) => Some((task, optimizer, Some(n), None)),
                _ => None,
            },
            [task, optimizer, n, seed] => trial(n)
                .zip(seed.parse().ok())
                .map(|(n, seed)| (task, optimizer, Some(n), Some(seed))),
            _ => None,
        };
        let (task, optimizer, trial, seed) = parsed.ok_or_else(|| {
            Error::usage(
                format!("`{text}` names no run"),
                "write TASK/OPTIMIZER/SEED for a final run (digits-mlp/adamw/1) or \
                 TASK/OPTIMIZER/tN for a tuning trial (digits-mlp/adamw/t3)",
            )
        })?;
        Ok(Cell { task: task.to_owned(), optimizer: optimizer.to_owned(), trial, seed })
    }

    /// What may be asked for where there is no run of this name.
    fn instead(&self, runs: &[Kept]) -> String {
        if runs.is_empty() {
            return "finish the comparison: give the same `thalweg compare` command again"
                .to_owned();
        }
        let joined = |names: BTreeSet<String>| Vec::from_iter(names).join(", ");
        let mut own =
            runs.iter().filter(|r| r.task == self.task && r.optimizer == self.optimizer).peekable();
        if own.peek().is_none() {
            let pairs = runs.iter().map(|r| format!("{}/{}", r.task, r.optimizer));
            return format!(
                "choose one of: {}, each followed by a seed or a trial",
                joined(pairs.collect())
            );
        }
        let (mut seeds, mut trials) = (BTreeSet::new(), BTreeSet::new());
        let mut repeated = BTreeMap::<usize, Vec<u64>>::new();
        for run in own {
            match &run.phase[..] {
                "final" => _ = seeds.insert(run.seed),
                "repeat" => repeated.entry(run.trial).or_default().push(run.seed),
                _ => _ = trials.insert(run.trial as u64),
            }
        }
        let own_seeds =
            |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let repeated: String = repeated
            .iter()
            .map(|(trial, seeds)| format!("; t{trial} was repeated on seeds {}", own_seeds(seeds)))
            .collect();
        let all = |numbers: BTreeSet<u64>, before: &str| {
            let numbers: Vec<String> = numbers.iter().map(|n| format!("{before}{n}")).collect();
            if numbers.is_empty() { "none yet".to_owned() } else { numbers.join(", ") }
        };
        format!(
            "choose for {}/{} one of its final runs, by seed ({}), or one of its trials ({}){repeated}",
            self.task,
            self.optimizer,
            all(seeds, ""),
            all(trials, "t")
        )
    }

    /// Whether it names this run.
    pub fn names(&self, run: &Kept) -> bool {
        run.task == self.task
            && run.optimizer == self.optimizer
            && match (self.trial, self.seed) {
                (None, seed) => run.phase == "final" && seed.is_none_or(|seed| run.seed == seed),
                (Some(trial), Some(seed)) => run.trial == trial && run.seed == seed,
                // The final runs of the trial that was chosen have its number as well.
                (Some(trial), None) => {
                    run.trial == trial && !["repeat", "final"].contains(&&run.phase[..])
                }
            }
    }
}

impl Database {
    /// All runs, by task, optimizer, configuration, phase and seed; with their points and positions only if asked
    /// for.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn kept(&self, with_points: bool) -> Result<Vec<Kept>> {
        self.sql(|db| {
            let mut statement = db.prepare(
                "SELECT r.id, t.task, t.optimizer, t.number, r.phase, r.seed, r.budget, r.gradients,
                        r.divergence_step, r.divergence_reason, r.best_point, r.test_loss,
                        r.test_metric, t.id, r.gradient_seconds, r.optimizer_seconds, r.stride
                 FROM runs r JOIN trials t ON t.id = r.trial
                 ORDER BY t.task, t.optimizer, t.number, r.phase, r.seed",
            )?;
            let rows: Vec<(Kept, i64)> =
                statement.query_map([], run)?.collect::<rusqlite::Result<_>>()?;
            rows.into_iter()
                .map(|(mut kept, trial)| {
                    kept.hypers = hypers(db, trial)?;
                    if with_points {
                        kept.points = points(db, kept.id)?;
                        kept.trajectory = trajectory(db, kept.id)?;
                    }
                    Ok(kept)
                })
                .collect()
        })
    }

    /// The run that `cell` names, with its points and positions.
    ///
    /// # Errors
    /// If there is none, or the file cannot be read.
    pub fn cell(&self, text: &str) -> Result<Kept> {
        let cell = Cell::parse(text)?;
        let runs = self.kept(false)?;
        let Some(at) = runs.iter().position(|run| cell.names(run)) else {
            return Err(Error::usage(
                format!("these results hold no run `{text}`"),
                cell.instead(&runs),
            ));
        };
        let mut kept = runs[at].clone();
        kept.points = self.sql(|db| points(db, kept.id))?;
        kept.trajectory = self.sql(|db| trajectory(db, kept.id))?;
        Ok(kept)
    }

    /// What the diagnosis looked at along a run, in the order of steps.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn probes(&self, run: i64) -> Result<Vec<Probe>> {
        self.sql(|db| probes(db, run))
    }

    /// What the diagnosis found in a run, the most severe first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn findings(&self, run: i64) -> Result<Vec<Finding>> {
        self.sql(|db| findings(db, run))
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<(Kept, i64)> {
    let number = |i| row.get::<_, Option<Number>>(i).map(|n| n.map(|n| n.0));
    let (step, reason) = (row.get::<_, Option<usize>>(8)?, row.get::<_, Option<String>>(9)?);
    let kept = Kept {
        id: row.get(0)?,
        task: row.get(1)?,
        optimizer: row.get(2)?,
        trial: row.get(3)?,
        phase: row.get(4)?,
        seed: row.get::<_, i64>(5)? as u64,
        budget: row.get(6)?,
        gradients: row.get(7)?,
        gradient_seconds: row.get(14)?,
        optimizer_seconds: row.get(15)?,
        divergence: step.zip(reason),
        best_point: row.get(10)?,
        test_loss: number(11)?,
        test_metric: number(12)?,
        hypers: Vec::new(),
        points: Vec::new(),
        trajectory: Vec::new(),
        stride: row.get(16)?,
    };
    Ok((kept, row.get(13)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Measurement;

    fn run(points: &[(usize, f64)]) -> Kept {
        let point = |(step, seconds)| Point {
            step,
            seconds,
            train_loss: None,
            validation: Measurement { loss: 1.0, metric: None },
        };
        Kept {
            id: 1,
            task: String::new(),
            optimizer: String::new(),
            trial: 0,
            phase: String::new(),
            seed: 1,
            budget: 30,
            gradients: 30,
            gradient_seconds: 0.0,
            optimizer_seconds: 0.0,
            divergence: None,
            best_point: None,
            test_loss: None,
            test_metric: None,
            hypers: Vec::new(),
            points: points.iter().copied().map(point).collect(),
            trajectory: Vec::new(),
            stride: 1,
        }
    }

    #[test]
    fn a_name_finds_the_run_that_has_it() {
        let runs: Vec<Kept> = [("final", 1), ("repeat", 1001), ("screening", 0)]
            .into_iter()
            .map(|(phase, seed)| Kept {
                task: "bowl".to_owned(),
                optimizer: "gd".to_owned(),
                trial: 5,
                phase: phase.to_owned(),
                seed,
                ..run(&[])
            })
            .collect();
        for (i, run) in runs.iter().enumerate() {
            let cell = Cell::parse(&run.cell()).unwrap();
            assert_eq!(runs.iter().position(|run| cell.names(run)), Some(i), "{}", run.cell());
        }
    }

    #[test]
    fn seconds_between_measurements_are_in_proportion() {
        let kept = run(&[(0, 0.0), (10, 2.0), (30, 3.0)]);
        assert_eq!(
            [0, 5, 10, 20, 30, 40].map(|step| kept.seconds_at(step)),
            [0., 1., 2., 2.5, 3., 3.]
        );
        assert_eq!((run(&[]).seconds_at(3), run(&[(2, 0.5)]).seconds_at(1)), (0.0, 0.5));
    }

    #[test]
    fn where_no_run_has_ended_the_comparison_is_to_be_finished() {
        let cell = Cell::parse("digits-mlp/adamw/1").unwrap();
        assert!(cell.instead(&[]).contains("give the same `thalweg compare` command again"));
    }

    #[test]
    fn cells_are_read() {
        let cell = |text| Cell::parse(text).map(|c| (c.trial, c.seed)).ok();
        assert_eq!(cell("digits-mlp/adamw/3"), Some((None, Some(3))));
        assert_eq!(cell("digits-mlp/adamw/t12"), Some((Some(12), None)));
        assert_eq!(cell("digits-mlp/adamw/t12/1001"), Some((Some(12), Some(1001))));
        for wrong in ["", "a/b", "a/b/x", "a/b/3/t1", "a/b/t1/2/3"] {
            assert_eq!(Cell::parse(wrong).unwrap_err().exit_code(), 2);
        }
    }
}
