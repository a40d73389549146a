//! The book's chapter on the experiments against what they measure. `UPDATE_BOOK=1` rewrites the
//! tables and the figures.

use std::fmt::Write as _;
use std::path::PathBuf;

use thalweg_lab::experiments::{self, Finding, Verdict};
use thalweg_lab::report;

const BEGIN: &str = "<!-- experiments: printed by the laboratory's tests -->\n";
const END: &str = "<!-- experiments: end -->\n";

/// The figures of the chapter.
const FIGURES: [&str; 9] = [
    "regret-bound",
    "gain-order",
    "momentum-gain",
    "adagrad-regression",
    "scale-jump",
    "epsilon-placement",
    "ill-conditioning-turned",
    "adam-regret",
    "spiral",
];

fn book() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../book/src")
}

/// Everything but what needs a data set from elsewhere.
fn findings() -> Vec<Finding> {
    let chosen: Vec<_> = experiments::all().into_iter().filter(|e| e.name != "mnist").collect();
    experiments::run(&chosen, &|_| {}).unwrap()
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
    for figure in findings.iter().flat_map(|f| &f.figures).filter(|f| FIGURES.contains(&f.name)) {
        let _ =
            write!(text, "\n![{0}](experiments/{1}.svg)\n\n*{0}.*\n", figure.title, figure.name);
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
        let drawn = findings.iter().flat_map(|f| &f.figures);
        for figure in drawn.filter(|f| FIGURES.contains(&f.name)) {
            let path = book().join(format!("experiments/{}.svg", figure.name));
            std::fs::write(path, report::picture(figure).unwrap().svg).unwrap();
        }
        return;
    }
    for (line, (old, new)) in printed.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(old, new, "line {line} of the tables; UPDATE_BOOK=1 rewrites them");
    }
    assert_eq!(printed, fresh, "UPDATE_BOOK=1 rewrites the tables");
    for name in FIGURES {
        let path = book().join(format!("experiments/{name}.svg"));
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(roxmltree::Document::parse(&svg).is_ok() && fresh.contains(name), "{name}");
    }
}
