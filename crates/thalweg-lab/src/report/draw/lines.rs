//! Lines, steps and bands, with labels at the ends of the lines that matter.

use std::fmt::Write as _;

use super::path::{band, curve};
use super::{Axis, LETTER, Name, Scale, WIDTH, grid, room};
use crate::report::markup::{escape, px, style};

/// A point of a line and the band around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct Point {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    /// The lower end of the band; equal to `y` if there is none.
    pub(in crate::report) low: f64,
    /// The upper end of the band.
    pub(in crate::report) high: f64,
}

impl Point {
    /// A point without a band.
    pub(in crate::report) fn bare(x: f64, y: f64) -> Self {
        Point { x, y, low: y, high: y }
    }
}

/// How much of the reader's eye a line gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Role {
    /// Colour, label, band.
    Lead,
    /// Colour and label.
    Label,
    /// A thin grey line that shows where the others are.
    Rest,
}

/// One line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Line<'a> {
    pub(in crate::report) name: &'a str,
    /// Decides colour and dash pattern.
    pub(in crate::report) look: usize,
    pub(in crate::report) role: Role,
    pub(in crate::report) points: Vec<Point>,
    /// A single value beside the line, drawn as an open circle.
    pub(in crate::report) mark: Option<(f64, f64)>,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Shape {
    Straight,
    /// A value holds until the next one, as in an empirical distribution.
    Steps,
}

/// What a chart says.
#[derive(Debug, Clone)]
pub(in crate::report) struct LineChart<'a> {
    pub(in crate::report) name: Name,
    pub(in crate::report) x_label: String,
    pub(in crate::report) y_label: String,
    pub(in crate::report) x_scale: Scale,
    pub(in crate::report) y_scale: Scale,
    /// The values the vertical axis shows; `None` fits it to the lines.
    pub(in crate::report) y_range: Option<[f64; 2]>,
    pub(in crate::report) shape: Shape,
    /// The best first.
    pub(in crate::report) lines: Vec<Line<'a>>,
}

const LEFT: f64 = 66.0;
/// From the end of the drawing to a label: a leader, then a sample of the line.
const LEADER: f64 = 40.0;
const TOP: f64 = 12.0;
/// How much wider bold letters are.
const BOLD: f64 = 1.12;
/// The least distance of two labels.
const LINE: f64 = 15.0;
/// A logarithmic axis shows no more than this many decades below its top.
const DECADES: f64 = 14.0;

impl LineChart<'_> {
    /// The chart as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let named = || self.lines.iter().filter(|l| l.role != Role::Rest);
        let rest = self.lines.len() - named().count();
        let others = others(rest);
        let labels = named().count() + usize::from(rest > 0);
        // Tall enough for all labels, and never flatter than reads well.
        let bottom = TOP + (labels as f64 * LINE + 10.0).max(330.0);
        let longest = room(named().map(|l| l.name).chain([&*others])).max(8.0 * LETTER) * BOLD;
        let right = WIDTH - LEADER - 6.0 - longest;
        let x = Axis::between(self.x_scale, self.span(), LEFT, right);
        let y =
            Axis::between(self.y_scale, self.y_range.unwrap_or_else(|| self.reach()), bottom, TOP);
        let mut svg = self.name.open(WIDTH, bottom + 44.0);
        grid(&mut svg, (&x, &self.x_label, self.across(&x)), (&y, &self.y_label, 7));
        let ends: Vec<f64> = named().map(|l| end(l, &y)).collect();
        let floor = bottom - if rest > 0 { LINE + 4.0 } else { 0.0 };
        let mut places = spread(&ends, TOP + 4.0, floor).into_iter();
        let places: Vec<Option<f64>> = self
            .lines
            .iter()
            .map(|l| if l.role == Role::Rest { None } else { places.next() })
            .collect();
        // The best are drawn last, on top of the others.
        for (line, place) in self.lines.iter().zip(places).rev() {
            self.line(&mut svg, line, &x, &y, place.map(|p| (p, right)));
        }
        if rest > 0 {
            let _ = write!(
                svg,
                "<g class=\"rest\"><path class=\"line\" d=\"M{0} {1}L{2} {1}\"/>\
                 <text class=\"end\" x=\"{3}\" y=\"{4}\">{others}</text></g>",
                px(right + LEADER - 22.0),
                px(bottom),
                px(right + LEADER - 4.0),
                px(right + LEADER),
                px(bottom + 4.0),
            );
        }
        svg + "</svg>"
    }

    /// How many ticks the horizontal axis gets: of a few trials there are no halves.
    fn across(&self, x: &Axis) -> usize {
        const TICKS: usize = 6;
        let [low, high] = x.range();
        let whole = self.lines.iter().flat_map(|l| &l.points).all(|p| p.x.fract() == 0.0);
        if whole { TICKS.min((high - low) as usize) } else { TICKS }
    }

    fn span(&self) -> [f64; 2] {
        let all = self.lines.iter().flat_map(|l| &l.points).map(|p| p.x);
        let zero = (self.x_scale == Scale::Linear && all.clone().any(|x| x >= 0.0)).then_some(0.0);
        Axis::new(self.x_scale, all.chain(zero), 0.0, 1.0).range()
    }

    /// The values the vertical axis shows: all of the lines that matter, and the others as far as they
    /// stay in sight of those.
    fn reach(&self) -> [f64; 2] {
        let of = |roles: &[Role]| {
            let lines = self.lines.iter().filter(|l| roles.contains(&l.role));
            let values = lines.flat_map(|l| {
                let points = l.points.iter().flat_map(|p| [p.y, p.low, p.high]);
                points.chain(l.mark.map(|m| m.1))
            });
            Axis::new(self.y_scale, values, 0.0, 1.0).range()
        };
        let [low, high] = of(&[Role::Lead, Role::Label]);
        let [rest, _] = if self.lines.iter().any(|l| l.role == Role::Rest) {
            of(&[Role::Rest])
        } else {
            [low, high]
        };
        let low = if self.y_scale == Scale::Log { low.min(rest) } else { low };
        match self.y_scale {
            Scale::Log => [low.max(high * 10f64.powf(-DECADES)), high],
            Scale::Linear => [low, high],
        }
    }

    fn line(
        &self,
        svg: &mut String,
        line: &Line<'_>,
        x: &Axis,
        y: &Axis,
        label: Option<(f64, f64)>,
    ) {
        let class = match line.role {
            Role::Lead => format!("series lead {}", style(line.look)),
            Role::Label => format!("series {}", style(line.look)),
            Role::Rest => "series rest".to_owned(),
        };
        let name = escape(line.name);
        let _ = write!(svg, "<g class=\"{class}\" data-series=\"{name}\"><title>{name}</title>");
        let points = stepped(&line.points, self.shape);
        if line.role == Role::Lead && points.iter().any(|p| p.low < p.high) {
            let edges: Vec<(f64, f64, f64)> = points.iter().map(|p| (p.x, p.low, p.high)).collect();
            let _ = write!(svg, "<path class=\"band\" d=\"{}\"/>", band(&edges, x, y));
        }
        let path = curve(points.iter().map(|p| (p.x, p.y)), x, y);
        if !path.is_empty() {
            let _ = write!(svg, "<path class=\"line\" d=\"{path}\"/>");
        }
        if let Some((a, b)) = line.mark.filter(|m| line.role != Role::Rest && y.shows(m.1)) {
            let (cx, cy) = (px(x.at(a)), px(y.at(b)));
            let _ = write!(svg, "<circle class=\"open\" cx=\"{cx}\" cy=\"{cy}\" r=\"4\"/>");
        }
        if let Some((place, right)) = label {
            let last = line.points.last().map_or(LEFT, |p| x.at(p.x));
            let (height, sample) = (px(end(line, y)), right + LEADER - 22.0);
            let _ = write!(
                svg,
                "<path class=\"leader\" d=\"M{0} {height}L{1} {height}L{2} {4}\"/>\
                 <path class=\"line\" d=\"M{3} {4}L{5} {4}\"/>\
                 <text class=\"end\" x=\"{6}\" y=\"{7}\">{name}</text>",
                px(last + 2.0),
                px(right + 2.0),
                px(sample - 1.0),
                px(sample),
                px(place),
                px(sample + 18.0),
                px(sample + 22.0),
                px(place + 4.0),
            );
        }
        *svg += "</g>";
    }
}

