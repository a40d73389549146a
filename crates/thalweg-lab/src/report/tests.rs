//! The report of a real, small comparison: complete, well-formed and on its own.

use super::detail::Detail;
use super::render;
use super::view::View;
use crate::protocol::{Plan, Silent, compare};
use crate::store::Document;
use crate::{optimizers, tasks};

fn document(diverge: bool) -> Document {
    let mut chosen = optimizers::all();
    chosen.truncate(5);
    if diverge {
        let range = &mut chosen[0].tune[0];
        (range.low, range.high) = (1e30, 1e35);
    }
    let plan = Plan {
        tasks: tasks::select(&[], None).unwrap(),
        optimizers: Some(chosen),
        seeds: Some(3),
        trials: Some(3),
        budget: Some(40),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    };
    let command = vec!["thalweg".to_owned(), "<compare> & \"more\"".to_owned()];
    Document::new(compare(&plan, &Silent).unwrap(), command, 1.0)
}

fn parse(html: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(html, options).unwrap()
}

#[test]
fn the_report_is_well_formed_and_needs_nothing_else() {
    for diverge in [false, true] {
        let html = render(&document(diverge));
        let tree = parse(&html);
        for node in tree.descendants().filter(|n| n.is_element()) {
            let name = node.tag_name().name();
            assert!(!["link", "iframe", "img", "object", "base"].contains(&name), "<{name}>");
            for attribute in node.attributes() {
                if ["src", "href", "xlink:href", "data", "action"].contains(&attribute.name()) {
                    assert!(attribute.value().starts_with('#'), "{}", attribute.value());
                }
            }
        }
        assert!(!html.contains("url(") && !html.contains("@import") && !html.contains("src=\""));
        assert!(html.contains("Permission is hereby granted"), "the licence of uPlot");
        let seen: String = tree
            .descendants()
            .filter(|n| n.is_text() && !n.ancestors().any(|a| a.has_tag_name("script")))
            .filter_map(|n| n.text())
            .collect();
        assert!(!seen.contains("NaN") && !seen.contains("inf "));
        assert!(html.len() < 5_000_000);
    }
}

#[test]
fn every_picture_says_what_it_shows_and_ids_are_unique() {
    let html = render(&document(false));
    let tree = parse(&html);
    let mut ids = std::collections::HashSet::new();
    for node in tree.descendants() {
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id), "{id} is not unique");
        }
        if let Some(target) = node.attribute("href").or(node.attribute("for")) {
            let target = target.trim_start_matches('#');
            assert!(tree.descendants().any(|n| n.attribute("id") == Some(target)), "{target}");
        }
    }
    let svgs: Vec<_> = tree.descendants().filter(|n| n.has_tag_name("svg")).collect();
    assert!(svgs.len() > 20);
    for svg in svgs.iter().filter(|s| s.attribute("aria-hidden").is_none()) {
        assert_eq!(svg.attribute("role"), Some("img"));
        for id in svg.attribute("aria-labelledby").unwrap().split(' ') {
            let labelled = svg.children().find(|c| c.attribute("id") == Some(id)).unwrap();
            assert!(!labelled.text().unwrap().is_empty());
        }
    }
}

#[test]
fn sections_come_in_order_and_none_is_empty() {
    let html = render(&document(false));
    let tree = parse(&html);
    let sections: Vec<_> = tree.descendants().filter(|n| n.has_tag_name("section")).collect();
    let ids: Vec<&str> = sections.iter().filter_map(|s| s.attribute("id")).collect();
    let expected = [
        "results",
        "tunability",
        "targets",
        "curves",
        "basin",
        "fairness",
        "why",
        "diagnosis",
        "runs",
        "manifest",
    ];
    assert_eq!(ids, expected);
    assert!(sections.iter().all(|s| s.children().filter(|c| c.is_element()).count() > 1));
}

