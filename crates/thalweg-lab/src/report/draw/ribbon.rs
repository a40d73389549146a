//! Quantiles along a run, a row of panels that share their axes.

use std::fmt::Write as _;

use super::path::{band, curve};
use super::{Axis, LETTER, Name, SMALL, Shared, WIDTH, fitted, heading};
use crate::report::markup::{escape, px, style};

/// The 5, 25, 50, 75 and 95 % quantiles at a place of the horizontal axis.
type Quantiles = (f64, [f64; 5]);

/// One panel of a row.
#[derive(Debug, Clone)]
pub(in crate::report) struct Ribbon<'a> {
    /// The heading of the panel.
    pub(in crate::report) heading: &'a str,
    /// May be empty.
    pub(in crate::report) quantiles: Vec<Quantiles>,
    /// A line to compare with, drawn thin; may be empty.
    pub(in crate::report) reference: Vec<(f64, f64)>,
}

/// A row of panels of one optimizer.
#[derive(Debug, Clone)]
pub(in crate::report) struct Ribbons<'a> {
    pub(in crate::report) name: Name,
    /// The heading of the row.
    pub(in crate::report) heading: &'a str,
    pub(in crate::report) look: usize,
    pub(in crate::report) grid: &'a RibbonGrid,
    pub(in crate::report) panels: Vec<Ribbon<'a>>,
}

/// What all rows of a figure have in common.
#[derive(Debug)]
pub(in crate::report) struct RibbonGrid {
    x: Axis,
    y: Axis,
    width: f64,
    frame: Shared,
}

const LEFT: f64 = 40.0;
const GAP: f64 = 12.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 126.0;
const HEIGHT: f64 = 148.0;
/// The width of a panel that has its row to itself.
const ALONE: f64 = 254.0;

impl RibbonGrid {
    /// The grid of rows of so many panels.
    pub(in crate::report) fn new(id: String, panels: usize, x: &Axis, y: &Axis) -> Self {
        let panels = panels.max(1);
        // Rows of several panels fill the page.
        let width = match panels {
            1 => ALONE,
            _ => (WIDTH - LEFT) / panels as f64 - GAP,
        };
        let x = Axis::between(x.scale(), x.range(), 0.0, width);
        let y = Axis::between(y.scale(), y.range(), BOTTOM, TOP);
        let mut svg = String::new();
        for k in 0..panels {
            let left = LEFT + k as f64 * (width + GAP);
            for (at, label) in y.ticks(3) {
                let _ = write!(
                    svg,
                    "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>",
                    px(left),
                    px(left + width),
                    px(at)
                );
                if k == 0 {
                    let _ = write!(
                        svg,
                        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>",
                        px(LEFT - 4.0),
                        px(at + 4.0)
                    );
                }
            }
            for (at, label) in x.ticks(((width / 60.0) as usize).clamp(1, 5)) {
                // Numbers stay below their own panel: the next one is near.
                let half = 0.5 * LETTER * label.chars().count() as f64;
                let anchor = match at {
                    _ if at < half => "start",
                    _ if at > width - half => "end",
                    _ => "middle",
                };
                let _ = write!(
                    svg,
                    "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>\
                     <text class=\"tick\" x=\"{0}\" y=\"{1}\" text-anchor=\"{anchor}\">{label}</text>",
                    px(left + at),
                    px(BOTTOM + 15.0)
                );
            }
        }
        RibbonGrid { x, y, width, frame: Shared::new(id, svg) }
    }

    /// The width of a row of so many panels.
    fn span(&self, panels: usize) -> f64 {
        LEFT + panels as f64 * (self.width + GAP)
    }
}

impl Ribbons<'_> {
    /// The row as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let RibbonGrid { x, y, width, frame } = self.grid;
        let span = self.grid.span(self.panels.len());
        let mut svg = self.name.open(span, HEIGHT);
        svg += &frame.show();
        let _ = write!(
            svg,
            "<g class=\"series lead {}\" data-series=\"{}\">{}",
            style(self.look),
            escape(self.heading),
            heading(self.heading, [LEFT, 11.0], span)
        );
        for (k, panel) in self.panels.iter().enumerate() {
            let left = LEFT + k as f64 * (width + GAP);
            let _ = write!(
                svg,
                "<g transform=\"translate({} 0)\"><text class=\"tick\" x=\"0\" y=\"{}\">{}</text>",
                px(left),
                px(TOP - 6.0),
                escape(&fitted(panel.heading, *width, SMALL))
            );
            for (low, high) in [(0, 4), (1, 3)] {
                let edges: Vec<(f64, f64, f64)> =
                    panel.quantiles.iter().map(|(at, q)| (*at, q[low], q[high])).collect();
                let _ = write!(svg, "<path class=\"band\" d=\"{}\"/>", band(&edges, x, y));
            }
            let line = curve(panel.quantiles.iter().map(|(at, q)| (*at, q[2])), x, y);
            let reference = curve(panel.reference.iter().copied(), x, y);
            for (class, path) in [("reference", reference), ("line", line)] {
                if !path.is_empty() {
                    let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
                }
            }
            svg += "</g>";
        }
        svg + "</g></svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::draw::Scale;

    #[test]
    fn a_row_has_a_band_in_a_band_and_a_line_in_every_panel() {
        let x = Axis::between(Scale::Linear, [0.0, 10.0], 0.0, 1.0);
        let y = Axis::between(Scale::Log, [1e-4, 1.0], 0.0, 1.0);
        let grid = RibbonGrid::new("g".to_owned(), 2, &x, &y);
        let panel = |heading| Ribbon {
            heading,
            quantiles: vec![(0.0, [1e-4, 1e-3, 1e-2, 0.1, 1.0]), (10.0, [1e-2; 5])],
            reference: Vec::new(),
        };
        let row = Ribbons {
            name: Name::new("r", "t", "d"),
            heading: "a",
            look: 0,
            grid: &grid,
            panels: vec![panel("w"), panel("v")],
        };
        let svg = row.render();
        assert_eq!(
            (svg.matches("class=\"band\"").count(), svg.matches("class=\"line\"").count()),
            (4, 2)
        );
        // The last number of a panel does not run into the first of the next.
        assert_eq!(svg.matches("text-anchor=\"start\">0</text>").count(), 2);
        assert_eq!(svg.matches("text-anchor=\"end\">10</text>").count(), 2);
        // The outer band reaches from the bottom to the top of the axis, and both end in a point.
        assert!(svg.contains(&format!("M0 {TOP}")) && svg.contains(&format!("L0 {BOTTOM}Z")));
        assert!(!svg.contains("class=\"reference\"") && svg.contains("data-series=\"a\""));
        roxmltree::Document::parse(&svg).unwrap();
    }
}
