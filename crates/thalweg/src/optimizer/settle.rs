//! Stages made ready: the reading passes they need, their scalars, their kernels.

use super::Optimizer;
use crate::engine::Element;
use crate::engine::drive::{Prepared, Sweep};
use crate::engine::given::Given;
use crate::engine::kernel::Gather;
use crate::engine::stage::{AnyStage, Moment};
use crate::error::Error;
use crate::part::{Scope, Supply};

/// The scalars of every tensor and group of the step, settled but not yet kept.
pub(super) struct Scalars {
    /// Per tensor of the step and stage; empty for tensors without scalars of their own.
    pub(super) tensor: Vec<Vec<Vec<f64>>>,
    /// Per group and stage.
    pub(super) group: Vec<Vec<Vec<f64>>>,
    /// The first tensor that follows each prepared chain.
    pub(super) follower: Vec<usize>,
    /// Per tensor: coordinates in a row of it, and the scalars of its rows at the stage being prepared.
    pub(super) rows: Vec<(usize, Vec<f64>)>,
}

/// A tensor of the step, as the user knows it.
pub(super) type Face<'p> = (&'p str, &'p [usize]);

impl<E: Element> Optimizer<E> {
    /// Makes the kernels of every chain, stage by stage, with the reading passes they need.
    pub(super) fn prepare<'p>(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        scalars: &mut Scalars,
        face: impl Fn(usize) -> Face<'p>,
    ) -> Result<Vec<Prepared<E>>, Error> {
        let mut prepared: Vec<Prepared<E>> = chains
            .iter()
            .map(|(group, _)| {
                let stages = self.groups[*group].chain.stages();
                let mut first_slot = vec![0];
                for stage in stages {
                    first_slot.push(first_slot[first_slot.len() - 1] + stage.slots().len());
                }
                Prepared { kernels: vec![], first_slot, given: vec![] }
            })
            .collect();
        let depth = chains.iter().map(|c| self.stages(c).len()).max().unwrap_or(0);
        for stage in 0..depth {
            for group in 0..self.groups.len() {
                self.settle(sweep, chains, &prepared, group, stage, scalars, &face)?;
            }
            for (k, chain) in chains.iter().enumerate() {
                if let Some(part) = self.stages(chain).get(stage) {
                    let values = self.scalars_of(scalars, chain.0, stage, k);
                    let kernel = E::stage(part.as_ref()).kernel(self.isa, chain.1, values);
                    prepared[k].kernels.push(kernel);
                    prepared[k].given.push(given(part.as_ref(), chain.1, scalars, k));
                }
            }
        }
        Ok(prepared)
    }

    fn stages(&self, chain: &(usize, Moment)) -> &[Box<dyn AnyStage>] {
        self.groups[chain.0].chain.stages()
    }

    /// The scalars that chain `k` sees at a stage: its tensor's own, or its group's.
    fn scalars_of<'s>(
        &self,
        scalars: &'s Scalars,
        group: usize,
        stage: usize,
        k: usize,
    ) -> &'s [f64] {
        let part = self.groups[group].chain.stages()[stage].as_ref();
        if !has_own_scalars(part) {
            return &scalars.group[group][stage];
        }
        &scalars.tensor[scalars.follower[k]][stage]
    }

    /// Runs the reading passes of one stage of one group and settles its scalars.
    #[allow(clippy::too_many_arguments, reason = "the whole situation of a pass")]
    fn settle<'p>(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        prepared: &[Prepared<E>],
        group: usize,
        stage: usize,
        scalars: &mut Scalars,
        face: &impl Fn(usize) -> Face<'p>,
    ) -> Result<(), Error> {
        let Some(part) = self.groups[group].chain.stages().get(stage) else { return Ok(()) };
        let part = part.as_ref();
        let mine = |t: usize| chains[sweep.tensors[t].chain].0 == group;
        let mut members: Vec<usize> = (0..sweep.tensors.len()).filter(|t| mine(*t)).collect();
        // By name, so that the order of the list does not change a sum over the group.
        members.sort_unstable_by_key(|t| face(*t).0);
        if members.is_empty() || part.passes() == 0 {
            return Ok(());
        }
        if part.scope() == Scope::Row {
            let mut widths = vec![None; sweep.tensors.len()];
            for t in &members {
                let full = sweep.tensors[*t].len > 0 && !part.skips(face(*t).1);
                widths[*t] = full.then_some(scalars.rows[*t].0);
            }
            self.settle_rows(sweep, chains, prepared, stage, part, (&members, &widths), scalars);
            return Ok(());
        }
        let moment_of = |t: usize| chains[sweep.tensors[t].chain].1;
        for pass in 0..part.passes() {
            // A part without terms needs no sweep over the data: its scalars follow the clock.
            let terms: Vec<Option<Box<dyn Gather<E>>>> = (0..chains.len())
                .map(|k| {
                    (chains[k].0 == group).then(|| {
                        let values = self.scalars_of(scalars, group, stage, k);
                        E::stage(part).gather(self.isa, chains[k].1, pass, values)
                    })
                })
                .collect();
            let sums = if part.reads() {
                sweep.gather(prepared, stage, &terms, part.join())
            } else {
                vec![vec![]; sweep.tensors.len()]
            };
            for t in &members {
                if let Some((count, what)) = part.refuse(&sums[*t]) {
                    return Err(Error::Domain { parameter: face(*t).0.to_owned(), count, what });
                }
            }
            match part.scope() {
                Scope::Tensor => {
                    for t in members.iter().filter(|_| has_own_scalars(part)) {
                        let values = &mut scalars.tensor[*t][stage];
                        part.settle(moment_of(*t), pass, &sums[*t], values);
                    }
                }
                Scope::Group | Scope::Row => {
                    let joined: Vec<f64> = part
                        .join()
                        .iter()
                        .enumerate()
                        .map(|(k, how)| {
                            let values = members.iter().map(|t| sums[*t][k]);
                            values.fold(crate::engine::kernel::neutral(*how), |a, b| {
                                crate::engine::kernel::join(*how, a, b)
                            })
                        })
                        .collect();
                    let values = &mut scalars.group[group][stage];
                    part.settle(moment_of(members[0]), pass, &joined, values);
                }
            }
        }
        Ok(())
    }
}

