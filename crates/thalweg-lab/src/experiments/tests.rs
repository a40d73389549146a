//! The registry, and every experiment in full.

use std::collections::BTreeSet;

use super::*;
use crate::data::{self, State};
use crate::report;

#[test]
fn names_and_figures_are_unique_and_speak() {
    let names: BTreeSet<_> = all().iter().map(|e| e.name).collect();
    assert_eq!(names.len(), all().len());
    for e in all() {
        assert!(!e.claim.is_empty() && !e.source.is_empty(), "{}", e.name);
        assert!(e.expected == Verdict::Pending || !e.correct.is_empty(), "{}", e.name);
        assert!(e.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    }
}

/// The rows of `wanted` that no experiment names, be it one that measures, one that is pending or one that
/// says why there is nothing to measure: the user sees them all.
fn unnamed(
    wanted: impl Iterator<Item = String>,
    of: fn(&Experiment) -> &'static [&'static str],
) -> Vec<String> {
    let named: BTreeSet<&str> = all().into_iter().flat_map(|e| of(e).iter().copied()).collect();
    wanted.filter(|row| !named.contains(row.as_str())).collect()
}

#[test]
fn every_row_and_every_erratum_is_named() {
    let none = Vec::<String>::new();
    let features = (1..=97).chain(141..=147).map(|n| format!("F{n:03}"));
    assert_eq!(unnamed(features, |e| e.features), none);
    assert_eq!(unnamed((1..=76).map(|n| format!("E{n:02}")), |e| e.errata), none);
    let rows: BTreeSet<&str> = all().iter().map(|e| e.row).collect();
    let missing: Vec<String> =
        (1..=50).map(|n| format!("X{n:02}")).filter(|x| !rows.contains(x.as_str())).collect();
    assert_eq!(missing, none);
}

#[test]
fn what_is_judged_by_inspection_says_so() {
    for experiment in all().into_iter().filter(|e| e.expected == Verdict::NotRun) {
        let finding = experiment.find().unwrap();
        assert_eq!((finding.verdict, finding.agrees), (Verdict::NotRun, None));
        assert!(finding.reason.is_some_and(|why| why.contains("by inspection")));
    }
}

#[test]
fn infinite_steps_are_never_and_other_numbers_infinite() {
    let mut record = Record::default();
    record.count("steps", None, None, 0);
    record.steps("more steps", f64::INFINITY);
    record.above("loss", f64::INFINITY, 1e10);
    static ANY: Experiment = TEMPLATE;
    let finding = ANY.finding(record, 0.0);
    let shown: Vec<String> = finding.measured.iter().map(Measured::shown).collect();
    assert_eq!(shown, ["never", "never", "infinite"]);
}

#[test]
fn matrix_and_second_order_rows_are_pending_and_nothing_else_is() {
    let pending: BTreeSet<_> =
        all().into_iter().filter(|e| e.expected == Verdict::Pending).map(|e| e.row).collect();
    let wanted = [
        "X31", "X32", "X33", "X34", "X35", "X36", "X38", "X39", "X40", "X41", "X42", "X43", "X46",
        "X48", "X49",
    ];
    assert_eq!(pending, BTreeSet::from(wanted));
    for experiment in all().into_iter().filter(|e| e.expected == Verdict::Pending) {
        let finding = experiment.find().unwrap();
        assert_eq!((finding.verdict, finding.agrees), (Verdict::Pending, None));
        assert!(finding.measured.is_empty() && finding.reason.is_some());
    }
}

