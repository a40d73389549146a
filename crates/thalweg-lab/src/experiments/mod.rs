//! The claims of the source documents, put to the test with the library's optimizers.
//!
//! An [`Experiment`] is a claim, where it stands, the correct form, and a function that measures. What
//! it measures is compared with the numbers of the reference at the precision they are printed with;
//! the cases in which it tries the claim decide the [`Verdict`]. Experiments of one family share a file
//! of this folder; each file ends up in the list of topics below.

mod adagrad;
mod adam_regret;
mod averages;
mod axes;
mod bowl;
mod curvature;
mod decay;
mod descent;
mod egd;
mod egdd;
mod epsilon;
mod figure;
mod gain_forms;
mod gains;
mod inspected;
mod jumps;
mod mnist;
mod moments;
mod noise;
mod orders;
mod pending;
mod pinned;
mod precision;
mod rates;
mod record;
mod regression;
mod regret;
mod rules;
mod simplex;
mod spiral;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod walk;

use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

pub use figure::{Axis, Figure, Heights, Kind, Line, Spread};
pub(crate) use record::short;
pub use record::{Case, Check, Record, Verdict};
pub use tally::Tally;

use crate::protocol::interrupt;
use crate::{Error, Result, near};

/// A claim and how it is tested.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// The name on the command line.
    pub name: &'static str,
    /// The acceptance experiment (X01–X50) whose numbers it is compared with.
    pub row: &'static str,
    /// Document and section of the claim; the documents are numbered as in the book's chapter on errata.
    pub source: &'static str,
    /// The claim, as the source puts it.
    pub claim: &'static str,
    /// What is correct instead, or how far the claim reaches.
    pub correct: &'static str,
    /// The errata (E01–E76) about it.
    pub errata: &'static [&'static str],
    /// Which of the numbers that it measures decide, by name.
    pub decides: &'static [&'static str],
    /// The rows of the feature table (F001–F163) that it covers.
    pub features: &'static [&'static str],
    /// The verdict of the reference.
    pub expected: Verdict,
    /// Measures.
    pub run: fn(&mut Record) -> Result<()>,
}

/// What a run of an experiment found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The experiment.
    pub name: &'static str,
    /// What it is about, in a few words; those of one topic follow each other.
    pub topic: &'static str,
    /// The acceptance experiment whose numbers it is compared with.
    pub row: &'static str,
    /// Document and section of the claim.
    pub source: &'static str,
    /// The claim, as the source puts it.
    pub claim: &'static str,
    /// What is correct.
    pub correct: &'static str,
    /// The errata about it.
    pub errata: &'static [&'static str],
    /// Which of `measured` decide, by name.
    pub decides: &'static [&'static str],
    /// The rows of the feature table that it covers.
    pub features: &'static [&'static str],
    /// What was measured.
    pub measured: Vec<Measured>,
    /// The numbers of the reference, one for each of `measured` that has one.
    pub reference: Vec<Reference>,
    /// The cases in which the claim was tried.
    pub cases: Vec<Case>,
    /// What has become of the claim.
    pub verdict: Verdict,
    /// Whether every number, the verdict and the cases that decide it are those of the reference; absent if
    /// nothing was measured, or if all that could be compared was a verdict that is as expected.
    pub agrees: Option<bool>,
    /// Why nothing was measured, and what to do about it.
    pub reason: Option<String>,
    /// Whether that is an error, and not a want that was foreseen.
    pub failed: bool,
    /// The pictures.
    pub figures: Vec<Figure>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Finding {
    /// The numbers that decide, each with the number of the reference if there is one.
    pub fn decisive(&self) -> impl Iterator<Item = (&Measured, Option<&Reference>)> {
        self.decides.iter().filter_map(|what| {
            let measured = self.measured.iter().find(|m| m.what == *what)?;
            Some((measured, self.reference.iter().find(|r| r.what == *what)))
        })
    }
}

/// A measured number.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// What was measured.
    pub what: String,
    /// The number; `null` in JSON if it is infinite or NaN.
    pub value: f64,
    /// Whether it is a number of steps, which is infinite if something never came to be.
    #[serde(skip)]
    pub counts: bool,
}

impl Measured {
    /// The number for people; infinitely many steps are a `never`.
    pub fn shown(&self) -> String {
        match (self.value.is_infinite(), self.counts) {
            (true, true) => "never".to_owned(),
            (true, false) if self.value > 0.0 => "infinite".to_owned(),
            _ => short(self.value),
        }
    }

    /// The number in four digits; where it should be zero, how near to zero counts as such.
    pub fn brief(&self, reference: Option<&Reference>) -> String {
        match reference {
            Some(r) if r.value == "0" && r.agrees && r.within != "exactly" && r.within != "0e0" => {
                format!("0 within {}", r.within)
            }
            _ if self.value.is_finite() && self.value != 0.0 => {
                let digits = 3 - self.value.abs().log10().floor() as i32;
                let unit = 10f64.powi(digits);
                let rounded = (self.value * unit).round() / unit;
                short(if rounded.is_finite() { rounded } else { self.value })
            }
            _ => self.shown(),
        }
    }
}

/// A number of the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Reference {
    /// What was measured.
    pub what: String,
    /// The number, with the digits it is printed with.
    pub value: String,
    /// The largest difference at which a measurement is the same number.
    pub within: String,
    /// Whether the measurement is.
    pub agrees: bool,
}

