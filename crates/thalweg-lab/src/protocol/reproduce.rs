//! Whether two runs are the same, bit for bit.

use super::training::{Point, Run};
use crate::diagnosis::Probe;
use crate::optimizers::gradients_per_step;
use crate::tasks::Measurement;

/// Where a repeated run first differs from the one that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// After how many gradient evaluations; `None` if all that has a place in the run is the same.
    pub gradients: Option<usize>,
    /// What differs, and how.
    pub what: String,
}

impl Difference {
    fn at(gradients: usize, what: String) -> Self {
        Difference { gradients: Some(gradients), what }
    }

    fn of_all(what: String) -> Self {
        Difference { gradients: None, what }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.gradients {
            Some(n) => write!(f, "after {n} gradient evaluations, {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// The earliest thing in which a repeated run differs from the one that was kept; `None` if they agree in
/// every bit of their measurements, positions, probes and results. Seconds are not compared.
pub fn first_difference(kept: &Run, again: &Run) -> Option<Difference> {
    let courses = [points(kept, again), trajectories(kept, again), probes(kept, again)];
    // Where a run stands comes before what is measured of it there: of equal moments the cause is named.
    let earliest = [1, 2, 0].into_iter().filter_map(|i| courses[i].clone());
    earliest.min_by_key(|d| d.gradients.unwrap_or(usize::MAX)).or_else(|| results(kept, again))
}

fn points(kept: &Run, again: &Run) -> Option<Difference> {
    for (a, b) in kept.points.iter().zip(&again.points) {
        if let Some(what) = point(a, b) {
            return Some(Difference::at(a.step.min(b.step), what));
        }
    }
    let last = |run: &Run| run.points.last().map(|p| p.step);
    count("measurements", [kept.points.len(), again.points.len()], [last(kept), last(again)])
}

fn point(a: &Point, b: &Point) -> Option<String> {
    if a.step != b.step {
        return Some(format!("the measurement after {} is now after {}", a.step, b.step));
    }
    number("training loss", a.train_loss, b.train_loss)
        .or_else(|| measurement("validation", a.validation, b.validation))
}

fn measurement(part: &str, a: Measurement, b: Measurement) -> Option<String> {
    number(&format!("{part} loss"), Some(a.loss), Some(b.loss))
        .or_else(|| number(&format!("{part} metric"), a.metric, b.metric))
}

/// Where the runs went, on tasks that keep it.
fn trajectories(kept: &Run, again: &Run) -> Option<Difference> {
    let gradients = |run: &Run, i: usize| i * run.stride * gradients_per_step(run.spec.optimizer);
    for (i, (a, b)) in kept.trajectory.iter().zip(&again.trajectory).enumerate() {
        for (k, axis) in ["first", "second"].into_iter().enumerate() {
            if let Some(what) = number(&format!("{axis} coordinate"), Some(a[k]), Some(b[k])) {
                return Some(Difference::at(gradients(kept, i), what));
            }
        }
    }
    let last = |run: &Run| Some(gradients(run, run.trajectory.len().checked_sub(1)?));
    let lengths = [kept.trajectory.len(), again.trajectory.len()];
    count("positions", lengths, [last(kept), last(again)])
}

/// What was looked at along the runs.
fn probes(kept: &Run, again: &Run) -> Option<Difference> {
    let gradients = |run: &Run, probe: &Probe| probe.step * gradients_per_step(run.spec.optimizer);
    for (a, b) in kept.probes.iter().zip(&again.probes) {
        if let Some(what) = probe(a, b) {
            return Some(Difference::at(gradients(kept, a).min(gradients(again, b)), what));
        }
    }
    let last = |run: &Run| run.probes.last().map(|p| gradients(run, p));
    count("probes", [kept.probes.len(), again.probes.len()], [last(kept), last(again)])
}

fn probe(a: &Probe, b: &Probe) -> Option<String> {
    if a.step != b.step {
        return Some(format!("the probe at step {} is now at step {}", a.step, b.step));
    }
    if let Some(what) = number("loss of the batch", Some(a.loss), Some(b.loss)) {
        return Some(what);
    }
    let (ours, theirs) = (a.numbers(), b.numbers());
    for ((place, key, x), (other, same, y)) in ours.iter().zip(&theirs) {
        if (place, key) != (other, same) {
            return Some(format!("the probe of {key} in {place} is now of {same} in {other}"));
        }
        if let Some(what) = number(&format!("probe of {key} in {place}"), Some(*x), Some(*y)) {
            return Some(what);
        }
    }
    (ours.len() != theirs.len())
        .then(|| format!("the probe had {} numbers, now it has {}", ours.len(), theirs.len()))
}

/// A difference in how many there are: one of the runs went on, or was looked at, longer.
fn count(what: &str, [a, b]: [usize; 2], last: [Option<usize>; 2]) -> Option<Difference> {
    let end = last.into_iter().map(|last| last.unwrap_or(0)).min().unwrap_or(0);
    (a != b)
        .then(|| Difference::at(end, format!("the {what} end: there were {a}, now there are {b}")))
}

/// What the runs came to.
fn results(kept: &Run, again: &Run) -> Option<Difference> {
    if kept.divergence != again.divergence {
        let (a, b) = (&kept.divergence, &again.divergence);
        return Some(Difference::of_all(format!("divergence was {a:?}, now {b:?}")));
    }
    if kept.gradients != again.gradients {
        let (a, b) = (kept.gradients, again.gradients);
        return Some(Difference::of_all(format!("{a} gradients were evaluated, now {b}")));
    }
    let test = match (kept.test, again.test) {
        (Some(a), Some(b)) => measurement("test", a, b),
        (None, None) => None,
        (a, b) => Some(format!("the test result was {a:?}, now it is {b:?}")),
    };
    test.map(Difference::of_all)
}

fn number(what: &str, a: Option<f64>, b: Option<f64>) -> Option<String> {
    // NaNs are kept without their bits.
    let bits =
        |x: Option<f64>| x.map(|x| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() });
    let shown = |x: Option<f64>| x.map_or_else(|| "not there".to_owned(), |x| format!("{x:?}"));
    (bits(a) != bits(b)).then(|| format!("the {what} was {}, now it is {}", shown(a), shown(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Phase, RunSpec, train};
    use crate::{optimizers, tasks};

    fn run(optimizer: &str) -> Run {
        let task = tasks::select(&["rosenbrock".to_owned()], None).unwrap()[0];
        let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 1e-3)], 1, 64);
        train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap()
    }

    fn next(x: &mut f64) {
        *x = x.next_up();
    }

    #[test]
    fn the_earliest_difference_is_named_in_the_last_bit_of_anything() {
        let kept = run("adam");
        assert_eq!(first_difference(&kept, &run("adam")), None);
        let probe = kept.probes.len() / 2;
        let step = kept.probes[probe].step;
        let position = kept.trajectory.len() - 2;
        let changed = |change: &dyn Fn(&mut Run)| {
            let mut again = kept.clone();
            change(&mut again);
            let found = first_difference(&kept, &again).unwrap();
            (found.gradients, found.what)
        };
        let (at, what) = changed(&|r| next(&mut r.trajectory[position][1]));
        assert_eq!(at, Some(position * kept.stride));
        assert!(what.contains("second coordinate"), "{what}");
        let (at, what) = changed(&|r| next(&mut r.probes[probe].layers[0].update_norm));
        assert!(at == Some(step) && what.contains("update_norm"), "{at:?} {what}");
        let (at, what) = changed(&|r| {
            next(&mut r.probes[probe].loss);
            next(&mut r.trajectory[position][0]);
        });
        assert!(at == Some(step) && what.contains("loss of the batch"), "{at:?} {what}");
        let (at, what) = changed(&|r| drop(r.probes.pop()));
        let end = kept.probes[kept.probes.len() - 2].step;
        assert!(at == Some(end) && what.contains("the probes end"), "{at:?} {what}");
        let (at, what) = changed(&|r| next(&mut r.points[3].validation.loss));
        assert!(at == Some(kept.points[3].step) && what.contains("validation"), "{at:?} {what}");
        let (at, what) = changed(&|r| next(&mut r.test.as_mut().unwrap().loss));
        assert!(at.is_none() && what.contains("test loss"), "{at:?} {what}");
    }

    #[test]
    fn steps_that_take_two_gradients_are_told_in_gradients() {
        let kept = run("sam");
        let mut again = kept.clone();
        next(&mut again.trajectory[3][0]);
        let found = first_difference(&kept, &again).unwrap();
        assert_eq!(found.gradients, Some(3 * kept.stride * 2));
    }
}
