//! What the trials of a comparison know of the learning rate, which a run alone does not.

use super::finding::{Finding, Kind};
use super::rules::RAISE;

/// Rewrites the advice to raise the learning rate `lr` of runs, so that it stays below half the smallest
/// larger rate at which a trial diverged.
pub fn within(findings: &mut [Finding], lr: f64, diverged: impl Iterator<Item = f64>) {
    let factor = diverged.filter(|rate| *rate > lr).fold(f64::INFINITY, f64::min) / lr;
    // Ten times the rate is the most that is advised anyway.
    if !factor.is_finite() || factor >= 20.0 {
        return;
    }
    let seen = format!("a trial at {factor:.2} times this rate diverged");
    for finding in findings.iter_mut().filter(|f| f.kind == Kind::SlowProgress) {
        finding.change = match (finding.change == RAISE, factor >= 3.0) {
            (true, true) => format!(
                "Raise the learning rate, by a factor of at most {:.1} ({seen}), or add momentum.",
                factor / 2.0
            ),
            (true, false) => format!("Add momentum; leave the learning rate: {seen}."),
            (false, _) => format!(
                "Raise `gamma` so that gains grow faster, and leave the learning rate: {seen}. Check \
                 that the gains are not held by their upper bound."
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Severity, wilson};

    fn advice(change: &str, diverged: &[f64]) -> String {
        let mut findings = [Finding {
            kind: Kind::SlowProgress,
            severity: Severity::Warning,
            parameter: None,
            since: 2,
            measured: 1.0,
            threshold: 0.9,
            beyond: 9,
            probes: 9,
            interval: wilson(9, 9),
            what: String::new(),
            change: change.to_owned(),
            figure: String::new(),
            seeds: 1,
            seeds_of: 1,
        }];
        within(&mut findings, 0.1, diverged.iter().copied());
        findings[0].change.clone()
    }

    #[test]
    fn the_advised_factor_ends_below_what_diverged() {
        // Rates below the run's own diverged for other reasons.
        assert_eq!(advice(RAISE, &[0.05]), RAISE);
        assert_eq!(advice(RAISE, &[]), RAISE);
        assert_eq!(advice(RAISE, &[3.0]), RAISE);
        let capped = advice(RAISE, &[3.0, 0.76]);
        assert!(capped.contains("at most 3.8 (a trial at 7.60 times this rate"), "{capped}");
        let none = advice(RAISE, &[0.2]);
        assert!(none.starts_with("Add momentum; leave the learning rate"), "{none}");
        assert!(advice("of gains", &[0.2]).contains("leave the learning rate"));
        assert_eq!(advice("of gains", &[]), "of gains");
    }
}
