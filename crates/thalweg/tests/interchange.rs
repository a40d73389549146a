//! States of other libraries: taken over, a run goes on as it would have there; written back, the
//! same tensors. The files are written by `testdata/generate/interchange.py` (torch, optax) and
//! `testdata/generate/rust-peers` (burn, candle-optimisers).

mod common;

use std::path::{Path, PathBuf};

use common::walk::near_relative;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use thalweg::recipes::*;
use thalweg::{Chain, Error, Library, Optimizer, Param, Schedule, registry};

const WEIGHT: &[usize] = &[2, 3];
const BIAS: &[usize] = &[3];
const PARAMS: &[(&str, &[usize])] = &[("layer.weight", WEIGHT), ("layer.bias", BIAS)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("testdata/interchange")
}

struct Case {
    /// What its files are called.
    name: String,
    library: Library,
    chain: Chain,
    x: [Vec<f64>; 2],
    tolerance: f64,
}

/// The cases, and the gradients of all steps.
fn cases() -> (Vec<Case>, Vec<Vec<f64>>) {
    let [runs, rust] = ["runs.toml", "rust.toml"].map(|file| -> toml::Table {
        let text = std::fs::read_to_string(folder().join(file)).expect("a list of runs");
        text.parse().expect("TOML")
    });
    let numbers = |value: &toml::Value| -> Vec<f64> {
        let list = value.as_array().expect("a list").iter();
        list.map(|v| v.as_float().expect("a number")).collect()
    };
    let gradients = runs["g"].as_array().expect("a list").iter().map(numbers).collect();
    let case = |case: &toml::Value| {
        let optimizer = case["optimizer"].as_str().expect("a name");
        let hypers = case["hypers"].as_table().expect("hypers").iter();
        let hypers: Vec<(&str, f64)> =
            hypers.map(|(k, v)| (k.as_str(), v.as_float().expect("a number"))).collect();
        let library = case["library"].as_str().expect("a library");
        let library = Library::ALL.into_iter().find(|l| l.to_string() == library);
        Case {
            name: case.get("name").map_or(optimizer, |n| n.as_str().expect("a name")).to_owned(),
            chain: registry::build(optimizer, &hypers).expect("a registry entry"),
            library: library.expect("a known library"),
            x: [numbers(&case["x5"]), numbers(&case["x10"])],
            tolerance: case.get("tolerance").map_or(1e-12, |t| t.as_float().expect("a number")),
        }
    };
    let all = [&runs, &rust].map(|table| table["case"].as_array().expect("cases"));
    (all.into_iter().flatten().map(case).collect(), gradients)
}

fn state(optimizer: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{optimizer}.safetensors"))).expect("a state")
}

/// Steps with weight and bias in one list of numbers.
fn walk(opt: &mut Optimizer<f64>, x: &mut [f64], gradients: &[Vec<f64>]) {
    let (weight, bias) = x.split_at_mut(6);
    for g in gradients {
        let mut params = [
            Param::new("layer.weight", WEIGHT, weight, &g[..6]),
            Param::new("layer.bias", BIAS, bias, &g[6..]),
        ];
        assert!(opt.step(&mut params).expect("a step").applied());
    }
}

fn fresh(chain: Chain) -> Optimizer<f64> {
    Optimizer::<f64>::new(chain).expect("a valid chain")
}

/// Every tensor as text, name, type, shape and bytes, and the number of those that have one.
///
/// torch's numbers are without their type: it is that of the run's default, and `F32` here for
/// counters, `F64` for others.
fn tensors(bytes: &[u8], library: Library) -> Vec<(String, Option<f64>)> {
    let file = SafeTensors::deserialize(bytes).expect("safetensors");
    let text = |name: &str, t: &TensorView<'_>| {
        let (dtype, shape, data) = (t.dtype(), t.shape(), t.data());
        let number = match dtype {
            Dtype::F32 => data.try_into().map(|b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => data.try_into().map(f64::from_le_bytes),
            _ => Ok(f64::NAN),
        };
        match number {
            Ok(number) if shape.is_empty() && !number.is_nan() => match library {
                Library::Torch => (name.to_owned(), Some(number)),
                _ => (format!("{name} {dtype:?}"), Some(number)),
            },
            _ => (format!("{name} {dtype:?} {shape:?} {data:?}"), None),
        }
    };
    let mut all: Vec<_> = file.tensors().iter().map(|(name, t)| text(name, t)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The same names, shapes and bits; numbers that stand alone may differ in their last digits, since
/// the library has multiplied what is computed here.
#[track_caller]
fn same_file(a: &[u8], b: &[u8], library: Library, what: &str) {
    let (a, b) = (tensors(a, library), tensors(b, library));
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.0, b.0, "{what}");
        match (a.1, b.1) {
            (Some(x), Some(y)) => near_relative(x, y, 1e-13),
            (x, y) => assert_eq!(x.is_some(), y.is_some(), "{what}"),
        }
    }
}

