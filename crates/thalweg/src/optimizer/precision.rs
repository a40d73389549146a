//! In which formats state is kept, and what makes up for a low-precision parameter.

use serde::{Deserialize, Serialize};

use crate::engine::code_book::Unsigned;
use crate::engine::codec::{Packing, name_hash};
use crate::engine::kernel::BLOCK;
use crate::engine::tensor::{Keep, Noise};
use crate::rule::{Kind, Slot};

/// The format that state is kept in. Step counters, per-tensor scalars and all constants stay in
/// `f64`, and what a rule computes with is always the optimizer's number type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Storage {
    /// The number type of the optimizer.
    #[default]
    Native,
    /// bfloat16, stochastically rounded: a running average with decay rate 0.999 moves by less than
    /// half a unit in the last place, and would stand still if it were rounded to the nearest.
    Bf16,
    /// 8-bit codes of a dynamic code book with one scale per block of 1,024 coordinates (Dettmers et
    /// al. 2022, arXiv 2110.02861). Tensors below 4,096 coordinates, and slots that are positions or
    /// logarithms rather than moments, stay in the number type of the optimizer.
    Block8,
}

impl Storage {
    /// Coordinates that share the scale of [`Block8`](Self::Block8), in the order of a tensor.
    pub const BLOCK: usize = BLOCK;
    /// Tensors of fewer coordinates are not kept in 8 bits (the limit of bitsandbytes).
    pub const SMALL: usize = 4096;
    /// What lies below this share of its block's largest number is not told apart by the 8-bit codes of numbers that
    /// are never negative: it comes back as 4.5 times this share, the lowest code; the next one stands for 22 times.
    pub const LEAST: f32 = Unsigned::LEAST;
}

/// What makes up for a parameter that is kept in bf16 or f16, whose steps are mostly smaller than
/// its last digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LowPrecision {
    /// What rounding cuts off is kept in the parameter's format, two bytes per coordinate, and added
    /// before the next step (Kahan summation; Zamirai et al. 2020, arXiv 2010.06192). It is rounded itself:
    /// of a bf16 parameter steps below 2⁻¹⁷ of it may be lost, and longer ones be off by as much; of an f16
    /// parameter those below 2⁻²³ of it, or below 2⁻³⁶.
    #[default]
    Compensated,
    /// The exact parameter is kept in the number type of the optimizer (Micikevicius et al. 2018,
    /// arXiv 1710.03740). A parameter that is no longer its rounding was changed by the user, and
    /// counts.
    Master,
    /// The new parameter is rounded up or down at random, its mean being right. Costs no memory.
    Stochastic,
    /// The new parameter is rounded to the nearest: small steps are lost.
    Nearest,
}

/// How low precision is made up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Precision {
    pub(crate) low: LowPrecision,
    pub(crate) seed: u64,
}

impl Precision {
    /// The format of each slot of a parameter, the engine's own last.
    pub(super) fn formats(
        &self,
        storage: Storage,
        slots: &[Slot],
        len: usize,
        value: Option<Packing>,
    ) -> Vec<Option<Packing>> {
        let format = |slot: &Slot| match (storage, slot.kind) {
            (Storage::Native, _) | (_, Kind::Exact) => None,
            (Storage::Bf16, _) => Some(Packing::Bf16),
            (Storage::Block8, _) if len < Storage::SMALL => None,
            (Storage::Block8, Kind::Signed) => Some(Packing::Signed),
            (Storage::Block8, Kind::NonNegative) => Some(Packing::Unsigned),
        };
        let own = match self.keep(slots.len(), value) {
            Keep::Nearest | Keep::Stochastic => None,
            Keep::Compensated(_) => Some(value.map(Packing::of_rest)),
            Keep::Master(_) => Some(None),
        };
        slots.iter().map(format).chain(own).collect()
    }

    /// What makes up for the format of a parameter whose chain has this many slots.
    pub(super) fn keep(&self, slots: usize, value: Option<Packing>) -> Keep {
        match (value, self.low) {
            (None, _) | (_, LowPrecision::Nearest) => Keep::Nearest,
            (_, LowPrecision::Stochastic) => Keep::Stochastic,
            (_, LowPrecision::Compensated) => Keep::Compensated(slots),
            (_, LowPrecision::Master) => Keep::Master(slots),
        }
    }

    /// The name of the slot that the engine adds.
    pub(super) fn own_slot(&self, value: Option<Packing>) -> Option<&'static str> {
        match self.keep(0, value) {
            Keep::Nearest | Keep::Stochastic => None,
            Keep::Compensated(_) => Some("@low"),
            Keep::Master(_) => Some("@master"),
        }
    }

    /// The random numbers of a parameter's step, if anything is rounded at random.
    pub(super) fn noise(&self, storage: Storage, name: &str, keep: Keep, t: u64) -> Option<Noise> {
        let used = storage == Storage::Bf16 || keep == Keep::Stochastic;
        used.then(|| Noise { seed: self.seed, name_hash: name_hash(name), t })
    }
}
