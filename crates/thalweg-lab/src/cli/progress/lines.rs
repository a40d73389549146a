//! One bar per optimizer on a terminal that somebody watches; elsewhere a line per finished optimizer, one per tenth of all runs,
//! and at least one a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tally::{CLOCK, Contest, LOSS, Tally, clock, loss, runs};
use crate::protocol::{Job, Observer, Phase, Plan, Run};

/// The least time between two updates of the bars while no run ends.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest silence where there is no terminal.
const SILENCE: Duration = Duration::from_secs(60);

/// Shows how far each optimizer is.
pub(super) struct Lines {
    mode: Mode,
    seen: Mutex<Seen>,
    start: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Silent,
    Plain,
    Bars,
}

struct Seen {
    tally: Tally,
    bars: Bars,
    updated: Instant,
}

impl Lines {
    pub(super) fn new(plan: &Plan, silent: bool) -> Self {
        let mode = match (silent, crate::cli::is_watched()) {
            (true, _) => Mode::Silent,
            (_, true) => Mode::Bars,
            _ => Mode::Plain,
        };
        let (tally, start) = (Tally::new(plan), Instant::now());
        let bars = Bars::new(&tally, mode == Mode::Bars);
        Lines { mode, seen: Mutex::new(Seen { tally, bars, updated: start }), start }
    }

    /// Leaves the bars as they are.
    pub(super) fn close(&self) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.bars.head.abandon();
        seen.bars.rows.iter().for_each(|row| row.bar.abandon());
    }
}

impl Observer for Lines {
    fn added(&self, job: &Job) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).tally.added(job);
    }

    fn measured(&self, _: Phase, run: &Run) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.mode == Mode::Bars && seen.updated.elapsed() > PAUSE {
            seen.update(self.start.elapsed());
        }
        if self.mode == Mode::Plain && seen.updated.elapsed() >= SILENCE {
            seen.updated = Instant::now();
            crate::cli::say!("{}", how_far(&seen.tally, run, self.start.elapsed()));
        }
    }

    fn ended(&self, phase: Phase, run: &Run) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.start.elapsed();
        seen.tally.ended(phase, run, elapsed);
        match self.mode {
            Mode::Silent => {}
            Mode::Bars => seen.update(elapsed),
            Mode::Plain => {
                let lines = plain(&seen.tally, run, elapsed, seen.updated.elapsed());
                if !lines.is_empty() {
                    seen.updated = Instant::now();
                }
                lines.iter().for_each(|line| crate::cli::say!("{line}"));
            }
        }
    }
}

impl Seen {
    fn update(&mut self, elapsed: Duration) {
        self.updated = Instant::now();
        self.bars.update(&self.tally, elapsed);
    }
}

/// What there is to say of a run that has ended where there is no terminal, after a silence of that length.
fn plain(tally: &Tally, run: &Run, elapsed: Duration, silence: Duration) -> Vec<String> {
    let optimizer = run.spec.optimizer;
    let own: Vec<&Contest> = tally.of(optimizer).collect();
    let mut lines = Vec::new();
    if own.iter().all(|c| c.done == c.of) {
        let best = own.iter().map(|c| format!("{} {}", c.task, loss(c.best)));
        let best = best.collect::<Vec<_>>().join(", ");
        let diverged = match own.iter().map(|c| c.diverged).sum() {
            0 => String::new(),
            n => format!(", {n} diverged"),
        };
        let [_, of] = runs(own.iter().copied());
        lines.push(format!("{optimizer}: {of} runs, best {best}{diverged}"));
    }
    let [done, of] = tally.runs();
    if of >= 10 && done * 10 / of > (done - 1) * 10 / of || lines.is_empty() && silence >= SILENCE {
        lines.push(how_far(tally, run, elapsed));
    }
    lines
}

