//! The step.

use super::fit::width;
use super::param::Gradient;
use super::settle::{Scalars, stands_alone};
use super::sparse::{Merged, merge};
use super::{Accumulation, Optimizer, Outcome, Param, State, StepReport};
use crate::chain::Chain;
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::engine::codec::name_hash;
use crate::engine::drive::Sweep;
use crate::engine::plan::Plan;
use crate::engine::stage::Moment;
use crate::engine::stream::Stream;
use crate::engine::tensor::Tensor;
use crate::error::Error;
use crate::part::Supply;
use crate::probe;

/// What is done with the gradients of a call.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Step,
    Accumulate,
}

/// The parameters that take part in a step or an accumulation.
struct Cast<'c, E> {
    /// The state of each parameter of the list.
    order: &'c [usize],
    /// Which of the list take part.
    active: Vec<usize>,
    /// The merged rows of each that takes part, where its gradient is sparse.
    rows: Vec<Option<Merged<'c, E>>>,
    /// What the caller says this batch counts.
    weight: f64,
    /// Whether earlier batches are to be used too.
    summed: bool,
}

impl<E: Element> Optimizer<E> {
    /// Takes one step: every parameter that came with a gradient and is not frozen moves in place.
    ///
    /// Parameters met for the first time are given their group and zeroed state; parameters
    /// missing from the list keep theirs.
    ///
    /// All that was asked for happens in one reading pass over the gradients (check, norm) and one
    /// sweep: loss scale divided out, accumulated gradients added, clipping, the chain, averages that
    /// are part of it, copies in low precision, gradients zeroed.
    ///
    /// # Errors
    /// If a shape, name or group does not fit, if a geometry does not admit a parameter or a step,
    /// or if gradients are not finite and the policy says to fail. An error leaves parameters and
    /// state as they were.
    pub fn step(&mut self, params: &mut [Param<'_, E>]) -> Result<StepReport, Error> {
        self.step_weighted(params, 1.0)
    }

    /// [`step`](Self::step) with the last of several accumulated batches, which counts `weight` (its
    /// number of samples, say). Without accumulated batches the weight only matters to
    /// [`Accumulation::Sum`].
    ///
    /// # Errors
    /// As [`step`](Self::step); also if `weight` is not a positive number, or if a parameter whose
    /// gradient was accumulated is missing from the list.
    pub fn step_weighted(
        &mut self,
        params: &mut [Param<'_, E>],
        weight: f64,
    ) -> Result<StepReport, Error> {
        self.whole_or_nothing(params, weight, Act::Step)
    }

    /// Adds gradients, times `weight`, to those that the next step will use, and zeroes those given
    /// by [`Param::grad_to_zero`]. Nothing else changes. A batch with a non-finite gradient is left
    /// out and reported as refused.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::gd};
    /// let mut opt = Optimizer::<f32>::new(gd().with("lr", 1.0)?)?;
    /// let (mut x, shape) = (vec![0.0], [1]);
    /// opt.accumulate(&mut [Param::new("x", &shape, &mut x, &[1.0])], 3.0)?; // three samples
    /// opt.step_weighted(&mut [Param::new("x", &shape, &mut x, &[5.0])], 1.0)?; // one sample
    /// assert_eq!(x, [-2.0]); // the mean gradient of the four
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`step_weighted`](Self::step_weighted); sparse gradients cannot be accumulated.
    pub fn accumulate(
        &mut self,
        params: &mut [Param<'_, E>],
        weight: f64,
    ) -> Result<StepReport, Error> {
        self.whole_or_nothing(params, weight, Act::Accumulate)
    }

    /// Finds or makes the states and acts; parameters met for the first time are forgotten
    /// again if that fails.
    fn whole_or_nothing(
        &mut self,
        params: &mut [Param<'_, E>],
        weight: f64,
        act: Act,
    ) -> Result<StepReport, Error> {
        if !(weight > 0.0 && weight.is_finite()) {
            let range = crate::Range::POSITIVE.to_string();
            return Err(Error::Hyper { name: "weight", value: weight, range });
        }
        let known = self.states.len();
        let result = self.attempt(params, weight, act);
        if !result.as_ref().is_ok_and(StepReport::applied) {
            self.forget_from(known);
        }
        result
    }

    /// What a step of these parameters would move, without a trace of having asked.
    pub(super) fn begin(
        &mut self,
        params: &[Param<'_, E>],
    ) -> Result<(Vec<usize>, StepReport), Error> {
        let known = self.states.len();
        let answer = self.resolve(params).map(|order| {
            let moves = |k: &usize| params[*k].grad.is_some() && !self.states[order[*k]].frozen;
            ((0..params.len()).filter(moves).collect(), self.empty_report(params, &order))
        });
        self.forget_from(known);
        answer
    }

    fn attempt(
        &mut self,
        params: &mut [Param<'_, E>],
        weight: f64,
        act: Act,
    ) -> Result<StepReport, Error> {
        let summed = act == Act::Step && self.accumulated > 0.0;
        let order = self.resolve(params)?;
        let mut report = self.empty_report(params, &order);
        let active: Vec<usize> = (0..params.len())
            .filter(|k| {
                let state = &self.states[order[*k]];
                let waiting = summed && state.sum.is_some();
                (params[*k].grad.is_some() || waiting) && !state.frozen
            })
            .collect();
        let rows = active.iter().map(|k| self.rows(&params[*k])).collect();
        let cast = Cast { order: &order, active, rows, weight, summed };
        let mut plan = std::mem::take(&mut self.plan);
        plan.update(cast.active.iter().zip(&cast.rows).map(|(k, rows)| match rows {
            Some(merged) => merged.index.len() * width(params[*k].shape),
            None => params[*k].value.len(),
        }));
        let result = match act {
            Act::Step => self.sweep(params, &cast, &plan, &mut report),
            Act::Accumulate => self.add(params, &cast, &plan, &mut report),
        };
        self.plan = plan;
        self.order = order;
        result?;
        Ok(report)
    }

    /// The rows of a sparse gradient, in order.
    fn rows<'p>(&self, param: &'p Param<'_, E>) -> Option<Merged<'p, E>> {
        let Gradient { values, rows, .. } = param.grad.as_ref()?;
        Some(merge(self.isa, (*rows)?, values, width(param.shape)))
    }

    fn empty_report(&self, params: &[Param<'_, E>], order: &[usize]) -> StepReport {
        let missing = |p: &&Param<'_, E>| p.grad.is_none();
        StepReport {
            outcome: Outcome::Applied,
            step: self.steps,
            grad_norm: None,
            clip_factor: 1.0,
            loss_scale: self.loss_scale(),
            weight: 1.0,
            lr: self
                .groups
                .iter()
                .map(|g| (g.name.clone(), g.chain.hyper("lr").ok().map(|h| h.value(self.steps))))
                .collect(),
            without_gradient: params.iter().filter(missing).map(|p| p.name.to_owned()).collect(),
            frozen: order.iter().filter(|k| self.states[**k].frozen).count(),
            readings: vec![],
            moments: vec![],
        }
    }

    /// The tensors of the cast. Those whose gradient was accumulated, or will be, point to the sum.
    fn tensors<'t>(
        &'t self,
        params: &[Param<'_, E>],
        cast: &'t Cast<'_, E>,
        with_sums: bool,
    ) -> Vec<Tensor<'t, E>> {
        let mut tensors = vec![];
        for (k, merged) in cast.active.iter().zip(&cast.rows) {
            let (param, state) = (&params[*k], &self.states[cast.order[*k]]);
            let sum = state.sum.as_ref().filter(|_| with_sums).map(Slots::first);
            let g = match (&param.grad, sum) {
                (Some(gradient), _) => gradient.values.stream(),
                // Nothing new: the sum, once more with weight 0.
                (None, Some(sum)) => Stream { data: sum.cast(), packing: None },
                (None, None) => continue,
            };
            let mut tensor = Tensor::new(param.value.stream(), g, state.len, &state.slots);
            let group = &self.groups[state.group];
            tensor.keep = self.precision.keep(group.chain.memory_per_coordinate(), state.value);
            tensor.noise =
                self.precision.noise(group.storage, &state.name, tensor.keep, state.t + 1);
            if group.chain.stages().iter().any(|s| s.supply() == Supply::Noise) {
                tensor.name_hash = name_hash(&state.name);
            }
            tensor.zero = param.grad.as_ref().is_some_and(|g| g.zero);
            tensor.copy = param.copy.as_ref().map(|copy| copy.stream());
            tensor.sum = sum;
            let weight = if param.grad.is_some() { cast.weight / self.loss_scale() } else { 0.0 };
            tensor.weight = E::lift(weight);
            if let Some(merged) = merged {
                let rows = merged.rows(width(param.shape));
                tensor.len = rows.index.len() * rows.width;
                tensor.rows = Some(rows);
            }
            tensors.push(tensor);
        }
        tensors
    }

    /// What every gradient of the step is multiplied by, clipping aside, and the step's weight.
    fn gradient_scale(&self, cast: &Cast<'_, E>) -> (f64, f64) {
        let weight = self.accumulated + cast.weight;
        match (cast.summed, self.accumulation) {
            (true, Accumulation::Mean) => (1.0 / weight, weight),
            (true, Accumulation::Sum) => (1.0, weight),
            (false, Accumulation::Mean) => (1.0 / self.loss_scale(), cast.weight),
            (false, Accumulation::Sum) => (cast.weight / self.loss_scale(), cast.weight),
        }
    }

    fn sweep(
        &mut self,
        params: &[Param<'_, E>],
        cast: &Cast<'_, E>,
        plan: &Plan,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        if cast.summed {
            self.check_sums(params, cast)?;
            self.make_sums(cast);
        }
        let moments: Vec<(usize, Moment)> = cast
            .active
            .iter()
            .map(|k| {
                let state = &self.states[cast.order[*k]];
                (state.group, Moment { t: state.t + 1, clock: self.steps })
            })
            .collect();
        let mut tensors = self.tensors(params, cast, cast.summed);
        let chains = self.chains(&moments, &mut tensors);
        let (scale, weight) = self.gradient_scale(cast);
        report.weight = weight;
        let name = |t: usize| params[cast.active[t]].name;
        let mut sweep = Sweep {
            threads: &self.threads,
            isa: self.isa,
            plan,
            tensors: &tensors,
            scale: E::lift(scale),
        };
        if let Some(refused) = self.guard(&mut sweep, scale, name, report) {
            sweep.clear();
            drop(tensors);
            return self.refuse(refused, report);
        }
        let mut scalars = Scalars {
            tensor: (cast.active.iter())
                .map(|k| self.states[cast.order[*k]].scalars.clone())
                .collect(),
            group: self.groups.iter().map(|g| g.scalars.clone()).collect(),
            follower: vec![0; chains.len()],
            rows: (cast.active.iter().zip(&tensors))
                .map(|(k, tensor)| match params[*k].shape {
                    [] | [_] => (tensor.len, vec![]),
                    shape => (width(shape), vec![]),
                })
                .collect(),
        };
        for (t, tensor) in tensors.iter().enumerate().rev() {
            scalars.follower[tensor.chain] = t;
        }
        let face = |t: usize| (name(t), params[cast.active[t]].shape);
        let prepared = self.prepare(&sweep, &chains, &mut scalars, face)?;
        let names: Vec<&str> = (0..tensors.len()).map(name).collect();
        let seen: Vec<(&Chain, Moment)> =
            chains.iter().map(|(group, moment)| (&self.groups[*group].chain, *moment)).collect();
        let due = (self.steps + 1).is_multiple_of(self.probe_every);
        let probes = if due { &self.probes[..] } else { &[] };
        let watches = probe::watches(probes, self.isa, &seen);
        let gathered = sweep.sweep(&prepared, &watches);
        (report.readings, report.moments) =
            probe::readings(&seen, &tensors, &names, &gathered, probes);
        drop(tensors);
        for (k, scalars) in cast.active.iter().zip(scalars.tensor) {
            let state = &mut self.states[cast.order[*k]];
            state.t += 1;
            state.scalars = scalars;
        }
        for (group, scalars) in self.groups.iter_mut().zip(scalars.group) {
            group.scalars = scalars;
        }
        self.steps += 1;
        self.refused_in_a_row = 0;
        self.accumulated = 0.0;
        if let Some(scale) = &mut self.loss_scale {
            scale.applied();
        }
        report.step = self.steps;
        Ok(())
    }

    /// Adds the gradients of the cast to the sums.
    fn add(
        &mut self,
        params: &[Param<'_, E>],
        cast: &Cast<'_, E>,
        plan: &Plan,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        check_dense(params, cast)?;
        report.weight = cast.weight;
        let tensors = self.tensors(params, cast, false);
        let name = |t: usize| params[cast.active[t]].name;
        let threads = &self.threads.clone();
        let scale = 1.0 / self.loss_scale();
        let isa = self.isa;
        let mut sweep = Sweep { threads, isa, plan, tensors: &tensors, scale: E::lift(scale) };
        if let Some(refused) = self.guard(&mut sweep, scale, name, report) {
            sweep.clear();
            drop(tensors);
            return self.refuse(refused, report);
        }
        // Clipping is the step's, of the sum.
        report.clip_factor = 1.0;
        drop(tensors);
        self.make_sums(cast);
        let tensors = self.tensors(params, cast, true);
        Sweep { threads, isa, plan, tensors: &tensors, scale: E::number(1.0) }.accumulate();
        drop(tensors);
        self.accumulated += cast.weight;
        self.refused_in_a_row = 0;
        Ok(())
    }

    /// Gives everybody in the cast a sum.
    fn make_sums(&mut self, cast: &Cast<'_, E>) {
        for k in &cast.active {
            let state = &mut self.states[cast.order[*k]];
            if state.sum.is_none() {
                state.sum = Some(Slots::new(&[None], state.len));
            }
        }
    }

    /// Whether all that was accumulated can be used by this step.
    fn check_sums(&self, params: &[Param<'_, E>], cast: &Cast<'_, E>) -> Result<(), Error> {
        check_dense(params, cast)?;
        let waiting = |s: &&State<E>| s.sum.is_some() && !s.frozen;
        let here: std::collections::HashSet<&str> = params.iter().map(|p| p.name).collect();
        match self.states.iter().filter(waiting).find(|s| !here.contains(s.name.as_str())) {
            None => Ok(()),
            Some(state) => Err(Error::Shape {
                parameter: state.name.clone(),
                what: "has accumulated gradients but is missing from the step; pass it (without a \
                       gradient if it has none), or `remove` it"
                    .to_owned(),
            }),
        }
    }

    /// Which chain, at which moment, each tensor follows. Tensors share one as long as no scalar
    /// of their own enters its formulas.
    fn chains(
        &self,
        moments: &[(usize, Moment)],
        tensors: &mut [Tensor<'_, E>],
    ) -> Vec<(usize, Moment)> {
        let mut chains: Vec<(usize, Moment)> = vec![];
        for (tensor, moment) in tensors.iter_mut().zip(moments) {
            let own = self.groups[moment.0].chain.stages().iter().any(|s| stands_alone(s.as_ref()));
            // The list is short: one entry per group unless step counts differ.
            let shared = if own { None } else { chains.iter().position(|c| c == moment) };
            tensor.chain = shared.unwrap_or_else(|| {
                chains.push(*moment);
                chains.len() - 1
            });
        }
        chains
    }
}

/// Sums are dense.
fn check_dense<E: Element>(params: &[Param<'_, E>], cast: &Cast<'_, E>) -> Result<(), Error> {
    match cast.active.iter().zip(&cast.rows).find(|(_, rows)| rows.is_some()) {
        None => Ok(()),
        Some((k, _)) => Err(Error::Shape {
            parameter: params[*k].name.to_owned(),
            what: "has a sparse gradient, which cannot be accumulated; rows may repeat, so pass \
                   those of all batches to one step"
                .to_owned(),
        }),
    }
}
