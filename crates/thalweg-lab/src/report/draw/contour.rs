//! A function of two coordinates as a map of heights, and the ways down it.

use std::fmt::Write as _;

use super::isolines::Grid;
use super::path::{Place, UNSEEN, arrow, inside, simplify, with_halo};
use super::{Axis, LETTER, Name, Scale, Shared, grid, heading, room};
use crate::report::markup::{escape, px, style};

/// A way over the map.
#[derive(Debug, Clone)]
pub(in crate::report) struct Trajectory<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) look: usize,
    pub(in crate::report) points: Vec<[f64; 2]>,
}

/// A map and the ways over it.
#[derive(Debug, Clone)]
pub(in crate::report) struct Contour<'a> {
    pub(in crate::report) name: Name,
    /// The names of the coordinates.
    pub(in crate::report) labels: [&'a str; 2],
    /// The range of the first coordinate.
    pub(in crate::report) x: [f64; 2],
    /// The range of the second coordinate.
    pub(in crate::report) y: [f64; 2],
    /// Nodes of the grid along the first coordinate.
    pub(in crate::report) columns: usize,
    /// Heights, row by row from the smallest second coordinate.
    pub(in crate::report) values: &'a [f64],
    /// The lowest points, marked by a star.
    pub(in crate::report) minima: Vec<[f64; 2]>,
    pub(in crate::report) ways: Vec<Trajectory<'a>>,
    /// A small picture without axes, headed by the name of its way.
    pub(in crate::report) small: bool,
    /// The [`land`](Contour::land) that this picture shares with others; `None` for one of its own.
    pub(in crate::report) shared: Option<&'a Shared>,
}

/// The steps of height of a map that fills the page, and of a small one.
const LEVELS: [usize; 2] = [14, 6];

impl Contour<'_> {
    /// Width and height of a small map.
    pub(in crate::report) const SIZE: [f64; 2] = [204.0, 176.0];

    /// The map as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let (x, y) = self.axes();
        let [width, height] = if self.small {
            Self::SIZE
        } else {
            let names = room(self.ways.iter().map(|w| w.name)).max(8.0 * LETTER) + 46.0;
            [760.0 + names, 604.0]
        };
        let mut svg = self.name.open(width, height);
        svg += &self.shared.map_or_else(|| self.land(), Shared::show);
        if self.small {
            svg += &heading(self.ways.first().map_or("", |w| w.name), [4.0, 10.0], width);
        } else {
            grid(&mut svg, (&x, self.labels[0], 7), (&y, self.labels[1], 7));
            self.stars(&mut svg, &x, &y);
        }
        for i in (0..self.ways.len()).rev() {
            self.way(&mut svg, i, &x, &y);
        }
        if !self.small {
            self.legend(&mut svg, x.pixels()[1] + 14.0);
        }
        svg + "</svg>"
    }

    fn axes(&self) -> (Axis, Axis) {
        let [left, right, top, bottom] =
            if self.small { [4.0, 200.0, 16.0, 172.0] } else { [66.0, 750.0, 10.0, 560.0] };
        let x = Axis::between(Scale::Linear, self.x, left, right);
        (x, Axis::between(Scale::Linear, self.y, bottom, top))
    }

    /// What lies under names and ways, the same in every picture of this size.
    pub(in crate::report) fn land(&self) -> String {
        let (x, y) = self.axes();
        let mut svg = String::new();
        ground(&mut svg, &x, &y, (self.columns, self.values), &self.levels());
        if self.small {
            self.stars(&mut svg, &x, &y);
        }
        svg
    }

    fn stars(&self, svg: &mut String, x: &Axis, y: &Axis) {
        for [a, b] in &self.minima {
            star(svg, x.at(*a), y.at(*b));
        }
    }

    /// Levels at equal shares of the map, so that neither a steep wall nor a flat floor takes them all.
    fn levels(&self) -> Vec<f64> {
        let mut sorted: Vec<f64> = self.values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let wanted = LEVELS[usize::from(self.small)];
        let share = |i: usize| (i as f64 / wanted as f64).powf(1.5) * 0.98 + 0.01;
        let at = |i: usize| sorted.get((share(i) * sorted.len() as f64) as usize).copied();
        let mut levels: Vec<f64> = (0..wanted).filter_map(at).collect();
        levels.dedup();
        levels
    }

    fn way(&self, svg: &mut String, index: usize, x: &Axis, y: &Axis) {
        let way = &self.ways[index];
        let name = escape(way.name);
        let _ = write!(
            svg,
            "<g class=\"series {}\" data-series=\"{name}\"><title>{name}</title>",
            style(way.look)
        );
        let pieces = pieces(&way.points, x, y);
        let path: String = pieces.iter().map(|piece| format!("M{}", corners(piece))).collect();
        if !path.is_empty() {
            *svg += &with_halo(&format!("{}-w{index}", self.name.id), &path, "line");
        }
        // Where a run has left the map for good the arrow stands at the border.
        if let Some([.., before, last]) = pieces.last().map(Vec::as_slice) {
            *svg += &arrow(*before, *last);
        }
        let on_map = |p: &&[f64; 2]| x.shows(p[0]) && y.shows(p[1]);
        if let Some(start) = way.points.first().filter(on_map) {
            let (cx, cy) = (px(x.at(start[0])), px(y.at(start[1])));
            let _ = write!(svg, "<circle class=\"start\" cx=\"{cx}\" cy=\"{cy}\" r=\"4\"/>");
        }
        *svg += "</g>";
    }

    fn legend(&self, svg: &mut String, left: f64) {
        for (i, way) in self.ways.iter().enumerate() {
            let y = 20.0 + i as f64 * 18.0;
            let name = escape(way.name);
            let _ = write!(
                svg,
                "<g class=\"series {0}\" data-series=\"{name}\"><path class=\"line\" d=\"M{1} {2}L{3} {2}\"/>\
                 <text class=\"end\" x=\"{4}\" y=\"{5}\">{name}</text></g>",
                style(way.look),
                px(left),
                px(y),
                px(left + 22.0),
                px(left + 28.0),
                px(y + 4.0),
            );
        }
        let y = 30.0 + self.ways.len() as f64 * 18.0;
        let _ = write!(
            svg,
            "<circle class=\"start\" cx=\"{0}\" cy=\"{1}\" r=\"4\"/><text class=\"label\" x=\"{2}\" y=\"{3}\">start</text>",
            px(left + 11.0),
            px(y),
            px(left + 28.0),
            px(y + 4.0)
        );
        if !self.minima.is_empty() {
            star(svg, left + 11.0, y + 20.0);
            let _ = write!(
                svg,
                "<text class=\"label\" x=\"{}\" y=\"{}\">minimum</text>",
                px(left + 28.0),
                px(y + 24.0)
            );
        }
    }
}

