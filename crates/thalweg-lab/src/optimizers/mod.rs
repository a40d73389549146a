//! The only place that touches the library: optimizers by name, and their steps.

mod own;
mod sharp;
mod stepper;

use std::path::Path;

use serde::Serialize;
use thalweg::{Chain, Optimizer, Storage, registry};

use crate::tasks::{Domain, Gradient, ParameterSpec, Schedule, Task};
use crate::{Error, Result};

pub(crate) use own::{RECIPE, recall, recipes};
pub use own::{recipe, register};
pub use sharp::Again;
pub use stepper::{Stepped, Stepper};

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

/// Every optimizer of the library: those of its registry, and those around one of them; and what the program
/// has [registered](register).
pub fn all() -> Vec<Entry> {
    let range = |t: &registry::Tune| Range { hyper: t.hyper, low: t.low, high: t.high };
    let entry = |e: &&'static registry::Entry| Entry {
        name: e.name,
        summary: e.summary,
        tune: e.tune.iter().map(range).collect(),
        gradients_per_step: 1,
    };
    registry::all().iter().map(entry).chain(sharp::entries()).chain(own::entries()).collect()
}

/// How many gradient evaluations a step of the optimizer `name` takes.
pub fn gradients_per_step(name: &str) -> usize {
    if sharp::get(name).is_some() { 2 } else { 1 }
}

/// The hyper-parameter that is the strength of weight decay.
pub const DECAY: &str = "decay";

/// Whether the optimizer `name` does without its weight decay on `task`, unless it is given one. A recipe of the
/// user's says itself what it does, and ASGD's rate falls by its decay.
pub fn undecayed(name: &str, task: &Task) -> bool {
    !task.takes_decay() && name != "asgd" && own::get(name).is_none()
}

