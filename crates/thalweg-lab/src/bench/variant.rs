//! What is asked for by name: `OPTIMIZER[+FORMAT][+rows=SHARE[+exact]]`, or one of four special cases.

use half::bf16;
use thalweg::rules::{self, WeightAverage};
use thalweg::{Chain, LowPrecision, NonFinite, Optimizer, Probe, Storage, registry};

use super::workload::Workload;
use crate::{Error, Result};

/// AdamW put together at run time, stage by stage.
const CHAIN3: &str = "chain3";
/// AdamW with the check for non-finite gradients that is on by default.
const GUARDED: &str = "guarded";
/// MetaEGD with the gains probe at every step.
const PROBED: &str = "probed";
/// AdamW with everything around it: clipping by the global norm, an average of the weights, the gradient
/// zeroed.
const TAIL: &str = "tail";

/// The special cases.
pub(super) const SPECIAL: [&str; 4] = [CHAIN3, GUARDED, PROBED, TAIL];

/// In which formats numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    /// Everything in f32.
    F32,
    /// State in bf16.
    State16,
    /// State in blocks of 8-bit numbers.
    State8,
    /// Parameter, gradient and state in bf16, rounded stochastically.
    Bf16,
}

/// An optimizer to be timed, and how.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    method: String,
    format: Format,
    /// The share of the rows that have a gradient; all without it.
    share: Option<f64>,
    /// Whether all rows are stepped nevertheless.
    exact: bool,
}

impl Variant {
    /// Reads a name.
    pub(super) fn named(name: &str) -> Result<Variant> {
        let mut parts = name.split('+');
        let method = parts.next().unwrap_or_default().to_owned();
        let mut variant = Variant { method, format: Format::F32, share: None, exact: false };
        for part in parts {
            match part {
                "state16" => variant.format = Format::State16,
                "state8" => variant.format = Format::State8,
                "bf16" => variant.format = Format::Bf16,
                "exact" if variant.share.is_some() => variant.exact = true,
                other => match other.strip_prefix("rows=").map(str::parse) {
                    Some(Ok(share)) if share > 0.0 && share <= 1.0 => variant.share = Some(share),
                    _ => {
                        let problem =
                            format!("`{other}` of `{name}` says nothing about an optimizer");
                        let fix = "write `+state16`, `+state8`, `+bf16` or `+rows=SHARE` with a \
                                   share above 0 and up to 1, and `+exact` after it";
                        return Err(Error::usage(problem, fix));
                    }
                },
            }
        }
        if variant.is_tail() && (variant.format != Format::F32 || variant.share.is_some()) {
            return Err(Error::usage(
                format!("`{name}`: the tail is measured on dense f32 only"),
                "leave out what follows `tail`",
            ));
        }
        Ok(variant)
    }

    pub(super) fn is_tail(&self) -> bool {
        self.method == TAIL
    }

    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    fn chain(&self) -> std::result::Result<Chain, thalweg::Error> {
        Ok(match self.method.as_str() {
            CHAIN3 => Chain::new(<rules::Adam>::default())
                .then(rules::DecayWeights::default())
                .then(rules::Scale::default()),
            GUARDED => registry::build("adamw", &[])?,
            TAIL => registry::build("adamw", &[])?.then(<WeightAverage>::default()),
            PROBED => registry::build("meta_egd", &[])?,
            name => registry::build(name, &[])?,
        })
    }

    fn storage(&self) -> Storage {
        match self.format {
            Format::F32 => Storage::Native,
            Format::State16 | Format::Bf16 => Storage::Bf16,
            Format::State8 => Storage::Block8,
        }
    }

    /// The optimizer.
    pub(super) fn optimizer(
        &self,
        threads: usize,
    ) -> std::result::Result<Optimizer<f32>, thalweg::Error> {
        let mut builder = Optimizer::<f32>::builder()
            .threads(threads)
            .storage(self.storage())
            .low_precision(LowPrecision::Stochastic);
        match self.method.as_str() {
            GUARDED => {}
            TAIL => builder = builder.clip_global_norm(1.0).non_finite(NonFinite::Unchecked),
            method => {
                builder = builder.non_finite(NonFinite::Unchecked);
                if method == PROBED {
                    builder = builder.probe(Probe::Gains);
                }
            }
        }
        builder.rest("all", self.chain()?).build()
    }

