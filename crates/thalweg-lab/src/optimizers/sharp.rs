//! Sharpness-aware minimisation around other optimizers: two gradients of the same batch per step.

use thalweg::sam::{Ascent, Ball, Neighbourhood, Sam, Stretched};
use thalweg::{Optimizer, Param, StepReport, registry};

use super::stepper::{NOT_FINITE, params};
use super::{Entry, Range};
use crate::Result;
use crate::tasks::{Gradient, ParameterSpec};

/// An optimizer around another one.
#[derive(Debug)]
pub(super) struct Sharp {
    name: &'static str,
    summary: &'static str,
    /// The optimizer that takes the step.
    pub(super) inner: &'static str,
    /// Whether the neighbourhood is stretched by the sizes of the parameters.
    stretched: bool,
    /// The radius if none is given: 0.05 of a ball (Foret et al. 2021), 0.5 of a stretched neighbourhood (Kwon et al.
    /// 2021).
    pub(super) radius: f64,
    /// The radii worth trying.
    rho: [f64; 2],
}

/// The radii that Foret et al. (2021) tried; those of a stretched neighbourhood are ten times as large
/// (Kwon et al. 2021).
const RADII: [f64; 2] = [0.01, 0.5];
const STRETCHED_RADII: [f64; 2] = [0.1, 5.0];

/// With momentum both papers, with AdamW Chen et al. (2022, arXiv 2106.01548) for networks that are
/// usually trained with it.
const ALL: [Sharp; 3] = [
    Sharp {
        name: "sam",
        summary: "momentum along the gradient at the worst point nearby; two gradients per step",
        inner: "momentum",
        stretched: false,
        radius: 0.05,
        rho: RADII,
    },
    Sharp {
        name: "asam",
        summary: "SAM with a neighbourhood stretched by the sizes of the parameters",
        inner: "momentum",
        stretched: true,
        radius: 0.5,
        rho: STRETCHED_RADII,
    },
    Sharp {
        name: "sam_adamw",
        summary: "AdamW along the gradient at the worst point nearby; two gradients per step",
        inner: "adamw",
        stretched: false,
        radius: 0.05,
        rho: RADII,
    },
];

/// The optimizer of this name, if it is one of these.
pub(super) fn get(name: &str) -> Option<&'static Sharp> {
    ALL.iter().find(|s| s.name == name)
}

/// These optimizers: what the one inside tunes, and the radius.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    let entry = |s: &Sharp| {
        let inner = registry::get(s.inner).map(|e| e.tune).unwrap_or_default();
        let mut tune: Vec<Range> =
            inner.iter().map(|t| Range { hyper: t.hyper, low: t.low, high: t.high }).collect();
        tune.push(Range { hyper: "rho", low: s.rho[0], high: s.rho[1] });
        Entry { name: s.name, summary: s.summary, tune, gradients_per_step: 2 }
    };
    ALL.iter().map(entry)
}

/// Computes the gradient of the batch in hand again, at other values.
pub type Again<'a> = dyn FnMut(&mut [Vec<f32>], &mut [Gradient]) -> Result<f64> + 'a;

/// How far to look for the worst point.
#[derive(Debug)]
pub(super) enum Ascender {
    Ball(Sam<Ball>),
    Stretched(Sam<Stretched>),
}

impl Sharp {
    /// The radius among `hypers`, or the optimizer's own, as an ascender; and the other `hypers`, which are
    /// for the optimizer inside.
    pub(super) fn split<'h>(&self, hypers: &[(&'h str, f64)]) -> (Ascender, Vec<(&'h str, f64)>) {
        let rho = hypers.iter().find(|(hyper, _)| *hyper == "rho").map_or(self.radius, |h| h.1);
        let ascender = match self.stretched {
            false => Ascender::Ball(Sam::default().rho(rho)),
            true => Ascender::Stretched(Sam::default().rho(rho)),
        };
        (ascender, hypers.iter().filter(|(hyper, _)| *hyper != "rho").copied().collect())
    }
}

impl Ascender {
    /// One step of `optimizer` along the gradient at the worst point. The inner error says why it was
    /// refused.
    pub(super) fn step(
        &self,
        optimizer: &mut Optimizer<f32>,
        parameters: &[ParameterSpec],
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
        again: &mut Again<'_>,
    ) -> Result<std::result::Result<StepReport, String>> {
        let list = (parameters, values, gradients);
        match self {
            Ascender::Ball(sam) => step(sam, optimizer, list, again),
            Ascender::Stretched(sam) => step(sam, optimizer, list, again),
        }
    }
}