/// The hyper-parameters of an optimizer that are not tuned on `task`, with the values they keep.
pub fn fixed(entry: &Entry, task: &Task) -> Vec<(&'static str, f64)> {
    let Ok(chains) = chains(entry.name) else { return Vec::new() };
    let mut fixed: Vec<(&'static str, f64)> = Vec::new();
    for hyper in chains.iter().flat_map(Chain::hypers) {
        let name = hyper.spec().name;
        let known = fixed.iter().any(|(n, _)| *n == name);
        if !known && !entry.tune.iter().any(|range| range.hyper == name) {
            let left_out = name == DECAY && undecayed(entry.name, task);
            fixed.push((name, if left_out { 0.0 } else { hyper.value(0) }));
        }
    }
    let radius = sharp::get(entry.name).map(|sharp| ("rho", sharp.radius));
    fixed.extend(radius.filter(|(rho, _)| entry.tune.iter().all(|range| range.hyper != *rho)));
    fixed
}

/// The chains of the optimizer `name` with their defaults: one, but for recipes with groups.
fn chains(name: &str) -> std::result::Result<Vec<Chain>, thalweg::Error> {
    match own::get(name) {
        Some(own) => Ok(own.chains()),
        None => registry::build(sharp::get(name).map_or(name, |s| s.inner), &[]).map(|c| vec![c]),
    }
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

/// Slots that hold a point of the path, or how far it is from there (DoG, D-Adaptation, Prodigy, Mechanic).
const POINTS: &[&str] = &["x0", "way", "delta"];

/// Whether the optimizer `name` keeps no point of its path, so that its state after some gradients is that of
/// having taken the steps, wherever it was led.
pub fn keeps_no_points(name: &str) -> bool {
    if let Some(own) = own::get(name) {
        let is_point = |slot: &String| POINTS.iter().any(|point| slot.starts_with(point));
        return !own.chains().iter().any(|c| c.has_view() || c.slots().iter().any(is_point));
    }
    let keeps = ADDITIVE[..2].iter().flat_map(|(beginnings, _)| *beginnings);
    !keeps.chain(&["sam", "asam"]).any(|beginning| name.starts_with(beginning))
}

/// How the learning rate of the optimizer `name` changes where tasks ask for `schedule`. Methods that learn
/// their rate start with it, and schedule-free ones, which take the place of the decay, only warm up.
pub fn course(name: &str, schedule: Schedule) -> Schedule {
    match schedule {
        Schedule::WarmupCosine if LEARN_THEIR_RATE.contains(&name) => Schedule::Constant,
        Schedule::WarmupCosine if own::get(name).is_some_and(|own| own.learns_its_rate) => {
            Schedule::Constant
        }
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
    if let Some(reason) = own::get(name).and_then(|own| own.unfit()) {
        return Some(reason);
    }
    let starts = |beginnings: &[&str]| beginnings.iter().any(|b| name.starts_with(b));
    if let Some((_, reason)) = ADDITIVE.iter().find(|(beginnings, _)| starts(beginnings)) {
        return Some(reason);
    }
    let tuned = registry::get(name).is_ok_and(|e| e.tune.iter().any(|t| t.hyper == DECAY));
    let decays = tuned
        || chains(name).is_ok_and(|chains| {
            let mut hypers = chains.iter().flat_map(Chain::hypers);
            hypers.any(|h| h.spec().name == DECAY && h.value(1) != 0.0)
        });
    decays.then_some("its weight decay pulls towards zero, which is not in the domain")
}

/// The optimizers with the given names, in that order, each once; `all` stands for all, presets too, and the
/// path of a recipe file for the optimizer in it.
pub fn select(names: &[String]) -> Result<Vec<Entry>> {
    let read = |name| if own::is_path(name) { recipe(Path::new(name)) } else { Ok(name) };
    let names: Vec<&str> = names.iter().map(|name| read(name.as_str())).collect::<Result<_>>()?;
    let known = all();
    let mut chosen: Vec<Entry> = Vec::new();
    for name in names {
        let named: Vec<&Entry> = known.iter().filter(|e| name == "all" || e.name == name).collect();
        if named.is_empty() {
            // The library knows which names are near.
            let problem = match registry::get(name) {
                Err(error) => error.to_string(),
                Ok(_) => format!("`{name}` declares nothing to tune"),
            };
            return Err(Error::usage(problem, "choose from `thalweg list optimizers`"));
        }
        for entry in named {
            if !chosen.iter().any(|c| c.name == entry.name) {
                chosen.push(entry.clone());
            }
        }
    }
    Ok(chosen)
}

/// Whether a recipe takes all parameters of `task`: its groups may leave some out, or claim some twice.
///
/// # Errors
/// If it does not.
pub fn check_groups(entry: &Entry, task: &Task, parameters: &[ParameterSpec]) -> Result<()> {
    if own::get(entry.name).is_none() {
        return Ok(());
    }
    let mut stepper = Stepper::new(entry.name, &[], task, task.budget)?;
    let mut values: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.5; p.len()]).collect();
    let mut gradients: Vec<Gradient> =
        parameters.iter().map(|p| Gradient::Dense(vec![0.0; p.len()])).collect();
    let mut again = |_: &mut [Vec<f32>], _: &mut [Gradient]| Ok(0.0);
    match stepper.step(parameters, &mut values, &mut gradients, &mut again)? {
        Stepped::Applied => Ok(()),
        Stepped::Refused(reason) => Err(Error::usage(
            format!("`{}` cannot train {}: {reason}", entry.name, task.name),
            "change the groups of its recipe file, or compare it on other tasks",
        )),
    }
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
    let chains = chains(name).map_err(|e| {
        Error::usage(format!("cannot make `{name}`: {e}"), "see `thalweg list optimizers`")
    })?;
    let most = |storage| {
        let bytes = chains.iter().map(|chain| chain.bytes_per_coordinate(storage));
        bytes.fold(0.0, f64::max)
    };
    let [f32, bf16, block8] = [Storage::Native, Storage::Bf16, Storage::Block8].map(most);
    Ok(StateBytes { f32, bf16, block8 })
}

#[cfg(test)]
mod tests {
    use thalweg::Schedule as LibrarySchedule;

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

    #[test]
    fn what_is_not_tuned_is_known() {
        let task = |name: &str| crate::tasks::select(&[name.to_owned()], None).unwrap()[0];
        let mut entry = select(&["adamw".to_owned()]).unwrap().swap_remove(0);
        let others = [("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8)];
        assert_eq!(fixed(&entry, task("digits-mlp")), others);
        entry.tune.retain(|range| range.hyper == "lr");
        assert!(fixed(&entry, task("digits-mlp")).contains(&(DECAY, 0.01)));
        assert!(fixed(&entry, task("bowl")).contains(&(DECAY, 0.0)));
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
    fn all_takes_nothing_from_the_names_beside_it() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let chosen = select(&names("lion,all,lion")).unwrap();
        assert_eq!((chosen[0].name, chosen.len()), ("lion", all().len()));
        assert_eq!(chosen.iter().filter(|e| e.name == "lion").count(), 1);
        assert!(select(&names("all,nosuch")).unwrap_err().problem().contains("nosuch"));
        assert_eq!(select(&names("all,no/such.toml")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn every_optimizer_can_be_made_at_both_ends_of_its_ranges() {
        for entry in all() {
            for u in [0.0, 1.0] {
                let hypers: Vec<_> = entry.tune.iter().map(|r| (r.hyper, r.at(u))).collect();
                for schedule in [Schedule::Constant, Schedule::WarmupCosine] {
                    let domains = [Domain::Free, Domain::Positive, Domain::Simplex];
                    for domain in domains.into_iter().filter(|d| unfit(entry.name, *d).is_none()) {
                        let any = *crate::tasks::all()[0];
                        let task = Task { schedule, domain, ..any };
                        Stepper::new(entry.name, &hypers, &task, 100).unwrap();
                    }
                }
            }
        }
    }
}
