//! Why one optimizer did better than another: what the probes of the final runs show of their steps.

mod layers;
mod rates;
mod reading;
mod whole;
mod words;

use super::{Part, Section, runs};
use crate::diagnosis::{Finding, QUANTITIES, Quantity, Severity};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::draw::{Axis, Point, Role, Scale};
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "why", "Why: what the steps were like", |task| {
        let seen = Seen::new(view, task);
        if seen.standings.is_empty() {
            return Vec::new();
        }
        let mut parts = vec![Part::Html(words::apart(&seen)), Part::Html(words::table(&seen))];
        parts.push(Part::Html(words::sick(&seen)));
        parts.extend(whole::part(&seen));
        parts.extend(rates::figure(&seen).map(Part::from));
        parts.extend(layers::figures(&seen).into_iter().map(Part::from));
        parts.push(Part::Html(words::idle(&seen)));
        parts
    })
    .saying(
        "<p>All optimizers of a task had the same starts, data and budget; what differs are the steps they took. \
         At about thirty moments of every final run, probes looked at them. Where an optimizer did \
         better, look for what its steps had that those of the others had not, and whether it came before the lead. Such a \
         difference is no proof of a cause: change that one thing, and compare again.</p>",
    )
}

/// What of a task's probes is shown.
pub(super) struct Seen<'v> {
    view: &'v View<'v>,
    task: &'v TaskOutcome,
    /// Those with a line, the best first: the best ranks in colour, and grey some of the others of which something
    /// is to be seen.
    standings: Vec<&'v Standing>,
    /// In the order of the model.
    parameters: Vec<&'v str>,
    /// The parameters that there are.
    count: usize,
}

impl<'v> Seen<'v> {
    pub(super) fn new(view: &'v View<'v>, task: &'v TaskOutcome) -> Self {
        let probed = |s: &&Standing| !s.courses.courses.is_empty();
        let rest = |s: &&Standing| view.role(task, s) == Role::Rest;
        let of = || task.standings.iter().filter(probed);
        let mut sick: Vec<&Standing> = of().filter(|s| rest(s) && is_sick(s)).collect();
        sick.sort_by_key(|s| std::cmp::Reverse(worst(s)));
        sick.truncate(view.detail.sick);
        sick.sort_by_key(|s| s.rank);
        let mut standings: Vec<&Standing> =
            of().filter(|s| !rest(s)).take(view.detail.panels).collect();
        standings.extend(sick);
        let all = standings.first().map(|s| &s.courses.parameters[..]).unwrap_or_default();
        Seen {
            parameters: chosen(all, &standings, view.detail.layers),
            count: all.len(),
            view,
            task,
            standings,
        }
    }

    /// A link to the figure that a finding about an optimizer is shown in, or else to the optimizer's runs; empty if
    /// the page has neither.
    pub(super) fn link(&self, optimizer: &str, finding: &Finding) -> String {
        let figure = |key: &str| format!("fig-{}", id(&[self.task.task, key]));
        let is_seen = self.standings.iter().any(|s| s.optimizer == optimizer);
        let drawn = quantities(&finding.figure).any(|q| !self.places(q).is_empty());
        let (at, words) = match &*finding.figure {
            "loss" => (Some(figure("validation-gradients")), "See it."),
            key if is_seen && drawn => (Some(figure(key)), "See it."),
            _ => (runs::address(self.view, self.task, optimizer), "See its runs."),
        };
        at.map_or_else(String::new, |at| format!(" <a href=\"#{at}\">{words}</a>"))
    }

    /// Whether an optimizer has a grey line.
    fn is_grey(&self, s: &Standing) -> bool {
        self.view.role(self.task, s) == Role::Rest
    }

    /// The quantities that are drawn for the whole model.
    fn of_the_whole(&self) -> impl Iterator<Item = &'static Quantity> {
        QUANTITIES.iter().filter(|q| self.places(q).first() == Some(&None))
    }

    /// Where a quantity is drawn: in the whole model (`None`) and in the parameters where it says something.
    fn places(&self, quantity: &Quantity) -> Vec<Option<&'v str>> {
        let says = |place: &Option<&str>| {
            let mut courses =
                self.standings.iter().filter_map(|s| s.courses.get(quantity.key, *place));
            courses.any(|c| c.matters())
        };
        let mut places: Vec<Option<&str>> = vec![None];
        places.extend(self.parameters.iter().copied().map(Some));
        places.retain(says);
        // Of a single parameter the whole model says the same.
        if self.count == 1 {
            places.truncate(1);
        }
        places
    }
}

