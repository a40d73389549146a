//! Lines and places in the plane, over heights if there are some, with a legend beside them.

use std::fmt::Write as _;

use super::contour::ground;
use super::path::{curve, with_halo};
use super::{Axis, LETTER, Name, Scale, WIDTH, grid, room};
use crate::report::markup::{escape, px, style};

/// What a line of a plane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Stroke {
    /// In the colour and dash pattern of this series.
    Series(usize),
    /// What was promised: grey, and dashed in a pattern of its own for each number.
    Promise(usize),
    /// Single places in the colour of this series.
    Places(usize),
}

/// A line of a plane.
#[derive(Debug, Clone)]
pub(in crate::report) struct Trace<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) stroke: Stroke,
    pub(in crate::report) points: &'a [(f64, f64)],
}

/// The ground under the lines.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Ground<'a> {
    /// Nodes along the horizontal axis.
    pub(in crate::report) columns: usize,
    /// Row by row from the smallest vertical coordinate.
    pub(in crate::report) values: &'a [f64],
    pub(in crate::report) levels: &'a [f64],
}

/// One axis of a plane.
#[derive(Debug, Clone)]
pub(in crate::report) struct Side<'a> {
    pub(in crate::report) label: &'a str,
    pub(in crate::report) scale: Scale,
    /// What it shows; `None` fits it to the lines.
    pub(in crate::report) range: Option<(f64, f64)>,
}

/// A picture of lines in the plane.
#[derive(Debug, Clone)]
pub(in crate::report) struct Plane<'a> {
    pub(in crate::report) name: Name,
    pub(in crate::report) x: Side<'a>,
    pub(in crate::report) y: Side<'a>,
    pub(in crate::report) ground: Option<Ground<'a>>,
    /// Those behind first.
    pub(in crate::report) traces: Vec<Trace<'a>>,
}

const LEFT: f64 = 66.0;
const TOP: f64 = 12.0;
/// The least height of the drawing, and its height over a ground.
const HEIGHT: f64 = 330.0;
const TALL: f64 = 500.0;
/// The distance of two entries of the legend.
const ENTRY: f64 = 18.0;
/// From the drawing to the names of the legend: a sample of the line is between.
const SAMPLE: f64 = 42.0;
/// What a fitted axis shows beyond the lines, at both ends, as a share of what they span.
const MARGIN: f64 = 0.03;

impl Plane<'_> {
    /// The picture as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let names = room(self.traces.iter().map(|t| t.name)).max(8.0 * LETTER);
        let right = WIDTH - SAMPLE - 6.0 - names;
        let least = if self.ground.is_some() { TALL } else { HEIGHT };
        let bottom = TOP + (self.traces.len() as f64 * ENTRY + 4.0).max(least);
        let values = |of: fn(&(f64, f64)) -> f64| {
            self.traces.iter().flat_map(|t| t.points).map(of).collect::<Vec<f64>>()
        };
        let x = self.x.axis(&values(|p| p.0), LEFT, right);
        let y = self.y.axis(&values(|p| p.1), bottom, TOP);
        let mut svg = self.name.open(WIDTH, bottom + 44.0);
        if let Some(Ground { columns, values, levels }) = self.ground {
            ground(&mut svg, &x, &y, (columns, values), levels);
        }
        grid(&mut svg, (&x, self.x.label, 7), (&y, self.y.label, 7));
        for (i, trace) in self.traces.iter().enumerate() {
            let name = escape(trace.name);
            let class = match trace.stroke {
                Stroke::Series(look) | Stroke::Places(look) => format!("series {}", style(look)),
                Stroke::Promise(_) => "series".to_owned(),
            };
            let _ =
                write!(svg, "<g class=\"{class}\" data-series=\"{name}\"><title>{name}</title>");
            self.trace(&mut svg, i, &x, &y);
            legend(&mut svg, trace.stroke, &name, right + 14.0, TOP + 8.0 + i as f64 * ENTRY);
            svg += "</g>";
        }
        svg + "</svg>"
    }

    fn trace(&self, svg: &mut String, index: usize, x: &Axis, y: &Axis) {
        let trace = &self.traces[index];
        if let Stroke::Places(_) = trace.stroke {
            for (a, b) in trace.points.iter().filter(|p| x.shows(p.0) && y.shows(p.1)) {
                place(svg, x.at(*a), y.at(*b));
            }
            return;
        }
        // What is outside from left to right has no place; what is above or below is cut off.
        let seen = |&(a, b): &(f64, f64)| (a, if x.shows(a) { b } else { f64::NAN });
        let path = curve(trace.points.iter().map(seen), x, y);
        if path.is_empty() {
            return;
        }
        let class = line_class(trace.stroke);
        if self.ground.is_some() {
            *svg += &with_halo(&format!("{}-w{index}", self.name.id), &path, class);
        } else {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
}

impl Side<'_> {
    fn axis(&self, values: &[f64], from: f64, to: f64) -> Axis {
        match self.range {
            Some((low, high)) => Axis::between(self.scale, [low, high], from, to),
            None => {
                let [low, high] = Axis::new(self.scale, values.iter().copied(), from, to).range();
                let margin = |low: f64, high: f64| MARGIN * (high - low);
                let wider = match self.scale {
                    Scale::Linear => [low - margin(low, high), high + margin(low, high)],
                    Scale::Log => {
                        let by = margin(low.ln(), high.ln());
                        [(low.ln() - by).exp(), (high.ln() + by).exp()]
                    }
                };
                // At the end of what a number can be there is no room for a margin.
                let [low, high] = if wider[0] > 0.0 || self.scale == Scale::Linear {
                    wider.map(|v| v.clamp(-f64::MAX, f64::MAX))
                } else {
                    [low, high]
                };
                Axis::between(self.scale, [low, high], from, to)
            }
        }
    }
}

