//! What all findings say together.

use super::{Finding, Verdict};

/// Counts over findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many claims there are.
    pub claims: usize,
    /// Claims that came true in every case.
    pub hold: usize,
    /// Claims that came true in some cases.
    pub conditional: usize,
    /// Claims that came true in no case.
    pub refuted: usize,
    /// Claims for which something is missing on this machine, or that are judged by inspection.
    pub not_run: usize,
    /// Claims whose methods the library does not have yet.
    pub pending: usize,
    /// Numbers that have a reference.
    pub numbers: usize,
    /// Those of them that differ from it.
    pub numbers_differing: usize,
    /// The experiments in which a number or the verdict differs from the reference.
    pub differing: Vec<&'static str>,
}

impl Tally {
    /// Counts.
    pub fn new(findings: &[Finding]) -> Tally {
        let count = |wanted: &dyn Fn(Verdict) -> bool| {
            findings.iter().filter(|f| wanted(f.verdict)).count()
        };
        let numbers = || findings.iter().flat_map(|f| &f.reference);
        Tally {
            claims: findings.len(),
            hold: count(&|v| v == Verdict::Holds),
            conditional: count(&|v| matches!(v, Verdict::HoldsIf(_))),
            refuted: count(&|v| v == Verdict::Refuted),
            not_run: count(&|v| v == Verdict::NotRun),
            pending: count(&|v| v == Verdict::Pending),
            numbers: numbers().count(),
            numbers_differing: numbers().filter(|r| !r.agrees).count(),
            differing: findings
                .iter()
                .filter(|f| f.agrees == Some(false))
                .map(|f| f.name)
                .collect(),
        }
    }

    /// One sentence on the claims that were measured.
    pub fn sentence(&self) -> String {
        let measured = self.hold + self.conditional + self.refuted;
        format!(
            "Of {measured} claims that were measured, {} hold, {} hold under a condition and {} are refuted.",
            self.hold, self.conditional, self.refuted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{run, select};
    use super::*;

    #[test]
    fn every_finding_counts_once_and_what_differs_is_named() {
        let chosen = select(&["X26".to_owned(), "X31".to_owned()]).unwrap();
        let mut findings = run(&chosen, &|_| {});
        let tally = Tally::new(&findings);
        let each = [tally.hold, tally.conditional, tally.refuted, tally.not_run, tally.pending];
        assert_eq!((each.iter().sum::<usize>(), tally.claims), (3, 3));
        assert_eq!((tally.pending, tally.numbers_differing), (1, 0));
        assert!(tally.differing.is_empty() && tally.numbers > 5);
        findings[1].agrees = Some(false);
        findings[1].reference[0].agrees = false;
        let tally = Tally::new(&findings);
        assert_eq!(tally.differing, [findings[1].name]);
        assert_eq!(tally.numbers_differing, 1);
        assert!(tally.sentence().contains("Of 2 claims"));
    }
}
