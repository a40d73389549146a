//! A chain run coordinate by coordinate, as its formulas are written: no blocks, no instruction sets, no
//! threads, no storage formats. What the engine is compared with in tests.

use crate::chain::Chain;
use crate::engine::kernel::{join, neutral};
use crate::engine::stage::{AnyStage, Moment, Plain};
use crate::engine::{Element, Stage};
use crate::part::Supply;
use crate::rule::Flow;

/// A vector under a chain, in `f64`.
#[derive(Debug)]
pub struct Naive {
    chain: Chain,
    x: Vec<f64>,
    /// Per coordinate and stage.
    memory: Vec<Vec<Vec<f64>>>,
    /// Per stage.
    scalars: Vec<Vec<f64>>,
    t: u64,
}

/// A stage for `f64`.
fn of_f64(stage: &dyn AnyStage) -> &dyn Stage<f64> {
    f64::stage(stage)
}

impl Naive {
    /// A vector at `x`, which is one row to what looks at rows; `None` for chains with noise, which is a matter of
    /// the engine.
    pub fn new(chain: Chain, x: &[f64]) -> Option<Naive> {
        if chain.stages().iter().any(|stage| stage.supply() == Supply::Noise) {
            return None;
        }
        let first = |x: &f64, stage: &dyn AnyStage| {
            if stage.supply() == Supply::Row {
                return stage.first_scalars();
            }
            let mut values = vec![0.0; stage.slot_count()];
            let mut slots: Vec<&mut [f64]> = values.chunks_mut(1).collect();
            of_f64(stage).start(std::slice::from_ref(x), &mut slots);
            values
        };
        let stages = chain.stages().iter();
        let memory = x.iter().map(|x| stages.clone().map(|s| first(x, s.as_ref())).collect());
        let (memory, scalars) = (memory.collect(), stages.map(|s| s.first_scalars()).collect());
        Some(Naive { chain, x: x.to_vec(), memory, scalars, t: 0 })
    }

    /// Where the vector is.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Takes a step on this gradient.
    pub fn step(&mut self, g: &[f64]) {
        self.t += 1;
        let moment = self.moment();
        let mut formulas: Vec<Plain> = vec![];
        for k in 0..self.chain.stages().len() {
            let stage = self.chain.stages()[k].boxed_clone();
            let given = stage.supply() == Supply::Row;
            if given {
                self.scalars[k] = stage.first_scalars();
            }
            let skipped = given && stage.skips(&[g.len()]);
            for pass in 0..if skipped { 0 } else { stage.passes() } {
                let sums = self.sums(g, &formulas, stage.as_ref(), pass);
                stage.settle(moment, pass, &sums, &mut self.scalars[k]);
            }
            if given {
                self.memory.iter_mut().for_each(|memory| memory[k].clone_from(&self.scalars[k]));
            }
            formulas.push(stage.plain(moment, &self.scalars[k]));
        }
        let places = self.chain.stages().last().is_some_and(|stage| stage.is_geometry());
        for (i, g) in g.iter().enumerate() {
            let flow = flow(self.x[i], *g, &formulas, &mut self.memory[i]);
            self.x[i] = if places { flow.u } else { flow.x - flow.u };
        }
    }

    /// What a stage after those of these formulas gathers, one coordinate after another.
    fn sums(&self, g: &[f64], before: &[Plain], stage: &dyn AnyStage, pass: usize) -> Vec<f64> {
        let k = before.len();
        let terms = stage.plain_terms(self.moment(), pass, &self.scalars[k]);
        let mut sums: Vec<f64> = stage.join().iter().map(|how| neutral(*how)).collect();
        for (i, g) in g.iter().enumerate() {
            let flow = flow(self.x[i], *g, before, &mut self.memory[i].clone());
            let terms = terms(flow, &self.memory[i][k]);
            for ((sum, term), how) in sums.iter_mut().zip(terms).zip(stage.join()) {
                *sum = join(*how, *sum, term);
            }
        }
        sums
    }

    /// Where the vector is to be evaluated.
    pub fn view(&self) -> Vec<f64> {
        let mut seen = self.x.clone();
        for (k, stage) in self.chain.stages().iter().enumerate().filter(|(_, s)| s.has_view()) {
            for (i, x) in self.x.iter().enumerate() {
                let slots: Vec<&[f64]> = self.memory[i][k].chunks(1).collect();
                let (x, out) = (std::slice::from_ref(x), std::slice::from_mut(&mut seen[i]));
                of_f64(stage.as_ref()).view(self.moment(), &self.scalars[k], x, &slots, out);
            }
        }
        seen
    }

    /// A slot of every coordinate, or a scalar, by name.
    pub fn state(&self, name: &str) -> Option<Vec<f64>> {
        let found = self.chain.stages().iter().enumerate().find_map(|(k, stage)| {
            let slot = stage.slots().iter().position(|slot| slot.name == name);
            slot.map(|at| self.memory.iter().map(|memory| memory[k][at]).collect())
        });
        found.or_else(|| {
            self.chain.stages().iter().zip(&self.scalars).find_map(|(stage, scalars)| {
                let at = stage.scalars().iter().position(|scalar| scalar.name == name)?;
                Some(vec![scalars[at]])
            })
        })
    }

    fn moment(&self) -> Moment {
        Moment { t: self.t, clock: self.t.saturating_sub(1) }
    }
}

/// A coordinate through these formulas.
fn flow(x: f64, g: f64, formulas: &[Plain], memory: &mut [Vec<f64>]) -> Flow<f64> {
    let start = Flow { u: g, g, x };
    formulas.iter().zip(memory).fold(start, |flow, (formula, memory)| formula(flow, memory))
}