#[test]
fn five_steps_there_and_five_here_are_ten_there() {
    let (cases, gradients) = cases();
    let of = |library| cases.iter().filter(|case| case.library == library).count();
    assert_eq!(Library::ALL.map(of), [18, 26, 14, 16]);
    for Case { name, library, chain, x: [five, ten], tolerance } in cases {
        let mut opt = fresh(chain);
        let bytes = state(&name);
        let plan = opt.plan_import(library, PARAMS, &bytes).expect("a state that fits");
        assert_eq!(opt.params().count(), 0, "a plan changes nothing");
        let imported = opt.import_bytes(library, PARAMS, &bytes).expect("a state that fits");
        assert_eq!(imported, plan);
        // What was read is written back.
        same_file(&opt.export_bytes(library).expect("names"), &bytes, library, &name);
        let mut x = five;
        walk(&mut opt, &mut x, &gradients[5..10]);
        for (got, want) in x.iter().zip(&ten) {
            near_relative(*got, *want, tolerance);
        }
        // What the generator lets the library go on from.
        let back = opt.export_bytes(library).expect("names");
        let path = folder().join(format!("{name}.back.safetensors"));
        if std::env::var_os("UPDATE_INTERCHANGE").is_some() {
            std::fs::write(&path, &back).expect("written");
        }
        let committed = std::fs::read(&path).expect("`UPDATE_INTERCHANGE=1` writes it");
        same_file(&back, &committed, library, &name);
    }
}

#[test]
fn every_row_of_the_table_is_in_a_state_of_its_library() {
    let mut seen = vec![];
    for Case { name, library, chain, .. } in cases().0 {
        let imported = fresh(chain).import_bytes(library, PARAMS, &state(&name)).expect("fits");
        seen.extend(imported.mapped.into_iter().map(|(tensor, param, slot)| {
            let own = tensor.strip_prefix(&format!("{param}.")).map(str::to_owned);
            (library, own.unwrap_or(tensor), slot)
        }));
    }
    for library in Library::ALL {
        for row in library.names() {
            let row = (library, row.tensor.to_owned(), row.slot.to_owned());
            assert!(seen.contains(&row), "{row:?}");
        }
    }
}

#[test]
fn counters_set_the_step_and_the_clock() {
    let rate = Schedule::linear(0.1, 0.0, 10);
    let chain = || adam().with("lr", rate.clone()).expect("in range");
    let mut opt = fresh(chain());
    let imported = opt.import_bytes(Library::Torch, PARAMS, &state("adam")).expect("fits");
    assert_eq!((imported.steps, opt.steps()), (5, 5));
    assert!(opt.params().all(|(_, t)| t == 5));
    let row = |tensor: &str, param: &str, slot: &str| {
        (tensor.to_owned(), param.to_owned(), slot.to_owned())
    };
    assert_eq!(imported.mapped.len(), 6);
    assert_eq!(imported.mapped[0], row("layer.weight.exp_avg", "layer.weight", "m"));
    assert_eq!(imported.mapped[5], row("layer.bias.step", "layer.bias", "t"));
    // torch's SGD has no counter: past the first step, unless the file says where.
    let mut opt = fresh(momentum());
    let imported = opt.import_bytes(Library::Torch, PARAMS, &state("momentum")).expect("fits");
    assert_eq!(imported.steps, 1);
    let with =
        with_tensor(&state("momentum"), "layer.bias.step", Dtype::F64, &[], &7f64.to_le_bytes());
    let imported = opt.import_bytes(Library::Torch, PARAMS, &with).expect("fits");
    assert_eq!(imported.steps, 7);
}

