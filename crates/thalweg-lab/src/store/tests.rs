//! What is kept comes back, and what does not belong is refused.

use super::*;
use crate::diagnosis::{Case, Finding, Kind, Layer, Probe, diagnose};
use crate::protocol::{Archive, Divergence, Job, Phase, Point, Record, Run, RunSpec, train};
use crate::tasks::Measurement;
use crate::{optimizers, tasks};

#[test]
fn a_place_that_cannot_be_written_names_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(prepare(&file.join("below")).unwrap_err().fix().contains("--out"));
    prepare(&dir.path().join("a/b")).unwrap();
}

fn facts(plan: &str) -> Facts {
    vec![("plan".to_owned(), plan.to_owned())]
}

fn probe() -> Probe {
    let layer = Layer {
        parameter: "fc.weight".to_owned(),
        axes: 2,
        coordinates: 12,
        gradient_norm: f64::MAX,
        weight_norm: 1.0 / 3.0,
        start_norm: Some(1e-7),
        update_norm: 5e-324,
        untouched: 0.1 + 0.2,
        looked: 2,
        rates: Some([1e-9, 1e-3, 0.1, 2.0 / 3.0, 1e300]),
        successive: Some(0.25),
        momentum: None,
        eps_dominates: None,
        remembered: None,
        lost_in_f16: Some(1.0 / 7.0),
        lost_in_bf16: None,
        lost_in_8_bit: None,
        at_lowest_code: None,
        gains: None,
        clip_factor: Some(1.0),
        trust_ratio: Some(0.5),
        norm_counted: None,
    };
    let (loss, signal, noise) = (1.0 / 3.0, -1e-17, 0.3);
    Probe { step: 8, loss, lr: None, clip_factor: 1.0, signal, noise, layers: vec![layer] }
}

fn case() -> Case<'static> {
    Case {
        divergence: Some((9, "it shot off")),
        batch: Some(64),
        solved: false,
        losses: None,
        bounded: false,
        memory: 0.9,
    }
}

fn record() -> Record {
    let task = tasks::select(&["digits-softmax".to_owned()], None).unwrap()[0];
    let entry = &optimizers::select(&["adamw".to_owned()]).unwrap()[0];
    let hypers = vec![("lr", 0.1 + 0.2), ("decay", 1e-3)];
    let point = |step, loss| Point {
        step,
        seconds: 0.1 * step as f64,
        train_loss: (step > 0).then_some(loss),
        validation: Measurement { loss, metric: Some(f64::NAN) },
    };
    let points = vec![point(0, 2.3), point(5, 1.0 / 3.0), point(9, f64::NAN)];
    let run = Run {
        spec: RunSpec::new(task, entry, hypers, 7, 9),
        best: Some(points[1]),
        points,
        divergence: Some(Divergence { step: 9, reason: "it shot off".to_owned() }),
        test: None,
        gradient_seconds: 1.5,
        optimizer_seconds: 0.25,
        gradients: 9,
        trajectory: vec![[0.1, -2.0], [f64::INFINITY, 0.0]],
        stride: 3,
        probes: vec![probe()],
        findings: diagnose(&case(), &[probe()]),
    };
    Record { phase: Phase::Repeat, trial: 4, run }
}

#[test]
fn a_run_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let record = record();
    Database::open(dir.path(), &facts("a")).unwrap().keep(&record).unwrap();
    let again = Database::open(dir.path(), &facts("a")).unwrap();
    let mut job = Job::new(record.phase, record.trial, record.run.spec.clone());
    let run = again.find(&job).unwrap().unwrap();
    // NaN differs from itself, but is printed like any other.
    assert_eq!(format!("{run:?}"), format!("{:?}", record.run));
    job.phase = Phase::Final;
    assert!(again.find(&job).unwrap().is_none());
    job.phase = Phase::Repeat;
    job.spec.hypers[0].1 = 0.3;
    assert!(again.find(&job).unwrap_err().problem().contains("trial 4 of adamw"));
}

