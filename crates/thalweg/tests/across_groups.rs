//! Distances and scales that are estimated over all groups: groups do not change them.

use std::path::Path;

use thalweg::rules::{ClipNorm, DAdaptAdam, Dowg};
use thalweg::{Chain, Optimizer, Param, recipes, registry};

const NAMES: [&str; 5] = ["a.bias", "b.weight", "c.bias", "d.weight", "e.norm"];

/// Trains five tensors under these groups, patterns and chains; every fourth step one of them waits.
fn train(groups: &[(&str, Chain)]) -> Vec<Vec<f64>> {
    let mut builder = Optimizer::<f64>::builder().threads(1);
    for (pattern, chain) in groups {
        builder = builder.group(pattern, *pattern, chain.clone());
    }
    let mut opt = builder.build::<f64>().expect("groups");
    let size = |k: usize| 3 + 5 * k;
    let mut x: Vec<Vec<f64>> =
        (0..5).map(|k| (0..size(k)).map(|i| 0.5 + 0.1 * (k + i) as f64).collect()).collect();
    for step in 0..30 {
        let gradient = |k: usize| -> Vec<f64> {
            (0..size(k))
                .map(|i| ((step * 7 + i * 3 + k) as f64).sin() * 10f64.powi(k as i32))
                .collect()
        };
        let gradients: Vec<Vec<f64>> = (0..5).map(gradient).collect();
        let waits = |k: usize| step % 4 == 3 && k == step % 5;
        let shapes: Vec<[usize; 1]> = (0..5).map(|k| [size(k)]).collect();
        let mut params: Vec<Param<'_, f64>> = (x.iter_mut().enumerate())
            .map(|(k, x)| match waits(k) {
                true => Param::without_gradient(NAMES[k], &shapes[k], x),
                false => Param::new(NAMES[k], &shapes[k], x, &gradients[k]),
            })
            .collect();
        assert!(opt.step(&mut params).expect("a step").applied());
    }
    x
}

fn split(chain: &Chain) -> Vec<Vec<f64>> {
    train(&[("*.norm", chain.clone()), ("*.bias", chain.clone()), ("*.weight", chain.clone())])
}

#[test]
fn groups_do_not_change_what_is_estimated_over_all() {
    let mut over_all = vec![];
    for entry in registry::all() {
        let chain = (entry.chain)();
        let text = chain.formulas().to_string();
        let together = train(&[("*", chain.clone())]);
        assert!(together.iter().flatten().all(|x| x.is_finite()), "{}", entry.name);
        if text.contains("Σ_groups") {
            over_all.push(entry.name);
        }
        // One gain or distance per group is the point of these.
        let of_a_group = text.contains("Σ_group") && !text.contains("Σ_groups");
        assert_eq!(split(&chain) == together, !of_a_group, "{}", entry.name);
    }
    for name in ["prodigy", "prodigy_guarded", "d_adapt_sgd", "d_adapt_adam", "mechanic", "dowg"] {
        assert!(over_all.contains(&name), "{name}: {over_all:?}");
    }
}

#[test]
fn chains_need_not_have_the_part_at_the_same_place() {
    // A limit that nothing reaches: one stage more, and the same numbers.
    let idle = || Chain::new(()).fold(ClipNorm::default().max_norm(1e30));
    for plain in [recipes::prodigy(), recipes::dowg(), recipes::mechanic()] {
        let longer = idle().append(plain.clone());
        let longest = idle().append(idle()).append(plain.clone());
        let want = train(&[("*", plain.clone())]);
        assert!(train(&[("*.norm", longer), ("*.bias", plain), ("*.weight", longest)]) == want);
    }
}

#[test]
fn a_group_without_the_part_goes_its_own_way() {
    let adam = recipes::adam();
    let mixed =
        train(&[("*.norm", adam.clone()), ("*.bias", adam), ("*.weight", recipes::prodigy())]);
    let alone = train(&[("*", recipes::prodigy())]);
    assert!(mixed != alone);
}

#[test]
fn a_group_at_rate_zero_stands_still() {
    let still = recipes::prodigy().with("lr", 0.0).expect("a rate");
    let x = train(&[("*.norm", still), ("*.{bias,weight}", recipes::prodigy())]);
    let start: Vec<f64> = (0..23).map(|i| 0.5 + 0.1 * (4 + i) as f64).collect();
    assert_eq!(x[4], start);
    assert!(x[0][0] != 0.5);
}

#[test]
fn two_parts_in_opposite_orders_are_an_error() {
    let chain = |dowg_first: bool| match dowg_first {
        true => Chain::new(()).fold(Dowg::default()).fold(DAdaptAdam::default()),
        false => Chain::new(()).fold(DAdaptAdam::default()).fold(Dowg::default()),
    };
    let build = |second: bool| {
        let builder = Optimizer::<f64>::builder().group("one", "*.bias", chain(true));
        builder.rest("two", chain(second)).build::<f64>().map(drop)
    };
    assert!(build(true).is_ok());
    let sentence = build(false).expect_err("an error").to_string();
    assert!(sentence.contains("\"one\"") && sentence.contains("same order"), "{sentence}");
}

fn numbers(value: &toml::Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_float().expect("a number")).collect()
}

fn rows(value: &toml::Value) -> Vec<Vec<f64>> {
    value.as_array().expect("a list").iter().map(numbers).collect()
}

#[test]
fn two_groups_as_in_the_official_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/groups.toml");
    let table: toml::Table =
        std::fs::read_to_string(file).expect("the file").parse().expect("TOML");
    let cases = table["case"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = case["optimizer"].as_str().expect("a name");
        let first = numbers(&toml::Value::Array(vec![table["d0"].clone()]))[0];
        let chain = |decay: f64| {
            let chain = registry::build(name, &[("d0", first)]).expect("an optimizer");
            if name == "d_adapt_sgd" { chain } else { chain.with("decay", decay).expect("a decay") }
        };
        let decay = numbers(&table["decay"]);
        let builder = Optimizer::<f64>::builder().group("one", "a", chain(decay[0]));
        let mut opt = builder.group("two", "b", chain(decay[1])).build::<f64>().expect("groups");
        let mut x = rows(&table["x0"]);
        for g in table["gradients"].as_array().expect("steps") {
            let (g, [a, b]) = (rows(g), &mut x[..]) else { panic!("two tensors") };
            let mut params = [Param::new("b", &[3], b, &g[1]), Param::new("a", &[4], a, &g[0])];
            assert!(opt.step(&mut params).expect("a step").applied());
        }
        let want = rows(&case["x"]);
        for (x, want) in x.iter().flatten().zip(want.iter().flatten()) {
            assert!((x - want).abs() <= 1e-11 * want.abs(), "{name}: {x} {want}");
        }
    }
}

#[test]
fn a_newcomer_does_not_set_back_the_others() {
    // Its gradient is zero, so all that it could change is the step that the estimate is made for.
    let run = |name: &str| {
        let chain = recipes::prodigy_guarded().with("d0", 1e-2).expect("d0");
        let mut opt = Optimizer::<f64>::new(chain).expect("a chain");
        let (mut m, mut late) = ([1.0, -2.0], [1.0]);
        for t in 0..6 {
            let g = m.map(|x| 0.5 * x);
            let mut params = vec![Param::new("m", &[2], &mut m, &g)];
            if t > 2 {
                params.push(Param::new(name, &[1], &mut late, &[0.0]));
            }
            assert!(opt.step(&mut params).expect("a step").applied());
        }
        m
    };
    assert_eq!(run("a"), run("z"));
}
