//! The figures of a task.

use std::fmt::Write as _;

use super::axis::{Axis, Scale};
use super::chart::{Chart, Series, open};
use super::markup::{escape, number, px, style};
use crate::protocol::{Band, CurvePoint, Standing, TaskOutcome, Trial};

/// How many of the best optimizers show their band without being pointed at.
const BANDS: usize = 3;

/// What a curve shows, and over what.
struct Curve {
    key: &'static str,
    title: &'static str,
    y_label: &'static str,
    y_scale: Scale,
    x_label: &'static str,
    x: fn(&CurvePoint) -> f64,
    y: fn(&CurvePoint) -> Option<Band>,
}

const CURVES: [Curve; 4] = [
    Curve {
        key: "train-steps",
        title: "Training loss over steps",
        y_label: "training loss (log scale)",
        y_scale: Scale::Log,
        x_label: "gradient evaluations",
        x: |p| p.step as f64,
        y: |p| p.train_loss,
    },
    Curve {
        key: "train-seconds",
        title: "Training loss over time",
        y_label: "training loss (log scale)",
        y_scale: Scale::Log,
        x_label: "seconds of gradients and steps, on one core",
        x: |p| p.seconds,
        y: |p| p.train_loss,
    },
    Curve {
        key: "validation-loss",
        title: "Validation loss over steps",
        y_label: "validation loss (log scale)",
        y_scale: Scale::Log,
        x_label: "gradient evaluations",
        x: |p| p.step as f64,
        y: |p| Some(p.validation_loss),
    },
    Curve {
        key: "error",
        title: "Validation error over steps",
        y_label: "share classified wrongly (log scale)",
        y_scale: Scale::Log,
        x_label: "gradient evaluations",
        x: |p| p.step as f64,
        y: |p| p.validation_error,
    },
];

/// The curves of a task, each a figure. `styles` gives each optimizer its look in the whole report.
pub(super) fn curves(task: &TaskOutcome, styles: &dyn Fn(&str) -> usize) -> String {
    let drawn = |curve: &&Curve| {
        task.standings.iter().flat_map(|s| &s.curve).any(|p| (curve.y)(p).is_some())
    };
    CURVES.iter().filter(drawn).map(|curve| figure(task, curve, styles)).collect()
}

fn figure(task: &TaskOutcome, curve: &Curve, styles: &dyn Fn(&str) -> usize) -> String {
    let series: Vec<Series<'_>> = task
        .standings
        .iter()
        .enumerate()
        .map(|(i, s)| Series {
            name: s.optimizer,
            style: styles(s.optimizer),
            points: s
                .curve
                .iter()
                .filter_map(|p| (curve.y)(p).map(|b| ((curve.x)(p), b.mean, b.low, b.high)))
                .collect(),
            show_band: i < BANDS,
        })
        .collect();
    let chart = Chart {
        id: format!("{}-{}", task.task, curve.key),
        title: format!("{}: {}", task.task, curve.title),
        description: format!(
            "One line per optimizer, the mean over the final seeds, from 0 to {} {}. The numbers \
             are in the table of results and in results.json.",
            task.budget, "gradient evaluations"
        ),
        x_label: curve.x_label,
        y_label: curve.y_label,
        y_scale: curve.y_scale,
        series,
    };
    format!(
        "<figure><figcaption><b>{}.</b> Mean over the seeds; the band from the lowest to the highest \
         seed is shown for the first {BANDS}, and for any line that is pointed at.</figcaption>{}</figure>\n",
        curve.title,
        chart.render()
    )
}

/// A panel per optimizer: validation loss of every tuning trial over the learning rate.
pub(super) fn sensitivity(task: &TaskOutcome, styles: &dyn Fn(&str) -> usize) -> String {
    let panels: Vec<(&Standing, &str)> = task
        .standings
        .iter()
        .filter_map(|s| {
            let lr = s.ranges.iter().find(|r| r.hyper == "lr").or(s.ranges.first());
            lr.map(|range| (s, range.hyper))
        })
        .collect();
    let losses = || panels.iter().flat_map(|(s, _)| &s.trials).map(|t| t.validation_loss);
    let start = task.standings.iter().filter_map(|s| s.curve.first());
    // Above the loss of the untrained model there is nothing to tell apart.
    let ceiling = start.map(|p| p.validation_loss.high).fold(0.0, f64::max) * 1.2;
    let shown = losses().filter(|l| *l <= ceiling).chain([ceiling]);
    let y = Axis::new(Scale::Log, shown, 100.0, 12.0);
    let panels: String = panels
        .iter()
        .map(|(standing, hyper)| panel(task, standing, hyper, &y, styles(standing.optimizer)))
        .collect();
    format!(
        "<figure><figcaption><b>Sensitivity to the learning rate.</b> Each dot is a tuning trial: its \
         lowest validation loss over the value of the named hyper-parameter, in the declared range. \
         The ring marks the trial that was chosen, a cross a trial that diverged or stayed above the \
         loss of the untrained model. All panels share the vertical axis. A wide basin forgives a bad \
         guess.</figcaption><div class=\"panels\">{panels}</div></figure>\n"
    )
}

