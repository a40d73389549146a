//! Performance profiles (Dolan and Moré, Math. Program. 91, 2002) and the score AlgoPerf makes of them.

use serde::Serialize;

/// Costs up to this multiple of the best one earn credit in the score.
pub const HORIZON: f64 = 4.0;

/// How often one solver is within a factor of the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The solver.
    pub solver: String,
    /// Corners `(τ, ρ)` of the step function: the share `ρ` of problems solved at no more than `τ` times
    /// the best solver's cost, from `τ = 1` up, until the last step.
    pub steps: Vec<(f64, f64)>,
    /// The mean of `ρ` over `τ` from 1 to [`HORIZON`], between 0 and 1.
    pub score: f64,
    /// The geometric mean of `τ` over the problems it solved; `None` if it solved none.
    pub mean_ratio: Option<f64>,
    /// The problems it solved.
    pub solved: usize,
    /// The problems it was given, which its shares are of.
    pub problems: usize,
}

/// The profiles of solvers whose cost on problem `p` is `costs[solver][p]`, infinite for a miss and `None`
/// for a problem that it was not given. A problem nobody solves counts against all who were given it.
pub fn profiles(solvers: &[String], costs: &[Vec<Option<f64>>]) -> Vec<Profile> {
    let problems = costs.first().map_or(0, Vec::len);
    let best: Vec<f64> = (0..problems)
        .map(|p| costs.iter().filter_map(|c| c[p]).fold(f64::INFINITY, f64::min))
        .collect();
    let of = |(solver, costs): (&String, &Vec<Option<f64>>)| {
        let given = costs.iter().zip(&best).filter_map(|(cost, best)| Some(((*cost)?, *best)));
        let ratios: Vec<f64> = given.map(|(cost, best)| ratio(cost, best)).collect();
        let solved = ratios.iter().copied().filter(|r| r.is_finite()).collect();
        profile(solver, solved, ratios.len())
    };
    solvers.iter().zip(costs).map(of).collect()
}

/// How many times the best cost; a cost of zero is matched by another zero only.
fn ratio(cost: f64, best: f64) -> f64 {
    match (cost.is_finite(), cost == best) {
        (true, true) => 1.0,
        (true, false) => cost / best,
        (false, _) => f64::INFINITY,
    }
}

fn profile(solver: &str, mut ratios: Vec<f64>, problems: usize) -> Profile {
    ratios.sort_by(f64::total_cmp);
    let share = |count: usize| count as f64 / problems.max(1) as f64;
    let mut steps = vec![(1.0, share(ratios.iter().filter(|r| **r <= 1.0).count()))];
    for (i, ratio) in ratios.iter().enumerate().filter(|(_, r)| **r > 1.0) {
        match steps.last_mut() {
            Some(last) if last.0 == *ratio => last.1 = share(i + 1),
            _ => steps.push((*ratio, share(i + 1))),
        }
    }
    // Each solved problem earns credit from its ratio up to the horizon.
    // (The sum of nothing would be a negative zero.)
    let credit = ratios.iter().fold(0.0, |sum, r| sum + (HORIZON - r).max(0.0));
    let logs: f64 = ratios.iter().map(|r| r.ln()).sum();
    Profile {
        solver: solver.to_owned(),
        steps,
        score: credit / (HORIZON - 1.0) / problems.max(1) as f64,
        mean_ratio: (!ratios.is_empty()).then(|| (logs / ratios.len() as f64).exp()),
        solved: ratios.len(),
        problems,
    }
}