#[test]
fn what_the_diagnosis_saw_and_found_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path(), &facts("a")).unwrap();
    database.keep(&record()).unwrap();
    let id = database.kept(false).unwrap()[0].id;
    assert_eq!(database.probes(id).unwrap(), [probe()]);
    let rows = database.sql(|db| {
        let mut statement = db.prepare("SELECT finding FROM findings WHERE run = ?1")?;
        statement.query_map([id], |row| row.get::<_, String>(0))?.collect()
    });
    let rows: Vec<String> = rows.unwrap();
    let found: Vec<Finding> = rows.iter().map(|f| serde_json::from_str(f).unwrap()).collect();
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Diverged]);
}

#[test]
fn another_plan_is_refused_and_names_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::open(dir.path(), &facts("one\nfive seeds")).unwrap());
    let error = Database::open(dir.path(), &facts("one\nsix seeds")).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    assert!(error.problem().contains("`five seeds`, now it is `six seeds`"), "{error}");
    assert!(error.fix().contains("--fresh"));
    let refused = |plan| Database::open(dir.path(), &facts(plan)).err().unwrap();
    let fewer = refused("one");
    assert!(fewer.problem().contains("plan has `five seeds`, which is not asked"), "{fewer}");
    let more = refused("one\nfive seeds\ntwo");
    assert!(more.problem().contains("plan has no `two`, which is asked"), "{more}");
    // Tasks and optimizers named in another order are the same comparison.
    Database::open(dir.path(), &facts("five seeds\none")).unwrap();
    Database::remove(dir.path()).unwrap();
    Database::open(dir.path(), &facts("one\nsix seeds")).unwrap();
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Database::open(dir.path(), &facts("a")).unwrap();
    let error = Database::open(dir.path(), &facts("a")).err().unwrap();
    assert!(error.problem().contains("another"));
    assert!(Database::read(dir.path()).is_ok(), "reading is free");
}

#[test]
fn nothing_and_rubbish_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Database::read(dir.path()).err().unwrap().exit_code(), 2);
    std::fs::write(dir.path().join(FILE), "this is no database, but long enough to be one")
        .unwrap();
    assert_eq!(Database::read(dir.path()).err().unwrap().exit_code(), 1);
    assert_eq!(Database::open(dir.path(), &facts("a")).err().unwrap().exit_code(), 1);
}

#[test]
fn a_kept_run_is_judged_as_the_run_was() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path(), &facts("a")).unwrap();
    for (name, seed) in [("noisy-quadratic", 1), ("bowl", 2)] {
        let task = tasks::select(&[name.to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&["gd".to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 1e-3)], seed, 100);
        let run = train(&spec, &(task.open)(task).unwrap(), Phase::Screening).unwrap();
        database.keep(&Record { phase: Phase::Screening, trial: 1, run: run.clone() }).unwrap();
        let kept = database.kept(true).unwrap().into_iter().find(|k| k.task == name).unwrap();
        assert_eq!(kept.validation_loss(), run.validation_loss(), "{name}");
    }
}

#[test]
fn runs_can_be_read_where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path(), &facts("a")).unwrap();
    database.keep(&record()).unwrap();
    let path = dir.path().join(super::FILE);
    // In the middle of its work the last runs stand in the side file.
    assert!(super::database::unchanging(&path).unwrap_err().fix().contains("copy the directory"));
    let renamed = dir.path().join("old.runs");
    for suffix in ["", "-wal"] {
        let [from, to] = [&path, &renamed].map(|path| format!("{}{suffix}", path.display()));
        std::fs::copy(from, to).unwrap();
    }
    assert!(super::database::unchanging(&renamed).is_err());
    drop(database);
    let connection = super::database::unchanging(&path).unwrap();
    let count: i64 = connection.query_row("SELECT count(*) FROM runs", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 1);
}
