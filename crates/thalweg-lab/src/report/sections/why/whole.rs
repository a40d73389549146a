//! The whole model over the run: a chart for each quantity, one shown at a time.

use serde_json::{Value, json};

use super::reading::{how_to_read, short};
use super::{CLOCK, Seen, points, reach, scale, shown};
use crate::diagnosis::Quantity;
use crate::report::data::rounded;
use crate::report::draw::{Line, LineChart, Name, Point, Role, Scale, Shape};
use crate::report::figure::Figure;
use crate::report::markup::capital;
use crate::report::sections::Part;
use crate::report::view::id;

/// The charts of the quantities that say something.
pub(super) fn part(seen: &Seen<'_>) -> Option<Part> {
    let figures: Vec<_> = seen.of_the_whole().map(|q| (short(q.key), chart(seen, q))).collect();
    (!figures.is_empty()).then_some(Part::Clocks("The whole model", figures))
}

fn chart(seen: &Seen<'_>, quantity: &Quantity) -> Figure {
    let Seen { view, task, .. } = *seen;
    let lines: Vec<Line<'_>> = seen
        .standings
        .iter()
        .map(|s| Line {
            name: s.optimizer,
            look: view.look(s.optimizer),
            role: view.role(task, s),
            points: points(s, quantity, None),
            mark: None,
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let range = reach(quantity, lines.iter().flat_map(|l| shown(&l.points, l.role == Role::Lead)));
    let live = live(quantity, range, &lines);
    let title = format!("{} on {}, whole model", capital(quantity.label), task.task);
    let id = id(&[task.task, "whole", quantity.key]);
    let chart = LineChart {
        name: Name::new(
            &id,
            &title,
            format!("One line per optimizer, {} in all, the median over the seeds.", lines.len()),
        ),
        x_label: CLOCK.to_owned(),
        y_label: scale(quantity).label(quantity.label),
        x_scale: Scale::Linear,
        y_scale: scale(quantity),
        y_range: Some(range),
        shape: Shape::Straight,
        lines,
    };
    Figure {
        id,
        title,
        caption: how_to_read(quantity.key).to_owned(),
        pictures: vec![chart.render()],
        table: String::new(),
        live: Some(live),
    }
}

/// The chart for the scripts.
fn live(quantity: &Quantity, range: [f64; 2], lines: &[Line<'_>]) -> Value {
    let names = |roles: &[Role]| {
        lines.iter().filter(|l| roles.contains(&l.role)).map(|l| l.name).collect::<Vec<_>>()
    };
    let spec = |l: &Line<'_>| {
        let of = |f: fn(&Point) -> f64| l.points.iter().map(|p| rounded(f(p))).collect::<Value>();
        let mut line = json!({"name": l.name, "x": of(|p| p.x), "y": of(|p| p.y)});
        if l.role == Role::Lead {
            line["low"] = of(|p| p.low);
            line["high"] = of(|p| p.high);
        }
        line
    };
    let mut live = json!({
        "kind": "lines", "x": CLOCK, "y": quantity.label, "log": quantity.log,
        "leads": names(&[Role::Lead]), "named": names(&[Role::Lead, Role::Label]),
        "lines": lines.iter().map(spec).collect::<Vec<_>>(),
    });
    if !quantity.log {
        live["range"] = json!(range);
    }
    live
}
