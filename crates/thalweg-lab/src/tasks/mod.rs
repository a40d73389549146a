//! What is trained: data, model, loss, batch size and budget, under a name.
//!
//! A [`Task`] describes; [`Task::open`] loads its data into a [`Workload`], which makes the [`Problem`]
//! of each run.

mod analytic;
mod augment;
mod batches;
mod convex;
pub mod engine;
mod formula;
mod images;
mod language;
mod model;
mod network;
mod networks;
mod problem;
mod task;
mod training;

use std::sync::{Arc, Mutex, PoisonError};

pub use batches::Batches;
pub use model::{Batch, Model, ParameterSpec, Score};
pub use network::{Activation, Embedding, Layer, Network};
pub use problem::{Gradient, Measurement, Part, Problem, Workload};
pub use task::{Domain, Family, Limit, Metric, Plane, Schedule, Task, Tier};

use crate::{Error, Result, near};

/// What opening a task gives.
type Opened = Result<Arc<dyn Workload>>;

/// One of each family, for tasks on which a run takes many seconds.
const SHORTLIST: &[&str] = &[
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adam",
    "adamw",
    "adabelief",
    "meta_egd_adam",
    "egdd",
];

/// The loss of classifiers.
const CROSS_ENTROPY: &str = "mean cross-entropy in nats";

/// The tasks of the program, room by room.
const ROOMS: &[&[Task]] = &[TASKS, networks::TASKS, convex::TASKS, analytic::TASKS];

/// The families of the program.
const FAMILIES: &[&[Family]] = &[networks::FAMILIES, analytic::FAMILIES];

/// The tasks of a comparison where nobody names any.
const TASKS: &[Task] = &[
    Task {
        name: "digits-softmax",
        summary: "softmax regression 64-10 on the 8x8 digits: convex, so the optimum is the same for all",
        groups: &["digits", "convex"],
        tier: Tier::Smoke,
        data: "digits",
        loss: CROSS_ENTROPY,
        metric: Some(Metric::ACCURACY),
        domain: Domain::Free,
        limit: Limit::Times(1e3),
        floor: None,
        noisy: false,
        event: None,
        plane: None,
        open: |task| images::open(task, Network::mlp(&[64, 10]), None),
        batch: 64,
        budget: 800,
        trials: 16,
        seeds: 5,
        shortlist: &[],
        evaluations: 40,
        schedule: Schedule::Constant,
    },
    Task {
        name: "digits-mlp",
        summary: "multi-layer perceptron 64-128-64-10 on the 8x8 digits",
        groups: &["digits", "networks"],
        tier: Tier::Smoke,
        data: "digits",
        loss: CROSS_ENTROPY,
        metric: Some(Metric::ACCURACY),
        domain: Domain::Free,
        limit: Limit::Times(1e3),
        floor: None,
        noisy: false,
        event: None,
        plane: None,
        open: |task| images::open(task, Network::mlp(&[64, 128, 64, 10]), None),
        batch: 64,
        budget: 800,
        trials: 16,
        seeds: 5,
        shortlist: &[],
        evaluations: 40,
        schedule: Schedule::Constant,
    },
];

/// Tasks that a user's program has added, and members of families that have been asked for.
static ADDED: Mutex<Vec<&'static Task>> = Mutex::new(Vec::new());

/// Adds a task to those of the program, for the rest of the process.
///
/// # Errors
/// If the name is taken or has other characters than letters, digits, `-` and `_`, or if a number that must not be zero is.
pub fn register(task: Task) -> Result<&'static Task> {
    // Held to the end, so that no other thread takes the name after it was found free.
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = built_in()
        .chain(added.iter().copied())
        .any(|t| t.name == task.name || t.groups.contains(&task.name));
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let problem = match task {
        _ if taken => "a task or group of that name exists",
        // A `/` would part the names of runs, and an `@` is for the program's own families.
        Task { name, .. } if name.is_empty() || !name.chars().all(fit) => {
            "a name has letters, digits, `-` and `_` only"
        }
        Task { budget: 0, .. } => "its budget is 0",
        Task { trials: 0, .. } => "its number of trials is 0",
        Task { seeds: 0, .. } => "its number of seeds is 0",
        Task { evaluations: 0, .. } => "its number of evaluations is 0",
        _ => {
            let task: &'static Task = Box::leak(Box::new(task));
            added.push(task);
            return Ok(task);
        }
    };
    Err(Error::usage(
        format!("cannot add the task `{}`: {problem}", task.name),
        "change its description where your program registers it",
    ))
}

fn built_in() -> impl Iterator<Item = &'static Task> {
    ROOMS.iter().flat_map(|room| room.iter())
}

/// The families of tasks that differ in one parameter.
pub fn families() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().flat_map(|room| room.iter())
}

/// The member of a family that is called `name`, made if nobody has asked for it yet; `None` if there is
/// no such family.
fn member(name: &str) -> Option<Result<&'static Task>> {
    let (before, parameter) = name.split_once('@')?;
    let family = families().find(|f| f.name == before)?;
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(task) = added.iter().find(|t| t.name == name) {
        return Some(Ok(task));
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Some((family.make)(name, parameter).map(|task| {
        let task: &'static Task = Box::leak(Box::new(task));
        added.push(task);
        task
    }))
}

