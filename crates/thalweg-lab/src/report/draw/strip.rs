//! Every value of every row on one axis, with the mean and its interval: no average hides a spread.

use std::fmt::Write as _;

use super::path::cross;
use super::{Axis, LETTER, Name, Scale, WIDTH, room, ticks_below};
use crate::report::markup::{escape, px, style};

/// A row.
#[derive(Debug, Clone)]
pub(in crate::report) struct Strip<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) look: usize,
    /// Single values; infinite ones are drawn as crosses at the end of the axis.
    pub(in crate::report) values: Vec<f64>,
    pub(in crate::report) mean: f64,
    /// The interval of the mean.
    pub(in crate::report) interval: Option<[f64; 2]>,
    /// A remark at the end of the row.
    pub(in crate::report) note: &'a str,
}

/// Rows of values on one axis.
#[derive(Debug, Clone)]
pub(in crate::report) struct StripChart<'a> {
    pub(in crate::report) name: Name,
    pub(in crate::report) label: String,
    /// What the remarks are.
    pub(in crate::report) note_label: &'a str,
    pub(in crate::report) scale: Scale,
    /// Values beyond this run off the axis.
    pub(in crate::report) ceiling: f64,
    pub(in crate::report) rows: Vec<Strip<'a>>,
}

const ROW: f64 = 18.0;
const TOP: f64 = 22.0;

impl StripChart<'_> {
    /// The chart as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let left = room(self.rows.iter().map(|r| r.name)) + 14.0;
        let notes = room(self.rows.iter().map(|r| r.note).chain([self.note_label]));
        let right = WIDTH - notes.max(3.0 * LETTER) - 24.0;
        let bottom = TOP + self.rows.len() as f64 * ROW;
        let values = self
            .rows
            .iter()
            .flat_map(|r| r.values.iter().copied().chain(r.interval.unwrap_or([r.mean; 2])));
        let floor = self.rows.iter().flat_map(|r| &r.values).copied().fold(f64::INFINITY, f64::min);
        let shown = values.filter(|v| *v <= self.ceiling && *v >= floor - (self.ceiling - floor));
        let x = Axis::new(self.scale, shown, left, right - 8.0);
        let mut svg = self.name.open(WIDTH, bottom + 40.0);
        ticks_below(&mut svg, &x, 7, [TOP, bottom], 15.0);
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" x=\"{}\" y=\"13\">{}</text>",
            px((left + right) / 2.0),
            px(bottom + 34.0),
            escape(&self.label),
            px(right + 10.0),
            escape(self.note_label),
        );
        for (i, row) in self.rows.iter().enumerate() {
            strip(&mut svg, row, &x, TOP + (i as f64 + 0.5) * ROW, (left, right));
        }
        svg + "</svg>"
    }
}

fn strip(svg: &mut String, row: &Strip<'_>, x: &Axis, y: f64, (left, right): (f64, f64)) {
    let name = escape(row.name);
    let _ = write!(
        svg,
        "<g class=\"series {}\" data-series=\"{name}\">\
         <text class=\"end\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
        style(row.look),
        px(left - 8.0),
        px(y + 4.0),
    );
    let mut off = false;
    for value in &row.values {
        if x.shows(*value) {
            let _ = write!(
                svg,
                "<circle class=\"faint\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
                px(x.at(*value)),
                px(y)
            );
        } else {
            off = true;
        }
    }
    if off {
        *svg += &cross(right - 2.0, y);
    }
    if x.shows(row.mean) {
        let [low, high] = row.interval.unwrap_or([row.mean; 2]);
        let _ = write!(
            svg,
            "<line class=\"bar\" x1=\"{}\" x2=\"{}\" y1=\"{4}\" y2=\"{4}\"/>\
             <line class=\"mean\" x1=\"{2}\" x2=\"{2}\" y1=\"{3}\" y2=\"{5}\"/>",
            px(x.at(low)),
            px(x.at(high)),
            px(x.at(row.mean)),
            px(y - 6.0),
            px(y),
            px(y + 6.0),
        );
    }
    let _ = write!(
        svg,
        "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text></g>",
        px(right + 10.0),
        px(y + 4.0),
        escape(row.note)
    );
}
