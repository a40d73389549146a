//! Two comparisons against each other.

use serde::Serialize;

use super::stats::bootstrap::Interval;
use super::stats::multiple::holm;
use super::stats::runs::{Against, Runs, Yardstick, is_worse};
use super::stats::scale::Scale;
use super::stats::{Estimate, mean};

/// What came of a final run.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The task.
    pub task: String,
    /// The optimizer.
    pub optimizer: String,
    /// The seed.
    pub seed: u64,
    /// The test loss; infinite if it diverged.
    pub loss: f64,
    /// Gradient evaluations to the lowest validation loss.
    pub gradients: f64,
    /// Gradient evaluations between measurements.
    pub every: f64,
    /// The loss at which the task is solved, if it has one and is known here.
    pub floor: Option<f64>,
    /// The bits of its hyper-parameters and of all that was measured.
    pub bits: Vec<u64>,
}

/// What changed from one comparison to another.
#[derive(Debug, Clone, Serialize)]
pub struct Changes {
    /// Every optimizer of every task that both hold.
    pub rows: Vec<Change>,
    /// Pairs of optimizers that changed places.
    pub flips: Vec<RankFlip>,
    /// `task/optimizer` that only one of them holds: first those of the first.
    pub only_in: [Vec<String>; 2],
}

/// How an optimizer did in both.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The task.
    pub task: String,
    /// The optimizer.
    pub optimizer: String,
    /// On which scale the task's losses are averaged and compared: as [`compare`](super::compare) does.
    pub scale: Scale,
    /// Typical test loss in each: the mean, or the geometric mean of what is left above the smallest loss
    /// added to that.
    pub loss: [f64; 2],
    /// The seeds that both have run, over which all of this is.
    pub seeds: usize,
    /// Rank among the optimizers that both hold, in each.
    pub rank: [usize; 2],
    /// Gradient evaluations to the lowest validation loss, mean, in each.
    pub gradients: [f64; 2],
    /// Whether every shared seed gave the same bits: hyper-parameters, all measurements, test loss.
    pub identical: bool,
    /// Whether both solve the task on every shared seed, and are compared by the gradient evaluations that takes.
    pub in_gradients: bool,
    /// Loss in the second minus loss in the first, or how many times as far above the smallest loss the
    /// second is, or how many more gradient evaluations it takes; paired by seed.
    pub distance: Estimate,
    /// The factor up and down of the 95 % interval of the distance, where that is a ratio.
    pub factor: Option<f64>,
    /// The 95 % bootstrap interval of the distance.
    pub interval: Option<Interval>,
    /// Paired t test on the scale, corrected for all rows (Holm).
    pub p_adjusted: f64,
    /// Whether that is below 0.05.
    pub distinguishable: bool,
}

impl Changes {
    /// How many pairs of optimizers on a task have an order in both.
    pub fn ordered(&self, task: &str) -> usize {
        let own: Vec<&Change> = self.rows.iter().filter(|row| row.task == task).collect();
        let in_both = |a: &Change, b: &Change| {
            [0, 1].iter().all(|side| is_ahead(a, b, *side) || is_ahead(b, a, *side))
        };
        own.iter()
            .enumerate()
            .map(|(i, a)| own[i + 1..].iter().filter(|b| in_both(a, b)).count())
            .sum()
    }
}

impl Change {
    /// Whether the second is worse than the first, sure or not.
    pub fn is_worse(&self) -> bool {
        is_worse(self.distance.mean, self.in_gradients, self.scale)
    }
}

/// Two optimizers that changed places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RankFlip {
    /// The task.
    pub task: String,
    /// Ahead in the first comparison, behind in the second.
    pub fell: String,
    /// The other way round.
    pub rose: String,
}

