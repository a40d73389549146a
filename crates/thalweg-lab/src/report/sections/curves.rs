//! What happened over the run, on four clocks.

use serde_json::json;

use super::{Part, Section};
use crate::protocol::{Band, CurvePoint, Standing, TaskOutcome};
use crate::report::draw::{
    Axis, Line, LineChart, Name, Panel, Point, Role, Scale, Shape, decimate,
};
use crate::report::figure::{Figure, table};
use crate::report::markup::number;
use crate::report::view::{View, id};

/// What is drawn.
struct Measure {
    key: &'static str,
    title: &'static str,
    label: &'static str,
    value: fn(&CurvePoint) -> Option<Band>,
}

/// What it is drawn over.
struct Clock {
    key: &'static str,
    title: &'static str,
    label: &'static str,
    value: fn(&CurvePoint, &TaskOutcome) -> f64,
}

const MEASURES: [Measure; 3] = [
    Measure {
        key: "train",
        title: "Training loss",
        label: "training loss",
        value: |p| p.train_loss,
    },
    Measure {
        key: "validation",
        title: "Validation loss",
        label: "validation loss",
        value: |p| Some(p.validation_loss),
    },
    Measure {
        key: "error",
        title: "Validation error",
        label: "share of the validation examples classified wrongly",
        value: |p| Some(p.validation_error),
    },
];

const CLOCKS: [Clock; 4] = [
    Clock { key: "steps", title: "steps", label: "steps", value: |p, _| p.step as f64 },
    Clock {
        key: "samples",
        title: "samples",
        label: "training examples seen",
        value: |p, t| (p.step * t.batch) as f64,
    },
    Clock {
        key: "gradients",
        title: "gradient evaluations",
        label: "gradient evaluations",
        value: |p, _| p.step as f64,
    },
    Clock {
        key: "seconds",
        title: "seconds",
        label: "seconds of gradients and steps on one core",
        value: |p, _| p.seconds,
    },
];

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "curves", "Over the run", |task| {
        let mut parts: Vec<Part> = MEASURES.iter().map(|m| clocks(view, task, m)).collect();
        parts.push(multiples(view, task, &MEASURES[1]).into());
        parts
    })
    .saying(
        "<p>Each line is the mean over the seeds; the band of the first three reaches from the lowest to \
         the highest seed. Choose the clock above each figure.</p>",
    )
}

fn clocks(view: &View<'_>, task: &TaskOutcome, measure: &Measure) -> Part {
    let figures = CLOCKS.iter().map(|c| (c.title, figure(view, task, measure, c))).collect();
    Part::Clocks(measure.title, figures)
}

fn points(
    view: &View<'_>,
    task: &TaskOutcome,
    s: &Standing,
    measure: &Measure,
    clock: &Clock,
) -> Vec<Point> {
    let all: Vec<Point> = s
        .curve
        .iter()
        .filter_map(|p| {
            let band = (measure.value)(p)?;
            let x = (clock.value)(p, task);
            Some(Point { x, y: band.mean, low: band.low, high: band.high })
        })
        .collect();
    let heights: Vec<f64> = all.iter().map(|p| p.y).collect();
    decimate(&heights, view.limit).into_iter().map(|i| all[i]).collect()
}

fn figure(view: &View<'_>, task: &TaskOutcome, measure: &Measure, clock: &Clock) -> Figure {
    let lines: Vec<Line<'_>> = task
        .standings
        .iter()
        .map(|s| Line {
            name: s.optimizer,
            look: view.look(s.optimizer),
            role: view.role(task, s),
            points: points(view, task, s, measure, clock),
        })
        .collect();
    let title = format!("{} of {} over {}", measure.title, task.task, clock.title);
    let id = id(&[task.task, measure.key, clock.key]);
    let best = lines.first().and_then(|l| Some((l.name, l.points.last()?.y)));
    let ending = best.map_or_else(String::new, |(name, value)| {
        format!(" The first-ranked, {name}, ends at {}.", number(value))
    });
    let description = format!(
        "One line per optimizer, {} in all, the mean over {} seeds.{ending} The table below the picture \
         holds the numbers.",
        lines.len(),
        task.seeds.len(),
    );
    let leads: Vec<&str> = names(&lines, &[Role::Lead]);
    let named: Vec<&str> = names(&lines, &[Role::Lead, Role::Label]);
    let live = json!({
        "kind": "runs", "task": view.tasks().iter().position(|t| t.task == task.task),
        "measure": measure.key, "clock": clock.key, "x": clock.label, "y": measure.label,
        "log": true, "leads": leads, "named": named,
    });
    let numbers = if clock.key == "steps" { numbers(&lines) } else { String::new() };
    let chart = LineChart {
        name: Name::new(&id, &title, description),
        x_label: clock.label.to_owned(),
        y_label: format!("{} (log scale)", measure.label),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        shape: Shape::Straight,
        lines,
    };
    Figure {
        caption: String::new(),
        pictures: vec![chart.render()],
        table: numbers,
        live: Some(live),
        id,
        title,
    }
}

fn names<'a>(lines: &[Line<'a>], roles: &[Role]) -> Vec<&'a str> {
    lines.iter().filter(|l| roles.contains(&l.role)).map(|l| l.name).collect()
}

/// The values at nine moments.
fn numbers(lines: &[Line<'_>]) -> String {
    let Some(longest) = lines.iter().map(|l| &l.points).max_by_key(|p| p.len()) else {
        return String::new();
    };
    let last = longest.len().saturating_sub(1);
    let mut at: Vec<usize> = (0..=8).map(|i| i * last / 8).collect();
    at.dedup();
    let moments: Vec<String> =
        at.iter().filter_map(|i| longest.get(*i)).map(|p| number(p.x)).collect();
    let header: Vec<&str> = ["after"].into_iter().chain(moments.iter().map(|m| &**m)).collect();
    let rows = lines.iter().map(|line| {
        let value = |i: &usize| line.points.get(*i).map_or_else(|| "–".to_owned(), |p| number(p.y));
        [line.name.to_owned()].into_iter().chain(at.iter().map(value)).collect()
    });
    table(&header, rows)
}

/// Every optimizer in a panel of its own, beside the first.
fn multiples(view: &View<'_>, task: &TaskOutcome, measure: &Measure) -> Figure {
    let clock = &CLOCKS[0];
    let of = |s: &Standing| points(view, task, s, measure, clock);
    let first = task.standings.first().map(of).unwrap_or_default();
    let start = first.first().map_or(1.0, |p| p.y);
    let all: Vec<Point> = task.standings.iter().flat_map(of).collect();
    let shown = all.iter().map(|p| p.y).filter(|v| *v <= 2.0 * start);
    let y = Axis::new(Scale::Log, shown.chain([start]), Panel::BOTTOM, Panel::TOP);
    let x =
        Axis::new(Scale::Linear, all.iter().map(|p| p.x).chain([0.0]), Panel::LEFT, Panel::RIGHT);
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
            x_label: clock.label,
            look: view.look(s.optimizer),
            x,
            y,
            line,
            shape: Shape::Straight,
            reference: if s.rank == 1 { Vec::new() } else { first.clone() },
            marks: Vec::new(),
            shaded: None,
        };
        panel.render()
    };
    Figure {
        id: id(&[task.task, "multiples"]),
        title: format!("{} of {}, one by one", measure.title, task.task),
        caption:
            "Every optimizer beside the first-ranked one (grey, dotted), all on the same axes."
                .to_owned(),
        pictures: task.standings.iter().map(panel).collect(),
        table: String::new(),
        live: None,
    }
}
