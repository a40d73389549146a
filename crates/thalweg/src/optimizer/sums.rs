//! Gradients accumulated for the next step.

use super::cast::Cast;
use super::{Optimizer, Param, State};
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::error::Error;

impl<E: Element> Optimizer<E> {
    /// The weight of the gradients accumulated since the last step; 0 if there are none.
    pub fn accumulated(&self) -> f64 {
        self.accumulated
    }

    /// Forgets the gradients accumulated since the last step, and gives back the room for them: after a
    /// batch that should not count, or when an epoch ends in the middle.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::gd};
    /// let mut opt = Optimizer::<f32>::new(gd().with("lr", 1.0)?)?;
    /// let (mut x, shape) = (vec![0.0], [1]);
    /// let _ = opt.accumulate(&mut [Param::new("x", &shape, &mut x, &[100.0])], 1.0)?;
    /// opt.discard_accumulated();
    /// let _ = opt.step(&mut [Param::new("x", &shape, &mut x, &[1.0])])?;
    /// assert_eq!(x, [-1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn discard_accumulated(&mut self) {
        self.accumulated = 0.0;
        for state in &mut self.states {
            (state.sum, state.summed) = (None, false);
        }
    }

    /// Gives everybody in the cast room for a sum.
    pub(super) fn make_sums(&mut self, cast: &Cast<E>) {
        for k in &cast.active {
            let state = &mut self.states[cast.order[*k]];
            if state.sum.is_none() {
                state.sum = Some(Slots::new(&[None], state.len));
            }
        }
    }

    /// Whether all that was accumulated can be used by this step.
    pub(super) fn check_sums(&self, params: &[Param<'_, E>], cast: &Cast<E>) -> Result<(), Error> {
        check_dense(params, cast)?;
        let waiting = |s: &&State<E>| s.waits();
        let here = cast.order.iter().map(|k| &self.states[*k]).filter(waiting).count();
        if here == self.states.iter().filter(waiting).count() {
            return Ok(());
        }
        let missing = |s: &&State<E>| !params.iter().any(|p| p.name == s.name);
        match self.states.iter().filter(waiting).find(missing) {
            None => Ok(()),
            Some(state) => Err(Error::Shape {
                parameter: state.name.clone(),
                what: "has accumulated gradients but is missing from the step; pass it (without a \
                       gradient if it has none), or `remove` it"
                    .to_owned(),
            }),
        }
    }
}

/// Sums are of whole tensors.
pub(super) fn check_dense<E: Element>(
    params: &[Param<'_, E>],
    cast: &Cast<E>,
) -> Result<(), Error> {
    match cast.active.iter().find(|k| params[**k].is_lazy()) {
        None => Ok(()),
        Some(k) => Err(Error::Shape {
            parameter: params[*k].name.to_owned(),
            what: "has a sparse gradient, which cannot be accumulated; rows may repeat, so pass \
                   those of all batches to one step, or pass an `exact_sparse_grad`"
                .to_owned(),
        }),
    }
}
