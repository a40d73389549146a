//! Convex tasks, and two factorisations that are convex in each factor: losses whose optimum is known or
//! can be checked, on domains that call for different geometries.

mod imdb;
mod movielens;
mod nonnegative;
mod simplex;

use super::{CROSS_ENTROPY, Domain, Limit, Metric, Network, SHORTLIST, Schedule, Task, Tier};
use super::{formula, images};
use nonnegative::{Factorisation, LeastSquares};
use simplex::{Experts, Portfolio};

/// By how much a loss exceeds the smallest there is.
const EXCESS: Metric =
    Metric { name: "excess over the optimum", higher_is_better: false, percent: false };

/// What the small tasks have in common.
const SMALL: Task = Task {
    name: "",
    summary: "",
    groups: &["convex"],
    tier: Tier::Smoke,
    data: "",
    loss: "",
    metric: Some(EXCESS),
    domain: Domain::Positive,
    limit: Limit::Times(1e3),
    floor: None,
    noisy: false,
    event: None,
    plane: None,
    open: |task| formula::open(task, Experts),
    batch: 0,
    budget: 500,
    trials: 16,
    seeds: 5,
    shortlist: &[],
    evaluations: 50,
    schedule: Schedule::Constant,
};

pub(super) const TASKS: &[Task] = &[
    Task {
        name: "mnist-softmax",
        summary: "softmax regression 784-10 on MNIST: convex, so the optimum is the same for all",
        groups: &["mnist", "convex"],
        tier: Tier::Standard,
        data: "mnist",
        loss: CROSS_ENTROPY,
        metric: Some(Metric::ACCURACY),
        domain: Domain::Free,
        open: |task| images::open(task, Network::mlp(&[784, 10]), None),
        batch: 128,
        budget: 2_150,
        trials: 8,
        shortlist: SHORTLIST,
        evaluations: 20,
        ..SMALL
    },
    Task {
        name: "imdb-logistic",
        summary: "logistic regression on the words of film reviews, with sparse gradients",
        groups: &["imdb", "convex", "sparse"],
        tier: Tier::Standard,
        data: "imdb",
        loss: CROSS_ENTROPY,
        metric: Some(Metric::ACCURACY),
        domain: Domain::Free,
        open: imdb::open,
        batch: 128,
        budget: 1_560,
        trials: 8,
        shortlist: SHORTLIST,
        evaluations: 20,
        ..SMALL
    },
    Task {
        name: "movielens-factors",
        summary: "matrix factorisation of film ratings: 16 factors and a bias per user and film",
        groups: &["movielens", "sparse"],
        tier: Tier::Standard,
        data: "movielens-100k",
        loss: "mean squared error in squared stars",
        metric: Some(Metric::RMSE),
        domain: Domain::Free,
        open: movielens::open,
        batch: 256,
        budget: 3_120,
        trials: 8,
        shortlist: SHORTLIST,
        evaluations: 20,
        ..SMALL
    },
    Task {
        name: "nnls",
        summary: "non-negative least squares: a digit as a sum of 200 others",
        groups: &["convex", "nonnegative"],
        loss: "half the sum of squared errors",
        floor: Some(nonnegative::FLOOR),
        open: |task| formula::open(task, LeastSquares::new()?),
        ..SMALL
    },
    Task {
        name: "nmf-digits",
        summary: "non-negative matrix factorisation of 100 digits into 6 parts",
        groups: &["nonnegative"],
        loss: "mean squared error per pixel",
        metric: None,
        open: |task| formula::open(task, Factorisation::new()?),
        budget: 300,
        ..SMALL
    },
    Task {
        name: "portfolio",
        summary: "online portfolio of 8 assets with constant shares, a day per gradient",
        groups: &["convex", "simplex"],
        loss: "mean logarithmic loss per day above that of the best constant shares, in nats",
        domain: Domain::Simplex,
        noisy: true,
        floor: Some(simplex::PORTFOLIO_FLOOR),
        // A day's loss may be below that of the best shares.
        limit: Limit::Above(1.0),
        open: |task| formula::open(task, Portfolio),
        budget: 1_000,
        ..SMALL
    },
    Task {
        name: "experts",
        summary: "prediction with the advice of 8 experts, a round per gradient",
        groups: &["convex", "simplex"],
        loss: "mean loss of the mixture, between 0 and 1",
        domain: Domain::Simplex,
        noisy: true,
        floor: Some(simplex::EXPERTS_FLOOR),
        open: |task| formula::open(task, Experts),
        budget: 1_000,
        ..SMALL
    },
];
