//! What the probes show, in sentences and as a table.

use super::reading::short;
use super::{Seen, figures, quantities};
use crate::diagnosis::Quantity;
use crate::protocol::{Apart, Half, Standing};
use crate::report::markup::{breakable, count, escape, number};
use crate::report::view::id;

/// What sets the first apart.
pub(super) fn apart(seen: &Seen<'_>) -> String {
    let task = seen.task;
    let Some(first) = task.standings.first() else { return String::new() };
    let name = escape(first.optimizer);
    let out = task.standings.iter().filter(|s| !s.may_be_best).count();
    if out == 0 || !first.may_be_best {
        return "<p class=\"apart\">No optimizer is ruled out as the best here, so there is no lead to explain.</p>\n"
            .to_owned();
    }
    let those = match out {
        1 => "the one that is ruled out".to_owned(),
        n => format!("all {n} that are ruled out"),
    };
    if task.apart.is_empty() {
        return format!(
            "<p class=\"apart\">In nothing that is measured of the whole model do all seeds of <b>{name}</b> \
             lie on one side of all seeds of {those} (four seeds of each are the least that is asked for).</p>\n"
        );
    }
    let items: String = task.apart.iter().map(|apart| item(seen, apart)).collect();
    format!(
        "<p class=\"apart\">In every seed, the steps of <b>{name}</b> differ from those of {those}:</p>\
         <ul class=\"apart\">{items}</ul>\n"
    )
}

fn item(seen: &Seen<'_>, apart: &Apart) -> String {
    let quantity = Quantity::named(apart.quantity);
    let label = escape(quantity.map_or(apart.quantity, |q| q.label));
    let label = match quantity.filter(|q| !seen.places(q).is_empty()) {
        Some(q) => format!("<a href=\"#fig-{}\">{label}</a>", id(&[seen.task.task, q.figure])),
        None => label,
    };
    let shown = |v: f64| quantity.map_or_else(|| number(v), |q| value(q, v));
    let range = |[low, high]: [f64; 2]| match shown(low) == shown(high) {
        true => shown(low),
        false => format!("{} to {}", shown(low), shown(high)),
    };
    let when = match apart.half {
        Half::Earlier => "in the earlier half of the probes",
        Half::Later => "in the later half of the probes",
        Half::Both => "throughout",
    };
    let side = if apart.higher { "higher" } else { "lower" };
    format!(
        "<li><b>{label}</b> {side} {when}: {}, theirs {}</li>",
        range(apart.first),
        range(apart.others)
    )
}

/// Whose lines are grey, and why they are drawn; empty if nobody's.
pub(super) fn sick(seen: &Seen<'_>) -> String {
    let grey = seen.standings.iter().filter(|s| seen.is_grey(s)).map(|s| escape(s.optimizer));
    let names: Vec<String> = grey.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "<p class=\"caption\">Grey in the figures below, for a warning or a critical finding in spite of their \
             rank: {}.</p>\n",
            names.join(", ")
        ),
    }
}

/// A value of a quantity: shares in per cent.
fn value(quantity: &Quantity, value: f64) -> String {
    match quantity.range {
        Some([0.0, _]) => format!("{}\u{a0}%", number((1000.0 * value).round() / 10.0)),
        _ => number(value),
    }
}

/// Every quantity of the whole model and every optimizer.
pub(super) fn table(seen: &Seen<'_>) -> String {
    let columns: Vec<&Quantity> = seen.of_the_whole().collect();
    let head: String = columns
        .iter()
        .map(|q| {
            let figure = id(&[seen.task.task, q.figure]);
            format!(
                "<th scope=\"col\"><a href=\"#fig-{figure}\" title=\"{}\">{}</a></th>",
                escape(q.label),
                short(q.key)
            )
        })
        .collect();
    let shown = seen.standings.iter().take(seen.view.detail.rows);
    let rows: String = shown
        .map(|s| {
            let cells: String =
                columns.iter().map(|q| format!("<td class=\"n\">{}</td>", cell(s, q))).collect();
            let best = match s.may_be_best {
                _ if !seen.task.has_best() => "–",
                true => "may be",
                false => "no",
            };
            format!(
                "<tr><td>{}</td><td>{best}</td><th scope=\"row\">{}</th>{cells}</tr>",
                s.rank,
                breakable(s.optimizer)
            )
        })
        .collect();
    format!(
        "<p class=\"caption\">The whole model over the later half of the probes, medians over the seeds. \
         Marked: the diagnosis below found something there. A heading leads to its figure.</p>\
         <div class=\"wide\"><table class=\"signs\"><thead><tr><th scope=\"col\">rank</th>\
         <th scope=\"col\">best?</th><th scope=\"col\">optimizer</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )
}

fn cell(s: &Standing, quantity: &Quantity) -> String {
    let Some(course) = s.courses.get(quantity.key, None) else { return "–".to_owned() };
    let text = value(quantity, course.later());
    let found = s.findings.iter().any(|f| f.is_told() && f.figure == quantity.figure);
    if found { format!("<mark>{text}</mark>") } else { text }
}

/// What was measured and is not drawn, because nothing happened there.
pub(super) fn idle(seen: &Seen<'_>) -> String {
    let measured = |q: &Quantity| {
        seen.standings.iter().any(|s| s.courses.courses.iter().any(|c| c.quantity == q.key))
    };
    let idle: Vec<&str> = figures()
        .into_iter()
        .filter(|f| quantities(f).all(|q| seen.places(q).is_empty()))
        .filter_map(|f| quantities(f).find(|q| measured(q)))
        .map(|q| q.label)
        .collect();
    let left = seen.task.standings.len() - seen.standings.len();
    let mut text = String::new();
    if !idle.is_empty() {
        text += &format!(
            "Measured, and not drawn because nothing happened there: {}. ",
            escape(&idle.join("; "))
        );
    }
    if left > 0 {
        text += &format!("No lines here for {} of the lower ranks. ", count(left, "optimizer"));
    }
    if text.is_empty() { text } else { format!("<p class=\"caption\">{text}</p>\n") }
}
