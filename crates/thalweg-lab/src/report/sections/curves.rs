//! What happened over the run, on four clocks.

use serde_json::json;

use super::{Part, Section, has_runs, no_runs};
use crate::protocol::stats::scale as protocol;
use crate::protocol::{Band, CurvePoint, Standing, TaskOutcome};
use crate::report::detail::Detail;
use crate::report::draw::{
    Axis, Line, LineChart, Name, Panel, Point, Role, Scale, Shape, decimate, frame,
};
use crate::report::figure::{Figure, table};
use crate::report::markup::{count, escape, number};
use crate::report::shown::Shown;
use crate::report::view::{View, id};

/// What is drawn.
struct Measure {
    key: &'static str,
    title: &'static str,
    label: &'static str,
    value: fn(&CurvePoint) -> Option<Band>,
    /// A validation loss is shown as the ranking shows test losses; the rest has no smallest value.
    shown: Shown,
}

impl Measure {
    /// What the vertical axis is called.
    fn label(&self) -> String {
        self.shown.label(self.label)
    }
}

/// The measures of a task's curves.
pub(in crate::report) fn drawn(task: &TaskOutcome) -> Vec<&'static str> {
    measures(task).iter().map(|m| m.key).collect()
}

/// What it is drawn over.
struct Clock {
    key: &'static str,
    title: &'static str,
    label: &'static str,
    value: fn(&CurvePoint) -> f64,
}

/// What is drawn of a task: a formula has one loss, and not every task has a metric.
fn measures(task: &TaskOutcome) -> Vec<Measure> {
    let plain = Shown(protocol::Scale::Plain);
    let train = Measure {
        key: "train",
        title: "Training loss",
        label: "training loss",
        value: |p| p.train_loss,
        shown: plain,
    };
    let validation = Measure {
        key: "validation",
        title: "Validation loss",
        label: "validation loss",
        value: |p| Some(p.validation_loss),
        shown: Shown(task.scale),
    };
    let points = || task.standings.iter().flat_map(|s| &s.curve);
    if task.data.is_empty() {
        return vec![Measure { title: "Loss", label: "loss", ..validation }];
    }
    let mut measures = vec![validation, train];
    if points().any(|p| p.validation_error.is_some()) {
        measures.push(Measure {
            key: "metric",
            title: "Validation error",
            label: "share of validation errors",
            value: |p| p.validation_error,
            shown: plain,
        });
    } else if let Some(metric) =
        task.metric.filter(|_| points().any(|p| p.validation_metric.is_some()))
    {
        measures.push(Measure {
            key: "metric",
            title: "Validation metric",
            label: metric.name,
            value: |p| p.validation_metric,
            shown: plain,
        });
    }
    measures
}

/// The first is shown until the reader chooses: it is the one on which all are given the same.
const CLOCKS: [Clock; 4] = [
    Clock {
        key: "gradients",
        title: "gradient evaluations",
        label: "gradient evaluations",
        value: |p| p.gradients as f64,
    },
    Clock { key: "steps", title: "steps", label: "steps", value: |p| p.step as f64 },
    Clock {
        key: "samples",
        title: "samples",
        label: "training examples seen",
        value: |p| p.samples as f64,
    },
    Clock {
        key: "seconds",
        title: "seconds",
        label: "seconds of gradients and steps on one core",
        value: |p| p.seconds,
    },
];

/// The small pictures show losses up to so many times the first.
const RISE: f64 = 100.0;

/// The most points of a line in a small picture: two for every other of its pixels.
const PANEL_POINTS: usize = 160;

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "curves", "Over the run", |task| {
        if !has_runs(task) {
            return vec![no_runs()];
        }
        let measures = measures(task);
        let mut parts = vec![Part::Html(format!("<p class=\"caption\">{}</p>\n", means(task)))];
        parts.extend(measures.iter().map(|m| clocks(view, task, m)));
        parts.extend(measures.first().map(|m| Part::from(multiples(view, task, m))));
        parts
    })
    .saying(
        "<p>Each line is a mean over the seeds; the band of the first three reaches from the lowest to \
         the highest seed. Choose the clock above each figure.</p>",
    )
}

/// Which mean the lines are, as the ranking has it, and which of them end early.
fn means(task: &TaskOutcome) -> String {
    let mean = match task.scale {
        protocol::Scale::Plain => {
            "Means over the seeds are arithmetic, as in the ranking.".to_owned()
        }
        protocol::Scale::Above(minimum) => format!(
            "Means of the loss are geometric ones of what is left above the smallest loss, {}, as in the \
             ranking, and that is what is drawn.",
            number(minimum)
        ),
    };
    let early = ended(task);
    if early.is_empty() { mean } else { format!("{mean} {}", escape(&early)) }
}

