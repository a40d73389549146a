//! The step.

use super::group::assign;
use super::{NonFinite, Optimizer, Outcome, Param, State, StepReport};
use crate::chain::Chain;
use crate::engine::Element;
use crate::engine::buffer::Slots;
use crate::engine::drive::{Prepared, Sweep, Tensor};
use crate::engine::kernel::Gather;
use crate::engine::stage::{AnyStage, Moment, PartStage};
use crate::error::Error;
use crate::part::Scope;
use crate::probe;
use crate::rules::SquaredNorm;

/// The scalars of every tensor and group of the step, settled but not yet kept.
struct Scalars {
    /// Per tensor of the step and stage; empty for tensors without scalars of their own.
    tensor: Vec<Vec<Vec<f64>>>,
    /// Per group and stage.
    group: Vec<Vec<Vec<f64>>>,
    /// The first tensor that follows each prepared chain.
    follower: Vec<usize>,
}

impl<E: Element> Optimizer<E> {
    /// Takes one step: every parameter that came with a gradient and is not frozen moves in place.
    ///
    /// Parameters met for the first time are given their group and zeroed state; parameters
    /// missing from the list keep theirs.
    ///
    /// # Errors
    /// If a shape, name or group does not fit, if a geometry does not admit a parameter or a step,
    /// or if gradients are not finite and the policy says to fail. An error leaves parameters and
    /// state as they were.
    pub fn step(&mut self, params: &mut [Param<'_, E>]) -> Result<StepReport, Error> {
        let known = self.states.len();
        let result = self.attempt(params);
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
        let answer = self
            .resolve(params)
            .map(|order| (self.active(params, &order), self.empty_report(params, &order)));
        self.forget_from(known);
        answer
    }

    /// The parameters that a step moves.
    fn active(&self, params: &[Param<'_, E>], order: &[usize]) -> Vec<usize> {
        let moves = |k: &usize| params[*k].grad.is_some() && !self.states[order[*k]].frozen;
        (0..params.len()).filter(moves).collect()
    }

    /// Forgets parameters met in an attempt that came to nothing. A geometry's memory is that of
    /// the value a parameter came with; by the next attempt the user may have changed it.
    fn forget_from(&mut self, known: usize) {
        if self.states.len() > known {
            self.states.truncate(known);
            self.index.retain(|_, k| *k < known);
            self.order.clear();
        }
    }

    fn attempt(&mut self, params: &mut [Param<'_, E>]) -> Result<StepReport, Error> {
        let order = self.resolve(params)?;
        let mut report = self.empty_report(params, &order);
        let active = self.active(params, &order);
        let mut plan = std::mem::take(&mut self.plan);
        plan.update(active.iter().map(|k| params[*k].value.len()));
        let result = self.sweep(params, &order, &active, &plan, &mut report);
        self.plan = plan;
        self.order = order;
        result?;
        Ok(report)
    }

    fn empty_report(&self, params: &[Param<'_, E>], order: &[usize]) -> StepReport {
        let missing = |p: &&Param<'_, E>| p.grad.is_none();
        StepReport {
            outcome: Outcome::Applied,
            step: self.steps,
            grad_norm: None,
            clip_factor: 1.0,
            lr: self
                .groups
                .iter()
                .map(|g| (g.name.clone(), g.chain.hyper("lr").ok().map(|h| h.value(self.steps))))
                .collect(),
            without_gradient: params.iter().filter(missing).map(|p| p.name.to_owned()).collect(),
            frozen: order.iter().filter(|k| self.states[**k].frozen).count(),
            readings: vec![],
        }
    }

    /// The state of each parameter, made if it is new.
    fn resolve(&mut self, params: &[Param<'_, E>]) -> Result<Vec<usize>, Error> {
        let mut order = std::mem::take(&mut self.order);
        let same = order.len() == params.len()
            && order.iter().zip(params).all(|(k, p)| self.states[*k].name == p.name);
        if !same {
            order.clear();
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
                    Some(k) => order.push(*k),
                    None => {
                        let state = self.admit(param)?;
                        order.push(self.states.len());
                        self.index.insert(param.name.to_owned(), self.states.len());
                        self.states.push(state);
                    }
                }
            }
        }
        for (k, param) in order.iter().zip(params) {
            fits(&self.states[*k], param)?;
        }
        Ok(order)
    }

    /// The state of a parameter met for the first time.
    fn admit(&self, param: &Param<'_, E>) -> Result<State<E>, Error> {
        let group = assign(&self.groups, param.name, param.shape)?;
        let stages = self.groups[group].chain.stages();
        let len = param.value.len();
        for stage in stages {
            let bad = param.value.iter().filter_map(|x| stage.admits(x.widen()).err());
            let (mut count, mut why) = (0, "");
            for what in bad {
                (count, why) = (count + 1, what);
            }
            if count > 0 {
                let parameter = param.name.to_owned();
                return Err(Error::Domain { parameter, count, what: why });
            }
        }
        let count = stages.iter().map(|s| s.slots().len()).sum();
        let mut slots = Slots::new(count, len);
        let mut streams = slots.each_mut();
        let mut first = 0;
        for stage in stages {
            let count = stage.slots().len();
            E::stage(stage.as_ref()).start(param.value, &mut streams[first..first + count]);
            first += count;
        }
        drop(streams);
        Ok(State {
            name: param.name.to_owned(),
            shape: param.shape.to_vec(),
            len,
            group,
            t: 0,
            frozen: false,
            slots,
            scalars: if stages.iter().any(|s| has_own_scalars(s.as_ref())) {
                stages.iter().map(|s| s.first_scalars()).collect()
            } else {
                vec![]
            },
        })
    }

    fn sweep(
        &mut self,
        params: &mut [Param<'_, E>],
        order: &[usize],
        active: &[usize],
        plan: &crate::engine::plan::Plan,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        let moments: Vec<(usize, Moment)> = active
            .iter()
            .map(|k| {
                let state = &self.states[order[*k]];
                (state.group, Moment { t: state.t + 1, clock: self.steps })
            })
            .collect();
        let mut tensors: Vec<Tensor<'_, E>> = active
            .iter()
            .map(|k| Tensor {
                x: params[*k].value.as_mut_ptr(),
                g: params[*k].grad.map_or(std::ptr::null(), <[E]>::as_ptr),
                len: params[*k].value.len(),
                slots: &self.states[order[*k]].slots,
                chain: 0,
            })
            .collect();
        let chains = self.chains(&moments, &mut tensors);
        let mut sweep =
            Sweep { threads: &self.threads, plan, tensors: &tensors, scale: E::number(1.0) };
        if let Some(refused) = self.guard(&mut sweep, params, active, report) {
            return self.refuse(refused, report);
        }
        let mut scalars = Scalars {
            tensor: active.iter().map(|k| self.states[order[*k]].scalars.clone()).collect(),
            group: self.groups.iter().map(|g| g.scalars.clone()).collect(),
            follower: vec![0; chains.len()],
        };
        for (t, tensor) in tensors.iter().enumerate().rev() {
            scalars.follower[tensor.chain] = t;
        }
        let prepared = self.prepare(&sweep, &chains, &mut scalars, |t| params[active[t]].name)?;
        let names: Vec<&str> = active.iter().map(|k| params[*k].name).collect();
        let seen: Vec<(&Chain, Moment)> =
            chains.iter().map(|(group, moment)| (&self.groups[*group].chain, *moment)).collect();
        let watches = probe::watches(&self.probes, self.isa, &seen);
        let gathered = sweep.sweep(&prepared, &watches);
        report.readings = probe::readings(&seen, &tensors, &names, &gathered);
        drop(tensors);
        for (k, scalars) in active.iter().zip(scalars.tensor) {
            let state = &mut self.states[order[*k]];
            state.t += 1;
            state.scalars = scalars;
        }
        for (group, scalars) in self.groups.iter_mut().zip(scalars.group) {
            group.scalars = scalars;
        }
        self.steps += 1;
        self.refused_in_a_row = 0;
        report.step = self.steps;
        Ok(())
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
            let own =
                self.groups[moment.0].chain.stages().iter().any(|s| has_own_scalars(s.as_ref()));
            // The list is short: one entry per group unless step counts differ.
            let shared = if own { None } else { chains.iter().position(|c| c == moment) };
            tensor.chain = shared.unwrap_or_else(|| {
                chains.push(*moment);
                chains.len() - 1
            });
        }
        chains
    }

    /// Looks for non-finite gradients and sets the clip factor. Returns the parameters refused.
    fn guard(
        &self,
        sweep: &mut Sweep<'_, E>,
        params: &[Param<'_, E>],
        active: &[usize],
        report: &mut StepReport,
    ) -> Option<Vec<(String, u64)>> {
        if self.non_finite == NonFinite::Unchecked && self.max_norm.is_none() {
            return None;
        }
        let part = PartStage::<_, false>(SquaredNorm::default());
        let moment = Moment { t: 1, clock: 0 };
        let gather: Box<dyn Gather<E>> =
            E::stage(&part as &dyn AnyStage).gather(self.isa, moment, 0, &[]);
        let mut norm = sweep.squares(gather.as_ref()).iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            let gradients: Vec<&[E]> =
                active.iter().map(|k| params[*k].grad.unwrap_or(&[])).collect();
            let refused: Vec<(String, u64)> = active
                .iter()
                .zip(&gradients)
                .filter_map(|(k, grad)| {
                    let count = grad.iter().filter(|g| !g.widen().is_finite()).count() as u64;
                    (count > 0).then(|| (params[*k].name.to_owned(), count))
                })
                .collect();
            if refused.is_empty() {
                norm = norm_of_huge(&gradients);
            } else if self.non_finite != NonFinite::Unchecked {
                report.grad_norm = Some(norm);
                return Some(refused);
            }
        }
        report.grad_norm = Some(norm);
        if let Some(max_norm) = self.max_norm.filter(|max| norm > *max && norm.is_finite()) {
            report.clip_factor = max_norm / norm;
            sweep.scale = E::lift(report.clip_factor);
        }
        None
    }

    pub(super) fn refuse(
        &mut self,
        refused: Vec<(String, u64)>,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        self.refused_in_a_row += 1;
        let limit = match self.non_finite {
            NonFinite::Skip { limit } => limit,
            _ => 1,
        };
        if self.refused_in_a_row >= limit {
            let (parameter, count) = refused[0].clone();
            let more =
                if limit > 1 { format!(", {limit} refused in a row") } else { String::new() };
            return Err(Error::NonFinite { parameter, count, step: self.steps + 1, more });
        }
        report.outcome = Outcome::Refused(refused);
        Ok(())
    }

    /// Makes the kernels of every chain, stage by stage, with the reading passes they need.
    fn prepare<'p>(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        scalars: &mut Scalars,
        name: impl Fn(usize) -> &'p str,
    ) -> Result<Vec<Prepared<E>>, Error> {
        let mut prepared: Vec<Prepared<E>> = chains
            .iter()
            .map(|(group, _)| {
                let stages = self.groups[*group].chain.stages();
                let mut first_slot = vec![0];
                for stage in stages {
                    first_slot.push(first_slot[first_slot.len() - 1] + stage.slots().len());
                }
                Prepared { kernels: vec![], first_slot }
            })
            .collect();
        let depth = chains.iter().map(|c| self.stages(c).len()).max().unwrap_or(0);
        for stage in 0..depth {
            for group in 0..self.groups.len() {
                self.settle(sweep, chains, &prepared, group, stage, scalars, &name)?;
            }
            for (k, chain) in chains.iter().enumerate() {
                if let Some(part) = self.stages(chain).get(stage) {
                    let values = self.scalars_of(scalars, chain.0, stage, k);
                    let kernel = E::stage(part.as_ref()).kernel(self.isa, chain.1, values);
                    prepared[k].kernels.push(kernel);
                }
            }
        }
        Ok(prepared)
    }

    fn stages(&self, chain: &(usize, Moment)) -> &[Box<dyn AnyStage>] {
        self.groups[chain.0].chain.stages()
    }

    /// The scalars that chain `k` sees at a stage: its tensor's own, or its group's.
    fn scalars_of<'s>(
        &self,
        scalars: &'s Scalars,
        group: usize,
        stage: usize,
        k: usize,
    ) -> &'s [f64] {
        let part = self.groups[group].chain.stages()[stage].as_ref();
        if !has_own_scalars(part) {
            return &scalars.group[group][stage];
        }
        &scalars.tensor[scalars.follower[k]][stage]
    }

