//! `thalweg doctor`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::DoctorArgs;
use crate::diagnosis::{Finding, Severity, Stored, if_stored};
use crate::{Error, Result};

/// The file that `compare` leaves its results in.
const RESULTS: &str = "results.json";

/// What was found for one optimizer on one task.
#[derive(Debug, Serialize)]
struct Patient {
    task: String,
    optimizer: String,
    findings: Vec<Finding>,
}

/// The part of a results document that holds findings.
#[derive(Deserialize)]
struct Document {
    outcome: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    tasks: Vec<TaskOutcome>,
}

#[derive(Deserialize)]
struct TaskOutcome {
    task: String,
    standings: Vec<Standing>,
}

#[derive(Deserialize)]
struct Standing {
    optimizer: String,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let patients = patients(&args.run)?;
    if args.json {
        super::print_json(&patients)?;
    } else {
        super::print(&text(&patients, args.if_stored))?;
    }
    verdict(&patients, args.fail_on, args.if_stored)
}

/// Whether a finding is about the run itself, or about the storage that was asked for.
fn concerns(finding: &Finding, stored: Option<Stored>) -> bool {
    finding.kind.if_stored().is_none_or(|s| Some(s) == stored)
}

/// An error if something at least as severe as the limit was found.
fn verdict(patients: &[Patient], limit: Option<Severity>, stored: Option<Stored>) -> Result<()> {
    let Some(limit) = limit else { return Ok(()) };
    let counts = |f: &&Finding| f.severity >= limit && concerns(f, stored);
    let count = patients.iter().flat_map(|p| &p.findings).filter(counts).count();
    if count == 0 {
        return Ok(());
    }
    Err(Error::failed(
        format!("{count} findings are at least of severity `{}`", limit.name()),
        "follow the advice of the findings, or give --fail-on a higher severity",
    ))
}

/// Reads the findings of a result directory, or of what the rest of the path names in it.
fn patients(run: &Path) -> Result<Vec<Patient>> {
    let (directory, wanted) = locate(run)?;
    let file = directory.join(RESULTS);
    let again = format!("run `thalweg compare --out {}` again", directory.display());
    let text = std::fs::read_to_string(&file)
        .map_err(|e| Error::failed(format!("cannot read {}: {e}", file.display()), &again))?;
    let document: Document = serde_json::from_str(&text).map_err(|e| {
        Error::failed(format!("{} holds no findings of this version: {e}", file.display()), &again)
    })?;
    let all = document.outcome.tasks.into_iter().flat_map(|t| {
        let task = t.task;
        t.standings.into_iter().map(move |s| Patient {
            task: task.clone(),
            optimizer: s.optimizer,
            findings: s.findings,
        })
    });
    let all: Vec<Patient> = all.collect();
    let known: Vec<String> = all.iter().map(|p| format!("{}/{}", p.task, p.optimizer)).collect();
    let matches = |p: &Patient| {
        wanted.first().is_none_or(|task| *task == p.task)
            && wanted.get(1).is_none_or(|optimizer| *optimizer == p.optimizer)
    };
    let chosen: Vec<Patient> = all.into_iter().filter(matches).collect();
    if chosen.is_empty() {
        return Err(Error::usage(
            format!("{} has no `{}`", file.display(), wanted.join("/")),
            format!("choose one of: {}", known.join(", ")),
        ));
    }
    Ok(chosen)
}

