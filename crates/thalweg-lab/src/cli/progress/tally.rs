//! How far a comparison is: runs made, the best so far, and how long the rest will take.

use std::time::Duration;

use crate::protocol::{Job, Phase, Plan, Run, RunSpec, shown};

/// The counts of a comparison.
#[derive(Debug)]
pub(super) struct Tally {
    /// In the order in which the protocol takes them.
    pub(super) contests: Vec<Contest>,
    workers: usize,
    /// When the last run ended.
    clock: Duration,
}

/// One optimizer on one task.
#[derive(Debug)]
pub(super) struct Contest {
    /// The task's name.
    pub(super) task: &'static str,
    /// The optimizer's name.
    pub(super) optimizer: &'static str,
    /// Runs that have ended.
    pub(super) done: usize,
    /// All its runs.
    pub(super) of: usize,
    /// Runs that diverged.
    pub(super) diverged: usize,
    /// The lowest validation loss; infinite while no run has ended well.
    pub(super) best: f64,
    /// Final runs to come.
    finals: usize,
    /// Spent on gradients and steps.
    seconds: f64,
}

impl Contest {
    /// Runs to be made before the final ones, and final ones.
    fn ahead(&self) -> [usize; 2] {
        let left = self.of - self.done;
        let finals = left.min(self.finals);
        [left - finals, finals]
    }
}

impl Tally {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut contests = Vec::new();
        for task in &plan.tasks {
            for entry in plan.entries(task) {
                contests.push(Contest {
                    task: task.name,
                    optimizer: entry.name,
                    done: 0,
                    of: plan.runs_of(task, &entry),
                    diverged: 0,
                    best: f64::INFINITY,
                    finals: plan.seeds(task).count(),
                    seconds: 0.0,
                });
            }
        }
        Tally { contests, workers: plan.workers.max(1), clock: Duration::ZERO }
    }

    /// The number of a run's contest.
    pub(super) fn index(&self, spec: &RunSpec) -> Option<usize> {
        let own = |c: &Contest| c.optimizer == spec.optimizer && c.task == spec.task.name;
        self.contests.iter().position(own)
    }

    /// A run beyond those of the plan will be made.
    pub(super) fn added(&mut self, job: &Job) {
        if let Some(index) = self.index(&job.spec) {
            self.contests[index].of += 1;
        }
    }

    /// A run has ended this long after the start; returns the number of its contest.
    pub(super) fn ended(&mut self, phase: Phase, run: &Run, elapsed: Duration) -> Option<usize> {
        let index = self.index(&run.spec)?;
        self.clock = elapsed;
        let contest = &mut self.contests[index];
        contest.done += 1;
        contest.of = contest.of.max(contest.done);
        contest.finals -= usize::from(phase == Phase::Final).min(contest.finals);
        contest.diverged += usize::from(run.divergence.is_some());
        contest.best = contest.best.min(run.validation_loss());
        contest.seconds += run.gradient_seconds + run.optimizer_seconds;
        Some(index)
    }

    /// The contests of an optimizer.
    pub(super) fn of(&self, optimizer: &str) -> impl Iterator<Item = &Contest> {
        self.contests.iter().filter(move |c| c.optimizer == optimizer)
    }

    /// Runs that have ended, and all of them.
    pub(super) fn runs(&self) -> [usize; 2] {
        runs(&self.contests)
    }

    /// The same of one task.
    #[cfg(feature = "tui")]
    pub(super) fn runs_on(&self, task: &str) -> [usize; 2] {
        runs(self.contests.iter().filter(|c| c.task == task))
    }

    /// How long it takes until the last run of a contest has ended, which is after the runs of every other
    /// one that the protocol makes before it; `None` while no run has ended to judge by.
    pub(super) fn left(&self, index: usize, elapsed: Duration) -> Option<Duration> {
        if self.contests[index].ahead() == [0, 0] {
            return Some(Duration::ZERO);
        }
        let own_finals = self.contests[index].ahead()[1] > 0;
        let mut work = 0.0;
        for (i, contest) in self.contests.iter().enumerate() {
            let [search, finals] = contest.ahead();
            let counted = if own_finals && i <= index { search + finals } else { search };
            if counted > 0 {
                work += counted as f64 * self.seconds_per_run(contest)?;
            }
        }
        let seconds = work * self.overhead() / self.workers as f64;
        let left = Duration::try_from_secs_f64(seconds).ok()?;
        Some(left.saturating_sub(elapsed.saturating_sub(self.clock)))
    }

    /// How long the last run of an optimizer is away.
    pub(super) fn left_of(&self, optimizer: &str, elapsed: Duration) -> Option<Duration> {
        self.latest(|c| c.optimizer == optimizer, elapsed)
    }

    /// How long the whole comparison still takes.
    pub(super) fn left_in_all(&self, elapsed: Duration) -> Option<Duration> {
        self.latest(|_| true, elapsed)
    }

    fn latest(&self, wanted: impl Fn(&Contest) -> bool, elapsed: Duration) -> Option<Duration> {
        let indices = (0..self.contests.len()).filter(|i| wanted(&self.contests[*i]));
        indices.map(|i| self.left(i, elapsed)).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The mean over the contest's runs, else over those of its task, else over all.
    fn seconds_per_run(&self, contest: &Contest) -> Option<f64> {
        let over = |kin: &dyn Fn(&Contest) -> bool| {
            let kin = self.contests.iter().filter(|c| kin(c));
            let (runs, seconds) = kin.fold((0, 0.0), |(n, s), c| (n + c.done, s + c.seconds));
            (runs > 0).then(|| seconds / runs as f64)
        };
        over(&|c| c.task == contest.task && c.optimizer == contest.optimizer)
            .or_else(|| over(&|c| c.task == contest.task))
            .or_else(|| over(&|_| true))
    }

    /// What a second of gradients and steps costs in seconds of the clock: batches and evaluations are not
    /// in the seconds of a run. Runs found in the archive were made before, so the clock may be behind.
    fn overhead(&self) -> f64 {
        let work: f64 = self.contests.iter().map(|c| c.seconds).sum();
        (self.workers as f64 * self.clock.as_secs_f64() / work).max(1.0)
    }
}

