//! What the scripts of the page work on: every final run, point by point.

use serde_json::{Value, json};

use super::data::{json as embedded, packed};
use super::draw::decimate;
use super::palette::{DASHES, SERIES};
use super::view::View;
use crate::protocol::{SeedResult, TaskOutcome};

/// The numbers of a point of a run, in the order in which they are packed, each column in one piece.
const COLUMNS: [&str; 5] = ["steps", "seconds", "train", "validation", "metric"];

/// The elements that hold the numbers.
pub(super) fn scripts(view: &View<'_>) -> String {
    let optimizers: Vec<Value> = view
        .order
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let dash = DASHES[(i / SERIES + i % SERIES) % DASHES.len()];
            json!({"name": name, "colour": format!("c{}", i % SERIES), "dash": dash})
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
            let last = task.standings.iter().filter_map(|s| s.curve.last()).next();
            let factors = last.filter(|p| p.step > 0).map(|p| {
                let per_step = |n: usize| n as f64 / p.step as f64;
                json!({"samples": per_step(p.samples), "gradients": per_step(p.gradients)})
            });
            json!({"name": task.task, "errors": share, "factors": factors, "runs": runs})
        })
        .collect();
    let all = json!({"columns": COLUMNS, "optimizers": optimizers, "tasks": tasks});
    format!(
        "<script type=\"application/json\" id=\"report-data\">{}</script>\n{packs}",
        embedded(&all)
    )
}

/// The runs of a task, and their numbers one after the other.
fn runs(view: &View<'_>, task: &TaskOutcome) -> (Vec<Value>, Vec<f32>) {
    let mut numbers = Vec::new();
    let mut runs = Vec::new();
    for standing in &task.standings {
        // All seeds of an optimizer keep the same points, so that they can be averaged.
        let longest = standing.seeds.iter().max_by_key(|s| s.points.len());
        let losses: Vec<f64> = longest
            .map(|s| s.points.iter().map(|p| p.validation.loss).collect())
            .unwrap_or_default();
        let kept = decimate(&losses, view.limit);
        for run in &standing.seeds {
            let at = numbers.len();
            let count = pack(run, &kept, &mut numbers);
            runs.push(json!({
                "optimizer": standing.optimizer, "seed": run.seed, "at": at, "count": count,
            }));
        }
    }
    (runs, numbers)
}

fn pack(run: &SeedResult, kept: &[usize], numbers: &mut Vec<f32>) -> usize {
    let points: Vec<_> = kept.iter().filter_map(|i| run.points.get(*i)).collect();
    let mut column = |f: &dyn Fn(&crate::protocol::Point) -> f64| {
        numbers.extend(points.iter().map(|p| f(p) as f32));
    };
    column(&|p| p.step as f64);
    column(&|p| p.seconds);
    column(&|p| p.train_loss.unwrap_or(f64::NAN));
    column(&|p| p.validation.loss);
    column(&|p| p.validation.metric.unwrap_or(f64::NAN));
    points.len()
}