/// The result directory that a path leads into, and the task and optimizer it names there.
fn locate(run: &Path) -> Result<(PathBuf, Vec<String>)> {
    let mut wanted = Vec::new();
    // A cell is at most a task and an optimizer below the directory.
    for directory in run.ancestors().take(3) {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if directory.join(RESULTS).is_file() {
            wanted.reverse();
            return Ok((directory.to_path_buf(), wanted));
        }
        wanted.extend(directory.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Err(Error::usage(
        format!("{} is no result directory, and not in one: there is no {RESULTS}", run.display()),
        "give the directory that `thalweg compare --out` wrote, or DIR/TASK/OPTIMIZER in it",
    ))
}

fn text(patients: &[Patient], stored: Option<Stored>) -> String {
    let mut text = String::new();
    for patient in patients {
        text += &format!("\n{} / {}\n", patient.task, patient.optimizer);
        let groups = by_kind(patient.findings.iter().filter(|f| concerns(f, stored)));
        if groups.is_empty() {
            text += "  nothing found\n";
        }
        for group in groups {
            text += &told(&group);
        }
        if let (None, Some(sentence)) = (stored, if_stored(&patient.findings)) {
            text += &format!("  {sentence}\n");
        }
    }
    text
}

/// The findings of each kind, in the order in which the kinds come.
fn by_kind<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<Vec<&'f Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        match groups.iter_mut().find(|g| g[0].kind == finding.kind) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

/// What was found of one kind: the first in full, of the others where.
fn told(group: &[&Finding]) -> String {
    let [f, others @ ..] = group else { return String::new() };
    let place = f.parameter.as_deref().unwrap_or("the whole run");
    let mut text = format!(
        "  {}: {} in {place} since step {}\n    {}\n    how sure: {}\n    to change: {}\n",
        f.severity.name(),
        f.kind.name(),
        f.since,
        f.what,
        certainty(f),
        f.change,
    );
    if !others.is_empty() {
        let places: Vec<&str> = others.iter().filter_map(|f| f.parameter.as_deref()).collect();
        text += &format!("    also in: {}\n", places.join(", "));
    }
    text
}

fn certainty(f: &Finding) -> String {
    let seeds = format!("in {} of {} seeds", f.seeds, f.seeds_of);
    if f.severity == Severity::Critical {
        return format!("it happened {seeds}");
    }
    format!(
        "{} of {} probes, 95 % interval of the share {:.2} to {:.2}; {seeds}",
        f.beyond, f.probes, f.interval[0], f.interval[1]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Observer, Phase, Plan, Run, compare};
    use crate::store::{self, Document};
    use crate::{optimizers, tasks};

    struct Silent;
    impl Observer for Silent {
        fn ended(&self, _: Phase, _: &Run) {}
    }

    /// Compares a sound optimizer and one whose learning rates are absurd.
    fn directory() -> tempfile::TempDir {
        let names = ["adam".to_owned(), "momentum".to_owned()];
        let mut plan = Plan {
            tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
            optimizers: Some(optimizers::select(&names).unwrap()),
            seeds: Some(2),
            trials: Some(1),
            budget: Some(80),
            workers: 1,
        };
        let entries = plan.optimizers.as_mut().unwrap();
        (entries[0].tune[0].low, entries[0].tune[0].high) = (1e-2, 1.1e-2);
        (entries[1].tune[0].low, entries[1].tune[0].high) = (1e30, 1e35);
        let outcome = compare(&plan, &Silent).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let document = Document::new(outcome, vec![], 1.0);
        store::write(directory.path(), RESULTS, &document.to_json().unwrap()).unwrap();
        directory
    }

    #[test]
    fn findings_are_read_told_and_judged() {
        let directory = directory();
        let all = patients(directory.path()).unwrap();
        assert_eq!(all.len(), 2);
        let told = text(&all, None);
        assert!(told.contains("critical: diverged in the whole run"), "{told}");
        assert!(told.contains("in 2 of 2 seeds") && told.contains("to change: Lower"), "{told}");
        assert_eq!(verdict(&all, Some(Severity::Critical), None).unwrap_err().exit_code(), 1);
        let adam = patients(&directory.path().join("digits-softmax/adam")).unwrap();
        assert_eq!(adam.len(), 1);
        // Pixels at the rim of the digits are always blank: worth a note, and no warning.
        let kinds: Vec<&str> = adam[0].findings.iter().map(|f| f.kind.name()).collect();
        assert!(kinds.contains(&"dead-coordinates"), "{kinds:?}");
        verdict(&adam, Some(Severity::Warning), None).unwrap();
        verdict(&all, None, None).unwrap();
    }

    /// A finding of this kind in a parameter.
    fn finding(kind: &str, severity: &str, parameter: &str, measured: f64) -> Finding {
        let json = format!(
            r#"{{"kind":"{kind}","severity":"{severity}","parameter":"{parameter}","since":2,
            "measured":{measured},"threshold":0.05,"beyond":9,"probes":9,"interval":[0.7,1.0],
            "what":"so much of it","change":"nothing","figure":"f","seeds":5,"seeds_of":5}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_other_storage_would_lose_takes_one_line_unless_it_is_asked_for() {
        let patient = |findings| Patient { task: "t".into(), optimizer: "o".into(), findings };
        let hypothetical = vec![
            finding("underflow-f16", "note", "a", 0.31),
            finding("underflow-f16", "note", "b", 0.07),
            finding("underflow-8-bit", "note", "b", 0.12),
        ];
        let alone = [patient(hypothetical.clone())];
        let told = text(&alone, None);
        assert!(told.contains("nothing found"), "{told}");
        assert!(
            told.contains("f16 in 2 parameters (up to 31 %), block8 in 1 parameter (up to 12 %)")
        );
        assert_eq!(told.lines().count(), 4, "{told}");
        verdict(&alone, Some(Severity::Note), None).unwrap();
        let asked = text(&alone, Some(Stored::F16));
        assert!(asked.contains("note: underflow-f16 in a since step 2"), "{asked}");
        assert!(asked.contains("also in: b") && !asked.contains("8-bit"), "{asked}");
        assert!(verdict(&alone, Some(Severity::Note), Some(Stored::F16)).is_err());
        // Bf16 loses what single precision is about to lose: that is about the run.
        let real = [patient(vec![finding("underflow-bf16", "warning", "a", 0.2)])];
        assert!(text(&real, None).contains("underflow-bf16"));
        assert!(verdict(&real, Some(Severity::Warning), None).is_err());
    }

    #[test]
    fn what_is_not_there_is_a_usage_error_that_names_what_is() {
        let empty = tempfile::tempdir().unwrap();
        let error = patients(empty.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.fix().contains("--out"));
        std::fs::write(empty.path().join(RESULTS), "{}").unwrap();
        assert!(patients(empty.path()).unwrap_err().fix().contains("again"));
        let outcome = r#"{"outcome":{"tasks":[{"task":"a","standings":
            [{"optimizer":"b","findings":[]}]}]}}"#;
        std::fs::write(empty.path().join(RESULTS), outcome).unwrap();
        assert!(text(&patients(empty.path()).unwrap(), None).contains("nothing found"));
        assert!(patients(&empty.path().join("a/c")).unwrap_err().fix().contains("a/b"));
    }
}
