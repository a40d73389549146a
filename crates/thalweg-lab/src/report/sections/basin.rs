//! How much the learning rate matters, and the other hyper-parameters with it.

use super::{Part, Section};
use crate::protocol::stats::basin::Basin;
use crate::protocol::{Standing, TaskOutcome, Trial};
use crate::report::draw::{Axis, Mark, Name, Panel, Parallel, Point, Scale, Shape, Shared, frame};
use crate::report::figure::{Figure, table};
use crate::report::markup::{count, number};
use crate::report::shown::Shown;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "basin", "How forgiving is the learning rate?", |task| {
        let (several, single): (Vec<_>, Vec<_>) =
            task.standings.iter().partition(|s| s.ranges.len() > 1);
        let mut parts: Vec<Part> = Vec::new();
        if single.len() + several.len() > 0 {
            parts.extend(panels(view, task).map(Part::from));
        }
        if !several.is_empty() {
            parts.push(parallel(view, task, &several).into());
        }
        parts
    })
}

/// The hyper-parameter that is drawn: the learning rate, or else the first that was tuned.
fn main_hyper(s: &Standing) -> Option<&'static str> {
    s.ranges.iter().find(|r| r.hyper == "lr").or(s.ranges.first()).map(|r| r.hyper)
}

fn value(pairs: &[(&'static str, f64)], hyper: &str) -> f64 {
    pairs.iter().find(|(h, _)| *h == hyper).map_or(f64::NAN, |h| h.1)
}

/// By what a trial is judged.
fn judged(task: &TaskOutcome) -> String {
    let judged =
        if task.noisy { "mean validation loss at its end" } else { "lowest validation loss" };
    Shown(task.scale).label(judged)
}

/// The result of a trial, as it is drawn.
fn result(task: &TaskOutcome, trial: &Trial) -> f64 {
    Shown(task.scale).loss(trial.validation_loss)
}

/// Above the loss of the untrained model there is nothing to tell apart.
fn ceiling(task: &TaskOutcome) -> f64 {
    let starts = task.standings.iter().filter_map(|s| s.curve.first());
    let starts = starts.map(|p| p.validation_loss.high).filter(|v| v.is_finite());
    let highest = Shown(task.scale).loss(starts.fold(task.initial_loss, f64::max));
    highest + 0.2 * highest.abs()
}

fn loss_axis(task: &TaskOutcome, from: f64, to: f64) -> Axis {
    let ceiling = ceiling(task);
    let losses = task.standings.iter().flat_map(|s| &s.trials).map(|t| result(task, t));
    let shown = losses.filter(|l| *l <= ceiling).chain([ceiling]);
    Axis::new(Shown(task.scale).axis(shown.clone()), shown, from, to)
}

/// The axis with room below the best trial, or its ring would cover the labels of the other axis.
fn above_labels(axis: Axis) -> Axis {
    const ROOM: f64 = 0.08;
    let ([low, high], [from, to]) = (axis.range(), axis.pixels());
    let lower = match axis.scale() {
        Scale::Log => low * (low / high).powf(ROOM),
        Scale::Linear => low - ROOM * (high - low),
    };
    Axis::between(axis.scale(), [lower, high], from, to)
}

fn panels(view: &View<'_>, task: &TaskOutcome) -> Option<Figure> {
    let y = above_labels(loss_axis(task, Panel::BOTTOM, Panel::TOP));
    let frame = frame(id(&[task.task, "basin-frame"]), &y, None, &[]);
    let drawn: Vec<_> = task.standings.iter().filter_map(|s| Some((s, main_hyper(s)?))).collect();
    if drawn.is_empty() {
        return None;
    }
    let (drawn, left_out) = view.detail.panels(drawn);
    let panels = drawn.into_iter().map(|(s, h)| panel(view, task, s, h, (y, &frame))).collect();
    let rows = task.standings.iter().map(|s| {
        let of = |f: &dyn Fn(&Basin) -> String| s.basin.as_ref().map_or_else(|| "–".to_owned(), f);
        vec![
            s.optimizer.to_owned(),
            main_hyper(s).map_or(String::new(), |h| format!("{h} {}", number(value(&s.chosen, h)))),
            of(&|b| format!("{}{}", number(b.decades), if b.open { " or more" } else { "" })),
            of(&|b| format!("{} to {}", number(b.low), number(b.high))),
            of(&|b| b.cliff.map_or("none met".to_owned(), |(_, rate)| number(rate))),
        ]
    });
    Some(Figure {
        id: id(&[task.task, "basin"]),
        title: format!("Every tuning trial on {}: {}", task.task, judged(task)),
        caption: format!(
            "Each dot is a tuning trial: its {} over the value of the named \
                  hyper-parameter, in all of the range that was searched. The ring marks the trial that was chosen, a \
                  cross a trial that diverged or stayed above the loss of the untrained model. All panels \
                  share the vertical axis. The shaded stretch is the basin: the rates around the chosen one (or \
                  the best one, if that is not among them) that keep at least 95 % of the best trial's way \
                  down from the initial loss. A wide one forgives a bad guess.{left_out}",
            judged(task),
        ),
        pictures: panels,
        table: table(&["optimizer", "chosen", "basin, decades", "basin", "diverges from"], rows),
        live: None,
    })
}

fn panel(
    view: &View<'_>,
    task: &TaskOutcome,
    s: &Standing,
    hyper: &str,
    (y, frame): (Axis, &Shared),
) -> String {
    let range = s.ranges.iter().find(|r| r.hyper == hyper);
    let ends = range.map_or([1.0, 10.0], |r| [r.low, r.high]);
    let chosen = value(&s.chosen, hyper);
    let mut trials: Vec<(f64, &Trial)> =
        s.trials.iter().map(|t| (value(&t.hypers, hyper), t)).collect();
    trials.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut marks = Vec::new();
    for (at, trial) in &trials {
        let loss = result(task, trial);
        match y.shows(loss) {
            true => marks.push(Mark::Dot(*at, loss)),
            false => marks.push(Mark::Cross(*at)),
        }
        if *at == chosen {
            marks.push(Mark::Ring(*at, loss));
        }
    }
    // With several tuned hyper-parameters neighbours differ in the others too: no line then.
    let line = match s.ranges.len() {
        1 => {
            let losses = trials.iter().map(|(at, t)| Point::bare(*at, result(task, t)));
            losses.filter(|p| y.shows(p.y)).collect()
        }
        _ => Vec::new(),
    };
    let description = format!(
        "{} over {hyper} from {} to {}, each by its {}; chosen: {}.",
        count(s.trials.len(), "trial"),
        number(ends[0]),
        number(ends[1]),
        judged(task),
        number(chosen)
    );
    let panel = Panel {
        name: Name::new(
            id(&[task.task, "lr", s.optimizer]),
            format!("{}: {hyper} of {}", task.task, s.optimizer),
            description,
        ),
        heading: s.optimizer,
        look: view.look(s.optimizer),
        x: Axis::between(Scale::Log, ends, Panel::LEFT, Panel::RIGHT),
        y,
        x_label: Some(hyper),
        frame,
        line,
        shape: Shape::Straight,
        marks,
        shaded: s.basin.filter(|_| hyper == "lr").map(|b| [b.low, b.high]),
    };
    panel.render()
}

fn parallel(view: &View<'_>, task: &TaskOutcome, several: &[&Standing]) -> Figure {
    let losses = loss_axis(task, Parallel::BOTTOM, Parallel::TOP);
    let picture = |s: &&Standing| {
        let hypers = s.ranges.iter().map(|r| {
            let axis = Axis::between(Scale::Log, [r.low, r.high], Parallel::BOTTOM, Parallel::TOP);
            (r.hyper, axis)
        });
        let trials = s.trials.iter().map(|t| {
            let values = s.ranges.iter().map(|r| value(&t.hypers, r.hyper));
            (values.chain([result(task, t)]).collect(), t.hypers == s.chosen)
        });
        let picture = Parallel {
            name: Name::new(
                id(&[task.task, "parallel", s.optimizer]),
                format!("Trials of {} on {}", s.optimizer, task.task),
                format!(
                    "{} trials as lines over {} hyper-parameters and the validation loss.",
                    s.trials.len(),
                    s.ranges.len()
                ),
            ),
            heading: s.optimizer,
            look: view.look(s.optimizer),
            axes: hypers.chain([("loss", losses)]).collect(),
            trials: trials.collect(),
        };
        picture.render()
    };
    let (shown, left_out) = view.detail.panels(several.to_vec());
    Figure {
        id: id(&[task.task, "parallel"]),
        title: format!("Trials with several hyper-parameters on {}", task.task),
        caption: format!(
            "A line is a trial: its hyper-parameters from the left, its {} at the right. \
             The thick line was chosen; a cross marks a divergence.{left_out}",
            judged(task),
        ),
        pictures: shown.iter().map(picture).collect(),
        table: String::new(),
        live: None,
    }
}
