//! Building blocks by name, and chains put together from them.

use std::sync::OnceLock;

use crate::chain::Chain;
use crate::geometry;
use crate::hyper::{Block, Hypers};
use crate::registry::{self, Entry};
use crate::rule::Slot;
use crate::rules::ALL_BLOCKS;

/// By which key a block is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule,
    Fold,
    Geometry,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Rule, Kind::Fold, Kind::Geometry];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Rule => "rule",
            Kind::Fold => "fold",
            Kind::Geometry => "geometry",
        }
    }
}

/// A block that files can name, at its defaults.
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) block: Block,
    /// How it stands alone; none if it was only met in chains of the registry.
    make: Option<fn() -> Chain>,
}

/// The blocks of a chain, whatever it was compiled into.
pub(super) fn blocks_of(chain: &Chain) -> Vec<(Kind, Block)> {
    let kind = |geometry, rule| match (geometry, rule) {
        (true, _) => Kind::Geometry,
        (false, true) => Kind::Rule,
        (false, false) => Kind::Fold,
    };
    chain
        .stages()
        .iter()
        .flat_map(|stage| {
            let kind = kind(stage.is_geometry(), stage.is_rule());
            stage.blocks().into_iter().map(move |block| (kind, block))
        })
        .collect()
}

/// Every block there is: the tables of the rule files first, then what only recipes hold.
pub(super) fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let tables = ALL_BLOCKS.iter().chain([&geometry::BLOCKS]);
        let mut known: Vec<Known> = vec![];
        for make in tables.flat_map(|table| table.iter()) {
            for (kind, block) in blocks_of(&make()) {
                known.push(Known { kind, block, make: Some(*make) });
            }
        }
        for entry in registry::all() {
            for (kind, block) in blocks_of(&(entry.chain)()) {
                if !known.iter().any(|k| k.block.path == block.path) {
                    known.push(Known { kind, block, make: None });
                }
            }
        }
        known
    })
}

/// The registry with what its chains consist of.
fn entries() -> &'static [(&'static Entry, Vec<&'static str>)] {
    static ENTRIES: OnceLock<Vec<(&'static Entry, Vec<&'static str>)>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let paths = |chain: Chain| chain.blocks().iter().map(|b| b.path).collect();
        registry::all().into_iter().map(|entry| (entry, paths((entry.chain)()))).collect()
    })
}

/// The chain of these blocks with the values they hold.
///
/// Where the registry has a chain of the same blocks, it is that one: compiled into one loop.
pub(super) fn assemble(blocks: &[Block]) -> Result<Chain, String> {
    let paths: Vec<&str> = blocks.iter().map(|b| b.path).collect();
    let chain = match entries().iter().find(|(_, of)| *of == paths) {
        Some((entry, _)) => (entry.chain)(),
        None => one_by_one(blocks)?,
    };
    Ok(with_values(chain, blocks))
}

/// The chain of these blocks with the values they hold, each a stage of its own.
pub(crate) fn block_by_block(blocks: &[Block]) -> Result<Chain, String> {
    Ok(with_values(one_by_one(blocks)?, blocks))
}

/// The chain of these blocks, each a stage of its own.
fn one_by_one(blocks: &[Block]) -> Result<Chain, String> {
    let mut chain = Chain::new(());
    for block in blocks {
        let known = known().iter().find(|k| k.block.path == block.path);
        match known.and_then(|k| k.make) {
            Some(make) => chain = chain.append(make()),
            None => return Err(format!("{} cannot stand in a chain of a file", block.name())),
        }
    }
    Ok(chain)
}

fn with_values(mut chain: Chain, blocks: &[Block]) -> Chain {
    let mut values = blocks.iter().flat_map(Block::all);
    chain.each_mut(&mut |hyper| {
        if let Some(value) = values.next() {
            hyper.set(value.schedule().clone());
        }
    });
    chain
}

/// What a block remembers per coordinate, and per tensor or group; none if it has no row.
pub(crate) fn slots_of(block: &Block) -> Option<(Vec<Slot>, Vec<Slot>)> {
    let known = known().iter().find(|k| k.block.path == block.path)?;
    let chain = known.make?();
    let slots = chain.stages().iter().flat_map(|s| s.slots()).collect();
    Some((slots, chain.stages().iter().flat_map(|s| s.scalars().iter().copied()).collect()))
}

/// The names of the hyper-parameters of a block, the second `eps` being `eps.2`.
pub(super) fn labels(block: &Block) -> Vec<String> {
    let slots = block.all().into_iter().map(|h| crate::rule::slot(h.spec().name));
    crate::chain::unique(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, Param};

    #[test]
    fn every_block_of_the_registry_has_a_row_in_its_files_table() {
        let without: Vec<&str> =
            known().iter().filter(|k| k.make.is_none()).map(|k| k.block.path).collect();
        assert!(
            without.is_empty(),
            "give their files a table, `crate::registry::blocks!(rule Name, ...)`: {without:#?}"
        );
    }

    #[test]
    fn a_row_is_one_block_and_no_form_is_listed_twice() {
        let mut paths = vec![];
        for make in ALL_BLOCKS.iter().chain([&geometry::BLOCKS]).flat_map(|table| table.iter()) {
            let [(_, block)] = &blocks_of(&make())[..] else { panic!("not one block") };
            assert!(!paths.contains(&block.path), "{} twice", block.path);
            paths.push(block.path);
        }
    }

    #[test]
    fn names_are_unique_among_kinds_and_paths() {
        for a in known() {
            for b in known().iter().filter(|b| b.block.name() == a.block.name()) {
                let path = |k: &Known| k.block.path.split('<').next().map(str::to_owned);
                assert_eq!((a.kind, path(a)), (b.kind, path(b)));
            }
        }
    }

    #[test]
    fn separate_stages_walk_as_the_recipe_does() {
        for entry in registry::all() {
            let chain = (entry.chain)();
            let alone = block_by_block(&chain.blocks());
            let walk = |chain: Chain| {
                let mut opt = Optimizer::<f64>::new(chain).expect("a valid chain");
                let mut x = [0.5, 1.0, 0.25];
                for g in [[0.1, -0.2, 0.3], [-0.4, 0.5, 0.6], [0.7, 0.8, -0.9]] {
                    let report = opt.step(&mut [Param::new("x", &[3], &mut x, &g)]);
                    assert!(report.expect("a step").applied());
                }
                x
            };
            assert_eq!(walk(chain), walk(alone.expect("rows")), "{}", entry.name);
        }
    }
}
