//! Tasks of two coordinates: where every optimizer went.

use super::Section;
use crate::protocol::{Map, Standing, TaskOutcome};
use crate::report::draw::{Axis, Contour, Name, Role, Scale, Shared, Trajectory};
use crate::report::figure::Figure;
use crate::report::markup::count;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "paths", "The way each optimizer took", |task| {
        match task.standings.iter().any(|s| way(s).is_some()) {
            true => vec![leaders(view, task).into(), each(view, task).into()],
            false => Vec::new(),
        }
    })
}

/// The way of the first final run.
fn way(s: &Standing) -> Option<&[[f64; 2]]> {
    s.seeds.first().map(|r| &r.trajectory[..]).filter(|t| t.len() > 1)
}

/// What the ways are drawn on.
struct Ground {
    map: Map,
    heights: Vec<f64>,
}

impl Ground {
    /// The map of `task`. A task that has none gets an empty one, around the ways of the better half; the
    /// others may leave it.
    fn new(task: &TaskOutcome, small: bool) -> Self {
        let map = match &task.map {
            Some(map) if small => map.thinned(),
            Some(map) => map.clone(),
            None => Map {
                x: range(task, 0),
                y: range(task, 1),
                labels: ["first coordinate", "second coordinate"],
                nodes: 0,
                heights: Vec::new(),
                minima: Vec::new(),
            },
        };
        Ground { heights: map.heights.iter().map(|h| f64::from(*h)).collect(), map }
    }

    fn map<'a>(&'a self, ways: Vec<Trajectory<'a>>, small: bool) -> Contour<'a> {
        Contour {
            name: Name::default(),
            labels: self.map.labels,
            x: self.map.x,
            y: self.map.y,
            columns: self.map.nodes,
            values: &self.heights,
            minima: self.map.minima.clone(),
            ways,
            small,
            shared: None,
        }
    }
}

fn range(task: &TaskOutcome, axis: usize) -> [f64; 2] {
    let better = task.standings.len().div_ceil(2);
    let ways = task.standings.iter().take(better).filter_map(way);
    let shown = ways.flatten().map(|p| p[axis]).filter(|v| v.is_finite());
    let [low, high] = Axis::new(Scale::Linear, shown, 0.0, 1.0).range();
    let margin = 0.08 * (high - low);
    [low - margin, high + margin]
}

fn trajectory<'a>(view: &View<'_>, s: &'a Standing) -> Option<Trajectory<'a>> {
    let points = way(s)?.to_vec();
    Some(Trajectory { name: s.optimizer, look: view.look(s.optimizer), points })
}

fn leaders(view: &View<'_>, task: &TaskOutcome) -> Figure {
    let shown = task.standings.iter().filter(|s| view.role(task, s) != Role::Rest);
    let ways: Vec<Trajectory<'_>> = shown.filter_map(|s| trajectory(view, s)).collect();
    let title = format!("Trajectories on {}", task.task);
    let name = Name::new(
        id(&[task.task, "paths"]),
        &title,
        format!(
            "The ways of the first final run of {} from a common start.",
            count(ways.len(), "optimizer")
        ),
    );
    Figure {
        id: id(&[task.task, "paths"]),
        title,
        caption: "The first final seed of the best optimizers; the arrow is where a run ended, or left the \
                  map for good."
            .to_owned(),
        pictures: vec![Contour { name, ..Ground::new(task, false).map(ways, false) }.render()],
        table: String::new(),
        live: None,
    }
}

fn each(view: &View<'_>, task: &TaskOutcome) -> Figure {
    let ground = Ground::new(task, true);
    let land = Shared::new(id(&[task.task, "land"]), ground.map(Vec::new(), true).land());
    let small = |s: &Standing| {
        let name = Name::new(
            id(&[task.task, "path", s.optimizer]),
            format!("Trajectory of {} on {}", s.optimizer, task.task),
            format!("Rank {}.", s.rank),
        );
        let map = ground.map(vec![trajectory(view, s)?], true);
        Some(Contour { name, shared: Some(&land), ..map }.render())
    };
    let (shown, left_out) =
        view.detail.panels(task.standings.iter().filter(|s| way(s).is_some()).collect());
    Figure {
        id: id(&[task.task, "each-path"]),
        title: format!("Trajectories on {}, one by one", task.task),
        caption: format!("Every optimizer on the same map, the best first.{left_out}"),
        pictures: shown.into_iter().filter_map(small).collect(),
        table: String::new(),
        live: None,
    }
}
