//! The only place that touches the library: optimizers by name, and their steps.

use thalweg::geometry::{NegativeEntropy, Simplex};
use thalweg::{Optimizer, Param, Schedule as LibrarySchedule, registry};

use crate::tasks::{Domain, Gradient, ParameterSpec, Schedule, Task};
use crate::{Error, Result};

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
}

/// Every optimizer of the library that declares what to tune.
pub fn all() -> Vec<Entry> {
    registry::all()
        .iter()
        .map(|e| Entry {
            name: e.name,
            summary: e.summary,
            tune: e
                .tune
                .iter()
                .map(|t| Range { hyper: t.hyper, low: t.low, high: t.high })
                .collect(),
        })
        .collect()
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
        &["schedule_free", "lookahead", "swa", "asgd", "weight_average", "funnelled"],
        "it steps from averages of points, which a mirror map does not keep",
    ),
    (
        &["dog", "dowg", "d_adapt", "prodigy", "mechanic"],
        "it measures distances between points, which are others under a mirror map",
    ),
    (
        &["lars", "lamb", "novograd"],
        "it scales its steps by norms of the parameters, which are others under a mirror map",
    ),
];

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
    let entry = registry::get(name)
        .map_err(|e| Error::usage(e.to_string(), "choose from `thalweg list optimizers`"))?;
    let builder = Optimizer::<f32>::builder().rest("all", (entry.chain)());
    let text = if json { builder.to_json() } else { builder.to_toml() };
    let text = text.map_err(|e| Error::failed(e.to_string(), "please report this defect"))?;
    let title = format!("# {}: {}\n# {}\n", entry.title, entry.summary, entry.source);
    Ok(if json { text } else { title + &text })
}

/// An optimizer in use.
pub struct Stepper(Optimizer<f32>);

/// What a step did.
#[derive(Debug, Clone, PartialEq)]
pub enum Stepped {
    /// The parameters moved.
    Applied,
    /// The optimizer refused, for this reason; the parameters are as before.
    Refused(String),
}

impl Stepper {
    /// The optimizer `name` with the given hyper-parameters, for a run of `budget` steps. A learning
    /// rate among them is the peak of `schedule`. Updates are applied through the mirror map of `domain`.
    pub fn new(
        name: &str,
        hypers: &[(&str, f64)],
        schedule: Schedule,
        domain: Domain,
        budget: usize,
    ) -> Result<Self> {
        let make = || {
            let mut chain = registry::build(name, hypers)?;
            if schedule == Schedule::WarmupCosine
                && let Some((_, lr)) = hypers.iter().find(|(hyper, _)| *hyper == "lr")
            {
                let warmup = schedule.warmup(budget) as u64;
                let fall = (budget as u64).saturating_sub(warmup).max(1);
                chain.set("lr", LibrarySchedule::cosine(*lr, 0.0, fall).after_warmup(warmup))?;
            }
            let chain = match domain {
                Domain::Free => chain,
                Domain::Positive => chain.over(NegativeEntropy::default()),
                Domain::Simplex => chain.over(Simplex::default()),
            };
            // Many runs share the machine, one core each.
            Optimizer::<f32>::builder().rest("all", chain).threads(1).build()
        };
        make().map(Stepper).map_err(|e: thalweg::Error| {
            Error::failed(
                format!("cannot make the optimizer `{name}` with {hypers:?}: {e}"),
                "choose other optimizers with --optimizers, and report this defect",
            )
        })
    }

    /// One step on all parameters.
    pub fn step(
        &mut self,
        parameters: &[ParameterSpec],
        values: &mut [Vec<f32>],
        gradients: &[Gradient],
    ) -> Stepped {
        let mut borrowed: Vec<Param<'_, f32>> = parameters
            .iter()
            .zip(values)
            .zip(gradients)
            .map(|((p, value), gradient)| match gradient {
                Gradient::Dense(gradient) => Param::new(&p.name, &p.shape, value, gradient),
                Gradient::Rows { rows, values } => {
                    Param::of(&p.name, &p.shape, value.as_mut_slice()).sparse_grad(rows, values)
                }
            })
            .collect();
        match self.0.step(&mut borrowed) {
            Ok(report) if report.applied() => Stepped::Applied,
            Ok(_) => Stepped::Refused("a gradient is not finite".to_owned()),
            Err(error) => Stepped::Refused(error.to_string()),
        }
    }
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
        for name in ["gd", "momentum", "adagrad", "rmsprop", "adam", "meta_egd_adam", "egdd"] {
            assert_eq!(unfit(name, Domain::Simplex), None, "{name}");
        }
        for name in ["adamw", "lion", "schedule_free_sgd", "prodigy", "lamb"] {
            assert!(unfit(name, Domain::Positive).is_some(), "{name}");
            assert!(unfit(name, Domain::Free).is_none(), "{name}");
        }
        assert!(unfit("adamw", Domain::Simplex).unwrap().contains("decay"));
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
                    for domain in [Domain::Free, Domain::Positive, Domain::Simplex] {
                        Stepper::new(entry.name, &hypers, schedule, domain, 100).unwrap();
                    }
                }
            }
        }
    }
}
