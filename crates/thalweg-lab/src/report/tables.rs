//! The tables of a task.

use std::fmt::Write as _;

use super::draw::Axis;
use super::markup::{breakable, escape, interval, number, px, style};
use super::shown::Shown;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Extension, Side, Standing, TaskOutcome};

impl Shown {
    /// A standing's typical loss and its interval.
    fn typical(self, s: &Standing) -> String {
        match self.0 {
            Scale::Plain => lines(&[interval(s.test_loss.mean, s.test_loss.half_width, 4)]),
            Scale::Above(_) => lines(&factor(self.loss(s.test_loss.mean), s.test_factor, "")),
        }
    }

    /// How far a standing is behind the first, and the intervals of that: a line each, for over decades they
    /// are long. Nobody is behind one that diverged.
    fn behind(self, s: &Standing, first: &Standing) -> String {
        if s.rank == 1 || !s.has_runs() || !first.test_loss.mean.is_finite() {
            return "–".to_owned();
        }
        let mut all = match self.0 {
            Scale::Plain => {
                vec![interval(s.behind_first.mean, s.behind_first.half_width, 4)]
            }
            Scale::Above(_) if s.behind_first.mean.is_infinite() => vec!["∞".to_owned()],
            Scale::Above(_) => factor(s.behind_first.mean, s.behind_factor, "\u{a0}times"),
        };
        all.extend(s.behind_interval.map(|i| format!("{} to {}", number(i.low), number(i.high))));
        lines(&all)
    }

    /// How the ranking is to be read.
    fn caption(self, task: &TaskOutcome) -> String {
        let (others, seeds) = (task.standings.len().saturating_sub(1), task.seeds.len());
        let without = task.standings.iter().filter(|s| !s.has_runs()).count();
        if without > others {
            return "Ordered by the best trial: there are no final runs yet.".to_owned();
        }
        if seeds < 2 {
            return "Ranked by test loss on a single seed, which tells nothing about another: “may be” stands \
                    with all, for nothing is ruled out."
                .to_owned();
        }
        let (ranked, tested, distance) = match self.0 {
            Scale::Plain => (
                "mean test loss, ± 95 % interval over the seeds",
                "losses",
                "the mean difference over the seeds",
            ),
            Scale::Above(_) => (
                "the geometric mean of what is left above the smallest loss, ×/÷ its 95 % interval over the \
                 seeds",
                "logarithms of what is left",
                "how many times as much is left, the geometric mean over the seeds",
            ),
        };
        if others == 0 {
            return format!(
                "The loss is {ranked}. A single optimizer has nobody to be compared with. “↑ edge” and “↓ edge” mark \
                 a best value that was the highest or lowest tried."
            );
        }
        let mut ranked = ranked.to_owned();
        if task.standings.iter().filter(|s| s.solved(task.floor)).count() > 1 {
            ranked += "; of those at the floor on every seed the soonest comes first, and only these may be the \
                       best: there the tests are of gradient evaluations, corrected for their number";
        }
        if without > 0 {
            ranked += "; those without final runs come last, in the order of their best trials";
        }
        format!(
            "Ranked by {ranked}. The optimizers marked “may be” are those that cannot be ruled out as the best \
             at 95 % confidence: one-sided paired t tests of the {tested}, each against each other one, \
             corrected for {others}. Behind the first: {distance}, with Student's 95 % interval, and on the \
             last line the 95 % bootstrap interval (stretched percentiles) of the same paired differences. The \
             vertical line below a loss is the first optimizer's mean. “↑ edge” and “↓ edge” mark a best value \
             that was the highest or lowest tried."
        )
    }
}

/// A geometric mean with its unit and interval.
fn factor(mean: f64, factor: Option<f64>, unit: &str) -> Vec<String> {
    match factor {
        // Over so many decades the ends say more than a factor.
        Some(factor) if mean.is_finite() && factor > 100.0 => {
            let [low, high] = [mean / factor, mean * factor].map(number);
            vec![format!("{}{unit}", number(mean)), format!("{low} to {high}")]
        }
        Some(factor) if mean.is_finite() => {
            vec![format!("{} ×/÷ {}{unit}", number(mean), number(factor))]
        }
        _ => vec![format!("{}{unit}", number(mean))],
    }
}

