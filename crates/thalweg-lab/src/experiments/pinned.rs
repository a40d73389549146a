//! The cases in which a claim that holds under a condition must not come true. Without them, any mix of
//! cases would bear out the condition, whichever it is.

use super::Case;

/// An experiment, and the cases in which its claim fails; it comes true in all others.
type Pinned = (&'static str, &'static [&'static str]);

const FAILING: &[Pinned] = &[
    (
        "egd-positive",
        &["start (0, 1/3, 1/3): the optimum is at x[1] = 1", "f32 product, 104 steps down"],
    ),
    ("bregman-kl", &["Σp = 1.7, Σq = 0.9"]),
    ("uniform-start", &["start (0.01, 0.11, …)"]),
    ("regret-norm", &["losses of both signs, norm dual to ∇²ψ"]),
    ("regret-source-rate", &["G = 4", "G = 100"]),
    ("merged-gamma", &["η falling to a tenth"]),
    (
        "gain-order",
        &[
            "small γ, η = 0.01",
            "small γ, η = 0.015",
            "products clipped at 1, γ = 0.1",
            "signs in place of products (EGDD)",
        ],
    ),
    ("three-scenarios", &["oscillating gradient: products of both signs"]),
    (
        "rmsprop-time-constant",
        &[
            "rate, from 10 to 1, ρ = 0.9",
            "rate, from 10 to 1, ρ = 0.99",
            "rate, from 100 to 1, ρ = 0.9",
            "rate, from 100 to 1, ρ = 0.99",
        ],
    ),
    (
        "flat-to-steep",
        &[
            "both at rate 0.05: RMSProp ends nearer to the minimum",
            "each at its best rate: RMSProp comes to rest sooner",
        ],
    ),
    (
        "tracking-error",
        &["Gaussian gradients along a path, β = 0.9", "Gaussian gradients along a path, β = 0.99"],
    ),
    ("v-is-variance", &["gradients N(1, 2²)", "gradients N(2, 2²)", "gradients N(3, 2²)"]),
    (
        "corrected-moment",
        &[
            "mean square falling by 1 % a step, steps 1 to 1000",
            "mean square rising by 1 % a step, steps 1 to 1000",
        ],
    ),
    ("frozen-parameters", &["network on the spirals, first weight"]),
    ("adam-is-rmsprop", &["first step", "momentum on g/√v (torch), after 30 000 steps"]),
    ("l2-in-adam", &["no data gradient: a thousandth of λ decays less"]),
    ("decay-order", &["E37's reading: what the step has left decays"]),
    ("decay-original", &["α in the step: they differ"]),
    ("adagrad-decay", &["x²/2 from 10, 20 000 steps"]),
    (
        "epsilon-placement",
        &[
            "AdaGrad, ε = 1e-8, |g| = 1e-4",
            "AdaGrad, ε = 1e-8, |g| = 1e-6",
            "AdaGrad, ε = 1e-8, |g| = 1e-8",
        ],
    ),
    (
        "float16-epsilon",
        &[
            "all in float16, g = 0.001, ε = 1e-6",
            "all in float16, g = 0.001, ε = 1e-4",
            "all in float16, g = 0.001, ε = 1e-5",
        ],
    ),
    ("parabola-rate", &["η = 2/L''", "η = 2.1/L''"]),
    ("descent-rate", &["κ = 100, η = 1/100", "κ = 100, η = 1.99/100"]),
    (
        "ill-conditioning",
        &[
            "AdaGrad, turned by 45°: ten times κ, less than twice the steps",
            "Adam, turned by 45°: ten times κ, less than twice the steps",
            "AdaBelief, turned by 45°: ten times κ, less than twice the steps",
        ],
    ),
    ("adam-regret", &["β₁ = 0, β₂ = 0.1"]),
    (
        "bowl",
        &[
            "gains by signs around Adam, along the axes: a tenth fewer steps than the better of both alone",
            "gains by signs around AdaGrad, along the axes: a tenth fewer steps than the better of both alone",
            "gains by signs around RMSProp, along the axes: a tenth fewer steps than the better of both alone",
            "gains by signs around Adam, across the axes: a tenth fewer steps than the better of both alone",
            "gains by signs around AdaGrad, across the axes: a tenth fewer steps than the better of both alone",
            "gains by signs around RMSProp, across the axes: a tenth fewer steps than the better of both alone",
        ],
    ),
    (
        "spiral",
        &[
            "at the rates of the reference, Adam against Nesterov: a tenth fewer steps",
            "each at its best rate, Adam against Nesterov: a tenth fewer steps",
        ],
    ),
    ("mnist", &MNIST),
];

const MNIST: [&str; 2] = [
    "Adam against gd, each at its best of three rates: fewer steps",
    "Adam against nesterov, each at its best of three rates: fewer steps",
];

/// Whether the claim of `experiment` fails in exactly the cases in which it should.
pub(super) fn as_pinned(experiment: &str, cases: &[Case]) -> bool {
    let pinned = FAILING.iter().find(|(name, _)| *name == experiment);
    let failing = pinned.map_or(&[][..], |(_, failing)| failing);
    let known = failing.iter().all(|name| cases.iter().any(|c| c.case == *name));
    known && cases.iter().all(|c| c.holds != failing.contains(&c.case.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::{Verdict, all};

    #[test]
    fn what_holds_under_a_condition_is_pinned_and_nothing_else() {
        let mut conditional: Vec<&str> = all()
            .iter()
            .filter(|e| matches!(e.expected, Verdict::HoldsIf(_)))
            .map(|e| e.name)
            .collect();
        let mut pinned: Vec<&str> = FAILING.iter().map(|(name, _)| *name).collect();
        conditional.sort_unstable();
        pinned.sort_unstable();
        assert_eq!(conditional, pinned);
        assert!(FAILING.iter().all(|(_, cases)| !cases.is_empty()));
    }

    #[test]
    fn other_cases_than_the_pinned_ones_disagree() {
        let case = |case: &str, holds| Case { case: case.to_owned(), holds };
        let cases = |on: bool, off: bool| {
            [case("both on the simplex", on), case("Σp = 1.7, Σq = 0.9", off)]
        };
        assert!(as_pinned("bregman-kl", &cases(true, false)));
        assert!(!as_pinned("bregman-kl", &cases(false, true)));
        assert!(!as_pinned("bregman-kl", &cases(true, true)));
        assert!(!as_pinned("bregman-kl", &cases(true, false)[..1]), "a case is gone");
    }
}
