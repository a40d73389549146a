//! The book's chapter on the experiments against what they measure. `UPDATE_BOOK=1` rewrites the
//! tables and the figures.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use thalweg_lab::experiments::{self, Figure, Finding, Verdict};
use thalweg_lab::report;

const BEGIN: &str = "<!-- experiments: printed by the laboratory's tests -->\n";
const END: &str = "<!-- experiments: end -->\n";

/// The bytes that a figure may have: the chapter shows all of them.
const LARGEST: usize = 25_000;

fn book() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../book/src")
}

/// Everything but what needs a data set from elsewhere.
fn findings() -> Vec<Finding> {
    let chosen: Vec<_> = experiments::all().into_iter().filter(|e| e.name != "mnist").collect();
    experiments::run(&chosen, &|_| {})
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn row(finding: &Finding) -> String {
    let decides: Vec<String> =
        finding.decisive().map(|(m, r)| format!("{}: {}", m.what, m.brief(r))).collect();
    let errata = match finding.errata {
        [] => String::new(),
        errata => format!(" ({})", errata.join(", ")),
    };
    format!(
        "| `{}` | {} ({}) | {}{errata} | {} | {} |\n",
        finding.name,
        cell(finding.claim),
        cell(finding.source),
        cell(finding.correct),
        cell(&decides.join("; ")),
        cell(&finding.verdict.to_string()),
    )
}

/// A topic: the table of its claims, then its figures.
fn section(topic: &str, findings: &[&Finding]) -> String {
    let mut text = format!("\n## {topic}\n\n");
    if findings.iter().all(|f| f.verdict == Verdict::Pending) {
        text += "Their methods are not in the library yet; nothing below has been measured.\n\n";
        for finding in findings {
            let _ = writeln!(
                text,
                "- `{}` ({}): {} ({})",
                finding.name, finding.row, finding.claim, finding.source
            );
        }
        return text;
    }
    text += "| experiment | the source says | correct | what decides | verdict |\n|---|---|---|---|---|\n";
    text.extend(findings.iter().map(|f| row(f)));
    for finding in findings {
        for Figure { name, title, .. } in &finding.figures {
            let _ = write!(
                text,
                "\n![{title}](experiments/{name}.svg)\n\n*`{}`: {title}.*\n",
                finding.name
            );
        }
    }
    text
}

fn chapter(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|f| f.topic == first.topic).count();
        text += &section(first.topic, &rest[..count].iter().collect::<Vec<_>>());
        rest = &rest[count..];
    }
    text + "\n"
}

#[test]
fn the_chapter_says_what_was_measured() {
    let findings = findings();
    let page = book().join("experiments.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the tables");
    let (printed, after) = rest.split_once(END).expect("the mark after the tables");
    let fresh = chapter(&findings);
    if std::env::var_os("UPDATE_BOOK").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{fresh}{END}{after}")).unwrap();
        for figure in findings.iter().flat_map(|f| &f.figures) {
            let path = book().join(format!("experiments/{}.svg", figure.name));
            std::fs::write(path, report::picture(figure).unwrap().svg).unwrap();
        }
        return;
    }
    for (line, (old, new)) in printed.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(old, new, "line {line} of the tables; UPDATE_BOOK=1 rewrites them");
    }
    assert_eq!(printed, fresh, "UPDATE_BOOK=1 rewrites the tables");
    let mut names = BTreeSet::new();
    for Figure { name, .. } in findings.iter().flat_map(|f| &f.figures) {
        assert!(names.insert(name), "two figures are called {name}");
        let svg = std::fs::read_to_string(book().join(format!("experiments/{name}.svg")));
        let svg = svg.unwrap_or_else(|e| panic!("{name}: {e}; UPDATE_BOOK=1 draws it"));
        assert!(roxmltree::Document::parse(&svg).is_ok(), "{name}");
        assert!(svg.len() <= LARGEST, "{name} has {} bytes", svg.len());
    }
}
