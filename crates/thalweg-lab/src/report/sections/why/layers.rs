//! Small pictures of each quantity: a panel per parameter, a line per optimizer.

use super::reading::{how_to_read, short};
use super::{CLOCK, RATES, Seen, points, quantities, reach, scale, shown, some_parameters};
use crate::diagnosis::Quantity;
use crate::protocol::Standing;
use crate::report::draw::{Axis, Bundle, Name, Scale, Thread, key};
use crate::report::figure::{Figure, table};
use crate::report::markup::{capital, number};
use crate::report::view::id;

/// The figures with a panel per parameter and a line per optimizer.
pub(super) fn figures(seen: &Seen<'_>) -> Vec<Figure> {
    let names = super::figures().into_iter().filter(|name| *name != RATES);
    names.filter_map(|name| multiples(seen, name)).collect()
}

/// A panel: of what, and where in the model.
type Place<'s> = (&'static Quantity, Option<&'s str>);

fn multiples(seen: &Seen<'_>, figure: &str) -> Option<Figure> {
    let task = seen.task;
    let places: Vec<Place<'_>> =
        quantities(figure).flat_map(|q| seen.places(q).into_iter().map(move |p| (q, p))).collect();
    let (main, _) = *places.first()?;
    let mut pictures: Vec<String> = Vec::new();
    for own in places.chunk_by(|a, b| a.0.key == b.0.key) {
        pictures.extend(panels(seen, own));
    }
    let lined: Vec<&&Standing> = seen
        .standings
        .iter()
        .filter(|s| places.iter().any(|(q, p)| !points(s, q, *p).is_empty()))
        .collect();
    let name = Name::new(
        id(&[task.task, figure, "key"]),
        "Whose line is whose",
        "A sample of the line of each optimizer, the best first.",
    );
    let coloured = lined.iter().filter(|s| !seen.is_grey(s));
    let samples: Vec<(&str, usize)> =
        coloured.map(|s| (s.optimizer, seen.view.look(s.optimizer))).collect();
    let grey = lined.len() - samples.len();
    pictures.push(key(&name, &samples, grey));
    Some(Figure {
        id: id(&[task.task, figure]),
        title: format!("{} on {} over {CLOCK}", capital(main.label), task.task),
        caption: format!(
            "{} Medians over the seeds against gradient evaluations; the band is that of the first line, from \
             its lowest to its highest seed.{}",
            how_to_read(main.key),
            some_parameters(seen)
        ),
        pictures,
        table: numbers(&lined, &places),
        live: None,
    })
}

/// The panels of one quantity, on the same axes.
fn panels(seen: &Seen<'_>, places: &[Place<'_>]) -> Vec<String> {
    let (task, Some((quantity, _))) = (seen.task, places.first()) else { return Vec::new() };
    let threads = |place: Option<&str>| -> Vec<Thread<'_>> {
        let lined = seen.standings.iter().map(|s| (s, points(s, quantity, place)));
        lined
            .filter(|(_, points)| !points.is_empty())
            .enumerate()
            .map(|(i, (s, points))| Thread {
                name: s.optimizer,
                look: seen.view.look(s.optimizer),
                leads: i == 0,
                rest: seen.is_grey(s),
                points,
            })
            .collect()
    };
    let all: Vec<Vec<Thread<'_>>> = places.iter().map(|(_, place)| threads(*place)).collect();
    let shown = all.iter().flatten().flat_map(|t| shown(&t.points, t.leads));
    let (bottom, top) = (Bundle::BOTTOM, Bundle::TOP);
    let y = Axis::between(scale(quantity), reach(quantity, shown), bottom, top);
    let x = Axis::between(Scale::Linear, [0.0, task.budget as f64], Bundle::LEFT, Bundle::RIGHT);
    let frame_id = id(&[task.task, quantity.key, "frame"]);
    let frame = Bundle::frame(frame_id, &x, &y, quantity.level);
    let several = quantities(quantity.figure).count() > 1;
    places
        .iter()
        .zip(all)
        .map(|((_, place), threads)| {
            let place = place.unwrap_or("whole model");
            let heading = match several {
                true => format!("{place}: {}", short(quantity.key)),
                false => place.to_owned(),
            };
            let name = Name::new(
                id(&[task.task, quantity.key, "in", place]),
                format!("{} on {}, {place}", capital(quantity.label), task.task),
                format!("{} lines, one per optimizer.", threads.len()),
            );
            Bundle { name, heading: &heading, x, y, frame: &frame, threads }.render()
        })
        .collect()
}

/// What every line had over the later half of the probes.
fn numbers(lined: &[&&Standing], places: &[Place<'_>]) -> String {
    let several = places.windows(2).any(|pair| pair[0].0.key != pair[1].0.key);
    let heading = |(quantity, place): &Place<'_>| {
        let place = place.unwrap_or("whole model");
        if several { format!("{place}: {}", quantity.label) } else { place.to_owned() }
    };
    let labels: Vec<String> = places.iter().map(heading).collect();
    let header: Vec<&str> =
        ["median, later half"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    let rows = lined.iter().map(|s| {
        let cell = |(q, p): &Place<'_>| {
            s.courses.get(q.key, *p).map_or_else(|| "–".to_owned(), |c| number(c.later()))
        };
        [s.optimizer.to_owned()].into_iter().chain(places.iter().map(cell)).collect()
    });
    table(&header, rows)
}
