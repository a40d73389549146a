//! Writes optimizer states of burn and candle-optimisers, and where the runs went on from there.
//!
//! ```sh
//! cargo run --locked               # rewrites ../../interchange/rust.toml and its states
//! cargo run --locked -- --check    # compares, and goes on from the states that thalweg exported
//! ```
//!
//! What `../interchange.py` does for torch and optax, with the start and the gradients of its `runs.toml`.
//! candle-optimisers has no way to take a state in. The check compares the state exported after ten steps with all
//! that candle-optimisers itself has after ten; it follows that it would go on alike.

mod burn_run;
mod candle_run;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use burn_run::BurnRun;
use candle_run::CandleRun;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

pub const SHAPES: [(&str, &[usize]); 2] = [("layer.weight", &[2, 3]), ("layer.bias", &[3])];

/// A run of one optimizer on both parameters, weight and bias in one list of numbers.
pub trait Run {
    fn step(&mut self, g: &[f64]);
    fn x(&self) -> Vec<f64>;
    fn state(&self) -> State;
    /// Goes on from a file, if the library can.
    fn load(&mut self, file: &[u8]) -> bool;
}

/// Tensors on their way into a file.
#[derive(Default)]
pub struct State(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl State {
    pub fn tensor(&mut self, name: String, shape: Vec<usize>, bytes: Vec<u8>) {
        self.0.push((name, Dtype::F64, shape, bytes));
    }

    pub fn count(&mut self, name: String, count: i64) {
        self.0.push((name, Dtype::I64, vec![], count.to_le_bytes().to_vec()));
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

pub fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub struct Hypers<'a>(&'a [(&'static str, f64)]);

impl Hypers<'_> {
    pub fn maybe(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    pub fn get(&self, key: &str) -> f64 {
        self.maybe(key).unwrap_or_else(|| panic!("{key}"))
    }
}

/// burn keeps most of its numbers in `f32` and computes bias corrections in it. These are exact there, and so are the
/// corrections up to the twelfth step; only roots are rounded (`ROOTS`).
const BURN_EPS: f64 = 1.0 / 1048576.0;
const BURN_ADAM: [(&str, f64); 4] =
    [("lr", 0.01), ("beta1", 0.5), ("beta2", 0.75), ("eps", BURN_EPS)];
const ADAM: [(&str, f64); 4] = [("lr", 0.01), ("beta1", 0.9), ("beta2", 0.99), ("eps", 1e-8)];
const RMS: [(&str, f64); 3] = [("lr", 0.01), ("rho", 0.9), ("eps", 1e-8)];
const BURN_RMS: [(&str, f64); 3] = [("lr", 0.01), ("rho", 0.875), ("eps", BURN_EPS)];

/// What a case allows for instead of 1e-12, relative to each parameter.
const ROOTS: (f64, &str) = (
    1.0 / 4194304.0,
    "burn rounds the root of the bias correction to f32: less than 2^-22 of each step, and five are shorter than x",
);

struct Case {
    optimizer: &'static str,
    library: &'static str,
    hypers: Vec<(&'static str, f64)>,
    tolerance: Option<(f64, &'static str)>,
}

impl Case {
    /// What its files are called.
    fn name(&self) -> String {
        let library = self.library.split('-').next().unwrap();
        format!("{}@{library}", self.optimizer)
    }

    fn start(&self, x: &[f64]) -> Box<dyn Run> {
        let h = Hypers(&self.hypers);
        match self.library {
            "burn" => Box::new(BurnRun::new(self.optimizer, &h, x)),
            _ => Box::new(CandleRun::new(self.optimizer, &h, x)),
        }
    }
}

fn cases() -> Vec<Case> {
    let mut all = vec![];
    let mut add = |library,
                   optimizer,
                   base: &[(&'static str, f64)],
                   more: &[(&'static str, f64)],
                   tolerance| {
        let hypers = base.iter().chain(more).copied().collect();
        all.push(Case { optimizer, library, hypers, tolerance });
    };
    let burn = "burn";
    add(burn, "adam", &BURN_ADAM, &[], Some(ROOTS));
    add(burn, "adamw", &BURN_ADAM, &[("decay", 0.125)], None);
    add(burn, "adam_l2", &BURN_ADAM, &[("decay", 0.125)], Some(ROOTS));
    add(burn, "amsgrad", &BURN_ADAM, &[], Some(ROOTS));
    add(burn, "momentum", &[("lr", 0.1), ("momentum", 0.875), ("dampening", 0.25)], &[], None);
    add(burn, "nesterov", &[("lr", 0.1), ("momentum", 0.875)], &[], None);
    let adagrad = [("lr", 0.1), ("initial", 0.0), ("lr_decay", 0.1)];
    add(burn, "adagrad", &adagrad, &[("eps", BURN_EPS)], None);
    add(burn, "rmsprop", &BURN_RMS, &[], None);
    add(burn, "rmsprop_momentum", &BURN_RMS, &[("momentum", 0.875)], None);
    add(burn, "rmsprop_centered", &BURN_RMS, &[], None);
    add(burn, "rmsprop_centered_momentum", &BURN_RMS, &[("momentum", 0.875)], None);
    let lion = [("lr", 0.01), ("beta1", 0.875), ("beta2", 0.9375), ("decay", 0.125)];
    add(burn, "lion", &lion, &[], None);
    let adan = [("lr", 0.01), ("beta1", 0.75), ("beta2", 0.5), ("beta3", 0.75)];
    add(burn, "adan", &adan, &[("eps", BURN_EPS), ("decay", 0.125)], Some(ROOTS));
    add(burn, "lamb", &BURN_ADAM, &[("decay", 0.125)], None);
    let candle = "candle-optimisers";
    add(candle, "adam", &ADAM, &[], None);
    add(candle, "adamw", &ADAM, &[("decay", 0.1)], None);
    add(candle, "adam_l2", &ADAM, &[("decay", 0.1)], None);
    add(candle, "amsgrad", &ADAM, &[], None);
    add(candle, "momentum", &[("lr", 0.1), ("momentum", 0.9), ("dampening", 0.2)], &[], None);
    add(candle, "nesterov", &[("lr", 0.1), ("momentum", 0.9)], &[], None);
    add(candle, "rmsprop", &RMS, &[], None);
    add(candle, "rmsprop_momentum", &RMS, &[("momentum", 0.9)], None);
    add(candle, "rmsprop_centered", &RMS, &[], None);
    add(candle, "rmsprop_centered_momentum", &RMS, &[("momentum", 0.9)], None);
    add(candle, "adagrad", &adagrad, &[("eps", 1e-10)], None);
    add(candle, "adadelta", &[("lr", 1.0), ("rho", 0.9), ("eps", 1e-6)], &[], None);
    add(candle, "nadam", &ADAM, &[("momentum_decay", 0.05)], None);
    add(candle, "nadamw", &ADAM, &[("momentum_decay", 0.004), ("decay", 0.1)], None);
    add(candle, "radam", &ADAM, &[("threshold", 5.0)], None);
    add(candle, "adamax", &ADAM, &[], None);
    all
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interchange")
}

/// The start and the gradients of all cases.
fn data() -> (Vec<f64>, Vec<Vec<f64>>) {
    let text = std::fs::read_to_string(folder().join("runs.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let numbers = |value: &toml::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_float().unwrap()).collect()
    };
    let gradients = table["g"].as_array().unwrap().iter().map(numbers).collect();
    (numbers(&table["x0"]), gradients)
}

fn near(a: &[f64], b: &[f64], relative: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= relative * b.abs(), "{what}: {a} is not {b}");
    }
}

/// Names, types and shapes as they are, numbers but for the last digits.
fn same_file(a: &[u8], b: &[u8], relative: f64, what: &str) {
    let (a, b) = (SafeTensors::deserialize(a).unwrap(), SafeTensors::deserialize(b).unwrap());
    let (mut names, mut others) = (a.names(), b.names());
    names.sort_unstable();
    others.sort_unstable();
    assert_eq!(names, others, "{what}");
    for name in names {
        let (x, y) = (a.tensor(name).unwrap(), b.tensor(name).unwrap());
        assert_eq!((x.dtype(), x.shape()), (y.dtype(), y.shape()), "{what}, {name}");
        if x.dtype() == Dtype::F64 {
            let read = |t: &TensorView<'_>| -> Vec<f64> {
                t.data()
                    .chunks_exact(8)
                    .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                    .collect()
            };
            near(&read(&x), &read(&y), relative, &format!("{what}, {name}"));
        } else {
            assert_eq!(x.data(), y.data(), "{what}, {name}");
        }
    }
}

fn main() {
    let check = std::env::args().any(|a| a == "--check");
    let (x0, gradients) = data();
    burn_run::in_double_precision();
    let mut text = String::from(
        "provenance = \"burn-optim 0.22.1, candle-optimisers 0.10.2; generated by testdata/generate/rust-peers\"\n\
         # Start and gradients are those of runs.toml.\n",
    );
    let (mut taken, mut equal) = (0, 0);
    for case in cases() {
        let name = case.name();
        let path = folder().join(format!("{name}.safetensors"));
        let mut run = case.start(&x0);
        let mut at = vec![];
        let mut ten = vec![];
        for (t, g) in gradients.iter().enumerate() {
            run.step(g);
            match t + 1 {
                5 if check => {
                    same_file(&run.state().bytes(), &std::fs::read(&path).unwrap(), 1e-13, &name)
                }
                5 => std::fs::write(&path, run.state().bytes()).unwrap(),
                10 => ten = run.state().bytes(),
                _ => {}
            }
            if (t + 1) % 5 == 0 {
                at.push(run.x());
            }
        }
        let hypers =
            case.hypers.iter().map(|(k, v)| format!("{k} = {v:?}")).collect::<Vec<_>>().join(", ");
        let (library, optimizer) = (case.library, case.optimizer);
        write!(
            text,
            "\n[[case]]\nname = \"{name}\"\noptimizer = \"{optimizer}\"\nlibrary = \"{library}\"\n"
        )
        .unwrap();
        writeln!(text, "hypers = {{ {hypers} }}").unwrap();
        if let Some((tolerance, reason)) = case.tolerance {
            writeln!(text, "tolerance = {tolerance:?}\nreason = \"{reason}\"").unwrap();
        }
        for (k, x) in at.iter().enumerate() {
            writeln!(text, "x{} = {x:?}", 5 * (k + 1)).unwrap();
        }
        if check {
            let back = std::fs::read(folder().join(format!("{name}.back.safetensors"))).unwrap();
            let mut again = case.start(&at[1]);
            if again.load(&back) {
                gradients[10..].iter().for_each(|g| again.step(g));
                near(&again.x(), &at[2], 1e-12, &name);
                taken += 1;
            } else {
                same_file(&back, &ten, 1e-12, &name);
                equal += 1;
            }
        }
    }
    let path = folder().join("rust.toml");
    if !check {
        std::fs::write(path, text).unwrap();
        return;
    }
    assert!(std::fs::read_to_string(path).unwrap() == text, "rust.toml differs");
    println!(
        "{taken} states taken in that thalweg exported, {equal} the same as the library's own"
    );
}
