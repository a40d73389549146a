//! How often, and how fast, the targets are met.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Part, Section, has_runs};
use crate::protocol::stats::profile::{HORIZON, Profile};
use crate::protocol::{Standing, Target, TaskOutcome, ToTarget};
use crate::report::draw::{Line, LineChart, Name, Point, Role, Scale, Shape};
use crate::report::figure::{Figure, table};
use crate::report::markup::{apart, capital, number};
use crate::report::shown::Shown;
use crate::report::view::{View, id};

/// The profile is drawn up to this multiple of the best cost.
const LIMIT: f64 = 16.0;

/// The best profiles that get a band's weight, and a label when there are many.
const LEADS: [usize; 2] = [3, 7];

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    let mut section = Section::per_task(view, "targets", "How fast are the targets met?", |task| {
        reached(view, task).into_iter().map(Part::from).collect()
    });
    if let Some(figure) = profile(view) {
        section.parts.insert(0, figure.into());
    }
    section
}

fn role(place: usize, of: usize) -> Role {
    match place {
        p if p < LEADS[0] => Role::Lead,
        p if p < LEADS[1] || of <= 10 => Role::Label,
        _ => Role::Rest,
    }
}

fn profile(view: &View<'_>) -> Option<Figure> {
    let profiles: Vec<&Profile> =
        view.document.outcome.profiles.iter().filter(|p| p.problems > 0).collect();
    let tasks = || view.tasks().iter().filter(|task| has_runs(task));
    let problems: usize = tasks().map(|task| task.distinct_targets().len()).sum();
    if profiles.is_empty() {
        return None;
    }
    let partly = match profiles.iter().any(|p| p.problems < problems) {
        true => {
            " Not every optimizer has final runs on every task: each share is of the targets of those on which it has, \
             so two that have them on different tasks are not to be compared by it."
        }
        false => "",
    };
    let lines: Vec<Line<'_>> = profiles
        .iter()
        .enumerate()
        .map(|(i, p)| Line {
            name: &p.solver,
            look: view.look(&p.solver),
            role: role(i, profiles.len()),
            points: steps(p),
            mark: None,
        })
        .collect();
    let names = |count: usize| profiles.iter().take(count).map(|p| &*p.solver).collect::<Vec<_>>();
    let labelled = if profiles.len() <= 10 { profiles.len() } else { LEADS[1] };
    let live = json!({
        "kind": "profile", "x": "cost, as a multiple of the best", "y": "share of the targets met",
        "limit": LIMIT, "range": [0, 1], "logx": true, "steps": true, "unit": "× the best",
        "leads": names(LEADS[0]), "named": names(labelled), "costs": costs(view, &names(profiles.len())),
        "order": names(profiles.len()),
    });
    let chart = LineChart {
        name: Name::new(
            "profile",
            "Performance profile",
            format!(
                "One staircase per optimizer over {problems} targets of {} tasks; the higher the better. \
                 The table below the picture holds scores.",
                tasks().count()
            ),
        ),
        x_label:
            "gradient evaluations to a target, as a multiple of the best optimizer's (log scale)"
                .to_owned(),
        y_label: "share of the targets met".to_owned(),
        x_scale: Scale::Log,
        y_scale: Scale::Linear,
        y_range: Some([0.0, 1.0]),
        shape: Shape::Steps,
        lines,
    };
    Some(Figure {
        id: "profile".to_owned(),
        title: "Performance profile".to_owned(),
        caption: format!(
            "For every optimizer the share of the {problems} targets (three per task, or fewer where some are equal) that it meets with \
             at most so many times the gradient evaluations of the fastest. At 1: how often it is the \
             fastest. The score is the mean height from 1 to {HORIZON}.{partly} When runs are hidden the \
             profile is computed again among those shown."
        ),
        pictures: vec![chart.render()],
        table: scores(&profiles),
        live: Some(live),
    })
}

fn scores(profiles: &[&Profile]) -> String {
    let rows = profiles.iter().map(|p| {
        vec![
            p.solver.clone(),
            format!("{:.3}", p.score),
            format!("{} of {}", p.solved, p.problems),
            p.mean_ratio.map_or_else(|| "–".to_owned(), number),
        ]
    });
    table(&["optimizer", "score", "targets met", "mean multiple where met"], rows)
}

/// The corners of a profile from 1 to the end of the axis.
fn steps(p: &Profile) -> Vec<Point> {
    let mut points: Vec<Point> =
        p.steps.iter().filter(|s| s.0 <= LIMIT).map(|s| Point::bare(s.0, s.1)).collect();
    if points.first().is_none_or(|first| first.x > 1.0) {
        points.insert(0, Point::bare(1.0, 0.0));
    }
    let last = points.last().map_or(0.0, |l| l.y);
    points.push(Point::bare(LIMIT, last));
    points
}

