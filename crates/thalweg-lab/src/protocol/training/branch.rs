//! Other ways to go on from a point of a run: the same values and the same batches, another optimizer or
//! none of what it remembers.

use std::sync::Arc;

use serde::Serialize;

use super::{Gradient, ParameterSpec, Part, Phase, Point, Run, RunSpec, Trainer};
use crate::optimizers::{Stepped, Stepper, gradients_per_step, keeps_no_points};
use crate::tasks::{Domain, Workload};
use crate::{Error, Result};

/// How an optimizer comes to the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// With the state of having led the run: nothing is changed.
    Kept,
    /// With the state of having seen every gradient of the run, which another optimizer led.
    Watched,
    /// With an empty state.
    Empty,
}

/// An optimizer that is to go on.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its name.
    pub optimizer: &'static str,
    /// Values of hyper-parameters; the others keep their defaults.
    pub hypers: Vec<(&'static str, f64)>,
}

/// The lengths, in steps, at which the loss along a step is looked at: a hundredth to a hundred.
pub const MULTIPLES: [f64; 13] = [
    0.01,
    0.021_544_346_900_318_84,
    0.046_415_888_336_127_8,
    0.1,
    0.215_443_469_003_188_4,
    0.464_158_883_361_277_9,
    1.0,
    2.154_434_690_031_884,
    4.641_588_833_612_779,
    10.0,
    21.544_346_900_318_84,
    46.415_888_336_127_79,
    100.0,
];

/// The first step of a branch, and what steps of other lengths in its direction would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneStep {
    /// The Euclidean length of the step.
    pub length: f64,
    /// The cosine between the step and the negative gradient; NaN if one of them is zero.
    pub cosine_descent: f64,
    /// The cosine between the step and that of the optimizer that led the run.
    pub cosine_kept: f64,
    /// The loss of the batch that the gradient is of, at each of [`MULTIPLES`]. Of an optimizer whose step
    /// is proportional to its learning rate these are the losses after a step at so many times the rate.
    pub batch_loss: Vec<f64>,
    /// The validation loss there.
    pub validation_loss: Vec<f64>,
}

/// One way of going on.
#[derive(Debug, Clone)]
pub struct Branch {
    /// How the optimizer came to the point.
    pub memory: Memory,
    /// Its first step; `None` if that was refused.
    pub step: Option<OneStep>,
    /// The rest of the run; its first measurement is that at the point.
    pub run: Run,
}

/// The point of a run at which it branches.
#[derive(Debug)]
pub struct Turn {
    /// Gradient evaluations so far.
    pub gradients: usize,
    /// What was measured there.
    pub point: Point,
    /// The loss of the next batch there.
    pub batch_loss: f64,
    /// Its gradient, the zeros of sparse ones with it.
    gradient: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    judged: Vec<Vec<f32>>,
    steps: usize,
    initial_loss: f64,
    seconds: f64,
}

/// An optimizer that is shown the gradients of a run and moves nothing.
pub(super) struct Watcher {
    way: Way,
    /// `None` after it has refused a step.
    stepper: Option<Stepper>,
}

impl Watcher {
    fn new(way: &Way, spec: &RunSpec) -> Result<Self> {
        let stepper = Stepper::new(way.optimizer, &way.hypers, spec.task, spec.budget)?;
        Ok(Watcher { way: way.clone(), stepper: Some(stepper) })
    }

    /// Shows it a gradient of the run and where that was taken.
    pub(super) fn see(
        &mut self,
        parameters: &[ParameterSpec],
        values: &[Vec<f32>],
        gradients: &[Gradient],
    ) -> Result<()> {
        let Some(stepper) = &mut self.stepper else { return Ok(()) };
        let (mut values, mut gradients) = (values.to_vec(), gradients.to_vec());
        let mut again = |_: &mut [Vec<f32>], _: &mut [Gradient]| {
            Err(Error::failed("a watcher asked for a second gradient", "report this defect"))
        };
        let stepped = stepper.step(parameters, &mut values, &mut gradients, &mut again)?;
        if stepped != Stepped::Applied {
            self.stepper = None;
        }
        Ok(())
    }
}