/// All tasks: those of the program, then those that were added.
pub fn all() -> Vec<&'static Task> {
    let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    built_in().chain(added.iter().copied()).collect()
}

/// The words that stand for several tasks.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&'static str> = Vec::new();
    for group in all().iter().flat_map(|t| t.groups) {
        if !groups.contains(group) {
            groups.push(group);
        }
    }
    groups
}

/// Turns names of tasks and groups (`digits`, `convex`, `all`) into tasks, each once. No names: `digits`,
/// or everything if a tier is given. With a tier, tasks above it are left out.
///
/// # Errors
/// If a name is unknown, or if the tier leaves nothing.
pub fn select(names: &[String], tier: Option<Tier>) -> Result<Vec<&'static Task>> {
    let default = [if tier.is_some() { "all" } else { "digits" }.to_owned()];
    let names = if names.is_empty() { &default[..] } else { names };
    let known = all();
    let mut chosen: Vec<&'static Task> = Vec::new();
    for name in names {
        let name = name.as_str();
        let meant =
            |t: &&&'static Task| name == "all" || t.name == name || t.groups.contains(&name);
        let mut members: Vec<&'static Task> = known.iter().filter(meant).copied().collect();
        if members.is_empty() {
            members.push(member(name).unwrap_or_else(|| Err(unknown(name)))?);
        }
        for task in members {
            let wanted = tier.is_none_or(|tier| task.tier <= tier);
            if wanted && !chosen.iter().any(|t| t.name == task.name) {
                chosen.push(task);
            }
        }
    }
    match (tier, chosen.is_empty()) {
        (Some(tier), true) => Err(Error::usage(
            format!("none of {} is in tier {} or below", names.join(", "), tier.name()),
            "choose a higher --tier, or other tasks from `thalweg list tasks`",
        )),
        _ => Ok(chosen),
    }
}

fn unknown(name: &str) -> Error {
    let mut known = groups();
    known.extend(all().iter().map(|t| t.name));
    known.extend(families().map(|f| f.example));
    Error::usage(
        format!("there is no task called `{name}`{}", near::hint(name, known.iter().copied())),
        format!("choose one or more of: all, {}", known.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_expand_and_repeats_vanish() {
        let names = |args: &[&str]| -> Vec<&str> {
            let args: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
            select(&args, None).unwrap().iter().map(|t| t.name).collect()
        };
        assert_eq!(names(&[]), ["digits-softmax", "digits-mlp"]);
        assert_eq!(names(&["mnist"]), ["mnist-mlp", "mnist-cnn", "mnist-softmax"]);
        assert_eq!(names(&["digits-mlp", "digits"]), ["digits-mlp", "digits-softmax"]);
    }

    #[test]
    fn an_unknown_task_is_a_usage_error_that_lists_the_known_ones() {
        let error = select(&["cifar".to_owned()], None).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.fix().contains("mnist-cnn"));
        let near = select(&["digit".to_owned()], None).unwrap_err();
        assert!(near.problem().ends_with("did you mean `digits`?"), "{near}");
    }

    #[test]
    fn a_tier_leaves_out_what_takes_longer() {
        let names = ["digits".to_owned(), "mnist".to_owned()];
        let smoke = select(&names, Some(Tier::Smoke)).unwrap();
        assert!(!smoke.is_empty() && smoke.iter().all(|t| t.data != "mnist"));
        assert!(select(&names[1..], Some(Tier::Smoke)).unwrap_err().fix().contains("--tier"));
        assert!(select(&[], Some(Tier::Smoke)).unwrap().iter().all(|t| t.tier == Tier::Smoke));
        let built_in = built_in().count();
        assert!(select(&["all".to_owned()], None).unwrap().len() >= built_in);
    }

    #[test]
    fn members_of_families_are_made_once_and_by_their_name() {
        let get = |name: &str| select(&[name.to_owned()], None);
        let task = get("bowl@1e4").unwrap()[0];
        assert!(std::ptr::eq(task, get("bowl@1e4").unwrap()[0]));
        assert_eq!((task.name, task.tier), ("bowl@1e4", Tier::Smoke));
        let plane = task.plane.unwrap();
        assert_eq!([(plane.value)(1.0, 0.0), (plane.value)(0.0, 1.0)], [0.5, 5e3]);
        for name in ["bowl@", "bowl@0.5", "bowl@nan", "bowl@x"] {
            assert!(get(name).unwrap_err().fix().contains("bowl@1e4"), "{name}");
        }
        assert!(get("bowls@2").unwrap_err().problem().contains("bowls@2"));
        for family in families() {
            assert!(get(family.example).is_ok());
        }
    }

    #[test]
    fn a_name_that_could_not_be_given_again_is_refused() {
        let known = select(&[], None).unwrap()[0];
        for name in ["", "a b", "a/b", "own@1", "größe"] {
            let error = register(Task { name, ..*known }).unwrap_err();
            assert!(error.problem().contains("letters, digits, `-` and `_` only"), "{error}");
        }
    }

    #[test]
    fn names_are_unique_and_no_group_is_called_like_a_task() {
        let names: Vec<_> = all().iter().map(|t| t.name).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name) && !groups().contains(name), "{name}");
        }
    }
}
