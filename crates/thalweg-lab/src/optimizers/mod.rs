//! The only place that touches the library: optimizers by name, and their steps.

mod sharp;

use std::num::NonZeroU64;

use serde::Serialize;
use thalweg::geometry::{NegativeEntropy, Simplex};
use thalweg::{
    Optimizer, Param, Probe, Schedule as LibrarySchedule, StepReport, Storage, registry,
};

use crate::tasks::{Domain, Gradient, ParameterSpec, Schedule, Task};
use crate::{Error, Result};
use sharp::Ascender;

pub use sharp::Again;

/// A hyper-parameter that the protocol tunes, and the range its author declares for it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Range {
    /// The hyper-parameter's name.
    pub hyper: &'static str,
    /// The smallest value worth trying.
    pub low: f64,
    /// The largest value worth trying.
    pub high: f64,
}

impl Range {
    /// The value at `u` in `[0, 1)`, spread evenly over the logarithm.
    pub fn at(&self, u: f64) -> f64 {
        (self.low.ln() + u * (self.high.ln() - self.low.ln())).exp()
    }
}

/// An optimizer that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name used on the command line.
    pub name: &'static str,
    /// One line on the method.
    pub summary: &'static str,
    /// What is tuned; the same for every task.
    pub tune: Vec<Range>,
    /// Gradient evaluations per step.
    pub gradients_per_step: usize,
}

/// Every optimizer of the library: those of its registry, and those around one of them.
pub fn all() -> Vec<Entry> {
    let range = |t: &registry::Tune| Range { hyper: t.hyper, low: t.low, high: t.high };
    let entry = |e: &&'static registry::Entry| Entry {
        name: e.name,
        summary: e.summary,
        tune: e.tune.iter().map(range).collect(),
        gradients_per_step: 1,
    };
    registry::all().iter().map(entry).chain(sharp::entries()).collect()
}

/// How many gradient evaluations a step of the optimizer `name` takes.
pub fn gradients_per_step(name: &str) -> usize {
    if sharp::get(name).is_some() { 2 } else { 1 }
}