/// Whose means end before the budget does, and why; empty if nobody's.
fn ended(task: &TaskOutcome) -> String {
    let diverged = task.standings.iter().filter(|s| s.diverged_seeds > 0);
    let each: Vec<String> = diverged
        .map(|s| format!("{} ({} of {})", s.optimizer, s.diverged_seeds, s.seeds.len()))
        .collect();
    match each.len() {
        0 => String::new(),
        _ => format!(
            "A mean ends where the first of its seeds diverged: those of {} (diverged seeds of all).",
            each.join(", ")
        ),
    }
}

fn clocks(view: &View<'_>, task: &TaskOutcome, measure: &Measure) -> Part {
    let samples = task.standings.iter().flat_map(|s| &s.curve).any(|p| p.samples > 0);
    let clocks = CLOCKS.iter().filter(|c| samples || c.key != "samples");
    let figures = clocks.map(|c| (c.title, figure(view, task, measure, c))).collect();
    Part::Clocks(measure.title, figures)
}

/// Every point of a curve.
fn points(s: &Standing, measure: &Measure, clock: &Clock) -> Vec<Point> {
    let point = |p: &CurvePoint| {
        let Band { mean, low, high } = measure.shown.band((measure.value)(p)?);
        Some(Point { x: (clock.value)(p), y: mean, low, high })
    };
    s.curve.iter().filter_map(point).collect()
}

/// As many points of a curve as are drawn.
fn thinned(detail: Detail, s: &Standing, measure: &Measure, clock: &Clock) -> Vec<Point> {
    let all = points(s, measure, clock);
    let heights: Vec<f64> = all.iter().map(|p| p.y).collect();
    decimate(&heights, detail.points).into_iter().map(|i| all[i]).collect()
}

fn figure(view: &View<'_>, task: &TaskOutcome, measure: &Measure, clock: &Clock) -> Figure {
    let lines: Vec<Line<'_>> = task
        .ran()
        .map(|s| Line {
            name: s.optimizer,
            look: view.look(s.optimizer),
            role: view.role(task, s),
            points: thinned(view.detail, s, measure, clock),
            mark: None,
        })
        .collect();
    let scale = measure.shown.axis(lines.iter().flat_map(|l| &l.points).map(|p| p.y));
    let title = format!("{} of {} over {}", measure.title, task.task, clock.title);
    let id = id(&[task.task, measure.key, clock.key]);
    let best = lines.first().and_then(|l| Some((l.name, l.points.last()?.y)));
    let ending = best.map_or_else(String::new, |(name, value)| {
        format!("The line of the first-ranked, {name}, ends at {}.", number(value))
    });
    let first = clock.key == CLOCKS[0].key;
    let mut description = vec![
        format!(
            "One line per optimizer, {} in all, the mean over {}.",
            lines.len(),
            count(task.seeds.len(), "seed")
        ),
        ended(task),
        ending,
    ];
    if first {
        description.push("The table below the picture holds the numbers.".to_owned());
    }
    description.retain(|sentence| !sentence.is_empty());
    let leads: Vec<&str> = names(&lines, &[Role::Lead]);
    let named: Vec<&str> = names(&lines, &[Role::Lead, Role::Label]);
    let live = json!({
        "kind": "runs", "task": view.tasks().iter().position(|t| t.task == task.task),
        "measure": measure.key, "clock": clock.key, "x": clock.label, "y": measure.label(),
        "log": scale == Scale::Log, "leads": leads, "named": named,
    });
    let numbers = if first { numbers(task, measure, clock) } else { String::new() };
    let chart = LineChart {
        name: Name::new(&id, &title, description.join(" ")),
        x_label: clock.label.to_owned(),
        y_label: scale.label(&measure.label()),
        x_scale: Scale::Linear,
        y_scale: scale,
        y_range: None,
        shape: Shape::Straight,
        lines,
    };
    Figure {
        caption: String::new(),
        pictures: vec![chart.render()],
        table: numbers,
        live: view.detail.runs.then_some(live),
        id,
        title,
    }
}

fn names<'a>(lines: &[Line<'a>], roles: &[Role]) -> Vec<&'a str> {
    lines.iter().filter(|l| roles.contains(&l.role)).map(|l| l.name).collect()
}