/// How many others there are.
pub(super) fn others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 other".to_owned(),
        n => format!("{n} others"),
    }
}

/// The points with the corners of a staircase between them.
pub(super) fn stepped(points: &[Point], shape: Shape) -> Vec<Point> {
    if shape == Shape::Straight {
        return points.to_vec();
    }
    let corner = |pair: &[Point]| [Point { x: pair[1].x, ..pair[0] }, pair[1]];
    let first = points.first().copied();
    first.into_iter().chain(points.windows(2).flat_map(corner)).collect()
}

fn end(line: &Line<'_>, y: &Axis) -> f64 {
    line.points.last().map_or(TOP, |p| y.at(p.y))
}

/// Places for labels near `wanted`, in the same order from top to bottom, at least a line apart as far
/// as the room between `top` and `bottom` allows.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let gap = LINE.min((bottom - top) / wanted.len().max(1) as f64);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut lowest = top;
    for &i in &order {
        places[i] = places[i].max(lowest);
        lowest = places[i] + gap;
    }
    let mut highest = bottom;
    for &i in order.iter().rev() {
        places[i] = places[i].min(highest);
        highest = places[i] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_distance() {
        let places = spread(&[100.0, 100.0, 99.0, 300.0, 300.0], 0.0, 301.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 14.9), "{places:?}");
        assert!(places[2] < places[0] && places[4] <= 301.0);
    }

    #[test]
    fn a_crowd_shares_the_room() {
        let places = spread(&[50.0; 40], 0.0, 200.0);
        assert!(places.iter().all(|p| (0.0..=200.0).contains(p)));
    }

    #[test]
    fn a_staircase_holds_its_value() {
        let points = [Point::bare(0.0, 1.0), Point::bare(2.0, 3.0)];
        let steps: Vec<(f64, f64)> =
            stepped(&points, Shape::Steps).iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(steps, [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0)]);
    }

    #[test]
    fn the_rest_is_grey_unlabelled_and_does_not_stretch_the_axis() {
        let line = |name, role, top| Line {
            name,
            look: 0,
            role,
            points: vec![Point::bare(0.0, top), Point::bare(1.0, 1.0)],
            mark: None,
        };
        let chart = LineChart {
            name: Name::new("c", "t", "d"),
            x_label: "x".into(),
            y_label: "y".into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Log,
            shape: Shape::Straight,
            y_range: None,
            lines: vec![line("a", Role::Lead, 10.0), line("b", Role::Rest, 1e9)],
        };
        assert_eq!(chart.reach(), [1.0, 10.0]);
        assert_eq!(chart.across(&Axis::between(Scale::Linear, [0.0, 3.0], 0.0, 1.0)), 3);
        assert_eq!(chart.across(&Axis::between(Scale::Linear, [0.0, 80.0], 0.0, 1.0)), 6);
        let svg = chart.render();
        assert!(svg.contains("1 other") && svg.contains("data-series=\"b\"><title>b</title>"));
        assert!(!svg.contains(">b</text>") && svg.contains(">a</text>"));
    }
}
