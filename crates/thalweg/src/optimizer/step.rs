//! The step.

use std::sync::Arc;

use super::cast::{Act, Cast};
use super::fit::width;
use super::settle::{Passes, Preparation, Scalars, has_own_scalars};
use super::sums::check_dense;
use super::{Accumulation, Optimizer, Outcome, Param, StepReport};
use crate::chain::Chain;
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::engine::codec::name_hash;
use crate::engine::drive::{Prepared, Sweep};
use crate::engine::plan::Plan;
use crate::engine::stage::{Gathers, Moment};
use crate::engine::stream::{Extent, Stream};
use crate::engine::tensor::Tensor;
use crate::error::Error;
use crate::probe;

/// Room for what a step works out, kept so that the next one allocates nothing.
#[derive(Default)]
pub(super) struct Work<E: Element> {
    plan: Plan,
    /// Empty between steps.
    tensors: Vec<Tensor<'static, E>>,
    /// Which group's chain, at which moment: what tensors follow.
    chains: Vec<(usize, Moment)>,
    prepared: Vec<Prepared<E>>,
    scalars: Scalars,
    passes: Passes,
    /// The terms of the gradient's norm.
    norm: Gathers<E>,
}

/// The memory of a list of tensors, for another one.
fn room<'t, E>(mut tensors: Vec<Tensor<'_, E>>) -> Vec<Tensor<'t, E>> {
    tensors.clear();
    tensors.into_iter().map(|_| -> Tensor<'t, E> { unreachable!("it is empty") }).collect()
}

