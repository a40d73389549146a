//! The order in which the stages of all groups are settled.

use super::group::Group;
use crate::engine::AnyStage;
use crate::error::Error;
use crate::part::Scope;

/// Stages that are settled together, as (group, stage) in the order of groups: one stage of one group,
/// or parts of [`Scope::Groups`] of one type.
pub(super) struct Together(pub(super) Vec<(usize, usize)>);

impl Together {
    /// Which stage of a group is among them.
    pub(super) fn stage_of(&self, group: usize) -> Option<usize> {
        self.0.iter().find(|(g, _)| *g == group).map(|(_, stage)| *stage)
    }

    /// The part of the first group. Those of others differ in nothing but hyper-parameters.
    pub(super) fn part<'g>(&self, groups: &'g [Group]) -> &'g dyn AnyStage {
        let (group, stage) = self.0[0];
        groups[group].chain.stages()[stage].as_ref()
    }
}

/// All stages of all groups, each after those before it in its chain. A part of [`Scope::Groups`] waits
/// until every group that has it has come to it.
pub(super) fn order(groups: &[Group]) -> Result<Vec<Together>, Error> {
    let mut next = vec![0; groups.len()];
    let mut order = vec![];
    loop {
        for (group, next) in next.iter_mut().enumerate() {
            let stages = &groups[group].chain.stages()[*next..];
            let alone = stages.iter().take_while(|s| s.scope() != Scope::Groups).count();
            order.extend((*next..*next + alone).map(|stage| Together(vec![(group, stage)])));
            *next += alone;
        }
        let ahead = |group: usize| &groups[group].chain.stages()[next[group]..];
        let waiting = (0..groups.len()).filter_map(|g| Some((g, ahead(g).first()?.kind())));
        let Some(one) = waiting.clone().next() else { return Ok(order) };
        let all_wait = |(_, kind): &(usize, _)| {
            (0..groups.len()).map(ahead).all(|stages| {
                let found = stages.iter().position(|s| s.kind() == *kind);
                found.is_none_or(|at| at == 0)
            })
        };
        let Some((_, kind)) = waiting.clone().find(all_wait) else {
            return Err(Error::Engine(format!(
                "group {:?} and others sum over all groups with two parts in different orders; put them \
                 in the same order in every chain",
                groups[one.0].name
            )));
        };
        let ready = waiting.filter(|(_, k)| *k == kind).map(|(group, _)| (group, next[group]));
        let together = Together(ready.collect());
        for (group, _) in &together.0 {
            next[*group] += 1;
        }
        order.push(together);
    }
}