fn step<N: Neighbourhood>(
    sam: &Sam<N>,
    optimizer: &mut Optimizer<f32>,
    (parameters, values, gradients): (&[ParameterSpec], &mut [Vec<f32>], &mut [Gradient]),
    again: &mut Again<'_>,
) -> Result<std::result::Result<StepReport, String>> {
    spread(parameters, gradients);
    let ascent = sam.perturb(optimizer, &mut params(parameters, values, gradients, false));
    let second = match ascent {
        Ok(Ascent::Perturbed(second)) => second,
        Ok(Ascent::Refused(_)) => return Ok(Err(NOT_FINITE.to_owned())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let loss = again(values, gradients)?;
    spread(parameters, gradients);
    let mut list: Vec<Param<'_, f32>> = params(parameters, values, gradients, false);
    if !loss.is_finite() {
        let why = "the loss at the worst point nearby is not finite".to_owned();
        return Ok(Err(second.cancel(&mut list).map_or_else(|e| e.to_string(), |()| why)));
    }
    Ok(second.step(&mut list).map_err(|e| e.to_string()))
}

/// Makes sparse gradients dense: a neighbourhood has as many dimensions as there are parameters.
fn spread(parameters: &[ParameterSpec], gradients: &mut [Gradient]) {
    for (gradient, parameter) in gradients.iter_mut().zip(parameters) {
        if let Gradient::Rows { .. } = gradient {
            *gradient = Gradient::Dense(gradient.to_dense(&parameter.shape));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Stepped, Stepper, describe, fixed, unfit};
    use super::*;
    use crate::tasks::{self, Domain, Schedule, Task};

    fn parameters() -> [ParameterSpec; 1] {
        [ParameterSpec { name: "x".to_owned(), shape: vec![3, 2], fan_in: 2 }]
    }

    fn stepper(name: &str) -> Stepper {
        let hypers = [("lr", 0.1), ("rho", 0.5)];
        let any = *tasks::all()[0];
        let task = Task { schedule: Schedule::Constant, domain: Domain::Free, ..any };
        Stepper::new(name, &hypers, &task, 10).unwrap()
    }

    #[test]
    fn a_sparse_gradient_perturbs_what_it_touches() {
        let mut values = vec![vec![1.0_f32; 6]];
        let rows = || Gradient::Rows { rows: vec![1], values: vec![3.0, 4.0] };
        let mut gradients = vec![rows()];
        let mut seen = Vec::new();
        let mut again = |values: &mut [Vec<f32>], gradients: &mut [Gradient]| {
            seen = values[0].clone();
            gradients[0] = rows();
            Ok(0.0)
        };
        let stepped =
            stepper("sam").step(&parameters(), &mut values, &mut gradients, &mut again).unwrap();
        assert_eq!(stepped, Stepped::Applied);
        // Half a unit along (3, 4)/5, then back and down.
        for (x, want) in seen.iter().zip([1.0, 1.0, 1.3, 1.4, 1.0, 1.0]) {
            assert!((x - want).abs() < 1e-6, "{seen:?}");
        }
        for (x, want) in values[0].iter().zip([1.0, 1.0, 0.7, 0.6, 1.0, 1.0]) {
            assert!((x - want).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_nearby_is_a_refusal_and_moves_nothing() {
        for name in ["sam", "asam", "sam_adamw"] {
            let mut values = vec![vec![1.0_f32; 6]];
            let mut gradients = vec![Gradient::Dense(vec![1.0; 6])];
            let mut again = |_: &mut [Vec<f32>], _: &mut [Gradient]| Ok(f64::NAN);
            let stepped =
                stepper(name).step(&parameters(), &mut values, &mut gradients, &mut again).unwrap();
            assert!(matches!(stepped, Stepped::Refused(why) if why.contains("nearby")));
            assert_eq!(values, [[1.0; 6]]);
        }
    }

    #[test]
    fn they_are_listed_tuned_and_left_out_where_a_ball_makes_no_sense() {
        for entry in entries() {
            assert!(entry.tune.iter().any(|r| r.hyper == "lr"), "{}", entry.name);
            assert_eq!(entry.tune.last().unwrap().hyper, "rho");
            assert_eq!(entry.gradients_per_step, 2);
            // What is not tuned is told, the radius as well.
            let radius = ("rho", if entry.name == "asam" { 0.5 } else { 0.05 });
            let task = tasks::select(&["digits-mlp".to_owned()], None).unwrap()[0];
            assert!(!fixed(&entry, task).contains(&radius));
            assert!(fixed(&Entry { tune: Vec::new(), ..entry.clone() }, task).contains(&radius));
            assert!(unfit(entry.name, Domain::Simplex).unwrap().contains("ball"));
            assert!(unfit(entry.name, Domain::Free).is_none());
            assert!(describe(entry.name, false).unwrap_err().fix().contains("describe `"));
        }
    }
}
