//! Other ways to go on from a point of a run, as one page that is complete without scripts.

use super::Picture;
use super::draw::{Name, Plane, Scale, Side, Stroke, Trace};
use super::figure::{Figure, table};
use super::markup::{count, escape, number};
use super::page::style;
use super::palette;
use super::shown::Shown;
use crate::Result;
use crate::protocol::stats::scale::Scale as Losses;
use crate::protocol::{Alternative, Counterfactual, Fan, Memory, shown};

const STYLE: &str = concat!(include_str!("assets/page.css"), include_str!("assets/claims.css"));

/// What the words of the page mean.
const KEY: &str = include_str!("assets/whatif_key.html");

/// As many ways as a figure can show apart.
const DRAWN: usize = 9;

/// The answer as one self-contained HTML document (well-formed XML, too).
pub fn ways(answer: &Counterfactual) -> String {
    let figures: String = figures(answer).iter().map(Figure::html).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>thalweg: what if {} had gone on in another way</title>\n{}{}</head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the verdict</a><main id=\"main\">\n\
         <header><p class=\"kicker\">{}</p><div class=\"verdict\" role=\"region\" aria-label=\"Verdict\">\
         <h1>{}</h1></div></header>\n{KEY}{figures}</main></body></html>\n",
        escape(answer.optimizer),
        style("page-style", &(palette::variables() + STYLE)),
        style("figure-style", &palette::figure_rules()),
        escape(&stamp(answer)),
        escape(&answer.sentence()),
    )
}

/// Every figure as a file of its own.
///
/// # Errors
/// None that a user can cause.
pub fn ways_apart(answer: &Counterfactual) -> Result<Vec<Picture>> {
    let alone = |figure: &Figure| {
        Ok(Picture { name: figure.id.clone(), svg: figure.standalone(&stamp(answer))? })
    };
    figures(answer).iter().map(alone).collect()
}

/// What all figures are of.
fn stamp(answer: &Counterfactual) -> String {
    format!(
        "thalweg {} · {} · led by {} · after {} of {} gradient evaluations · {}",
        env!("CARGO_PKG_VERSION"),
        answer.task,
        answer.optimizer,
        answer.at,
        answer.budget,
        count(answer.seeds.len(), "seed"),
    )
}

/// The ways that are drawn: the run as it was and with its state emptied, then each other optimizer once,
/// watching if it could, in the order of their ends.
fn drawn(answer: &Counterfactual) -> Vec<&Alternative> {
    let own = |a: &&Alternative| a.optimizer == answer.optimizer;
    let watched = |name: &str| {
        answer.alternatives.iter().any(|a| a.optimizer == name && a.memory == Memory::Watched)
    };
    let shown = |a: &&Alternative| a.memory == Memory::Watched || !watched(a.optimizer);
    let all = answer.alternatives.iter();
    all.clone().filter(own).chain(all.filter(|a| !own(a)).filter(shown)).take(DRAWN).collect()
}

fn figures(answer: &Counterfactual) -> Vec<Figure> {
    let drawn = drawn(answer);
    let left_out = match drawn.len() < answer.alternatives.len() {
        true => {
            " Of the other optimizers those are drawn whose runs end best, each once; all are in the table."
        }
        false => "",
    };
    let fan = |id: &str, what: &str, of: fn(&Fan) -> &[f64], before: f64, table: String| {
        fan_figure(answer, &drawn, (id, what, of, before, table))
    };
    vec![
        courses(answer, &drawn, left_out),
        fan(
            "fan-batch",
            "its own batch",
            |f| &f.batch_change,
            answer.batch_loss,
            steps_table(answer),
        ),
        fan(
            "fan-validation",
            "the validation examples",
            |f| &f.validation_change,
            answer.validation_mean,
            String::new(),
        ),
    ]
}

