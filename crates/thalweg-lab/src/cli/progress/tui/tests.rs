//! States and their pictures.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

#[cfg(unix)]
#[path = "../../../../tests/pty/mod.rs"]
mod pty;

use super::draw::draw;
use super::look::Look;
use super::state::{Move, State};
use super::*;
use crate::diagnosis::{Finding, Kind, Severity};
use crate::protocol::{Divergence, Point, RunSpec};
use crate::tasks::Measurement;
use crate::{optimizers, tasks};

const NAMES: [&str; 3] = ["adamw", "gd", "momentum"];

fn plan(optimizers: &[&str]) -> Plan {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    Plan {
        tasks: tasks::select(&names(&["digits-softmax", "digits-mlp"]), None).unwrap(),
        optimizers: Some(optimizers::select(&names(optimizers)).unwrap()),
        seeds: Some(3),
        trials: Some(4),
        budget: Some(100),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    }
}

fn state() -> State {
    State::new(&plan(&NAMES))
}

/// A run of `NAMES[optimizer]` on the first task with these validation losses, as many steps apart as
/// leads to the end. The last loss is the best.
fn run(optimizer: usize, seed: u64, losses: &[f64]) -> Run {
    let plan = plan(&NAMES);
    let entry = plan.optimizers.as_ref().unwrap()[optimizer].clone();
    let spec = RunSpec::new(plan.tasks[0], &entry, vec![("lr", 0.125)], seed, 100);
    let point = |(i, loss): (usize, &f64)| Point {
        step: 100 * i / (losses.len() - 1).max(1),
        seconds: 0.5,
        train_loss: None,
        validation: Measurement { loss: *loss, metric: None },
    };
    let points: Vec<Point> = losses.iter().enumerate().map(point).collect();
    Run {
        spec,
        best: points.last().copied(),
        points,
        divergence: None,
        test: None,
        gradient_seconds: 1.5,
        optimizer_seconds: 0.5,
        gradients: 100,
        trajectory: Vec::new(),
        stride: 1,
        probes: Vec::new(),
        findings: Vec::new(),
    }
}

fn diverged(optimizer: usize, seed: u64, losses: &[f64]) -> Run {
    let divergence = Some(Divergence { step: 7, reason: "not finite".to_owned() });
    Run { divergence, ..run(optimizer, seed, losses) }
}

fn finding(kind: Kind, severity: Severity, what: &str) -> Finding {
    Finding {
        kind,
        severity,
        parameter: Some("w".to_owned()),
        since: 1,
        measured: 0.5,
        threshold: 0.1,
        beyond: 3,
        probes: 3,
        interval: [0.4, 1.0],
        what: what.to_owned(),
        change: String::new(),
        figure: String::new(),
        seeds: 1,
        seeds_of: 1,
    }
}

fn end(state: &mut State, run: &Run) {
    state.ended(Phase::Screening, run, Duration::from_secs(4));
}

fn picture(state: &State, [width, height]: [u16; 2], look: Look) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, look, Duration::from_secs(4))).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(picture: &Buffer) -> Vec<String> {
    let width = usize::from(picture.area.width);
    let rows = picture.content.chunks(width);
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
}

fn text(state: &State, size: [u16; 2]) -> String {
    lines(&picture(state, size, Look::Full)).join("\n")
}

/// The line of the table that is about an optimizer.
fn row(text: &str, optimizer: &str) -> Vec<String> {
    let found = text.lines().find(|line| line.contains(&format!(" {optimizer} "))).unwrap();
    let cells = found.split('│').nth(1).unwrap().split_whitespace();
    cells.map(str::to_owned).collect()
}

/// The cells in which curves are drawn.
fn dots(text: &str) -> usize {
    text.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count()
}

const SIZE: [u16; 2] = [120, 30];

