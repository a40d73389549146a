//! What comes before a rule in its chain and redefines the gradient it sees.

use crate::chain::Chain;
use crate::engine::drive::Ahead;
use crate::engine::stage::{AnyStage, Moment, Situation};
use crate::engine::{Element, Isa};
use crate::hyper::Block;
use crate::recipe_file::{block_by_block, slots_of};

/// What comes before the rule that has `slot` (of the whole chain): nothing if the gradient reaches it as
/// it was given, and `None` if that cannot be known.
///
/// A tuple is compiled into one loop, in which nothing can be looked at: the rules before the one that is
/// looked for are made again, one by one.
pub(super) fn of<E: Element>(
    isa: Isa,
    chain: &Chain,
    moment: Moment,
    slot: usize,
) -> Option<Option<Ahead<E>>> {
    let (mut first, mut redefined) = (0, false);
    for (stages, stage) in chain.stages().iter().enumerate() {
        let end = first + stage.slot_count();
        if slot >= end {
            redefined |= redefining(stage.as_ref()).contains(&true);
            first = end;
            continue;
        }
        let blocks = ahead_in(stage.as_ref(), slot - first)?;
        if blocks.is_empty() && !redefined {
            return Some(None);
        }
        let rules = block_by_block(&blocks).ok()?;
        let (mut kernels, mut first_slot) = (vec![], vec![first]);
        for (k, rule) in rules.stages().iter().enumerate() {
            E::stage(rule.as_ref()).kernel(
                Situation { isa, moment, scalars: &[] },
                &mut kernels,
                k,
            );
            first += rule.slot_count();
            first_slot.push(first);
        }
        return Some(Some(Ahead { stages, kernels, first_slot }));
    }
    None
}

/// Of each member of a stage, whether it redefines the gradient.
fn redefining(stage: &dyn AnyStage) -> Vec<bool> {
    let mut each = vec![];
    stage.members(&mut |member| each.push(member.on_gradient));
    each
}

/// The blocks of a stage before the one that has its `slot`, if one of them redefines the gradient.
fn ahead_in(stage: &dyn AnyStage, slot: usize) -> Option<Vec<Block>> {
    let redefining = redefining(stage);
    if !redefining.contains(&true) {
        return Some(vec![]);
    }
    let (mut blocks, mut end) = (vec![], 0);
    for block in stage.blocks() {
        end += slots_of(&block)?.0.len();
        if slot < end {
            let needed = redefining[..blocks.len()].contains(&true);
            return Some(if needed { blocks } else { vec![] });
        }
        blocks.push(block);
    }
    None
}
