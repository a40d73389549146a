//! The tables of a task.

use std::fmt::Write as _;

use super::draw::{Axis, Scale};
use super::markup::{escape, interval, number, px, style};
use crate::protocol::{Extension, Side, Standing, TaskOutcome};

/// The ranking.
pub(super) fn ranking(task: &TaskOutcome, styles: &dyn Fn(&str) -> usize) -> String {
    let metric =
        task.metric.map_or_else(|| "metric".to_owned(), |m| format!("test {}", escape(m.name)));
    let mut html = format!(
        "<p class=\"caption\">Ranked by mean test loss, ± 95 % interval \
         over the seeds. “may be” marks those among which the best is at 95 % confidence (one-sided paired t tests of each against each other one, corrected for {}). Optimizers that share a letter are not told apart by two-sided tests, corrected for all pairs. The vertical line is \
         the first optimizer's mean. “↑ edge” and “↓ edge” mark a best value that was the highest or lowest tried.</p><div class=\"wide\"><table class=\"ranking\"><thead><tr><th scope=\"col\">rank</th><th scope=\"col\">best?</th><th scope=\"col\">alike</th>\
         <th scope=\"col\">optimizer</th><th scope=\"col\">test loss</th><th scope=\"col\"></th>\
         <th scope=\"col\">{metric}</th><th scope=\"col\">behind the first</th>\
         <th scope=\"col\">chosen by tuning</th><th scope=\"col\">diverged</th>\
         <th scope=\"col\">step</th></tr></thead><tbody>",
        task.standings.len().saturating_sub(1),
    );
    // As many decimals as one test example is worth.
    let decimals = if task.examples[2] < 1_000 { 1 } else { 2 };
    for (s, whisker) in task.standings.iter().zip(whiskers(task)) {
        let behind = match s.rank {
            1 => "–".to_owned(),
            _ => interval(s.behind_first.mean, s.behind_first.half_width, 4),
        };
        let metric = match (task.metric, &s.test_metric) {
            (Some(m), Some(value)) if m.percent => {
                let half = value.half_width.map(|h| 100.0 * h);
                format!("{} %", interval(100.0 * value.mean, half, decimals))
            }
            (Some(_), Some(value)) => interval(value.mean, value.half_width, 4),
            _ => "–".to_owned(),
        };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><th scope=\"row\">{}{}</th><td class=\"n\">{}</td><td>{whisker}</td>\
             <td class=\"n\">{metric}</td><td class=\"n\">{behind}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{} µs</td></tr>",
            s.rank,
            match s.p_best {
                _ if s.test_loss.mean.is_nan() => "–".to_owned(),
                _ if s.may_be_best => "may be".to_owned(),
                p if p < 1e-3 => "no, p &lt; 0.001".to_owned(),
                p if p < 0.05 => format!("no, p = {p:.3}"),
                _ => "no, diverged".to_owned(),
            },
            escape(&s.letters),
            sample(styles(s.optimizer)),
            escape(s.optimizer),
            interval(s.test_loss.mean, s.test_loss.half_width, 4),
            chosen(s),
            diverged(s),
            number(s.step_microseconds),
        );
    }
    html + "</tbody></table></div>\n"
}

fn chosen(s: &Standing) -> String {
    let values = s.chosen.iter().map(|(hyper, value)| {
        let edge = s.edges.iter().find(|e| e.hyper == *hyper).map(|e| match e.side {
            Side::Low => " <mark>↓ edge</mark>",
            Side::High => " <mark>↑ edge</mark>",
        });
        format!("{} {}{}", escape(hyper), number(*value), edge.unwrap_or_default())
    });
    values.collect::<Vec<_>>().join("<br/>")
}

fn diverged(s: &Standing) -> String {
    match (s.diverged_trials, s.diverged_seeds) {
        (0, 0) => "0".to_owned(),
        (trials, 0) => format!("{trials}/{} trials", s.trials.len()),
        (trials, seeds) => format!(
            "{trials}/{} trials, <mark>{seeds}/{} seeds</mark>",
            s.trials.len(),
            s.seeds.len()
        ),
    }
}

