//! Progress on stderr: one bar per optimizer on a terminal; elsewhere a line per finished optimizer and
//! one per tenth of all runs.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::optimizers::Entry;
use crate::protocol::{Observer, Phase, Plan, Run};

/// Shows how far each optimizer is.
pub(super) struct Progress {
    mode: Mode,
    lines: Mutex<HashMap<&'static str, Line>>,
    start: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Silent,
    Plain,
    Bars,
}

struct Line {
    bar: ProgressBar,
    done: usize,
    of: usize,
    diverged: usize,
    /// The lowest validation loss on each task, in the order in which tasks first ended.
    best: Vec<(&'static str, f64)>,
}

impl Line {
    fn describe(&self) -> String {
        let best: Vec<String> =
            self.best.iter().map(|(task, loss)| format!("{task} {loss:.4}")).collect();
        let diverged = match self.diverged {
            0 => String::new(),
            n => format!(", {n} diverged"),
        };
        format!("{}{diverged}", best.join(", "))
    }
}

impl Progress {
    pub(super) fn new(plan: &Plan, quiet: bool) -> Self {
        let mode = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Silent,
            (_, true) => Mode::Bars,
            _ => Mode::Plain,
        };
        let target = match mode {
            Mode::Bars => ProgressDrawTarget::stderr_with_hz(10),
            _ => ProgressDrawTarget::hidden(),
        };
        let bars = MultiProgress::with_draw_target(target);
        let runs = plan.runs();
        let widest = runs.iter().map(|(e, _)| e.name.len()).max().unwrap_or(0);
        // A template that does not parse would only cost the looks of the bar.
        let style = ProgressStyle::with_template(
            "{prefix:.bold} {bar:24.cyan} {pos:>3}/{len} {elapsed:>4} eta {eta:>4}  {wide_msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─");
        let line = |(entry, of): &(Entry, usize)| {
            let of = *of;
            let bar = bars.add(ProgressBar::new(of as u64).with_style(style.clone()));
            bar.set_prefix(format!("{:widest$}", entry.name));
            bar.tick();
            (entry.name, Line { bar, done: 0, of, diverged: 0, best: Vec::new() })
        };
        let lines = Mutex::new(runs.iter().map(line).collect());
        Progress { mode, lines, start: Instant::now() }
    }

    /// Leaves the bars as they are.
    pub(super) fn close(&self) {
        for line in self.lines.lock().unwrap_or_else(PoisonError::into_inner).values() {
            line.bar.abandon();
        }
    }
}

impl Observer for Progress {
    fn added(&self, optimizer: &'static str, runs: usize) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = lines.get_mut(optimizer) else { return };
        line.of += runs;
        line.bar.inc_length(runs as u64);
    }

    fn ended(&self, _phase: Phase, run: &Run) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = lines.get_mut(run.spec.optimizer) else { return };
        line.done += 1;
        line.diverged += usize::from(run.divergence.is_some());
        let (task, loss) = (run.spec.task.name, run.validation_loss());
        match line.best.iter_mut().find(|(name, _)| *name == task) {
            Some((_, best)) => *best = best.min(loss),
            None => line.best.push((task, loss)),
        }
        line.bar.set_message(line.describe());
        line.bar.inc(1);
        if self.mode != Mode::Plain {
            return;
        }
        if line.done == line.of {
            eprintln!("{}: {} runs, {}", run.spec.optimizer, line.of, line.describe());
        }
        let count = |part: fn(&Line) -> usize| lines.values().map(part).sum::<usize>();
        let (done, of) = (count(|l| l.done), count(|l| l.of));
        if of >= 10 && done * 10 / of > (done - 1) * 10 / of {
            let seconds = self.start.elapsed().as_secs_f64();
            eprintln!("{done} of {of} runs after {seconds:.0} s, now {task}");
        }
    }
}
