//! The kinds of figures, each from numbers to an accessible SVG element.
//!
//! Everything here maps values to positions; which values is the business of the sections.

mod axis;
mod bars;
mod bundle;
mod contour;
mod heat;
mod isolines;
mod lines;
mod panel;
mod parallel;
mod path;
mod plane;
mod ribbon;
mod shared;
mod strip;

use std::fmt::Write as _;

pub(super) use axis::{Axis, Scale};
pub(super) use bars::{Bar, BarChart};
pub(super) use bundle::{Bundle, Thread, key};
pub(super) use contour::{Contour, Trajectory};
pub(super) use heat::{Cell, HeatMap};
pub(super) use lines::{Line, LineChart, Point, Role, Shape};
pub(super) use panel::{Mark, Panel, frame};
pub(super) use parallel::Parallel;
pub(super) use path::decimate;
pub(super) use plane::{Ground, Plane, Side, Stroke, Trace};
pub(super) use ribbon::{Ribbon, RibbonGrid, Ribbons};
pub(super) use shared::Shared;
pub(super) use strip::{Strip, StripChart};

use super::markup::{escape, px};

/// The width of a figure that fills the page, in units of its own coordinates.
pub(super) const WIDTH: f64 = 940.0;

/// The width of a letter of a label, rounded up.
pub(super) const LETTER: f64 = 7.3;

/// The width of a letter of a heading.
pub(super) const BOLD: f64 = 0.95 * LETTER;

/// The width of a letter in small print.
const SMALL: f64 = 0.85 * LETTER;

/// What a picture is called, for those who see it and those who do not.
#[derive(Debug, Clone, Default)]
pub(super) struct Name {
    /// Unique in the document.
    pub(super) id: String,
    /// What it shows.
    pub(super) title: String,
    /// How to read it, and what is in it.
    pub(super) description: String,
}

impl Name {
    pub(super) fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Name { id: id.into(), title: title.into(), description: description.into() }
    }

    /// The opening of an accessible picture of the given size.
    pub(super) fn open(&self, width: f64, height: f64) -> String {
        let id = &self.id;
        format!(
            "<svg class=\"chart\" id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
             viewBox=\"0 0 {} {}\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            px(width),
            px(height),
            escape(&self.title),
            escape(&self.description),
        )
    }
}

/// The heading of a small picture that is `width` wide, as much of it as there is room for.
fn heading(text: &str, [x, y]: [f64; 2], width: f64) -> String {
    format!(
        "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
        px(x),
        px(y),
        escape(&fitted(text, width - x, BOLD))
    )
}

/// As much of the end of a text as there is room for: the end tells parameters apart.
fn fitted(text: &str, width: f64, letter: f64) -> String {
    let (letters, room) = (text.chars().count(), (width / letter) as usize);
    match letters > room {
        true => {
            let end: String = text.chars().skip(letters + 1 - room.max(1)).collect();
            format!("…{end}")
        }
        false => text.to_owned(),
    }
}

/// Lines from `top` to `bottom` at about `wanted` ticks of a horizontal axis, their numbers `below`.
fn ticks_below(svg: &mut String, x: &Axis, wanted: usize, [top, bottom]: [f64; 2], below: f64) {
    for (at, label) in x.ticks(wanted) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/>\
             <text class=\"tick\" x=\"{0}\" y=\"{3}\" text-anchor=\"middle\">{label}</text>",
            px(at),
            px(top),
            px(bottom),
            px(bottom + below),
        );
    }
}

/// Grid lines and tick labels of both axes, and the names of the axes.
fn grid(svg: &mut String, x: (&Axis, &str, usize), y: (&Axis, &str, usize)) {
    let ([left, right], [bottom, top]) = (x.0.pixels(), y.0.pixels());
    for (at, label) in y.0.ticks(y.2) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{3}\" y2=\"{3}\"/>\
             <text class=\"tick\" x=\"{2}\" y=\"{4}\" text-anchor=\"end\">{label}</text>",
            px(left),
            px(right),
            px(left - 6.0),
            px(at),
            px(at + 4.0),
        );
    }
    ticks_below(svg, x.0, x.2, [top, bottom], 17.0);
    let _ = write!(
        svg,
        "<path class=\"axis\" d=\"M{0} {1}L{0} {2}L{3} {2}\"/>\
         <text class=\"label\" x=\"{4}\" y=\"{5}\" text-anchor=\"middle\">{6}</text>\
         <text class=\"label\" transform=\"translate({7} {8}) rotate(-90)\" text-anchor=\"middle\">{9}</text>",
        px(left),
        px(top),
        px(bottom),
        px(right),
        px((left + right) / 2.0),
        px(bottom + 36.0),
        escape(x.1),
        px(left - 48.0),
        px((top + bottom) / 2.0),
        escape(y.1),
    );
}

/// The room that the longest of some labels needs.
fn room<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    labels.map(|l| l.chars().count()).max().unwrap_or(0) as f64 * LETTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(fitted("weight", 200.0, SMALL), "weight");
        let short = fitted("block.3.attention.query.weight", 100.0, SMALL);
        assert!(short.starts_with('…') && short.ends_with("query.weight"), "{short}");
        let heading = heading("block.3.attention.query.weight: largest gain", [42.0, 12.0], 306.0);
        assert!(heading.contains(">…") && heading.contains("weight: largest gain<"), "{heading}");
    }
}