/// The parts of a way that lie on the map, without the corners that nobody could see. A part of a single
/// point has no line.
fn pieces(points: &[[f64; 2]], x: &Axis, y: &Axis) -> Vec<Vec<Place>> {
    let places = points.iter().map(|p| (x.beyond(p[0]), y.beyond(p[1])));
    let pieces = inside(places, x, y);
    pieces.iter().map(|piece| simplify(piece, UNSEEN)).filter(|piece| piece.len() > 1).collect()
}

fn corners(line: &[Place]) -> String {
    let corners: Vec<String> = line.iter().map(|p| format!("{} {}", px(p.0), px(p.1))).collect();
    corners.join("L")
}

/// The values at the nodes of a grid over the whole of both axes, each level filled from there up. The
/// map is the number of its columns and the values, row by row from the bottom.
pub(super) fn ground(
    svg: &mut String,
    x: &Axis,
    y: &Axis,
    (columns, values): (usize, &[f64]),
    levels: &[f64],
) {
    let ([left, right], [bottom, top]) = (x.pixels(), y.pixels());
    let _ = write!(
        svg,
        "<rect class=\"ground\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        px(left),
        px(top),
        px(right - left),
        px(bottom - top)
    );
    let rows = values.len() / columns.max(1);
    if columns < 2 || rows < 2 {
        return;
    }
    let map = Grid { columns, values };
    let place = |(i, j): (f64, f64)| {
        let (u, v) = (i / (columns - 1) as f64, j / (rows - 1) as f64);
        (left + u * (right - left), bottom + v * (top - bottom))
    };
    for level in levels {
        let mut path = String::new();
        for outline in map.above(*level) {
            let mut ring: Vec<Place> = outline.into_iter().map(place).collect();
            ring.extend(ring.first().copied());
            let mut ring = simplify(&ring, UNSEEN);
            ring.pop();
            let _ = write!(path, "M{}Z", corners(&ring));
        }
        if !path.is_empty() {
            let _ = write!(svg, "<path class=\"height\" d=\"{path}\"/>");
        }
    }
}

