//! Reads the golden trajectories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thalweg::Schedule;

/// One trajectory, with its gradients.
pub struct Case {
    pub name: String,
    pub optimizer: String,
    pub hypers: Vec<(String, f64)>,
    pub lr: Option<Schedule>,
    pub x0: Vec<f64>,
    pub gradients: Vec<Vec<f64>>,
    pub at: Vec<usize>,
    pub x: Vec<Vec<f64>>,
    /// Where the parameter is evaluated at these steps; empty if that is where it is.
    pub view: Vec<Vec<f64>>,
    pub slots: BTreeMap<String, Vec<f64>>,
    pub tolerance: f64,
}

fn table(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn number(value: &toml::Value) -> f64 {
    value.as_float().or(value.as_integer().map(|i| i as f64)).expect("a number")
}

fn numbers(value: &toml::Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn rows(value: &toml::Value) -> Vec<Vec<f64>> {
    value.as_array().expect("a list of lists").iter().map(numbers).collect()
}

/// Every case of every file, in the order of file names.
pub fn cases() -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir(testdata().join("trajectories"))
        .expect("testdata/trajectories")
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| cases_of(file)).collect()
}

/// The cases of one file.
pub fn cases_of(file: &Path) -> Vec<Case> {
    let streams = table(&testdata().join("gradients.toml"));
    let stream =
        |case: &toml::Value| streams["streams"][case["stream"].as_str().expect("stream")].clone();
    let cases = table(file);
    let cases = cases["case"].as_array().expect("[[case]]");
    cases.iter().map(|case| read(case, &stream(case))).collect()
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn read(case: &toml::Value, stream: &toml::Value) -> Case {
    let text = |key: &str| case[key].as_str().expect("a string").to_owned();
    let hypers = case["hypers"].as_table().expect("hypers");
    let mut hypers: Vec<(String, f64)> =
        hypers.iter().map(|(k, v)| (k.clone(), number(v))).collect();
    // From the given step on: step 31 is clock 30.
    let lr = case.get("lr_schedule").map(|changes| {
        let start = hypers.iter().find(|(k, _)| k == "lr").expect("lr").1;
        let mut parts = vec![];
        let (mut from, mut value) = (0, start);
        for change in rows(changes) {
            let until = change[0] as u64 - 1;
            parts.push((until - from, Schedule::Constant(value)));
            (from, value) = (until, change[1]);
        }
        parts.push((1, Schedule::Constant(value)));
        hypers.retain(|(k, _)| k != "lr");
        Schedule::Sequential(parts)
    });
    Case {
        name: text("name"),
        optimizer: text("optimizer"),
        hypers,
        lr,
        x0: numbers(&stream["x0"]),
        gradients: rows(&stream["g"]),
        at: numbers(&case["at"]).into_iter().map(|t| t as usize).collect(),
        x: rows(&case["x"]),
        view: case.get("view").map(rows).unwrap_or_default(),
        slots: case
            .get("slots")
            .and_then(|s| s.as_table())
            .map(|t| t.iter().map(|(k, v)| (k.clone(), numbers(v))).collect())
            .unwrap_or_default(),
        tolerance: number(&case["tolerance"]),
    }
}