fn line_class(stroke: Stroke) -> &'static str {
    match stroke {
        Stroke::Promise(n) if n % 2 == 1 => "promise other",
        Stroke::Promise(_) => "promise",
        _ => "line",
    }
}

fn place(svg: &mut String, x: f64, y: f64) {
    let _ = write!(svg, "<circle class=\"open\" cx=\"{}\" cy=\"{}\" r=\"4.5\"/>", px(x), px(y));
}

fn legend(svg: &mut String, stroke: Stroke, name: &str, left: f64, y: f64) {
    match stroke {
        Stroke::Places(_) => place(svg, left + 11.0, y),
        _ => {
            let (class, to) = (line_class(stroke), px(left + 22.0));
            let _ =
                write!(svg, "<path class=\"{class}\" d=\"M{0} {1}L{to} {1}\"/>", px(left), px(y));
        }
    }
    let at = [px(left + 28.0), px(y + 4.0)];
    let _ = write!(svg, "<text class=\"end\" x=\"{}\" y=\"{}\">{name}</text>", at[0], at[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane<'a>(traces: Vec<Trace<'a>>, scale: Scale) -> Plane<'a> {
        let side = |scale| Side { label: "x", scale, range: None };
        let name = Name::new("p", "t", "d");
        Plane { name, x: side(Scale::Linear), y: side(scale), ground: None, traces }
    }

    #[test]
    fn zero_breaks_a_line_on_a_logarithmic_axis() {
        let points = [(1.0, 1.0), (2.0, 2.0), (3.0, 0.0), (4.0, 1.0), (5.0, 2.0)];
        let trace = Trace { name: "a", stroke: Stroke::Series(0), points: &points };
        let svg = plane(vec![trace], Scale::Log).render();
        let path = svg.split("class=\"line\" d=\"").nth(1).unwrap();
        assert_eq!(path.split('"').next().unwrap().matches('M').count(), 2);
    }

    #[test]
    fn every_trace_has_its_entry() {
        let points = [(0.0, 1.0), (1.0, 2.0)];
        let trace = |name, stroke| Trace { name, stroke, points: &points };
        let traces = vec![
            trace("a & b", Stroke::Series(0)),
            trace("bound", Stroke::Promise(0)),
            trace("minimum", Stroke::Places(1)),
        ];
        let svg = plane(traces, Scale::Linear).render();
        assert!(roxmltree::Document::parse(&svg).is_ok());
        for name in ["a &amp; b", "bound", "minimum"] {
            assert!(svg.contains(&format!(">{name}</text>")), "{name}");
        }
        assert_eq!(svg.matches("class=\"open\"").count(), 3);
        assert_eq!(svg.matches("class=\"promise\"").count(), 2);
    }

    #[test]
    fn a_fitted_axis_leaves_a_margin_and_stays_finite() {
        let fit = |scale, values: &[f64]| {
            Side { label: "x", scale, range: None }.axis(values, 0.0, 1.0).range()
        };
        assert_eq!(fit(Scale::Linear, &[0.0, 100.0]), [-3.0, 103.0]);
        let [low, high] = fit(Scale::Log, &[1.0, 100.0]);
        assert!(low < 1.0 && low > 0.8 && high > 100.0 && high < 120.0);
        for end in fit(Scale::Log, &[5e-324, 1e308]) {
            assert!(end > 0.0 && end.is_finite());
        }
    }

    #[test]
    fn the_ground_has_a_line_for_every_level_in_sight() {
        let values: Vec<f64> = (0..400).map(|k| f64::from(k % 20)).collect();
        let mut picture = plane(vec![], Scale::Linear);
        picture.ground = Some(Ground { columns: 20, values: &values, levels: &[2.5, 7.5, 99.0] });
        assert_eq!(picture.render().matches("class=\"height\"").count(), 2);
    }
}