/// The values at nine moments, of all points: every drawn line keeps points of its own. Where a step takes two
/// gradients it may end one after the moment, so of each line the nearest point counts.
fn numbers(task: &TaskOutcome, measure: &Measure, clock: &Clock) -> String {
    let lines: Vec<(&str, Vec<Point>)> =
        task.standings.iter().map(|s| (s.optimizer, points(s, measure, clock))).collect();
    let Some((_, longest)) = lines.iter().max_by_key(|(_, p)| p.len()) else {
        return String::new();
    };
    let last = longest.len().saturating_sub(1);
    let mut at: Vec<usize> = (0..=8).map(|i| i * last / 8).collect();
    at.dedup();
    let moments: Vec<f64> = at.iter().filter_map(|i| longest.get(*i)).map(|p| p.x).collect();
    let apart = longest.windows(2).map(|pair| pair[1].x - pair[0].x).fold(0.0, f64::max);
    let labels: Vec<String> = moments.iter().map(|x| number(*x)).collect();
    let header: Vec<&str> = ["after"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    let rows = lines.iter().map(|(name, points)| {
        let value = |x: &f64| {
            let away = |p: &&Point| (p.x - x).abs();
            let nearest = points.iter().min_by(|a, b| away(a).total_cmp(&away(b)));
            let here = nearest.filter(|p| 2.0 * away(p) < apart || away(p) == 0.0);
            here.map_or_else(|| "–".to_owned(), |p| number(p.y))
        };
        [(*name).to_owned()].into_iter().chain(moments.iter().map(value)).collect()
    });
    table(&header, rows)
}

/// Every optimizer in a panel of its own, beside the first.
fn multiples(view: &View<'_>, task: &TaskOutcome, measure: &Measure) -> Figure {
    let clock = &CLOCKS[0];
    // No more points than a small picture has room for.
    let detail = Detail { points: view.detail.points.min(PANEL_POINTS), ..view.detail };
    let of = |s: &Standing| thinned(detail, s, measure, clock);
    let first = task.standings.first().map(of).unwrap_or_default();
    let start = first.first().map_or(1.0, |p| p.y);
    let all: Vec<Point> = task.standings.iter().flat_map(of).collect();
    let scale = measure.shown.axis(all.iter().map(|p| p.y));
    // All that is no divergence is in sight, but one that rose far flattens nobody else.
    let (ceiling, rose) = match scale {
        Scale::Log => (RISE * start, "a hundred times the value at the start"),
        Scale::Linear => {
            let lowest = all.iter().map(|p| p.y).fold(start, f64::min);
            (start + (start - lowest), "the value at the start by more than the lowest line fell")
        }
    };
    let shown = all.iter().map(|p| p.y.min(ceiling));
    let y = Axis::new(scale, shown.chain([start]), Panel::BOTTOM, Panel::TOP);
    let x =
        Axis::new(Scale::Linear, all.iter().map(|p| p.x).chain([0.0]), Panel::LEFT, Panel::RIGHT);
    let frame = frame(id(&[task.task, "multiples-frame"]), &y, Some((&x, clock.label)), &first);
    let panel = |s: &Standing| {
        let line = of(s);
        let ends = line.last().map_or_else(|| "no value".to_owned(), |p| number(p.y));
        let panel = Panel {
            name: Name::new(
                id(&[task.task, "panel", s.optimizer]),
                format!("{} of {} on {}", measure.title, s.optimizer, task.task),
                format!("Rank {}; ends at {ends}.", s.rank),
            ),
            heading: s.optimizer,
            look: view.look(s.optimizer),
            x,
            y,
            x_label: None,
            frame: &frame,
            line,
            shape: Shape::Straight,
            marks: Vec::new(),
            shaded: None,
        };
        panel.render()
    };
    let (shown, left_out) = view.detail.panels(task.ran().collect());
    let beyond = match all.iter().any(|p| p.y > ceiling) {
        true => format!(" Lines that leave at the top rose above {rose}."),
        false => String::new(),
    };
    Figure {
        id: id(&[task.task, "multiples"]),
        title: format!("{} of {}, one by one", measure.title, task.task),
        caption: format!(
            "Every optimizer beside the first-ranked one (grey, dotted), all on the same axes.{beyond}{left_out}"
        ),
        pictures: shown.into_iter().map(panel).collect(),
        table: String::new(),
        live: None,
    }
}
