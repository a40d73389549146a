//! Stages made ready: the reading passes they need, their scalars, their kernels.

use super::group::Group;
use super::together::Together;
use crate::engine::Element;
use crate::engine::drive::{Prepared, Reading, Sweep};
use crate::engine::given::Given;
use crate::engine::kernel::{MAX_TERMS, join, neutral};
use crate::engine::plan::{RowSums, Sums};
use crate::engine::stage::{AnyStage, Moment, Situation, lift};
use crate::error::Error;
use crate::part::{Scope, Supply};

/// The scalars of every tensor and group of the step, settled but not yet kept.
#[derive(Default)]
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

/// What the reading passes of a step work with.
#[derive(Default)]
pub(super) struct Passes {
    pub(super) sums: Sums,
    row_sums: RowSums,
    /// The tensors of the group in hand, by name.
    members: Vec<usize>,
    /// The width of the rows of each tensor that the pass reads by rows.
    widths: Vec<Option<usize>>,
}

/// A tensor of the step, as the user knows it.
pub(super) type Face<'p> = (&'p str, &'p [usize]);

/// The stages of all chains of a step on their way to being ready.
pub(super) struct Preparation<'s, 'p, E> {
    pub(super) groups: &'s [Group],
    pub(super) order: &'s [Together],
    pub(super) sweep: &'s Sweep<'s, E>,
    /// Which group's chain, at which moment.
    pub(super) chains: &'s [(usize, Moment)],
    /// The tensors in the order of their names.
    pub(super) by_name: &'s [usize],
    pub(super) face: &'s dyn Fn(usize) -> Face<'p>,
    pub(super) prepared: &'s mut [Prepared<E>],
    pub(super) scalars: &'s mut Scalars,
    pub(super) passes: &'s mut Passes,
}

impl<E: Element> Preparation<'_, '_, E> {
    /// Makes the kernels of every chain, stage by stage, with the reading passes they need.
    pub(super) fn run(mut self) -> Result<(), Error> {
        for (prepared, (group, _)) in self.prepared.iter_mut().zip(self.chains) {
            let stages = self.groups[*group].chain.stages();
            prepared.first_slot.clear();
            prepared.first_slot.push(0);
            let mut end = 0;
            prepared.first_slot.extend(stages.iter().map(|stage| {
                end += stage.slot_count();
                end
            }));
            prepared.kernels.truncate(stages.len());
            prepared.given.truncate(stages.len());
            prepared.reading = None;
        }
        for together in self.order {
            self.settle(together)?;
            for k in 0..self.chains.len() {
                if let Some(stage) = together.stage_of(self.chains[k].0) {
                    self.finish(k, stage);
                }
            }
        }
        Ok(())
    }

    /// The kernel of a stage of chain `k`, its scalars being settled.
    fn finish(&mut self, k: usize, stage: usize) {
        let (group, moment) = self.chains[k];
        let part = &self.groups[group].chain.stages()[stage];
        let scalars = scalars_of(self.scalars, part.as_ref(), group, stage, k);
        let situation = Situation { isa: self.sweep.isa, moment, scalars };
        let prepared = &mut self.prepared[k];
        E::stage(part.as_ref()).kernel(situation, &mut prepared.kernels, stage);
        if prepared.given.len() == stage {
            prepared.given.push(Given::Slots);
        }
        give(part.as_ref(), moment, self.scalars, k, &mut prepared.given[stage]);
    }

    /// Runs the reading passes of stages that belong together and settles their scalars.
    fn settle(&mut self, together: &Together) -> Result<(), Error> {
        let part = together.part(self.groups);
        if part.passes() == 0 {
            return Ok(());
        }
        let group_of = |t: usize| self.chains[self.sweep.tensors[t].chain].0;
        let mine = |t: &&usize| together.stage_of(group_of(**t)).is_some();
        self.passes.members.clear();
        self.passes.members.extend(self.by_name.iter().filter(mine));
        if self.passes.members.is_empty() {
            return Ok(());
        }
        if part.scope() == Scope::Row {
            return self.settle_rows(together, part);
        }
        for pass in 0..part.passes() {
            self.read(together, pass, part)?;
            match part.scope() {
                Scope::Tensor => self.conclude_tensors(together, pass),
                _ => self.conclude_groups(together, pass),
            }
        }
        Ok(())
    }

    /// Chooses the terms that tensors gather in the next pass.
    fn choose(&mut self, together: &Together, pass: usize) {
        for (k, (chain, prepared)) in self.chains.iter().zip(&mut *self.prepared).enumerate() {
            prepared.reading = None;
            let (group, moment) = *chain;
            let Some(stage) = together.stage_of(group) else { continue };
            let part = self.groups[group].chain.stages()[stage].as_ref();
            let scalars = scalars_of(self.scalars, part, group, stage, k);
            let situation = Situation { isa: self.sweep.isa, moment, scalars };
            let terms = self.groups[group].passes_before(stage) + pass;
            E::stage(part).gather(situation, pass, &mut prepared.gathers, terms);
            prepared.reading = Some(Reading { stage, terms });
        }
    }

