//! Interchange: states of other libraries, by their own names.

mod names;

use std::collections::{HashMap, HashSet};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

pub use names::{Library, Name};

use super::checkpoint::dtype;
use super::group::{Group, assign};
use super::settle::has_own_scalars;
use super::{Optimizer, State};
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::error::Error;
use crate::hyper::Block;
use crate::recipe_file::{blocks_of, slots_of};

/// Folds that have nothing to remember: their scalars are computed anew in every step.
const FORGETFUL: [&str; 1] = ["ClipNorm"];

/// What an import does, or would do.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it says what became of each tensor"]
#[non_exhaustive]
pub struct Imported {
    /// Each tensor of the file with what it became: `(tensor, parameter, slot)`; the slot `t` is
    /// the number of steps the parameter has taken.
    pub mapped: Vec<(String, String, String)>,
    /// Steps taken, the clock of the schedules: the largest of the parameters' own.
    pub steps: u64,
}

/// A slot of a chain with its name elsewhere.
struct Place {
    /// Its place among the chain's slots, none for the counter.
    slot: Option<usize>,
    name: Name,
}

impl<E: Element> Optimizer<E> {
    /// Takes over the state of another library's optimizer from the bytes of a safetensors file.
    ///
    /// A tensor is called `parameter.name` with the library's own `name` ([`Library::names`]); a
    /// counter that the library keeps once for all parameters has its bare name (optax `count`).
    /// `params` are the names and shapes of all parameters. Each parameter's step number and the
    /// schedules' clock go on where the file's counters were; where the library has no counter
    /// (torch's SGD), the file may still have one, and without it the parameter is at its second step.
    ///
    /// Hyper-parameters are those of the chain here. The book's chapter has the lines that write
    /// such a file from torch and optax.
    ///
    /// # Errors
    /// [`Error::Interchange`] if a tensor is missing or superfluous, has another shape or number type,
    /// belongs to a parameter that is not listed, or a slot here has no name there; [`Error::Group`]
    /// if a parameter is of no group. Then the optimizer is unchanged.
    pub fn import_bytes(
        &mut self,
        from: Library,
        params: &[(&str, &[usize])],
        bytes: &[u8],
    ) -> Result<Imported, Error> {
        let (states, imported) = self.read_foreign(from, params, bytes)?;
        self.index = states.iter().enumerate().map(|(k, s)| (s.name.clone(), k)).collect();
        self.states = states;
        self.cast.clear();
        self.steps = imported.steps;
        self.refused_in_a_row = 0;
        self.accumulated = 0.0;
        for group in &mut self.groups {
            group.scalars = group.chain.stages().iter().map(|s| s.first_scalars()).collect();
        }
        Ok(imported)
    }

    /// What [`import_bytes`](Self::import_bytes) would do; it changes nothing.
    ///
    /// # Errors
    /// As `import_bytes`.
    pub fn plan_import(
        &self,
        from: Library,
        params: &[(&str, &[usize])],
        bytes: &[u8],
    ) -> Result<Imported, Error> {
        self.read_foreign(from, params, bytes).map(|(_, imported)| imported)
    }