/// Makes the run up to `at` gradient evaluations, and from there the rest of it once as it was, once with the
/// state of its optimizer emptied, and with every other way, watching (where a method can: one gradient per
/// step, and no point of its own path in its state) and empty. The unchanged run comes first.
///
/// # Errors
/// If the run has diverged before that point, or the computation fails.
pub fn branches(
    spec: &RunSpec,
    workload: &Arc<dyn Workload>,
    at: usize,
    others: &[Way],
) -> Result<(Turn, Vec<Branch>)> {
    let mut trainer = Trainer::new(spec, workload, Phase::Screening)?;
    if gradients_per_step(spec.optimizer) == 1 {
        let watching = others
            .iter()
            .filter(|w| gradients_per_step(w.optimizer) == 1 && keeps_no_points(w.optimizer));
        trainer.watchers = watching.map(|w| Watcher::new(w, spec)).collect::<Result<_>>()?;
    }
    trainer.record(Phase::Screening)?;
    trainer.drive(at, Phase::Screening, &|_| {})?;
    let turn = trainer.turn()?;
    let watchers = std::mem::take(&mut trainer.watchers);
    let own = Way { optimizer: spec.optimizer, hypers: spec.hypers.clone() };
    let (mut all, mut kept) = (Vec::new(), None);
    let mut go = |way: &Way, memory, stepper| -> Result<()> {
        let branch = turn.go_on(spec, workload, (way, memory, stepper), &mut kept)?;
        all.push(branch);
        Ok(())
    };
    go(&own, Memory::Kept, trainer.stepper)?;
    go(&own, Memory::Empty, turn.newcomer(spec, &own)?)?;
    for watcher in watchers {
        if let Some(stepper) = watcher.stepper {
            go(&watcher.way, Memory::Watched, stepper)?;
        }
    }
    for way in others {
        go(way, Memory::Empty, turn.newcomer(spec, way)?)?;
    }
    Ok((turn, all))
}

impl Trainer {
    /// Where the run stands, measured.
    fn turn(&mut self) -> Result<Turn> {
        let (step, budget) = (self.run.gradients, self.run.spec.budget);
        if let Some(divergence) = &self.run.divergence {
            return Err(Error::usage(
                format!("the run diverged after {} gradient evaluations", divergence.step),
                format!("give --at a share of the {budget} that comes before"),
            ));
        }
        if self.run.points.last().is_none_or(|p| p.step != step) {
            self.record(Phase::Screening)?;
        }
        let batch = self.next_batch();
        self.problem.prepare(batch)?;
        let batch_loss = self.problem.gradient(batch, &mut self.values, &mut self.gradients)?;
        let dense = |(g, p): (&Gradient, &ParameterSpec)| g.to_dense(&p.shape);
        Ok(Turn {
            gradients: step,
            point: self.run.points[self.run.points.len() - 1],
            batch_loss,
            gradient: self.gradients.iter().zip(&self.parameters).map(dense).collect(),
            values: self.values.clone(),
            judged: self.judged.clone(),
            steps: self.steps,
            initial_loss: self.initial_loss,
            seconds: (self.gradient_time + self.optimizer_time).as_secs_f64(),
        })
    }
}

impl Turn {
    /// The optimizer with an empty state, its learning rate where the run is.
    fn newcomer(&self, spec: &RunSpec, way: &Way) -> Result<Stepper> {
        Stepper::late(way.optimizer, &way.hypers, spec.task, spec.budget, self.gradients)
    }

    /// The rest of the run with this optimizer. The first branch leaves its step in `kept`.
    fn go_on(
        &self,
        spec: &RunSpec,
        workload: &Arc<dyn Workload>,
        (way, memory, stepper): (&Way, Memory, Stepper),
        kept: &mut Option<Vec<f64>>,
    ) -> Result<Branch> {
        let (optimizer, hypers) = (way.optimizer, way.hypers.clone());
        let spec = RunSpec { optimizer, hypers, ..spec.clone() };
        let mut trainer = Trainer::new(&spec, workload, Phase::Screening)?;
        trainer.stepper = stepper;
        trainer.values.clone_from(&self.values);
        trainer.judged.clone_from(&self.judged);
        trainer.best_values.clone_from(&self.judged);
        (trainer.steps, trainer.initial_loss) = (self.steps, self.initial_loss);
        trainer.run.gradients = self.gradients;
        trainer.run.trajectory.clear();
        trainer.run.points.push(self.point);
        trainer.run.best = Some(self.point);
        trainer.gradient_time = std::time::Duration::from_secs_f64(self.seconds);
        // Close to the end an optimizer that takes two gradients per step may have no step left.
        let first = self.gradients + gradients_per_step(optimizer);
        trainer.drive(first.min(spec.budget), Phase::Final, &|_| {})?;
        let moved = trainer.run.gradients > self.gradients && trainer.run.divergence.is_none();
        let step = match moved {
            true => Some(self.look_along(&mut trainer, kept)?),
            false => None,
        };
        trainer.drive(spec.budget, Phase::Final, &|_| {})?;
        let run = trainer.finish(Phase::Final)?;
        Ok(Branch { memory, step, run })
    }

