//! Where parameters are evaluated: averages and other iterates that training does not stand at.

use super::{Optimizer, State};
use crate::engine::Element;
use crate::engine::lent::{Lent, Stored};
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
    /// `x` is only read. It may be in half precision; what compensation or a master weight keeps
    /// beside it then counts in what is computed from it.
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
    /// Before its first step a parameter is evaluated at `x`, also where that step was refused (a loss scale often
    /// overflows at first). So a name that a group takes is never an error, be it misspelt.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`] if no such parameter has taken a step and no group takes its name,
    /// [`Error::Shape`] if `x` or `out` is not as long as the parameter; then `out` is unchanged.
    pub fn evaluation<S: Stored<E>>(
        &self,
        name: &str,
        x: &[S],
        out: &mut [E],
    ) -> Result<(), Error> {
        let state = self.index.get(name).map(|k| &self.states[*k]);
        // The shape is not told: a group that asks for it is shown a vector.
        let taken = || self.groups.iter().any(|group| (group.matches)(name, &[x.len()]));
        if state.is_none() && !taken() {
            return Err(self.unknown_parameter(name));
        }
        let own = state.map_or(x.len(), |state| state.len);
        for (what, len) in [("values", x.len()), ("places for the result", out.len())] {
            if len != own {
                let what = format!("has {own} values, but {len} {what} were given");
                return Err(Error::Shape { parameter: name.to_owned(), what });
            }
        }
        Lent::stored(x).read(self.isa, 0, out);
        // Before the first step there is nothing but the start.
        if let Some(state) = state.filter(|state| state.t > 0) {
            self.look(state, out);
        }
        Ok(())
    }

    /// Puts what the last member with a view shows in the place of the parameter in `out`.
    fn look(&self, state: &State<E>, out: &mut [E]) {
        let group = &self.groups[state.group];
        let mut end = 0;
        let ends = group.chain.stages().iter().map(|stage| {
            end += stage.slot_count();
            end
        });
        let stages = group.chain.stages().iter().zip(ends).enumerate();
        let Some((k, (stage, end))) = stages.filter(|(_, (s, _))| s.has_view()).last() else {
            return;
        };
        let keep = self.precision.keep(group.slots, state.value);
        if let Some(kept) = keep.slot() {
            keep.make_whole(self.isa, state.value, out, &state.slots.values(kept, self.isa));
        }
        let slots = end - stage.slot_count()..end;
        let slots: Vec<Vec<E>> = slots.map(|k| state.slots.values(k, self.isa)).collect();
        let slots: Vec<&[E]> = slots.iter().map(Vec::as_slice).collect();
        let moment = Moment { t: state.t, clock: self.steps.saturating_sub(1) };
        let x = out.to_vec();
        E::stage(stage.as_ref()).view(moment, self.scalars_of(state, k), &x, &slots, out);
    }

    fn unknown_parameter(&self, name: &str) -> Error {
        let mut known: Vec<&str> = self.states.iter().map(|s| s.name.as_str()).collect();
        let more = known.len().saturating_sub(10);
        known.truncate(10);
        let known = match (known.len(), more) {
            (0, _) => "none".to_owned(),
            (_, 0) => known.join(", "),
            _ => format!("{} and {more} more", known.join(", ")),
        };
        Error::UnknownParameter { name: name.to_owned(), known }
    }
}
