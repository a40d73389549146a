//! Interchange: states of other libraries, by their own names.

mod names;
mod places;

use std::collections::HashSet;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

pub use names::{Library, Name};
use places::{Held, Place, computed, places};

use super::checkpoint::dtype;
use super::fit::size;
use super::group::{Group, assign};
use super::settle::has_own_scalars;
use super::{Optimizer, State};
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::error::Error;

/// What an import does, or would do.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it says what became of each tensor"]
#[non_exhaustive]
pub struct Imported {
    /// Each tensor of the file with what it became: `(tensor, parameter, slot)`; the slot is that of
    /// the names table ([`Name::slot`]).
    pub mapped: Vec<(String, String, String)>,
    /// Parameters of which the file has no tensor, though their method remembers something: they start anew.
    /// torch and burn make state with the first gradient, and these had none yet.
    pub without_state: Vec<String>,
    /// Steps taken, the clock of the schedules: the largest of the parameters' own.
    pub steps: u64,
}

impl<E: Element> Optimizer<E> {
    /// Takes over the state of another library's optimizer from the bytes of a safetensors file.
    ///
    /// A tensor is called `parameter.name` with the library's own `name` ([`Library::names`]); a
    /// number that the library keeps once for all parameters has its bare name (optax `count`).
    /// `params` are the names and shapes of all parameters. Each parameter's step number and the
    /// schedules' clock go on where the file's counters were; where the library has no counter
    /// (torch's SGD), the file may still have one, and without it the parameter is at its second step.
    ///
    /// Numbers of a narrower type are widened: the moments of a torch model in bf16. A parameter's own
    /// format is that of its first step from here on; its master copy, or what rounding has cut off,
    /// starts from the parameter as it is then.
    ///
    /// Hyper-parameters are those of the chain here. The book's chapter has the lines that write
    /// such a file from torch, optax and burn.
    ///
    /// # Errors
    /// [`Error::Interchange`] if a tensor is missing (but see [`Imported::without_state`]) or superfluous, has
    /// another shape or a wider type, belongs to a parameter that is not listed, or a slot here has no name
    /// there; [`Error::Group`] if a parameter is of no group. Then the optimizer is unchanged.
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
    /// `I64`; all other numbers in the number type of the optimizer.
    ///
    /// # Errors
    /// [`Error::Interchange`] if a slot has no name there, or the parameters differ in what the
    /// library has once for all of them (their number of steps).
    pub fn export_bytes(&self, to: Library) -> Result<Vec<u8>, Error> {
        let fail = fail(to);
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![];
        for state in &self.states {
            for place in places(to, &self.groups[state.group])? {
                if place.is_unknown_there() {
                    continue;
                }
                let name = place.tensor(&state.name);
                let (dtype, shape, bytes) = self.foreign(to, state, &place)?;
                match tensors.iter().find(|t| t.0 == name) {
                    None => tensors.push((name, dtype, shape, bytes)),
                    Some(same) if place.name.once() && same.3 == bytes => {}
                    Some(_) if place.name.once() => {
                        return Err(fail(format!(
                            "has one {name:?} for all parameters, but {:?} has taken {} steps and \
                             others have not, or not at the same rates",
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

    /// A piece of a parameter's state as the library writes it.
    fn foreign(
        &self,
        to: Library,
        state: &State<E>,
        place: &Place,
    ) -> Result<(Dtype, Vec<usize>, Vec<u8>), Error> {
        let mut bytes = vec![];
        let mut number = |value: f64| E::lift(place.signed(value)).to_bytes(&mut bytes);
        match &place.held {
            Held::Slot(k) => {
                let values = state.slots.values(*k, self.isa);
                values.into_iter().for_each(|v| place.signed(v).to_bytes(&mut bytes));
                return Ok((dtype::<E>(None), state.shape.clone(), bytes));
            }
            Held::Steps => {
                let (dtype, bytes) = counter(to, state.t + place.name.ahead);
                return Ok((dtype, vec![], bytes));
            }
            Held::Variance { square, mean } => {
                let square = state.slots.values(*square, self.isa);
                let means = mean.map(|k| state.slots.values(k, self.isa));
                for (k, v) in square.into_iter().enumerate() {
                    means.as_ref().map_or(v, |m| v - m[k] * m[k]).to_bytes(&mut bytes);
                }
                return Ok((dtype::<E>(None), state.shape.clone(), bytes));
            }
            Held::Scalar { stage, at } => number(state.scalars[*stage][*at]),
            Held::Computed(block) => {
                let value = computed(&place.name, block, state.t, self.steps);
                let unknown = || {
                    let tensor = place.name.tensor;
                    fail(to)(format!("has a {tensor:?} that {} does not give", block.path))
                };
                number(value.ok_or_else(unknown)?);
            }
        }
        Ok((dtype::<E>(None), vec![], bytes))
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
        let mut file = Foreign { tensors, used: HashSet::new(), imported: Imported::default() };
        let mut states = vec![];
        for (k, (name, shape)) in params.iter().enumerate() {
            if params[..k].iter().any(|p| p.0 == *name) {
                let name = (*name).to_owned();
                return Err(Error::Duplicate { what: "parameter", name });
            }
            states.extend(self.read_param(from, &mut file, name, shape)?);
        }
        let mut extra: Vec<&str> = file.tensors.names();
        extra.retain(|name| !file.used.contains(*name));
        extra.sort_unstable();
        match extra.first() {
            None => Ok((states, file.imported)),
            Some(first) => Err(fail(format!(
                "holds tensors that belong to no parameter or slot here: {first:?} and {} more",
                extra.len() - 1
            ))),
        }
    }

    /// The state of one parameter from a file; `None` if the file has nothing of it.
    fn read_param(
        &self,
        from: Library,
        file: &mut Foreign<'_>,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<State<E>>, Error> {
        let fail = fail(from);
        let known = self.index.get(name).map(|k| &self.states[*k]);
        if let Some(known) = known.filter(|s| s.shape != *shape) {
            let (shape, before) = (shape, &known.shape);
            return Err(fail(format!("{name:?} is listed as {shape:?}, but is {before:?}")));
        }
        let group = assign(&self.groups, name, shape)?;
        let places = places(from, &self.groups[group])?;
        let len = size(shape).filter(|n| *n <= isize::MAX as usize / size_of::<E>());
        let len = len.ok_or_else(|| fail(format!("{name:?}: {shape:?} is too large")))?;
        // They make state of a parameter with its first gradient; without one it has none at all.
        let sparing = matches!(from, Library::Torch | Library::Burn);
        let mut own = places.iter().filter(|p| !p.name.once());
        if sparing
            && own.clone().any(|p| !p.is_optional())
            && own.all(|p| file.tensors.tensor(&p.tensor(name)).is_err())
        {
            file.imported.without_state.push(name.to_owned());
            return Ok(None);
        }
        // All are looked up before memory is taken: the shapes may be nonsense.
        let (mut values, mut numbers, mut steps) = (vec![], vec![], None);
        for place in &places {
            let tensor = place.tensor(name);
            let view = match file.tensors.tensor(&tensor) {
                Ok(view) => view,
                Err(_) if place.is_optional() => continue,
                Err(_) => return Err(fail(format!("lacks the tensor {tensor:?}"))),
            };
            if !file.used.insert(tensor.clone()) && !place.name.once() {
                return Err(fail(format!("{tensor:?} is wanted twice")));
            }
            let (is, has) = (view.dtype(), view.shape().to_vec());
            let not = |what: &str| fail(format!("{tensor:?} ({is:?} {has:?}) is not {what}"));
            match &place.held {
                Held::Slot(_) | Held::Variance { .. } if has != *shape || !widens::<E>(is) => {
                    let wanted = dtype::<E>(None);
                    return Err(fail(format!(
                        "{tensor:?} is {is:?} {has:?}, not {wanted:?} {shape:?}"
                    )));
                }
                Held::Slot(k) => values.push((*k, view, place)),
                Held::Variance { .. } => {}
                Held::Steps => {
                    let t = count(&view).and_then(|n| n.checked_sub(place.name.ahead));
                    let t = t.ok_or_else(|| not("a number of steps"))?;
                    if let Some(before) = steps.replace(t).filter(|before| *before != t) {
                        return Err(fail(format!(
                            "{tensor:?} stands for {t} steps of {name:?}, another counter for {before}"
                        )));
                    }
                }
                Held::Scalar { stage, at } => {
                    let value = number(&view).ok_or_else(|| not("one number"))?;
                    numbers.push((*stage, *at, place.signed(value)));
                }
                Held::Computed(_) => {
                    number(&view).ok_or_else(|| not("one number"))?;
                }
            }
            file.imported.mapped.push((tensor, name.to_owned(), place.name.slot.to_owned()));
        }
        let Group { chain, storage, .. } = &self.groups[group];
        let formats = self.precision.formats(*storage, &chain.slot_list(), len, None);
        let mut slots = Slots::new(&formats, len);
        for (k, view, place) in values {
            let numbers = widened::<E>(&view).into_iter().map(|v| place.signed(v));
            slots.set(k, self.isa, &numbers.collect::<Vec<_>>());
        }
        let own = chain.stages().iter().any(|s| has_own_scalars(s.as_ref()));
        let mut scalars: Vec<Vec<f64>> =
            if own { chain.stages().iter().map(|s| s.first_scalars()).collect() } else { vec![] };
        for (stage, at, value) in numbers {
            scalars[stage][at] = value;
        }
        // Without a counter it is past its first step.
        let t = steps.unwrap_or(1);
        file.imported.steps = file.imported.steps.max(t);
        Ok(Some(State {
            name: name.to_owned(),
            shape: shape.to_vec(),
            len,
            group,
            t,
            frozen: known
                .map_or_else(|| self.asked_frozen(name, shape).unwrap_or(false), |s| s.frozen),
            value: None,
            format_unknown: true,
            unmet: true,
            slots,
            sum: None,
            summed: false,
            scalars,
        }))
    }
}

/// A file on its way in.
struct Foreign<'a> {
    tensors: SafeTensors<'a>,
    used: HashSet<String>,
    imported: Imported,
}

fn fail(library: Library) -> impl Fn(String) -> Error {
    move |what| Error::Interchange { library, what }
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
    let value = number(view)?;
    (value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53)).then_some(value as u64)
}

/// A tensor of one number, of whatever type.
fn number(view: &TensorView<'_>) -> Option<f64> {
    let bytes = view.data();
    Some(match (view.dtype(), view.shape()) {
        (Dtype::I32, []) => f64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        (Dtype::I64, []) => i64::from_le_bytes(bytes.try_into().ok()?) as f64,
        (dtype, []) if widens::<f64>(dtype) => *widened(view).first()?,
        _ => return None,
    })
}

/// Whether every number of this type is one of `E`.
fn widens<E: Element>(dtype: Dtype) -> bool {
    let halves = matches!(dtype, Dtype::BF16 | Dtype::F16 | Dtype::F32);
    halves || dtype == self::dtype::<E>(None)
}

/// The numbers of a tensor whose type [`widens`].
fn widened<E: Element>(view: &TensorView<'_>) -> Vec<E> {
    fn each<E: Element, const N: usize>(bytes: &[u8], wide: impl Fn([u8; N]) -> f64) -> Vec<E> {
        bytes.as_chunks().0.iter().map(|b| E::lift(wide(*b))).collect()
    }
    match view.dtype() {
        Dtype::BF16 => each(view.data(), |b| half::bf16::from_le_bytes(b).to_f64()),
        Dtype::F16 => each(view.data(), |b| half::f16::from_le_bytes(b).to_f64()),
        Dtype::F32 => each(view.data(), |b| f64::from(f32::from_le_bytes(b))),
        _ => E::from_bytes(view.data()),
    }
}
