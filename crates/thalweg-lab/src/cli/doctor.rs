//! `thalweg doctor`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::DoctorArgs;
use super::table;
use crate::diagnosis::{Finding, Kind, Severity, Stored, findings_of, if_stored, in_few_seeds};
use crate::store::{Database, FILE, Kept};
use crate::{Error, Result};

/// What was found for one optimizer on one task, in all seeds or in one.
#[derive(Debug, Serialize)]
struct Patient {
    task: String,
    optimizer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let patients = patients(&args.run)?;
    if args.json {
        super::print_json(&patients)?;
    } else {
        let text = text(&patients, args.if_stored) + &figures(&args.run, &patients)?;
        super::print(&table::fitted(&text, table::room()))?;
    }
    verdict(&patients, args.fail_on, args.if_stored)
}

/// Where the figures stand that the findings are about.
fn figures(run: &Path, patients: &[Patient]) -> Result<String> {
    let report = locate(run)?.0.join("report.html");
    let found = patients.iter().any(|p| !p.findings.is_empty());
    Ok(match found && report.is_file() {
        true => format!("\nfigures of what was found: {}#why\n", report.display()),
        false => String::new(),
    })
}

/// Whether most seeds have a finding, and it is about the run itself or about the storage that was asked
/// for.
fn concerns(finding: &Finding, stored: Option<Stored>) -> bool {
    finding.is_shared() && finding.kind.if_stored().is_none_or(|s| Some(s) == stored)
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
    let database = Database::read(&directory)?;
    let kept = database.kept(true)?;
    if let [task, optimizer, seed] = &wanted[..] {
        let run = database.cell(&format!("{task}/{optimizer}/{seed}"))?;
        if run.phase != "final" {
            return Err(Error::usage(
                format!(
                    "{} is a trial, and only final runs are looked at while they go",
                    run.cell()
                ),
                format!(
                    "give one of the final runs, {task}/{optimizer}/SEED, or all: {task}/{optimizer}"
                ),
            ));
        }
        let findings = found(&database, &kept, &[&run])?;
        return Ok(vec![Patient {
            task: run.task,
            optimizer: run.optimizer,
            seed: Some(seed.clone()),
            findings,
        }]);
    }
    let finals: Vec<&Kept> = kept.iter().filter(|run| run.phase == "final").collect();
    let all: Vec<&[&Kept]> = finals.chunk_by(|a, b| a.is_beside(b)).collect();
    let chosen = all.iter().filter(|runs| {
        wanted.first().is_none_or(|task| *task == runs[0].task)
            && wanted.get(1).is_none_or(|optimizer| *optimizer == runs[0].optimizer)
    });
    let patients = chosen
        .map(|runs| {
            let (task, optimizer) = (runs[0].task.clone(), runs[0].optimizer.clone());
            let findings = found(&database, &kept, runs)?;
            Ok(Patient { task, optimizer, seed: None, findings })
        })
        .collect::<Result<Vec<Patient>>>()?;
    if all.is_empty() {
        return Err(Error::usage(
            format!("{} holds no final runs yet, and those are diagnosed", directory.display()),
            "finish it: give the same `thalweg compare` command again",
        ));
    }
    if patients.is_empty() {
        let known = all.iter().map(|runs| format!("{}/{}", runs[0].task, runs[0].optimizer));
        return Err(Error::usage(
            format!("{} has no final run of `{}`", directory.display(), wanted.join("/")),
            format!("choose one of: {}", known.collect::<Vec<_>>().join(", ")),
        ));
    }
    Ok(patients)
}

/// What was found in final runs of one optimizer on one task, among all that were `kept`.
pub(super) fn found(database: &Database, kept: &[Kept], runs: &[&Kept]) -> Result<Vec<Finding>> {
    let seeds = runs.iter().map(|run| database.findings(run.id)).collect::<Result<Vec<_>>>()?;
    let seeds: Vec<&[Finding]> = seeds.iter().map(Vec::as_slice).collect();
    let Some(first) = runs.first() else { return Ok(Vec::new()) };
    let trials = kept.iter().filter(|run| run.is_beside(first) && run.is_trial());
    let tried = trials.map(|run| (&run.hypers[..], run.validation_loss()));
    Ok(findings_of(&seeds, &first.hypers, tried))
}

