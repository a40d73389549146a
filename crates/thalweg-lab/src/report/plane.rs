//! A figure of an experiment, as a picture that stands alone: lines, places and contours in the plane.

use std::fmt::Write as _;

use super::markup::{escape, number, px};
use crate::experiments::{Axis, Figure, Kind, Line, Spread};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 424.0;

/// Colours that people who see few can tell apart (Okabe & Ito), with dash patterns besides.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#222}.title{font-size:15px;font-weight:600}\
    .grid{stroke:#ddd}.contour{stroke:#aaa;stroke-width:.8;fill:none}.line{fill:none;stroke-width:1.8;\
    stroke-linejoin:round}.bound{stroke:#555;stroke-dasharray:2 4}\
    .c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#cc79a7}.c4{stroke:#8a6d00}\
    .c5{stroke:#56b4e9}.c6{stroke:#222}.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 3}\
    .d3{stroke-dasharray:9 3 2 3}.place{fill:#fff;stroke-width:2}\
    @media(prefers-color-scheme:dark){svg{background:#16181d}text{fill:#ddd}.grid{stroke:#333}\
    .contour{stroke:#5a5f6a}.bound{stroke:#aaa}.c0{stroke:#5aa9e6}.c6{stroke:#ddd}.c4{stroke:#e6c229}\
    .place{fill:#16181d}}";

/// From values to pixels along one axis.
struct Scale {
    spread: Spread,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let place = |v: f64| if axis.spread == Spread::Log { v.log10() } else { v };
        let usable = values.map(place).filter(|v| v.is_finite());
        let seen = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |s, v| (s.0.min(v), s.1.max(v)));
        let (mut low, mut high) = axis.range.map_or(seen, |(low, high)| (place(low), place(high)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if axis.range.is_none() {
            let margin = if high > low { 0.03 * (high - low) } else { 0.5 };
            (low, high) = (low - margin, high + margin);
        }
        Scale { spread: axis.spread, low, high, from, to }
    }

    /// The pixel of a value; `None` for what the axis cannot show.
    fn at(&self, value: f64) -> Option<f64> {
        let place = if self.spread == Spread::Log { value.log10() } else { value };
        let share = (place - self.low) / (self.high - self.low);
        place.is_finite().then(|| self.from + share.clamp(-0.01, 1.01) * (self.to - self.from))
    }

    fn ticks(&self, wanted: f64) -> Vec<f64> {
        let raw = (self.high - self.low) / wanted;
        let step = match self.spread {
            Spread::Log => raw.ceil(),
            Spread::Linear => {
                let unit = 10f64.powf(raw.log10().floor());
                [1.0, 2.0, 5.0, 10.0]
                    .map(|m| m * unit)
                    .into_iter()
                    .find(|s| *s >= raw)
                    .unwrap_or(raw)
            }
        };
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        let places = (first..=last).map(|i| i as f64 * step);
        match self.spread {
            Spread::Log => places.map(|p| 10f64.powf(p)).collect(),
            Spread::Linear => places.collect(),
        }
    }
}

/// The figure as an SVG document.
pub fn figure(figure: &Figure) -> String {
    let points = || figure.lines.iter().flat_map(|l| &l.points);
    let x = Scale::new(&figure.x, points().map(|p| p.0), LEFT, RIGHT);
    let y = Scale::new(&figure.y, points().map(|p| p.1), BOTTOM, TOP);
    let named: Vec<&str> =
        figure.lines.iter().map(|l| l.name.as_str()).filter(|n| !n.is_empty()).collect();
    let id = figure.name;
    let height = HEIGHT.max(TOP + 20.0 * named.len() as f64 + 30.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
         viewBox=\"0 0 {WIDTH} {height}\"><title id=\"{id}-t\">{title}</title>\
         <desc id=\"{id}-d\">{} against {}: {}</desc><style>{STYLE}</style>\
         <clipPath id=\"{id}-c\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>\
         <text class=\"title\" x=\"{LEFT}\" y=\"22\">{title}</text>",
        escape(&figure.y.label),
        escape(&figure.x.label),
        escape(&named.join(", ")),
        RIGHT - LEFT,
        BOTTOM - TOP,
        title = escape(&figure.title),
    );
    grid(&mut svg, &x, &y, figure);
    let mut style = 0;
    for line in &figure.lines {
        draw(&mut svg, line, &x, &y, id, style);
        style += usize::from(!line.name.is_empty());
    }
    svg + "</svg>\n"
}

fn grid(svg: &mut String, x: &Scale, y: &Scale, figure: &Figure) {
    for value in y.ticks(6.0) {
        let Some(at) = y.at(value) else { continue };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{0}\" y2=\"{0}\"/>\
             <text x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{3}</text>",
            px(at),
            px(LEFT - 7.0),
            px(at + 4.0),
            number(value),
        );
    }
    for value in x.ticks(6.0) {
        let Some(at) = x.at(value) else { continue };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>\
             <text x=\"{0}\" y=\"{1}\" text-anchor=\"middle\">{2}</text>",
            px(at),
            px(BOTTOM + 18.0),
            number(value),
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        px((LEFT + RIGHT) / 2.0),
        px(BOTTOM + 40.0),
        escape(&figure.x.label),
        px((TOP + BOTTOM) / 2.0),
        escape(&figure.y.label),
    );
}

/// A line, and its entry in the legend if it has a name; `index` counts the named ones.
fn draw(svg: &mut String, line: &Line, x: &Scale, y: &Scale, id: &str, index: usize) {
    let class = match line.kind {
        Kind::Contour => "contour".to_owned(),
        Kind::Bound => "line bound".to_owned(),
        Kind::Line | Kind::Points => format!("line c{} d{}", index % 7, (index / 7) % 4),
    };
    let places: Vec<Option<(f64, f64)>> =
        line.points.iter().map(|p| Some((x.at(p.0)?, y.at(p.1)?))).collect();
    let _ = write!(svg, "<g data-series=\"{}\" clip-path=\"url(#{id}-c)\">", escape(&line.name));
    if line.kind == Kind::Points {
        for (cx, cy) in places.into_iter().flatten() {
            let _ = write!(
                svg,
                "<circle class=\"{class} place\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
                px(cx),
                px(cy)
            );
        }
    } else {
        let (mut path, mut pen) = (String::new(), 'M');
        for place in places {
            match place {
                Some((px_x, px_y)) => {
                    let _ = write!(path, "{pen}{} {}", px(px_x), px(px_y));
                    pen = 'L';
                }
                // What cannot be shown breaks the line.
                None => pen = 'M',
            }
        }
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    svg.push_str("</g>");
    if !line.name.is_empty() {
        let at = TOP + 10.0 + 20.0 * index as f64;
        let _ = write!(
            svg,
            "<path class=\"{class}\" d=\"M{} {at}h26\"/><text x=\"{}\" y=\"{}\">{}</text>",
            px(RIGHT + 16.0),
            px(RIGHT + 50.0),
            px(at + 4.0),
            escape(&line.name),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments;

    /// Every experiment's figures are drawn in the experiments' own tests; this one has a contour, lines
    /// and a place.
    #[test]
    fn a_picture_stands_alone_and_names_what_it_shows() {
        let found = experiments::select(&["X26".to_owned()]).unwrap();
        let found = experiments::run(&found, &|_| {}).unwrap();
        for picture in found.iter().flat_map(|f| &f.figures) {
            let svg = figure(picture);
            let document = roxmltree::Document::parse(&svg).unwrap();
            assert_eq!(document.root_element().attribute("role"), Some("img"));
            let named = picture.lines.iter().filter(|l| !l.name.is_empty());
            assert!(named.into_iter().all(|l| svg.contains(&escape(&l.name))));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }

    #[test]
    fn zero_breaks_a_line_on_a_logarithmic_axis() {
        let axis = |spread| Axis { label: "x".to_owned(), spread, range: None };
        let points = vec![(1.0, 1.0), (2.0, 0.0), (3.0, 1.0)];
        let line = Line { name: "a".to_owned(), kind: Kind::Line, points };
        let picture = Figure {
            name: "t",
            title: "t".to_owned(),
            x: axis(Spread::Linear),
            y: axis(Spread::Log),
            lines: vec![line],
        };
        assert_eq!(figure(&picture).matches("class=\"line c0 d0\" d=\"M").count(), 2);
        let svg = figure(&picture);
        let path = svg.split("d=\"").nth(1).unwrap_or_default();
        assert_eq!(path.split('"').next().unwrap_or_default().matches('M').count(), 2);
    }
}
