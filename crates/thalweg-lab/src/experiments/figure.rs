//! Figures as data: lines in the plane, and heights under them. The report draws them.

use serde::Serialize;

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios; values that are not positive are left out.
    Log,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A curve of measured values.
    Line,
    /// What theory or the source promised.
    Bound,
    /// Single places.
    Points,
}

/// One line of a figure.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// How it is drawn.
    pub kind: Kind,
    /// Its points, from the first to the last.
    pub points: Vec<(f64, f64)>,
}

/// An axis.
#[derive(Debug, Clone, Serialize)]
pub struct Axis {
    /// What it measures, with the unit if there is one.
    pub label: String,
    /// How values are spread over it.
    pub spread: Spread,
    /// The smallest and largest value shown; absent to show all.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    pub(super) fn linear(label: &str) -> Axis {
        Axis { label: label.to_owned(), spread: Spread::Linear, range: None }
    }

    pub(super) fn log(label: &str) -> Axis {
        Axis { label: label.to_owned(), spread: Spread::Log, range: None }
    }

    pub(super) fn between(mut self, low: f64, high: f64) -> Axis {
        self.range = Some((low, high));
        self
    }
}

/// A function of both coordinates, at the nodes of a grid that spans the ranges of the axes.
#[derive(Debug, Clone, Serialize)]
pub struct Heights {
    /// Nodes along the horizontal axis.
    pub columns: usize,
    /// The values, row by row from the smallest vertical coordinate.
    pub values: Vec<f64>,
    /// The values at which lines of equal height are drawn, ascending.
    pub levels: Vec<f64>,
}

/// Lines in the plane, under a title.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The file name without its ending, unique among all experiments.
    pub name: &'static str,
    /// One line on what is seen.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The ground under the lines, if there is one.
    pub heights: Option<Heights>,
    /// The lines, those behind first.
    pub lines: Vec<Line>,
}

/// Values by their number from 1, as those of steps are.
pub(super) fn numbered(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = (f64, f64)> {
    values.into_iter().enumerate().map(|(t, value)| (t as f64 + 1.0, value))
}

/// More points than a figure has pixels help nobody.
const POINTS: usize = 600;

/// Nodes per axis of the ground.
const NODES: usize = 97;

impl Figure {
    pub(super) fn new(name: &'static str, title: &str, x: Axis, y: Axis) -> Figure {
        Figure { name, title: title.to_owned(), x, y, heights: None, lines: vec![] }
    }

    /// The figure with one more curve.
    pub(super) fn line(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Figure {
        self.add(name, Kind::Line, points)
    }

    /// The figure with one more promised curve.
    pub(super) fn bound(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Figure {
        self.add(name, Kind::Bound, points)
    }

    /// The figure with marked places.
    pub(super) fn points(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Figure {
        self.add(name, Kind::Points, points)
    }

    /// The figure over the heights of `f`, with lines at these levels. Both axes need a range.
    pub(super) fn over(mut self, levels: &[f64], f: impl Fn(f64, f64) -> f64) -> Figure {
        if let (Some(x), Some(y)) = (self.x.range, self.y.range) {
            let place = |(low, high): (f64, f64), i: usize| {
                low + (high - low) * i as f64 / (NODES - 1) as f64
            };
            let nodes = (0..NODES).flat_map(|j| (0..NODES).map(move |i| (i, j)));
            let values = nodes.map(|(i, j)| f(place(x, i), place(y, j))).collect();
            self.heights = Some(Heights { columns: NODES, values, levels: levels.to_vec() });
        }
        self
    }

    fn add(
        mut self,
        name: &str,
        kind: Kind,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Figure {
        let points: Vec<_> = points.into_iter().collect();
        let points = thin(points, self.x.spread);
        self.lines.push(Line { name: name.to_owned(), kind, points });
        self
    }
}

/// At most [`POINTS`] of the points, spread as the axis is, the last among them.
fn thin(points: Vec<(f64, f64)>, spread: Spread) -> Vec<(f64, f64)> {
    let count = points.len();
    if count <= POINTS {
        return points;
    }
    let at = |k: usize| {
        let share = k as f64 / (POINTS - 1) as f64;
        match spread {
            Spread::Linear => (share * (count - 1) as f64).round() as usize,
            Spread::Log => (count as f64).powf(share).round() as usize - 1,
        }
    };
    let mut kept: Vec<usize> = (0..POINTS).map(at).collect();
    kept.dedup();
    kept.into_iter().map(|i| points[i.min(count - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_those_of_their_nodes() {
        let axis = |label: &str| Axis::linear(label).between(-2.0, 2.0);
        let figure = Figure::new("t", "", axis("x"), axis("y")).over(&[1.0], |x, y| 10.0 * y + x);
        let ground = figure.heights.unwrap();
        assert_eq!(ground.values.len(), NODES * NODES);
        assert_eq!((ground.values[0], ground.values[NODES - 1]), (-22.0, -18.0));
        assert_eq!(ground.values.last(), Some(&22.0));
    }

    #[test]
    fn thinning_keeps_both_ends() {
        for spread in [Spread::Linear, Spread::Log] {
            let points: Vec<_> = (0..100_000).map(|i| (f64::from(i) + 1.0, 0.0)).collect();
            let thinned = thin(points.clone(), spread);
            assert!(thinned.len() <= POINTS);
            assert_eq!((thinned[0], thinned.last().copied()), (points[0], points.last().copied()));
        }
    }
}