/// What each optimizer was given and what it cost.
pub(super) fn fairness(task: &TaskOutcome) -> String {
    let mut html = String::from(
        "<div class=\"wide\"><table>\
         <thead><tr><th scope=\"col\">optimizer</th><th scope=\"col\">tuned, range</th>\
         <th scope=\"col\">trials</th><th scope=\"col\">gradients spent</th>\
         <th scope=\"col\">seconds spent</th><th scope=\"col\">share of time in the optimizer</th>\
         </tr></thead><tbody>",
    );
    for s in &task.standings {
        let ranges = s
            .ranges
            .iter()
            .map(|r| format!("{} {} to {}", escape(r.hyper), number(r.low), number(r.high)))
            .collect::<Vec<_>>()
            .join(", ");
        let lowered: String = s.extensions.iter().filter(|e| e.all_diverged).map(lowered).collect();
        let ranges = if ranges.is_empty() { "nothing".to_owned() } else { ranges };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{ranges}{lowered}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{} µs of {} µs</td></tr>",
            escape(s.optimizer),
            s.trials.len(),
            s.gradients_spent,
            number(s.seconds_spent),
            number(s.step_microseconds),
            number(s.step_microseconds + s.gradient_microseconds),
        );
    }
    html + "</tbody></table></div>\n"
}

/// The alarm that every trial above a stretch of a range diverged.
fn lowered(e: &Extension) -> String {
    format!(
        "<br/><mark>every trial at {} above {} diverged: searched from {} to there</mark>",
        escape(e.hyper),
        number(e.high),
        number(e.low)
    )
}

/// The sample of an optimizer's line, for tables.
fn sample(index: usize) -> String {
    format!(
        "<svg class=\"sample\" viewBox=\"0 0 34 8\" aria-hidden=\"true\"><g class=\"{}\">\
         <path class=\"line\" d=\"M1 4L33 4\"/></g></svg>",
        style(index)
    )
}

/// Mean and interval of every standing on a shared axis, one small picture per row of a table.
fn whiskers(task: &TaskOutcome) -> Vec<String> {
    let ends = |s: &Standing| {
        let h = s.test_loss.half_width.unwrap_or(0.0);
        [s.test_loss.mean - h, s.test_loss.mean, s.test_loss.mean + h]
    };
    // The picture serves the comparison at the top: losses beyond three times the best run off it.
    let best = task.standings.first().map_or(1.0, |s| s.test_loss.mean);
    let shown = |s: &&Standing| s.test_loss.mean <= 3.0 * best;
    let values = task.standings.iter().filter(shown).flat_map(ends);
    let values = values.filter(|v| *v >= 0.0 && *v <= 3.0 * best);
    let axis = Axis::new(Scale::Linear, values, 4.0, 106.0);
    let draw = |s: &Standing| {
        let [low, mean, high] = ends(s).map(|v| px(axis.at(v)));
        let first = px(axis.at(best));
        let mark = match axis.shows(s.test_loss.mean) {
            true => format!(
                "<line class=\"bar\" x1=\"{low}\" x2=\"{high}\" y1=\"8\" y2=\"8\"/>\
                 <circle class=\"dot\" cx=\"{mean}\" cy=\"8\" r=\"3\"/>"
            ),
            false => "<path class=\"cross\" d=\"M100 4L106 8L100 12\"/>".to_owned(),
        };
        format!(
            "<svg class=\"whisker\" viewBox=\"0 0 110 16\" aria-hidden=\"true\">\
             <line class=\"grid\" x1=\"{first}\" x2=\"{first}\" y1=\"0\" y2=\"16\"/>{mark}</svg>"
        )
    };
    task.standings.iter().map(draw).collect()
}
