//! An optimizer in use: made for a run, and stepped.

use std::num::NonZeroU64;

use thalweg::geometry::{NegativeEntropy, Simplex};
use thalweg::{
    Builder, Chain, Optimizer, Param, Probe, Schedule as LibrarySchedule, StepReport, registry,
};

use super::sharp::{self, Again, Ascender};
use super::{DECAY, course, gradients_per_step, own, undecayed};
use crate::tasks::{Domain, Gradient, ParameterSpec, Schedule, Task};
use crate::{Error, Result};

/// An optimizer in use.
pub struct Stepper {
    optimizer: Optimizer<f32>,
    /// Looks for the point whose gradient is followed; `None` follows the gradient it is given.
    ascender: Option<Ascender>,
    /// Whether rows without a gradient are stepped too, because the method goes by the whole tensor.
    exact: bool,
    /// The course of the learning rate and the step it has come to, of one that was not there from the start.
    late: Option<(LibrarySchedule, u64)>,
    /// Of the last step that was taken.
    report: Option<StepReport>,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq)]
pub enum Stepped {
    /// The parameters moved.
    Applied,
    /// The optimizer refused, for this reason; the parameters are as before.
    Refused(String),
}

impl Stepper {
    /// The optimizer `name` with the given hyper-parameters, for a run of `budget` gradient evaluations.
    /// Its learning rate, given or its default, is the peak of its [`course`] under the schedule of `task`, which is
    /// over when they are spent. Updates are applied through the mirror map of the task's domain; where the task
    /// takes no weight decay there is none, unless it is given.
    pub fn new(name: &str, hypers: &[(&str, f64)], task: &Task, budget: usize) -> Result<Self> {
        Stepper::late(name, hypers, task, budget, 0)
    }

    /// The same, of an optimizer whose first step comes when `spent` of the gradient evaluations are: nothing
    /// is in its state, and its learning rate is where it would be had it been there from the start.
    pub fn late(
        name: &str,
        hypers: &[(&str, f64)],
        task: &Task,
        budget: usize,
        spent: usize,
    ) -> Result<Self> {
        let missed = (spent / gradients_per_step(name)) as u64;
        let around = sharp::get(name);
        let (ascender, inner) = match around.map(|s| s.split(hypers)) {
            Some((ascender, rest)) => (Some(ascender), rest),
            None => (None, hypers.to_vec()),
        };
        let steps = budget / gradients_per_step(name);
        let make = || {
            let (builder, chains) = builder(name, &inner, task.domain)?;
            // Many runs share the machine, one core each.
            let mut builder = builder.threads(1).probe_every(NonZeroU64::MAX);
            for probe in [Probe::Gains, Probe::Moments] {
                if chains.iter().any(|chain| chain.is_seen_by(probe)) {
                    builder = builder.probe(probe);
                }
            }
            let mut optimizer = builder.build()?;
            let decays = chains.iter().any(|chain| chain.hyper(DECAY).is_ok());
            if decays && undecayed(name, task) {
                optimizer.set(None, DECAY, 0.0)?;
            }
            for (hyper, value) in &inner {
                optimizer.set(None, hyper, *value)?;
            }
            let late = schedule_rate(&mut optimizer, course(name, task.schedule), steps)?;
            let exact = !chains.iter().all(thalweg::Chain::takes_rows);
            Ok((optimizer, exact, late.filter(|_| missed > 0).map(|course| (course, missed))))
        };
        make()
            .map(|(optimizer, exact, late)| Stepper {
                optimizer,
                ascender,
                exact,
                late,
                report: None,
            })
            .map_err(|e: thalweg::Error| {
                Error::failed(
                    format!("cannot make the optimizer `{name}` with {hypers:?}: {e}"),
                    "choose other optimizers with --optimizers, and report this defect",
                )
            })
    }

    /// Whether the optimizer's probes read the next steps; they do not until they are told to.
    pub fn probe(&mut self, on: bool) {
        self.optimizer.probe_every(if on { NonZeroU64::MIN } else { NonZeroU64::MAX });
    }