fn panel(task: &TaskOutcome, s: &Standing, hyper: &str, y: &Axis, look: usize) -> String {
    let value = |t: &Trial| t.hypers.iter().find(|(h, _)| *h == hyper).map_or(f64::NAN, |h| h.1);
    let range = s.ranges.iter().find(|r| r.hyper == hyper);
    let ends = range.map_or([1.0, 1.0], |r| [r.low, r.high]);
    let x = Axis::new(Scale::Log, ends.into_iter(), 34.0, 196.0);
    let id = format!("{}-lr-{}", task.task, s.optimizer.replace('@', "-"));
    let chosen = s.chosen.iter().find(|(h, _)| *h == hyper).map_or(f64::NAN, |h| h.1);
    let title = format!("{}: {} of {}", task.task, hyper, s.optimizer);
    let description = format!(
        "Validation loss of {} trials over {hyper} from {} to {}; chosen: {}.",
        s.trials.len(),
        number(ends[0]),
        number(ends[1]),
        number(chosen)
    );
    let mut svg = open(&id, &title, &description, 204.0, 128.0);
    panel_grid(&mut svg, s.optimizer, hyper, &x, y);
    let mut trials: Vec<&Trial> = s.trials.iter().collect();
    trials.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let _ = write!(svg, "<g class=\"{}\">", style(look));
    // With several tuned hyper-parameters neighbours differ in the others too: no line then.
    if s.ranges.len() == 1 {
        let at = trials.iter().filter(|t| y.shows(t.validation_loss));
        let path: Vec<String> =
            at.map(|t| format!("{} {}", px(x.at(value(t))), px(y.at(t.validation_loss)))).collect();
        if path.len() > 1 {
            let _ = write!(svg, "<path class=\"line\" d=\"M{}\"/>", path.join("L"));
        }
    }
    for trial in trials {
        let (cx, cy) = (x.at(value(trial)), y.at(trial.validation_loss));
        if y.shows(trial.validation_loss) {
            let _ = write!(
                svg,
                "<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"2.2\"/>",
                px(cx),
                px(cy)
            );
        } else {
            let (l, r, t, b) = (px(cx - 3.0), px(cx + 3.0), px(cy - 3.0), px(cy + 3.0));
            let _ = write!(svg, "<path class=\"cross\" d=\"M{l} {t}L{r} {b}M{r} {t}L{l} {b}\"/>");
        }
        if value(trial) == chosen {
            let _ =
                write!(svg, "<circle class=\"ring\" cx=\"{}\" cy=\"{}\" r=\"5\"/>", px(cx), px(cy));
        }
    }
    svg + "</g></svg>"
}

fn panel_grid(svg: &mut String, name: &str, hyper: &str, x: &Axis, y: &Axis) {
    for (at, label) in y.ticks(3) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"34\" x2=\"196\" y1=\"{0}\" y2=\"{0}\"/>\
             <text class=\"tick\" x=\"31\" y=\"{1}\" text-anchor=\"end\">{label}</text>",
            px(at),
            px(at + 3.0),
        );
    }
    for (at, label) in x.ticks(3) {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"12\" y2=\"100\"/>\
             <text class=\"tick\" x=\"{0}\" y=\"111\" text-anchor=\"middle\">{label}</text>",
            px(at)
        );
    }
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"34\" y=\"8\">{}</text>\
         <text class=\"tick\" x=\"115\" y=\"123\" text-anchor=\"middle\">{}</text>",
        escape(name),
        escape(hyper)
    );
}

/// The sample of an optimizer's line, for tables.
pub(super) fn sample(index: usize) -> String {
    format!(
        "<svg class=\"sample\" viewBox=\"0 0 34 8\" aria-hidden=\"true\"><g class=\"{}\">\
         <path class=\"line\" d=\"M1 4L33 4\"/></g></svg>",
        style(index)
    )
}

/// Mean and interval of every standing on a shared axis, one small picture per row of a table.
pub(super) fn whiskers(task: &TaskOutcome) -> Vec<String> {
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