    /// One reading pass. A part without terms needs none: its scalars follow the clock.
    fn read(&mut self, together: &Together, pass: usize, part: &dyn AnyStage) -> Result<(), Error> {
        if part.reads() {
            self.choose(together, pass);
            self.sweep.gather(self.prepared, part.join(), &mut self.passes.sums);
        }
        for t in &self.passes.members {
            accepts(part, self.passes.sums_of(*t, part), (self.face)(*t).0)?;
        }
        Ok(())
    }

    /// Settles the scalars of each member after a pass.
    fn conclude_tensors(&mut self, together: &Together, pass: usize) {
        let passes = &*self.passes;
        for t in &passes.members {
            let (group, moment) = self.chains[self.sweep.tensors[*t].chain];
            let Some(stage) = together.stage_of(group) else { continue };
            let part = self.groups[group].chain.stages()[stage].as_ref();
            if has_own_scalars(part) {
                let values = &mut self.scalars.tensor[*t][stage];
                part.settle(moment, pass, passes.sums_of(*t, part), values);
            }
        }
    }

    /// Settles the scalars of the groups after a pass, from what all members gathered. They have taken as
    /// many steps as the member that has taken most, whoever has joined since.
    fn conclude_groups(&mut self, together: &Together, pass: usize) {
        let moments =
            self.passes.members.iter().map(|t| self.chains[self.sweep.tensors[*t].chain].1);
        let Some(moment) = moments.max_by_key(|moment| moment.t) else { return };
        let (passes, how) = (&*self.passes, together.part(self.groups).join());
        let mut joined = [0.0; MAX_TERMS];
        for (k, how) in how.iter().enumerate() {
            let values = passes.members.iter().map(|t| passes.sums.of(*t)[k]);
            joined[k] = values.fold(neutral(*how), |a, b| join(*how, a, b));
        }
        for (group, stage) in &together.0 {
            let values = &mut self.scalars.group[*group][*stage];
            let part = &self.groups[*group].chain.stages()[*stage];
            part.settle(moment, pass, &joined[..how.len()], values);
        }
    }

    /// Gathers the terms of each row of the members and settles their scalars, which nobody keeps; the
    /// rows of members that the part skips have the first scalars.
    fn settle_rows(&mut self, together: &Together, part: &dyn AnyStage) -> Result<(), Error> {
        self.choose(together, 0);
        let passes = &mut *self.passes;
        passes.widths.clear();
        passes.widths.resize(self.sweep.tensors.len(), None);
        for t in &passes.members {
            let full = self.sweep.tensors[*t].len > 0 && !part.skips((self.face)(*t).1);
            passes.widths[*t] = full.then_some(self.scalars.rows[*t].0);
        }
        let (how, widths) = (part.join(), &passes.widths);
        self.sweep.gather_rows(self.prepared, widths, how, &mut passes.row_sums);
        let (group, stage) = together.0[0];
        let first = &self.scalars.group[group][stage];
        for t in &passes.members {
            let tensor = &self.sweep.tensors[*t];
            let (width, values) = &mut self.scalars.rows[*t];
            values.clear();
            for _ in 0..tensor.len.checked_div(*width).unwrap_or(0) {
                values.extend_from_slice(first);
            }
            let rows = passes.row_sums.of(*t).chunks(how.len());
            for (sums, values) in rows.zip(values.chunks_mut(first.len())) {
                accepts(part, sums, (self.face)(*t).0)?;
                part.settle(self.chains[tensor.chain].1, 0, sums, values);
            }
        }
        Ok(())
    }
}

/// Whether a part can go on with what was gathered of a parameter or a row of it.
fn accepts(part: &dyn AnyStage, sums: &[f64], parameter: &str) -> Result<(), Error> {
    let Some((count, what)) = part.refuse(sums) else { return Ok(()) };
    Err(Error::Domain { parameter: parameter.to_owned(), count, what })
}

impl Passes {
    /// What the pass gathered of a tensor: nothing if the part has no terms.
    fn sums_of(&self, tensor: usize, part: &dyn AnyStage) -> &[f64] {
        if part.reads() { self.sums.of(tensor) } else { &[] }
    }
}

/// The scalars that chain `k` sees at a stage: its tensor's own, or its group's.
fn scalars_of<'s>(
    scalars: &'s Scalars,
    part: &dyn AnyStage,
    group: usize,
    stage: usize,
    k: usize,
) -> &'s [f64] {
    if has_own_scalars(part) {
        &scalars.tensor[scalars.follower[k]][stage]
    } else {
        &scalars.group[group][stage]
    }
}

/// What stage `part` of chain `k` is given in place of slots.
fn give<E: Element>(
    part: &dyn AnyStage,
    moment: Moment,
    scalars: &Scalars,
    k: usize,
    to: &mut Given<E>,
) {
    match part.supply() {
        Supply::State => *to = Given::Slots,
        Supply::Noise => *to = Given::Noise { seed: part.seed(moment.clock), t: moment.t },
        Supply::Row => {
            let (width, values) = &scalars.rows[scalars.follower[k]];
            let mut room = match std::mem::replace(to, Given::Slots) {
                Given::Rows { values, .. } => values,
                _ => vec![],
            };
            room.clear();
            room.extend(values.iter().map(|v| lift::<E>(*v)));
            *to = Given::Rows { width: *width, values: room };
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