#[test]
fn optax_stores_the_opposite_sign_where_the_rate_is_in_the_buffer() {
    let bytes = state("rmsprop_momentum@optax");
    let mut opt = fresh(rmsprop_momentum_optax());
    let _ = opt.import_bytes(Library::Optax, PARAMS, &bytes).expect("fits");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let trace = file.tensor("layer.bias.trace").expect("a trace");
    let first = f64::from_le_bytes(trace.data()[..8].try_into().expect("eight bytes"));
    assert_eq!(opt.slot("layer.bias", "buf").expect("a slot")[0], -first);
}

/// The file with a tensor more, or in place of one.
fn with_tensor(bytes: &[u8], name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).expect("safetensors");
    let mut all = file.tensors();
    all.retain(|(n, _)| n != name);
    all.push((name.to_owned(), TensorView::new(dtype, shape.to_vec(), data).expect("a tensor")));
    safetensors::serialize(all, None).expect("safetensors")
}

fn without(bytes: &[u8], name: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).expect("safetensors");
    let mut all = file.tensors();
    all.retain(|(n, _)| n != name);
    safetensors::serialize(all, None).expect("safetensors")
}

#[track_caller]
fn refused(opt: &mut Optimizer<f64>, library: Library, bytes: &[u8], wanted: &str) {
    let before = opt.save_bytes().expect("a checkpoint");
    let message = opt.import_bytes(library, PARAMS, bytes).expect_err("an error").to_string();
    assert!(message.contains(wanted), "{message}");
    assert_eq!(opt.save_bytes().expect("a checkpoint"), before, "nothing is changed");
}

#[test]
fn what_does_not_fit_is_named() {
    let torch = Library::Torch;
    let (bytes, mut opt) = (state("adam"), fresh(adam()));
    refused(
        &mut opt,
        torch,
        &without(&bytes, "layer.bias.exp_avg"),
        "lacks the tensor \"layer.bias.exp_avg\"",
    );
    refused(
        &mut opt,
        torch,
        &without(&bytes, "layer.bias.step"),
        "lacks the tensor \"layer.bias.step\"",
    );
    let more = with_tensor(&bytes, "head.exp_avg", Dtype::F64, &[0], &[]);
    refused(&mut opt, torch, &more, "belong to no parameter or slot here: \"head.exp_avg\"");
    let flat = with_tensor(&bytes, "layer.bias.exp_avg", Dtype::F64, &[1], &[0; 8]);
    refused(&mut opt, torch, &flat, "\"layer.bias.exp_avg\" is F64 [1], not F64 [3]");
    let whole = with_tensor(&bytes, "layer.bias.exp_avg", Dtype::I64, &[3], &[0; 24]);
    refused(&mut opt, torch, &whole, "\"layer.bias.exp_avg\" is I64 [3], not F64 [3]");
    let mut narrow = Optimizer::<f32>::new(adam()).expect("a valid chain");
    let wide = narrow.import_bytes(torch, PARAMS, &bytes).expect_err("an error").to_string();
    assert!(wide.contains("\"layer.weight.exp_avg\" is F64 [2, 3], not F32 [2, 3]"), "{wide}");
    let half = with_tensor(&bytes, "layer.bias.step", Dtype::F32, &[], &2.5f32.to_le_bytes());
    refused(&mut opt, torch, &half, "\"layer.bias.step\" (F32 []) is not a number of steps");
    refused(&mut opt, torch, b"nonsense", "torch state: ");
    refused(&mut opt, Library::Optax, &bytes, "optax state: lacks the tensor \"layer.weight.mu\"");
    // A state of another method, a slot without a name, the maximum of something else.
    refused(
        &mut fresh(amsgrad()),
        torch,
        &bytes,
        "lacks the tensor \"layer.weight.max_exp_avg_sq\"",
    );
    let other = with_tensor(&state("ademamix@optax"), "count_m2", Dtype::I32, &[], &[3, 0, 0, 0]);
    let wanted = "\"count_m2\" stands for 3 steps of \"layer.weight\", another counter for 5";
    refused(&mut fresh(ademamix_optax()), Library::Optax, &other, wanted);
    let none = with_tensor(&state("schedule_free_sgd"), "step_count", Dtype::I32, &[], &[0; 4]);
    let wanted = "\"step_count\" (I32 []) is not a number of steps";
    refused(&mut fresh(schedule_free_sgd()), Library::Optax, &none, wanted);
    let rows = with_tensor(&state("novograd"), "layer.bias.nu", Dtype::F64, &[1], &[0; 8]);
    let wanted = "\"layer.bias.nu\" (F64 [1]) is not one number";
    refused(&mut fresh(novograd()), Library::Optax, &rows, wanted);
    refused(&mut fresh(nadam_paper()), torch, &state("nadam"), "NAdam");
    refused(&mut fresh(adan()), Library::Optax, &state("adan@optax"), "Adan");
    refused(&mut fresh(adan_optax()), Library::Burn, &state("adan@burn"), "Adan");
    refused(&mut fresh(lamb()), torch, &state("adam"), "TrustRatio");
    refused(&mut fresh(lamb_keras()), Library::Burn, &state("lamb@burn"), "TrustRatio");
    refused(&mut fresh(lars()), torch, &state("momentum"), "TrustRatio");
    refused(&mut fresh(meta_egd()), torch, &bytes, "MetaEgd");
    refused(&mut fresh(egdd()), torch, &bytes, "Egdd");
    refused(&mut fresh(amsgrad_optax()), torch, &state("amsgrad"), "AmsGrad");
    refused(&mut fresh(momentum_keras()), torch, &state("momentum"), "Momentum");
    let unknown = opt.import_bytes(torch, &PARAMS[..1], &bytes).expect_err("an error");
    assert!(unknown.to_string().contains("\"layer.bias.exp_avg\""), "{unknown}");
    let twice = opt.import_bytes(torch, &[PARAMS[0], PARAMS[0]], &bytes);
    assert!(matches!(twice, Err(Error::Duplicate { .. })));
    // Parameters that are known already must be listed, as they are.
    let _ = opt.import_bytes(torch, PARAMS, &bytes).expect("fits");
    let missing = opt.import_bytes(torch, &PARAMS[..1], &bytes).expect_err("an error");
    assert!(missing.to_string().contains("parameter \"layer.bias\" is not listed"), "{missing}");
    let turned: &[usize] = &[3, 2];
    let shape = opt.import_bytes(torch, &[("layer.weight", turned), PARAMS[1]], &bytes);
    assert!(
        shape.expect_err("an error").to_string().contains("is listed as [3, 2], but is [2, 3]")
    );
}