/// The hyper-parameters of an optimizer that are not tuned, with the values they keep.
pub fn fixed(entry: &Entry) -> Vec<(&'static str, f64)> {
    let inner = sharp::get(entry.name).map_or(entry.name, |s| s.inner);
    let Ok(chain) = registry::build(inner, &[]) else { return Vec::new() };
    let mut fixed: Vec<(&'static str, f64)> = Vec::new();
    for hyper in chain.hypers() {
        let name = hyper.spec().name;
        let known = fixed.iter().any(|(n, _)| *n == name);
        if !known && !entry.tune.iter().any(|range| range.hyper == name) {
            fixed.push((name, hyper.value(0)));
        }
    }
    fixed
}

/// One method of each family: what is compared on tasks that name none.
pub const REPRESENTATIVES: &[&str] = &[
    "gd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adadelta",
    "adam",
    "adamw",
    "adabelief",
    "radam",
    "nadamw",
    "yogi",
    "lion",
    "adan",
    "adopt",
    "mars",
    "meta_egd_adam",
    "egdd",
    "adam_hd",
    "schedule_free_adamw",
];

/// What is compared on `task` when nobody names optimizers: its shortlist, or else
/// [`REPRESENTATIVES`], without those that are [`unfit`] for its domain.
pub fn defaults(task: &Task) -> Vec<Entry> {
    let names = if task.shortlist.is_empty() { REPRESENTATIVES } else { task.shortlist };
    let fits = |e: &Entry| names.contains(&e.name) && unfit(e.name, task.domain).is_none();
    all().into_iter().filter(fits).collect()
}

/// Methods, by the beginnings of their names, whose update means something only where it is subtracted,
/// and why.
const ADDITIVE: &[(&[&str], &str)] = &[
    (
        &["schedule_free", "lookahead", "swa", "asgd", "weight_average"],
        "it steps from averages of points, which a mirror map does not keep",
    ),
    (
        &["dog", "dowg", "d_adapt", "prodigy", "mechanic"],
        "it measures distances between points, which are others under a mirror map",
    ),
    (
        &["sam", "asam"],
        "it looks for the worst point in a ball, parts of which lie outside of the domain",
    ),
    (
        &["lars", "lamb", "novograd"],
        "it scales its steps by norms of the parameters, which are others under a mirror map",
    ),
];

/// Methods whose rate is a state that starts at `lr` and goes its own way from there: by its own gradient, or
/// by the signs of successive gradients. Of a schedule they would only see the first value, the lowest of the
/// warm-up, so the library allows none.
const LEARN_THEIR_RATE: &[&str] = &["sgd_hd", "sgd_hd_cosine", "adam_hd", "rprop", "rprop@optax"];

/// Whether the optimizer `name` keeps no point of its path, so that its state after some gradients is that of
/// having taken the steps, wherever it was led.
pub fn keeps_no_points(name: &str) -> bool {
    let keeps = ADDITIVE[..2].iter().flat_map(|(beginnings, _)| *beginnings);
    !keeps.chain(&["sam", "asam"]).any(|beginning| name.starts_with(beginning))
}

/// How the learning rate of the optimizer `name` changes where tasks ask for `schedule`. Methods that learn
/// their rate start with it, and schedule-free ones, which take the place of the decay, only warm up.
pub fn course(name: &str, schedule: Schedule) -> Schedule {
    match schedule {
        Schedule::WarmupCosine if LEARN_THEIR_RATE.contains(&name) => Schedule::Constant,
        Schedule::WarmupCosine if name.starts_with("schedule_free") => Schedule::Warmup,
        _ => schedule,
    }
}

/// Why an optimizer makes no sense on a domain; `None` if it does. Any method that turns gradients into
/// a direction can be applied through a mirror map; one that works with the parameters themselves cannot.
pub fn unfit(name: &str, domain: Domain) -> Option<&'static str> {
    if domain == Domain::Free {
        return None;
    }
    let starts = |beginnings: &[&str]| beginnings.iter().any(|b| name.starts_with(b));
    if let Some((_, reason)) = ADDITIVE.iter().find(|(beginnings, _)| starts(beginnings)) {
        return Some(reason);
    }
    let tuned = registry::get(name).is_ok_and(|e| e.tune.iter().any(|t| t.hyper == "decay"));
    let decays = tuned
        || registry::build(name, &[]).is_ok_and(|chain| {
            chain.hypers().iter().any(|h| h.spec().name == "decay" && h.value(1) != 0.0)
        });
    decays.then_some("its weight decay pulls towards zero, which is not in the domain")
}

/// The optimizers with the given names, in that order, each once; `all` stands for all, presets too.
pub fn select(names: &[String]) -> Result<Vec<Entry>> {
    let known = all();
    if names.iter().any(|name| name == "all") {
        return Ok(known);
    }
    let mut chosen: Vec<Entry> = Vec::new();
    for name in names {
        let entry = known.iter().find(|e| e.name == name).ok_or_else(|| {
            // The library knows which names are near.
            let problem = match registry::get(name) {
                Err(error) => error.to_string(),
                Ok(_) => format!("`{name}` declares nothing to tune"),
            };
            Error::usage(problem, "choose from `thalweg list optimizers`")
        })?;
        if !chosen.iter().any(|c| c.name == entry.name) {
            chosen.push(entry.clone());
        }
    }
    Ok(chosen)
}

