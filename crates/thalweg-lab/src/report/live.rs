//! What the scripts of the page work on: every final run, point by point.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::data::{json as embedded, packed};
use super::draw::decimate;
use super::palette::{DASHES, SERIES};
use super::sections::curves;
use super::view::View;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Point, TaskOutcome};

/// The numbers of a point of a run; a column of each is packed in one piece.
const COLUMNS: [&str; 5] = ["gradients", "seconds", "train", "validation", "metric"];

/// The elements that hold the numbers.
pub(super) fn scripts(view: &View<'_>) -> String {
    let optimizers: Vec<Value> = view
        .order
        .iter()
        .map(|name| {
            let look = view.look(name);
            let dash = DASHES[(look / SERIES + look % SERIES) % DASHES.len()];
            json!({"name": name, "colour": format!("c{}", look % SERIES), "dash": dash})
        })
        .collect();
    let mut packs = String::new();
    let tasks: Vec<Value> = view
        .tasks()
        .iter()
        .enumerate()
        .map(|(i, task)| {
            let (runs, numbers) = runs(view, task);
            packs += &format!(
                "<script type=\"application/octet-stream\" id=\"runs-{i}\">{}</script>\n",
                packed(&numbers)
            );
            let share = task.metric.is_some_and(|m| m.percent && m.higher_is_better);
            let costs: BTreeMap<&str, usize> =
                task.standings.iter().map(|s| (s.optimizer, s.gradients_per_step)).collect();
            json!({
                "name": task.task, "errors": share, "batch": task.batch, "costs": costs, "runs": runs,
                "minimum": minimum(task),
            })
        })
        .collect();
    let all = json!({"columns": COLUMNS, "optimizers": optimizers, "tasks": tasks});
    format!(
        "<script type=\"application/json\" id=\"report-data\">{}</script>\n{packs}",
        embedded(&all)
    )
}

/// The smallest loss of a task on whose scale means are geometric.
fn minimum(task: &TaskOutcome) -> Option<f64> {
    match task.scale {
        Scale::Above(minimum) => Some(minimum),
        Scale::Plain => None,
    }
}

/// The runs of a task, and their numbers.
fn runs(view: &View<'_>, task: &TaskOutcome) -> (Vec<Value>, Vec<f32>) {
    let mut pack = Pack {
        drawn: curves::drawn(task),
        minimum: minimum(task).unwrap_or(0.0),
        ..Pack::default()
    };
    let mut runs = Vec::new();
    for standing in task.standings.iter().filter(|_| view.detail.runs) {
        // All seeds of an optimizer keep the same points, so that they can be averaged.
        let longest = standing.seeds.iter().max_by_key(|s| s.points.len());
        let losses: Vec<f64> = longest
            .map(|s| s.points.iter().map(|p| p.validation.loss).collect())
            .unwrap_or_default();
        let kept = decimate(&losses, view.detail.points);
        for run in &standing.seeds {
            let points: Vec<Point> =
                kept.iter().filter_map(|i| run.points.get(*i)).copied().collect();
            runs.push(json!({
                "optimizer": standing.optimizer, "seed": run.seed, "at": pack.run(&points),
                "count": points.len(),
            }));
        }
    }
    (runs, pack.numbers)
}

/// Columns of numbers one after the other. Equal ones, such as the steps of most runs, are there once.
#[derive(Debug, Default)]
struct Pack {
    /// The measures that curves show; the others are left out.
    drawn: Vec<&'static str>,
    /// Losses are packed as what is left above this: f32 could not tell a large smallest loss from others.
    minimum: f64,
    numbers: Vec<f32>,
    places: HashMap<Vec<u32>, usize>,
}

impl Pack {
    /// Packs a run; says where each of its columns begins, and `null` for one that is not there.
    fn run(&mut self, points: &[Point]) -> [Option<usize>; COLUMNS.len()] {
        let values: [fn(&Point) -> f64; COLUMNS.len()] = [
            |p| p.step as f64,
            |p| p.seconds,
            |p| p.train_loss.unwrap_or(f64::NAN),
            |p| p.validation.loss,
            |p| p.validation.metric.unwrap_or(f64::NAN),
        ];
        std::array::from_fn(|i| {
            let clock = ["gradients", "seconds"].contains(&COLUMNS[i]);
            let above = if COLUMNS[i] == "validation" { self.minimum } else { 0.0 };
            let values: Vec<f32> = points.iter().map(|p| (values[i](p) - above) as f32).collect();
            let shown = clock || self.drawn.contains(&COLUMNS[i]);
            (shown && values.iter().any(|v| !v.is_nan())).then(|| self.column(&values))
        })
    }

    fn column(&mut self, values: &[f32]) -> usize {
        let bits = values.iter().map(|v| v.to_bits()).collect();
        *self.places.entry(bits).or_insert_with(|| {
            let place = self.numbers.len();
            self.numbers.extend_from_slice(values);
            place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Measurement;

    #[test]
    fn equal_columns_are_packed_once_and_those_nobody_draws_not_at_all() {
        let point = |step: usize, loss: f64| Point {
            step,
            seconds: loss,
            train_loss: None,
            validation: Measurement { loss, metric: Some(loss) },
        };
        let mut pack = Pack { drawn: vec!["train", "validation"], ..Pack::default() };
        let first = pack.run(&[point(0, 2.0), point(10, 1.0)]);
        assert_eq!(first, [Some(0), Some(2), None, Some(2), None]);
        let second = pack.run(&[point(0, 3.0), point(10, f64::INFINITY)]);
        assert_eq!(second, [Some(0), Some(4), None, Some(4), None]);
        assert_eq!(pack.numbers, [0.0, 10.0, 2.0, 1.0, 3.0, f32::INFINITY]);
    }

    #[test]
    fn what_is_left_above_a_large_minimum_keeps_its_digits() {
        let minimum = 101_936.729_903;
        let point = |loss: f64| Point {
            step: 0,
            seconds: 0.0,
            train_loss: None,
            validation: Measurement { loss, metric: None },
        };
        let mut pack = Pack { drawn: vec!["validation"], minimum, ..Pack::default() };
        let at = pack.run(&[point(minimum + 0.001)])[3].unwrap();
        assert!((f64::from(pack.numbers[at]) - 0.001).abs() < 1e-8, "{:?}", pack.numbers);
    }
}
