//! Lines as SVG path data: clipped to their axes, and no finer than can be seen.

use std::fmt::Write as _;

use super::Axis;
use crate::report::markup::px;

/// Indices of at most `limit` of the values, in order, that draw the same line: the first, the last,
/// and the lowest and highest of every stretch between.
pub(in crate::report) fn decimate(values: &[f64], limit: usize) -> Vec<usize> {
    let count = values.len();
    if count <= limit.max(2) {
        return (0..count).collect();
    }
    let stretches = (limit.max(2) - 2) / 2;
    let mut kept = vec![0];
    for stretch in 0..stretches {
        let from = 1 + stretch * (count - 2) / stretches;
        let to = 1 + (stretch + 1) * (count - 2) / stretches;
        let order = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        let (low, high) = ((from..to).min_by(order), (from..to).max_by(order));
        let mut ends: Vec<usize> = low.into_iter().chain(high).collect();
        ends.sort_unstable();
        ends.dedup();
        kept.extend(ends);
    }
    kept.push(count - 1);
    kept
}

/// The line through `points`, cut off where it leaves the axes from top to bottom, without the corners
/// that nobody could see. Points without a place (NaN, infinite, not positive on a logarithmic axis)
/// interrupt it.
pub(super) fn curve(points: impl Iterator<Item = (f64, f64)>, x: &Axis, y: &Axis) -> String {
    pieces(points, x, y).iter().map(|piece| line(&simplify(piece, UNSEEN))).collect()
}

/// How far a drawn line may lie from what it stands for, in pixels: less than can be seen.
pub(super) const UNSEEN: f64 = 0.4;

/// The parts of a line between the axes' ends.
fn pieces(points: impl Iterator<Item = (f64, f64)>, x: &Axis, y: &Axis) -> Vec<Vec<Place>> {
    let [from, to] = y.pixels();
    let (top, bottom) = (from.min(to), from.max(to));
    let place = |(a, b): (f64, f64)| (x.at(a), y.beyond(b).clamp(-1e6, 1e6));
    let mut pieces: Vec<Vec<Place>> = Vec::new();
    let mut previous: Option<Place> = None;
    for point in points {
        let here = place(point);
        if !here.1.is_finite() {
            previous = None;
            continue;
        }
        let continued = previous.is_some();
        let before = previous.replace(here).unwrap_or(here);
        if let Some((a, b)) = cut(before, here, top, bottom) {
            match pieces.last_mut().filter(|piece| continued && piece.last() == Some(&a)) {
                Some(piece) => piece.push(b),
                None => pieces.push(vec![a, b]),
            }
        }
    }
    pieces
}

/// Path data through places; of those that fall together the first is enough.
fn line(places: &[Place]) -> String {
    let mut path = String::new();
    let mut pen: Option<(String, String)> = None;
    for place in places.iter().map(|p| (px(p.0), px(p.1))) {
        if pen.as_ref() != Some(&place) {
            let _ =
                write!(path, "{}{} {}", if pen.is_none() { 'M' } else { 'L' }, place.0, place.1);
        }
        pen = Some(place);
    }
    path
}

/// A point of a picture, in pixels.
pub(super) type Place = (f64, f64);

/// The part of the segment from `a` to `b` that lies between two heights.
fn cut(a: Place, b: Place, top: f64, bottom: f64) -> Option<(Place, Place)> {
    let outside = |y: f64| y < top - 1e-9 || y > bottom + 1e-9;
    if (a.1 < top && b.1 < top) || (a.1 > bottom && b.1 > bottom) {
        return None;
    }
    let meet = |y: f64| {
        let height = y.clamp(top, bottom);
        (a.0 + (height - a.1) / (b.1 - a.1) * (b.0 - a.0), height)
    };
    let end = |p: Place| if outside(p.1) { meet(p.1) } else { p };
    Some((end(a), end(b)))
}