/// `12 of 34 runs after 56 s, about 1:02 left; now digits-mlp`.
fn how_far(tally: &Tally, run: &Run, elapsed: Duration) -> String {
    let [done, of] = tally.runs();
    let left = match tally.left_in_all(elapsed) {
        Some(left) if done < of => format!(", about {} left", clock(Some(left))),
        _ => String::new(),
    };
    let (seconds, task) = (elapsed.as_secs_f64(), run.spec.task.name);
    format!("{done} of {of} runs after {seconds:.0} s{left}; now {task}")
}

/// A table whose second column is a bar.
struct Bars {
    head: ProgressBar,
    rows: Vec<Row>,
    layout: Layout,
}

struct Row {
    /// `None` for the sum.
    optimizer: Option<&'static str>,
    bar: ProgressBar,
}

impl Bars {
    fn new(tally: &Tally, visible: bool) -> Self {
        let target = match visible {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let all = MultiProgress::with_draw_target(target);
        let mut names: Vec<&'static str> = Vec::new();
        for contest in &tally.contests {
            if !names.contains(&contest.optimizer) {
                names.push(contest.optimizer);
            }
        }
        let layout = Layout::new(tally, &names, usize::from(console::Term::stderr().size().1));
        let (name, bar) = (layout.name, layout.bar);
        let add = |template: &str, label: &str| {
            let bar = all.add(ProgressBar::new(1).with_style(style(template)));
            bar.set_prefix(format!("{label:name$}"));
            bar
        };
        let head = add("{prefix:.dim} {wide_msg:.dim}", "optimizer");
        head.set_message(format!("{:bar$} {}", "", layout.titles()));
        let template = format!("{{prefix:.bold}} {{bar:{bar}.cyan}} {{wide_msg}}");
        let mut rows = vec![Row { optimizer: None, bar: add(&template, "all") }];
        for name in names {
            rows.push(Row { optimizer: Some(name), bar: add(&template, name) });
        }
        let bars = Bars { head, rows, layout };
        bars.update(tally, Duration::ZERO);
        bars
    }

    fn update(&self, tally: &Tally, elapsed: Duration) {
        for row in &self.rows {
            let wanted = |c: &&Contest| row.optimizer.is_none_or(|name| c.optimizer == name);
            let own: Vec<&Contest> = tally.contests.iter().filter(wanted).collect();
            let left = match row.optimizer {
                Some(optimizer) => tally.left_of(optimizer, elapsed),
                None => tally.left_in_all(elapsed),
            };
            let [done, of] = runs(own.iter().copied());
            row.bar.set_length(of as u64);
            row.bar.set_position(done as u64);
            row.bar.set_message(self.layout.row(&own, left, row.optimizer.is_some()));
        }
    }
}

/// The widths of the columns.
struct Layout {
    name: usize,
    bar: usize,
    runs: usize,
    /// The tasks whose losses have a place, each with its width.
    tasks: Vec<(&'static str, usize)>,
}

/// The width of a title.
const DIVERGED: usize = 8;

impl Layout {
    /// Nothing is cut: a loss that has no place on the terminal is left out, and the bar takes the rest.
    fn new(tally: &Tally, names: &[&str], terminal: usize) -> Self {
        let name = names.iter().map(|n| n.len()).max().unwrap_or(0).max("optimizer".len());
        let [_, of] = tally.runs();
        let runs = format!("{of}/{of}").len();
        let columns = "  ".len() + CLOCK + "  ".len() + DIVERGED;
        let taken = name + " ".len() + " ".len() + runs + columns;
        // Some terminals go to the next line when the last column is written.
        let mut room = terminal.saturating_sub(taken + 1);
        let mut tasks: Vec<(&'static str, usize)> = Vec::new();
        for contest in &tally.contests {
            let width = contest.task.len().max(LOSS);
            let new = !tasks.iter().any(|(task, _)| *task == contest.task);
            if new && room < width + 2 + BAR[0] {
                break;
            }
            if new {
                tasks.push((contest.task, width));
                room -= width + 2;
            }
        }
        Layout { name, bar: room.clamp(BAR[0], BAR[1]), runs, tasks }
    }

    fn titles(&self) -> String {
        let tasks = self.tasks.iter().map(|(task, width)| format!("  {task:>width$}"));
        self.columns("runs", "left", "diverged") + &tasks.collect::<String>()
    }

    /// What stands after the bar.
    fn row(&self, own: &[&Contest], left: Option<Duration>, losses: bool) -> String {
        let diverged = match own.iter().map(|c| c.diverged).sum::<usize>() {
            0 => String::new(),
            n => n.to_string(),
        };
        let [done, of] = runs(own.iter().copied());
        let mut text = self.columns(&format!("{done}/{of}"), &clock(left), &diverged);
        for (task, width) in self.tasks.iter().filter(|_| losses) {
            let best = own.iter().find(|c| c.task == *task).map_or(f64::NAN, |c| c.best);
            let best = loss(best);
            text += &format!("  {best:>width$}");
        }
        text
    }

    fn columns(&self, runs: &str, left: &str, diverged: &str) -> String {
        format!("{runs:>0$}  {left:>CLOCK$}  {diverged:>DIVERGED$}", self.runs)
    }
}

/// The least and the largest width of a bar.
const BAR: [usize; 2] = [4, 24];

/// A template that does not parse would only cost the looks of the bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{optimizers, tasks};

