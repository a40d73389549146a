//! The experiments as one page, complete without scripts: what became of every claim of the sources,
//! and the numbers and figures that decide.

mod article;
mod figure;

use super::markup::escape;
use super::page::style;
use super::palette;
use crate::experiments::{Finding, Tally};

pub use figure::picture;

const STYLE: &str =
    concat!(include_str!("../assets/page.css"), include_str!("../assets/claims.css"));

/// What the codes and the lines of the page mean.
const KEY: &str = include_str!("../assets/claims_key.html");

/// The findings as one self-contained HTML document (well-formed XML, too).
pub fn claims(findings: &[Finding]) -> String {
    let tally = Tally::new(findings);
    let topics = topics(findings);
    let links: String = topics
        .iter()
        .enumerate()
        .map(|(i, (topic, _))| format!("<li><a href=\"#topic-{i}\">{}</a></li>", escape(topic)))
        .collect();
    let sections: String = topics
        .iter()
        .enumerate()
        .map(|(i, (topic, findings))| {
            let articles: String = findings.iter().map(|f| article::html(f)).collect();
            format!(
                "<section id=\"topic-{i}\" aria-labelledby=\"topic-{i}-h\">\
                 <h2 id=\"topic-{i}-h\">{}</h2>\n{articles}</section>\n",
                escape(topic)
            )
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>thalweg: the claims of the sources, put to the test</title>\n{}{}</head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the verdict</a><main id=\"main\">\n{}\
         <nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n{KEY}{}{sections}</main></body></html>\n",
        style("page-style", &(palette::variables() + STYLE)),
        style("figure-style", &palette::figure_rules()),
        head(&tally),
        overview(findings),
    )
}

/// The findings of each topic, in order.
fn topics(findings: &[Finding]) -> Vec<(&str, Vec<&Finding>)> {
    let mut topics: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        match topics.iter_mut().find(|(topic, _)| *topic == finding.topic) {
            Some((_, members)) => members.push(finding),
            None => topics.push((finding.topic, vec![finding])),
        }
    }
    topics
}

/// The first screen.
fn head(tally: &Tally) -> String {
    let differ = match tally.differing.as_slice() {
        [] => format!("All {} numbers that have a reference agree with it.", tally.numbers),
        names => format!(
            "{} of {} numbers differ from the reference: {}.",
            tally.numbers_differing,
            tally.numbers,
            names
                .iter()
                .map(|n| format!("<a href=\"#{n}\">{n}</a>"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let tiles: String = [
        ("holds", tally.hold, "hold"),
        ("if", tally.conditional, "hold under a condition"),
        ("refuted", tally.refuted, "are refuted"),
        ("open", tally.not_run + tally.pending, "not measured here"),
    ]
    .iter()
    .filter(|(_, count, _)| *count > 0)
    .map(|(class, count, text)| format!("<li class=\"{class}\"><b>{count}</b> {text}</li>"))
    .collect();
    format!(
        "<header><p class=\"kicker\">thalweg · {} claims of the sources</p>\n\
         <div class=\"verdict\" role=\"region\" aria-label=\"Verdict\"><h1>{}</h1>\
         <ul class=\"tiles\">{tiles}</ul><p class=\"sure\">{differ}</p></div></header>\n",
        tally.claims,
        escape(&tally.sentence()),
    )
}

/// Every claim on one line.
fn overview(findings: &[Finding]) -> String {
    let rows: String = findings
        .iter()
        .map(|f| {
            format!(
                "<tr><th scope=\"row\"><a href=\"#{0}\">{0}</a></th><td>{1}</td><td>{2}</td></tr>",
                f.name,
                escape(f.claim),
                article::badge(f.verdict),
            )
        })
        .collect();
    format!(
        "<details class=\"numbers overview\"><summary>Every claim on one line</summary><div class=\"wide\"><table>\
         <thead><tr><th scope=\"col\">experiment</th><th scope=\"col\">claim</th>\
         <th scope=\"col\">verdict</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments;

    fn page(rows: &[&str]) -> String {
        let rows: Vec<String> = rows.iter().map(|r| (*r).to_owned()).collect();
        let chosen = experiments::select(&rows).unwrap();
        claims(&experiments::run(&chosen, &|_| {}))
    }

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_else() {
        let html = page(&["X26", "X28", "X31"]);
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let tree = roxmltree::Document::parse_with_options(&html, options).unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for node in tree.descendants().filter(|n| n.is_element()) {
            if let Some(id) = node.attribute("id") {
                assert!(ids.insert(id), "twice: {id}");
            }
        }
        for node in tree.descendants() {
            assert!(!["script", "link", "img"].contains(&node.tag_name().name()));
            assert_eq!(node.attribute("src"), None);
            if let Some(target) = node.attribute("href") {
                assert!(ids.contains(target.strip_prefix('#').unwrap()), "{target}");
            }
        }
        assert!(!html.contains("url(") && !html.contains("NaN"));
        assert!(tree.descendants().filter(|n| n.attribute("role") == Some("img")).count() >= 3);
    }

    #[test]
    fn every_kind_of_code_is_explained() {
        let html = page(&["parabola-rate", "meta-egd-memory"]);
        for part in [
            "acceptance experiment X26 · erratum E45 · features F001, F060, F095",
            "<dt>X01 to X50</dt>",
            "<dt>E01 to E76</dt>",
            "<dt>F001 to F163</dt>",
            "<dt>Sources 000 to 004</dt>",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn claims_cases_conditions_and_pending_rows_are_on_it() {
        let html = page(&["parabola-rate", "newton"]);
        for part in ["holds if", "0 &lt; η &lt; 2/L&#39;&#39;", "E45", "pending", "0.04123", "F095"]
        {
            assert!(html.contains(part), "{part}");
        }
    }
}
