//! The tasks that train networks on images and on text.

use super::images::{self, Augmentation};
use super::language::{self, Size};
use super::{
    CROSS_ENTROPY, Domain, Family, Limit, Metric, Network, Opened, SHORTLIST, Schedule, Task, Tier,
};
use crate::data::LEAST;

/// Fewer than [`SHORTLIST`], where a gradient takes tens of milliseconds.
const FEW: &[&str] = &["momentum", "rmsprop", "adam", "adamw", "meta_egd_adam"];

/// Fewer still, where each of their runs has to see the training examples more than once.
const FEWEST: &[&str] = &["momentum", "adamw", "meta_egd_adam"];

/// What the image tasks share; their batches, budgets and trials are chosen so that a comparison of the
/// shortlist stays within the tier.
const IMAGES: Task = Task {
    name: "",
    summary: "",
    groups: &[],
    tier: Tier::Standard,
    data: "mnist",
    loss: CROSS_ENTROPY,
    metric: Some(Metric::ACCURACY),
    domain: Domain::Free,
    limit: Limit::Times(1e3),
    floor: None,
    noisy: false,
    event: None,
    plane: None,
    open: |task| images::open(task, Network::mlp(&[784, 256, 128, 10]), None),
    batch: 64,
    budget: 900,
    trials: 4,
    seeds: 5,
    shortlist: SHORTLIST,
    evaluations: 10,
    schedule: Schedule::WarmupCosine,
};

/// What the language models share.
const TEXT: Task = Task {
    data: "union",
    loss: "mean cross-entropy in nats per byte",
    metric: Some(Metric::PERPLEXITY),
    open: |task| language::open(task, MEDIUM),
    batch: 16,
    budget: 1_000,
    ..IMAGES
};

const SMALL: Size = Size { context: 32, width: 32, blocks: 1, heads: 2 };
const MEDIUM: Size = Size { context: 64, width: 64, blocks: 2, heads: 4 };
// The family's model takes every text that `thalweg data add` does.
const _: () = assert!(MEDIUM.context < LEAST);
const LARGE: Size = Size { context: 128, width: 128, blocks: 4, heads: 4 };