impl<E: Element> Optimizer<E> {
    /// Takes one step: every parameter that came with a gradient and is not frozen moves in place.
    ///
    /// Parameters met for the first time are given their group and zeroed state, and the report names
    /// them; parameters missing from the list keep theirs.
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
    /// As [`step_weighted`](Self::step_weighted); lazy sparse gradients cannot be accumulated.
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
        self.check_factors(weight)?;
        let known = self.states.len();
        let mut result = self.attempt(params, weight, act);
        match &mut result {
            Ok(report) if report.applied() => report.first_met = self.met(known),
            _ => self.forget_from(known),
        }
        result
    }

    /// Whether what a batch of this weight is multiplied by is more than zero in the formulas' number type, or
    /// all gradients would vanish without a word. (What is too large is found with the gradients.)
    fn check_factors(&self, weight: f64) -> Result<(), Error> {
        let error =
            |name, value, range: &str| Err(Error::Hyper { name, value, range: range.into() });
        if !(weight > 0.0 && weight.is_finite()) {
            return error("weight", weight, &crate::Range::POSITIVE.to_string());
        }
        let holds = |factor: f64| E::lift(factor).widen() > 0.0;
        let (scale, total) = (self.loss_scale(), self.accumulated + weight);
        if !holds(1.0 / scale) {
            return error("loss_scale", scale, "what the gradients' number type can be divided by");
        }
        if !(total.is_finite() && holds(weight) && holds(weight / scale)) {
            return error("weight", weight, "what the gradients' number type can hold");
        }
        Ok(())
    }

    /// Which of these parameters a step would move, without a trace of having asked.
    pub(super) fn begin(
        &mut self,
        params: &[Param<'_, E>],
        moved: &mut Vec<usize>,
    ) -> Result<StepReport, Error> {
        let known = self.states.len();
        let answer = self.resolve(params).map(|()| {
            let state = |k: usize| &self.states[self.cast.order[k]];
            let moves = |k: &usize| params[*k].grad.is_some() && !state(*k).frozen;
            moved.clear();
            moved.extend((0..params.len()).filter(moves));
            self.empty_report(params, Act::Step)
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
        self.resolve(params)?;
        let mut report = self.empty_report(params, act);
        let (mut cast, mut work) = (std::mem::take(&mut self.cast), std::mem::take(&mut self.work));
        self.enlist(params, &mut cast, weight, act);
        let length = |t: usize| match cast.extent(t, params) {
            Extent::Rows(rows) => rows.len(),
            Extent::Whole | Extent::Scattered(_) => params[cast.active[t]].value.len(),
        };
        work.plan.update((0..cast.active.len()).map(length));
        let result = match act {
            Act::Step => self.sweep(params, &cast, &mut work, &mut report),
            Act::Accumulate => self.add(params, &cast, &mut work, &mut report),
        };
        if result.is_ok() {
            self.tend_idle(params, &cast, act == Act::Step && report.applied());
        }
        (self.cast, self.work) = (cast, work);
        result?;
        Ok(report)
    }

    /// Does for those that take no part, because they are frozen or have no gradient, what was asked for
    /// besides a step: their gradient is zeroed, and after a step their copy written.
    fn tend_idle(&self, params: &mut [Param<'_, E>], cast: &Cast<E>, stepped: bool) {
        if cast.active.len() == params.len() {
            return;
        }
        for (k, param) in params.iter_mut().enumerate() {
            if cast.active.binary_search(&k).is_ok() {
                continue;
            }
            param.clear_gradient();
            if let Some(copy) = param.copy.as_mut().filter(|_| stepped) {
                copy.copy_from::<E>(self.isa, &param.value);
            }
        }
    }

    fn empty_report(&mut self, params: &[Param<'_, E>], act: Act) -> StepReport {
        for (rate, group) in Arc::make_mut(&mut self.rates).iter_mut().zip(&self.groups) {
            rate.1 = group.chain.value("lr", self.steps);
        }
        let summed = self.uses_sums(act);
        let list = params.iter().zip(&self.cast.order);
        let missing = list
            .filter(|(p, k)| p.grad.is_none() && !(summed && self.states[**k].waits()))
            .map(|(p, _)| p.name);
        if !missing.clone().eq(self.missing.iter().map(String::as_str)) {
            self.missing = missing.map(str::to_owned).collect();
        }
        StepReport {
            outcome: Outcome::Applied,
            step: self.steps,
            grad_norm: None,
            clip_global_norm: self.limit(),
            clip_factor: 1.0,
            loss_scale: self.loss_scale(),
            weight: 1.0,
            lr: self.rates.clone(),
            without_gradient: self.missing.clone(),
            first_met: Arc::default(),
            frozen: self.cast.order.iter().filter(|k| self.states[**k].frozen).count(),
            readings: vec![],
            moments: vec![],
        }
    }

    /// The tensors of the cast. Those whose gradient was accumulated, or will be, point to the sum.
    fn tensors<'t>(
        &'t self,
        params: &'t [Param<'_, E>],
        cast: &'t Cast<E>,
        with_sums: bool,
        mut tensors: Vec<Tensor<'t, E>>,
    ) -> Vec<Tensor<'t, E>> {
        for (t, k) in cast.active.iter().enumerate() {
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
            tensor.keep = self.precision.keep(group.slots, state.value);
            tensor.noise =
                self.precision.noise(group.storage, &state.name, tensor.keep, state.t + 1);
            if group.noisy {
                tensor.name_hash = name_hash(&state.name);
            }
            tensor.zero = param.grad.as_ref().is_some_and(|g| g.zero);
            tensor.copy = param.copy.as_ref().map(|copy| copy.stream());
            tensor.sum = sum;
            let weight = if param.grad.is_some() { cast.weight / self.loss_scale() } else { 0.0 };
            tensor.weight = E::lift(weight);
            tensor.extent = cast.extent(t, params);
            if let Extent::Rows(rows) = &tensor.extent {
                tensor.len = rows.len();
            }
            tensors.push(tensor);
        }
        tensors
    }

    /// What every gradient of the step is multiplied by, clipping aside, and the step's weight.
    fn gradient_scale(&self, cast: &Cast<E>) -> (f64, f64) {
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
        cast: &Cast<E>,
        work: &mut Work<E>,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        if cast.summed {
            self.check_sums(params, cast)?;
            self.make_sums(cast);
        }
        let room_for_tensors = room(std::mem::take(&mut work.tensors));
        let mut tensors = self.tensors(params, cast, cast.summed, room_for_tensors);
        self.chains(cast, &mut tensors, &mut work.chains);
        let (scale, weight) = self.gradient_scale(cast);
        report.weight = weight;
        let name = |t: usize| params[cast.active[t]].name;
        let mut sweep = Sweep {
            threads: &self.threads,
            isa: self.isa,
            plan: &work.plan,
            tensors: &tensors,
            scale: E::lift(scale),
        };
        let looking = (&mut work.norm, &mut work.passes.sums);
        if let Some(refused) = self.guard(&mut sweep, scale, name, &cast.by_name, looking, report) {
            self.let_go(&sweep);
            work.tensors = room(tensors);
            return self.refuse(refused, report);
        }
        self.copy_scalars(params, cast, &tensors, &work.chains, &mut work.scalars);
        work.prepared.resize_with(work.chains.len(), Prepared::default);
        let preparation = Preparation {
            groups: &self.groups,
            order: &self.order,
            sweep: &sweep,
            chains: &work.chains,
            by_name: &cast.by_name,
            face: &|t| (name(t), params[cast.active[t]].shape),
            prepared: &mut work.prepared,
            scalars: &mut work.scalars,
            passes: &mut work.passes,
        };
        preparation.run()?;
        self.probed(&sweep, &work.chains, (&work.prepared, &work.scalars), name, report);
        work.tensors = room(tensors);
        self.applied(cast, &mut work.scalars, report);
        Ok(())
    }

    /// The scalars of tensors and groups as they are before the step.
    fn copy_scalars(
        &self,
        params: &[Param<'_, E>],
        cast: &Cast<E>,
        tensors: &[Tensor<'_, E>],
        chains: &[(usize, Moment)],
        scalars: &mut Scalars,
    ) {
        scalars.tensor.resize_with(tensors.len(), Vec::new);
        scalars.group.resize_with(self.groups.len(), Vec::new);
        scalars.rows.resize_with(tensors.len(), Default::default);
        for (group, scalars) in self.groups.iter().zip(&mut scalars.group) {
            scalars.clone_from(&group.scalars);
        }
        scalars.follower.clear();
        scalars.follower.resize(chains.len(), 0);
        for (t, (tensor, k)) in tensors.iter().zip(&cast.active).enumerate().rev() {
            scalars.follower[tensor.chain] = t;
            scalars.tensor[t].clone_from(&self.states[cast.order[*k]].scalars);
            let (row, values) = &mut scalars.rows[t];
            values.clear();
            *row = match params[*k].shape {
                [] | [_] => tensor.len,
                shape => width(shape),
            };
        }
    }

    /// The sweep that steps, with what probes read on the way.
    fn probed<'p>(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        (prepared, scalars): (&[Prepared<E>], &Scalars),
        name: impl Fn(usize) -> &'p str,
        report: &mut StepReport,
    ) {
        if self.probes.is_empty() || !(self.steps + 1).is_multiple_of(self.probe_every) {
            sweep.sweep(prepared, &[]);
            return;
        }
        let names: Vec<&str> = (0..sweep.tensors.len()).map(name).collect();
        let seen: Vec<(&Chain, Moment)> =
            chains.iter().map(|(group, moment)| (&self.groups[*group].chain, *moment)).collect();
        let watches = probe::watches(&self.probes, self.isa, &seen);
        let gathered = sweep.sweep(prepared, &watches);
        let scalar = |t: usize, stage: usize, k: usize| {
            let group = chains[sweep.tensors[t].chain].0;
            let own = has_own_scalars(self.groups[group].chain.stages()[stage].as_ref());
            (if own { &scalars.tensor[t] } else { &scalars.group[group] })[stage][k]
        };
        (report.readings, report.moments) =
            probe::readings(&seen, sweep.tensors, &names, &gathered, &self.probes, &scalar);
    }

    /// Keeps what the step has settled.
    fn applied(&mut self, cast: &Cast<E>, scalars: &mut Scalars, report: &mut StepReport) {
        for (k, scalars) in cast.active.iter().zip(&mut scalars.tensor) {
            let state = &mut self.states[cast.order[*k]];
            state.t += 1;
            std::mem::swap(&mut state.scalars, scalars);
        }
        for (group, scalars) in self.groups.iter_mut().zip(&mut scalars.group) {
            std::mem::swap(&mut group.scalars, scalars);
        }
        self.steps += 1;
        self.refused_in_a_row = 0;
        self.accumulated = 0.0;
        for state in &mut self.states {
            state.summed = false;
            // What was accumulated for those frozen since belongs to the step that is over.
            if state.frozen {
                state.sum = None;
            }
        }
        if let Some(scale) = &mut self.loss_scale {
            scale.applied();
        }
        report.step = self.steps;
    }

    /// Adds the gradients of the cast to the sums.
    fn add(
        &mut self,
        params: &[Param<'_, E>],
        cast: &Cast<E>,
        work: &mut Work<E>,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        check_dense(params, cast)?;
        report.weight = cast.weight;
        let tensors = self.tensors(params, cast, false, room(std::mem::take(&mut work.tensors)));
        let name = |t: usize| params[cast.active[t]].name;
        let threads = &self.threads.clone();
        let scale = 1.0 / self.loss_scale();
        let (isa, plan) = (self.isa, &work.plan);
        let mut sweep = Sweep { threads, isa, plan, tensors: &tensors, scale: E::lift(scale) };
        let looking = (&mut work.norm, &mut work.passes.sums);
        if let Some(refused) = self.guard(&mut sweep, scale, name, &cast.by_name, looking, report) {
            self.let_go(&sweep);
            work.tensors = room(tensors);
            return self.refuse(refused, report);
        }
        // Clipping is the step's, of the sum.
        report.clip_factor = 1.0;
        let norm = report.grad_norm.map(|norm| norm / scale);
        let tensors = room(tensors);
        self.make_sums(cast);
        let tensors = self.tensors(params, cast, true, tensors);
        let adding = Sweep { threads, isa, plan, tensors: &tensors, scale: E::number(1.0) };
        if let Some(refused) = self.guard_sums(&tensors, cast.weight * scale, norm, name) {
            self.let_go(&adding);
            work.tensors = room(tensors);
            return self.refuse(refused, report);
        }
        adding.accumulate();
        work.tensors = room(tensors);
        cast.active.iter().for_each(|k| self.states[cast.order[*k]].summed = true);
        self.accumulated += cast.weight;
        self.refused_in_a_row = 0;
        Ok(())
    }

    /// Which chain, at which moment, each tensor follows. Tensors share one as long as no scalar
    /// of their own enters its formulas.
    fn chains(
        &self,
        cast: &Cast<E>,
        tensors: &mut [Tensor<'_, E>],
        chains: &mut Vec<(usize, Moment)>,
    ) {
        chains.clear();
        // Those that can share come first, while the list is short: one entry per group unless step counts differ.
        for alone in [false, true] {
            for (tensor, k) in tensors.iter_mut().zip(&cast.active) {
                let state = &self.states[cast.order[*k]];
                if self.groups[state.group].alone != alone {
                    continue;
                }
                let chain = (state.group, Moment { t: state.t + 1, clock: self.steps });
                let shared = if alone { None } else { chains.iter().position(|c| *c == chain) };
                tensor.chain = shared.unwrap_or_else(|| {
                    chains.push(chain);
                    chains.len() - 1
                });
            }
        }
    }
}