/// What stands in a cell, line by line, the first as what counts. No line breaks anywhere else.
fn lines(all: &[String]) -> String {
    all.iter().map(|line| format!("<span class=\"told\">{line}</span>")).collect()
}

/// The first `rows` of the ranking.
pub(super) fn ranking(task: &TaskOutcome, rows: usize, styles: &dyn Fn(&str) -> usize) -> String {
    let shown = Shown(task.scale);
    let metric =
        task.metric.map_or_else(|| "metric".to_owned(), |m| format!("test {}", escape(m.name)));
    let mut html = format!(
        "<p class=\"caption\">{}</p><div class=\"wide\"><table class=\"ranking\"><thead><tr>\
         <th scope=\"col\">rank</th><th scope=\"col\">best?</th><th scope=\"col\">optimizer</th>\
         <th scope=\"col\">{}</th><th scope=\"col\">{metric}</th>\
         <th scope=\"col\">behind the first</th><th scope=\"col\">chosen by tuning</th>\
         <th scope=\"col\">diverged</th><th scope=\"col\">step, µs</th></tr></thead><tbody>",
        shown.caption(task),
        shown.label("test loss"),
    );
    let Some(first) = task.standings.first() else { return String::new() };
    for (s, whisker) in task.standings.iter().zip(whiskers(task)).take(rows) {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><th scope=\"row\"><span class=\"named\">{}<span>{}</span></span></th>\
             <td class=\"n\">{}{whisker}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td><td class=\"n\">{}</td></tr>",
            if s.has_runs() { s.rank.to_string() } else { "–".to_owned() },
            best(task, s),
            sample(styles(s.optimizer)),
            breakable(s.optimizer),
            shown.typical(s),
            metric_of(task, s),
            shown.behind(s, first),
            chosen(s),
            diverged(s),
            if s.has_runs() { number(s.step_microseconds) } else { "–".to_owned() },
        );
    }
    html + "</tbody></table></div>\n"
}

/// Whether it may be the best, and how sure it is that it is not.
fn best(task: &TaskOutcome, s: &Standing) -> String {
    match s.p_soonest.unwrap_or(s.p_best) {
        _ if s.test_loss.mean.is_nan() || !task.has_best() => "–".to_owned(),
        _ if s.may_be_best => "may be".to_owned(),
        p if p < 1e-3 => "no, p\u{a0}&lt;\u{a0}0.001".to_owned(),
        p if p < 0.05 => format!("no, p\u{a0}=\u{a0}{p:.3}"),
        _ if s.diverged_seeds > 0 => "no, diverged".to_owned(),
        _ => "no, not solved".to_owned(),
    }
}

fn metric_of(task: &TaskOutcome, s: &Standing) -> String {
    // As many decimals as one test example is worth.
    let decimals = if task.examples[2] < 1_000 { 1 } else { 2 };
    match (task.metric, &s.test_metric) {
        (Some(_), Some(value)) if value.mean.is_nan() => "–".to_owned(),
        (Some(m), Some(value)) if m.percent => {
            let half = value.half_width.map(|h| 100.0 * h);
            format!("{}\u{a0}%", interval(100.0 * value.mean, half, decimals))
        }
        (Some(_), Some(value)) => interval(value.mean, value.half_width, 4),
        _ => "–".to_owned(),
    }
}

fn chosen(s: &Standing) -> String {
    let values = s.chosen.iter().map(|(hyper, value)| {
        let edge = s.edges.iter().find(|e| e.hyper == *hyper).map(|e| match e.side {
            Side::Low => " <mark>↓ edge</mark>",
            Side::High => " <mark>↑ edge</mark>",
        });
        format!("{}\u{a0}{}{}", escape(hyper), number(*value), edge.unwrap_or_default())
    });
    values.collect::<Vec<_>>().join("<br/>")
}