/// The recipe file of an optimizer, in TOML or JSON.
pub fn describe(name: &str, json: bool) -> Result<String> {
    if let Some(around) = sharp::get(name) {
        return Err(Error::usage(
            format!(
                "`{name}` asks for a second gradient in every step, which no recipe file can say"
            ),
            format!("describe `{}`, the optimizer inside", around.inner),
        ));
    }
    let entry = registry::get(name)
        .map_err(|e| Error::usage(e.to_string(), "choose from `thalweg list optimizers`"))?;
    let builder = Optimizer::<f32>::builder().rest("all", (entry.chain)());
    let text = if json { builder.to_json() } else { builder.to_toml() };
    let text = text.map_err(|e| Error::failed(e.to_string(), "please report this defect"))?;
    let title = format!("# {}: {}\n# {}\n", entry.title, entry.summary, entry.source);
    Ok(if json { text } else { title + &text })
}

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
    /// Its learning rate, given or its default, is the peak of its [`course`] under `schedule`, which is over
    /// when they are spent. Updates are applied through the mirror map of `domain`.
    pub fn new(
        name: &str,
        hypers: &[(&str, f64)],
        schedule: Schedule,
        domain: Domain,
        budget: usize,
    ) -> Result<Self> {
        Stepper::late(name, hypers, schedule, domain, budget, 0)
    }

    /// The same, of an optimizer whose first step comes when `spent` of the gradient evaluations are: nothing
    /// is in its state, and its learning rate is where it would be had it been there from the start.
    pub fn late(
        name: &str,
        hypers: &[(&str, f64)],
        schedule: Schedule,
        domain: Domain,
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
            let mut chain = registry::build(around.map_or(name, |s| s.inner), &inner)?;
            let lr = chain.hypers().iter().find(|h| h.spec().name == "lr").map(|h| h.value(0));
            let mut late = None;
            if let Some(lr) = lr {
                let warmup = schedule.warmup(steps) as u64;
                let fall = (steps as u64).saturating_sub(warmup).max(1);
                let course = match course(name, schedule) {
                    Schedule::Constant => None,
                    Schedule::Warmup => Some(LibrarySchedule::Constant(lr)),
                    Schedule::WarmupCosine => Some(LibrarySchedule::cosine(lr, 0.0, fall)),
                };
                if let Some(course) = course {
                    let course = course.after_warmup(warmup);
                    late = (missed > 0).then(|| (course.clone(), missed));
                    chain.set("lr", course)?;
                }
            }
            let chain = match domain {
                Domain::Free => chain,
                Domain::Positive => chain.over(NegativeEntropy::default()),
                Domain::Simplex => chain.over(Simplex::default()),
            };
            let exact = !chain.takes_rows();
            // Many runs share the machine, one core each.
            let mut builder = Optimizer::<f32>::builder().threads(1).probe_every(NonZeroU64::MAX);
            for probe in [Probe::Gains, Probe::Moments] {
                if chain.is_seen_by(probe) {
                    builder = builder.probe(probe);
                }
            }
            Ok((builder.rest("all", chain).build()?, exact, late))
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

/// Why a step was refused that is no error of the library's.
const NOT_FINITE: &str = "a gradient is not finite";

/// The parameters as the library borrows them; of sparse gradients the `exact` form, or else the lazy one.
fn params<'a>(
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

/// Bytes of state per coordinate of a large `f32` parameter, by the storage of the state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StateBytes {
    /// As the parameter's own type.
    pub f32: f64,
    /// In bf16 with stochastic rounding.
    pub bf16: f64,
    /// In blocks of 8-bit numbers with one scale each.
    pub block8: f64,
}

