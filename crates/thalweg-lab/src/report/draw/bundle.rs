//! A panel of several lines, one per optimizer.

use std::fmt::Write as _;

use super::lines::others;
use super::path::{band, curve};
use super::{Axis, LETTER, Name, Point, Shared, heading};
use crate::report::markup::{escape, px, style};

/// A line of a bundle.
#[derive(Debug, Clone)]
pub(in crate::report) struct Thread<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) look: usize,
    /// Whether it stands out, with its band.
    pub(in crate::report) leads: bool,
    /// Whether it is grey.
    pub(in crate::report) rest: bool,
    pub(in crate::report) points: Vec<Point>,
}

/// A panel.
#[derive(Debug, Clone)]
pub(in crate::report) struct Bundle<'a> {
    pub(in crate::report) name: Name,
    pub(in crate::report) heading: &'a str,
    /// From [`Bundle::LEFT`] to [`Bundle::RIGHT`].
    pub(in crate::report) x: Axis,
    /// From [`Bundle::BOTTOM`] to [`Bundle::TOP`].
    pub(in crate::report) y: Axis,
    /// What the panels of one quantity have in common.
    pub(in crate::report) frame: &'a Shared,
    /// The best first.
    pub(in crate::report) threads: Vec<Thread<'a>>,
}

/// Width and height of the picture.
const SIZE: [f64; 2] = [306.0, 196.0];

impl Bundle<'_> {
    pub(in crate::report) const LEFT: f64 = 42.0;
    pub(in crate::report) const RIGHT: f64 = 296.0;
    pub(in crate::report) const TOP: f64 = 20.0;
    pub(in crate::report) const BOTTOM: f64 = 176.0;

    /// The axes and their ticks; `level` is a value to compare with, drawn across.
    pub(in crate::report) fn frame(id: String, x: &Axis, y: &Axis, level: Option<f64>) -> Shared {
        let mut svg = String::new();
        for (at, label) in y.ticks(4) {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>\
                 <text class=\"tick\" x=\"{3}\" y=\"{4}\" text-anchor=\"end\">{label}</text>",
                Self::LEFT,
                Self::RIGHT,
                px(at),
                Self::LEFT - 4.0,
                px(at + 4.0)
            );
        }
        super::ticks_below(&mut svg, x, 4, [Self::TOP, Self::BOTTOM], 15.0);
        if let Some(at) = level.filter(|v| y.shows(*v)).map(|v| px(y.at(v))) {
            let _ = write!(
                svg,
                "<path class=\"reference\" d=\"M{} {at}L{} {at}\"/>",
                Self::LEFT,
                Self::RIGHT
            );
        }
        Shared::new(id, svg)
    }

    /// The panel as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let mut svg = self.name.open(SIZE[0], SIZE[1]);
        svg += &self.frame.show();
        svg += &heading(self.heading, [Self::LEFT, 12.0], SIZE[0]);
        // The best are drawn last, on top of the others.
        for thread in self.threads.iter().rev() {
            let name = escape(thread.name);
            let class = match (thread.rest, thread.leads) {
                (true, _) => "rest".to_owned(),
                (_, true) => format!("lead {}", style(thread.look)),
                _ => style(thread.look),
            };
            let _ = write!(
                svg,
                "<g class=\"series {class}\" data-series=\"{name}\"><title>{name}</title>"
            );
            if thread.leads {
                let edges: Vec<(f64, f64, f64)> =
                    thread.points.iter().map(|p| (p.x, p.low, p.high)).collect();
                let _ =
                    write!(svg, "<path class=\"band\" d=\"{}\"/>", band(&edges, &self.x, &self.y));
            }
            let path = curve(thread.points.iter().map(|p| (p.x, p.y)), &self.x, &self.y);
            let _ = write!(svg, "<path class=\"line\" d=\"{path}\"/></g>");
        }
        svg + "</svg>"
    }
}

/// Which line is whose, as a picture beside the panels, and how many grey ones there are. Names in two columns
/// where one is too short.
pub(in crate::report) fn key(name: &Name, lines: &[(&str, usize)], grey: usize) -> String {
    const ROWS: usize = 10;
    const LINE: f64 = 16.0;
    // It may stand in a row of its own, which is to be no higher than it needs.
    let rows = lines.len() + usize::from(grey > 0);
    let height = Bundle::TOP + rows.min(ROWS) as f64 * LINE;
    let place = |i: usize| {
        let (column, row) = ((i / ROWS) as f64, (i % ROWS) as f64);
        (Bundle::LEFT + column * 20.0 * LETTER, Bundle::TOP + 6.0 + row * LINE)
    };
    let sample = |class: &str, series: &str, label: &str, (x, y): (f64, f64)| {
        format!(
            "<g class=\"{class}\"{series}><path class=\"line\" d=\"M{0} {1}L{2} {1}\"/>\
             <text class=\"end\" x=\"{3}\" y=\"{4}\">{label}</text></g>",
            px(x),
            px(y),
            px(x + 34.0),
            px(x + 40.0),
            px(y + 4.0)
        )
    };
    let mut svg = name.open(SIZE[0], height);
    for (i, (optimizer, look)) in lines.iter().enumerate() {
        let lead = if i == 0 { "lead " } else { "" };
        let name = escape(optimizer);
        let series = format!(" data-series=\"{name}\"");
        svg += &sample(&format!("series {lead}{}", style(*look)), &series, &name, place(i));
    }
    if grey > 0 {
        svg += &sample("rest", "", &others(grey), place(lines.len()));
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::draw::Scale;

    #[test]
    fn the_first_has_a_band_and_lies_on_top() {
        let x = Axis::between(Scale::Linear, [0.0, 10.0], Bundle::LEFT, Bundle::RIGHT);
        let y = Axis::between(Scale::Linear, [0.0, 1.0], Bundle::BOTTOM, Bundle::TOP);
        let frame = Bundle::frame("f".to_owned(), &x, &y, Some(0.5));
        let thread = |name, leads| Thread {
            name,
            look: 0,
            leads,
            rest: false,
            points: vec![
                Point { x: 0.0, y: 0.5, low: 0.25, high: 0.75 },
                Point { x: 10.0, y: 1.0, low: 1.0, high: 1.0 },
            ],
        };
        let svg = Bundle {
            name: Name::new("b", "t", "d"),
            heading: "w",
            x,
            y,
            frame: &frame,
            threads: vec![thread("first", true), thread("second", false)],
        }
        .render();
        assert_eq!(svg.matches("class=\"band\"").count(), 1);
        assert!(svg.find("data-series=\"second\"") < svg.find("data-series=\"first\""));
        assert!(svg.contains("class=\"reference\""));
        assert!(svg.contains(&format!("L{} {}", Bundle::RIGHT, Bundle::TOP)), "{svg}");
        roxmltree::Document::parse(&svg).unwrap();
    }
}
