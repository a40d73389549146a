//! Golden trajectories: what torch, optax, Keras and the official codes compute, in `testdata/`,
//! against every engine of this crate.

mod common;

use common::golden::{Case, cases};
use thalweg::{Isa, Optimizer, Param, registry};

/// The chain of a case as one stage or, with `staged`, as a chain put together at run time.
fn run(case: &Case, isa: Isa) -> Result<(), String> {
    let mut chain = registry::build(&case.optimizer, &[]).map_err(|e| e.to_string())?;
    for (name, value) in &case.hypers {
        chain.set(name, *value).map_err(|e| e.to_string())?;
    }
    if let Some(schedule) = &case.lr {
        chain.set("lr", schedule.clone()).map_err(|e| e.to_string())?;
    }
    let builder = Optimizer::<f64>::builder().rest("all", chain).isa(isa).threads(1);
    let mut opt = builder.build::<f64>().map_err(|e| e.to_string())?;
    let mut x = case.x0.clone();
    let shape = [x.len()];
    let mut recorded = case.at.iter().zip(&case.x).peekable();
    for (t, g) in (1..).zip(&case.gradients) {
        let mut params = [Param::new("x", &shape, &mut x, g)];
        let report = opt.step(&mut params).map_err(|e| e.to_string())?;
        assert!(report.applied());
        if let Some((_, want)) = recorded.next_if(|(at, _)| **at == t) {
            compare(&format!("x at step {t}"), &x, want, case.tolerance)?;
        }
        if recorded.peek().is_none() {
            break;
        }
    }
    for (name, want) in &case.slots {
        let values = match (opt.slot("x", name), opt.scalar("x", name)) {
            (Some(slot), _) => slot.to_vec(),
            (None, Some(scalar)) => vec![scalar],
            (None, None) => return Err(format!("has no slot {name}")),
        };
        compare(&format!("slot {name}"), &values, want, case.tolerance)?;
    }
    Ok(())
}

fn compare(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        if !((got - want).abs() <= tolerance * want.abs()) {
            let error = (got - want).abs() / want.abs();
            return Err(format!("{what}[{i}] is {got:e}, not {want:e} (off by {error:.1e})"));
        }
    }
    Ok(())
}

#[test]
fn trajectories() {
    let (mut failures, mut count) = (vec![], 0);
    for case in cases() {
        for isa in Isa::available() {
            count += 1;
            if let Err(why) = run(&case, isa) {
                failures.push(format!("{} / {} on {isa}: {why}", case.optimizer, case.name));
            }
        }
    }
    assert!(count > 300, "only {count} runs: are the trajectories there?");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}
