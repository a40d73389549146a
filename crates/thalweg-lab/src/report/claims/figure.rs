//! The figures of experiments, in the page and as files of their own.

use crate::Result;
use crate::experiments::{self, Kind, Spread};
use crate::report::Picture;
use crate::report::draw::{Ground, Name, Plane, Scale, Side, Stroke, Trace};
use crate::report::figure::Figure;

/// The figure as a file of its own.
///
/// # Errors
/// None that a user can cause.
pub fn picture(drawn: &experiments::Figure) -> Result<Picture> {
    Ok(Picture { name: drawn.name.to_owned(), svg: figure(drawn).standalone("")? })
}

/// The figure as the page wants it.
pub(super) fn figure(drawn: &experiments::Figure) -> Figure {
    Figure {
        id: drawn.name.to_owned(),
        title: drawn.title.clone(),
        caption: String::new(),
        pictures: vec![svg(drawn)],
        table: String::new(),
        live: None,
    }
}

fn svg(drawn: &experiments::Figure) -> String {
    let names: Vec<&str> = drawn.lines.iter().map(|l| l.name.as_str()).collect();
    let description = format!("{} against {}: {}", drawn.y.label, drawn.x.label, names.join(", "));
    let (mut looks, mut promises) = (0.., 0..);
    let traces = drawn.lines.iter().map(|line| {
        let stroke = match line.kind {
            Kind::Bound => Stroke::Promise(promises.next().unwrap_or(0)),
            Kind::Line => Stroke::Series(looks.next().unwrap_or(0)),
            Kind::Points => Stroke::Places(looks.next().unwrap_or(0)),
        };
        Trace { name: &line.name, stroke, points: &line.points }
    });
    let plane = Plane {
        name: Name::new(format!("{}-svg", drawn.name), &drawn.title, description),
        x: side(&drawn.x),
        y: side(&drawn.y),
        ground: drawn.heights.as_ref().map(|h| Ground {
            columns: h.columns,
            values: &h.values,
            levels: &h.levels,
        }),
        traces: traces.collect(),
    };
    plane.render()
}

fn side(axis: &experiments::Axis) -> Side<'_> {
    let scale = match axis.spread {
        Spread::Linear => Scale::Linear,
        Spread::Log => Scale::Log,
    };
    Side { label: &axis.label, scale, range: axis.range }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::escape;

    #[test]
    fn a_picture_stands_alone_and_names_what_it_shows() {
        let chosen = experiments::select(&["X26".to_owned(), "X28".to_owned()]).unwrap();
        let found = experiments::run(&chosen, &|_| {});
        let figures: Vec<_> = found.iter().flat_map(|f| &f.figures).collect();
        assert!(figures.len() >= 3 && figures.iter().any(|f| f.heights.is_some()));
        for drawn in figures {
            let svg = picture(drawn).unwrap().svg;
            assert!(roxmltree::Document::parse(&svg).is_ok());
            assert!(drawn.lines.iter().all(|l| svg.contains(&escape(&l.name))));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