/// The parts of a way over a map that lie inside of its frame (Liang and Barsky 1984): a way that leaves it
/// is seen as far as the border, and enters again where it comes back.
pub(super) fn inside(points: impl Iterator<Item = Place>, x: &Axis, y: &Axis) -> Vec<Vec<Place>> {
    let ordered = |[a, b]: [f64; 2]| [a.min(b), a.max(b)];
    let frame = [ordered(x.pixels()), ordered(y.pixels())];
    let mut pieces: Vec<Vec<Place>> = Vec::new();
    let mut previous: Option<Place> = None;
    for here in points {
        if !(here.0.is_finite() && here.1.is_finite()) {
            previous = None;
            continue;
        }
        let Some(before) = previous.replace(here) else { continue };
        let Some([from, to]) = seen(before, here, frame) else { continue };
        let place = |t: f64| match t {
            0.0 => before,
            1.0 => here,
            _ => (before.0 + t * (here.0 - before.0), before.1 + t * (here.1 - before.1)),
        };
        match pieces.last_mut().filter(|piece| from == 0.0 && piece.last() == Some(&before)) {
            Some(piece) => piece.push(place(to)),
            None => pieces.push(vec![place(from), place(to)]),
        }
    }
    pieces
}

/// From which to which share of the segment from `a` to `b` lies within `[[left, right], [top, bottom]]`.
fn seen(a: Place, b: Place, frame: [[f64; 2]; 2]) -> Option<[f64; 2]> {
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (start, way, [low, high]) in [(a.0, b.0 - a.0, frame[0]), (a.1, b.1 - a.1, frame[1])] {
        if way == 0.0 {
            if start < low || start > high {
                return None;
            }
            continue;
        }
        let (one, other) = ((low - start) / way, (high - start) / way);
        from = from.max(one.min(other));
        to = to.min(one.max(other));
    }
    (from <= to).then_some([from, to])
}

/// A closed band between two lines; what lies outside of the axes is drawn on their ends.
pub(super) fn band(points: &[(f64, f64, f64)], x: &Axis, y: &Axis) -> String {
    let upper = points.iter().map(|p| (p.0, p.2));
    let lower = points.iter().rev().map(|p| (p.0, p.1));
    let mut path = String::new();
    for (i, (a, b)) in upper.chain(lower).enumerate() {
        let _ = write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, px(x.at(a)), px(y.at(b)));
    }
    if path.is_empty() { path } else { path + "Z" }
}

/// The corners of `line` that are needed so that none of the others lies further than `tolerance` from
/// what is drawn (Ramer 1972; Douglas and Peucker 1973). The ends stay, and so does whatever juts out.
pub(super) fn simplify(line: &[Place], tolerance: f64) -> Vec<Place> {
    let mut kept = vec![false; line.len()];
    let mut open = vec![(0, line.len().saturating_sub(1))];
    while let Some((from, to)) = open.pop() {
        let (Some(a), Some(b)) = (line.get(from), line.get(to)) else { break };
        (kept[from], kept[to]) = (true, true);
        let away = |i: usize| (i, distance(line[i], *a, *b));
        let furthest = (from + 1..to).map(away).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((corner, _)) = furthest.filter(|f| f.1 > tolerance) {
            open.extend([(from, corner), (corner, to)]);
        }
    }
    let mut corners: Vec<Place> =
        line.iter().zip(kept).filter_map(|(p, kept)| kept.then_some(*p)).collect();
    // A line that never leaves its start has no length that could be seen.
    if corners.len() == 2 && distance(corners[1], corners[0], corners[0]) <= tolerance {
        corners.truncate(1);
    }
    corners
}

/// How far `p` is from the segment between `a` and `b`.
fn distance(p: Place, a: Place, b: Place) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length;
    let t = if length > 0.0 { along.clamp(0.0, 1.0) } else { 0.0 };
    (p.0 - a.0 - t * dx).hypot(p.1 - a.1 - t * dy)
}

/// A line of this class on a halo that sets it off from a map. The path, which can be long, is written
/// once; `id` must be unique in the document.
pub(super) fn with_halo(id: &str, path: &str, class: &str) -> String {
    format!(
        "<defs><path id=\"{id}\" d=\"{path}\"/></defs><use class=\"halo\" href=\"#{id}\"/>\
         <use class=\"{class}\" href=\"#{id}\"/>"
    )
}

/// A cross at a place.
pub(super) fn cross(x: f64, y: f64) -> String {
    format!("<path class=\"cross\" d=\"{}\"/>", strokes(x, y))
}