/// The networks for small pictures in grey and in colour.
const CNN: fn(&'static Task) -> Opened =
    |task| images::open(task, Network::cnn([1, 28, 28], [32, 64], 10), None);
const COLOUR_CNN: fn(&'static Task) -> Opened =
    |task| images::open(task, Network::cnn([3, 32, 32], [32, 64], 10), None);

/// The tasks.
pub(super) const TASKS: &[Task] = &[
    Task {
        name: "mnist-mlp",
        summary: "multi-layer perceptron 784-256-128-10 on MNIST",
        groups: &["mnist", "networks"],
        batch: 128,
        budget: 3_400,
        trials: 8,
        evaluations: 20,
        ..IMAGES
    },
    Task {
        name: "mnist-cnn",
        summary: "two 3x3 convolutions (32, 64 channels) with pooling and a linear layer on MNIST",
        groups: &["mnist", "networks"],
        open: CNN,
        // Nearly two epochs: after one the network is still about 98.7 % right. What the second costs is saved on
        // optimizers, not on trials, so that those compared are as well tuned as elsewhere.
        budget: 1_510,
        evaluations: 5,
        shortlist: FEWEST,
        ..IMAGES
    },
    Task {
        name: "fashion-mlp",
        summary: "multi-layer perceptron 784-256-128-10 on Fashion-MNIST",
        groups: &["fashion-mnist", "networks"],
        data: "fashion-mnist",
        batch: 128,
        budget: 3_400,
        trials: 8,
        evaluations: 20,
        ..IMAGES
    },
    Task {
        name: "fashion-cnn",
        summary: "two 3x3 convolutions (32, 64 channels) with pooling and a linear layer on Fashion-MNIST",
        groups: &["fashion-mnist", "networks"],
        data: "fashion-mnist",
        open: CNN,
        budget: 850,
        shortlist: FEW,
        ..IMAGES
    },
    Task {
        name: "cifar10-mlp",
        summary: "multi-layer perceptron 3072-256-128-10 on CIFAR-10",
        groups: &["cifar10", "networks"],
        data: "cifar10",
        open: |task| images::open(task, Network::mlp(&[3_072, 256, 128, 10]), None),
        budget: 1_800,
        ..IMAGES
    },
    Task {
        name: "cifar10-cnn",
        summary: "two 3x3 convolutions (32, 64 channels) with pooling and a linear layer on CIFAR-10",
        groups: &["cifar10", "networks"],
        data: "cifar10",
        open: COLOUR_CNN,
        // An evaluation takes as long as fifty gradients.
        evaluations: 5,
        budget: 500,
        shortlist: FEW,
        ..IMAGES
    },
    Task {
        name: "cifar10-resnet",
        summary: "residual network of 8 layers (16, 32, 64 channels) with group normalisation on \
                  CIFAR-10, random crops and flips",
        groups: &["cifar10", "networks"],
        tier: Tier::Full,
        data: "cifar10",
        open: |task| resnet(task, 1),
        batch: 32,
        budget: 600,
        shortlist: FEW,
        evaluations: 5,
        ..IMAGES
    },
    Task {
        name: "cifar10-resnet20",
        summary: "residual network of 20 layers (16, 32, 64 channels) with group normalisation on \
                  CIFAR-10, random crops and flips, 20 epochs",
        groups: &["cifar10", "networks"],
        tier: Tier::Full,
        data: "cifar10",
        open: |task| resnet(task, 3),
        batch: 128,
        budget: 7_000,
        evaluations: 20,
        ..IMAGES
    },
    Task {
        name: "lm-lincoln",
        summary: "language model over bytes (1 block, width 32) on Lincoln's messages to Congress",
        groups: &["lm", "networks"],
        tier: Tier::Smoke,
        data: "lincoln",
        open: |task| language::open(task, SMALL),
        batch: 8,
        budget: 300,
        ..TEXT
    },
    Task {
        name: "lm-union",
        summary: "language model over bytes (2 blocks, width 64) on the State of the Union addresses",
        groups: &["lm", "networks"],
        shortlist: FEW,
        ..TEXT
    },
    Task {
        name: "lm-brown",
        summary: "language model over bytes (4 blocks, width 128) on the Brown corpus",
        groups: &["lm", "networks"],
        tier: Tier::Full,
        data: "brown",
        open: |task| language::open(task, LARGE),
        budget: 5_000,
        ..TEXT
    },
    Task {
        name: "lm-shakespeare",
        summary: "language model over bytes (4 blocks, width 128) on Shakespeare's plays",
        groups: &["lm", "networks"],
        tier: Tier::Full,
        data: "shakespeare",
        open: |task| language::open(task, LARGE),
        budget: 5_000,
        ..TEXT
    },
];

fn resnet(task: &'static Task, blocks: usize) -> Opened {
    let network = Network::resnet([3, 32, 32], 16, blocks, 10);
    images::open(task, network, Some(Augmentation { padding: 4, flip: true }))
}

/// The language model on any text, those of the user's own included.
pub(super) const FAMILIES: &[Family] = &[Family {
    name: "lm",
    parameter: "the name of a text in `thalweg data list`; `thalweg data add` takes in your own",
    example: "lm@lincoln",
    summary: "language model over bytes (2 blocks, width 64) on any text",
    make: |name, text| {
        let data: &'static str = text.to_owned().leak();
        let summary = "language model over bytes (2 blocks, width 64) on a text of your choice";
        Ok(Task { name, summary, data, shortlist: FEW, ..TEXT })
    },
}];

#[cfg(test)]
mod tests {
    use crate::protocol::Plan;
    use crate::tasks::{Tier, select};

    /// Milliseconds per gradient and step, and seconds per run for all else, evaluations above all: of the machines
    /// measured on, that where they are most (AMD EPYC, two runs at once).
    const MEASURED: &[(&str, f64, f64)] = &[
        ("mnist-softmax", 0.1, 0.5),
        ("mnist-mlp", 2.0, 0.9),
        ("mnist-cnn", 23.3, 2.0),
        ("fashion-mlp", 2.0, 0.9),
        ("fashion-cnn", 21.7, 3.4),
        ("cifar10-mlp", 5.2, 2.4),
        ("cifar10-cnn", 34.3, 3.9),
        ("cifar10-resnet", 99.5, 3.9),
        ("imdb-logistic", 0.2, 0.5),
        ("lm-union", 12.5, 1.4),
        ("movielens-factors", 0.1, 0.2),
    ];

    #[test]
    fn the_middle_tier_takes_a_quarter_of_an_hour_by_the_clock() {
        let middle = select(&["all".to_owned()], Some(Tier::Standard)).unwrap();
        for task in middle.into_iter().filter(|task| task.tier == Tier::Standard) {
            assert!(MEASURED.iter().any(|(name, ..)| *name == task.name), "{}", task.name);
        }
        for (name, milliseconds, seconds) in MEASURED {
            let task = select(&[(*name).to_owned()], None).unwrap()[0];
            let plan = Plan {
                tasks: vec![task],
                optimizers: None,
                seeds: None,
                trials: None,
                budget: None,
                tune: Vec::new(),
                targets: Vec::new(),
                study: 0,
                workers: 2,
            };
            let runs: usize = plan.runs().iter().map(|(_, runs)| runs).sum();
            let of_run = task.budget as f64 * milliseconds / 1e3 + seconds;
            let minutes = runs as f64 * of_run / 60.0 / 2.0;
            assert_eq!(minutes < 15.0, task.tier == Tier::Standard, "{name}: {minutes:.1}");
        }
    }

    #[test]
    fn the_network_for_digits_sees_most_of_them_twice() {
        let task = select(&["mnist-cnn".to_owned()], None).unwrap()[0];
        assert!(task.budget * task.batch >= 55_000 * 17 / 10);
    }
}
