//! Parameters and their states: found by name, made when first met, forgotten if nothing came of it.

use std::borrow::Cow;
use std::sync::Arc;

use super::fit::{fits, whole};
use super::group::{Group, assign};
use super::settle::has_own_scalars;
use super::{Optimizer, Param, State};
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::engine::codec::Packing;
use crate::error::Error;

impl<E: Element> Optimizer<E> {
    /// Finds the state of each parameter, made if it is new, and leaves their order in the cast.
    pub(super) fn resolve(&mut self, params: &[Param<'_, E>]) -> Result<(), Error> {
        let order = &self.cast.order;
        let same = order.len() == params.len()
            && order.iter().zip(params).all(|(k, p)| self.states[*k].name == p.name);
        if !same {
            self.cast.clear();
            let mut seen = std::collections::HashSet::new();
            for param in params {
                if !seen.insert(param.name) {
                    let name = param.name.to_owned();
                    return Err(Error::Duplicate { what: "parameter", name });
                }
            }
            for param in params {
                whole(param)?;
                match self.index.get(param.name) {
                    Some(k) => self.cast.order.push(*k),
                    None => {
                        let state = self.admit(param)?;
                        self.cast.order.push(self.states.len());
                        self.index.insert(param.name.to_owned(), self.states.len());
                        self.states.push(state);
                    }
                }
            }
        }
        for (at, param) in params.iter().enumerate() {
            let k = self.cast.order[at];
            fits(&self.states[k], param)?;
            if param.is_lazy() {
                self.takes_rows(&self.states[k])?;
            }
            if self.states[k].format_unknown {
                self.meet(k, param)?;
            }
        }
        Ok(())
    }

    /// The values of a parameter, if every geometry of its group admits them.
    fn admitted<'p>(&self, group: usize, param: &'p Param<'_, E>) -> Result<Cow<'p, [E]>, Error> {
        let values = param.value.values::<E>(self.isa);
        for stage in self.groups[group].chain.stages() {
            let bad = values.iter().filter_map(|x| stage.admits(x.widen()).err());
            let (mut count, mut why) = (0, "");
            for what in bad {
                (count, why) = (count + 1, what);
            }
            if count > 0 {
                let parameter = param.name.to_owned();
                return Err(Error::Domain { parameter, count, what: why });
            }
        }
        Ok(values)
    }

    /// Gives an imported state the format of the parameter it is of.
    fn meet(&mut self, k: usize, param: &Param<'_, E>) -> Result<(), Error> {
        let values = self.admitted(self.states[k].group, param)?;
        let value = param.value.packing();
        if self.states[k].value != value {
            self.states[k].slots = self.with_own_slot(&self.states[k], value, &values);
            self.states[k].value = value;
        }
        Ok(())
    }

    /// The slots of the chain as they are, and what makes up for this format of the parameter as it
    /// is at the start.
    fn with_own_slot(&self, state: &State<E>, value: Option<Packing>, values: &[E]) -> Slots<E> {
        let Group { chain, storage, slots: count, .. } = &self.groups[state.group];
        let formats = self.precision.formats(*storage, &chain.slot_list(), state.len, value);
        let mut slots = Slots::new(&formats, state.len);
        for k in 0..*count {
            slots.raw_mut(k).copy_from_slice(state.slots.raw(k));
            slots.scales_mut(k).copy_from_slice(state.slots.scales(k));
        }
        if self.precision.own_slot(value) == Some("@master") {
            slots.set(*count, self.isa, values);
        }
        slots
    }

    /// The parameters of the list have been stepped: loaded and imported states are as others from now on.
    /// Returns the names of those that were not known before.
    pub(super) fn met(&mut self, known: usize) -> Arc<[String]> {
        for k in &self.cast.order {
            let state = &mut self.states[*k];
            (state.format_unknown, state.unmet) = (false, false);
        }
        let new = &self.states[known..];
        // An empty list that is collected is allocated, this one is not.
        if new.is_empty() { Arc::default() } else { new.iter().map(|s| s.name.clone()).collect() }
    }

    /// The state of a parameter met for the first time.
    fn admit(&self, param: &Param<'_, E>) -> Result<State<E>, Error> {
        let group = assign(&self.groups, param.name, param.shape)?;
        let values = self.admitted(group, param)?;
        let stages = self.groups[group].chain.stages();
        let value = param.value.packing();
        Ok(State {
            name: param.name.to_owned(),
            shape: param.shape.to_vec(),
            len: values.len(),
            group,
            t: 0,
            frozen: self.asked_frozen(param.name, param.shape).unwrap_or(false),
            value,
            format_unknown: false,
            unmet: false,
            slots: self.first_slots(group, value, &values),
            sum: None,
            summed: false,
            scalars: if stages.iter().any(|s| has_own_scalars(s.as_ref())) {
                stages.iter().map(|s| s.first_scalars()).collect()
            } else {
                vec![]
            },
        })
    }

    /// Whether rows of a parameter can be stepped alone.
    fn takes_rows(&self, state: &State<E>) -> Result<(), Error> {
        let Some(why) = self.groups[state.group].chain.refuses_rows() else { return Ok(()) };
        Err(Error::Shape {
            parameter: state.name.clone(),
            what: format!(
                "has a sparse gradient, but {why}; pass a dense one or an `exact_sparse_grad`"
            ),
        })
    }

    /// What the last pattern that matches a parameter asked for: whether it is to be frozen.
    pub(super) fn asked_frozen(&self, name: &str, shape: &[usize]) -> Option<bool> {
        let asked = self.freezes.iter().rev().find(|(asked, _)| (asked.matches)(name, shape));
        asked.map(|(_, frozen)| *frozen)
    }

    /// What a parameter with these values remembers before the first step.
    fn first_slots(&self, group: usize, value: Option<Packing>, values: &[E]) -> Slots<E> {
        let chain = &self.groups[group].chain;
        let formats = self.precision.formats(
            self.groups[group].storage,
            &chain.slot_list(),
            values.len(),
            value,
        );
        let mut slots = Slots::new(&formats, values.len());
        let mut first = 0;
        for stage in chain.stages() {
            let count = stage.slot_count();
            let mut streams = vec![vec![E::number(0.0); values.len()]; count];
            let mut views: Vec<&mut [E]> = streams.iter_mut().map(Vec::as_mut_slice).collect();
            E::stage(stage.as_ref()).start(values, &mut views);
            for (k, stream) in streams.iter().enumerate() {
                slots.set(first + k, self.isa, stream);
            }
            first += count;
        }
        if self.precision.own_slot(value) == Some("@master") {
            slots.set(first, self.isa, values);
        }
        slots
    }

    /// Forgets parameters met in an attempt that came to nothing. A geometry's memory is that of
    /// the value a parameter came with; by the next attempt the user may have changed it. So may the
    /// format of one whose state was imported.
    pub(super) fn forget_from(&mut self, known: usize) {
        for k in 0..known {
            if self.states[k].format_unknown && self.states[k].value.is_some() {
                self.states[k].slots = self.with_own_slot(&self.states[k], None, &[]);
                self.states[k].value = None;
            }
        }
        if self.states.len() > known {
            self.states.truncate(known);
            self.index.retain(|_, k| *k < known);
            self.cast.clear();
        }
    }
}