/// Whether a figure shows something, in places that exist, and says what to those who cannot see it.
fn speaks(figure: &Figure) {
    let name = figure.name;
    assert!(!figure.x.label.is_empty() && !figure.y.label.is_empty(), "{name}");
    assert!(figure.lines.iter().any(|l| l.kind != Kind::Bound), "{name}: promises only");
    for line in &figure.lines {
        assert!(!line.name.is_empty() && !line.points.is_empty(), "{name}: {}", line.name);
        let finite = line.points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
        assert!(finite, "{name}: {} is not finite", line.name);
    }
    let svg = report::picture(figure).unwrap().svg;
    let tree = roxmltree::Document::parse(&svg).unwrap();
    let image = tree.descendants().find(|n| n.attribute("role") == Some("img")).unwrap();
    for tag in ["title", "desc"] {
        let text = image.children().find(|n| n.tag_name().name() == tag).and_then(|n| n.text());
        assert!(text.is_some_and(|t| !t.is_empty()), "{name}: no {tag}");
    }
    // One mark is the sample in the legend.
    for series in tree.descendants().filter(|n| n.has_attribute("data-series")) {
        let marks =
            series.descendants().filter(|n| ["path", "circle"].contains(&n.tag_name().name()));
        assert!(
            marks.count() > 1,
            "{name}: nothing of {:?} is seen",
            series.attribute("data-series")
        );
    }
}

/// Runs the experiments of some acceptance rows in full.
fn agree(rows: &[&str]) {
    let chosen: Vec<_> = all()
        .into_iter()
        .filter(|e| rows.contains(&e.row) && e.expected != Verdict::Pending && e.name != "mnist")
        .collect();
    assert!(!chosen.is_empty());
    for experiment in chosen {
        let finding = experiment.find().unwrap();
        let wrong: Vec<_> = finding
            .reference
            .iter()
            .filter(|r| !r.agrees)
            .map(|r| {
                let measured = finding.measured.iter().find(|m| m.what == r.what).map(|m| m.value);
                format!("{}: {measured:?}, not {} ± {}", r.what, r.value, r.within)
            })
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", experiment.name);
        assert_eq!(
            finding.verdict, experiment.expected,
            "{}: {:#?}",
            experiment.name, finding.cases
        );
        // Where the reference has no number there is none to agree with.
        let known = !finding.reference.is_empty();
        assert_eq!(finding.agrees, known.then_some(true), "{}", experiment.name);
        assert!(!finding.figures.is_empty(), "{}: nothing is drawn", experiment.name);
        finding.figures.iter().for_each(speaks);
        assert!(!finding.decides.is_empty(), "{}", experiment.name);
        for what in finding.decides {
            let known = finding.measured.iter().any(|m| m.what == *what);
            assert!(known, "{}: nothing called {what} was measured", experiment.name);
        }
    }
}

#[test]
fn exponentiated_gradient_agrees() {
    agree(&["X01", "X02", "X03", "X04", "X05"]);
}

#[test]
fn regret_agrees() {
    agree(&["X06"]);
}

#[test]
fn learned_gains_agree() {
    agree(&["X07", "X08", "X09", "X15", "X16", "X17", "E21"]);
}

#[test]
fn noise_agrees() {
    agree(&["X10", "X11", "X12", "X13", "X14"]);
}

#[test]
fn adaptive_methods_agree() {
    agree(&["X18", "X19", "X20", "X21", "X22", "X23", "X24", "X25"]);
}

#[test]
fn curvature_agrees() {
    agree(&["X26", "X27", "X28", "X29", "X30", "E49"]);
}

#[test]
fn rates_agree() {
    agree(&["X37", "X44", "X45", "X50"]);
}

#[test]
fn tables_agree() {
    agree(&["X47", "X48"]);
}

#[test]
fn without_mnist_the_command_that_fetches_it_is_named() {
    let absent = data::find("mnist").and_then(data::state).unwrap() == State::Absent;
    if absent {
        let finding = select(&["mnist".to_owned()]).unwrap()[0].find().unwrap();
        assert_eq!((finding.verdict, finding.agrees), (Verdict::NotRun, None));
        assert!(finding.reason.unwrap().contains("thalweg data get mnist"));
    }
}

#[test]
fn the_json_has_the_promised_keys() {
    let finding = select(&["parabola-rate".to_owned()]).unwrap()[0].find().unwrap();
    let json = serde_json::to_value(&finding).unwrap();
    for key in ["name", "source", "claim", "measured", "reference", "verdict", "agrees"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["verdict"], "holds if 0 < η < 2/L''");
    assert_eq!(json["agrees"], true);
    assert_eq!(json["reference"][0]["value"], "0.04123");
    assert!((json["measured"][0]["value"].as_f64().unwrap() - 0.04123).abs() < 5e-6);
}

