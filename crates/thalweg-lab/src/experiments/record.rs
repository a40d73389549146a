//! What an experiment writes down while it runs, and what follows from it.

use serde::{Serialize, Serializer};

use super::figure::Figure;

/// A number that was measured, beside the number of the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was measured.
    pub what: String,
    /// The measured number; infinite and NaN are `null` in JSON.
    pub value: f64,
    /// The number of the reference, with the digits it is printed with; absent where the reference has
    /// none (a time, say).
    pub reference: Option<String>,
    /// The largest difference at which both are the same number, or the condition in words.
    pub within: String,
    /// Whether they are; absent without a reference.
    pub agrees: Option<bool>,
    /// Whether it is a number of steps, which is infinite if something never came to be.
    pub counts: bool,
}

/// A case in which the claim was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// Under which circumstances.
    pub case: String,
    /// Whether the claim came true.
    pub holds: bool,
}

/// What has become of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It came true in every case.
    Holds,
    /// It came true in some cases: under this condition.
    HoldsIf(&'static str),
    /// It came true in no case.
    Refuted,
    /// It belongs to a method that the library does not have yet.
    Pending,
    /// Something needed is not on this machine, or there is nothing to measure.
    NotRun,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Holds => f.write_str("holds"),
            Verdict::HoldsIf(condition) => write!(f, "holds if {condition}"),
            Verdict::Refuted => f.write_str("refuted"),
            Verdict::Pending => f.write_str("pending"),
            Verdict::NotRun => f.write_str("not run"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The notes of one run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub(super) checks: Vec<Check>,
    pub(super) cases: Vec<Case>,
    pub(super) figures: Vec<Figure>,
    pub(super) absent: Option<String>,
}

impl Record {
    fn check(&mut self, what: &str, value: f64, reference: String, within: String, agrees: bool) {
        let agrees = Some(agrees);
        self.checks.push(Check {
            what: what.to_owned(),
            value,
            reference: Some(reference),
            within,
            agrees,
            counts: false,
        });
    }

    /// `got` beside a printed number: the same if it rounds to it, that is to half a unit of the last
    /// digit that is printed.
    pub(super) fn printed(&mut self, what: &str, got: f64, want: &str) {
        let (number, half) = parse(want);
        // A hair more: the printed number itself is not exact in binary.
        let agrees = (got - number).abs() <= half * (1.0 + 1e-6);
        self.check(what, got, want.to_owned(), format!("{half:.0e}"), agrees);
    }

    /// [`Record::printed`] for every coordinate.
    pub(super) fn all_printed(&mut self, what: &str, got: &[f64], want: &[&str]) {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            self.printed(&format!("{what}[{}]", i + 1), *got, want);
        }
        if got.len() != want.len() {
            let (got, want) = (got.len() as f64, want.len().to_string());
            self.check(&format!("length of {what}"), got, want, "exactly".to_owned(), false);
        }
    }

    /// `got` is `want` to an absolute tolerance.
    pub(super) fn near(&mut self, what: &str, got: f64, want: f64, tolerance: f64) {
        let agrees = (got - want).abs() <= tolerance;
        self.check(what, got, short(want), format!("{tolerance:.0e}"), agrees);
    }

    /// `got` is `want` to a share of it.
    pub(super) fn relative(&mut self, what: &str, got: f64, want: f64, share: f64) {
        let agrees = (got - want).abs() <= share * want.abs();
        self.check(what, got, short(want), format!("{share:.0e} of it"), agrees);
    }

    /// `got` does not exceed a limit.
    pub(super) fn at_most(&mut self, what: &str, got: f64, limit: f64) {
        self.check(what, got, format!("≤ {}", short(limit)), "no more".to_owned(), got <= limit);
    }

    /// `got` exceeds a limit.
    pub(super) fn above(&mut self, what: &str, got: f64, limit: f64) {
        self.check(what, got, format!("> {}", short(limit)), "more".to_owned(), got > limit);
    }

    /// A count of steps, give or take `within`; `None` is never.
    pub(super) fn count(
        &mut self,
        what: &str,
        got: Option<usize>,
        want: Option<usize>,
        within: usize,
    ) {
        let agrees = match (got, want) {
            (Some(got), Some(want)) => got.abs_diff(want) <= within,
            (got, want) => got == want,
        };
        let number = |n: Option<usize>| n.map_or(f64::INFINITY, |n| n as f64);
        let within = if within == 0 { "exactly".to_owned() } else { within.to_string() };
        let want = want.map_or("never".to_owned(), |n| n.to_string());
        self.check(what, number(got), want, within, agrees);
        self.counted();
    }

    /// A number of steps for which the reference has none; infinite is never.
    pub(super) fn steps(&mut self, what: &str, value: f64) {
        self.note(what, value);
        self.counted();
    }

    /// The last number is one of steps.
    fn counted(&mut self) {
        if let Some(last) = self.checks.last_mut() {
            last.counts = true;
        }
    }

    /// A number for which the reference has none.
    pub(super) fn note(&mut self, what: &str, value: f64) {
        let what = what.to_owned();
        self.checks.push(Check {
            what,
            value,
            reference: None,
            within: String::new(),
            agrees: None,
            counts: false,
        });
    }

    /// The claim was tried in this case, and came true or not.
    pub(super) fn claim(&mut self, case: &str, holds: bool) {
        self.cases.push(Case { case: case.to_owned(), holds });
    }

    /// A picture of what was measured.
    pub(super) fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Nothing was measured, for this reason, which says what to do about it.
    pub(super) fn not_run(&mut self, reason: String) {
        self.absent = Some(reason);
    }

    /// What the cases say; `condition` is what those in which the claim came true have in common.
    pub(super) fn verdict(&self, condition: &'static str) -> Verdict {
        let holding = self.cases.iter().filter(|c| c.holds).count();
        match holding {
            _ if self.absent.is_some() => Verdict::NotRun,
            n if n == self.cases.len() && n > 0 => Verdict::Holds,
            0 => Verdict::Refuted,
            _ => Verdict::HoldsIf(condition),
        }
    }
}

