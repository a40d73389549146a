//! Parameters and their states: found by name, made when first met, forgotten if nothing came of it.

use super::fit::{fits, whole};
use super::group::assign;
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
        for (k, param) in self.cast.order.iter().zip(params) {
            fits(&self.states[*k], param)?;
            if param.is_sparse() {
                self.takes_rows(&self.states[*k])?;
            }
        }
        Ok(())
    }

    /// The state of a parameter met for the first time.
    fn admit(&self, param: &Param<'_, E>) -> Result<State<E>, Error> {
        let group = assign(&self.groups, param.name, param.shape)?;
        let stages = self.groups[group].chain.stages();
        let values = param.value.values::<E>(self.isa);
        for stage in stages {
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
        let value = param.value.packing();
        Ok(State {
            name: param.name.to_owned(),
            shape: param.shape.to_vec(),
            len: values.len(),
            group,
            t: 0,
            frozen: self.starts_frozen(param),
            value,
            slots: self.first_slots(group, value, &values),
            sum: None,
            scalars: if stages.iter().any(|s| has_own_scalars(s.as_ref())) {
                stages.iter().map(|s| s.first_scalars()).collect()
            } else {
                vec![]
            },
        })
    }

    /// Whether rows of a parameter can be stepped alone.
    fn takes_rows(&self, state: &State<E>) -> Result<(), Error> {
        let stages = self.groups[state.group].chain.stages();
        if !stages.iter().any(|s| s.is_geometry() && s.reads()) {
            return Ok(());
        }
        Err(Error::Shape {
            parameter: state.name.clone(),
            what: "has a sparse gradient, but its geometry sums over the whole tensor; give it a dense \
                   gradient"
                .to_owned(),
        })
    }

    fn starts_frozen(&self, param: &Param<'_, E>) -> bool {
        let asked = self.freezes.iter().rev().find(|(matches, _)| matches(param.name, param.shape));
        asked.is_some_and(|(_, frozen)| *frozen)
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
    /// the value a parameter came with; by the next attempt the user may have changed it.
    pub(super) fn forget_from(&mut self, known: usize) {
        if self.states.len() > known {
            self.states.truncate(known);
            self.index.retain(|_, k| *k < known);
            self.cast.clear();
        }
    }
}