/// The gradient evaluations of every final run of `names` to every target, the problems in the order of the
/// profiles: per optimizer and problem the seeds with their costs, `null` for a miss.
fn costs<'a>(view: &View<'_>, names: &[&'a str]) -> BTreeMap<&'a str, Vec<Value>> {
    let of = |name: &str| {
        let problem = |task: &TaskOutcome| {
            let standing = task.standings.iter().find(|s| s.optimizer == name);
            let targets = task.distinct_targets().into_iter();
            targets.map(|i| standing.map_or(Value::Null, |s| runs(task, s, i))).collect::<Vec<_>>()
        };
        view.tasks().iter().flat_map(problem).collect()
    };
    names.iter().map(|name| (*name, of(name))).collect()
}

fn runs(task: &TaskOutcome, s: &Standing, target: usize) -> Value {
    let seeds: Vec<u64> = s.seeds.iter().map(|r| r.seed).collect();
    let gradients = s.to_target.get(target).map(|t| &t.gradients);
    json!({"task": task.task, "seeds": seeds, "gradients": gradients})
}

/// The share of runs and targets met over the budget: an empirical distribution.
fn reached(view: &View<'_>, task: &TaskOutcome) -> Option<Figure> {
    if task.targets.is_empty() || !has_runs(task) {
        return None;
    }
    let lines: Vec<Line<'_>> = task
        .ran()
        .map(|s| Line {
            name: s.optimizer,
            look: view.look(s.optimizer),
            role: view.role(task, s),
            points: distribution(task, s),
            mark: None,
        })
        .collect();
    let names = |roles: &[Role]| {
        lines.iter().filter(|l| roles.contains(&l.role)).map(|l| l.name).collect::<Vec<_>>()
    };
    let runs = task.standings.iter().map(|s| {
        let targets = task.distinct_targets().into_iter();
        let targets = targets.map(|i| runs(task, s, i)).collect::<Vec<_>>();
        (s.optimizer.to_owned(), Value::from(targets))
    });
    let live = json!({
        "kind": "reached", "x": "gradient evaluations", "y": "share of runs and targets met", "steps": true,
        "range": [0, 1],
        "leads": names(&[Role::Lead]), "named": names(&[Role::Lead, Role::Label]),
        "budget": task.budget, "order": lines.iter().map(|l| l.name).collect::<Vec<_>>(),
        "runs": runs.collect::<serde_json::Map<_, _>>(),
    });
    let title = format!("Targets met on {}", task.task);
    let shown = Shown(task.scale);
    let losses: Vec<String> = task
        .targets
        .iter()
        .zip(losses(task))
        .map(|(t, loss)| format!("{} {loss}", format!("{:?}", t.level).to_lowercase()))
        .collect();
    let held = match task.noisy {
        true => {
            " Gradients are noisy here and one measurement may be luck: a run has reached a target from when \
             on its mean over a tenth of the budget stays at or below it until the end."
        }
        false => "",
    };
    let chart = LineChart {
        name: Name::new(
            id(&[task.task, "targets"]),
            &title,
            format!("One staircase per optimizer, {} in all; the higher the better.", lines.len()),
        ),
        x_label: "gradient evaluations".to_owned(),
        y_label: "share of runs and targets met".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        y_range: Some([0.0, 1.0]),
        shape: Shape::Steps,
        lines,
    };
    Some(Figure {
        id: id(&[task.task, "targets"]),
        title,
        caption: format!(
            "{} to reach: {}.{held} Each staircase counts the final runs and targets met so \
             far, equal targets once; those never met keep it below 1. The numbers are medians over the seeds: gradient \
             evaluations, steps and seconds (on this machine, gradients and steps only) to the target, and in \
             brackets how many seeds met it.",
            capital(&shown.label("validation loss")),
            losses.join(", ")
        ),
        pictures: vec![chart.render()],
        table: numbers(task),
        live: Some(live),
    })
}

fn distribution(task: &TaskOutcome, s: &Standing) -> Vec<Point> {
    let targets = task.distinct_targets();
    let reached = || targets.iter().flat_map(|i| &s.to_target[*i].gradients);
    let mut met: Vec<usize> = reached().copied().flatten().collect();
    met.sort_unstable();
    let all = reached().count().max(1) as f64;
    let step = |(i, at): (usize, &usize)| Point::bare(*at as f64, (i + 1) as f64 / all);
    let mut points = vec![Point::bare(0.0, 0.0)];
    points.extend(met.iter().enumerate().map(step));
    points.push(Point::bare(task.budget as f64, met.len() as f64 / all));
    points
}

/// The median cost of a target: gradient evaluations, steps and seconds.
fn to_target(t: &ToTarget, gradients_per_step: usize) -> String {
    let seeds = format!("({}/{})", t.reached, t.gradients.len());
    match (t.median_gradients, t.median_seconds) {
        (Some(gradients), Some(seconds)) => format!(
            "{} gradients, {} steps, {} s {seeds}",
            number(gradients),
            number(gradients / gradients_per_step as f64),
            number(seconds)
        ),
        _ => format!("missed {seeds}"),
    }
}

/// The losses of the targets.
fn losses(task: &TaskOutcome) -> Vec<String> {
    let shown = Shown(task.scale);
    apart(&task.targets.iter().map(|t| shown.loss(t.loss)).collect::<Vec<_>>())
}

fn numbers(task: &TaskOutcome) -> String {
    let shown = Shown(task.scale);
    let label =
        |(t, loss): (&Target, String)| format!("{:?}: {} {loss}", t.level, shown.label("loss"));
    let labels: Vec<String> = task.targets.iter().zip(losses(task)).map(label).collect();
    let header: Vec<&str> = ["optimizer"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    let rows = task.standings.iter().map(|s| {
        let cell = |t: &ToTarget| to_target(t, s.gradients_per_step);
        [s.optimizer.to_owned()].into_iter().chain(s.to_target.iter().map(cell)).collect()
    });
    table(&header, rows)
}
