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
    histograms: BTreeMap<String, Vec<(usize, Histogram)>>,
    hyper_parameters: Option<HyperParameters>,
}

#[derive(Deserialize)]
struct Histogram {
    min: f64,
    max: f64,
    num: f64,
    sum: f64,
    limits: Vec<f64>,
    counts: Vec<f64>,
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
        let probes = database.probes(run.id).unwrap();
        let probed = probes.iter().flat_map(|p| p.layers.iter().map(move |l| (p.step, l)));
        let probed = probed.filter_map(|(step, l)| Some((step, l, l.rates?)));
        // Where a coordinate stands still its rate has no logarithm.
        let probed: Vec<_> = probed.filter(|(.., rates)| rates[0] > 0.0).collect();
        assert_eq!(histograms.values().map(Vec::len).sum::<usize>(), probed.len());
        for (step, layer, rates) in probed {
            let all = &histograms[&format!("effective_rate_log10/{}", layer.parameter)];
            let (_, histogram) = all.iter().find(|(at, _)| *at == step).unwrap();
            assert_eq!([histogram.min, histogram.max], [rates[0].log10(), rates[4].log10()]);
            // Of nine tenths of the coordinates it is known where they lie.
            let known = 0.9 * layer.coordinates as f64;
            assert!((histogram.num - known).abs() < 1e-9 * known);
            // The bins up to the median hold those above the lowest twentieth.
            let below = histogram.limits.iter().zip(&histogram.counts);
            let below = below.filter(|(limit, _)| **limit <= rates[2].log10());
            let below = below.map(|(_, count)| count / layer.coordinates as f64).sum::<f64>();
            let spread = rates.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(!spread || (below - 0.45).abs() < 1e-9, "{below}");
        }
        let validation = course(run, |i| Some(run.points[i].validation.loss));
        assert_eq!(scalars["loss/validation"], validation);
        assert_eq!(scalars["loss/train"], course(run, |i| run.points[i].train_loss));
        assert_eq!(scalars["metric/validation"], course(run, |i| run.points[i].validation.metric));
        let test = scalars.get("loss/test").map(|all| all[0].1);
        assert_eq!(test, run.test_loss.map(|loss| f64::from(loss as f32)));
        for probe in probes {
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
        let [(0, histogram)] = &run.histograms["trials/validation_loss"][..] else { panic!() };
        let finite = || losses().filter(|v| v.is_finite());
        assert_eq!(histogram.num, finite().count() as f64);
        assert_eq!(histogram.min, losses().fold(f64::INFINITY, f64::min));
        assert!((histogram.sum - finite().sum::<f64>()).abs() < 1e-9 * histogram.sum.abs());
    }
}