/// What the optimizer `name` remembers from step to step.
///
/// # Errors
/// If there is no such optimizer.
pub fn state_bytes(name: &str) -> Result<StateBytes> {
    let inner = sharp::get(name).map_or(name, |s| s.inner);
    let chain = registry::build(inner, &[]).map_err(|e| {
        Error::usage(format!("cannot make `{name}`: {e}"), "see `thalweg list optimizers`")
    })?;
    let [f32, bf16, block8] = [Storage::Native, Storage::Bf16, Storage::Block8]
        .map(|storage| chain.bytes_per_coordinate(storage));
    Ok(StateBytes { f32, bf16, block8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_spread_over_the_logarithm() {
        let range = Range { hyper: "lr", low: 1e-4, high: 1.0 };
        assert!((range.at(0.0) - 1e-4).abs() < 1e-16);
        assert!((range.at(0.5) - 1e-2).abs() < 1e-12);
    }

    #[test]
    fn defaults_leave_presets_out_and_shortlists_name_what_exists() {
        for task in crate::tasks::all() {
            let defaults = defaults(task);
            assert!(defaults.iter().all(|e| !e.name.contains('@')));
            match task.shortlist {
                [] if task.domain == Domain::Free => {
                    assert_eq!(defaults.len(), REPRESENTATIVES.len());
                }
                [] => assert!((10..REPRESENTATIVES.len()).contains(&defaults.len())),
                shortlist => assert_eq!(defaults.len(), shortlist.len()),
            }
        }
    }

    #[test]
    fn a_mirror_map_leaves_out_what_works_with_the_parameters_themselves() {
        for name in [
            "gd",
            "momentum",
            "adagrad",
            "rmsprop",
            "adam",
            "meta_egd_adam",
            "egdd",
            "funnelled_sgdm",
        ] {
            assert_eq!(unfit(name, Domain::Simplex), None, "{name}");
        }
        for name in ["adamw", "lion", "schedule_free_sgd", "prodigy", "lamb"] {
            assert!(unfit(name, Domain::Positive).is_some(), "{name}");
            assert!(unfit(name, Domain::Free).is_none(), "{name}");
        }
        assert!(unfit("adamw", Domain::Simplex).unwrap().contains("decay"));
    }

    /// Where one parameter stands after each of so many steps on a gradient of one.
    fn walk(name: &str, hypers: &[(&str, f64)], steps: usize) -> Vec<f32> {
        let (schedule, domain) = (Schedule::WarmupCosine, Domain::Free);
        let mut stepper = Stepper::new(name, hypers, schedule, domain, steps).unwrap();
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
    fn what_is_not_tuned_is_known() {
        let entry = &select(&["adamw".to_owned()]).unwrap()[0];
        assert_eq!(fixed(entry), [("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8)]);
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
    fn methods_that_learn_their_rate_start_with_the_tuned_one() {
        for name in LEARN_THEIR_RATE.iter().filter(|name| name.contains("_hd")) {
            // A rate of the rate of 0 leaves it where it starts.
            let hypers = [("lr", 0.125), ("hyper_lr", 0.0)];
            let first = walk(name, &hypers, 2_000)[0];
            // The first direction of each is the gradient, or its sign.
            assert!((first - 0.875).abs() < 1e-6, "{name}: {first}");
        }
    }

    #[test]
    fn every_method_that_learns_its_rate_is_known() {
        for entry in registry::all() {
            let chain = (entry.chain)().with("lr", LibrarySchedule::linear(0.1, 0.0, 9));
            let learns = chain.is_ok_and(|chain| Optimizer::<f32>::new(chain).is_err());
            assert_eq!(learns, LEARN_THEIR_RATE.contains(&entry.name), "{}", entry.name);
        }
    }

    #[test]
    fn an_unknown_optimizer_is_a_usage_error() {
        let error = select(&["adamm".to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.problem().contains("adam"));
    }

    #[test]
    fn every_optimizer_can_be_made_at_both_ends_of_its_ranges() {
        for entry in all() {
            for u in [0.0, 1.0] {
                let hypers: Vec<_> = entry.tune.iter().map(|r| (r.hyper, r.at(u))).collect();
                for schedule in [Schedule::Constant, Schedule::WarmupCosine] {
                    let domains = [Domain::Free, Domain::Positive, Domain::Simplex];
                    for domain in domains.into_iter().filter(|d| unfit(entry.name, *d).is_none()) {
                        Stepper::new(entry.name, &hypers, schedule, domain, 100).unwrap();
                    }
                }
            }
        }
    }
}