/// What changed from `a` to `b`; `minimum` is the smallest loss of a task, where that is known.
pub fn changes(a: &[Loss], b: &[Loss], minimum: impl Fn(&str) -> Option<f64>) -> Changes {
    let scale = |task: &str| {
        let own = a.iter().chain(b).filter(|l| l.task == task);
        Scale::of(minimum(task), own.map(|l| l.loss))
    };
    let (of_a, of_b) = (names(a), names(b));
    let missing = |from: &[(String, String)], other: &[(String, String)]| {
        let only = from.iter().filter(|n| !other.contains(n));
        only.map(|(task, optimizer)| format!("{task}/{optimizer}")).collect()
    };
    let shared: Vec<_> = of_a.iter().filter(|n| of_b.contains(n)).collect();
    let mut rows: Vec<Change> = Vec::new();
    let mut p = Vec::new();
    for name in &shared {
        let scale = scale(&name.0);
        let pairs = paired(a, b, name);
        let of = |i: usize| pairs.iter().map(move |pair| [pair[i].loss, pair[i].gradients]);
        let (x, y): (Runs, Runs) = (of(0).collect(), of(1).collect());
        let every = pairs.iter().flatten().map(|run| run.every).fold(0.0, f64::max);
        let floor = pairs.first().and_then(|[run, _]| run.floor);
        let by = Yardstick { scale, floor, every };
        let Against { in_gradients, distance, p: of_row } = y.against(&x, by);
        p.push(of_row);
        rows.push(Change {
            task: name.0.clone(),
            optimizer: name.1.clone(),
            scale,
            loss: [scale.typical(&x.losses), scale.typical(&y.losses)],
            seeds: pairs.len(),
            rank: [0, 0],
            gradients: [mean(&x.gradients), mean(&y.gradients)],
            identical: !pairs.is_empty() && pairs.iter().all(|[x, y]| x.bits == y.bits),
            in_gradients,
            distance: distance.mean,
            factor: distance.factor,
            interval: distance.interval,
            p_adjusted: 1.0,
            distinguishable: false,
        });
    }
    for (row, p) in rows.iter_mut().zip(holm(&p)) {
        row.p_adjusted = p;
        row.distinguishable = p < 0.05;
    }
    rank(&mut rows);
    Changes { flips: flips(&rows), only_in: [missing(&of_a, &of_b), missing(&of_b, &of_a)], rows }
}

fn names(losses: &[Loss]) -> Vec<(String, String)> {
    let mut names: Vec<_> = losses.iter().map(|l| (l.task.clone(), l.optimizer.clone())).collect();
    names.sort();
    names.dedup();
    names
}

fn own<'a>(losses: &'a [Loss], name: &'a (String, String)) -> impl Iterator<Item = &'a Loss> {
    losses.iter().filter(|l| l.task == name.0 && l.optimizer == name.1)
}

fn paired<'a>(a: &'a [Loss], b: &'a [Loss], name: &'a (String, String)) -> Vec<[&'a Loss; 2]> {
    let other = |seed| own(b, name).find(|y| y.seed == seed);
    own(a, name).filter_map(|x| Some([x, other(x.seed)?])).collect()
}

/// Whether `a` is ahead of `b` in one of the comparisons: its loss is lower, or it came to the same one sooner, as of
/// two that solve the task. Of divergences none is ahead.
fn is_ahead(a: &Change, b: &Change, side: usize) -> bool {
    let [x, y] = [a, b].map(|row| (row.loss[side], row.gradients[side]));
    x.0 < y.0 || x.0 == y.0 && x.0.is_finite() && x.1 < y.1
}

fn rank(rows: &mut [Change]) {
    for side in [0, 1] {
        for i in 0..rows.len() {
            let ahead = rows.iter().enumerate().filter(|(j, other)| {
                let first = is_ahead(other, &rows[i], side);
                other.task == rows[i].task && (first || *j < i && !is_ahead(&rows[i], other, side))
            });
            rows[i].rank[side] = 1 + ahead.count();
        }
    }
}

