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
            assert!(!["script", "link", "iframe", "img"].contains(&name), "<{name}>");
            for attribute in node.attributes() {
                if ["src", "href", "xlink:href", "data"].contains(&attribute.name()) {
                    assert!(attribute.value().starts_with('#'), "{}", attribute.value());
                }
            }
        }
        assert!(!html.contains("url(") && !html.contains("@import"));
        assert!(!html.contains("NaN") && !html.contains(">inf"));
        assert!(html.len() < 5_000_000);
    }
}

#[test]
fn every_picture_says_what_it_shows() {
    let html = render(&document(false));
    let tree = parse(&html);
    let svgs: Vec<_> = tree.descendants().filter(|n| n.has_tag_name("svg")).collect();
    assert!(svgs.len() > 20);
    let mut ids = std::collections::HashSet::new();
    for svg in svgs {
        if svg.attribute("aria-hidden") == Some("true") {
            continue;
        }
        assert_eq!(svg.attribute("role"), Some("img"));
        for id in svg.attribute("aria-labelledby").unwrap().split(' ') {
            let labelled = svg.children().find(|c| c.attribute("id") == Some(id)).unwrap();
            assert!(!labelled.text().unwrap().is_empty());
            assert!(ids.insert(id.to_owned()), "{id} is not unique");
        }
    }
}

#[test]
fn every_optimizer_has_its_line_and_its_row() {
    let document = document(true);
    let html = render(&document);
    let tree = parse(&html);
    for task in &document.outcome.tasks {
        let id = format!("{}-train-steps", task.task);
        let chart = tree.descendants().find(|n| n.attribute("id") == Some(&id)).unwrap();
        for standing in &task.standings {
            let name = standing.optimizer;
            assert!(chart.children().any(|g| g.attribute("data-series") == Some(name)), "{name}");
        }
    }
    let rows = |n: &roxmltree::Node<'_, '_>| n.attribute("class") == Some("ranking");
    for table in tree.descendants().filter(rows) {
        assert_eq!(table.descendants().filter(|n| n.has_tag_name("tr")).count(), 1 + 5);
    }
}
