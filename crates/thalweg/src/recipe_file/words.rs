//! Settings that are one word of a list.

use crate::optimizer::{Accumulation, LowPrecision, Storage};

/// The words for the values of a setting.
pub(super) struct Words<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: PartialEq + Copy> Words<T> {
    pub(super) fn name(&self, value: T) -> &'static str {
        self.0.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
    }

    pub(super) fn value(&self, name: &str) -> Option<T> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    pub(super) fn names(&self) -> String {
        let quoted: Vec<String> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
        quoted.join(", ")
    }
}

pub(super) const STORAGE: Words<Storage> =
    Words(&[("native", Storage::Native), ("bf16", Storage::Bf16), ("block8", Storage::Block8)]);

pub(super) const LOW_PRECISION: Words<LowPrecision> = Words(&[
    ("compensated", LowPrecision::Compensated),
    ("master", LowPrecision::Master),
    ("stochastic", LowPrecision::Stochastic),
    ("nearest", LowPrecision::Nearest),
]);

pub(super) const ACCUMULATION: Words<Accumulation> =
    Words(&[("mean", Accumulation::Mean), ("sum", Accumulation::Sum)]);