/// The result directory that a path leads into, and the task, optimizer and seed it names there.
pub(super) fn locate(run: &Path) -> Result<(PathBuf, Vec<String>)> {
    let mut wanted = Vec::new();
    // A run is a task, an optimizer and a seed below the directory.
    for directory in run.ancestors().take(4) {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if directory.join(FILE).is_file() {
            wanted.reverse();
            return Ok((directory.to_path_buf(), wanted));
        }
        wanted.extend(directory.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Err(Error::usage(
        format!("{} is no result directory, and not in one: there is no {FILE}", run.display()),
        "give the directory that `thalweg compare --out` wrote, or in it DIR/TASK, DIR/TASK/OPTIMIZER or \
         DIR/TASK/OPTIMIZER/SEED",
    ))
}

fn text(patients: &[Patient], stored: Option<Stored>) -> String {
    let mut text = String::new();
    for patient in patients {
        let seed = patient.seed.as_ref().map_or(String::new(), |seed| format!(" / {seed}"));
        text += &format!("\n{} / {}{seed}\n", patient.task, patient.optimizer);
        let groups = by_kind(patient.findings.iter().filter(|f| concerns(f, stored)));
        if groups.is_empty() {
            text += "  nothing found\n";
        }
        for group in groups {
            text += &told(&group);
        }
        let stored = if_stored(&patient.findings).filter(|_| stored.is_none());
        let few = in_few_seeds(&patient.findings)
            .map(|few| format!("in no more than half of the seeds: {few}"));
        for sentence in few.into_iter().chain(stored) {
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
    let mut text = format!(
        "  {}: {} in {} since step {}\n    {}\n    how sure: {}\n    to change: {}\n",
        f.severity.name(),
        f.kind.name(),
        f.place(),
        f.since,
        f.what,
        certainty(f),
        f.change,
    );
    if !others.is_empty() {
        let place = |other: &&Finding| match other.seeds == f.seeds {
            true => other.place().to_owned(),
            false => format!("{} ({} of {} seeds)", other.place(), other.seeds, other.seeds_of),
        };
        let places: Vec<String> = others.iter().map(place).collect();
        text += &format!("    also in: {}\n", places.join(", "));
    }
    text
}

fn certainty(f: &Finding) -> String {
    let seeds = match f.seeds_of {
        1 => "one run".to_owned(),
        all => format!("in {} of {all} seeds", f.seeds),
    };
    if f.probes == 1 {
        return format!("it happened, {seeds}");
    }
    let whose = if f.seeds_of > 1 { " of the first of them" } else { "" };
    let what = match f.kind {
        // Its interval stands with what was measured.
        Kind::NoiseDominates => return format!("{seeds}; {} probes{whose} together", f.probes),
        Kind::DeadCoordinates => "gradients looked at",
        _ => "probes",
    };
    format!(
        "{seeds}; in {} of {} {what}{whose}, 95 % interval of the share {:.2} to {:.2}",
        f.beyond, f.probes, f.interval[0], f.interval[1]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Plan, Silent, compare_in, open};
    use crate::store;
    use crate::{optimizers, tasks};

    /// Compares a sound optimizer and one whose learning rates are absurd.
    fn directory() -> tempfile::TempDir {
        let names = ["adam".to_owned(), "momentum".to_owned()];
        let mut plan = Plan {
            tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
            optimizers: Some(optimizers::select(&names).unwrap()),
            seeds: Some(2),
            trials: Some(1),
            budget: Some(80),
            tune: Vec::new(),
            targets: Vec::new(),
            study: 0,
            workers: 1,
        };
        let entries = plan.optimizers.as_mut().unwrap();
        (entries[0].tune[0].low, entries[0].tune[0].high) = (1e-2, 1.1e-2);
        (entries[1].tune[0].low, entries[1].tune[0].high) = (1e30, 1e35);
        let workloads = open(&plan).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let facts = store::facts(&plan, &workloads);
        let database = Database::open(directory.path(), &facts).unwrap();
        compare_in(&plan, &workloads, &database, &Silent).unwrap();
        directory
    }

    #[test]
    fn findings_are_read_told_and_judged() {
        let directory = directory();
        let all = patients(directory.path()).unwrap();
        assert_eq!(all.len(), 2);
        let told = text(&all, None);
        assert!(told.contains("critical: diverged in the whole run"), "{told}");
        assert!(
            told.contains("it happened, in 2 of 2 seeds") && told.contains("to change: Lower"),
            "{told}"
        );
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
        let patient =
            |findings| Patient { task: "t".into(), optimizer: "o".into(), seed: None, findings };
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
    fn findings_of_few_seeds_are_counted_and_fail_nothing() {
        let rare = Finding { seeds: 2, ..finding("oscillation", "warning", "w", 0.2) };
        let most = Finding { seeds: 4, ..finding("updates-large", "warning", "w", 0.2) };
        let all = finding("updates-large", "warning", "v", 0.2);
        let patient = |findings: &[&Finding]| {
            let findings = findings.iter().copied().cloned().collect();
            [Patient { task: "t".into(), optimizer: "o".into(), seed: None, findings }]
        };
        let told = text(&patient(&[&most, &all, &rare]), None);
        let sure = "how sure: in 4 of 5 seeds; in 9 of 9 probes of the first of them";
        assert!(told.contains(sure) && told.contains("also in: v (5 of 5 seeds)\n"), "{told}");
        assert!(told.contains("in no more than half of the seeds: oscillation in w (2 of 5)\n"));
        let whole = Finding { parameter: None, ..all.clone() };
        let told = text(&patient(&[&all, &whole]), None);
        assert!(
            told.contains("updates-large in v since") && told.contains("also in: the whole run\n")
        );
        let alone = patient(&[&rare]);
        assert!(text(&alone, None).contains("nothing found"));
        verdict(&alone, Some(Severity::Warning), None).unwrap();
        assert!(verdict(&patient(&[&most]), Some(Severity::Warning), None).is_err());
        // One run has no majority.
        let one = Finding { seeds: 1, seeds_of: 1, ..rare };
        assert!(
            text(&patient(&[&one]), None).contains("how sure: one run; in 9 of 9 probes, 95 %")
        );
    }

    #[test]
    fn what_is_not_there_is_a_usage_error_that_names_what_is() {
        let empty = tempfile::tempdir().unwrap();
        let error = patients(empty.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.fix().contains("--out"));
        let _started = Database::open(empty.path(), &Vec::new()).unwrap();
        let error = patients(empty.path()).unwrap_err();
        assert!(error.problem().contains("no final runs yet") && error.fix().contains("again"));
        let done = directory();
        let error = patients(&done.path().join("digits-softmax/gd")).unwrap_err();
        assert!(error.fix().contains("digits-softmax/adam, digits-softmax/momentum"));
    }
}
