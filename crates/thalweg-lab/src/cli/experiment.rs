//! `thalweg experiment` and `thalweg list experiments`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::args::ExperimentArgs;
use super::stop;
use super::table::{self, Table};
use crate::experiments::{self, Finding, Tally, Verdict};
use crate::{Error, Result, report, store};

pub(super) fn run(args: &ExperimentArgs) -> Result<()> {
    let chosen = experiments::select(&args.names)?;
    if let Some(out) = &args.out {
        store::prepare(out)?;
    }
    let (start, count) = (Instant::now(), AtomicUsize::new(0));
    let watched = super::is_watched() && !args.quiet;
    stop::listen_once(
        args.quiet,
        "stopping after the experiments in hand; Ctrl-C again ends them at once",
    );
    let findings = experiments::run(&chosen, &|finding| {
        let done = count.fetch_add(1, Ordering::Relaxed) + 1;
        let (of, name, seconds) = (chosen.len(), finding.name, start.elapsed().as_secs_f64());
        if watched {
            use std::io::Write as _;
            let _ = write!(std::io::stderr(), "\r\x1b[K{done}/{of} {name}");
        } else if !args.quiet {
            crate::cli::say!("{done} of {of} experiments after {seconds:.0} s: {name}");
        }
    });
    if watched {
        crate::cli::say!("\r\x1b[K");
    }
    if let Some(out) = &args.out {
        write(out, &findings)?;
    }
    if args.json {
        super::print_json(&findings)?;
    } else {
        findings.iter().try_for_each(|f| super::print(&details(f)))?;
        super::print(&summary(&findings))?;
    }
    if !args.quiet {
        crate::cli::say!("{:.0} s", start.elapsed().as_secs_f64());
    }
    if findings.len() < chosen.len() {
        return Err(Error::interrupted(
            format!("interrupted after {} of {} experiments", findings.len(), chosen.len()),
            "give the same command again to run all of them",
        ));
    }
    verdict(&findings)
}

/// All findings as a page and as JSON, and every figure on its own.
fn write(out: &std::path::Path, findings: &[Finding]) -> Result<()> {
    store::write(out, "experiments.json", &store::json(findings)?)?;
    store::write(out, "experiments.html", &report::claims(findings))?;
    let figures = findings.iter().flat_map(|f| &f.figures);
    let pictures = figures.map(report::picture).collect::<Result<Vec<_>>>()?;
    report::save_pictures(&pictures, out, "--out")
}

/// What the process ends with: a failure if an experiment failed or anything differs from the reference.
fn verdict(findings: &[Finding]) -> Result<()> {
    let failed: Vec<&str> = findings.iter().filter(|f| f.failed).map(|f| f.name).collect();
    if !failed.is_empty() {
        return Err(Error::failed(
            format!("{} could not be run: {}", failed.len(), failed.join(", ")),
            "do what is said of each above",
        ));
    }
    match Tally::new(findings).differing.as_slice() {
        [] => Ok(()),
        names => Err(Error::failed(
            format!("{} differ from the reference: {}", names.len(), names.join(", ")),
            "read the lines marked `differs` above; a method or a reference number is wrong",
        )),
    }
}

fn details(finding: &Finding) -> String {
    let mut text = format!("\n{} ({}): {}\n", finding.name, finding.row, finding.verdict);
    text += &format!("  {} says: {}\n", finding.source, finding.claim);
    if !finding.correct.is_empty() {
        let errata = match finding.errata {
            [] => String::new(),
            errata => format!(" ({})", errata.join(", ")),
        };
        text += &format!("  correct: {}{errata}\n", finding.correct);
    }
    if let Some(reason) = &finding.reason {
        return text + &format!("  {reason}\n");
    }
    for case in &finding.cases {
        text += &format!("  {} {}\n", if case.holds { "true: " } else { "false:" }, case.case);
    }
    let mut table = Table::new(&["measured", "value", "reference", "within", ""]);
    let mut references = finding.reference.iter().peekable();
    for measured in &finding.measured {
        let mut row =
            [measured.what.clone(), measured.shown(), String::new(), String::new(), String::new()];
        // References come in the order of what was measured; a note has none.
        if let Some(r) = references.next_if(|r| r.what == measured.what) {
            row[2].clone_from(&r.value);
            row[3].clone_from(&r.within);
            row[4] = if r.agrees { "agrees" } else { "differs" }.to_owned();
        }
        table.row(row);
    }
    text += &table.render();
    for figure in &finding.figures {
        text += &format!("  figure {}.svg: {}\n", figure.name, figure.title);
    }
    text
}

