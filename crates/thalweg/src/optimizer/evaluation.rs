//! Where parameters are evaluated: averages and other iterates that training does not stand at.

use super::Optimizer;
use crate::engine::Element;
use crate::engine::stage::Moment;
use crate::error::Error;

impl<E: Element> Optimizer<E> {
    /// Writes to `out` the values at which the parameter `name`, now at `x`, should be evaluated:
    /// the average of [`WeightAverage`](crate::rules::WeightAverage), the iterate that
    /// schedule-free methods average, the slow weights of lookahead. A chain without such a member
    /// ([`Chain::has_view`](crate::Chain::has_view)) evaluates `x` itself; of several, the last
    /// counts.
    ///
    /// Training goes on at `x`. There is no mode to switch: nothing of the optimizer changes, and
    /// `x` is only read.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::adamw, rules::WeightAverage};
    /// let chain = adamw().with("lr", 0.1)?.then(<WeightAverage>::default().average_decay(0.9));
    /// let mut opt = Optimizer::<f32>::new(chain)?;
    /// let (mut x, shape) = (vec![1.0, -2.0], [2]);
    /// let mut best = f32::INFINITY;
    /// for step in 1..=200 {
    ///     let g: Vec<f32> = x.iter().map(|x| 2.0 * x).collect(); // of x², summed
    ///     opt.step(&mut [Param::new("x", &shape, &mut x, &g)])?;
    ///     if step % 50 == 0 {
    ///         let mut average = vec![0.0; 2];
    ///         opt.evaluation("x", &x, &mut average)?;
    ///         best = best.min(average.iter().map(|x| x * x).sum());
    ///     }
    /// }
    /// assert!(best < 1e-2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownParameter`] if no such parameter has been given to a step, [`Error::Shape`]
    /// if `x` or `out` is not as long as it was; then `out` is unchanged.
    pub fn evaluation(&self, name: &str, x: &[E], out: &mut [E]) -> Result<(), Error> {
        let Some(state) = self.index.get(name).map(|k| &self.states[*k]) else {
            let mut known: Vec<&str> = self.states.iter().map(|s| s.name.as_str()).collect();
            let more = known.len().saturating_sub(10);
            known.truncate(10);
            let known = match (known.len(), more) {
                (0, _) => "none".to_owned(),
                (_, 0) => known.join(", "),
                _ => format!("{} and {more} more", known.join(", ")),
            };
            return Err(Error::UnknownParameter { name: name.to_owned(), known });
        };
        for (what, len) in [("values", x.len()), ("places for the result", out.len())] {
            if len != state.len {
                let what = format!("has {} values, but {len} {what} were given", state.len);
                return Err(Error::Shape { parameter: name.to_owned(), what });
            }
        }
        out.copy_from_slice(x);
        // Before the first step there is nothing but the start.
        if state.t == 0 {
            return Ok(());
        }
        let group = &self.groups[state.group];
        let moment = Moment { t: state.t, clock: self.steps.saturating_sub(1) };
        let mut first = 0;
        let mut last = None;
        for (k, stage) in group.chain.stages().iter().enumerate() {
            let count = stage.slot_count();
            if stage.has_view() {
                last = Some((k, stage, first, count));
            }
            first += count;
        }
        if let Some((k, stage, first, count)) = last {
            let slots: Vec<Vec<E>> =
                (first..first + count).map(|k| state.slots.values(k, self.isa)).collect();
            let slots: Vec<&[E]> = slots.iter().map(Vec::as_slice).collect();
            let scalars = match stage.scope() {
                crate::part::Scope::Tensor => state.scalars.get(k),
                crate::part::Scope::Group | crate::part::Scope::Row => group.scalars.get(k),
            };
            let scalars = scalars.map_or(&[][..], Vec::as_slice);
            E::stage(stage.as_ref()).view(moment, scalars, x, &slots, out);
        }
        Ok(())
    }
}