    /// Runs the reading passes of one stage of one group and settles its scalars.
    #[allow(clippy::too_many_arguments, reason = "the whole situation of a pass")]
    fn settle<'p>(
        &self,
        sweep: &Sweep<'_, E>,
        chains: &[(usize, Moment)],
        prepared: &[Prepared<E>],
        group: usize,
        stage: usize,
        scalars: &mut Scalars,
        name: &impl Fn(usize) -> &'p str,
    ) -> Result<(), Error> {
        let Some(part) = self.groups[group].chain.stages().get(stage) else { return Ok(()) };
        let part = part.as_ref();
        let mine = |t: usize| chains[sweep.tensors[t].chain].0 == group;
        let members: Vec<usize> = (0..sweep.tensors.len()).filter(|t| mine(*t)).collect();
        if members.is_empty() || part.passes() == 0 {
            return Ok(());
        }
        let moment_of = |t: usize| chains[sweep.tensors[t].chain].1;
        for pass in 0..part.passes() {
            // A part without terms needs no sweep over the data: its scalars follow the clock.
            let terms: Vec<Option<Box<dyn Gather<E>>>> = (0..chains.len())
                .map(|k| {
                    (chains[k].0 == group).then(|| {
                        let values = self.scalars_of(scalars, group, stage, k);
                        E::stage(part).gather(self.isa, chains[k].1, pass, values)
                    })
                })
                .collect();
            let sums = if part.reads() {
                sweep.gather(prepared, stage, &terms, part.join())
            } else {
                vec![vec![]; sweep.tensors.len()]
            };
            for t in &members {
                if let Some((count, what)) = part.refuse(&sums[*t]) {
                    return Err(Error::Domain { parameter: name(*t).to_owned(), count, what });
                }
            }
            match part.scope() {
                Scope::Tensor => {
                    for t in members.iter().filter(|_| has_own_scalars(part)) {
                        let values = &mut scalars.tensor[*t][stage];
                        part.settle(moment_of(*t), pass, &sums[*t], values);
                    }
                }
                Scope::Group => {
                    let joined: Vec<f64> = part
                        .join()
                        .iter()
                        .enumerate()
                        .map(|(k, how)| {
                            let values = members.iter().map(|t| sums[*t][k]);
                            values.fold(crate::engine::kernel::neutral(*how), |a, b| {
                                crate::engine::kernel::join(*how, a, b)
                            })
                        })
                        .collect();
                    let values = &mut scalars.group[group][stage];
                    part.settle(moment_of(members[0]), pass, &joined, values);
                }
            }
        }
        Ok(())
    }
}