/// One line per experiment, then the counts and what differs.
fn summary(findings: &[Finding]) -> String {
    let mut table = Table::new(&["experiment", "row", "errata", "reference", "verdict"]);
    for f in findings {
        let agrees = match f.agrees {
            Some(true) => "agrees",
            Some(false) => "differs",
            None => "-",
        };
        table.row([
            f.name.to_owned(),
            f.row.to_owned(),
            f.errata.join(" "),
            agrees.to_owned(),
            f.verdict.to_string(),
        ]);
    }
    let tally = Tally::new(findings);
    format!(
        "\n{}\n{} claims: {} hold, {} hold under a condition, {} refuted, {} not run, {} pending\n\
         {} numbers compared with the reference, {} differ\n",
        table.render(),
        tally.claims,
        tally.hold,
        tally.conditional,
        tally.refuted,
        tally.not_run,
        tally.pending,
        tally.numbers,
        tally.numbers_differing,
    )
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    row: &'static str,
    source: &'static str,
    claim: &'static str,
    errata: &'static [&'static str],
    features: &'static [&'static str],
    pending: bool,
}

/// `thalweg list experiments`.
pub(super) fn list(json: bool) -> Result<()> {
    let rows: Vec<Row> = experiments::all()
        .into_iter()
        .map(|e| Row {
            name: e.name,
            row: e.row,
            source: e.source,
            claim: e.claim,
            errata: e.errata,
            features: e.features,
            pending: e.expected == Verdict::Pending,
        })
        .collect();
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "row", "claim"]);
    for r in rows {
        let claim = if r.pending { format!("(pending) {}", r.claim) } else { r.claim.to_owned() };
        table.row([r.name.to_owned(), r.row.to_owned(), claim]);
    }
    super::print(&table.fitted(table::room(), &[0, 2, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str) -> Vec<Finding> {
        let chosen = experiments::select(&[name.to_owned()]).unwrap();
        experiments::run(&chosen, &|_| {})
    }

    #[test]
    fn the_text_shows_claim_cases_numbers_and_verdict() {
        let found = findings("parabola-rate");
        let text = details(&found[0]);
        for part in [
            "holds if 0 < η < 2/L''",
            "003 §0-1 says",
            "E45",
            "false: η = 2.1/L''",
            "0.04123",
            "agrees",
            "figure parabola-rate.svg: Gradient descent on 3w² − 12w + 5 from 10",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(summary(&found).contains("1 claims: 0 hold, 1 hold under a condition"));
    }

    #[test]
    fn a_difference_fails_and_is_named() {
        let mut found = findings("parabola-rate");
        assert!(verdict(&found).is_ok());
        found[0].agrees = Some(false);
        let error = verdict(&found).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.problem().contains("parabola-rate"));
    }

    #[test]
    fn one_that_fails_takes_no_other_with_it() {
        let sound = experiments::select(&["parabola-rate".to_owned()]).unwrap()[0];
        let broken: &'static experiments::Experiment =
            Box::leak(Box::new(experiments::Experiment {
                name: "broken",
                run: |_| Err(Error::failed("the data are damaged", "fetch them again")),
                ..*sound
            }));
        let found = experiments::run(&[broken, sound], &|_| {});
        assert!(found.len() == 2 && found[1].verdict != Verdict::NotRun);
        let told = details(&found[0]);
        assert!(told.contains("broken") && told.contains("not run"), "{told}");
        assert!(told.contains("the data are damaged; fetch them again"), "{told}");
        let error = verdict(&found).unwrap_err();
        assert_eq!((error.exit_code(), error.problem()), (1, "1 could not be run: broken"));
    }

    #[test]
    fn out_holds_the_findings_and_the_figures() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &findings("parabola-rate")).unwrap();
        let svg = std::fs::read_to_string(dir.path().join("parabola-rate.svg")).unwrap();
        assert!(roxmltree::Document::parse(&svg).is_ok());
        assert_eq!(dir.path().join("parabola-rate.png").is_file(), cfg!(feature = "png"));
        let json = std::fs::read_to_string(dir.path().join("experiments.json")).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().is_array());
        let page = std::fs::read_to_string(dir.path().join("experiments.html")).unwrap();
        assert!(page.contains("parabola-rate"));
    }
}