fn courses(answer: &Counterfactual, drawn: &[&Alternative], left_out: &str) -> Figure {
    let title = "The rest of the run".to_owned();
    let shown = Shown(answer.scale);
    let course = |a: &Alternative| -> Vec<(f64, f64)> {
        a.curve.iter().map(|(step, loss)| (*step as f64, shown.loss(*loss))).collect()
    };
    let lines: Vec<Named> = drawn.iter().map(|a| (a.name(), course(a))).collect();
    let scale = shown.axis(lines.iter().flat_map(|(_, points)| points).map(|p| p.1));
    let mean = match answer.scale {
        Losses::Plain => "mean",
        Losses::Above(_) => "geometric mean",
    };
    let y = format!("{}, {mean} over seeds", shown.label("validation loss"));
    let x = "gradient evaluations";
    Figure {
        id: "courses".to_owned(),
        caption: format!(
            "Validation loss from the point on, under the same batches and the same schedule. A line ends \
             where the first of its seeds diverges.{left_out}"
        ),
        pictures: vec![picture(
            "courses",
            &title,
            (x, Scale::Linear, None),
            (&y, scale, None),
            (&lines, lines.len()),
        )],
        title,
        table: rest_table(answer),
        live: None,
    }
}

/// The points of a line, and its name.
type Named = (String, Vec<(f64, f64)>);

type Fanned<'a> = (&'a str, &'a str, fn(&Fan) -> &[f64], f64, String);

fn fan_figure(
    answer: &Counterfactual,
    drawn: &[&Alternative],
    (id, what, of, before, table): Fanned<'_>,
) -> Figure {
    let mut lines: Vec<Named> = drawn
        .iter()
        .filter_map(|a| {
            let changes = of(a.step.as_ref()?);
            let points = answer.multiples.iter().copied().zip(changes.iter().copied());
            Some((a.name(), points.collect()))
        })
        .collect();
    let changes = lines.iter().flat_map(|(_, points)| points).map(|p| p.1);
    let [lowest, highest] = changes
        .filter(|c| c.is_finite())
        .fold([0.0_f64; 2], |[low, high], c| [low.min(c), high.max(c)]);
    // As far up as down: how much worse it can get is no news.
    let range = match lowest < 0.0 {
        true => Some((1.08 * lowest, highest.min(-lowest))),
        false => None,
    };
    let marked = lines.len();
    if let Some((low, high)) = range {
        lines.push(("the step as it is".to_owned(), vec![(1.0, low), (1.0, high)]));
    }
    let title = format!("One step, and its loss on {what}");
    let (x, y) = ("length, in steps of each optimizer", "change of the loss, mean over seeds");
    Figure {
        id: id.to_owned(),
        caption: format!(
            "How the loss on {what} ({} before) changes along the first step of each way, from a hundredth of \
             that step to a hundred times as far. Below zero is progress; a minimum right of 1 means that a \
             larger learning rate would have done more just here, left of 1 a smaller one. What rises by more \
             than the best falls is cut off.",
            shown(before)
        ),
        pictures: vec![picture(
            id,
            &title,
            (x, Scale::Log, None),
            (y, Scale::Linear, range),
            (&lines, marked),
        )],
        title,
        table,
        live: None,
    }
}

type Ruler<'a> = (&'a str, Scale, Option<(f64, f64)>);

/// A picture of lines, of which the first so many were measured and the others mark a place.
fn picture(
    id: &str,
    title: &str,
    x: Ruler<'_>,
    y: Ruler<'_>,
    (lines, measured): (&[Named], usize),
) -> String {
    let names: Vec<&str> = lines.iter().map(|l| &*l.0).collect();
    let description = format!("{} against {}: {}", y.0, x.0, names.join(", "));
    let stroke = |i| if i < measured { Stroke::Series(i) } else { Stroke::Promise(i - measured) };
    let traces = lines.iter().enumerate();
    let plane = Plane {
        name: Name::new(format!("{id}-svg"), title, description),
        x: Side { label: x.0, scale: x.1, range: x.2 },
        y: Side { label: y.0, scale: y.1, range: y.2 },
        ground: None,
        traces: traces
            .map(|(i, (name, points))| Trace { name, stroke: stroke(i), points })
            .collect(),
    };
    plane.render()
}

