//! Exported event files in TensorBoard's own reader: see `tensorboard/read.py`.
//!
//! Needs Python with `venv` and a package index: at `THALWEG_PYTHON`, or `python3`. Without them the test
//! says what is missing and passes; where `THALWEG_PYTHON` is set, what is missing is a failure.

mod skip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use skip::skip;
use thalweg_lab::store::{Database, Kept};

/// The variable that holds the path of Python.
const WANTED: &str = "THALWEG_PYTHON";

/// What the reader found in one directory.
#[derive(Deserialize)]
struct Run {
    scalars: BTreeMap<String, Vec<(usize, f64)>>,
    histograms: BTreeMap<String, BTreeMap<String, f64>>,
    hyper_parameters: Option<HyperParameters>,
}

#[derive(Deserialize)]
struct HyperParameters {
    group: String,
    values: BTreeMap<String, serde_json::Value>,
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?} does not start: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// A Python with TensorBoard, installed below the build directory once for each list of versions.
fn reader(sources: &Path) -> Result<PathBuf, String> {
    let wanted = sources.join("requirements.txt");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tensorboard");
    let (python, held) = (place.join("bin/python"), place.join("requirements.txt"));
    let list = std::fs::read(&wanted).map_err(|e| e.to_string())?;
    if std::fs::read(&held).is_ok_and(|held| held == list) {
        return Ok(python);
    }
    let base = std::env::var(WANTED).unwrap_or_else(|_| "python3".to_owned());
    done(Command::new(base).args(["-m", "venv", "--clear"]).arg(&place))?;
    done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&wanted))?;
    std::fs::write(held, list).map_err(|e| e.to_string())?;
    Ok(python)
}

fn directory(run: &Kept) -> String {
    let Kept { task, optimizer, trial, phase, seed, .. } = run;
    format!("{task}__{optimizer}__t{trial}-{phase}__seed{seed}")
}

/// A course of the run as event files hold it.
fn course(run: &Kept, value: impl Fn(usize) -> Option<f64>) -> Vec<(usize, f64)> {
    let points = run.points.iter().enumerate();
    points.filter_map(|(i, p)| Some((p.step, f64::from(value(i)? as f32)))).collect()
}

#[test]
fn tensorboard_reads_what_is_exported() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tensorboard");
    let python = match reader(&sources) {
        Ok(python) => python,
        Err(why) => return skip("event files in TensorBoard's reader", WANTED, &why),
    };
    let here = tempfile::tempdir().unwrap();
    let (out, events) = (here.path().join("out"), here.path().join("tb"));
    let thalweg = || Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let compare = ["compare", "digits-softmax", "--optimizers", "adamw,meta_egd_adam", "--quiet"];
    let few = ["--trials", "2", "--seeds", "2", "--budget", "30", "--out"];
    done(thalweg().args(compare).args(few).arg(&out)).unwrap();
    let format = ["--format", "tensorboard", "--to"];
    done(thalweg().arg("export").arg(&out).args(format).arg(&events)).unwrap();

    let read = Command::new(python).arg(sources.join("read.py")).arg(&events).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let mut found: BTreeMap<String, Run> = serde_json::from_slice(&read.stdout).unwrap();

    let database = Database::read(&out).unwrap();
    let kept = database.kept(true).unwrap();
    assert!(kept.len() > 10, "{}", kept.len());
    for run in &kept {
        let Run { scalars, histograms, hyper_parameters } = found.remove(&directory(run)).unwrap();
        assert!(histograms.is_empty());
        let validation = course(run, |i| Some(run.points[i].validation.loss));
        assert_eq!(scalars["loss/validation"], validation);
        assert_eq!(scalars["loss/train"], course(run, |i| run.points[i].train_loss));
        assert_eq!(scalars["metric/validation"], course(run, |i| run.points[i].validation.metric));
        let test = scalars.get("loss/test").map(|all| all[0].1);
        assert_eq!(test, run.test_loss.map(|loss| f64::from(loss as f32)));
        for probe in database.probes(run.id).unwrap() {
            for (place, key, value) in probe.numbers() {
                let held = &scalars[&format!("{key}/{place}")];
                assert!(held.contains(&(probe.step, f64::from(value as f32))), "{key} {value:e}");
            }
        }
        let HyperParameters { group, values } = hyper_parameters.unwrap();
        let phase = &run.phase;
        assert_eq!(group, format!("{}/{}/t{}/{phase}", run.task, run.optimizer, run.trial));
        assert_eq!(
            (&values["optimizer"], &values["seed"]),
            (&run.optimizer.clone().into(), &(run.seed as f64).into())
        );
        for (name, value) in &run.hypers {
            assert_eq!(values[name], *value);
        }
    }
    assert!(
        kept.iter().any(|run| !database.probes(run.id).unwrap().is_empty()),
        "nothing was probed"
    );
    // What is left are the trials of each optimizer.
    assert_eq!(found.len(), 2);
    for (name, run) in found {
        let losses = || {
            let own = kept
                .iter()
                .filter(|k| name == format!("{}__{}__trials__seed0", k.task, k.optimizer));
            own.filter(|k| k.phase == "screening" || k.phase == "extension")
                .map(Kept::validation_loss)
        };
        let histogram = &run.histograms["trials/validation_loss"];
        assert_eq!(histogram["num"], losses().filter(|v| v.is_finite()).count() as f64);
        assert_eq!(histogram["min"], losses().fold(f64::INFINITY, f64::min));
    }
}