/// A printed number, and half a unit of its last digit. What is no number is NaN, which agrees with
/// nothing.
fn parse(text: &str) -> (f64, f64) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len() as i32);
    let exponent: i32 = exponent.parse().unwrap_or(0);
    (text.parse().unwrap_or(f64::NAN), 0.5 * 10f64.powi(exponent - decimals))
}

/// A number for people: ten digits at most, powers of ten where they help.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || value.is_infinite() || value.is_nan() {
        return value.to_string();
    }
    if !(1e-3..1e10).contains(&size) {
        let text = format!("{value:.9e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let whole = size.log10().floor().max(0.0) as usize + 1;
    trimmed(&format!("{value:.*}", 10usize.saturating_sub(whole))).to_owned()
}

fn trimmed(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_printed_digit_decides() {
        let mut record = Record::default();
        record.printed("in", 0.12344, "0.1234");
        record.printed("out", 0.12346, "0.1234");
        record.printed("power", 1.2345e-7, "1.2345e-7");
        record.printed("power out", 1.23456e-7, "1.2345e-7");
        record.printed("nan", f64::NAN, "1");
        record.printed("no number", 1.0, "one");
        let agrees: Vec<_> = record.checks.iter().map(|c| c.agrees).collect();
        assert_eq!(agrees, [true, false, true, false, false, false].map(Some));
    }

    #[test]
    fn the_cases_decide_the_verdict() {
        let verdict = |cases: &[bool]| {
            let mut record = Record::default();
            cases.iter().for_each(|holds| record.claim("", *holds));
            record.verdict("x")
        };
        assert_eq!(verdict(&[true, true]), Verdict::Holds);
        assert_eq!(verdict(&[false]), Verdict::Refuted);
        assert_eq!(verdict(&[true, false]), Verdict::HoldsIf("x"));
        assert_eq!(verdict(&[]), Verdict::Refuted);
    }

    #[test]
    fn missing_coordinates_disagree() {
        let mut record = Record::default();
        record.all_printed("x", &[1.0], &["1", "2"]);
        assert_eq!(record.checks.last().map(|c| c.agrees), Some(Some(false)));
    }

    #[test]
    fn numbers_for_people() {
        for (value, text) in [(0.5, "0.5"), (1e-20, "1e-20"), (313418.4, "313418.4"), (0.0, "0")] {
            assert_eq!(short(value), text);
        }
        assert_eq!(
            (short(f64::INFINITY), short(-188.366838749532)),
            ("inf".into(), "-188.3668387".into())
        );
    }
}