    /// The state as bytes of a safetensors file by another library's names; see
    /// [`import_bytes`](Self::import_bytes).
    ///
    /// Counters are written as that library has them: torch's as `F32`, optax' as `I32`, others as
    /// `I64`.
    ///
    /// # Errors
    /// [`Error::Interchange`] if a slot has no name there, or the parameters have taken different
    /// numbers of steps where the library has one counter.
    pub fn export_bytes(&self, to: Library) -> Result<Vec<u8>, Error> {
        let fail = fail(to);
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![];
        for state in &self.states {
            for place in places(to, &self.groups[state.group])? {
                let name = place.tensor(&state.name);
                let (dtype, shape, bytes) = match place.slot {
                    Some(k) => {
                        let mut bytes = vec![];
                        let values = state.slots.values(k, self.isa);
                        let signed = values.iter().map(|v| place.signed(*v));
                        signed.for_each(|v| v.to_bytes(&mut bytes));
                        (dtype::<E>(None), state.shape.clone(), bytes)
                    }
                    None if place.is_optional() => continue,
                    None => {
                        let (dtype, bytes) = counter(to, state.t);
                        (dtype, vec![], bytes)
                    }
                };
                match tensors.iter().find(|t| t.0 == name) {
                    None => tensors.push((name, dtype, shape, bytes)),
                    Some(same) if place.slot.is_none() && same.3 == bytes => {}
                    Some(_) if place.slot.is_none() => {
                        return Err(fail(format!(
                            "has one {name:?} for all parameters, but {:?} has taken {} steps and \
                             others have not",
                            state.name, state.t
                        )));
                    }
                    Some(_) => return Err(fail(format!("would hold {name:?} twice"))),
                }
            }
        }
        let views: Vec<(&String, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<Result<_, _>>()
            .map_err(|e| fail(e.to_string()))?;
        safetensors::serialize(views, None).map_err(|e| fail(e.to_string()))
    }

    fn read_foreign(
        &self,
        from: Library,
        params: &[(&str, &[usize])],
        bytes: &[u8],
    ) -> Result<(Vec<State<E>>, Imported), Error> {
        let fail = fail(from);
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| fail(e.to_string()))?;
        if let Some(known) = self.states.iter().find(|s| params.iter().all(|p| p.0 != s.name)) {
            return Err(fail(format!("parameter {:?} is not listed", known.name)));
        }
        let (mut states, mut imported, mut used) = (vec![], Imported::default(), HashSet::new());
        for (k, (name, shape)) in params.iter().enumerate() {
            if params[..k].iter().any(|p| p.0 == *name) {
                let name = (*name).to_owned();
                return Err(Error::Duplicate { what: "parameter", name });
            }
            let known = self.index.get(*name).map(|k| &self.states[*k]);
            if let Some(known) = known.filter(|s| s.shape != *shape) {
                let (shape, before) = (shape, &known.shape);
                return Err(fail(format!("{name:?} is listed as {shape:?}, but is {before:?}")));
            }
            let group = assign(&self.groups, name, shape)?;
            let places = places(from, &self.groups[group])?;
            let len = shape.iter().try_fold(1usize, |n, k| n.checked_mul(*k));
            let len = len.filter(|n| *n <= isize::MAX as usize / size_of::<E>());
            let len = len.ok_or_else(|| fail(format!("{name:?}: {shape:?} is too large")))?;
            // All are looked up before memory is taken: the shapes may be nonsense.
            let (mut values, mut t) = (HashMap::new(), 1);
            for place in &places {
                let tensor = place.tensor(name);
                let view = match tensors.tensor(&tensor) {
                    Ok(view) => view,
                    Err(_) if place.is_optional() => continue,
                    Err(_) => return Err(fail(format!("lacks the tensor {tensor:?}"))),
                };
                let slot = match place.slot {
                    Some(k) => {
                        let (is, wanted) = (view.dtype(), dtype::<E>(None));
                        if is != wanted || view.shape() != *shape {
                            return Err(fail(format!(
                                "{tensor:?} is {is:?} {:?}, not {wanted:?} {shape:?}",
                                view.shape()
                            )));
                        }
                        if values.insert(k, (view.data(), place)).is_some() {
                            return Err(fail(format!("{tensor:?} is wanted twice")));
                        }
                        place.name.slot
                    }
                    None => {
                        t = count(&view).ok_or_else(|| {
                            let (is, shape) = (view.dtype(), view.shape());
                            fail(format!("{tensor:?} ({is:?} {shape:?}) is not a number of steps"))
                        })?;
                        "t"
                    }
                };
                let again = !used.insert(tensor.clone());
                if again && !(place.slot.is_none() && from.counts_once()) {
                    return Err(fail(format!("{tensor:?} is wanted twice")));
                }
                imported.mapped.push((tensor, (*name).to_owned(), slot.to_owned()));
            }
            let chain = &self.groups[group].chain;
            if known.is_some_and(|s| s.value.is_some()) {
                return Err(fail(format!(
                    "{name:?} is lent in half precision; import before its first step, with values \
                     in the optimizer's number type"
                )));
            }
            let storage = self.groups[group].storage;
            let formats = self.precision.formats(storage, &chain.slot_list(), len, None);
            let mut slots = Slots::new(&formats, len);
            for (k, (bytes, place)) in &values {
                let numbers = E::from_bytes(bytes).into_iter().map(|v| place.signed(v));
                slots.set(*k, self.isa, &numbers.collect::<Vec<_>>());
            }
            let own = chain.stages().iter().any(|s| has_own_scalars(s.as_ref()));
            let scalars = if own {
                chain.stages().iter().map(|s| s.first_scalars()).collect()
            } else {
                vec![]
            };
            imported.steps = imported.steps.max(t);
            states.push(State {
                name: (*name).to_owned(),
                shape: shape.to_vec(),
                len,
                group,
                t,
                frozen: known.is_some_and(|s| s.frozen),
                value: None,
                slots,
                sum: None,
                scalars,
            });
        }
        let mut extra: Vec<&str> = tensors.names();
        extra.retain(|name| !used.contains(*name));
        extra.sort_unstable();
        match extra.first() {
            None => Ok((states, imported)),
            Some(first) => Err(fail(format!(
                "holds tensors that belong to no parameter or slot here: {first:?} and {} more",
                extra.len() - 1
            ))),
        }
    }
}

