//! What the trials of a comparison know of the learning rate, which a run alone does not.

use super::finding::{Finding, Kind, Severity};
use super::rules::RAISE;
use super::{over_seeds, sort};

/// The findings of an optimizer from those of each seed of its final runs, whose tuned hyper-parameters are `hypers`,
/// held against what its `trials` show: the hyper-parameters of each and the loss it came to, infinite if it diverged.
pub fn findings_of<'t, S: AsRef<str> + 't>(
    seeds: &[&[Finding]],
    hypers: &[(S, f64)],
    trials: impl Iterator<Item = (&'t [(S, f64)], f64)>,
) -> Vec<Finding> {
    let mut findings = over_seeds(seeds);
    let rate = |hypers: &[(S, f64)]| {
        hypers.iter().find(|(hyper, _)| hyper.as_ref() == "lr").map(|(_, lr)| *lr)
    };
    if let Some(lr) = rate(hypers) {
        let tried: Vec<(f64, f64)> =
            trials.filter_map(|(hypers, loss)| Some((rate(hypers)?, loss))).collect();
        within(&mut findings, lr, &tried, hypers.len() == 1);
    }
    findings
}

/// Rewrites the advice to raise or to lower the learning rate `lr` of runs by what other trials say, each a rate and
/// the loss it came to, infinite if it diverged: the rate stays below half the smallest larger one at which a trial
/// diverged. If the rate is `alone` in being tuned, a larger one that did worse speaks against raising it. Smaller
/// ones none of which did better speak against lowering it. Where nothing is left to change, the finding is a note.
fn within(findings: &mut [Finding], lr: f64, trials: &[(f64, f64)], alone: bool) {
    let larger = |lost: bool, from: f64| {
        let rates = trials.iter().filter(move |(rate, loss)| {
            *rate > lr && if lost { loss.is_infinite() } else { *loss > from && loss.is_finite() }
        });
        rates.map(|(rate, _)| *rate).fold(f64::INFINITY, f64::min) / lr
    };
    let own = trials.iter().filter(|(rate, _)| *rate == lr).map(|(_, loss)| *loss);
    let own = own.fold(f64::INFINITY, f64::min);
    let worse = if alone { larger(false, own) } else { f64::INFINITY };
    let diverged = larger(true, own);
    let smaller = || trials.iter().filter(|(rate, _)| (0.1 * lr..lr).contains(rate));
    // Where other hyper-parameters differ too, one trial says little.
    let enough = if alone { 1 } else { 3 };
    let lower_is_worse = smaller().count() >= enough && smaller().all(|(_, loss)| *loss >= own);
    for finding in findings.iter_mut() {
        // Ten times the rate is the most that is advised, and a tenth.
        match finding.kind {
            Kind::SlowProgress if worse < 10.0 && worse < diverged => {
                finding.change = format!(
                    "{LEAVE}a trial at {worse:.2} times this rate ended higher. Longer training or a better-conditioned \
                     direction would go further."
                );
            }
            Kind::SlowProgress if diverged < 20.0 => {
                finding.change = below(diverged, &finding.change);
            }
            _ if lower_is_worse && is_to_lower(finding) => {
                let nearest = smaller().map(|(rate, _)| *rate).fold(0.0, f64::max) / lr;
                finding.change = format!(
                    "{LEAVE}a trial at {nearest:.2} times this rate ended no lower. What long steps cost, they win \
                     elsewhere."
                );
            }
            _ => {}
        }
        if finding.change.starts_with(LEAVE) {
            finding.severity = Severity::Note;
        }
    }
    sort(findings);
}

/// How advice begins that leaves nothing to do.
const LEAVE: &str = "Leave the learning rate: ";

/// Whether the advice is to lower nothing but the learning rate of a run that has not been lost by it.
fn is_to_lower(finding: &Finding) -> bool {
    use Kind::{MomentumOpposed, NoProgress, Oscillation, StartLost, UpdatesLarge};
    let kinds = [MomentumOpposed, NoProgress, Oscillation, StartLost, UpdatesLarge];
    kinds.contains(&finding.kind) && finding.change.starts_with("Lower the learning rate")
}

/// Advice that stays below a factor at which a trial diverged.
fn below(factor: f64, change: &str) -> String {
    let seen = format!("a trial at {factor:.2} times this rate diverged");
    let momentum = change.contains("momentum");
    match (change.starts_with(RAISE), factor >= 3.0) {
        (true, true) => format!(
            "Raise the learning rate, by a factor of at most {:.1} ({seen}){}.",
            factor / 2.0,
            if momentum { ", or add momentum" } else { "" }
        ),
        (true, false) if momentum => format!("Add momentum; leave the learning rate: {seen}."),
        (true, false) => format!("{LEAVE}{seen}."),
        (false, _) => format!(
            "Raise the rate of the gains (`gamma`, `hyper_lr`) so that they grow faster, and leave the learning \
             rate: {seen}. Check that they are not held by their upper bound."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Severity, wilson};

    fn finding(kind: Kind, change: &str) -> Finding {
        Finding {
            kind,
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
        }
    }

    fn told(change: &str, trials: &[(f64, f64)], alone: bool) -> Finding {
        rewritten(Kind::SlowProgress, change, trials, alone)
    }

    fn rewritten(kind: Kind, change: &str, trials: &[(f64, f64)], alone: bool) -> Finding {
        let mut findings = [finding(kind, change)];
        within(&mut findings, 0.1, trials, alone);
        findings[0].clone()
    }

    fn advice(change: &str, diverged: &[f64]) -> String {
        let trials: Vec<(f64, f64)> = diverged.iter().map(|rate| (*rate, f64::INFINITY)).collect();
        told(change, &trials, true).change
    }

    #[test]
    fn the_advised_factor_ends_below_what_diverged() {
        let raise = &format!("{RAISE}, or add momentum.");
        // Rates below the run's own diverged for other reasons.
        assert_eq!(&advice(raise, &[0.05]), raise);
        assert_eq!(&advice(raise, &[]), raise);
        assert_eq!(&advice(raise, &[3.0]), raise);
        let capped = advice(raise, &[3.0, 0.76]);
        assert!(capped.contains("at most 3.8 (a trial at 7.60 times this rate"), "{capped}");
        assert!(capped.ends_with("or add momentum."));
        let none = advice(raise, &[0.2]);
        assert!(none.starts_with("Add momentum; leave the learning rate"), "{none}");
        // Who has momentum is not told to add it.
        for diverged in [0.2, 0.76, 3.0] {
            assert!(!advice(&format!("{RAISE}."), &[diverged]).contains("momentum"));
        }
        assert!(advice("of gains", &[0.2]).contains("leave the learning"));
        assert_eq!(advice("of gains", &[]), "of gains");
    }

    #[test]
    fn a_larger_rate_that_did_worse_speaks_against_raising_it() {
        let raise = &format!("{RAISE}.");
        let trials = [(0.1, 0.5), (0.3, 0.7), (0.05, 0.9)];
        let found = told(raise, &trials, true);
        assert_eq!(found.severity, Severity::Note);
        assert!(found.change.contains("a trial at 3.00 times this rate ended higher"));
        // Where other hyper-parameters differ too, it says little.
        assert_eq!(&told(raise, &trials, false).change, raise);
        // Nor is there anything to do where it diverged, unless momentum can be added.
        let diverged = [(0.1, 0.5), (0.19, f64::INFINITY)];
        assert_eq!(told(raise, &diverged, false).severity, Severity::Note);
        let other = told(&format!("{RAISE}, or add momentum."), &diverged, false);
        assert_eq!(other.severity, Severity::Warning);
        let better = told(raise, &[(0.1, 0.5), (0.3, 0.4)], true);
        assert_eq!((&better.change, better.severity), (raise, Severity::Warning));
        let lost = told(raise, &[(0.1, 0.5), (0.4, f64::INFINITY), (0.5, 0.7)], true);
        assert!(lost.change.contains("at most 2.0"), "{}", lost.change);
    }

    #[test]
    fn a_smaller_rate_that_did_worse_speaks_against_lowering_it() {
        let lower = "Lower the learning rate.";
        let told = |kind, trials: &[(f64, f64)], alone| {
            let found = rewritten(kind, lower, trials, alone);
            (found.severity, found.change)
        };
        let trials = [(0.1, 0.5), (0.02, 0.6), (0.05, 0.7), (0.3, f64::INFINITY)];
        let (severity, change) = told(Kind::Oscillation, &trials, true);
        assert_eq!(severity, Severity::Note);
        assert!(change.starts_with("Leave the learning rate: a trial at 0.50 times"), "{change}");
        let as_it_was = (Severity::Warning, lower.to_owned());
        assert_eq!(told(Kind::Oscillation, &trials, false), as_it_was);
        // What else there is to lower remains.
        let other = rewritten(Kind::NoProgress, "Lower the momentum first.", &trials, true);
        assert_eq!(other.change, "Lower the momentum first.");
        // Three that agree say enough.
        let three = [&trials[..], &[(0.07, 0.5)]].concat();
        assert_eq!(told(Kind::Oscillation, &three, false).0, Severity::Note);
        // A parameter whose gradient has died is lost at whatever rate did it.
        assert_eq!(told(Kind::GradientVanished, &trials, true), as_it_was);
        let better = [(0.1, 0.5), (0.05, 0.4), (0.001, 0.9)];
        assert_eq!(told(Kind::Oscillation, &better, true), as_it_was);
    }

    #[test]
    fn what_has_become_a_note_comes_after_warnings() {
        let seed = [
            finding(Kind::SlowProgress, &format!("{RAISE}.")),
            finding(Kind::EpsilonDominates, "Lower ε."),
        ];
        let hypers = [0.1, 0.3].map(|lr| [("lr", lr)]);
        let trials = hypers.iter().zip([0.5, 0.7]).map(|(hypers, loss)| (&hypers[..], loss));
        let findings = findings_of(&[&seed], &hypers[0], trials);
        let told: Vec<_> = findings.iter().map(|f| (f.kind, f.severity)).collect();
        assert_eq!(
            told,
            [(Kind::EpsilonDominates, Severity::Warning), (Kind::SlowProgress, Severity::Note)]
        );
        // Without a learning rate nothing is held against anything.
        let none: [(&str, f64); 0] = [];
        let as_they_were = findings_of(&[&seed], &none, [(&hypers[1][..], 0.7)].into_iter());
        assert_eq!(as_they_were, seed);
    }
}
