//! Golden trajectories: what torch, optax, Keras and the official codes compute, in `testdata/`,
//! against every engine of this crate.

mod common;

use common::golden::{Case, cases};
use thalweg::naive::Naive;
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

/// What follows a trajectory.
trait Walker {
    fn step(&mut self, g: &[f64]) -> Result<(), String>;
    fn x(&self) -> Vec<f64>;
    /// Where the parameter is evaluated.
    fn view(&self) -> Result<Vec<f64>, String>;
    /// A slot, or the one value of a scalar.
    fn state(&self, name: &str) -> Option<Vec<f64>>;
}

/// The optimizer of the library.
struct Engine<E: Element> {
    opt: Optimizer<E>,
    x: Vec<E>,
}

impl<E: Closeness> Engine<E> {
    fn new(case: &Case, isa: Isa, path: Path) -> Result<Engine<E>, String> {
        let chain = chain(case, path).map_err(|e| e.to_string())?;
        let builder = Optimizer::<E>::builder().rest("all", chain).isa(isa).threads(1);
        let opt = builder.build::<E>().map_err(|e| e.to_string())?;
        Ok(Engine { opt, x: case.x0.iter().map(|x| E::lift(*x)).collect() })
    }
}

impl<E: Closeness> Walker for Engine<E> {
    fn step(&mut self, g: &[f64]) -> Result<(), String> {
        let g: Vec<E> = g.iter().map(|g| E::lift(*g)).collect();
        let shape = [g.len()];
        let mut params = [Param::new("x", &shape, &mut self.x, &g)];
        let report = self.opt.step(&mut params).map_err(|e| e.to_string())?;
        assert!(report.applied());
        Ok(())
    }

    fn x(&self) -> Vec<f64> {
        widened(&self.x)
    }

    fn view(&self) -> Result<Vec<f64>, String> {
        let mut view = self.x.clone();
        self.opt.evaluation("x", &self.x, &mut view).map_err(|e| e.to_string())?;
        Ok(widened(&view))
    }

    fn state(&self, name: &str) -> Option<Vec<f64>> {
        let slot = self.opt.slot("x", name).map(widened);
        slot.or_else(|| self.opt.scalar("x", name).map(|scalar| vec![scalar]))
    }
}

impl Walker for Naive {
    fn step(&mut self, g: &[f64]) -> Result<(), String> {
        Naive::step(self, g);
        Ok(())
    }

    fn x(&self) -> Vec<f64> {
        Naive::x(self).to_vec()
    }

    fn view(&self) -> Result<Vec<f64>, String> {
        Ok(Naive::view(self))
    }

    fn state(&self, name: &str) -> Option<Vec<f64>> {
        Naive::state(self, name)
    }
}

/// Follows a trajectory in numbers of type `E`.
fn follow<E: Closeness>(case: &Case, walker: &mut dyn Walker) -> Result<(), String> {
    let mut recorded = case.at.iter().zip(&case.x).enumerate().peekable();
    for (t, g) in (1..).zip(&case.gradients) {
        walker.step(g)?;
        if let Some((row, (_, want))) = recorded.next_if(|(_, (at, _))| **at == t) {
            let tolerance = |k: usize| E::tolerance(case, want[k], case.x0[k]);
            compare(&format!("x at step {t}"), &walker.x(), want, tolerance)?;
            if let Some(want) = case.view.get(row) {
                // An average is a sum over the way, of either sign.
                let way = |k: usize| {
                    let rows = case.x.iter().chain(&case.view).map(move |row| row[k]);
                    rows.fold(case.x0[k].abs(), |a, v| a.max(v.abs()))
                };
                let tolerance = |k: usize| E::tolerance(case, want[k], way(k));
                compare(&format!("view at step {t}"), &walker.view()?, want, tolerance)?;
            }
        }
        if recorded.peek().is_none() {
            break;
        }
    }
    for (name, want) in &case.slots {
        let values = walker.state(name).ok_or_else(|| format!("has no slot {name}"))?;
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
    let cases = cases();
    assert!(cases.len() >= 820, "only {} cases: which trajectories are gone?", cases.len());
    for case in cases {
        for isa in Isa::available() {
            for path in [Path::Compiled, Path::Staged] {
                count += 1;
                let engine = Engine::<E>::new(&case, isa, path);
                if let Err(why) = engine.and_then(|mut e| follow::<E>(&case, &mut e)) {
                    let what = format!("{} / {}", case.optimizer, case.name);
                    failures.push(format!("{what}, {path:?} on {isa}: {why}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

/// The formulas alone, coordinate by coordinate: where the engine fails and this does not, it is the
/// engine's fault.
#[test]
fn trajectories_of_the_formulas_themselves() {
    let mut failures = vec![];
    for case in cases() {
        let chain = chain(&case, Path::Compiled).expect("a valid case");
        assert_eq!(!case.view.is_empty(), chain.has_view(), "{}", case.name);
        let mut naive = Naive::new(chain, &case.x0).expect("no golden has noise");
        if let Err(why) = follow::<f64>(&case, &mut naive) {
            failures.push(format!("{} / {}: {why}", case.optimizer, case.name));
        }
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn trajectories() {
    every_case::<f64>();
}

#[test]
fn trajectories_in_single_precision() {
    every_case::<f32>();
}