#[test]
fn every_optimizer_has_its_line_its_row_and_its_runs() {
    let document = document(true);
    let html = render(&document);
    let tree = parse(&html);
    for task in &document.outcome.tasks {
        for figure in ["validation-steps", "train-seconds", "seeds", "targets"] {
            let id = format!("{}-{figure}", task.task);
            let chart = tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
            for standing in &task.standings {
                let own = |g: roxmltree::Node<'_, '_>| {
                    g.attribute("data-series") == Some(standing.optimizer)
                };
                assert!(chart.children().any(own), "{id}: {}", standing.optimizer);
            }
        }
    }
    let rows = |n: &roxmltree::Node<'_, '_>| n.attribute("class") == Some("ranking");
    for table in tree.descendants().filter(rows) {
        assert_eq!(table.descendants().filter(|n| n.has_tag_name("tr")).count(), 1 + 5);
    }
    let runs = tree.descendants().filter(|n| n.attribute("data-run").is_some()).count();
    let expected: usize =
        document.outcome.tasks.iter().flat_map(|t| &t.standings).map(|s| s.seeds.len()).sum();
    assert_eq!(runs, expected);
}

#[test]
fn a_mean_that_ends_with_a_diverged_seed_says_so() {
    let mut document = document(false);
    let task = &mut document.outcome.tasks[0];
    let standing = &mut task.standings[1];
    standing.diverged_seeds = 1;
    standing.curve.truncate(standing.curve.len() / 2);
    let told = format!("those of {} (1 of 3)", standing.optimizer);
    let id = format!("{}-validation-gradients", task.task);
    let html = render(&document);
    let tree = parse(&html);
    let chart = tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
    let description = chart.children().find(|n| n.has_tag_name("desc")).unwrap();
    assert!(description.text().unwrap().contains(&told), "{:?}", description.text());
    let curves = tree.descendants().find(|n| n.attribute("id") == Some("curves")).unwrap();
    let captions = curves.descendants().filter(|n| n.attribute("class") == Some("caption"));
    assert!(captions.filter_map(|n| n.text()).any(|text| text.contains(&told)));
}

#[test]
fn nobody_is_called_the_best_of_all_tasks_who_is_not_on_each() {
    let mut document = document(false);
    let names: Vec<&str> = document.outcome.tasks.iter().map(|t| t.task).collect();
    let [one, other] = [0, 1].map(|i| document.outcome.tasks[0].standings[i].optimizer);
    let mut headline = |best: [&[&str]; 2], unlikely: f64| {
        for (task, best) in document.outcome.tasks.iter_mut().zip(best) {
            for standing in &mut task.standings {
                standing.p_best = if best.contains(&standing.optimizer) { 1.0 } else { unlikely };
            }
        }
        let html = render(&document);
        let tree = parse(&html);
        let heading = tree.descendants().find(|n| n.has_tag_name("h1")).unwrap();
        heading.text().unwrap().to_owned()
    };
    let basis = "40 gradient evaluations per run and 3 final seeds";
    let nobody = headline([&[one], &[other]], 0.02);
    let each = format!("on {} it is {one}; on {} it is {other}.", names[0], names[1]);
    assert!(nobody.starts_with("None of the optimizers may be the best on both tasks"), "{nobody}");
    assert!(nobody.contains(basis) && nobody.ends_with(&each), "{nobody}");
    let only = headline([&[one], &[one, other]], 0.0);
    assert!(
        only.starts_with(&format!("{one} is the only optimizer that may be the best")),
        "{only}"
    );
    assert!(only.contains(basis));
    let both = headline([&[one, other], &[other, one]], 0.0);
    // That pairs of them differ is not denied: the pictures of pairs may show that they do.
    let not_out = format!("none of them is ruled out at {basis}");
    assert!(both.contains(&not_out) && !both.contains("told apart"), "{both}");
    // Of two tasks each has half of the 5 % to be wrong.
    let most = headline([&[one], &[other]], 0.03);
    let corrected = "(corrected for 2 tasks: 2.5 % to be wrong on each, not 5 %)";
    assert!(most.contains(corrected) && !most.starts_with("None"), "{most}");
}