#[test]
fn before_the_first_measurement_everything_is_in_place() {
    let text = text(&state(), SIZE);
    for name in NAMES {
        assert_eq!(row(&text, name)[1..], [name, "-", "0/14", "-"], "{text}");
    }
    for part in ["No run has been measured yet", "Nothing found", "0 of 84 runs", "digits-mlp 0/42"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(dots(&text), 0);
}

#[test]
fn the_best_run_of_each_optimizer_is_drawn_and_the_best_optimizer_is_first() {
    let mut state = state();
    end(&mut state, &run(0, 0, &[2.0, 1.0]));
    end(&mut state, &run(1, 0, &[2.0, 0.5]));
    end(&mut state, &run(1, 1, &[2.0, 1.5]));
    let text = text(&state, SIZE);
    assert_eq!(row(&text, "gd")[..4], ["b", "gd", "0.5000", "2/14"]);
    assert_eq!(row(&text, "adamw")[..4], ["a", "adamw", "1.0000", "1/14"]);
    let place = |name: &str| text.find(&format!(" {name} ")).unwrap();
    assert!(place("gd") < place("adamw") && place("adamw") < place("momentum"));
    assert!(dots(&text) > 20, "{text}");
    // The curves end at the right edge, each with its letter: the worse one at the middle.
    let ends: Vec<usize> = ["a│", "b│"]
        .iter()
        .map(|end| {
            text.lines().position(|line| line.ends_with(end)).unwrap_or_else(|| panic!("{text}"))
        })
        .collect();
    assert!(ends[0] < ends[1]);
}

#[test]
fn a_run_in_hand_is_a_curve_until_it_ends() {
    let mut state = state();
    state.measured(&run(2, 0, &[2.0, 1.0]));
    state.measured(&run(2, 0, &[2.0, 1.0, 0.75]));
    assert_eq!(state.rows()[2].curves.hands.len(), 1);
    assert!(text(&state, SIZE).contains("c│"));
    end(&mut state, &diverged(2, 0, &[2.0, 9.0]));
    assert!(state.rows()[2].curves.hands.is_empty());
    assert_eq!(dots(&text(&state, SIZE)), 0);
}

#[test]
fn an_optimizer_that_only_diverged_has_a_count_and_no_curve() {
    let mut state = state();
    end(&mut state, &diverged(0, 0, &[2.0, f64::INFINITY]));
    end(&mut state, &diverged(0, 1, &[2.0, f64::NAN]));
    end(&mut state, &run(1, 0, &[2.0, 1.0]));
    let text = text(&state, SIZE);
    let cells = row(&text, "adamw");
    assert_eq!(
        (&cells[1..4], cells[5].as_str()),
        (&["adamw", "-", "2/14"].map(str::to_owned)[..], "2")
    );
    assert!(!text.contains("a│"), "{text}");
    state.go(Move::Down);
    state.go(Move::Down);
    assert!(self::text(&state, SIZE).contains("No run of it has ended well yet"));
}

#[test]
fn losses_that_are_not_numbers_leave_gaps() {
    let mut state = state();
    end(&mut state, &run(0, 0, &[2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0]));
    let picture = text(&state, SIZE);
    assert_eq!(dots(&picture), 1, "{picture}");
    assert!(picture.contains("2.0000") && picture.contains("a│"));
    let mut state = self::state();
    state.measured(&run(0, 0, &[f64::NAN, f64::INFINITY]));
    assert_eq!(dots(&text(&state, SIZE)), 0);
}

#[test]
fn the_axis_is_logarithmic_where_that_shows_more() {
    let axis = |losses: &[f64]| {
        let mut state = state();
        end(&mut state, &run(0, 0, losses));
        text(&state, SIZE)
    };
    let wide = axis(&[100.0, 0.01]);
    assert!(wide.contains("log scale") && wide.contains("│1.0000 "), "{wide}");
    let narrow = axis(&[2.0, 1.0]);
    assert!(!narrow.contains("log scale") && narrow.contains("│1.5000 "), "{narrow}");
    assert!(!axis(&[100.0, -1.0]).contains("log scale"));
    assert!(axis(&[0.0, 0.0]).contains("a│"));
    assert!(axis(&[1e300, -1e300]).contains("a│"));
}

#[test]
fn what_the_doctor_finds_is_told_once_with_its_seeds() {
    let mut state = state();
    let noted = finding(Kind::SlowProgress, Severity::Note, "It crawls.");
    let lost = finding(Kind::Oscillation, Severity::Critical, "It rocks.");
    let stored = finding(Kind::UnderflowF16, Severity::Warning, "f16 would lose.");
    for seed in [1, 2] {
        let findings = vec![noted.clone(), stored.clone()];
        let run = Run { findings, ..run(0, seed, &[2.0, 1.0]) };
        state.ended(Phase::Final, &run, Duration::from_secs(4));
    }
    let run = Run { findings: vec![lost], ..run(1, 1, &[2.0, 1.5]) };
    state.ended(Phase::Final, &run, Duration::from_secs(4));
    let all = text(&state, SIZE);
    assert!(all.contains("doctor: 2 found") && !all.contains("f16"), "{all}");
    let [rocks, crawls] =
        ["critical gd, 1 seed: It rocks.", "note adamw, 2 seeds: It crawls."].map(|t| all.find(t));
    assert!(rocks.unwrap() < crawls.unwrap());
    state.go(Move::Down);
    let own = text(&state, SIZE);
    assert!(own.contains("It crawls") && !own.contains("It rocks"), "{own}");
    assert!(own.contains("1.0000 after 100 gradients, with lr"), "{own}");
    state.go(Move::NextTask);
    assert!(text(&state, SIZE).contains("Nothing found"));
}

#[test]
fn what_the_trials_refute_is_no_warning() {
    let mut state = state();
    let slow = Finding {
        change: "Raise the learning rate, by a factor of 3 to 10.".to_owned(),
        ..finding(Kind::SlowProgress, Severity::Warning, "It crawls.")
    };
    // Three times the rate ended higher.
    let mut faster = run(0, 0, &[2.0, 1.5]);
    faster.spec.hypers[0].1 *= 3.0;
    end(&mut state, &run(0, 0, &[2.0, 1.0]));
    end(&mut state, &faster);
    let run = Run { findings: vec![slow], ..run(0, 1, &[2.0, 1.0]) };
    state.ended(Phase::Final, &run, Duration::from_secs(4));
    let text = text(&state, SIZE);
    assert!(text.contains("note adamw, 1 seed: It crawls."), "{text}");
}

#[test]
fn keys_move_between_tasks_and_optimizers() {
    let mut state = state();
    assert_eq!(state.task().name, "digits-softmax");
    state.go(Move::PreviousTask);
    assert_eq!(state.task().name, "digits-mlp");
    state.go(Move::NextTask);
    assert_eq!(state.task().name, "digits-softmax");
    let chosen =
        |state: &State| state.rows().iter().find(|r| r.selected).map(|r| r.contest.optimizer);
    state.go(Move::Up);
    assert_eq!(chosen(&state), Some("momentum"));
    state.go(Move::Down);
    assert_eq!(chosen(&state), Some("momentum"));
    // The selection is an optimizer, wherever the table puts it.
    end(&mut state, &run(2, 0, &[2.0, 1.0]));
    assert_eq!(state.rows()[0].contest.optimizer, "momentum");
    assert_eq!(chosen(&state), Some("momentum"));
    state.go(Move::Back);
    assert_eq!(chosen(&state), None);
    state.go(Move::Help);
    assert!(text(&state, SIZE).contains("finish the runs in hand"));
    state.go(Move::Back);
    assert!(!text(&state, SIZE).contains("finish the runs in hand"));
    assert_eq!([meant(KeyCode::Tab), meant(KeyCode::Char('x'))], [Some(Move::NextTask), None]);
}

#[test]
fn the_selected_curve_differs_without_colour() {
    let mut state = state();
    end(&mut state, &run(0, 0, &[2.0, 1.0]));
    assert!(!text(&state, SIZE).contains('•'));
    state.go(Move::Down);
    assert!(text(&state, SIZE).contains('•'));
    let picture = picture(&state, SIZE, Look::Plain);
    let reversed = |symbol: &str| {
        let cells = picture.content.iter();
        cells.filter(|c| c.symbol() == symbol && c.modifier.contains(Modifier::REVERSED)).count()
    };
    // In the table and at the end of the curve.
    assert!(reversed("a") >= 2);
}

#[test]
fn without_colour_there_is_none_and_with_it_each_optimizer_has_its_own() {
    let mut state = state();
    for optimizer in 0..3 {
        end(&mut state, &run(optimizer, 0, &[2.0, 1.0 + 0.1 * optimizer as f64]));
        end(&mut state, &diverged(optimizer, 1, &[2.0]));
    }
    let colours = |look| {
        let cells = picture(&state, SIZE, look).content;
        let colours = cells.iter().flat_map(|c| [c.fg, c.bg]).filter(|c| *c != Color::Reset);
        colours.collect::<std::collections::HashSet<_>>()
    };
    assert!(colours(Look::Plain).is_empty());
    // Of the three optimizers, and of what is bad.
    assert_eq!(colours(Look::Full).len(), 4);
    assert_eq!(colours(Look::Indexed).len(), 4);
}

#[test]
fn of_many_optimizers_the_best_have_letters() {
    let mut state = State::new(&plan(&["all"]));
    let plan = plan(&["all"]);
    let entries = plan.entries(plan.tasks[0]);
    assert!(entries.len() > 20);
    for (i, entry) in entries.iter().enumerate() {
        let mut run = run(0, 0, &[2.0, 1.0 + 0.01 * i as f64]);
        run.spec.optimizer = entry.name;
        end(&mut state, &run);
    }
    let lettered = |state: &State| {
        let picture = picture(state, SIZE, Look::Plain);
        let bold = picture.content.iter().filter(|c| c.modifier.contains(Modifier::BOLD));
        bold.filter(|c| c.symbol().chars().all(char::is_alphabetic)).count()
    };
    assert_eq!(lettered(&state), 7);
    state.go(Move::Up);
    assert_eq!(lettered(&state), 8);
    // The table has scrolled down to the selected one.
    let last = entries.last().unwrap().name;
    assert!(text(&state, SIZE).contains(last));
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    let mut state = state();
    end(&mut state, &run(0, 0, &[2.0, 1.0]));
    let findings = vec![finding(Kind::Oscillation, Severity::Warning, "It rocks.")];
    state.ended(Phase::Final, &Run { findings, ..run(1, 1, &[2.0, 1.5]) }, Duration::ZERO);
    state.go(Move::Down);
    let widths = [1, 2, 3, 5, 8, 13, 20, 40, 57, 80, 109, 110, 111, 300];
    for help in [false, true] {
        state.help = help;
        for width in widths {
            for height in (1..30).chain([100]) {
                picture(&state, [width, height], Look::Full);
            }
        }
    }
    state.help = false;
    let tiny = text(&state, [20, 5]);
    for part in ["digits-softmax", "of 84 runs", "a adamw", "1.0000", "b gd"] {
        assert!(tiny.contains(part), "{part}\n{tiny}");
    }
    let small = text(&state, [80, 24]);
    for part in ["adamw", "validation loss", "a\n", "Nothing found", "? keys"] {
        assert!(small.contains(part), "{part}\n{small}");
    }
}

#[test]
fn a_stop_is_announced() {
    let mut state = state();
    assert!(text(&state, SIZE).contains("q end with a report"));
    let how = "stopping after the runs in hand; Ctrl-C again gives them up";
    state.stopping = Some(how);
    let text = text(&state, [80, 24]);
    assert!(text.contains(how) && text.contains("q give up"), "{text}");
}

/// The test starts itself on a terminal, where a run panics.
#[cfg(unix)]
#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    const PANIC: &str = "THALWEG_TEST_PANIC";
    if std::env::var_os(PANIC).is_some() {
        let screen = Screen::open().unwrap();
        watch(screen, &plan(&NAMES), |observer| {
            let work = |number: &usize| -> crate::Result<()> {
                observer.ended(Phase::Screening, &run(*number, 0, &[2.0, 1.0]));
                std::thread::sleep(3 * FRAME);
                panic!("on purpose");
            };
            crate::protocol::in_parallel(2, vec![0, 1], work)
        })
        .unwrap();
        return;
    }
    let terminal = pty::Pty::open();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "a_panic_gives_the_terminal_back_before_it_is_told";
    command.args([name, "--nocapture"]).env(PANIC, "").stdout(std::process::Stdio::null());
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("adamw");
    assert!(!terminal.is_ordinary());
    assert!(!pty::ended(&mut child).success());
    assert!(terminal.is_ordinary());
    terminal.wait_for("on purpose");
    let text = terminal.text();
    let (before, after) = text.split_once("on purpose").unwrap();
    assert!(before.contains("\u{1b}[?1049l\u{1b}[?25h"), "{text:?}");
    // Nothing is drawn over the message, though the cursor may be shown once more.
    assert!(!after.replace("\u{1b}[?25h", "").contains('\u{1b}'), "{text:?}");
}
