//! The sweep: one pass over memory, in blocks, on any instruction set and thread count, with the
//! same bits on all of them. The only unsafe code of the crate lives here.

pub(crate) mod buffer;
pub(crate) mod code_book;
pub(crate) mod codec;
pub(crate) mod drive;
pub(crate) mod given;
mod hints;
mod isa;
pub(crate) mod kernel;
pub(crate) mod lent;
pub(crate) mod plan;
pub(crate) mod stage;
pub(crate) mod stream;
mod team;
pub(crate) mod tensor;
pub(crate) mod threads;

use crate::real::Real;
use codec::{Packing, Rounding};
use hints::Hints;
pub use isa::Isa;
pub(crate) use stage::{AnyStage, Stage};
pub use threads::{OwnThreads, Threads};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A number type that parameters can be stored in: `f32` or `f64`.
pub trait Element:
    Real<Wide = f64, Mask = bool> + Default + PartialEq + lent::Stored<Self> + sealed::Sealed
{
    /// The name in checkpoints, as safetensors writes it.
    const DTYPE: &'static str;
    /// The value's bytes, least significant first.
    #[doc(hidden)]
    fn to_bytes(self, to: &mut Vec<u8>);
    /// The values of which these are the bytes.
    #[doc(hidden)]
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
    /// Encodes at most a block of values, and returns its scale if the format has one.
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
    fn pack(
        isa: Isa,
        packing: Packing,
        how: Rounding,
        from: &[Self],
        to: &mut [u8],
        hints: Option<&Hints>,
    ) -> f32;
    /// Decodes at most a block of values.
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
    fn unpack(
        isa: Isa,
        packing: Packing,
        from: &[u8],
        scale: f32,
        to: &mut [Self],
        hints: Option<&Hints>,
    );
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
    fn stage(stage: &dyn AnyStage) -> &dyn Stage<Self>;
}

macro_rules! element {
    ($float:ident, $dtype:literal, $pack:path, $unpack:path) => {
        impl Element for $float {
            const DTYPE: &'static str = $dtype;
            fn to_bytes(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn from_bytes(bytes: &[u8]) -> Vec<Self> {
                let (values, _) = bytes.as_chunks();
                values.iter().map(|b| $float::from_le_bytes(*b)).collect()
            }
            #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
            fn pack(
                isa: Isa,
                packing: Packing,
                how: Rounding,
                from: &[Self],
                to: &mut [u8],
                hints: Option<&Hints>,
            ) -> f32 {
                $pack(isa, packing, how, from, to, hints)
            }
            #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
            fn unpack(
                isa: Isa,
                packing: Packing,
                from: &[u8],
                scale: f32,
                to: &mut [Self],
                hints: Option<&Hints>,
            ) {
                $unpack(isa, packing, from, scale, to, hints)
            }
            #[allow(private_interfaces, reason = "sealed: nobody outside can call or implement it")]
            fn stage(stage: &dyn AnyStage) -> &dyn Stage<Self> {
                stage
            }
        }
    };
}
element!(f32, "F32", codec::encode, codec::decode);
element!(f64, "F64", codec::encode_wide, codec::decode_wide);
