//! One of many small pictures that share an axis.

use std::fmt::Write as _;

use super::lines::{Shape, stepped};
use super::path::{clipped, cross};
use super::{Axis, Name, Point};
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
    pub(in crate::report) x_label: &'a str,
    pub(in crate::report) look: usize,
    /// From [`Panel::LEFT`] to [`Panel::RIGHT`].
    pub(in crate::report) x: Axis,
    /// From [`Panel::BOTTOM`] to [`Panel::TOP`].
    pub(in crate::report) y: Axis,
    /// Its own line; may be empty.
    pub(in crate::report) line: Vec<Point>,
    pub(in crate::report) shape: Shape,
    /// A line to compare with, drawn thin; may be empty.
    pub(in crate::report) reference: Vec<Point>,
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
        self.grid(&mut svg);
        let reference = clipped(self.reference.iter().map(|p| (p.x, p.y)), &self.x, &self.y);
        if !reference.is_empty() {
            let _ = write!(svg, "<path class=\"reference\" d=\"{reference}\"/>");
        }
        let _ = write!(
            svg,
            "<g class=\"series {}\" data-series=\"{}\">",
            style(self.look),
            escape(self.heading)
        );
        let points = stepped(&self.line, self.shape);
        let line = clipped(points.iter().map(|p| (p.x, p.y)), &self.x, &self.y);
        if !line.is_empty() {
            let _ = write!(svg, "<path class=\"line\" d=\"{line}\"/>");
        }
        for mark in &self.marks {
            self.mark(&mut svg, *mark);
        }
        svg + "</g></svg>"
    }

    fn mark(&self, svg: &mut String, mark: Mark) {
        match mark {
            Mark::Cross(x) => *svg += &cross(self.x.at(x), Self::TOP),
            Mark::Dot(x, y) | Mark::Ring(x, y) => {
                let (class, r) =
                    if let Mark::Dot(..) = mark { ("dot", 2.2) } else { ("ring", 5.0) };
                let (cx, cy) = (px(self.x.at(x)), px(self.y.at(y)));
                let _ =
                    write!(svg, "<circle class=\"{class}\" cx=\"{cx}\" cy=\"{cy}\" r=\"{r}\"/>");
            }
        }
    }

    fn grid(&self, svg: &mut String) {
        for (at, label) in self.y.ticks(3) {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"34\" x2=\"196\" y1=\"{0}\" y2=\"{0}\"/>\
                 <text class=\"tick\" x=\"31\" y=\"{1}\" text-anchor=\"end\">{label}</text>",
                px(at),
                px(at + 3.0),
            );
        }
        for (at, label) in self.x.ticks(3) {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"14\" y2=\"102\"/>\
                 <text class=\"tick\" x=\"{0}\" y=\"113\" text-anchor=\"middle\">{label}</text>",
                px(at)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"34\" y=\"9\">{}</text>\
             <text class=\"tick\" x=\"115\" y=\"125\" text-anchor=\"middle\">{}</text>",
            escape(self.heading),
            escape(self.x_label)
        );
    }
}
