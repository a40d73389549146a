//! The page.

use super::detail::{Detail, LARGE};
use super::markup::{count, escape};
use super::sections::{self, Section};
use super::view::View;
use super::{live, palette};
use crate::store::Document;

const STYLE: &str = include_str!("assets/page.css");
const PLOT: &str = include_str!("assets/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("assets/uPlot.min.css");
const AXES: &str = include_str!("assets/axes.js");
const RECOMPUTE: &str = include_str!("assets/recompute.js");
const SCRIPT: &str = include_str!("assets/page.js");

/// The notice that comes with the plot library.
pub(super) const PLOT_LICENCE: &str = include_str!("assets/uPlot.LICENSE");

/// The report as one self-contained HTML document (well-formed XML, too) of at most 5 MB, however much
/// was compared: what does not fit is drawn more coarsely or left out, and the page says so.
pub fn render(document: &Document) -> String {
    let mut html = String::new();
    for detail in Detail::steps() {
        html = page(&View::new(document, detail));
        if html.len() <= LARGE {
            break;
        }
    }
    html
}

/// The sections that have something to show.
pub(super) fn sections(view: &View<'_>) -> Vec<Section> {
    if !view.detail.figures {
        return vec![sections::results::rankings(view), sections::manifest::section(view)];
    }
    let all = vec![
        sections::results::section(view),
        sections::tunability::section(view),
        sections::profile::section(view),
        sections::curves::section(view),
        sections::paths::section(view),
        sections::basin::section(view),
        sections::fairness::section(view),
        sections::why::section(view),
        sections::diagnosis::section(view),
        sections::runs::section(view),
        sections::manifest::section(view),
    ];
    all.into_iter().filter(|s| !s.parts.is_empty()).collect()
}

/// The page in the detail of `view`.
pub(super) fn page(view: &View<'_>) -> String {
    let sections = sections(view);
    let links: String = sections
        .iter()
        .map(|s| format!("<li><a href=\"#{}\">{}</a></li>", s.id, s.heading))
        .collect();
    let body: String = sections.iter().map(Section::html).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>thalweg: {} compared</title>\n{}{}</head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the verdict</a>\
         <main id=\"main\" data-stamp=\"{}\">\n{}<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n{body}</main>\n{}{}</body></html>\n",
        count(view.order.len(), "optimizer"),
        style("page-style", &(palette::variables() + STYLE + PLOT_STYLE)),
        style("figure-style", &palette::figure_rules()),
        escape(&sections::stamp_of_all(view)),
        sections::verdict::html(view),
        live::scripts(view),
        script(&[PLOT, AXES, RECOMPUTE, SCRIPT].join("\n")),
    )
}

/// A style sheet; the comments hide the marks that XML needs from CSS.
pub(super) fn style(id: &str, rules: &str) -> String {
    format!("<style id=\"{id}\">/*<![CDATA[*/\n{rules}/*]]>*/</style>\n")
}

fn script(text: &str) -> String {
    format!("<script>//<![CDATA[\n{text}\n//]]></script>\n")
}
