//! What a number of tuning trials buys.

use serde_json::{Value, json};

use super::{Part, Section};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::data::rounded;
use crate::report::draw::{Line, LineChart, Name, Point, Role, Scale, Shape};
use crate::report::figure::{Figure, table};
use crate::report::markup::number;
use crate::report::shown::Shown;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "tunability", "How much tuning does it need?", |task| {
        let figure = figure(view, task);
        figure.into_iter().map(Part::from).collect()
    })
}

fn figure(view: &View<'_>, task: &TaskOutcome) -> Option<Figure> {
    let shown = Shown(task.scale);
    let lines: Vec<Line<'_>> = task
        .standings
        .iter()
        .filter(|s| !s.tunability.is_empty())
        .map(|s| Line {
            name: s.optimizer,
            look: view.look(s.optimizer),
            role: view.role(task, s),
            points: points(s, shown),
            mark: s.default_loss.map(|loss| (0.0, shown.loss(loss))),
        })
        .collect();
    let trials = lines.iter().map(|l| l.points.len()).max()?;
    let drawn = lines.iter().flat_map(|l| l.points.iter().map(|p| p.y).chain(l.mark.map(|m| m.1)));
    let (scale, loss) = (shown.axis(drawn), shown.label("expected validation loss"));
    let title = format!("Tunability on {}", task.task);
    let live = json!({
        "kind": "lines", "x": "tuning trials", "y": loss, "log": scale == Scale::Log,
        "leads": names(&lines, &[Role::Lead]), "named": names(&lines, &[Role::Lead, Role::Label]),
        "unit": "trials", "lines": lines.iter().map(spec).collect::<Vec<_>>(),
    });
    let numbers = numbers(task, trials);
    let chart = LineChart {
        name: Name::new(
            id(&[task.task, "tunability"]),
            &title,
            format!(
                "One line per optimizer, {} in all, from 1 to {trials} trials; open circles at 0 are the \
                 optimizers' own defaults. The table below the picture holds the numbers.",
                lines.len()
            ),
        ),
        x_label: "tuning trials one can afford".to_owned(),
        y_label: scale.label(&loss),
        x_scale: Scale::Linear,
        y_scale: scale,
        y_range: None,
        shape: Shape::Straight,
        lines,
    };
    Some(Figure {
        id: id(&[task.task, "tunability"]),
        title,
        caption: format!(
            "The {} to expect from the best of 1, 2, … of the trials of the first screen, which are quasi-random \
             (Sobol points); those that follow where they were best do not count. A trial that diverged, or did \
             worse than no training, counts as the loss before training. A line that is low at the left needs \
             little tuning; open circles at 0 are the optimizer's own defaults. Bands: the middle 95 % when the \
             trials are drawn anew from themselves, which is too narrow towards the full number.",
            shown.label("validation loss")
        ),
        pictures: vec![chart.render()],
        table: numbers,
        live: Some(live),
    })
}

fn points(s: &Standing, shown: Shown) -> Vec<Point> {
    let point = |b: &crate::protocol::stats::order::BestOf| Point {
        x: b.trials as f64,
        y: shown.loss(b.expected),
        low: shown.loss(b.low),
        high: shown.loss(b.high),
    };
    s.tunability.iter().map(point).collect()
}

fn names<'a>(lines: &[Line<'a>], roles: &[Role]) -> Vec<&'a str> {
    lines.iter().filter(|l| roles.contains(&l.role)).map(|l| l.name).collect()
}

/// A line for the scripts; only the first ones have bands.
fn spec(line: &Line<'_>) -> Value {
    let of = |f: fn(&Point) -> f64| line.points.iter().map(|p| rounded(f(p))).collect::<Vec<_>>();
    let mut spec = json!({"name": line.name, "x": of(|p| p.x), "y": of(|p| p.y)});
    if let Some((x, y)) = line.mark {
        spec["mark"] = json!([rounded(x), rounded(y)]);
    }
    if line.role == Role::Lead {
        spec["low"] = of(|p| p.low).into();
        spec["high"] = of(|p| p.high).into();
    }
    spec
}

fn numbers(task: &TaskOutcome, trials: usize) -> String {
    let loss = |loss: f64| number(Shown(task.scale).loss(loss));
    let mut at = vec![1, 2, 4, 8, 16, 32, trials];
    at.retain(|k| *k <= trials);
    at.dedup();
    let labels: Vec<String> = at.iter().map(|k| format!("best of {k}")).collect();
    let header: Vec<&str> =
        ["optimizer", "default"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    let rows = task.standings.iter().filter(|s| !s.tunability.is_empty()).map(|s| {
        let best = |k: &usize| {
            let found = s.tunability.iter().find(|b| b.trials == *k);
            found.map_or_else(|| "–".to_owned(), |b| loss(b.expected))
        };
        let default = s.default_loss.map_or_else(|| "–".to_owned(), loss);
        [s.optimizer.to_owned(), default].into_iter().chain(at.iter().map(best)).collect()
    });
    table(&header, rows)
}
