//! Where a function on a grid is above a level, as closed outlines: marching squares.

use std::collections::HashMap;

/// Values on a regular grid, row by row from the smallest y, each row from the smallest x.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Grid<'a> {
    pub(in crate::report) columns: usize,
    pub(in crate::report) values: &'a [f64],
}

/// A corner of an outline: between two neighbouring nodes of the grid, in units of its spacing.
type Corner = (f64, f64);

/// An edge of the grid: the node it starts from, and whether it goes up.
type Edge = (usize, usize, bool);

impl Grid<'_> {
    fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The value at a node of the grid with a border of minus infinity around it, which closes every
    /// outline. Node (1, 1) is the first of the grid.
    fn at(&self, i: usize, j: usize) -> f64 {
        let inside = (1..=self.columns).contains(&i) && (1..=self.rows()).contains(&j);
        let value = if inside { self.values[(j - 1) * self.columns + i - 1] } else { f64::NAN };
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    }

    /// The outlines of the region where the values are at least `level`; fill them by the even-odd
    /// rule. Coordinates count nodes from the first of the grid.
    pub(in crate::report) fn above(&self, level: f64) -> Vec<Vec<Corner>> {
        let mut next: HashMap<Edge, Edge> = HashMap::new();
        for j in 0..=self.rows() {
            for i in 0..=self.columns {
                for (from, to) in self.segments(i, j, level) {
                    next.insert(from, to);
                }
            }
        }
        let mut starts: Vec<Edge> = next.keys().copied().collect();
        // A map has no order of its own; a drawing needs one.
        starts.sort_unstable();
        let mut outlines = Vec::new();
        for start in starts {
            let mut outline = Vec::new();
            let mut edge = start;
            while let Some(following) = next.remove(&edge) {
                outline.push(self.crossing(edge, level));
                edge = following;
            }
            if outline.len() > 2 {
                outlines.push(outline);
            }
        }
        outlines
    }

    /// The pieces of outline in the cell whose lowest node is (i, j), with the region on their left.
    fn segments(&self, i: usize, j: usize, level: f64) -> Vec<(Edge, Edge)> {
        let (bottom, right) = ((i, j, false), (i + 1, j, true));
        let (top, left) = ((i, j + 1, false), (i, j, true));
        let corners = [self.at(i, j), self.at(i + 1, j), self.at(i + 1, j + 1), self.at(i, j + 1)];
        let case = corners.iter().rev().fold(0, |bits, v| bits << 1 | usize::from(*v >= level));
        let middle = corners.iter().sum::<f64>() / 4.0 >= level;
        match case {
            1 => vec![(bottom, left)],
            2 => vec![(right, bottom)],
            3 => vec![(right, left)],
            4 => vec![(top, right)],
            5 if middle => vec![(bottom, right), (top, left)],
            5 => vec![(bottom, left), (top, right)],
            6 => vec![(top, bottom)],
            7 => vec![(top, left)],
            8 => vec![(left, top)],
            9 => vec![(bottom, top)],
            10 if middle => vec![(left, bottom), (right, top)],
            10 => vec![(right, bottom), (left, top)],
            11 => vec![(right, top)],
            12 => vec![(left, right)],
            13 => vec![(bottom, right)],
            14 => vec![(left, bottom)],
            _ => Vec::new(),
        }
    }

    /// Where the level crosses an edge.
    fn crossing(&self, (i, j, up): Edge, level: f64) -> Corner {
        let (a, b) = (self.at(i, j), if up { self.at(i, j + 1) } else { self.at(i + 1, j) });
        let share = match (a.is_finite(), b.is_finite()) {
            (true, true) => (level - a) / (b - a),
            (false, _) if a < 0.0 => 1.0,
            (false, _) => 1.0 - 1e-3,
            (_, false) if b < 0.0 => 0.0,
            _ => 1e-3,
        };
        let (x, y) = (i as f64 - 1.0, j as f64 - 1.0);
        if up { (x, y + share) } else { (x + share, y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(outline: &[Corner]) -> f64 {
        let next = outline.iter().cycle().skip(1);
        outline.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>() / 2.0
    }

    #[test]
    fn a_cone_has_circles() {
        let size = 81;
        let values: Vec<f64> = (0..size * size)
            .map(|k| {
                let (x, y) = ((k % size) as f64 - 40.0, (k / size) as f64 - 40.0);
                x.hypot(y)
            })
            .collect();
        let grid = Grid { columns: size, values: &values };
        let outlines = grid.above(20.0);
        // The border of the grid, and the hole in it.
        assert_eq!(outlines.len(), 2);
        let total: f64 = outlines.iter().map(|o| area(o)).sum();
        let exact = 80.0 * 80.0 - std::f64::consts::PI * 400.0;
        assert!((total - exact).abs() < 3.0, "{total} {exact}");
        for (x, y) in outlines.iter().min_by_key(|o| o.len()).unwrap() {
            let radius = (x - 40.0).hypot(y - 40.0);
            let border = [0.0, 80.0].iter().any(|b| x == b || y == b);
            assert!(border || (radius - 20.0).abs() < 0.1);
        }
    }

    #[test]
    fn saddles_are_split_by_their_middle() {
        for (values, expected) in [([3.0, 0.0, 0.0, 3.0], 1), ([1.1, 0.0, 0.0, 1.1], 2)] {
            let grid = Grid { columns: 2, values: &values };
            assert_eq!(grid.above(1.0).len(), expected);
        }
    }

    #[test]
    fn holes_in_the_values_are_left_out() {
        let grid = Grid { columns: 3, values: &[1.0, 1.0, 1.0, 1.0, f64::NAN, 1.0, 1.0, 1.0, 1.0] };
        assert_eq!(grid.above(0.5).len(), 2);
        assert!(grid.above(2.0).is_empty());
        assert!(Grid { columns: 0, values: &[] }.above(0.0).is_empty());
    }
}