fn flips(rows: &[Change]) -> Vec<RankFlip> {
    let mut flips = Vec::new();
    for a in rows {
        for b in rows.iter().filter(|b| b.task == a.task) {
            if is_ahead(a, b, 0) && is_ahead(b, a, 1) {
                flips.push(RankFlip {
                    task: a.task.clone(),
                    fell: a.optimizer.clone(),
                    rose: b.optimizer.clone(),
                });
            }
        }
    }
    flips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(optimizer: &str, values: &[f64]) -> Vec<Loss> {
        let loss = |(i, loss): (usize, &f64)| Loss {
            task: "t".to_owned(),
            optimizer: optimizer.to_owned(),
            seed: 1 + i as u64,
            loss: *loss,
            gradients: 100.0,
            every: 10.0,
            floor: None,
            bits: vec![loss.to_bits()],
        };
        values.iter().enumerate().map(loss).collect()
    }

    #[test]
    fn ranks_that_flip_are_named_and_identical_rows_are_told() {
        let a = [losses("x", &[1.0, 1.1, 1.2]), losses("y", &[2.0, 2.1, 2.2])].concat();
        let b = [losses("x", &[3.0, 3.1, 3.2001]), losses("y", &[2.0, 2.1, 2.2])].concat();
        let changes = changes(&a, &b, |_| None);
        assert_eq!(changes.flips.len(), 1);
        assert_eq!((&changes.flips[0].fell[..], &changes.flips[0].rose[..]), ("x", "y"));
        let [x, y] = &changes.rows[..] else { panic!("two rows") };
        assert!(x.distinguishable && !x.identical && y.identical && !y.distinguishable);
        assert_eq!((x.rank, y.rank), ([1, 2], [2, 1]));
        assert!((x.distance.mean - 2.0).abs() < 1e-3);
    }

    #[test]
    fn of_those_that_solve_a_task_the_sooner_is_ahead_and_another_course_is_not_the_same() {
        let solved = |optimizer, spent: [f64; 4]| {
            let mut runs = losses(optimizer, &[0.5; 4]);
            for (run, spent) in runs.iter_mut().zip(spent) {
                (run.gradients, run.bits) = (spent, vec![spent.to_bits()]);
                run.floor = Some(0.5);
            }
            runs
        };
        let a = [solved("x", [60.0, 70.0, 60.0, 70.0]), solved("y", [300.0, 310.0, 300.0, 320.0])];
        let b =
            [solved("x", [500.0, 520.0, 510.0, 500.0]), solved("y", [300.0, 310.0, 300.0, 320.0])];
        let changes = changes(&a.concat(), &b.concat(), |_| None);
        let [x, y] = &changes.rows[..] else { panic!("two rows") };
        assert!(x.in_gradients && !x.identical && x.distinguishable && x.is_worse());
        assert!((x.distance.mean - 442.5).abs() < 1e-9);
        assert!(y.identical && !y.distinguishable);
        assert_eq!((x.rank, y.rank, changes.flips.len()), ([1, 2], [2, 1], 1));
        // Of two that are as soon none is ahead.
        let third = [b, [solved("z", [300.0, 310.0, 300.0, 320.0]), vec![]]].concat().concat();
        assert_eq!(
            (changes.ordered("t"), super::changes(&third, &third, |_| None).ordered("t")),
            (1, 2)
        );
    }

    #[test]
    fn losses_and_distance_are_over_the_seeds_that_both_have() {
        let changes =
            changes(&losses("x", &[1.0, 2.0]), &losses("x", &[2.0, 3.0, 100.0]), |_| None);
        let row = &changes.rows[0];
        assert_eq!((row.seeds, row.loss, row.distance.mean), (2, [1.5, 2.5], 1.0));
    }

    /// The worst seed decides a mean of losses over decades, and hides a factor that every seed shows.
    #[test]
    fn losses_above_a_known_minimum_are_compared_by_their_ratios() {
        let above = [1e-8, 3e-6, 2e-4, 0.05, 8.0];
        let factors = [2.0, 2.1, 1.9, 2.05, 1.95];
        let a: Vec<f64> = above.iter().map(|x| 3.0 + x).collect();
        let b: Vec<f64> = above.iter().zip(factors).map(|(x, f)| 3.0 + f * x).collect();
        let (a, b) = (losses("x", &a), losses("x", &b));
        let change = |minimum| changes(&a, &b, |_| minimum).rows.remove(0);
        let plain = change(None);
        assert!(plain.scale == Scale::Plain && !plain.distinguishable && plain.factor.is_none());
        let ratio = change(Some(3.0));
        assert!(ratio.distinguishable && ratio.is_worse() && !ratio.identical);
        // What is left of a loss of 3 + 1e-8 has half the digits.
        let mean = factors.iter().product::<f64>().powf(0.2);
        assert!((ratio.distance.mean / mean - 1.0).abs() < 1e-7, "{}", ratio.distance.mean);
        assert!(ratio.interval.is_some_and(|i| i.low > 1.8 && i.contains(mean) && i.high < 2.2));
        let typical = above.iter().product::<f64>().powf(0.2);
        assert!(((ratio.loss[0] - 3.0) / typical - 1.0).abs() < 1e-7);
        let back = changes(&b, &a, |_| Some(3.0)).rows.remove(0);
        assert!(back.distinguishable && !back.is_worse());
        assert!((back.distance.mean * ratio.distance.mean - 1.0).abs() < 1e-12);
        assert!((back.p_adjusted / ratio.p_adjusted - 1.0).abs() < 1e-9);
        // A loss at the minimum has no logarithm.
        assert_eq!(changes(&a, &losses("x", &[3.0]), |_| Some(3.0)).rows[0].scale, Scale::Plain);
    }

    #[test]
    fn what_only_one_holds_is_listed() {
        let changes = changes(&losses("x", &[1.0]), &losses("y", &[1.0]), |_| None);
        assert!(changes.rows.is_empty());
        assert_eq!(changes.only_in, [vec!["t/x".to_owned()], vec!["t/y".to_owned()]]);
    }
}