    /// What steps of other lengths in the direction of the one that `trainer` has taken would have done.
    fn look_along(&self, trainer: &mut Trainer, kept: &mut Option<Vec<f64>>) -> Result<OneStep> {
        let domain = trainer.run.spec.task.domain;
        let step: Vec<f64> =
            flat(&trainer.values).zip(flat(&self.values)).map(|(to, from)| to - from).collect();
        let descent: Vec<f64> = flat(&self.gradient).map(|g| -g).collect();
        let kept = kept.get_or_insert_with(|| step.clone());
        let (cosine_descent, cosine_kept) = (cosine(&step, &descent), cosine(&step, kept));
        let length = dot(&step, &step).sqrt();
        let (mut batch_loss, mut validation_loss) = (Vec::new(), Vec::new());
        // The batch may be evaluated with noise of its own: that of the number it has.
        let batch = trainer.batch;
        let mut gradients = trainer.gradients.clone();
        for multiple in MULTIPLES {
            let mut values = along(domain, &self.values, &trainer.values, multiple);
            trainer.problem.prepare(batch)?;
            batch_loss.push(trainer.problem.gradient(batch, &mut values, &mut gradients)?);
            validation_loss.push(trainer.problem.evaluate(Part::Validation, &mut values)?.loss);
        }
        Ok(OneStep { length, cosine_descent, cosine_kept, batch_loss, validation_loss })
    }
}

/// The point that lies so many steps from `from` as `to` lies one, along the line through both: straight, or
/// what a mirror map makes of a straight line.
fn along(domain: Domain, from: &[Vec<f32>], to: &[Vec<f32>], steps: f64) -> Vec<Vec<f32>> {
    let line = |from: &Vec<f32>, to: &Vec<f32>| -> Vec<f32> {
        let pairs = from.iter().zip(to).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let mut at: Vec<f64> = match domain {
            Domain::Free => pairs.map(|(a, b)| a + steps * (b - a)).collect(),
            Domain::Positive | Domain::Simplex => {
                pairs.map(|(a, b)| if a > 0.0 { a * (b / a).powf(steps) } else { a }).collect()
            }
        };
        if domain == Domain::Simplex {
            let sum: f64 = at.iter().sum();
            at.iter_mut().for_each(|x| *x /= sum);
        }
        at.into_iter().map(|x| x as f32).collect()
    };
    from.iter().zip(to).map(|(from, to)| line(from, to)).collect()
}