#[test]
fn intervals_and_seconds_are_shown() {
    let document = document(false);
    let html = render(&document);
    assert!(html.contains("95 % bootstrap interval"));
    for task in &document.outcome.tasks {
        for standing in &task.standings {
            if let Some(i) = standing.behind_interval {
                let number = super::markup::number;
                let line =
                    format!("<span class=\"told\">{} to {}</span>", number(i.low), number(i.high));
                assert!(html.contains(&line), "{line}");
            }
            for target in standing.to_target.iter().filter(|t| t.reached == 3) {
                let seconds = super::markup::number(target.median_seconds.unwrap());
                assert!(html.contains(&format!(" steps, {seconds} s (3/3)")), "{seconds}");
            }
        }
    }
}

#[test]
fn findings_are_told_once_for_all_who_share_them() {
    let mut document = document(true);
    let rare = &mut document.outcome.tasks[0].standings[1];
    let found = crate::diagnosis::Finding {
        severity: crate::diagnosis::Severity::Warning,
        kind: crate::diagnosis::Kind::Oscillation,
        what: "It rocks.".to_owned(),
        seeds: 1,
        seeds_of: 3,
        ..rare.findings[0].clone()
    };
    let place = found.parameter.clone().unwrap_or_else(|| "the whole run".to_owned());
    rare.findings.push(found);
    let html = render(&document);
    let tree = parse(&html);
    let section = tree.descendants().find(|n| n.attribute("id") == Some("diagnosis")).unwrap();
    let said: String = section.descendants().filter_map(|n| n.text()).collect();
    for standing in &document.outcome.tasks[0].standings {
        for finding in &standing.findings {
            let in_full = finding.kind.if_stored().is_none() && finding.is_shared();
            assert_eq!(said.contains(&finding.what), in_full, "{}", finding.what);
            assert!(said.contains(standing.optimizer));
        }
    }
    assert!(said.contains("critical") && said.contains("diverged"));
    assert!(said.contains(&format!("oscillation in {place} (1 of 3)")), "{said}");
    let lists = section.children().filter(|n| n.attribute("class") == Some("findings"));
    assert!(lists.count() <= document.outcome.tasks.len());
}

#[test]
fn what_probes_saw_is_drawn_for_whom_it_concerns() {
    let document = document(false);
    let html = render(&document);
    let tree = parse(&html);
    let find = |id: &str| tree.descendants().find(|n| n.attribute("id") == Some(id));
    let series = |figure: roxmltree::Node<'_, '_>| -> std::collections::BTreeSet<String> {
        figure.descendants().filter_map(|n| n.attribute("data-series")).map(str::to_owned).collect()
    };
    for task in &document.outcome.tasks {
        let figure = |key: &str| find(&format!("fig-{}-{key}", task.task));
        let all: std::collections::BTreeSet<String> =
            task.standings.iter().map(|s| s.optimizer.to_owned()).collect();
        let rates = figure("effective-rate").unwrap();
        assert_eq!(series(rates), all);
        assert_eq!(series(figure("update-ratio").unwrap()), all);
        // A row has a panel for every parameter, and in it two bands.
        let layers = task.standings[0].courses.parameters.len();
        let bands = rates.descendants().filter(|n| n.attribute("class") == Some("band")).count();
        assert_eq!(bands, 2 * layers * task.standings.len());
        // Who has no momentum has no line where gradients are held against it.
        let remembers =
            |s: &&crate::protocol::Standing| s.courses.get("momentum-agreement", None).is_some();
        let remembering = task.standings.iter().filter(remembers);
        let remembering: std::collections::BTreeSet<String> =
            remembering.map(|s| s.optimizer.to_owned()).collect();
        assert!(!remembering.is_empty() && remembering != all, "{remembering:?}");
        assert_eq!(series(figure("momentum-agreement").unwrap()), remembering);
        // Nobody clips.
        assert!(figure("clip-factor").is_none());
        let section = find("why").unwrap();
        let said: String = section.descendants().filter_map(|n| n.text()).collect();
        assert!(said.contains("not drawn because nothing happened there: "), "{said}");
        assert!(said.contains("what clipping leaves of a gradient"));
    }
}

