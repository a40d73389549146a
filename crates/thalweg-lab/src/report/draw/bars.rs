//! Horizontal bars in one or more parts.

use std::fmt::Write as _;

use super::{Axis, Name, Scale, WIDTH, room, ticks_below};
use crate::report::markup::{escape, px};

/// A row.
#[derive(Debug, Clone)]
pub(in crate::report) struct Bar<'a> {
    pub(in crate::report) name: &'a str,
    /// The parts, from the left.
    pub(in crate::report) parts: Vec<f64>,
    /// The numbers in words, after the bar.
    pub(in crate::report) note: String,
}

/// Rows of bars from zero.
#[derive(Debug, Clone)]
pub(in crate::report) struct BarChart<'a> {
    pub(in crate::report) name: Name,
    pub(in crate::report) label: String,
    /// The name of each part.
    pub(in crate::report) parts: Vec<&'a str>,
    pub(in crate::report) bars: Vec<Bar<'a>>,
}

const ROW: f64 = 18.0;
const TOP: f64 = 26.0;

impl BarChart<'_> {
    /// The chart as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let left = room(self.bars.iter().map(|b| b.name)) + 14.0;
        let right = WIDTH - room(self.bars.iter().map(|b| &*b.note)) - 16.0;
        let bottom = TOP + self.bars.len() as f64 * ROW;
        let totals = self.bars.iter().map(|b| b.parts.iter().sum::<f64>());
        let x = Axis::new(Scale::Linear, totals.chain([0.0]), left, right);
        let mut svg = self.name.open(WIDTH, bottom + 40.0);
        ticks_below(&mut svg, &x, 6, [TOP, bottom], 15.0);
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            px((left + right) / 2.0),
            px(bottom + 34.0),
            escape(&self.label),
        );
        let mut at = left;
        for (i, part) in self.parts.iter().enumerate() {
            let _ = write!(
                svg,
                "<rect class=\"part{i}\" x=\"{0}\" y=\"5\" width=\"11\" height=\"11\"/>\
                 <text class=\"label\" x=\"{1}\" y=\"15\">{2}</text>",
                px(at),
                px(at + 16.0),
                escape(part),
            );
            at += 40.0 + room([*part].into_iter());
        }
        for (i, bar) in self.bars.iter().enumerate() {
            row(&mut svg, bar, &x, TOP + i as f64 * ROW, left);
        }
        svg + "</svg>"
    }
}

fn row(svg: &mut String, bar: &Bar<'_>, x: &Axis, y: f64, left: f64) {
    let name = escape(bar.name);
    let _ = write!(
        svg,
        "<g class=\"series\" data-series=\"{name}\">\
         <text class=\"end\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
        px(left - 8.0),
        px(y + 13.0)
    );
    let mut sum = 0.0;
    for (i, part) in bar.parts.iter().enumerate() {
        let (from, to) = (x.at(sum), x.at(sum + part));
        let _ = write!(
            svg,
            "<rect class=\"part{i}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            px(from),
            px(y + 3.0),
            px((to - from).max(0.5)),
            px(ROW - 6.0),
        );
        sum += part;
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{}\" y=\"{}\">{}</text></g>",
        px(x.at(sum) + 6.0),
        px(y + 13.0),
        escape(&bar.note)
    );
}