impl<E: Element> Optimizer<E> {
    /// Gathers the terms of each row of the members with `widths` and settles their scalars, which nobody
    /// keeps; the rows of the other members have the first scalars.
    #[allow(clippy::too_many_arguments, reason = "the whole situation of a pass")]
    fn settle_rows(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        prepared: &[Prepared<E>],
        stage: usize,
        part: &dyn AnyStage,
        (members, widths): (&[usize], &[Option<usize>]),
        scalars: &mut Scalars,
    ) {
        let (how, first) = (part.join(), part.first_scalars());
        let mut terms: Vec<Option<Box<dyn Gather<E>>>> = chains.iter().map(|_| None).collect();
        for t in members {
            let chain = sweep.tensors[*t].chain;
            terms[chain] = Some(E::stage(part).gather(self.isa, chains[chain].1, 0, &first));
        }
        let sums = sweep.gather_rows(prepared, stage, &terms, widths, how);
        for t in members {
            let tensor = &sweep.tensors[*t];
            let (width, values) = &mut scalars.rows[*t];
            *values = first.repeat(tensor.len.checked_div(*width).unwrap_or(0));
            for (sums, values) in sums[*t].chunks(how.len()).zip(values.chunks_mut(first.len())) {
                part.settle(chains[tensor.chain].1, 0, sums, values);
            }
        }
    }
}

/// What stage `part` of chain `k` is given in place of slots.
fn given<E: Element>(part: &dyn AnyStage, moment: Moment, scalars: &Scalars, k: usize) -> Given<E> {
    match part.supply() {
        Supply::State => Given::Slots,
        Supply::Noise => Given::Noise { seed: part.seed(moment.clock), t: moment.t },
        Supply::Row => {
            let (width, values) = &scalars.rows[scalars.follower[k]];
            Given::Rows { width: *width, values: values.iter().map(|v| E::lift(*v)).collect() }
        }
    }
}

/// Whether tensors cannot share the formulas of a part: it has scalars per tensor or row.
pub(super) fn stands_alone(part: &dyn AnyStage) -> bool {
    has_own_scalars(part) || part.scope() == Scope::Row
}

/// Whether a part keeps scalars per tensor, so that tensors cannot share its formula.
pub(super) fn has_own_scalars(part: &dyn AnyStage) -> bool {
    part.scope() == Scope::Tensor && !part.scalars().is_empty()
}