#[test]
fn what_sets_the_first_apart_is_told_with_both_ranges() {
    use crate::protocol::{Apart, Half};
    let mut document = document(false);
    let task = &mut document.outcome.tasks[0];
    for (i, standing) in task.standings.iter_mut().enumerate() {
        standing.may_be_best = i == 0;
    }
    let said = |document: &Document| {
        let html = render(document);
        let tree = parse(&html);
        let section = tree.descendants().find(|n| n.attribute("id") == Some("why")).unwrap();
        section.descendants().filter_map(|n| n.text()).collect::<String>()
    };
    task.apart.clear();
    assert!(said(&document).contains("lie on one side of all seeds of all 4 that are ruled out"));
    document.outcome.tasks[0].apart = vec![Apart {
        quantity: "sign-agreement",
        half: Half::Both,
        higher: false,
        first: [0.25, 0.375],
        others: [0.5, 0.5],
    }];
    let told = "successive gradients of one sign lower throughout: 25\u{a0}% to 37.5\u{a0}%, theirs 50\u{a0}%";
    assert!(said(&document).contains(told), "{}", said(&document));
}

#[test]
fn a_finding_leads_to_the_figure_that_shows_it() {
    let document = document(true);
    let html = render(&document);
    let tree = parse(&html);
    let section = tree.descendants().find(|n| n.attribute("id") == Some("diagnosis")).unwrap();
    let task = &document.outcome.tasks[0];
    let divergence = format!("#fig-{}-validation-gradients", task.task);
    let links: Vec<&str> = section.descendants().filter_map(|n| n.attribute("href")).collect();
    assert!(links.contains(&&*divergence), "{links:?}");
    for finding in task.standings.iter().flat_map(|s| &s.findings) {
        let told = finding.is_shared() && finding.kind.if_stored().is_none();
        let link = format!("#fig-{}-{}", task.task, finding.figure);
        assert!(!told || finding.figure == "loss" || links.contains(&&*link), "{link}");
    }
}

#[test]
fn ways_over_a_plane_are_drawn_where_there_are_any() {
    let mut document = document(false);
    for standing in &mut document.outcome.tasks[0].standings {
        let at = |i: i32| [f64::from(i).cos(), f64::from(i).sin() * 2.0];
        standing.seeds[0].trajectory = (0..50).map(at).collect();
    }
    let html = render(&document);
    let tree = parse(&html);
    let each = format!("fig-{}-each-path", document.outcome.tasks[0].task);
    let figure = tree.descendants().find(|n| n.attribute("id") == Some(&each)).unwrap();
    assert_eq!(figure.descendants().filter(|n| n.has_tag_name("svg")).count(), 5);
}

