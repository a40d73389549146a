//! Where the state of a chain stands in a file of another library.

use super::super::group::Group;
use super::names::Neighbour;
use super::{Library, Name, fail};
use crate::error::Error;
use crate::hyper::Block;
use crate::part::Scope;
use crate::recipe_file::slots_of;
use crate::rules::{falling_rate, growing_mu, product_of_mu};

/// Scalars that have nothing to remember: each step computes them anew.
const FORGETFUL: [(&str, &str); 6] = [
    ("ClipNorm", "factor"),
    ("TrustRatio", "ratio"),
    ("DecayedTrustRatio", "ratio"),
    ("Cautious", "factor"),
    ("NovoGrad", "norm"),
    ("ScheduleFree", "weight"),
];

/// What a tensor of a file is here.
pub(super) enum Held {
    /// A slot of the chain.
    Slot(usize),
    /// A scalar of the parameter, of this stage.
    Scalar { stage: usize, at: usize },
    /// The number of steps taken.
    Steps,
    /// What follows from that and from the hyper-parameters of this block.
    Computed(Block),
    /// What RMSProp takes the root of, which follows from these slots.
    Variance { square: usize, mean: Option<usize> },
}

/// A piece of a chain's state with its name elsewhere.
pub(super) struct Place {
    pub(super) held: Held,
    pub(super) name: Name,
}

impl Place {
    pub(super) fn tensor(&self, param: &str) -> String {
        if self.name.once() {
            return self.name.tensor.to_owned();
        }
        format!("{param}.{}", self.name.tensor)
    }

    pub(super) fn signed<T: std::ops::Neg<Output = T>>(&self, value: T) -> T {
        if self.name.sign < 0.0 { -value } else { value }
    }

    /// A counter that the library itself does not keep.
    pub(super) fn is_unknown_there(&self) -> bool {
        matches!(self.held, Held::Steps) && self.name.block.is_empty()
    }

    /// Whether a file may lack it.
    pub(super) fn is_optional(&self) -> bool {
        self.is_unknown_there() || matches!(self.held, Held::Computed(_) | Held::Variance { .. })
    }
}

/// Whether a row is of this block, by the type that decides what its state means and by its neighbours.
fn is_row(row: &Name, block: &Block, before: &[&str], all: &[&str]) -> bool {
    let (name, neighbour) = row.split();
    let fits = match neighbour {
        Neighbour::Before(other) => before.contains(&other),
        Neighbour::Anywhere(other) => all.contains(&other),
        Neighbour::Any => true,
    };
    let momentum = matches!(block.name(), "Momentum" | "Nesterov");
    let scaled = matches!(neighbour, Neighbour::Before("Scale"));
    if !fits || momentum && scaled != before.contains(&"Scale") {
        return false;
    }
    let (name, part) = match name.split_once('<') {
        Some((name, part)) => (name, Some(part.trim_end_matches('>'))),
        None => (name, None),
    };
    name == block.name()
        && part.is_none_or(|part| block.parts.iter().any(|(_, p)| p.name() == part))
}

/// The rows of a block: those that ask for its neighbours before those that do not.
fn rows(library: Library, block: &Block, before: &[&str], all: &[&str]) -> Vec<Name> {
    let mut rows: Vec<Name> =
        library.names().filter(|row| is_row(row, block, before, all)).copied().collect();
    let asks = |row: &Name| !matches!(row.split().1, Neighbour::Any);
    if rows.iter().any(asks) {
        rows.retain(asks);
    }
    rows
}

/// Whether the library has this block, state or none: a trust ratio can be chained to anything in optax;
/// elsewhere it makes another method, which has rows of its own.
fn has(library: Library, block: &Block, all: &[&str]) -> bool {
    let ratio = block.name();
    let own = |row: &Name| match row.split() {
        (of, Neighbour::Anywhere(other)) => other == ratio && all.contains(&of),
        _ => false,
    };
    !ratio.ends_with("TrustRatio") || library == Library::Optax || library.names().any(own)
}