    /// `n` numbers of many sizes.
    pub(super) fn numbers(&self, n: usize, from: f32, step: f32) -> super::subject::Numbers {
        let values = ramp(from, step).take(n);
        match self.format {
            Format::Bf16 => super::subject::Numbers::Bf16(values.map(bf16::from_f32).collect()),
            _ => super::subject::Numbers::F32(values.collect()),
        }
    }

    /// Rows that have a gradient, all different, in no order.
    pub(super) fn rows(&self, workload: &Workload) -> Result<Option<Vec<u32>>> {
        let Some(share) = self.share else { return Ok(None) };
        let [shape] = workload.shapes.as_slice() else {
            return Err(Error::usage(
                format!("sparse rows are measured on one tensor, {} has several", workload.name),
                "add `--workloads table`",
            ));
        };
        let rows = shape[0];
        let count = ((share * rows as f64).round() as usize).max(1);
        // A number without a common divisor with any power of two, so that rows are spread and differ.
        let spread = |k: usize| (k.wrapping_mul(0x9E37_79B1) % rows.next_power_of_two()) as u32;
        let all = (0..rows.next_power_of_two()).map(spread).filter(|row| (*row as usize) < rows);
        Ok(Some(all.take(count).collect()))
    }

    /// State streams that the kernel of the bound moves in the place of this one's.
    pub(super) fn slots(&self) -> Result<usize> {
        Ok(self.known_chain()?.memory_per_coordinate().min(super::bound::MOST_SLOTS))
    }

    /// Bytes that must move per step: parameter and state are read and written, the gradient is read.
    pub(super) fn bytes(&self, workload: &Workload) -> Result<f64> {
        let number = if self.format == Format::Bf16 { 2.0 } else { 4.0 };
        let state = self.known_chain()?.bytes_per_coordinate(self.storage());
        let mut each = 2.0 * (number + state) + number;
        if self.is_tail() {
            // The norm needs the gradient first; then it is zeroed.
            each += 2.0 * number;
        }
        let share = self.share.unwrap_or(1.0);
        if self.exact {
            each -= number * (1.0 - share);
            return Ok(each * workload.len() as f64);
        }
        Ok(each * workload.len() as f64 * share)
    }

    fn known_chain(&self) -> Result<Chain> {
        self.chain().map_err(|e| Error::usage(e.to_string(), "see `thalweg list optimizers`"))
    }
}

/// Numbers that differ, of both signs: they rise by `step` from `from` and begin again.
pub(super) fn ramp(from: f32, step: f32) -> impl Iterator<Item = f32> {
    (0..1013).cycle().map(move |i| from + step * i as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_measured() {
        let table = Workload::named("table", 1024).expect("a workload");
        let bytes = |name| Variant::named(name).and_then(|v| v.bytes(&table)).expect("a variant");
        let n = table.len() as f64;
        assert_eq!(bytes("adamw"), 28.0 * n);
        assert_eq!(bytes("adamw+bf16"), 14.0 * n);
        assert_eq!(bytes("adamw+state8"), (12.0 + 2.0 * 2.0078125) * n);
        assert_eq!(bytes("tail"), 44.0 * n);
        assert_eq!(bytes("adagrad+rows=0.25"), 20.0 * n / 4.0);
        assert_eq!(bytes("adamw+rows=0.25+exact"), (24.0 + 1.0) * n);
        for wrong in ["adamw+bf8", "adamw+rows=0", "adamw+rows=2", "adamw+exact", "tail+bf16"] {
            assert_eq!(Variant::named(wrong).expect_err("no variant").exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn rows_differ_and_are_as_many_as_asked_for() {
        let table = Workload::named("table", 1000).expect("a workload");
        let rows = Variant::named("adagrad+rows=0.5").and_then(|v| v.rows(&table)).expect("rows");
        let rows = rows.expect("sparse");
        let distinct: std::collections::HashSet<_> = rows.iter().collect();
        assert_eq!((rows.len(), distinct.len()), (524, 524));
        assert!(rows.iter().all(|r| (*r as usize) < table.shapes[0][0]));
    }
}