/// Six tasks with maps, each with `count` optimizers: a few real ones, and variations of them under other
/// names.
fn crowd(count: usize) -> Document {
    let names = ["gd", "adam", "meta_egd_adam"].map(str::to_owned);
    let plan = Plan {
        tasks: ["plane", "bowl@1e4", "bowl-rotated@1e4"]
            .iter()
            .flat_map(|name| tasks::select(&[(*name).to_owned()], None).unwrap())
            .collect(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(5),
        trials: Some(8),
        budget: None,
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    };
    let mut document = Document::new(compare(&plan, &Silent).unwrap(), Vec::new(), 1.0);
    for task in &mut document.outcome.tasks {
        let real = std::mem::take(&mut task.standings);
        for i in 0..count {
            let mut standing = real[i % real.len()].clone();
            let factor = 1.0 + i as f64 / 500.0;
            standing.optimizer = Box::leak(format!("optimizer_{i}").into_boxed_str());
            standing.rank = i + 1;
            for seed in &mut standing.seeds {
                seed.trajectory.iter_mut().flatten().for_each(|x| *x *= factor);
                for point in &mut seed.points {
                    point.seconds *= factor;
                    point.validation.loss *= factor;
                }
            }
            for point in &mut standing.curve {
                point.validation_loss.mean *= factor;
            }
            // As many trials as by default.
            let more = standing.trials.clone();
            standing.trials.extend(more);
            task.standings.push(standing);
        }
    }
    document
}

#[test]
fn a_report_of_any_comparison_is_below_five_megabytes() {
    let document = crowd(80);
    assert_eq!(document.outcome.tasks.len(), 6);
    let html = render(&document);
    assert!(html.len() < 5_000_000, "{} bytes", html.len());
    let tree = parse(&html);
    // Nobody is missing: every optimizer has its row, its lines and its runs on every task.
    let class =
        |name: &'static str| tree.descendants().filter(move |n| n.attribute("class") == Some(name));
    for ranking in class("ranking") {
        let rows = ranking.descendants().filter(|n| n.has_tag_name("tr")).count();
        assert_eq!(rows, 1 + 80);
    }
    for task in &document.outcome.tasks {
        let id = super::view::id(&[task.task, "validation-steps"]);
        let chart = tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
        let series = |n: &roxmltree::Node<'_, '_>| n.attribute("data-series").is_some();
        assert_eq!(chart.children().filter(series).count(), 80);
    }
    let listed = class("run").count();
    assert!(listed == 6 * 80 || html.contains("the entries of the last"), "{listed}");
    assert!(class("halo").next().is_some());
}

#[test]
fn what_does_not_fit_is_left_out_in_words() {
    let document = crowd(60);
    let steps: Vec<Detail> = Detail::steps().collect();
    assert_eq!(steps[0], Detail::FULL);
    let pages: Vec<String> =
        steps.iter().map(|detail| super::page::page(&View::new(&document, *detail))).collect();
    assert!(pages.windows(2).all(|pair| pair[1].len() <= pair[0].len()), "every step saves");
    assert!(!pages[0].contains("class=\"thinned\""));
    for (detail, page) in steps.iter().zip(&pages) {
        parse(page);
        let said = |text: &str| page.contains(text);
        assert_eq!(said("the pictures of the last"), detail.figures && detail.panels < 60);
        assert_eq!(said("the rows of the last"), detail.rows < 60);
        assert_eq!(said("the entries of the last"), detail.figures && detail.entries < 60);
        assert_eq!(said("single runs cannot be hidden"), detail.figures && !detail.runs);
        assert_eq!(said("there are no figures"), !detail.figures);
    }
    // The last step holds for a thousand tasks.
    assert!(pages[pages.len() - 1].len() < 200_000 + 6 * 4_000, "{}", pages[pages.len() - 1].len());
}

#[test]
fn every_figure_is_a_picture_of_its_own() {
    let document = document(false);
    let pictures = super::pictures(&document).unwrap();
    assert!(pictures.len() > 20);
    let mut names = std::collections::HashSet::new();
    for picture in &pictures {
        assert!(names.insert(&picture.name), "{}", picture.name);
        assert!(!picture.svg.contains("var("));
        roxmltree::Document::parse(&picture.svg).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    super::save(&document, directory.path()).unwrap();
    let written = std::fs::read_dir(directory.path()).unwrap().count();
    let kinds = if cfg!(feature = "png") { 2 } else { 1 };
    assert_eq!(written, kinds * pictures.len());
    let file = directory.path().join(format!("{}.svg", pictures[0].name));
    assert!(super::prepare(&file).unwrap_err().fix().contains("--svg-dir"));
}

/// What is said in an element, all of it.
fn words(node: roxmltree::Node<'_, '_>) -> String {
    node.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect()
}

/// What is said in the element of an id.
fn said(tree: &roxmltree::Document<'_>, id: &str) -> String {
    words(tree.descendants().find(|n| n.attribute("id") == Some(id)).unwrap())
}

/// A told finding of this severity, with this advice.
fn finding(kind: &str, severity: &str, change: &str) -> crate::diagnosis::Finding {
    let json = format!(
        r#"{{"kind":"{kind}","severity":"{severity}","parameter":null,"since":2,"measured":1.0,
        "threshold":0.05,"beyond":9,"probes":9,"interval":[0.7,1.0],"what":"so much of it",
        "change":"{change}","figure":"update-ratio","seeds":3,"seeds_of":3}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// The document with every loss lower by `by`.
fn lowered(mut document: Document, by: f64) -> Document {
    for task in &mut document.outcome.tasks {
        task.initial_loss -= by;
        for s in &mut task.standings {
            s.test_loss.mean -= by;
            s.default_loss = s.default_loss.map(|loss| loss - by);
            s.trials.iter_mut().for_each(|t| t.validation_loss -= by);
            s.tunability.iter_mut().for_each(|b| b.expected -= by);
            for seed in &mut s.seeds {
                seed.test_loss -= by;
            }
            for point in &mut s.curve {
                let band = &mut point.validation_loss;
                for loss in [&mut band.mean, &mut band.low, &mut band.high] {
                    *loss -= by;
                }
            }
        }
    }
    document
}

#[test]
fn tables_of_curves_hold_the_same_numbers_on_a_thinned_page() {
    let document = document(false);
    let task = document.outcome.tasks[0].task;
    let table = |detail: Detail| {
        let page = super::page::page(&View::new(&document, detail));
        let tree = parse(&page);
        let figure = format!("fig-{task}-validation-gradients");
        let figure = tree.descendants().find(|n| n.attribute("id") == Some(&figure)).unwrap();
        let table = figure.descendants().find(|n| n.has_tag_name("table")).unwrap();
        table.descendants().filter_map(|n| n.text()).map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = table(Detail::FULL);
    assert_eq!(table(Detail { points: 30, ..Detail::FULL }), whole);
    for standing in &document.outcome.tasks[0].standings {
        let last = standing.curve.last().unwrap().validation_loss.mean;
        assert!(whole.contains(&super::markup::number(last)), "{}", standing.optimizer);
    }
}

#[test]
fn each_optimizer_has_the_advice_and_the_severity_that_doctor_gives_it() {
    let mut document = document(false);
    let standings = &mut document.outcome.tasks[0].standings;
    let told = [("warning", "Raise the rate."), ("note", "Leave the rate.")];
    for (standing, (severity, change)) in standings.iter_mut().zip(told) {
        standing.findings = vec![finding("slow-progress", severity, change)];
    }
    let names: Vec<&str> = standings.iter().map(|s| s.optimizer).collect();
    let html = render(&document);
    let tree = parse(&html);
    let section = tree.descendants().find(|n| n.attribute("id") == Some("diagnosis")).unwrap();
    let items: Vec<String> =
        section.descendants().filter(|n| n.has_tag_name("li")).map(words).collect();
    for (name, (severity, change)) in names.iter().zip(told) {
        let item = items.iter().find(|i| i.contains(change)).unwrap();
        assert!(item.starts_with(&format!("{severity} slow progress: {name}")), "{item}");
    }
}

#[test]
fn what_is_left_above_a_known_smallest_loss_is_what_every_section_shows() {
    use crate::protocol::stats::scale::Scale;
    let mut document = document(false);
    let task = &mut document.outcome.tasks[0];
    let lowest = |s: &crate::protocol::Standing| s.seeds[0].test_loss;
    let minimum = 0.9 * task.standings.iter().map(lowest).fold(f64::INFINITY, f64::min);
    task.scale = Scale::Above(minimum);
    let html = render(&document);
    let tree = parse(&html);
    let task = &document.outcome.tasks[0];
    for figure in ["seeds", "tunability", "targets", "validation-gradients", "basin"] {
        let said = said(&tree, &format!("fig-{}-{figure}", task.task));
        assert!(said.contains("above the smallest"), "{figure}: {said}");
    }
    let number = |loss: f64| super::markup::number(loss - minimum);
    let has = |id: &str, text: String| {
        let said = said(&tree, id);
        assert!(said.contains(&text), "{id}: {text} in {said}");
    };
    let first = &task.standings[0];
    has("runs", number(first.seeds[0].validation_loss));
    has("fairness", format!("({})", number(task.leaders[0].loss)));
    has(&format!("fig-{}-targets", task.task), number(task.targets[0].loss));
    has(&format!("fig-{}-tunability", task.task), number(first.tunability[0].expected));
    let last = first.curve.last().unwrap().validation_loss.mean;
    has(&format!("fig-{}-validation-gradients", task.task), number(last));
    assert!(first.trials.len() > 1);
}

#[test]
fn nothing_is_said_of_final_runs_that_were_not_made() {
    use crate::protocol::stats::Estimate;
    let mut document = document(false);
    let [partly, nobody] = &mut document.outcome.tasks[..] else { panic!("two tasks") };
    let gone = partly.standings.last_mut().unwrap();
    let name = gone.optimizer;
    for standing in nobody.standings.iter_mut().chain([gone]) {
        standing.seeds.clear();
        standing.curve.clear();
        standing.test_loss = Estimate::of(&[]);
        standing.test_metric = standing.test_metric.map(|_| Estimate::of(&[]));
    }
    let [partly, nobody] = [partly.task, nobody.task];
    let html = render(&document);
    let tree = parse(&html);
    let within = |id: &str, class: &str, of: Option<&str>| -> Vec<String> {
        let figure = tree.descendants().find(|n| n.attribute("id") == Some(id)).unwrap();
        let own = figure.descendants().filter(|n| of.is_none() || n.attribute("data-series") == of);
        let all = own.flat_map(|n| n.descendants());
        all.filter(|n| n.attribute("class") == Some(class)).map(words).collect()
    };
    // A row of empty cells: the optimizer on one task, everybody on the other.
    let empty = within("fig-ranks", "cell none", Some(name));
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert_eq!(within(&format!("fig-{partly}-seeds"), "end", Some(name)), [name, "–"]);
    let whiskers = tree.descendants().filter(|n| n.attribute("class") == Some("whisker")).count();
    assert_eq!(whiskers, 4);
    for figure in ["validation-gradients", "targets"] {
        assert!(within(&format!("fig-{partly}-{figure}"), "line", Some(name)).is_empty());
    }
    let captions = said(&tree, "results");
    assert!(captions.contains("those without final runs come last"), "{captions}");
    assert!(captions.contains("Ordered by the best trial: there are no final runs yet."));
    assert!(!html.contains(&format!("fig-{nobody}-targets")));
}

#[test]
fn losses_below_zero_are_drawn() {
    let document = lowered(document(false), 10.0);
    let html = render(&document);
    let tree = parse(&html);
    let find = |id: String| tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
    let class = |n: &roxmltree::Node<'_, '_>, name| n.attribute("class") == Some(name);
    for task in &document.outcome.tasks {
        for figure in ["validation-gradients", "tunability"] {
            let chart = find(format!("{}-{figure}", task.task));
            let lines = chart.descendants().filter(|n| class(n, "line")).count();
            // Each line, and its sample beside the name.
            assert_eq!(lines, 2 * task.standings.len(), "{figure}");
            let said = said(&tree, &format!("fig-{}-{figure}", task.task));
            assert!(!said.contains("log scale"), "{said}");
        }
        let seeds = find(format!("fig-{}-seeds", task.task));
        assert!(!seeds.descendants().any(|n| class(&n, "cross")));
        let panels = find(format!("fig-{}-basin", task.task));
        assert!(panels.descendants().any(|n| class(&n, "dots")));
    }
    let whiskers = || tree.descendants().filter(|n| class(n, "whisker"));
    assert!(whiskers().count() > 0);
    assert!(whiskers().all(|w| w.descendants().any(|n| class(&n, "dot"))));
}

#[test]
fn runs_of_every_kind_count_as_diverged() {
    let mut document = document(false);
    let standing = &mut document.outcome.tasks[0].standings[0];
    (standing.diverged_runs, standing.runs, standing.diverged_trials) = (2, 35, 1);
    let html = render(&document);
    let said = said(&parse(&html), "results");
    assert!(said.contains("2/351/5\u{a0}trials"), "{said}");
}

#[test]
fn a_finding_of_a_low_rank_has_its_figure() {
    let mut document = crowd(24);
    let task = &mut document.outcome.tasks[0];
    let ranks = [9, 12, 15];
    for rank in ranks {
        task.standings[rank].findings = vec![finding("updates-large", "warning", "Less.")];
    }
    let (name, last) = (task.standings[12].optimizer, task.standings[20].optimizer);
    task.standings[20].findings = vec![finding("updates-small", "note", "More.")];
    let id = format!("fig-{}", super::view::id(&[task.task, "update-ratio"]));
    let entry = super::view::id(&[task.task, "runs", last]);
    let html = render(&document);
    let tree = parse(&html);
    let figure = tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
    let lines = |name: &str| {
        figure
            .descendants()
            .filter(|n| n.attribute("data-series") == Some(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(name)[0].attribute("class"), Some("series rest"));
    assert!(lines(last).is_empty());
    let link = format!("#{id}");
    let links = tree.descendants().filter(|n| n.attribute("href") == Some(&link));
    let findings = links.filter(|n| n.text() == Some("See it.")).count();
    assert!(findings >= ranks.len(), "{findings}");
    // Who has no line there has an entry among the runs.
    let link = format!("#{entry}");
    let links = tree.descendants().filter(|n| n.attribute("href") == Some(&link));
    assert_eq!(links.filter_map(|n| n.text()).collect::<Vec<_>>(), ["See its runs."]);
    assert!(said(&tree, &entry).starts_with(last));
    assert!(said(&tree, "why").contains("Grey in the figures below"));
}

#[test]
fn captions_fit_special_cases() {
    use crate::protocol::Flip;
    let mut document = document(false);
    let command = ["thalweg", "compare", "--out", "my runs"].map(str::to_owned);
    document.manifest.command = command.to_vec();
    let [alone, noisy] = &mut document.outcome.tasks[..] else { panic!("two tasks") };
    alone.standings.truncate(1);
    noisy.noisy = true;
    let [winner, loser] = [0, 1].map(|i| noisy.standings[i].optimizer);
    noisy.flips = vec![Flip { winner, loser, step: 10 }];
    let basin = format!("fig-{}-basin", noisy.task);
    let html = render(&document);
    let tree = parse(&html);
    assert!(!html.contains("corrected for 0") && html.contains("A single optimizer"));
    let basin = said(&tree, &basin);
    assert!(!basin.to_lowercase().contains("lowest validation loss"), "{basin}");
    assert!(html.contains("One that is ruled out as the best was ahead of"));
    assert!(said(&tree, "manifest").contains("thalweg compare --out 'my runs'"));
    let tunability = said(&tree, "tunability");
    assert!(tunability.contains("quasi-random") && tunability.contains("of the first screen"));
    let main = tree.descendants().find(|n| n.has_tag_name("main")).unwrap();
    let stamp = main.attribute("data-stamp").unwrap();
    let basis = "2 tasks · tier smoke · 3 final seeds · 40 gradient evaluations per run";
    assert!(stamp.ends_with(basis), "{stamp}");
}

#[test]
fn no_heading_of_a_picture_is_cut() {
    let names = ["meta_egd", "rmsprop_centered_momentum"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["digits-mlp".to_owned(), "rosenbrock".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(2),
        trials: Some(2),
        budget: Some(40),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    };
    let document = Document::new(compare(&plan, &Silent).unwrap(), Vec::new(), 1.0);
    let html = render(&document);
    let tree = parse(&html);
    let is_heading = |n: &roxmltree::Node<'_, '_>| {
        n.has_tag_name("text") && n.attribute("class") == Some("name")
    };
    let headings: Vec<_> = tree.descendants().filter(is_heading).collect();
    for heading in &headings {
        let picture = heading.ancestors().find(|n| n.attribute("role") == Some("img")).unwrap();
        let size = picture.attribute("viewBox").unwrap().split(' ').nth(2).unwrap();
        let [x, width]: [f64; 2] =
            [heading.attribute("x").unwrap(), size].map(|number| number.parse().unwrap());
        let text = heading.text().unwrap();
        let end = x + text.chars().count() as f64 * super::draw::BOLD;
        assert!(end <= width, "{text} ends at {end} of {width}");
    }
    let says = |text: &str| headings.iter().any(|n| n.text() == Some(text));
    assert!(says("whole model: gains in step") && says("rmsprop_centered_momentum"));
}

#[test]
fn a_metric_without_bounds_reads_as_a_loss_does_where_a_run_diverged() {
    let mut document = document(false);
    document.outcome.tasks[0].standings[0].seeds[0].test_metric = Some(f64::INFINITY);
    let html = render(&document);
    let tree = parse(&html);
    let row = tree.descendants().find(|n| n.attribute("data-run").is_some()).unwrap();
    let cells: Vec<String> = row.children().map(words).collect();
    assert_eq!(cells[2], "∞", "{cells:?}");
}
