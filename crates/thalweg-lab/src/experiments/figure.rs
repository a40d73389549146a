//! Figures as data: lines in the plane. The report draws them.

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
    /// Points of equal loss; nameless and in the background.
    Contour,
    /// Single places.
    Points,
}

/// One line of a figure.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What it shows; empty for contours.
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
    /// The lines, those behind first.
    pub lines: Vec<Line>,
}

/// More points than a figure has pixels help nobody.
const POINTS: usize = 600;

impl Figure {
    pub(super) fn new(name: &'static str, title: &str, x: Axis, y: Axis) -> Figure {
        Figure { name, title: title.to_owned(), x, y, lines: vec![] }
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

    /// The figure over the lines on which `f` has these values. Both axes need a range.
    pub(super) fn contours(mut self, levels: &[f64], f: impl Fn(f64, f64) -> f64) -> Figure {
        if let (Some(x), Some(y)) = (self.x.range, self.y.range) {
            self.lines.extend(levels.iter().flat_map(|level| contour(*level, x, y, &f)));
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

/// Cells per axis in which contours are sought.
const CELLS: usize = 96;

/// The pieces of a contour, one per cell that it crosses (marching squares).
fn contour(level: f64, x: (f64, f64), y: (f64, f64), f: &impl Fn(f64, f64) -> f64) -> Vec<Line> {
    let place = |(low, high): (f64, f64), i: usize| low + (high - low) * i as f64 / CELLS as f64;
    let height: Vec<Vec<f64>> = (0..=CELLS)
        .map(|i| (0..=CELLS).map(|j| f(place(x, i), place(y, j)) - level).collect())
        .collect();
    let mut lines = vec![];
    for i in 0..CELLS {
        for j in 0..CELLS {
            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
            let crossings: Vec<(f64, f64)> = (0..4)
                .filter_map(|k| {
                    let ((i0, j0), (i1, j1)) = (corners[k], corners[(k + 1) % 4]);
                    let (a, b) = (height[i0][j0], height[i1][j1]);
                    ((a < 0.0) != (b < 0.0)).then(|| {
                        let share = a / (a - b);
                        let mix = |from: f64, to: f64| from + share * (to - from);
                        (mix(place(x, i0), place(x, i1)), mix(place(y, j0), place(y, j1)))
                    })
                })
                .collect();
            for pair in crossings.chunks_exact(2) {
                let points = pair.to_vec();
                lines.push(Line { name: String::new(), kind: Kind::Contour, points });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contour_lies_where_the_value_is() {
        let figure = Figure::new(
            "t",
            "",
            Axis::linear("x").between(-2.0, 2.0),
            Axis::linear("y").between(-2.0, 2.0),
        )
        .contours(&[1.0], |x, y| x * x + y * y);
        assert!(figure.lines.len() > 100);
        for (x, y) in figure.lines.iter().flat_map(|l| &l.points) {
            assert!((x * x + y * y - 1.0).abs() < 2e-3);
        }
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