/// The families under their topics, in the order in which they are shown.
const TOPICS: &[(&str, &[&[Experiment]])] = &[
    ("Exponentiated gradient, mirror descent and regret", &[egd::ALL, simplex::ALL, regret::ALL]),
    (
        "Step sizes that learn",
        &[gains::ALL, gain_forms::ALL, orders::ALL, noise::ALL, descent::ALL, egdd::ALL],
    ),
    (
        "From AdaGrad to AdamW",
        &[regression::ALL, jumps::ALL, averages::ALL, moments::ALL, decay::ALL, adagrad::ALL],
    ),
    ("ε and low precision", &[epsilon::ALL, precision::ALL]),
    ("Rates from derivatives, and ill-conditioning", &[curvature::ALL, axes::ALL]),
    ("AdaBelief, convergence and regret of Adam", &[rates::ALL, adam_regret::ALL]),
    ("All methods side by side", &[bowl::ALL, spiral::ALL, mnist::ALL]),
    ("By inspection (nothing to measure)", &[inspected::ALL]),
    ("Matrix and second-order methods (pending)", &[pending::ALL]),
];

/// Every experiment, those that are pending last.
pub fn all() -> Vec<&'static Experiment> {
    TOPICS.iter().flat_map(|(_, families)| families.iter().copied().flatten()).collect()
}

/// The topic of an experiment; nothing for one that is not in the list.
fn topic(name: &str) -> &'static str {
    let has =
        |families: &[&[Experiment]]| families.iter().copied().flatten().any(|e| e.name == name);
    TOPICS.iter().find(|(_, families)| has(families)).map_or("", |(topic, _)| topic)
}

/// The experiments with these names, or of these acceptance experiments (`X18`), each once. No names,
/// or `all` among them: every one.
pub fn select(names: &[String]) -> Result<Vec<&'static Experiment>> {
    let known = all();
    if names.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<&'static Experiment> = vec![];
    for name in names {
        let wanted =
            |e: &&Experiment| name == "all" || e.name == name || e.row.eq_ignore_ascii_case(name);
        let found: Vec<_> = known.iter().copied().filter(wanted).collect();
        if found.is_empty() {
            return Err(Error::usage(
                format!(
                    "there is no experiment called `{name}`{}",
                    near::hint(name, known.iter().map(|e| e.name))
                ),
                "choose from `thalweg list experiments`, or a row like X18, or all",
            ));
        }
        chosen
            .extend(found.into_iter().filter(|e| !chosen_already(&chosen, e)).collect::<Vec<_>>());
    }
    Ok(chosen)
}

fn chosen_already(chosen: &[&'static Experiment], experiment: &Experiment) -> bool {
    chosen.iter().any(|c| c.name == experiment.name)
}

/// Runs experiments on all cores and calls `done` after each; those that measure time have the machine
/// to themselves. One that fails is a finding of its own and takes no other with it. The findings come in the
/// order of the experiments; after an [`interrupt`] none starts any more.
pub fn run(experiments: &[&'static Experiment], done: &(dyn Fn(&Finding) + Sync)) -> Vec<Finding> {
    let timed = |e: &Experiment| e.row == "X48";
    let one = |e: &'static Experiment| {
        if interrupt::requested() {
            return None;
        }
        let finding = e.find().unwrap_or_else(|error| {
            let mut record = Record::default();
            record.not_run(format!("{}; {}", error.problem(), error.fix()));
            Finding { failed: true, ..e.finding(record, 0.0) }
        });
        done(&finding);
        Some(finding)
    };
    let untimed: Vec<_> = experiments.iter().copied().filter(|e| !timed(e)).collect();
    let mut findings: Vec<_> = untimed.into_par_iter().filter_map(one).collect();
    findings.extend(experiments.iter().copied().filter(|e| timed(e)).filter_map(one));
    let place = |finding: &Finding| experiments.iter().position(|e| e.name == finding.name);
    findings.sort_by_key(place);
    findings
}

impl Experiment {
    /// Runs it.
    pub fn find(&'static self) -> Result<Finding> {
        let start = Instant::now();
        let mut record = Record::default();
        (self.run)(&mut record).map_err(|e| {
            Error::failed(format!("experiment {}: {}", self.name, e.problem()), e.fix())
        })?;
        Ok(self.finding(record, start.elapsed().as_secs_f64()))
    }

    fn finding(&'static self, record: Record, seconds: f64) -> Finding {
        let condition = match self.expected {
            Verdict::HoldsIf(condition) => condition,
            _ => "the case is one of those below in which it does",
        };
        let verdict = match self.expected {
            Verdict::Pending => Verdict::Pending,
            _ => record.verdict(condition),
        };
        let reference: Vec<Reference> = record.checks.iter().filter_map(reference).collect();
        let measured = |c: Check| Measured { what: c.what, value: c.value, counts: c.counts };
        let measured = record.checks.into_iter().map(measured);
        let cases = match self.expected {
            Verdict::HoldsIf(_) => pinned::as_pinned(self.name, &record.cases),
            _ => true,
        };
        let agrees = verdict == self.expected && cases && reference.iter().all(|r| r.agrees);
        let ran = !matches!(verdict, Verdict::NotRun | Verdict::Pending);
        Finding {
            name: self.name,
            topic: topic(self.name),
            row: self.row,
            source: self.source,
            claim: self.claim,
            correct: self.correct,
            errata: self.errata,
            decides: self.decides,
            features: self.features,
            measured: measured.collect(),
            agrees: (ran && !(agrees && reference.is_empty())).then_some(agrees),
            reference,
            cases: record.cases,
            verdict,
            reason: record.absent,
            failed: false,
            figures: record.figures,
            seconds,
        }
    }
}

fn reference(check: &Check) -> Option<Reference> {
    Some(Reference {
        what: check.what.clone(),
        value: check.reference.clone()?,
        within: check.within.clone(),
        agrees: check.agrees?,
    })
}
