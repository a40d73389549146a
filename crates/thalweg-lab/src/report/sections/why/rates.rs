//! Effective learning rates: a row per optimizer, a panel per parameter.

use super::{CLOCK, RATES, Seen, some_parameters};
use crate::protocol::Standing;
use crate::report::draw::{Axis, Name, Ribbon, RibbonGrid, Ribbons, Scale};
use crate::report::figure::{Figure, table};
use crate::report::markup::number;
use crate::report::view::id;

/// Quantiles over gradient evaluations.
type Course = Vec<(f64, [f64; 5])>;

fn course(s: &Standing, parameter: &str) -> Course {
    let course = s.courses.rates.iter().find(|r| r.parameter == parameter);
    let moments = course.map(|r| &r.moments[..]).unwrap_or_default();
    moments.iter().map(|(step, q)| ((step * s.gradients_per_step) as f64, *q)).collect()
}

/// The figure; none if nothing has moved.
pub(super) fn figure(seen: &Seen<'_>) -> Option<Figure> {
    let task = seen.task;
    let first = *seen.standings.first()?;
    let moved = |p: &&str| seen.standings.iter().any(|s| !course(s, p).is_empty());
    let parameters: Vec<&str> = seen.parameters.iter().copied().filter(moved).collect();
    let all = seen.standings.iter().flat_map(|s| parameters.iter().flat_map(|p| course(s, p)));
    let y = axis(&all.map(|(_, q)| q).collect::<Vec<_>>())?;
    let x = Axis::between(Scale::Linear, [0.0, task.budget as f64], 0.0, 1.0);
    let grid = RibbonGrid::new(id(&[task.task, "rates-frame"]), parameters.len(), &x, &y);
    Some(Figure {
        id: id(&[task.task, RATES]),
        title: format!("Effective learning rates on {} over {CLOCK}", task.task),
        caption: format!(
            "How far a coordinate moves per unit of its running mean gradient (of its gradient, where no \
             mean is kept), among those that have a gradient: on a log scale, against gradient \
             evaluations. The line is the median coordinate, the dark band the middle half of the \
             coordinates, the light one 90 % of them; each the median over the seeds. Dotted: the median \
             of the first, {}. All rows share their axes. A thin line is one rate for all coordinates; a \
             wide band is where an optimizer treats coordinates differently, a slope that the schedule \
             does not have is what it has learned, and what leaves the panel at the bottom stands still \
             from there on.{}",
            first.optimizer,
            some_parameters(seen)
        ),
        pictures: seen.standings.iter().map(|s| row(seen, &grid, s, &parameters)).collect(),
        table: numbers(seen, &parameters),
        live: None,
    })
}

fn row(seen: &Seen<'_>, grid: &RibbonGrid, s: &Standing, parameters: &[&str]) -> String {
    let (task, first) = (seen.task.task, seen.standings.first());
    let median = |p: &str| -> Vec<(f64, f64)> {
        let other = first.filter(|f| f.rank != s.rank);
        other.map(|f| course(f, p).iter().map(|(at, q)| (*at, q[2])).collect()).unwrap_or_default()
    };
    let name = Name::new(
        id(&[task, "rates", s.optimizer]),
        format!("Effective learning rates of {} on {task}", s.optimizer),
        format!("Rank {}; one panel for each of {} parameters.", s.rank, parameters.len()),
    );
    let look = seen.view.look(s.optimizer);
    let panels = parameters
        .iter()
        .copied()
        .map(|p| Ribbon { heading: p, quantiles: course(s, p), reference: median(p) })
        .collect();
    Ribbons { name, heading: s.optimizer, look, grid, panels }.render()
}

/// The quantiles in the middle of the run.
fn numbers(seen: &Seen<'_>, parameters: &[&str]) -> String {
    let half = seen.task.budget as f64 / 2.0;
    let rows = seen.standings.iter().flat_map(|s| {
        parameters.iter().filter_map(move |p| {
            let all = course(s, p);
            let away = |m: &&(f64, [f64; 5])| (m.0 - half).abs();
            let (at, q) = all.iter().min_by(|a, b| away(a).total_cmp(&away(b)))?;
            let cells = [number(*at)].into_iter().chain(q.iter().map(|v| number(*v)));
            Some([format!("{}, {p}", s.optimizer)].into_iter().chain(cells).collect())
        })
    });
    table(&["at half of the budget", CLOCK, "5 %", "25 %", "50 %", "75 %", "95 %"], rows)
}

/// The axis of rates: all medians, and of the other quantiles what lies within two decades of them; none if
/// nothing moved.
fn axis(all: &[[f64; 5]]) -> Option<Axis> {
    const BEYOND: f64 = 100.0;
    let usable = |v: &f64| *v > 0.0 && *v < 1e30;
    let medians = || all.iter().map(|q| q[2]).filter(usable);
    let low = medians().reduce(f64::min)? / BEYOND;
    let high = medians().reduce(f64::max)? * BEYOND;
    let values = all.iter().flatten().copied().filter(usable).map(|v| v.clamp(low, high));
    Some(Axis::new(Scale::Log, values, 0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_that_go_wild_flatten_nobody() {
        let all = [[1e-9, 1e-3, 1e-2, 0.1, 1e9], [1e-3, 1e-2, 1e-1, 0.2, 0.5]];
        let [low, high] = axis(&all).unwrap().range();
        assert!(
            (low / 1e-4 - 1.0).abs() < 1e-9 && (high / 10.0 - 1.0).abs() < 1e-9,
            "{low} {high}"
        );
        assert!(axis(&[[0.0; 5]]).is_none());
    }
}