fn fail(library: Library) -> impl Fn(String) -> Error {
    move |what| Error::Interchange { library, what }
}

impl Place {
    fn tensor(&self, param: &str) -> String {
        if self.slot.is_none() && self.name.library.counts_once() {
            return self.name.tensor.to_owned();
        }
        format!("{param}.{}", self.name.tensor)
    }

    fn signed<E: Element>(&self, value: E) -> E {
        if self.name.sign < 0.0 { -value } else { value }
    }

    /// A counter the library itself does not keep.
    fn is_optional(&self) -> bool {
        self.slot.is_none() && self.name.block.is_empty()
    }
}

/// The row name of a block: with the type that decides what its state means.
fn is_row(row: &Name, block: &Block, after_scale: bool) -> bool {
    let stored = row.block.strip_prefix("Scale, ");
    let momentum = matches!(block.name(), "Momentum" | "Nesterov");
    if momentum && stored.is_some() != after_scale {
        return false;
    }
    let (name, part) = match stored.unwrap_or(row.block).split_once('<') {
        Some((name, part)) => (name, Some(part.trim_end_matches('>'))),
        None => (stored.unwrap_or(row.block), None),
    };
    name == block.name()
        && part.is_none_or(|part| block.parts.iter().any(|(_, p)| p.name() == part))
}

/// Where the slots of a group's chain stand in a file of this library; the counter last.
fn places(library: Library, group: &Group) -> Result<Vec<Place>, Error> {
    let names = group.chain.slots();
    let (mut places, mut counter, mut after_scale) = (vec![], library.counter(), false);
    let mut next = 0;
    let unnamed = |block: &Block| {
        fail(library)(format!(
            "the state of {} in group {:?} has no name there",
            block.path, group.name
        ))
    };
    for (_, block) in blocks_of(&group.chain) {
        let known = slots_of(&block);
        let forgetful = known.as_ref().is_some_and(|(slots, scalars)| {
            slots.is_empty() && (scalars.is_empty() || FORGETFUL.contains(&block.name()))
        });
        let rows: Vec<&Name> =
            library.names().filter(|row| is_row(row, &block, after_scale)).collect();
        after_scale |= block.name() == "Scale";
        if forgetful {
            continue;
        }
        let Some((slots, _)) = known.filter(|(_, scalars)| scalars.is_empty()) else {
            return Err(unnamed(&block));
        };
        for slot in slots {
            let row = rows.iter().find(|row| row.slot == slot.name);
            let name = **row.ok_or_else(|| unnamed(&block))?;
            places.push(Place { slot: Some(next), name });
            next += 1;
        }
        if let Some(row) = rows.iter().find(|row| row.slot == "t") {
            counter = **row;
        }
    }
    if next != names.len() {
        return Err(fail(library)(format!("group {:?} remembers {names:?}", group.name)));
    }
    places.push(Place { slot: None, name: counter });
    Ok(places)
}

/// A counter as the library writes it.
fn counter(library: Library, t: u64) -> (Dtype, Vec<u8>) {
    match library {
        Library::Torch => (Dtype::F32, (t as f32).to_le_bytes().to_vec()),
        Library::Optax => (Dtype::I32, i32::try_from(t).unwrap_or(i32::MAX).to_le_bytes().to_vec()),
        Library::Burn | Library::Candle => (Dtype::I64, (t as i64).to_le_bytes().to_vec()),
    }
}

/// A number of steps, of whatever type the library counts in.
fn count(view: &TensorView<'_>) -> Option<u64> {
    let bytes = view.data();
    let value = match (view.dtype(), view.shape()) {
        (Dtype::F32, []) => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
        (Dtype::F64, []) => f64::from_le_bytes(bytes.try_into().ok()?),
        (Dtype::I32, []) => f64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        (Dtype::I64, []) => i64::from_le_bytes(bytes.try_into().ok()?) as f64,
        _ => return None,
    };
    (value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53)).then_some(value as u64)
}