    /// The decay rate of its momentum at the start, 0 if it has none.
    pub fn memory(&self) -> f64 {
        let chains = || self.optimizer.groups().map(|(_, chain)| chain);
        let of = |name| chains().find_map(|chain| chain.hyper(name).ok());
        ["beta1", "momentum", "beta"].into_iter().find_map(of).map_or(0.0, |hyper| hyper.value(0))
    }

    /// The optimizer and what it said of its last step, if it took one.
    pub fn seen(&self) -> Option<(&Optimizer<f32>, &StepReport)> {
        Some((&self.optimizer, self.report.as_ref()?))
    }

    /// Writes to `out` what the optimizer is to be judged at, now that training stands at `values`: the
    /// averages of those that keep some, and `values` for all others.
    ///
    /// # Errors
    /// If the parameters are not those of the steps before.
    pub fn judged(
        &self,
        parameters: &[ParameterSpec],
        values: &[Vec<f32>],
        out: &mut [Vec<f32>],
    ) -> Result<()> {
        for ((parameter, values), out) in parameters.iter().zip(values).zip(out) {
            if self.report.is_none() {
                out.copy_from_slice(values);
                continue;
            }
            self.optimizer
                .evaluation(&parameter.name, values, out)
                .map_err(|e| Error::failed(e.to_string(), "report this defect"))?;
        }
        Ok(())
    }

    /// One step on all parameters. An optimizer that takes two gradients per step asks `again` for the
    /// second one, which it leaves in `gradients`.
    ///
    /// # Errors
    /// Those of `again`.
    pub fn step(
        &mut self,
        parameters: &[ParameterSpec],
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
        again: &mut Again<'_>,
    ) -> Result<Stepped> {
        let optimizer = &mut self.optimizer;
        if let Some((course, step)) = &mut self.late {
            optimizer
                .set(None, "lr", course.value(*step))
                .map_err(|e| Error::failed(e.to_string(), "report this defect"))?;
            *step += 1;
        }
        let report = match &self.ascender {
            Some(ascender) => ascender.step(optimizer, parameters, values, gradients, again)?,
            None => optimizer
                .step(&mut params(parameters, values, gradients, self.exact))
                .map_err(|error| error.to_string()),
        };
        Ok(match report {
            Ok(report) if report.applied() => {
                self.report = Some(report);
                Stepped::Applied
            }
            Ok(_) => Stepped::Refused(NOT_FINITE.to_owned()),
            Err(reason) => Stepped::Refused(reason),
        })
    }
}

/// The optimizer `name` as the library makes it, its hyper-parameters set where they have to fit each other, and
/// its chains.
fn builder(
    name: &str,
    hypers: &[(&str, f64)],
    domain: Domain,
) -> std::result::Result<(Builder, Vec<Chain>), thalweg::Error> {
    let own = own::get(name);
    if let Some(builder) = own.and_then(|own| own.recipe()) {
        return Ok((builder?, own.map_or_else(Vec::new, |own| own.chains())));
    }
    let chain = match own {
        Some(own) => own.chains().swap_remove(0),
        None => registry::build(sharp::get(name).map_or(name, |s| s.inner), hypers)?,
    };
    let chain = match domain {
        Domain::Free => chain,
        Domain::Positive => chain.over(NegativeEntropy::default()),
        Domain::Simplex => chain.over(Simplex::default()),
    };
    Ok((Builder::new().rest("all", chain.clone()), vec![chain]))
}

/// Gives the learning rate its course over `steps` steps, its value being the peak; returns it, if it is not
/// constant.
fn schedule_rate(
    optimizer: &mut Optimizer<f32>,
    course: Schedule,
    steps: usize,
) -> std::result::Result<Option<LibrarySchedule>, thalweg::Error> {
    let rate = optimizer.groups().find_map(|(_, chain)| chain.hyper("lr").ok());
    let Some(lr) = rate.map(|hyper| hyper.schedule().peak()) else { return Ok(None) };
    let warmup = course.warmup(steps) as u64;
    let fall = (steps as u64).saturating_sub(warmup).max(1);
    let course = match course {
        Schedule::Constant => LibrarySchedule::Constant(lr),
        Schedule::Warmup => LibrarySchedule::Constant(lr).after_warmup(warmup),
        Schedule::WarmupCosine => LibrarySchedule::cosine(lr, 0.0, fall).after_warmup(warmup),
    };
    optimizer.set(None, "lr", course.clone())?;
    Ok((!matches!(course, LibrarySchedule::Constant(_))).then_some(course))
}

