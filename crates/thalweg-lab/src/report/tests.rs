//! The report of a real, small comparison: complete, well-formed and on its own.

use super::render;
use crate::protocol::{Observer, Phase, Plan, Run, compare};
use crate::store::Document;
use crate::{optimizers, tasks};

struct Silent;

impl Observer for Silent {
    fn ended(&self, _: Phase, _: &Run) {}
}

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
fn findings_are_told_once_for_all_who_share_them() {
    let document = document(true);
    let html = render(&document);
    let tree = parse(&html);
    let section = tree.descendants().find(|n| n.attribute("id") == Some("diagnosis")).unwrap();
    let said: String = section.descendants().filter_map(|n| n.text()).collect();
    for standing in &document.outcome.tasks[0].standings {
        for finding in &standing.findings {
            let in_full = finding.kind.if_stored().is_none();
            assert_eq!(said.contains(&finding.what), in_full, "{}", finding.what);
            assert!(said.contains(standing.optimizer));
        }
    }
    assert!(said.contains("critical") && said.contains("diverged"));
    let lists = section.children().filter(|n| n.attribute("class") == Some("findings"));
    assert!(lists.count() <= document.outcome.tasks.len());
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

#[test]
fn a_report_of_planes_stays_small() {
    let names = ["gd", "momentum", "adam", "lion"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["plane".to_owned(), "bowl-rotated@1e4".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(2),
        trials: Some(4),
        budget: None,
        workers: 2,
    };
    let document = Document::new(compare(&plan, &Silent).unwrap(), Vec::new(), 1.0);
    let html = render(&document);
    let from = html.find("<section id=\"paths\"").unwrap();
    let paths = &html[from..from + html[from..].find("</section>").unwrap()];
    // The large maps do not grow with the optimizers; the small ones and the ways do.
    let each = paths.len() / (names.len() * plan.tasks.len());
    assert!(each < 16_000, "{each} bytes per optimizer and task");
    assert!(parse(&html).descendants().any(|n| n.attribute("class") == Some("halo")));
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
