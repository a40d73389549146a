//! What is trained: data, network, batch size and budget, under a name.

pub mod engine;
mod model;
mod network;

pub use model::{Batch, Model, ParameterSpec, Score};
pub use network::{Activation, Embedding, Layer, Network};

use crate::{Error, Result};

/// A training task. Its definition is fixed: results of the same task are comparable.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The name used on the command line.
    pub name: &'static str,
    /// One line on what is trained.
    pub summary: &'static str,
    /// The data set.
    pub data: &'static str,
    /// Makes the network.
    pub network: fn() -> Network,
    /// Examples per gradient.
    pub batch: usize,
    /// Gradient evaluations per run, unless the user asks for another number.
    pub budget: usize,
    /// Tuning trials per optimizer, unless the user asks for another number.
    pub trials: usize,
    /// Seeds of the final runs, unless the user asks for another number.
    pub seeds: usize,
    /// The optimizers that are compared unless the user names some; empty for all but presets.
    pub shortlist: &'static [&'static str],
    /// How often the validation examples are evaluated over a run, the start not counted.
    pub evaluations: usize,
    /// The factor that multiplies the learning rate over a run.
    pub schedule: Schedule,
}

/// How the learning rate changes over a run; the tuned value is its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not change.
    Constant,
    /// It rises linearly over the first twentieth of the run and falls to zero along half a cosine.
    WarmupCosine,
}

impl Schedule {
    /// One phrase for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::WarmupCosine => "linear warm-up over 5 % of the run, then cosine to zero",
        }
    }

    /// The number of warm-up steps in a run of `budget` steps.
    pub fn warmup(self, budget: usize) -> usize {
        match self {
            Schedule::Constant => 0,
            Schedule::WarmupCosine => budget / 20,
        }
    }
}

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

/// All tasks.
pub const TASKS: &[Task] = &[
    Task {
        name: "digits-softmax",
        summary: "softmax regression 64-10 on the 8x8 digits: convex, so the optimum is the same for all",
        data: "digits",
        network: || Network::mlp(&[64, 10]),
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
        data: "digits",
        network: || Network::mlp(&[64, 128, 64, 10]),
        batch: 64,
        budget: 800,
        trials: 16,
        seeds: 5,
        shortlist: &[],
        evaluations: 40,
        schedule: Schedule::Constant,
    },
    Task {
        name: "mnist-mlp",
        summary: "multi-layer perceptron 784-256-128-10 on MNIST",
        data: "mnist",
        network: || Network::mlp(&[784, 256, 128, 10]),
        batch: 128,
        budget: 4_300,
        trials: 8,
        seeds: 3,
        shortlist: SHORTLIST,
        evaluations: 20,
        schedule: Schedule::WarmupCosine,
    },
    Task {
        name: "mnist-cnn",
        summary: "two 3x3 convolutions (32, 64 channels) with pooling and a linear layer on MNIST",
        data: "mnist",
        network: || Network::cnn([1, 28, 28], [32, 64], 10),
        batch: 64,
        budget: 2_600,
        trials: 4,
        seeds: 3,
        shortlist: SHORTLIST,
        evaluations: 8,
        schedule: Schedule::WarmupCosine,
    },
];

/// Tasks that one word stands for.
const GROUPS: &[(&str, &[&str])] =
    &[("digits", &["digits-softmax", "digits-mlp"]), ("mnist", &["mnist-mlp", "mnist-cnn"])];

/// Turns names of tasks and groups (`digits`, `mnist`) into tasks, each once. No names: `digits`.
pub fn select(names: &[String]) -> Result<Vec<&'static Task>> {
    let default = ["digits".to_owned()];
    let names = if names.is_empty() { &default[..] } else { names };
    let mut chosen: Vec<&'static Task> = Vec::new();
    for name in names {
        let single = [name.as_str()];
        let members =
            GROUPS.iter().find(|(group, _)| group == name).map_or(&single[..], |(_, tasks)| tasks);
        for member in members {
            let task = TASKS.iter().find(|t| t.name == *member).ok_or_else(|| unknown(name))?;
            if !chosen.iter().any(|t| t.name == task.name) {
                chosen.push(task);
            }
        }
    }
    Ok(chosen)
}

fn unknown(name: &str) -> Error {
    let groups = GROUPS.iter().map(|(group, _)| *group);
    let known: Vec<_> = groups.chain(TASKS.iter().map(|t| t.name)).collect();
    Error::usage(
        format!("there is no task called `{name}`"),
        format!("choose one or more of: {}", known.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_expand_and_repeats_vanish() {
        let names = |args: &[&str]| -> Vec<&str> {
            let args: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
            select(&args).unwrap().iter().map(|t| t.name).collect()
        };
        assert_eq!(names(&[]), ["digits-softmax", "digits-mlp"]);
        assert_eq!(names(&["mnist"]), ["mnist-mlp", "mnist-cnn"]);
        assert_eq!(names(&["digits-mlp", "digits"]), ["digits-mlp", "digits-softmax"]);
    }

    #[test]
    fn an_unknown_task_is_a_usage_error_that_lists_the_known_ones() {
        let error = select(&["cifar".to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.fix().contains("mnist-cnn"));
    }

    #[test]
    fn networks_fit_their_data() {
        for task in TASKS {
            let inputs = (task.network)().example();
            let expected = if task.data == "digits" { 64 } else { 784 };
            assert_eq!(inputs, expected, "{}", task.name);
        }
    }
}