fn star(svg: &mut String, x: f64, y: f64) {
    let corners: Vec<String> = (0..10)
        .map(|i| {
            let angle = f64::from(i) * std::f64::consts::PI / 5.0;
            let radius = if i % 2 == 0 { 7.0 } else { 2.9 };
            format!("{} {}", px(x + radius * angle.sin()), px(y - radius * angle.cos()))
        })
        .collect();
    let _ = write!(svg, "<path class=\"star\" d=\"M{}Z\"/>", corners.join("L"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bowl() -> Vec<f64> {
        let at = |k: usize| ((k % 41) as f64 - 20.0, (k / 41) as f64 - 20.0);
        (0..41 * 41).map(at).map(|(x, y)| x * x + 4.0 * y * y).collect()
    }

    fn map(values: &[f64], small: bool) -> Contour<'_> {
        let spiral = |i: i32| {
            let t = f64::from(i) / 10.0;
            [(2.0 - t / 20.0) * t.cos(), (2.0 - t / 20.0) * t.sin()]
        };
        let ways = vec![
            Trajectory { name: "adam", look: 0, points: (0..300).map(spiral).collect() },
            Trajectory { name: "out", look: 1, points: vec![[0.0, 1.5], [9.0, 9.0], [1.0, 0.0]] },
        ];
        Contour {
            name: Name::new("m", "t", "d"),
            labels: ["x", "y"],
            x: [-2.5, 2.5],
            y: [-2.5, 2.5],
            columns: 41,
            values,
            minima: vec![[0.0, 0.0]],
            ways,
            small,
            shared: None,
        }
    }

    #[test]
    fn a_map_has_heights_ways_and_a_legend() {
        let values = bowl();
        let svg = map(&values, false).render();
        assert!(svg.matches("class=\"height\"").count() >= 10);
        assert_eq!(svg.matches("data-series=\"adam\"").count(), 2);
        assert!(svg.contains("class=\"star\"") && svg.contains(">minimum<"));
        // A way that leaves the map is seen as far as its border, and from there when it comes back.
        let tree = roxmltree::Document::parse(&svg).unwrap();
        let out = tree.descendants().find(|n| n.attribute("id") == Some("m-w1")).unwrap();
        let path = out.attribute("d").unwrap();
        let starts: Vec<&str> = path.split('M').skip(1).collect();
        assert_eq!(starts.len(), 2, "{path}");
        // From (0, 1.5) towards (9, 9) the upper border y = 2.5 is crossed at x = 1.2; back from there to
        // (1, 0) the right one, x = 2.5, at y = 1.6875.
        let (x, y) = map(&values, false).axes();
        let at = |a: f64, b: f64| format!("{} {}", px(x.at(a)), px(y.at(b)));
        assert_eq!(starts[0], format!("{}L{}", at(0.0, 1.5), at(1.2, 2.5)));
        assert_eq!(starts[1], format!("{}L{}", at(2.5, 1.6875), at(1.0, 0.0)));
        assert!(svg.len() < 40_000, "{}", svg.len());
        assert!(map(&values, true).render().len() < 10_000);
    }

    #[test]
    fn a_long_way_is_drawn_once_and_no_finer_than_can_be_seen() {
        let values = bowl();
        let mut picture = map(&values, false);
        // Two thousand steps that zigzag ever less across a valley, then stand still.
        let zigzag = |i: i32| {
            let t = f64::from(i) / 50.0;
            [2.0 * (-0.1 * t).exp(), (-t).exp() * f64::from(1 - 2 * (i % 2))]
        };
        picture.ways =
            vec![Trajectory { name: "gd", look: 0, points: (0..2_000).map(zigzag).collect() }];
        let svg = picture.render();
        let tree = roxmltree::Document::parse(&svg).unwrap();
        let way = tree.descendants().find(|n| n.attribute("id") == Some("m-w0")).unwrap();
        let uses = tree.descendants().filter(|n| n.attribute("href") == Some("#m-w0"));
        let classes: Vec<_> = uses.filter_map(|n| n.attribute("class")).collect();
        assert_eq!(classes, ["halo", "line"]);
        let drawn = way.attribute("d").unwrap();
        let count = drawn.split(['M', 'L']).count() - 1;
        assert!((100..500).contains(&count), "{count}");
        assert_eq!(svg.matches(&drawn[..20]).count(), 1);
    }

    #[test]
    fn levels_rise_and_a_flat_map_has_one() {
        let values = bowl();
        assert!(map(&values, false).levels().windows(2).all(|w| w[0] < w[1]));
        assert_eq!(map(&[1.0; 1681], false).levels(), [1.0]);
        assert!(map(&[], false).render().contains("ground"));
    }
}