fn flat(values: &[Vec<f32>]) -> impl Iterator<Item = f64> {
    values.iter().flatten().map(|x| f64::from(*x))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizers;
    use crate::protocol::train;
    use crate::tasks;

    const BUDGET: usize = 60;

    fn spec(task: &str, optimizer: &str, lr: f64) -> (RunSpec, Arc<dyn Workload>) {
        let task = tasks::select(&[task.to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", lr)], 1, BUDGET);
        (spec, (task.open)(task).unwrap())
    }

    fn way(optimizer: &'static str, lr: f64) -> Way {
        Way { optimizer, hypers: vec![("lr", lr)] }
    }

    fn losses(run: &Run) -> Vec<f64> {
        run.points.iter().map(|p| p.validation.loss).collect()
    }

    fn at(branches: &[Branch], optimizer: &str, memory: Memory) -> usize {
        let is = |b: &Branch| b.run.spec.optimizer == optimizer && b.memory == memory;
        branches.iter().position(is).unwrap_or_else(|| panic!("{optimizer} {memory:?}"))
    }

    #[test]
    fn an_unchanged_branch_is_the_run_itself_and_so_is_that_of_a_twin_that_watched() {
        for (task, optimizer) in
            [("digits-mlp", "adamw"), ("digits-mlp", "sam"), ("scale-jump", "adam")]
        {
            let (spec, workload) = spec(task, optimizer, 0.01);
            let whole = train(&spec, &workload, Phase::Final).unwrap();
            let twin = way(spec.optimizer, 0.01);
            let (turn, all) = branches(&spec, &workload, 30, &[twin]).unwrap();
            assert_eq!(turn.gradients, 30);
            let rest: Vec<f64> =
                whole.points.iter().filter(|p| p.step >= 30).map(|p| p.validation.loss).collect();
            assert_eq!(losses(&all[0].run), rest, "{task} {optimizer}");
            assert_eq!(all[0].memory, Memory::Kept);
            if optimizer != "sam" {
                let watched = &all[at(&all, optimizer, Memory::Watched)];
                assert_eq!(losses(&watched.run), rest);
                assert_eq!((&watched.step, watched.run.test), (&all[0].step, all[0].run.test));
            }
            let empty = &all[at(&all, optimizer, Memory::Empty)];
            assert_ne!(losses(&empty.run), rest, "{task} {optimizer}");
        }
    }

    #[test]
    fn no_branch_spends_more_than_the_run_had() {
        let (spec, workload) = spec("digits-softmax", "gd", 0.1);
        let (_, all) = branches(&spec, &workload, BUDGET - 1, &[way("sam", 0.1)]).unwrap();
        let sam = &all[at(&all, "sam", Memory::Empty)];
        assert!(sam.step.is_none() && sam.run.gradients == BUDGET - 1 && sam.run.test.is_some());
        assert!(all[0].step.is_some() && all[0].run.gradients == BUDGET);
    }

    #[test]
    fn without_a_state_nothing_is_lost_with_it() {
        // The learning rate of a newcomer is where the run is: on the cosine, after the warm-up.
        let (spec, workload) = spec("digits-mlp", "gd", 0.1);
        for point in [0, 2, 30, 57] {
            let (_, all) = branches(&spec, &workload, point, &[way("adam", 0.01)]).unwrap();
            assert_eq!(losses(&all[0].run), losses(&all[1].run), "{point}");
            assert_eq!(all[1].memory, Memory::Empty);
            assert_eq!(all.len(), 4);
        }
    }

    #[test]
    fn the_fan_is_made_of_the_losses_of_steps_of_other_lengths() {
        let (spec, workload) = spec("rosenbrock", "momentum", 1e-4);
        let others = [way("gd", 1e-3), way("gd", 1e-2)];
        let (turn, all) = branches(&spec, &workload, 30, &others).unwrap();
        let [slow, fast] = [2, 3].map(|i| all[i].step.as_ref().unwrap());
        assert!(all[2].memory == Memory::Watched && all[3].memory == Memory::Watched);
        assert!((slow.cosine_descent - 1.0).abs() < 1e-6);
        assert!((fast.length / slow.length - 10.0).abs() < 1e-2);
        // Ten times the rate is the step that the ten times faster one takes, as far as `f32` keeps the
        // difference of two points that lie a thousandth apart: to four digits.
        for (x, y) in slow.batch_loss[3..].iter().zip(&fast.batch_loss) {
            assert!((x - y).abs() < 1e-3 * (turn.batch_loss - y).abs(), "{x} {y}");
        }
        // A short enough step along the negative gradient goes down.
        assert!(slow.batch_loss[3] < turn.batch_loss);
        assert_eq!(all[0].step.as_ref().unwrap().cosine_kept, 1.0);
    }

    #[test]
    fn under_a_mirror_map_a_step_of_another_length_stays_in_the_domain() {
        let (from, to) = ([vec![0.2_f32, 0.3, 0.5]], [vec![0.1_f32, 0.3, 0.6]]);
        let [ahead] = &along(Domain::Simplex, &from, &to, 100.0)[..] else { panic!("one") };
        assert!((ahead.iter().sum::<f32>() - 1.0).abs() < 1e-6 && ahead.iter().all(|x| *x >= 0.0));
        for domain in [Domain::Free, Domain::Positive, Domain::Simplex] {
            for (x, y) in along(domain, &from, &to, 1.0)[0].iter().zip(&to[0]) {
                assert!((x - y).abs() < 1e-7, "{domain:?}");
            }
        }
        assert!(along(Domain::Positive, &from, &to, 100.0)[0].iter().all(|x| *x > 0.0));
    }

    #[test]
    fn a_run_that_diverged_before_has_no_branches() {
        let (spec, workload) = spec("rosenbrock", "gd", 1e3);
        let error = branches(&spec, &workload, 30, &[]).unwrap_err();
        assert!(error.problem().contains("diverged after") && error.fix().contains("--at"));
    }
}