#[test]
fn a_parameter_that_never_had_a_gradient_has_no_state_there() {
    let names = ["exp_avg", "exp_avg_sq", "step"].map(|name| format!("layer.bias.{name}"));
    let bytes = names.iter().fold(state("adam"), |bytes, name| without(&bytes, name));
    let mut opt = fresh(adam());
    let imported = opt.import_bytes(Library::Torch, PARAMS, &bytes).expect("a state");
    assert_eq!((imported.without_state, imported.steps), (vec!["layer.bias".to_owned()], 5));
    let (mut w, mut b) = ([1.0; 6], [1.0; 3]);
    let mut list = PARAMS.iter().zip([&mut w[..], &mut b]);
    let mut param =
        |g| list.next().map(|((name, shape), x)| Param::new(name, shape, x, g)).unwrap();
    let report = opt.step(&mut [param(&[0.5; 6]), param(&[0.5; 3])]).expect("a step");
    assert_eq!(*report.first_met, ["layer.bias"]);
    // A method that remembers nothing has no tensor of anybody.
    let none =
        safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView)>::new(), None);
    let imported = fresh(gd()).import_bytes(Library::Torch, PARAMS, &none.expect("a file"));
    assert_eq!(imported.expect("a state").without_state, [""; 0]);
}

#[test]
fn one_counter_cannot_stand_for_different_steps() {
    let mut opt = fresh(adam_optax());
    let (mut x, mut y) = ([1.0], [1.0]);
    let mut step = |opt: &mut Optimizer<f64>, both: bool| {
        let a = Param::new("a", &[1], &mut x, &[0.1]);
        let b = Param::new("b", &[1], &mut y, &[0.1]);
        let mut params = vec![a];
        params.extend(both.then_some(b));
        assert!(opt.step(&mut params).expect("a step").applied());
    };
    step(&mut opt, false);
    step(&mut opt, true);
    let error = opt.export_bytes(Library::Optax).expect_err("an error").to_string();
    assert!(error.contains("\"b\" has taken 1 steps"), "{error}");
    assert!(opt.export_bytes(Library::Torch).is_ok());
}

