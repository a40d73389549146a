//! Many comparisons at once: Holm's correction and compact letter displays.

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

/// A compact letter display of `n` items: items that share a letter are not told apart, items that
/// share none are (insert-and-absorb, Piepho, J. Comput. Graph. Stat. 13(2), 2004). `differ(i, j)` says
/// whether `i < j` are told apart. Letters are given in the order of the items.
pub fn letters(n: usize, differ: impl Fn(usize, usize) -> bool) -> Vec<String> {
    let mut columns: Vec<Vec<bool>> = vec![vec![true; n]];
    for i in 0..n {
        for j in i + 1..n {
            if differ(i, j) {
                columns = absorb(split(&columns, i, j));
            }
        }
    }
    columns.sort_by(|a, b| b.cmp(a));
    (0..n)
        .map(|item| {
            let of = columns.iter().enumerate().filter(|(_, c)| c[item]);
            of.map(|(index, _)| letter(index)).collect()
        })
        .collect()
}

/// Every column that holds both `i` and `j` becomes one without `i` and one without `j`.
fn split(columns: &[Vec<bool>], i: usize, j: usize) -> Vec<Vec<bool>> {
    let mut result = Vec::with_capacity(columns.len() + 1);
    for column in columns {
        if column[i] && column[j] {
            for out in [j, i] {
                let mut without = column.clone();
                without[out] = false;
                result.push(without);
            }
        } else {
            result.push(column.clone());
        }
    }
    result
}

/// Leaves out columns that lie within another one.
fn absorb(columns: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    let within = |a: &[bool], b: &[bool]| a.iter().zip(b).all(|(a, b)| !a || *b);
    let mut kept: Vec<Vec<bool>> = Vec::with_capacity(columns.len());
    for column in columns {
        if !kept.iter().any(|k| within(&column, k)) {
            kept.retain(|k| !within(k, &column));
            kept.push(column);
        }
    }
    kept
}

/// `a` to `z`, then `A` to `Z`, then `(53)` and so on.
fn letter(index: usize) -> String {
    let alphabet = ('a'..='z').chain('A'..='Z');
    alphabet.into_iter().nth(index).map_or_else(|| format!("({})", index + 1), String::from)
}
