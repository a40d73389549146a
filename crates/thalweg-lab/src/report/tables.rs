//! The tables of a task.

use std::fmt::Write as _;

use super::figures::{sample, whiskers};
use super::markup::{escape, interval, number};
use crate::protocol::{Side, Standing, TaskOutcome};

/// The ranking.
pub(super) fn ranking(task: &TaskOutcome, styles: &dyn Fn(&str) -> usize) -> String {
    let metric =
        task.metric.map_or_else(|| "metric".to_owned(), |m| format!("test {}", escape(m.name)));
    let mut html = format!(
        "<p class=\"caption\">Ranked by mean test loss, ± 95 % interval \
         over the seeds. “=” marks what the seeds cannot tell apart from the first. The vertical line is \
         the first optimizer's mean. “↑ edge” and “↓ edge” mark a best value that was the highest or lowest tried.</p><div class=\"wide\"><table class=\"ranking\"><thead><tr><th scope=\"col\">rank</th>\
         <th scope=\"col\">optimizer</th><th scope=\"col\">test loss</th><th scope=\"col\"></th>\
         <th scope=\"col\">{metric}</th><th scope=\"col\">behind the first</th>\
         <th scope=\"col\">chosen by tuning</th><th scope=\"col\">diverged</th>\
         <th scope=\"col\">step</th></tr></thead><tbody>",
    );
    // As many decimals as one test example is worth.
    let decimals = if task.examples[2] < 1_000 { 1 } else { 2 };
    for (s, whisker) in task.standings.iter().zip(whiskers(task)) {
        let equal = if s.may_equal_first && s.rank > 1 { "=" } else { "" };
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
            "<tr><td>{}{equal}</td><th scope=\"row\">{}{}</th><td class=\"n\">{}</td><td>{whisker}</td>\
             <td class=\"n\">{metric}</td><td class=\"n\">{behind}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{} µs</td></tr>",
            s.rank,
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
        "<details><summary>What each optimizer was given</summary><div class=\"wide\"><table>\
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
        let ranges = if ranges.is_empty() { "nothing".to_owned() } else { ranges };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{ranges}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{} µs of {} µs</td></tr>",
            escape(s.optimizer),
            s.trials.len(),
            s.gradients_spent,
            number(s.seconds_spent),
            number(s.step_microseconds),
            number(s.step_microseconds + s.gradient_microseconds),
        );
    }
    html + "</tbody></table></div></details>\n"
}

/// The training loss at a few moments, for those who cannot use the picture.
pub(super) fn curve(task: &TaskOutcome) -> String {
    let Some(longest) = task.standings.iter().map(|s| &s.curve).max_by_key(|c| c.len()) else {
        return String::new();
    };
    let last = longest.len().saturating_sub(1);
    let mut columns: Vec<usize> = (1..=8).map(|i| i * last / 8).filter(|i| *i > 0).collect();
    columns.dedup();
    let head: String =
        columns.iter().map(|i| format!("<th scope=\"col\">{}</th>", longest[*i].step)).collect();
    let mut html = format!(
        "<details><summary>Training loss as a table</summary><div class=\"wide\"><table><thead><tr>\
         <th scope=\"col\">gradient evaluations</th>{head}</tr></thead><tbody>"
    );
    for s in &task.standings {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(s.optimizer));
        for i in &columns {
            let loss = s.curve.get(*i).and_then(|p| p.train_loss);
            let text = loss.map_or_else(|| "–".to_owned(), |b| number(b.mean));
            let _ = write!(html, "<td class=\"n\">{text}</td>");
        }
        html += "</tr>";
    }
    html + "</tbody></table></div></details>\n"
}