#[test]
fn candle_counts_the_step_that_comes_next() {
    let (_, gradients) = cases();
    for (make, t) in [(adam as fn() -> Chain, 4), (nadam, 4), (adagrad, 3)] {
        let (mut opt, mut x) = (fresh(make()), vec![0.5; 9]);
        walk(&mut opt, &mut x, &gradients[..3]);
        let bytes = opt.export_bytes(Library::Candle).expect("names");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(file.tensor("t").expect("a counter").data(), i64::to_le_bytes(t));
        let imported = fresh(make()).import_bytes(Library::Candle, PARAMS, &bytes).expect("fits");
        assert_eq!(imported.steps, 3);
    }
}

/// What follows from the steps taken or from other slots is written, and may be missing.
#[test]
fn what_can_be_computed_is_not_asked_for() {
    let bytes = state("asgd");
    let mut opt = fresh(asgd());
    let bare = without(&without(&bytes, "layer.bias.eta"), "layer.bias.mu");
    let imported = opt.import_bytes(Library::Torch, PARAMS, &bare).expect("fits");
    assert_eq!((imported.steps, imported.mapped.len()), (5, 6));
    let lists = with_tensor(&bytes, "layer.bias.eta", Dtype::F64, &[1], &[0; 8]);
    refused(&mut opt, Library::Torch, &lists, "\"layer.bias.eta\" (F64 [1]) is not one number");
    let (burn, bytes) = (Library::Burn, state("rmsprop_centered@burn"));
    let (mut opt, name) = (fresh(rmsprop_centered()), "layer.bias.centered.avg");
    let imported = opt.import_bytes(burn, PARAMS, &without(&bytes, name)).expect("fits");
    assert_eq!(imported.mapped.len(), 5);
    same_file(&opt.export_bytes(burn).expect("names"), &bytes, burn, "with what was missing");
    let flat = with_tensor(&bytes, name, Dtype::F64, &[1], &[0; 8]);
    let wanted = "\"layer.bias.centered.avg\" is F64 [1], not F64 [3]";
    refused(&mut opt, burn, &flat, wanted);
}

#[test]
fn conventions_print_the_table() {
    let mut table = String::from(
        "| library | optimizers there | block here | slot | name there |\n|---|---|---|---|---|\n",
    );
    for library in Library::ALL {
        for name in library.names() {
            let sign = match (name.sign < 0.0, name.ahead) {
                (true, _) => ", opposite sign",
                (_, 0) => "",
                (_, _) => ", of the next step",
            };
            table += &format!(
                "| {library} | {} | `{}` | `{}` | `{}`{sign} |\n",
                name.of, name.block, name.slot, name.tensor
            );
        }
    }
    let path = root().join("CONVENTIONS.md");
    let page = std::fs::read_to_string(&path).expect("CONVENTIONS.md");
    let (begin, end) = ("<!-- generated: names -->\n", "<!-- end -->");
    let (before, rest) = page.split_once(begin).expect("the table's begin");
    let (now, after) = rest.split_once(end).expect("the table's end");
    let want = format!("\n{table}\n");
    if std::env::var_os("UPDATE_BOOK").is_some() {
        let text = format!("{before}{begin}{want}{end}{after}");
        std::fs::write(&path, text).expect("written");
    } else {
        assert_eq!(now, want, "`UPDATE_BOOK=1 cargo test --test interchange` prints it");
    }
}

/// The slots of the older table say the same as the names here.
#[test]
fn names_of_state_agree_with_their_section() {
    let page = std::fs::read_to_string(root().join("CONVENTIONS.md")).expect("CONVENTIONS.md");
    let section = page.split("## Names of state").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("the section's text");
    for library in [Library::Torch, Library::Optax] {
        for name in library.names().filter(|n| !matches!(n.slot, "t" | "computed")) {
            let row = format!("| `{}` |", name.slot);
            let row = section.lines().find(|l| l.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("no row for {:?}", name.slot));
            assert!(row.contains(&format!("`{}`", name.tensor)), "{name:?}: {row}");
        }
    }
}