    fn tally(names: &[&str]) -> Tally {
        let select = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        Tally::new(&Plan {
            tasks: tasks::select(&select(&["digits"]), None).unwrap(),
            optimizers: Some(optimizers::select(&select(names)).unwrap()),
            seeds: None,
            trials: None,
            budget: None,
            tune: Vec::new(),
            targets: Vec::new(),
            study: 0,
            workers: 1,
        })
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_nothing_is_cut() {
        let names = ["adamw", "schedule_free_adamw"];
        let tally = tally(&names);
        let contests: Vec<&Contest> = tally.contests.iter().collect();
        for (terminal, tasks, bar) in [(200, 2, 24), (80, 2, 6), (70, 1, 8), (55, 0, 9)] {
            let layout = Layout::new(&tally, &names, terminal);
            assert_eq!((layout.tasks.len(), layout.bar), (tasks, bar), "{terminal}");
            let before = layout.name + 1 + layout.bar + 1;
            let row = layout.row(&contests[..1], None, true);
            assert!(before + layout.titles().len() < terminal, "{}", layout.titles());
            assert_eq!(row.len(), layout.titles().len(), "{row}");
        }
        assert_eq!(Layout::new(&tally, &names, 0).bar, 4);
    }

    #[test]
    fn a_minute_of_silence_ends_with_a_line() {
        use crate::protocol::{RunSpec, train};
        let tally = &mut tally(&["adamw", "gd"]);
        let task = tally.contests[0].task;
        let task = tasks::select(&[task.to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["gd".to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 0.1)], 1, 2);
        let run = train(&spec, &(task.open)(task).unwrap(), Phase::Screening).unwrap();
        let minute = Duration::from_secs(60);
        tally.ended(Phase::Screening, &run, minute);
        assert!(plain(tally, &run, minute, minute / 2).is_empty());
        let lines = plain(tally, &run, minute, minute);
        assert!(lines.len() == 1 && lines[0].starts_with("1 of "), "{lines:?}");
    }

    #[test]
    fn a_row_tells_runs_time_divergences_and_the_best_of_each_task() {
        let mut tally = tally(&["adamw", "gd"]);
        (tally.contests[0].done, tally.contests[0].diverged) = (5, 2);
        tally.contests[0].best = 0.25;
        let layout = Layout::new(&tally, &["adamw", "gd"], 100);
        let own: Vec<&Contest> = tally.of("adamw").collect();
        let row = layout.row(&own, Some(Duration::from_secs(65)), true);
        let of: usize = own.iter().map(|c| c.of).sum();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, [&format!("5/{of}"), "1:05", "2", "0.2500", "-"]);
    }
}