/// Whether a part keeps scalars per tensor, so that tensors cannot share its formula.
pub(super) fn has_own_scalars(part: &dyn AnyStage) -> bool {
    part.scope() == Scope::Tensor && !part.scalars().is_empty()
}

/// The norm of finite gradients whose squares leave the range of `f64`.
fn norm_of_huge<E: Element>(gradients: &[&[E]]) -> f64 {
    let all = || gradients.iter().flat_map(|g| g.iter()).map(|g| g.widen());
    let largest = all().fold(0.0, |a: f64, g| a.max(g.abs()));
    let ratio = all().map(|g| (g / largest) * (g / largest)).sum::<f64>().sqrt();
    // Beyond the largest number a limit would turn the gradient to zero.
    (largest * ratio).min(f64::MAX)
}

/// Whether a parameter is what it was.
fn fits<E>(state: &State<E>, param: &Param<'_, E>) -> Result<(), Error> {
    if state.shape != param.shape {
        let (now, before) = (param.shape, &state.shape);
        let what = format!(
            "has shape {now:?}, but had {before:?}; `remove` it first if it is a new parameter"
        );
        return Err(Error::Shape { parameter: param.name.to_owned(), what });
    }
    whole(param)
}

/// Whether value, gradient and shape of a parameter agree.
fn whole<E>(param: &Param<'_, E>) -> Result<(), Error> {
    let error = |what: String| Err(Error::Shape { parameter: param.name.to_owned(), what });
    let expected: usize = param.shape.iter().product();
    if param.value.len() != expected {
        let (n, shape) = (param.value.len(), param.shape);
        return error(format!("holds {n} values, but its shape {shape:?} means {expected}"));
    }
    match param.grad {
        Some(grad) if grad.len() != expected => {
            let n = grad.len();
            error(format!("has {expected} values, but its gradient has {n}"))
        }
        _ => Ok(()),
    }
}