/// The severity of the worst that is told of an optimizer.
fn worst(s: &Standing) -> Option<Severity> {
    s.findings.iter().filter(|f| f.is_told()).map(|f| f.severity).max()
}

/// Whether something is wrong with an optimizer, and not only worth a note.
fn is_sick(s: &Standing) -> bool {
    worst(s) > Some(Severity::Note)
}

/// The parameters to draw of many: those with a finding that most seeds have, then the largest.
fn chosen<'v>(all: &'v [(String, usize)], standings: &[&Standing], most: usize) -> Vec<&'v str> {
    let found = |name: &str| {
        let findings = standings.iter().flat_map(|s| &s.findings);
        findings.filter(|f| f.is_told()).any(|f| f.parameter.as_deref() == Some(name))
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse((found(&all[*i].0), all[*i].1)));
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|i| all[i].0.as_str()).collect()
}

/// The figure of effective learning rates, in which every optimizer has a row of its own.
const RATES: &str = "effective-rate";

/// The axis of all figures here.
const CLOCK: &str = "gradient evaluations";

/// The names of all figures, in the order of their quantities.
fn figures() -> Vec<&'static str> {
    let mut names: Vec<&str> = QUANTITIES.iter().map(|q| q.figure).collect();
    names.dedup();
    names
}

/// The quantities that a figure draws.
fn quantities(figure: &str) -> impl Iterator<Item = &'static Quantity> {
    QUANTITIES.iter().filter(move |q| q.figure == figure)
}

fn scale(quantity: &Quantity) -> Scale {
    if quantity.log { Scale::Log } else { Scale::Linear }
}

/// A course over gradient evaluations.
fn points(s: &Standing, quantity: &Quantity, place: Option<&str>) -> Vec<Point> {
    let at = |step: usize| (step * s.gradients_per_step) as f64;
    let course = s.courses.get(quantity.key, place).map(|c| &c.moments[..]).unwrap_or_default();
    course.iter().map(|m| Point { x: at(m.step), y: m.median, low: m.low, high: m.high }).collect()
}

/// The values that an axis shows: all medians and what the seeds of the first had; of a share as much as
/// it takes from 0 on, or its whole range if there is a value inside to compare with.
fn reach(quantity: &Quantity, values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let usable = values.filter(|v| v.abs() < 1e30);
    match quantity.range {
        Some([low, high]) if usable.clone().any(|v| v < 0.0) => [low, high],
        Some([_, high]) if quantity.level.is_none() => {
            let largest = usable.fold(0.0, f64::max);
            [0.0, [0.05, 0.1, 0.2, 0.5].into_iter().find(|top| largest <= *top).unwrap_or(high)]
        }
        Some([_, high]) => [0.0, high],
        None => Axis::new(scale(quantity), usable, 0.0, 1.0).range(),
    }
}

/// What must be in sight of a line: its medians, and its band if it has one.
fn shown(points: &[Point], band: bool) -> impl Iterator<Item = f64> + Clone {
    points.iter().flat_map(move |p| if band { [p.y, p.low, p.high] } else { [p.y; 3] })
}

/// Which parameters are drawn, if not all of them are.
fn some_parameters(seen: &Seen<'_>) -> String {
    match seen.count > seen.parameters.len() {
        true => format!(
            " Of {} parameters these {} are drawn: those with findings, and the largest.",
            seen.count,
            seen.parameters.len()
        ),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_parameters_the_largest_are_drawn_in_the_order_of_the_model() {
        let all: Vec<(String, usize)> =
            [("a", 3), ("b", 90), ("c", 1), ("d", 40)].map(|(n, c)| (n.to_owned(), c)).into();
        assert_eq!(chosen(&all, &[], 2), ["b", "d"]);
        assert_eq!(chosen(&all, &[], 6), ["a", "b", "c", "d"]);
    }
}
