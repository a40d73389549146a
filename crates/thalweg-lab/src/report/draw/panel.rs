//! One of many small pictures that share an axis.

use std::fmt::Write as _;

use super::lines::{Shape, stepped};
use super::path::{curve, strokes};
use super::{Axis, Name, Point, Shared, heading};
use crate::report::markup::{escape, px, style};

/// A mark in a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) enum Mark {
    /// A value.
    Dot(f64, f64),
    /// The value that was taken.
    Ring(f64, f64),
    /// Something that failed, drawn at the top of its position.
    Cross(f64),
}

/// A small picture of one optimizer.
#[derive(Debug, Clone)]
pub(in crate::report) struct Panel<'a> {
    pub(in crate::report) name: Name,
    /// The heading inside the picture.
    pub(in crate::report) heading: &'a str,
    pub(in crate::report) look: usize,
    /// From [`Panel::LEFT`] to [`Panel::RIGHT`].
    pub(in crate::report) x: Axis,
    /// From [`Panel::BOTTOM`] to [`Panel::TOP`].
    pub(in crate::report) y: Axis,
    /// The name of a horizontal axis of its own; `None` if the frame has it.
    pub(in crate::report) x_label: Option<&'a str>,
    /// What all panels of the figure show: see [`frame`].
    pub(in crate::report) frame: &'a Shared,
    /// Its own line; may be empty.
    pub(in crate::report) line: Vec<Point>,
    pub(in crate::report) shape: Shape,
    pub(in crate::report) marks: Vec<Mark>,
    /// A stretch of the horizontal axis to shade.
    pub(in crate::report) shaded: Option<[f64; 2]>,
}

impl Panel<'_> {
    pub(in crate::report) const LEFT: f64 = 34.0;
    pub(in crate::report) const RIGHT: f64 = 196.0;
    pub(in crate::report) const TOP: f64 = 14.0;
    pub(in crate::report) const BOTTOM: f64 = 102.0;
    /// Width and height of the picture.
    pub(in crate::report) const SIZE: [f64; 2] = [212.0, 130.0];

    /// The panel as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let mut svg = self.name.open(Self::SIZE[0], Self::SIZE[1]);
        if let Some([low, high]) = self.shaded {
            let (from, to) = (self.x.at(low), self.x.at(high));
            let _ = write!(
                svg,
                "<rect class=\"shade\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                px(from.min(to) - 1.0),
                px(Self::TOP),
                px((to - from).abs() + 2.0),
                px(Self::BOTTOM - Self::TOP),
            );
        }
        svg += &self.frame.show();
        if let Some(label) = self.x_label {
            horizontal(&mut svg, &self.x, label);
        }
        svg += &heading(self.heading, [Self::LEFT, 9.0], Self::SIZE[0]);
        let _ = write!(
            svg,
            "<g class=\"series {}\" data-series=\"{}\">",
            style(self.look),
            escape(self.heading)
        );
        let points = stepped(&self.line, self.shape);
        let line = curve(points.iter().map(|p| (p.x, p.y)), &self.x, &self.y);
        if !line.is_empty() {
            let _ = write!(svg, "<path class=\"line\" d=\"{line}\"/>");
        }
        self.marks(&mut svg);
        svg + "</g></svg>"
    }

    /// Marks of one kind are one path: there are many.
    fn marks(&self, svg: &mut String) {
        let (mut dots, mut crosses) = (String::new(), String::new());
        for mark in &self.marks {
            match *mark {
                // A line without length, which its round ends make a dot.
                Mark::Dot(x, y) => {
                    let _ = write!(dots, "M{} {}h0", px(self.x.at(x)), px(self.y.at(y)));
                }
                Mark::Cross(x) => crosses += &strokes(self.x.at(x), Self::TOP),
                Mark::Ring(..) => {}
            }
        }
        for (class, path) in [("dots", dots), ("cross", crosses)] {
            if !path.is_empty() {
                let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
            }
        }
        for mark in &self.marks {
            if let Mark::Ring(x, y) = *mark {
                let (cx, cy) = (px(self.x.at(x)), px(self.y.at(y)));
                let _ = write!(svg, "<circle class=\"ring\" cx=\"{cx}\" cy=\"{cy}\" r=\"5\"/>");
            }
        }
    }
}

/// The vertical axis of all panels of a figure, and what else they have in common: the horizontal axis
/// and its name, if it is the same for all, and a line to compare with, drawn thin; may be empty.
pub(in crate::report) fn frame(
    id: String,
    y: &Axis,
    x: Option<(&Axis, &str)>,
    reference: &[Point],
) -> Shared {
    let mut svg = String::new();
    for (at, label) in y.ticks(3) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"34\" x2=\"196\" y1=\"{0}\" y2=\"{0}\"/>\
             <text class=\"tick\" x=\"31\" y=\"{1}\" text-anchor=\"end\">{label}</text>",
            px(at),
            px(at + 3.0),
        );
    }
    if let Some((x, label)) = x {
        horizontal(&mut svg, x, label);
        let reference = curve(reference.iter().map(|p| (p.x, p.y)), x, y);
        if !reference.is_empty() {
            let _ = write!(svg, "<path class=\"reference\" d=\"{reference}\"/>");
        }
    }
    Shared::new(id, svg)
}

/// A horizontal axis.
fn horizontal(svg: &mut String, x: &Axis, label: &str) {
    for (at, label) in x.ticks(3) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"14\" y2=\"102\"/>\
             <text class=\"tick\" x=\"{0}\" y=\"113\" text-anchor=\"middle\">{label}</text>",
            px(at)
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"115\" y=\"125\" text-anchor=\"middle\">{}</text>",
        escape(label)
    );
}