/// How many runs of any kind diverged, and of those how many trials and final runs, if any.
fn diverged(s: &Standing) -> String {
    let mut all = vec![format!("{}/{}", s.diverged_runs, s.runs)];
    if s.diverged_trials > 0 {
        all.push(format!("{}/{}\u{a0}trials", s.diverged_trials, s.trials.len()));
    }
    if s.diverged_seeds > 0 {
        all.push(format!("<mark>{}/{}\u{a0}seeds</mark>", s.diverged_seeds, s.seeds.len()));
    }
    if all.len() == 1 { all.concat() } else { lines(&all) }
}

/// What each optimizer was given and what it cost.
pub(super) fn fairness(task: &TaskOutcome) -> String {
    let mut html = String::from(
        "<div class=\"wide\"><table>\
         <thead><tr><th scope=\"col\">optimizer</th><th scope=\"col\">tuned, range</th>\
         <th scope=\"col\">not tuned</th>\
         <th scope=\"col\">trials</th><th scope=\"col\">gradients per step</th>\
         <th scope=\"col\">gradients spent</th>\
         <th scope=\"col\">seconds spent</th><th scope=\"col\">of a step's time in the optimizer</th>\
         </tr></thead><tbody>",
    );
    for s in &task.standings {
        let ranges = s
            .declared
            .iter()
            .map(|r| format!("{} {} to {}", escape(r.hyper), number(r.low), number(r.high)))
            .collect::<Vec<_>>()
            .join("<br/>");
        let fixed: Vec<String> =
            s.fixed.iter().map(|(hyper, v)| format!("{} {}", escape(hyper), number(*v))).collect();
        let fixed = if fixed.is_empty() { "nothing".to_owned() } else { fixed.join(", ") };
        let extended: String = s.extensions.iter().map(extended).collect();
        let ranges = if ranges.is_empty() { "nothing".to_owned() } else { ranges };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{ranges}{extended}</td><td>{fixed}</td>\
             <td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            escape(s.optimizer),
            s.trials.len(),
            s.gradients_per_step,
            s.gradients_spent,
            number(s.seconds_spent),
            share(s),
        );
    }
    html + "</tbody></table></div>\n"
}

/// The share of a step's time that is the optimizer's.
fn share(s: &Standing) -> String {
    let (own, whole) = (s.step_microseconds, s.step_microseconds + s.gradient_microseconds);
    match s.has_runs() {
        true => format!(
            "{}\u{a0}%: {} µs of {} µs",
            number(100.0 * own / whole),
            number(own),
            number(whole)
        ),
        false => "–".to_owned(),
    }
}

/// The alarm that a range had to be left.
fn extended(e: &Extension) -> String {
    let (hyper, low, high) = (escape(e.hyper), number(e.low), number(e.high));
    let why = match (e.all_diverged, e.side) {
        (true, _) => format!("every trial at {hyper} above {high} diverged"),
        (false, Side::Low) => format!("the best trial had the lowest {hyper}"),
        (false, Side::High) => format!("the best trial had the highest {hyper}"),
    };
    format!("<br/><mark>{why}: searched {low} to {high} too</mark>")
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
    let shown = Shown(task.scale);
    let mean = |s: &Standing| shown.loss(s.test_loss.mean);
    let ends = |s: &Standing| shown.interval(s).unwrap_or([mean(s); 2]);
    let best = task.standings.first().map_or(1.0, mean);
    // The picture serves the comparison at the top: losses beyond run off it.
    let (scale, ceiling) = shown.beside(task);
    let seen = task.standings.iter().filter(|s| mean(s) <= ceiling);
    let values = seen.flat_map(|s| ends(s).into_iter().chain([mean(s)]));
    let inside = |v: &f64| *v <= ceiling && *v >= best - (ceiling - best);
    let axis = Axis::new(scale, values.filter(inside), 4.0, 106.0);
    let draw = |s: &Standing| {
        if !s.has_runs() {
            return String::new();
        }
        let [low, high] = ends(s).map(|v| px(axis.at(v)));
        let first = px(axis.at(best));
        let mark = match axis.shows(mean(s)) {
            true => format!(
                "<line class=\"bar\" x1=\"{low}\" x2=\"{high}\" y1=\"8\" y2=\"8\"/>\
                 <circle class=\"dot\" cx=\"{}\" cy=\"8\" r=\"3\"/>",
                px(axis.at(mean(s)))
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
