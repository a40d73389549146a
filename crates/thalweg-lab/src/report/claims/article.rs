//! One claim: where it stands, what is correct, the cases, the numbers and the figures.

use super::figure;
use crate::experiments::{Finding, Measured, Reference, Verdict};
use crate::report::markup::escape;

/// The finding as HTML.
pub(super) fn html(finding: &Finding) -> String {
    let name = finding.name;
    let mut html = format!(
        "<article id=\"{name}\" aria-labelledby=\"{name}-h\"><h3 id=\"{name}-h\">“{}”</h3>\
         <p class=\"ruling\">{} <span class=\"source\">{}</span></p>\n",
        escape(finding.claim),
        badge(finding.verdict),
        place(finding),
    );
    if !finding.correct.is_empty() {
        html += &format!("<p><b>Correct:</b> {}.</p>", escape(finding.correct));
    }
    if let Some(reason) = &finding.reason {
        return html
            + &format!("<p class=\"about\">Not measured: {}.</p></article>\n", escape(reason));
    }
    html += &decisive(finding);
    html += &cases(finding);
    for picture in &finding.figures {
        html += &figure::figure(picture).html();
    }
    html + &numbers(finding) + "</article>\n"
}

/// Where the claim stands, and where the experiment is in the lists that the page explains.
fn place(finding: &Finding) -> String {
    let source = match finding.source {
        none if none.starts_with("none") => escape(none),
        known => format!("source {}", escape(known)),
    };
    let mut parts = vec![source, format!("experiment <code>{}</code>", finding.name)];
    if finding.row.starts_with('X') {
        parts.push(format!("acceptance experiment {}", finding.row));
    }
    let counted = |[one, several]: [&str; 2], codes: &[&str]| match codes {
        [] => None,
        [code] => Some(format!("{one} {code}")),
        codes => Some(format!("{several} {}", codes.join(", "))),
    };
    parts.extend(counted(["erratum", "errata"], finding.errata));
    parts.extend(counted(["feature", "features"], finding.features));
    parts.join(" · ")
}

/// The verdict in its colour.
pub(super) fn badge(verdict: Verdict) -> String {
    let class = match verdict {
        Verdict::Holds => "holds",
        Verdict::HoldsIf(_) => "if",
        Verdict::Refuted => "refuted",
        Verdict::Pending | Verdict::NotRun => "open",
    };
    format!("<span class=\"badge {class}\">{}</span>", escape(&verdict.to_string()))
}

/// The numbers that decide.
fn decisive(finding: &Finding) -> String {
    let numbers: Vec<String> = finding
        .decisive()
        .map(|(m, r)| format!("{}: <b>{}</b>", escape(&m.what), escape(&m.brief(r))))
        .collect();
    match numbers.is_empty() {
        true => String::new(),
        false => format!("<p><b>What decides:</b> {}.</p>", numbers.join("; ")),
    }
}

fn cases(finding: &Finding) -> String {
    let items: String = finding
        .cases
        .iter()
        .map(|case| {
            let (class, word) = if case.holds { ("holds", "true") } else { ("refuted", "false") };
            format!("<li><span class=\"{class}\">{word}</span> {}</li>", escape(&case.case))
        })
        .collect();
    format!("<ul class=\"cases\" aria-label=\"Cases in which the claim was tried\">{items}</ul>")
}

/// The numbers; folded away while all of them agree.
fn numbers(finding: &Finding) -> String {
    let wrong = finding.reference.iter().filter(|r| !r.agrees).count();
    let summary = match (finding.reference.len(), wrong) {
        (0, _) => format!("{} measured numbers", finding.measured.len()),
        (1, 0) => "1 number beside that of the reference: it agrees".to_owned(),
        (n, 0) => format!("{n} numbers beside those of the reference: all agree"),
        (n, wrong) => format!("{n} numbers beside those of the reference: {wrong} differ"),
    };
    let mut references = finding.reference.iter().peekable();
    let rows: String = finding
        .measured
        .iter()
        // References come in the order of what was measured; a note has none.
        .map(|measured| row(measured, references.next_if(|r| r.what == measured.what)))
        .collect();
    let open = if wrong > 0 || finding.reference.is_empty() { " open=\"open\"" } else { "" };
    format!(
        "<details class=\"numbers\"{open}><summary>{summary}</summary><div class=\"wide\"><table><thead><tr>\
         <th scope=\"col\">measured</th><th scope=\"col\">value</th><th scope=\"col\">reference</th>\
         <th scope=\"col\">within</th><th scope=\"col\"></th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
}

fn row(measured: &Measured, reference: Option<&Reference>) -> String {
    let [value, within] = reference.map_or(["", ""], |r| [&r.value, &r.within]).map(escape);
    let agrees = match reference.map(|r| r.agrees) {
        Some(true) => "agrees",
        Some(false) => "<mark>differs</mark>",
        None => "",
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{value}</td>\
         <td class=\"n\">{within}</td><td>{agrees}</td></tr>",
        escape(&measured.what),
        measured.shown(),
    )
}
