//! A line chart with labels at the ends of its lines.

use std::fmt::Write as _;

use super::axis::{Axis, Scale};
use super::markup::{escape, px, style};

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// Decides colour and dash pattern.
    pub(super) style: usize,
    /// Position, value, and the lowest and highest of the values behind it.
    pub(super) points: Vec<(f64, f64, f64, f64)>,
    /// Whether the band is drawn without being pointed at.
    pub(super) show_band: bool,
}

/// What a chart says.
#[derive(Debug, Clone)]
pub(super) struct Chart<'a> {
    /// Unique in the document.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) y_scale: Scale,
    pub(super) series: Vec<Series<'a>>,
}

const WIDTH: f64 = 940.0;
const LEFT: f64 = 62.0;
/// From the end of the drawing to a label: a leader, then a sample of the line.
const LEADER: f64 = 40.0;
/// The width of a letter of a label, rounded up.
const LETTER: f64 = 7.3;
const TOP: f64 = 12.0;
/// The least distance of two labels.
const LINE: f64 = 13.5;

impl Chart<'_> {
    /// The chart as an SVG element.
    pub(super) fn render(&self) -> String {
        // Tall enough for all labels, and never flatter than reads well.
        let bottom = TOP + (self.series.len() as f64 * LINE + 10.0).max(330.0);
        let longest = self.series.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
        let right = WIDTH - LEADER - 6.0 - longest as f64 * LETTER;
        let points = || self.series.iter().flat_map(|s| &s.points);
        let x = Axis::new(Scale::Linear, points().map(|p| p.0).chain([0.0]), LEFT, right);
        let y = Axis::new(self.y_scale, points().flat_map(|p| [p.1, p.2, p.3]), bottom, TOP);
        let mut svg = open(&self.id, &self.title, &self.description, WIDTH, bottom + 44.0);
        grid(&mut svg, &x, &y, right, bottom);
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            px((LEFT + right) / 2.0),
            px(bottom + 36.0),
            escape(self.x_label),
            px((TOP + bottom) / 2.0),
            escape(self.y_label),
        );
        let ends: Vec<f64> = self.series.iter().map(|s| end(s, &y)).collect();
        let labels = spread(&ends, TOP + 4.0, bottom);
        // The best are drawn last, on top of the others.
        for (i, series) in self.series.iter().enumerate().rev() {
            line(&mut svg, series, &x, &y, right, labels[i]);
        }
        svg + "</svg>"
    }
}

/// The opening of an accessible picture.
pub(super) fn open(id: &str, title: &str, description: &str, width: f64, height: f64) -> String {
    format!(
        "<svg class=\"chart\" id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
         viewBox=\"0 0 {} {}\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        px(width),
        px(height),
        escape(title),
        escape(description),
    )
}

fn grid(svg: &mut String, x: &Axis, y: &Axis, right: f64, bottom: f64) {
    for (at, label) in y.ticks(7) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{0}\" y2=\"{0}\"/>\
             <text class=\"tick\" x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{label}</text>",
            px(at),
            px(LEFT - 6.0),
            px(at + 4.0),
        );
    }
    for (at, label) in x.ticks(6) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"{TOP}\" y2=\"{1}\"/>\
             <text class=\"tick\" x=\"{0}\" y=\"{2}\" text-anchor=\"middle\">{label}</text>",
            px(at),
            px(bottom),
            px(bottom + 17.0),
        );
    }
}

fn end(series: &Series<'_>, y: &Axis) -> f64 {
    series.points.last().map_or(TOP, |p| y.at(p.1))
}

fn line(svg: &mut String, series: &Series<'_>, x: &Axis, y: &Axis, right: f64, label: f64) {
    let _ = write!(
        svg,
        "<g class=\"series {}{}\" data-series=\"{}\">",
        style(series.style),
        if series.show_band { " best" } else { "" },
        escape(series.name)
    );
    let mut band = String::new();
    for (i, p) in series.points.iter().enumerate() {
        let _ =
            write!(band, "{}{} {}", if i == 0 { 'M' } else { 'L' }, px(x.at(p.0)), px(y.at(p.3)));
    }
    for p in series.points.iter().rev() {
        let _ = write!(band, "L{} {}", px(x.at(p.0)), px(y.at(p.2)));
    }
    let mut path = String::new();
    for (i, p) in series.points.iter().enumerate() {
        let _ =
            write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, px(x.at(p.0)), px(y.at(p.1)));
    }
    if !series.points.is_empty() {
        let _ =
            write!(svg, "<path class=\"band\" d=\"{band}Z\"/><path class=\"line\" d=\"{path}\"/>");
    }
    let last = series.points.last().map_or(LEFT, |p| x.at(p.0));
    let (height, sample) = (px(end(series, y)), right + LEADER - 22.0);
    let _ = write!(
        svg,
        "<path class=\"leader\" d=\"M{0} {height}L{1} {height}L{2} {4}\"/>\
         <path class=\"line\" d=\"M{3} {4}L{5} {4}\"/><text class=\"end\" x=\"{6}\" y=\"{7}\">{8}</text></g>",
        px(last + 2.0),
        px(right + 2.0),
        px(sample - 1.0),
        px(sample),
        px(label),
        px(sample + 18.0),
        px(sample + 22.0),
        px(label + 4.0),
        escape(series.name),
    );
}

/// Places for labels near `wanted`, in the same order from top to bottom, at least a line apart as far
/// as the room between `top` and `bottom` allows.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let gap = LINE.min((bottom - top) / wanted.len().max(1) as f64);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut lowest = top;
    for &i in &order {
        places[i] = places[i].max(lowest);
        lowest = places[i] + gap;
    }
    let mut highest = bottom;
    for &i in order.iter().rev() {
        places[i] = places[i].min(highest);
        highest = places[i] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn labels_keep_their_order_and_distance() {
        let places = spread(&[100.0, 100.0, 99.0, 300.0, 300.0], 0.0, 301.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 13.4), "{places:?}");
        assert!(places[2] < places[0] && places[4] <= 301.0);
    }

    #[test]
    fn a_crowd_shares_the_room() {
        let places = spread(&[50.0; 40], 0.0, 200.0);
        assert!(places.iter().all(|p| (0.0..=200.0).contains(p)));
    }
}
