//! Many comparisons at once: Holm's correction, and comparisons with the best.

/// Holm's step-down adjustment: the p-values, in the order given, made so that reporting those below
/// 0.05 claims anything false with probability at most 0.05, whatever their dependence.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// For each of `n` competitors a probability such that, at 95 % confidence, the best one is among those
/// whose probability is at least 0.05; `worse(i, j)` is the one-sided p-value of `i` being worse than `j`.
///
/// These are multiple comparisons with the best (Hsu, Ann. Stat. 9(5), 1981) with Bonferroni's bound: the
/// truly best one is ruled out only if one of its own `n - 1` tests errs. Who looks best in the sample
/// plays no part, so nothing is to be corrected for having chosen it.
pub fn may_be_best(n: usize, worse: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let least = |i: usize| (0..n).filter(|j| *j != i).map(|j| worse(i, j)).fold(1.0, f64::min);
    (0..n).map(|i| (least(i) * n.saturating_sub(1).max(1) as f64).min(1.0)).collect()
}
