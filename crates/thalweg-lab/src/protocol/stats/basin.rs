//! How forgiving an optimizer is about its learning rate.

use serde::Serialize;

/// A trial may lose this share of the way from the initial loss to the best one and still be good.
pub const TOLERANCE: f64 = 0.05;

/// The learning rates that work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Basin {
    /// The loss that still counts as good: [`TOLERANCE`] of the way back from the best to the initial.
    pub threshold: f64,
    /// The smallest good learning rate next to the chosen one.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// The width in decades, `log₁₀(high / low)`.
    pub decades: f64,
    /// Whether the good region reaches the smallest or largest rate tried, so that the true width may be
    /// larger.
    pub open: bool,
    /// The divergence cliff: the largest rate that did not diverge below the smallest one from which on
    /// every trial diverged, and that one. `None` if the largest rate tried did not diverge.
    pub cliff: Option<(f64, f64)>,
}

/// The basin of trials `(learning rate, loss)`, whose loss is infinite if they diverged, and whose runs
/// start at loss `initial`, around `chosen`, or around the best one if that is not good. `None` if all diverged
/// or there are fewer than two.
///
/// The ends are interpolated linearly in the logarithm of the rate; a diverged neighbour puts the end at
/// the last rate that worked. Where other hyper-parameters were tuned at the same time, trials that are
/// bad because of those make the basin look narrower than it is.
pub fn basin(trials: &[(f64, f64)], initial: f64, chosen: Option<(f64, f64)>) -> Option<Basin> {
    let mut trials = trials.to_vec();
    trials.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let best = (0..trials.len()).min_by(|a, b| trials[*a].1.total_cmp(&trials[*b].1))?;
    if trials.len() < 2 || !trials[best].1.is_finite() {
        return None;
    }
    let threshold = trials[best].1 + TOLERANCE * (initial - trials[best].1).max(0.0);
    let good = |i: &usize| trials[*i].1 <= threshold;
    let chosen = trials.iter().position(|t| Some(*t) == chosen).filter(good).unwrap_or(best);
    let first = (0..=chosen).rev().take_while(good).last().unwrap_or(chosen);
    let last = (chosen..trials.len()).take_while(good).last().unwrap_or(chosen);
    let low = match first.checked_sub(1) {
        Some(out) => crossing(trials[first], trials[out], threshold),
        None => trials[first].0,
    };
    let high = match trials.get(last + 1) {
        Some(out) => crossing(trials[last], *out, threshold),
        None => trials[last].0,
    };
    Some(Basin {
        threshold,
        low,
        high,
        decades: (high / low).log10(),
        open: first == 0 || last + 1 == trials.len(),
        cliff: cliff(&trials),
    })
}

/// The rate between a good trial and a bad neighbour at which the loss reaches the threshold.
fn crossing(good: (f64, f64), bad: (f64, f64), threshold: f64) -> f64 {
    if !bad.1.is_finite() {
        return good.0;
    }
    let share = (threshold - good.1) / (bad.1 - good.1);
    (good.0.ln() + share * (bad.0.ln() - good.0.ln())).exp()
}

fn cliff(sorted: &[(f64, f64)]) -> Option<(f64, f64)> {
    let from = sorted.iter().rposition(|t| t.1.is_finite())? + 1;
    sorted.get(from).map(|beyond| (sorted[from - 1].0, beyond.0))
}