/// Runs that have ended, and all of them.
pub(super) fn runs<'a>(contests: impl IntoIterator<Item = &'a Contest>) -> [usize; 2] {
    contests.into_iter().fold([0, 0], |[done, of], c| [done + c.done, of + c.of])
}

/// The most characters that [`clock`] takes.
pub(super) const CLOCK: usize = 5;

/// A time as `0:07`, `1h02m` or `31h`; a dash if it is not known.
pub(super) fn clock(time: Option<Duration>) -> String {
    let Some(seconds) = time.map(|t| t.as_secs()) else { return "-".to_owned() };
    let [hours, minutes, seconds] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..10 => format!("{hours}h{minutes:02}m"),
        _ => format!("{hours}h"),
    }
}

/// The most characters that [`loss`] takes for a positive number.
pub(super) const LOSS: usize = 9;

/// A loss with as many decimals as have a place; a dash if there is none.
pub(super) fn loss(value: f64) -> String {
    let decimals = match value.abs() {
        size if !size.is_finite() => return "-".to_owned(),
        size if size < 1e4 => return shown(value),
        size if size >= 1e7 => return format!("{value:.2e}"),
        size => 7 - size.log10() as usize,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizers;
    use crate::tasks;

    /// Two optimizers on one task: 2 runs before the final ones and 3 final ones each.
    fn tally(workers: usize) -> Tally {
        let contest = |optimizer| Contest {
            task: "t",
            optimizer,
            done: 0,
            of: 5,
            diverged: 0,
            best: f64::INFINITY,
            finals: 3,
            seconds: 0.0,
        };
        Tally { contests: vec![contest("a"), contest("b")], workers, clock: Duration::ZERO }
    }

    /// Ends `runs` runs of a contest that took so many seconds each.
    fn end(contest: &mut Contest, runs: usize, seconds: f64) {
        contest.done += runs;
        contest.seconds += runs as f64 * seconds;
    }

    fn left(tally: &Tally, index: usize, elapsed: f64) -> Option<f64> {
        tally.left(index, Duration::from_secs_f64(elapsed)).map(|t| t.as_secs_f64())
    }

    #[test]
    fn what_is_left_is_the_work_before_the_last_run() {
        let mut tally = tally(1);
        assert_eq!(
            [left(&tally, 0, 9.0), tally.left_in_all(Duration::ZERO).map(|_| 0.0)],
            [None; 2]
        );
        end(&mut tally.contests[0], 2, 3.0);
        tally.clock = Duration::from_secs(6);
        // b has no run yet and is taken to be like a. Its search comes before a's final runs.
        assert_eq!(left(&tally, 0, 6.0), Some((2 + 3) as f64 * 3.0));
        assert_eq!(left(&tally, 1, 6.0), Some((2 + 3 + 3) as f64 * 3.0));
        assert_eq!(left(&tally, 1, 8.0), Some(24.0 - 2.0));
        assert_eq!(left(&tally, 1, 100.0), Some(0.0));
        end(&mut tally.contests[1], 2, 1.0);
        tally.clock = Duration::from_secs(8);
        assert_eq!([0, 1].map(|i| left(&tally, i, 8.0)), [Some(9.0), Some(12.0)]);
        tally.workers = 2;
        tally.clock = Duration::from_secs(4);
        assert_eq!(left(&tally, 1, 4.0), Some(6.0));
        // Half the time of the clock goes into other things than gradients and steps.
        tally.clock = Duration::from_secs(8);
        assert_eq!(left(&tally, 1, 8.0), Some(12.0));
        end(&mut tally.contests[0], 3, 3.0);
        assert_eq!(left(&tally, 0, 8.0), Some(0.0));
    }

    #[test]
    fn runs_from_the_archive_do_not_make_the_clock_slow() {
        let mut tally = tally(1);
        end(&mut tally.contests[0], 2, 3.0);
        tally.clock = Duration::from_millis(1);
        assert_eq!(left(&tally, 1, 0.001), Some(24.0));
    }

    #[test]
    fn every_planned_run_is_counted() {
        let select = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let plan = Plan {
            tasks: tasks::select(&select(&["digits"]), None).unwrap(),
            optimizers: Some(optimizers::select(&select(&["adamw", "gd"])).unwrap()),
            seeds: None,
            trials: None,
            budget: None,
            tune: Vec::new(),
            targets: Vec::new(),
            study: 0,
            workers: 1,
        };
        let tally = Tally::new(&plan);
        assert_eq!(tally.contests.len(), 4);
        let all: usize = plan.runs().iter().map(|(_, runs)| runs).sum();
        assert_eq!(tally.runs(), [0, all]);
        assert_eq!(tally.of("gd").count(), 2);
    }

    #[test]
    fn losses_have_the_decimals_for_which_there_is_room() {
        let cases = [0.0, 2e-5, 0.25, 9999.5, 101_936.731, 9_999_999.4, 1e7, 1e300, f64::MAX];
        let texts = cases.map(loss);
        let wanted = [
            "0.0000",
            "2.00e-5",
            "0.2500",
            "9999.5000",
            "101936.73",
            "9999999.4",
            "1.00e7",
            "1.00e300",
            "1.80e308",
        ];
        assert_eq!(texts, wanted);
        assert!(texts.iter().all(|text| text.len() <= LOSS));
        assert_eq!([loss(f64::INFINITY), loss(f64::NAN)], ["-", "-"]);
    }

    #[test]
    fn times_are_short() {
        let shown = |seconds| clock(Some(Duration::from_secs(seconds)));
        let texts = [7, 67, 3_599, 3_765, 36_000, 31 * 3_600].map(shown);
        assert_eq!(texts, ["0:07", "1:07", "59:59", "1h02m", "10h", "31h"]);
        assert!(texts.iter().all(|text| text.len() <= CLOCK));
        assert_eq!(clock(None), "-");
    }
}