/// Why a step was refused that is no error of the library's.
pub(super) const NOT_FINITE: &str = "a gradient is not finite";

/// The parameters as the library borrows them; of sparse gradients the `exact` form, or else the lazy one.
pub(super) fn params<'a>(
    parameters: &'a [ParameterSpec],
    values: &'a mut [Vec<f32>],
    gradients: &'a [Gradient],
    exact: bool,
) -> Vec<Param<'a, f32>> {
    let all = parameters.iter().zip(values).zip(gradients);
    all.map(|((p, value), gradient)| match gradient {
        Gradient::Dense(gradient) => Param::new(&p.name, &p.shape, value, gradient),
        Gradient::Rows { rows, values } => {
            let param = Param::of(&p.name, &p.shape, value.as_mut_slice());
            if exact {
                param.exact_sparse_grad(rows, values)
            } else {
                param.sparse_grad(rows, values)
            }
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::LEARN_THEIR_RATE;
    use super::*;
    use crate::tasks;

    /// Where one parameter stands after each of so many steps on a gradient of one.
    fn walk(name: &str, hypers: &[(&str, f64)], steps: usize) -> Vec<f32> {
        let digits = **tasks::all().iter().find(|task| task.takes_decay()).unwrap();
        walk_on(&Task { schedule: Schedule::WarmupCosine, ..digits }, name, hypers, steps)
    }

    fn walk_on(task: &Task, name: &str, hypers: &[(&str, f64)], steps: usize) -> Vec<f32> {
        let mut stepper = Stepper::new(name, hypers, task, steps).unwrap();
        let spec = [ParameterSpec { name: "x".to_owned(), shape: vec![1], fan_in: 1 }];
        let (mut values, mut gradients) = (vec![vec![1.0]], vec![Gradient::default()]);
        gradients[0].dense().push(1.0);
        let mut again = |_: &mut [Vec<f32>], _: &mut [Gradient]| -> Result<f64> {
            unreachable!("one gradient per step")
        };
        let mut stand = || {
            stepper.step(&spec, &mut values, &mut gradients, &mut again).unwrap();
            values[0][0]
        };
        (0..steps).map(|_| stand()).collect()
    }

    #[test]
    fn defaults_follow_the_schedule_too_and_schedule_free_methods_only_warm_up() {
        assert_eq!(walk("adam", &[], 100), walk("adam", &[("lr", 1e-3)], 100));
        let length = |x: &[f32], step: usize| (x[step] - x[step - 1]).abs();
        let adam = walk("adam", &[("lr", 0.1)], 100);
        assert!(length(&adam, 99) < 0.01 * length(&adam, 10));
        assert_eq!(course("schedule_free_sgd", Schedule::WarmupCosine), Schedule::Warmup);
        let free = walk("schedule_free_sgd", &[("lr", 0.1)], 100);
        assert!(free[0] > 0.97 && length(&free, 99) > 0.1 * length(&free, 10));
    }

    #[test]
    fn formulas_are_descended_without_weight_decay() {
        let formula = **tasks::all().iter().find(|task| !task.takes_decay()).unwrap();
        let adam = walk_on(&formula, "adam", &[], 50);
        assert_eq!(walk_on(&formula, "adamw", &[], 50), adam);
        // Whoever asks for it gets it.
        assert!(walk_on(&formula, "adamw", &[("decay", 0.1)], 50) != adam);
        assert!(walk("adamw", &[], 50) != walk("adam", &[], 50));
    }

    #[test]
    fn methods_that_learn_their_rate_start_with_the_tuned_one() {
        for name in LEARN_THEIR_RATE.iter().filter(|name| name.contains("_hd")) {
            // A rate of the rate of 0 leaves it where it starts.
            let hypers = [("lr", 0.125), ("hyper_lr", 0.0)];
            let first = walk(name, &hypers, 2_000)[0];
            // The first direction of each is the gradient, or its sign.
            assert!((first - 0.875).abs() < 1e-6, "{name}: {first}");
        }
    }
}