fn steps_table(answer: &Counterfactual) -> String {
    let header = [
        "way",
        "change",
        "best length",
        "change there",
        "cosine to descent",
        "cosine to the run's",
    ];
    let row = |a: &Alternative| {
        let fan = a.step.as_ref()?;
        let (length, change) = answer.best(fan)?;
        let cells = [answer.change(fan), length, change, fan.cosine_descent, fan.cosine_kept];
        Some([a.name()].into_iter().chain(cells.map(number)).collect())
    };
    table(&header, answer.alternatives.iter().filter_map(row))
}

fn rest_table(answer: &Counterfactual) -> String {
    let against = match answer.scale {
        Losses::Plain => "minus as it was",
        Losses::Above(_) => "times as far above the minimum",
    };
    let header = ["way", "test loss", against, "95 % bootstrap", "p (Holm)", "distinguishable"];
    let row = |a: &Alternative| {
        let interval = a.interval.map(|i| format!("{} to {}", number(i.low), number(i.high)));
        let unit = if a.in_gradients { " evaluations" } else { "" };
        vec![
            a.name(),
            shown(a.test_loss),
            format!("{}{unit}", number(a.difference)),
            interval.unwrap_or_else(|| "–".to_owned()),
            format!("{:.3}", a.p_adjusted),
            if a.distinguishable { "yes" } else { "no" }.to_owned(),
        ]
    };
    table(&header, answer.alternatives.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{RunSpec, Way, counterfactual};
    use crate::{optimizers, tasks};

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_else() {
        let task = tasks::select(&["rosenbrock".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["momentum".to_owned()]).unwrap()[0];
        let spec = |seed| RunSpec::new(task, entry, vec![("lr", 1e-4)], seed, 40);
        let ways_of = |lr| Way { optimizer: "adam", hypers: vec![("lr", lr)] };
        let workload = (task.open)(task).unwrap();
        // A rate of 1e30 makes losses that no axis can show.
        let others = [ways_of(0.01), ways_of(1e30)];
        let answer =
            counterfactual(&[spec(1), spec(2)], &workload, 20, &others, 2).unwrap().unwrap();
        let html = ways(&answer);
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let tree = roxmltree::Document::parse_with_options(&html, options).unwrap();
        for node in tree.descendants() {
            assert!(!["script", "link", "img"].contains(&node.tag_name().name()));
            assert_eq!(node.attribute("src"), None);
        }
        assert!(!html.contains("url(") && !html.contains("NaN"));
        assert_eq!(tree.descendants().filter(|n| n.attribute("role") == Some("img")).count(), 3);
        let pictures = ways_apart(&answer).unwrap();
        assert_eq!(pictures.len(), 3);
        for picture in pictures {
            assert!(roxmltree::Document::parse(&picture.svg).is_ok());
            assert!(picture.svg.contains("momentum as it was"));
        }
    }

    #[test]
    fn what_is_said_to_be_above_the_smallest_loss_is() {
        let task = tasks::select(&["rosenbrock".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["gd".to_owned()]).unwrap()[0];
        let spec = |seed| RunSpec::new(task, entry, vec![("lr", 1e-4)], seed, 40);
        let workload = (task.open)(task).unwrap();
        let mut answer =
            counterfactual(&[spec(1), spec(2)], &workload, 20, &[], 1).unwrap().unwrap();
        answer.scale = Losses::Above(100.0);
        for way in &mut answer.alternatives {
            way.curve = vec![(20, 100.0 + 1e-2), (40, 100.0 + 5e-7)];
        }
        (answer.validation_loss, answer.validation_mean) = (100.25, 107.5);
        let figures = figures(&answer);
        let [courses, _, fan] = &figures[..] else { panic!("three figures") };
        let picture = &courses.pictures[0];
        assert!(picture.contains("validation loss above the smallest, geometric mean over seeds"));
        assert!(picture.contains(">10⁻⁶<") && !picture.contains(">100<"), "{picture}");
        // Arithmetic means of changes stand beside the arithmetic mean.
        assert!(fan.caption.contains("(107.5000 before)"), "{}", fan.caption);
    }
}
