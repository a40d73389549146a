//! Diagnosis: what a run's gradients, steps and state say about how it is going.
//!
//! A [`Recorder`] looks at a run at a cadence and leaves [`Probe`]s; [`diagnose`] turns them into
//! [`Finding`]s in words: what, where, since which step, how sure, what to change. Recording changes
//! nothing about the run.
//!
//! A finding about a persistent state is raised if the state held in so many of the later half of the
//! probes that the lower end of the 95 % Wilson interval of its share is above one half. The half is
//! fixed beforehand, so it is not chosen for what it shows. The interval takes probes for independent,
//! which successive ones are not: it says how persistent the state was in this run, and the seeds that share
//! a finding say how sure it is of the optimizer.

mod course;
mod finding;
mod layers;
mod range;
mod record;
mod rules;
#[cfg(test)]
mod tests;

pub use course::{Course, Courses, Moment, QUANTITIES, Quantity, RateCourse};
pub use finding::{Finding, Kind, Severity, Stored, if_stored, wilson};
pub use range::findings_of;
pub use record::{Gains, Layer, Probe, Recorder};
pub use rules::{Case, diagnose};

/// The most severe first; then what fewer than half of the seeds have; last what only another storage would
/// have done.
fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|f| {
        (f.kind.if_stored().is_some(), !f.is_shared(), std::cmp::Reverse(f.severity))
    });
}

/// The findings of an optimizer from those of each seed: each stands once, with the seeds that have it
/// counted, in the words and numbers of the first one that does. Gains that have made some seeds diverge are the
/// cause of the others' divergence, too. Of one kind the whole run comes before its parameters. See
/// [`Finding::is_shared`].
fn over_seeds(seeds: &[&[Finding]]) -> Vec<Finding> {
    let explodes = seeds.iter().copied().flatten().any(|f| f.kind == Kind::RateExplosion);
    let cause = |f: &Finding| match f.kind {
        Kind::Diverged if explodes => Kind::RateExplosion,
        kind => kind,
    };
    let mut all: Vec<Finding> = Vec::new();
    for finding in seeds.iter().copied().flatten().filter(|f| f.kind == cause(f)) {
        let same = |f: &Finding| cause(f) == finding.kind && f.parameter == finding.parameter;
        if !all.iter().any(same) {
            let count = seeds.iter().filter(|findings| findings.iter().any(same)).count();
            let whole = finding.parameter.is_none();
            let place = all.iter().position(|f| whole && f.kind == finding.kind);
            let found = Finding { seeds: count, seeds_of: seeds.len(), ..finding.clone() };
            all.insert(place.unwrap_or(all.len()), found);
        }
    }
    sort(&mut all);
    all
}

/// Where no more than half of the seeds have a finding: `oscillation in w1 (1 of 5), b1 (2 of 5)`, kind by
/// kind; `None` if there is no such finding.
pub fn in_few_seeds(findings: &[Finding]) -> Option<String> {
    let mut kinds: Vec<(Kind, Vec<String>)> = Vec::new();
    for f in findings.iter().filter(|f| !f.is_shared() && f.kind.if_stored().is_none()) {
        let place = format!("{} ({} of {})", f.place(), f.seeds, f.seeds_of);
        match kinds.iter_mut().find(|(kind, _)| *kind == f.kind) {
            Some((_, places)) => places.push(place),
            None => kinds.push((f.kind, vec![place])),
        }
    }
    let told =
        kinds.iter().map(|(kind, places)| format!("{} in {}", kind.name(), places.join(", ")));
    Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
}
