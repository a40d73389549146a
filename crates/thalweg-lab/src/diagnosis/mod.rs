//! Diagnosis: what a run's gradients, steps and state say about how it is going.
//!
//! A [`Recorder`] looks at a run at a cadence and leaves [`Probe`]s; [`diagnose`] turns them into
//! [`Finding`]s in words: what, where, since which step, how sure, what to change. Recording changes
//! nothing about the run.
//!
//! A finding about a persistent state is raised if the state held in so many of the later half of the
//! probes that the lower end of the 95 % Wilson interval of its share is above one half. The half is
//! fixed beforehand, so it is not chosen for what it shows.

mod finding;
mod layers;
mod record;
mod rules;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Kind, Severity, Stored, if_stored, wilson};
pub use record::{Gains, Layer, Probe, Recorder};
pub use rules::{Case, diagnose};

/// The most severe first, and last what only another storage would have done.
fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|f| (f.kind.if_stored().is_some(), std::cmp::Reverse(f.severity)));
}

/// What most seeds of an optimizer share, from the findings of each seed: a finding that more than half
/// of them have (a divergence: any) stands once, in the words of the first seed that has it.
pub fn shared(seeds: &[&[Finding]]) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for finding in seeds.iter().copied().flatten() {
        let same = |f: &Finding| f.kind == finding.kind && f.parameter == finding.parameter;
        if all.iter().any(same) {
            continue;
        }
        let count = seeds.iter().filter(|findings| findings.iter().any(same)).count();
        if 2 * count > seeds.len() || finding.severity == Severity::Critical {
            all.push(Finding { seeds: count, seeds_of: seeds.len(), ..finding.clone() });
        }
    }
    sort(&mut all);
    all
}
