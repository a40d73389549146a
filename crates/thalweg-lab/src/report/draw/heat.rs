//! A table in colours.

use std::fmt::Write as _;

use super::{LETTER, Name, WIDTH, room};
use crate::report::markup::{escape, px};

/// A cell.
#[derive(Debug, Clone)]
pub(in crate::report) struct Cell {
    /// From 0 (best, stands out most from the page) to 1; `None` leaves the cell empty.
    pub(in crate::report) shade: Option<f64>,
    /// What stands in it.
    pub(in crate::report) text: String,
    /// What it says when pointed at.
    pub(in crate::report) hint: String,
}

/// Rows and columns of cells.
#[derive(Debug, Clone)]
pub(in crate::report) struct HeatMap<'a> {
    pub(in crate::report) name: Name,
    /// What stands in the cells, below them: unlike axes they do not say it themselves.
    pub(in crate::report) key: &'a str,
    pub(in crate::report) columns: Vec<&'a str>,
    /// The name of each row, and a cell per column.
    pub(in crate::report) rows: Vec<(&'a str, Vec<Cell>)>,
}

const ROW: f64 = 20.0;
/// Shades that the style sheet knows.
const SHADES: f64 = 8.0;
/// The widest a cell gets.
const WIDEST: f64 = 96.0;
/// Column names lean by this angle, so that long ones fit.
const LEAN: f64 = 38.0;

impl HeatMap<'_> {
    /// The map as an SVG element.
    pub(in crate::report) fn render(&self) -> String {
        let left = room(self.rows.iter().map(|r| r.0)) + 14.0;
        let longest = room(self.columns.iter().copied());
        // Numbers need not lean.
        let short = self.columns.iter().all(|column| column.chars().count() < 3);
        let (angle, anchor) = if short { (0.0, "middle") } else { (LEAN, "start") };
        let lean = angle.to_radians();
        let (over, top) = (longest * lean.cos(), longest * lean.sin() + LETTER + 10.0);
        let width = ((WIDTH - left - over) / self.columns.len().max(1) as f64).min(WIDEST);
        let bottom = top + self.rows.len() as f64 * ROW;
        let mut svg = self.name.open(WIDTH, bottom + 26.0);
        for (i, column) in self.columns.iter().enumerate() {
            let _ = write!(
                svg,
                "<text class=\"label\" text-anchor=\"{anchor}\" transform=\"translate({} {}) \
                 rotate(-{angle})\">{}</text>",
                px(left + (i as f64 + 0.5) * width),
                px(top - 6.0),
                escape(column)
            );
        }
        for (i, (name, cells)) in self.rows.iter().enumerate() {
            let y = top + i as f64 * ROW;
            let name = escape(name);
            let _ = write!(
                svg,
                "<g class=\"series\" data-series=\"{name}\">\
                 <text class=\"end\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
                px(left - 8.0),
                px(y + 14.0)
            );
            for (j, cell) in cells.iter().enumerate() {
                draw(&mut svg, cell, left + j as f64 * width, y, width);
            }
            svg += "</g>";
        }
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"0\" y=\"{}\"><tspan class=\"name\">{}</tspan>: {}</text></svg>",
            px(bottom + 18.0),
            escape(&self.name.title),
            escape(self.key)
        );
        svg
    }
}

fn draw(svg: &mut String, cell: &Cell, x: f64, y: f64, width: f64) {
    let class = match cell.shade {
        Some(s) => format!("h{}", (s.clamp(0.0, 1.0) * (SHADES - 1.0)).round()),
        None => "none".to_owned(),
    };
    let _ = write!(
        svg,
        "<g class=\"cell {class}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
        escape(&cell.hint),
        px(x + 1.0),
        px(y + 1.0),
        px(width - 2.0),
        px(ROW - 2.0),
        px(x + width / 2.0),
        px(y + 14.0),
        escape(&cell.text),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_itself_what_stands_in_its_cells() {
        let cell = Cell { shade: None, text: "≈".to_owned(), hint: "alike".to_owned() };
        let map = HeatMap {
            name: Name::new("m", "Every pair", "d"),
            key: "≈ alike",
            columns: vec!["1"],
            rows: vec![("a", vec![cell])],
        };
        let svg = map.render();
        roxmltree::Document::parse(&svg).unwrap();
        assert!(svg.contains("<tspan class=\"name\">Every pair</tspan>: ≈ alike</text>"), "{svg}");
    }
}