/// Where the state of a group's chain stands in a file of this library.
pub(super) fn places(library: Library, group: &Group) -> Result<Vec<Place>, Error> {
    let (mut places, mut next) = (vec![], 0);
    let stages = group.chain.stages();
    let of = |(stage, blocks): (usize, Vec<Block>)| blocks.into_iter().map(move |b| (stage, b));
    let blocks: Vec<(usize, Block)> =
        stages.iter().map(|part| part.blocks()).enumerate().flat_map(of).collect();
    let all: Vec<&str> = blocks.iter().map(|(_, block)| block.name()).collect();
    let unnamed = |block: &Block| {
        fail(library)(format!(
            "the state of {} in group {:?} has no name there",
            block.path, group.name
        ))
    };
    for (met, (stage, block)) in blocks.iter().enumerate() {
        if !has(library, block, &all) {
            return Err(unnamed(block));
        }
        let (slots, scalars) = slots_of(block).ok_or_else(|| unnamed(block))?;
        let rows = rows(library, block, &all[..met], &all);
        let first = next;
        let called = |slot: &str| rows.iter().find(|row| row.slot == slot).copied();
        for slot in &slots {
            let name = called(slot.name).ok_or_else(|| unnamed(block))?;
            places.push(Place { held: Held::Slot(next), name });
            next += 1;
        }
        for (at, scalar) in scalars.iter().enumerate() {
            if FORGETFUL.contains(&(block.name(), scalar.name)) {
                continue;
            }
            let name = called(scalar.name).filter(|_| stages[*stage].scope() == Scope::Tensor);
            let name = name.ok_or_else(|| unnamed(block))?;
            places.push(Place { held: Held::Scalar { stage: *stage, at }, name });
        }
        for name in rows {
            let held = match name.slot {
                "t" => Held::Steps,
                "computed" => Held::Computed(block.clone()),
                "variance" => {
                    let at = |name| slots.iter().position(|s| s.name == name);
                    let square = first + at("v").ok_or_else(|| unnamed(block))?;
                    Held::Variance { square, mean: at("mean").map(|k| first + k) }
                }
                _ => continue,
            };
            places.push(Place { held, name });
        }
    }
    if next != group.slots {
        let names = group.chain.slots();
        return Err(fail(library)(format!("group {:?} remembers {names:?}", group.name)));
    }
    if !places.iter().any(|place| matches!(place.held, Held::Steps)) {
        places.push(Place { held: Held::Steps, name: library.counter() });
    }
    Ok(places)
}

/// What another library keeps under this name after `t` steps, the next being at this moment of the
/// schedules; none if the block has no such number.
pub(super) fn computed(name: &Name, block: &Block, t: u64, clock: u64) -> Option<f64> {
    let hypers = block.all();
    let get = |name| Some(hypers.iter().find(|h| h.spec().name == name)?.value(clock));
    let steps = t as f64;
    match (block.name(), name.tensor) {
        ("NAdam", tensor) => {
            let (beta1, psi) = (get("beta1")?, get("momentum_decay")?);
            match tensor {
                "mu_product" | "prod" => Some(product_of_mu(t, beta1, psi)),
                "prod2" => Some(product_of_mu(t + 1, beta1, psi)),
                "mu_t" => Some(growing_mu(steps, beta1, psi)),
                "mu_t2" => Some(growing_mu(steps + 1.0, beta1, psi)),
                _ => None,
            }
        }
        ("Asgd", tensor) => {
            let [rate, share] =
                falling_rate(steps, [get("lr")?, get("decay")?, get("alpha")?, get("t0")?]);
            match tensor {
                "eta" => Some(rate),
                "mu" => Some(share),
                _ => None,
            }
        }
        ("ScheduleFree", "b1") => get("beta1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyper::Hypers;

    #[test]
    fn what_a_row_calls_computed_can_be_computed() {
        let blocks: Vec<Block> =
            crate::registry::all().into_iter().flat_map(|entry| (entry.chain)().blocks()).collect();
        for library in Library::ALL {
            for row in library.names().filter(|row| row.slot == "computed") {
                let block = blocks.iter().find(|block| is_row(row, block, &[], &[]));
                let value = block.and_then(|block| computed(row, block, 3, 3));
                assert!(value.is_some_and(f64::is_finite), "{row:?}");
            }
        }
    }
}