#[test]
fn experiments_are_found_by_name_and_by_row() {
    let names = |args: &[&str]| -> Vec<&str> {
        let args: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
        select(&args).unwrap().iter().map(|e| e.name).collect()
    };
    assert_eq!(names(&["x26"]), ["parabola", "parabola-rate"]);
    assert_eq!(names(&["parabola-rate", "X26"]), ["parabola-rate", "parabola"]);
    assert_eq!(names(&["all"]).len(), all().len());
    let error = select(&["X99".to_owned()]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.fix().contains("list experiments"));
}

fn wrong(r: &mut Record) -> Result<()> {
    r.printed("one", 1.0, "2");
    r.claim("always", true);
    Ok(())
}

#[test]
fn a_wrong_number_and_a_wrong_verdict_disagree() {
    static WRONG: Experiment = Experiment { expected: Verdict::Holds, run: wrong, ..TEMPLATE };
    assert_eq!(WRONG.find().unwrap().agrees, Some(false));
    static OTHER: Experiment = Experiment { expected: Verdict::Refuted, run: right, ..TEMPLATE };
    let finding = OTHER.find().unwrap();
    assert_eq!((finding.verdict, finding.agrees), (Verdict::Holds, Some(false)));
    static GOOD: Experiment = Experiment { expected: Verdict::Holds, run: right, ..TEMPLATE };
    assert_eq!(GOOD.find().unwrap().agrees, Some(true));
}

/// The condition of another experiment, borne out by the wrong cases.
fn turned(r: &mut Record) -> Result<()> {
    r.printed("one", 1.0, "1");
    r.claim("both on the simplex", false);
    r.claim("Σp = 1.7, Σq = 0.9", true);
    Ok(())
}

#[test]
fn a_condition_is_borne_out_by_its_own_cases_only() {
    static TURNED: Experiment = Experiment {
        name: "bregman-kl",
        expected: Verdict::HoldsIf("both points are on the simplex"),
        run: turned,
        ..TEMPLATE
    };
    let finding = TURNED.find().unwrap();
    assert_eq!((finding.verdict, finding.agrees), (TURNED.expected, Some(false)));
}

fn unprinted(r: &mut Record) -> Result<()> {
    r.claim("always", true);
    Ok(())
}

#[test]
fn a_wrong_verdict_disagrees_where_the_reference_has_no_numbers() {
    static WRONG: Experiment =
        Experiment { expected: Verdict::Refuted, run: unprinted, ..TEMPLATE };
    assert_eq!(WRONG.find().unwrap().agrees, Some(false));
    static GOOD: Experiment = Experiment { expected: Verdict::Holds, run: unprinted, ..TEMPLATE };
    assert_eq!(GOOD.find().unwrap().agrees, None);
}

fn right(r: &mut Record) -> Result<()> {
    r.printed("one", 1.0, "1");
    r.claim("always", true);
    Ok(())
}

const TEMPLATE: Experiment = Experiment {
    name: "template",
    row: "X01",
    source: "",
    claim: "",
    correct: "",
    errata: &[],
    decides: &[],
    features: &[],
    expected: Verdict::Holds,
    run: right,
};

#[test]
fn findings_come_in_the_order_asked_for() {
    let chosen = select(&["X26".to_owned(), "X09".to_owned()]).unwrap();
    let findings = run(&chosen, &|_| {});
    let found: Vec<&str> = findings.iter().map(|f| f.name).collect();
    let asked: Vec<&str> = chosen.iter().map(|e| e.name).collect();
    assert_eq!(found, asked);
}

#[test]
fn all_takes_nothing_from_the_names_beside_it() {
    let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let chosen = select(&names("parabola-rate all X26")).unwrap();
    assert_eq!((chosen[0].name, chosen.len()), ("parabola-rate", all().len()));
    assert!(select(&names("all nosuch")).unwrap_err().problem().contains("nosuch"));
}
