//! Golden trajectories: what torch, optax, Keras and the official codes compute, in `testdata/`,
//! against every engine of this crate.

mod common;

use common::golden::{Case, cases};
use thalweg::{Builder, Chain, Element, Isa, Optimizer, Param, registry};

/// How a chain is run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// As the registry has it: one compiled loop, if it has no fold.
    Compiled,
    /// Rule by rule over blocks, as a chain that is put together from a file at run time.
    Staged,
}

fn chain(case: &Case, path: Path) -> Result<Chain, thalweg::Error> {
    let mut chain = registry::build(&case.optimizer, &[])?;
    for (name, value) in &case.hypers {
        chain.set(name, *value)?;
    }
    if let Some(schedule) = &case.lr {
        chain.set("lr", schedule.clone())?;
    }
    if path == Path::Compiled {
        return Ok(chain);
    }
    let text = Optimizer::<f64>::builder().rest("all", chain).to_toml()?;
    let opt: Optimizer<f64> = Builder::from_toml(&text)?.build()?;
    let chains: Vec<&Chain> = opt.groups().map(|(_, chain)| chain).collect();
    Ok(chains[0].clone())
}

/// What two numbers of a trajectory may differ by.
trait Closeness: Element {
    fn tolerance(case: &Case, want: f64, start: f64) -> f64;
}

impl Closeness for f64 {
    fn tolerance(case: &Case, want: f64, _: f64) -> f64 {
        case.tolerance * want.abs()
    }
}

impl Closeness for f32 {
    /// Each of up to 60 steps rounds a parameter to 6e-8 of its size and the way to it by as much
    /// again, and sums of either sign lose digits where they cancel. What is allowed is 500 units
    /// in the last place of the largest number involved; the worst case needs 420 of them.
    fn tolerance(_: &Case, want: f64, start: f64) -> f64 {
        F32 * want.abs().max(start.abs()).max((want - start).abs())
    }
}

const F32: f64 = 500.0 * f32::EPSILON as f64 / 2.0;

fn run<E: Closeness>(case: &Case, isa: Isa, path: Path) -> Result<(), String> {
    let chain = chain(case, path).map_err(|e| e.to_string())?;
    let has_view = chain.has_view();
    let builder = Optimizer::<E>::builder().rest("all", chain).isa(isa).threads(1);
    let mut opt = builder.build::<E>().map_err(|e| e.to_string())?;
    let mut x: Vec<E> = case.x0.iter().map(|x| E::lift(*x)).collect();
    let shape = [x.len()];
    assert_eq!(!case.view.is_empty(), has_view, "{}", case.name);
    let mut recorded = case.at.iter().zip(&case.x).enumerate().peekable();
    for (t, g) in (1..).zip(&case.gradients) {
        let g: Vec<E> = g.iter().map(|g| E::lift(*g)).collect();
        let mut params = [Param::new("x", &shape, &mut x, &g)];
        let report = opt.step(&mut params).map_err(|e| e.to_string())?;
        assert!(report.applied());
        if let Some((row, (_, want))) = recorded.next_if(|(_, (at, _))| **at == t) {
            let tolerance = |k: usize| E::tolerance(case, want[k], case.x0[k]);
            compare(&format!("x at step {t}"), &widened(&x), want, tolerance)?;
            if let Some(want) = case.view.get(row) {
                let mut view = x.clone();
                opt.evaluation("x", &x, &mut view).map_err(|e| e.to_string())?;
                // An average is a sum over the way, of either sign.
                let way = |k: usize| {
                    let rows = case.x.iter().chain(&case.view).map(move |row| row[k]);
                    rows.fold(case.x0[k].abs(), |a, v| a.max(v.abs()))
                };
                let tolerance = |k: usize| E::tolerance(case, want[k], way(k));
                compare(&format!("view at step {t}"), &widened(&view), want, tolerance)?;
            }
        }
        if recorded.peek().is_none() {
            break;
        }
    }
    for (name, want) in &case.slots {
        let values = match (opt.slot("x", name), opt.scalar("x", name)) {
            (Some(slot), _) => widened(slot),
            (None, Some(scalar)) => vec![scalar],
            (None, None) => return Err(format!("has no slot {name}")),
        };
        // A slot is a sum of either sign, too; the largest of them says how large its terms were.
        let largest = want.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        let tolerance = |k: usize| E::tolerance(case, want[k], largest);
        compare(&format!("slot {name}"), &values, want, tolerance)?;
    }
    Ok(())
}

fn widened<E: Element>(values: &[E]) -> Vec<f64> {
    values.iter().map(|v| v.widen()).collect()
}

fn compare(
    what: &str,
    got: &[f64],
    want: &[f64],
    tolerance: impl Fn(usize) -> f64,
) -> Result<(), String> {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let close = (got - want).abs() <= tolerance(i);
        if !close {
            let error = (got - want).abs() / want.abs();
            return Err(format!("{what}[{i}] is {got:e}, not {want:e} (off by {error:.1e})"));
        }
    }
    Ok(())
}

fn every_case<E: Closeness>() {
    let (mut failures, mut count) = (vec![], 0);
    for case in cases() {
        for isa in Isa::available() {
            for path in [Path::Compiled, Path::Staged] {
                count += 1;
                if let Err(why) = run::<E>(&case, isa, path) {
                    let what = format!("{} / {}", case.optimizer, case.name);
                    failures.push(format!("{what}, {path:?} on {isa}: {why}"));
                }
            }
        }
    }
    assert!(count > 300, "only {count} runs: are the trajectories there?");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn trajectories() {
    every_case::<f64>();
}

#[test]
fn trajectories_in_single_precision() {
    every_case::<f32>();
}
