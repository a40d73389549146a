//! Parallel coordinates: one vertical axis per hyper-parameter, one for the result, a line per trial.

use std::fmt::Write as _;

use super::path::cross;
use super::{Axis, Name, heading};
use crate::report::markup::{escape, number, px, style};

/// The trials of one optimizer.
#[derive(Debug, Clone)]
pub(in crate::report) struct Parallel<'a> {
    pub(in crate::report) name: Name,
    /// The heading inside the picture.
    pub(in crate::report) heading: &'a str,
    pub(in crate::report) look: usize,
    /// The axes with their names, the last for the result; from [`Parallel::BOTTOM`] to
    /// [`Parallel::TOP`].
    pub(in crate::report) axes: Vec<(&'a str, Axis)>,
    /// A value per axis, and whether the trial was chosen.
    pub(in crate::report) trials: Vec<(Vec<f64>, bool)>,
}

/// The width of the picture.
const WIDTH: f64 = 310.0;

impl Parallel<'_> {
    pub(in crate::report) const TOP: f64 = 34.0;
    pub(in crate::report) const BOTTOM: f64 = 150.0;
    const LEFT: f64 = 34.0;
    const RIGHT: f64 = 270.0;

    /// The picture as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let mut svg = self.name.open(WIDTH, 166.0);
        let gaps = (self.axes.len().max(2) - 1) as f64;
        let x = |i: usize| Self::LEFT + (Self::RIGHT - Self::LEFT) * i as f64 / gaps;
        svg += &heading(self.heading, [4.0, 10.0], WIDTH);
        for (i, (label, axis)) in self.axes.iter().enumerate() {
            let [low, high] = axis.range();
            let _ = write!(
                svg,
                "<line class=\"axis\" x1=\"{0}\" x2=\"{0}\" y1=\"34\" y2=\"150\"/>\
                 <text class=\"tick\" x=\"{0}\" y=\"24\" text-anchor=\"middle\">{1}</text>\
                 <text class=\"tick\" x=\"{2}\" y=\"40\">{3}</text>\
                 <text class=\"tick\" x=\"{2}\" y=\"150\">{4}</text>",
                px(x(i)),
                escape(label),
                px(x(i) + 4.0),
                number(high),
                number(low),
            );
        }
        let _ = write!(
            svg,
            "<g class=\"series {}\" data-series=\"{}\">",
            style(self.look),
            escape(self.heading)
        );
        let line = |values: &[f64]| {
            let place = |(i, (v, (_, axis))): (usize, (&f64, &(&str, Axis)))| {
                format!("{} {}", px(x(i)), px(axis.at(*v)))
            };
            let places: Vec<String> =
                values.iter().zip(&self.axes).enumerate().map(place).collect();
            format!("M{}", places.join("L"))
        };
        // The many are one path, the chosen ones lie on top of it.
        for (class, wanted) in [("trial", false), ("line", true)] {
            let those = self.trials.iter().filter(|(_, chosen)| *chosen == wanted);
            let path: String = those.map(|(values, _)| line(values)).collect();
            if !path.is_empty() {
                let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
            }
        }
        if self.trials.iter().any(|(values, _)| values.last().is_some_and(|v| !v.is_finite())) {
            svg += &cross(x(self.axes.len() - 1), Self::TOP);
        }
        svg + "</g></svg>"
    }
}