/// The strokes of a cross.
pub(super) fn strokes(x: f64, y: f64) -> String {
    let (l, r, t, b) = (px(x - 3.0), px(x + 3.0), px(y - 3.0), px(y + 3.0));
    format!("M{l} {t}L{r} {b}M{r} {t}L{l} {b}")
}

/// A filled arrow head at `at` that points away from `from`.
pub(super) fn arrow(from: Place, at: Place) -> String {
    let (dx, dy) = (at.0 - from.0, at.1 - from.1);
    let length = dx.hypot(dy).max(1e-9);
    let (ux, uy) = (dx / length * 7.0, dy / length * 7.0);
    format!(
        "<path class=\"dot\" d=\"M{} {}L{} {}L{} {}Z\"/>",
        px(at.0 + ux * 0.6),
        px(at.1 + uy * 0.6),
        px(at.0 - ux * 0.6 - uy * 0.55),
        px(at.1 - uy * 0.6 + ux * 0.55),
        px(at.0 - ux * 0.6 + uy * 0.55),
        px(at.1 - uy * 0.6 - ux * 0.55),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::draw::Scale;

    #[test]
    fn a_simpler_line_keeps_ends_and_turns_and_stays_near() {
        let wave: Vec<Place> =
            (0..=1_000).map(|i| (f64::from(i), 20.0 * (f64::from(i) / 40.0).sin())).collect();
        let simple = simplify(&wave, 0.5);
        assert!(simple.len() < 150, "{}", simple.len());
        assert_eq!([simple.first(), simple.last()], [wave.first(), wave.last()]);
        for p in &wave {
            let near = simple.windows(2).map(|s| distance(*p, s[0], s[1])).fold(1e9, f64::min);
            assert!(near <= 0.5, "{p:?} {near}");
        }
        // The tip of a way there and back lies on the line between nothing.
        assert_eq!(simplify(&[(0.0, 0.0), (9.0, 0.0), (0.0, 0.0)], 0.5).len(), 3);
        assert_eq!(simplify(&[(0.0, 0.0), (0.1, 0.0), (0.2, 0.1)], 0.5).len(), 1);
        assert!(simplify(&[], 0.5).is_empty());
    }

    #[test]
    fn decimation_keeps_ends_and_extremes() {
        let values: Vec<f64> = (0..10_000)
            .map(|i| {
                if i == 5_005 {
                    99.0
                } else if i == 7_777 {
                    -99.0
                } else {
                    f64::from(i % 7)
                }
            })
            .collect();
        let kept = decimate(&values, 2_000);
        assert!(kept.len() <= 2_000 && kept.windows(2).all(|w| w[0] < w[1]));
        for index in [0, 5_005, 7_777, 9_999] {
            assert!(kept.contains(&index), "{index}");
        }
        assert_eq!(decimate(&values[..100], 2_000), (0..100).collect::<Vec<_>>());
        assert_eq!(decimate(&[], 10), Vec::<usize>::new());
        assert_eq!(decimate(&values, 2), [0, 9_999]);
    }

    #[test]
    fn lines_are_cut_where_they_leave_the_axis() {
        let x = Axis::between(Scale::Linear, [0.0, 4.0], 0.0, 40.0);
        let y = Axis::between(Scale::Linear, [0.0, 1.0], 100.0, 0.0);
        let path = curve([(0.0, 0.5), (2.0, 1.5), (4.0, 0.5)].into_iter(), &x, &y);
        assert_eq!(path, "M0 50L10 0M30 0L40 50");
        let path = curve([(0.0, 0.5), (1.0, f64::NAN), (2.0, 0.5), (3.0, 1.0)].into_iter(), &x, &y);
        assert_eq!(path, "M0 50M20 50L30 0");
    }

    #[test]
    fn nothing_to_draw_is_an_empty_path() {
        let axis = Axis::between(Scale::Log, [0.1, 1.0], 0.0, 1.0);
        assert_eq!(curve([(0.2, 0.0), (0.3, -1.0)].into_iter(), &axis, &axis), "");
        assert_eq!(band(&[], &axis, &axis), "");
    }
}
