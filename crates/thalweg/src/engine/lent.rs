//! Slices lent for a step, in any format.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::codec::{Packing, Rounding};
use super::kernel::BLOCK;
use super::stream::Stream;
use super::{Element, Isa};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::bf16 {}
    impl Sealed for half::f16 {}
}

/// A number format that parameters and gradients can be lent in to an optimizer that computes in
/// `E`: `E` itself, and for `f32` also [`bf16`](half::bf16) and [`f16`](half::f16).
pub trait Stored<E>: sealed::Sealed + Copy {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "sealed: nobody outside can implement it")]
    const PACKING: Option<Packing>;
}

macro_rules! stored {
    ($($format:ty as $number:ty: $packing:expr;)*) => {$(
        impl Stored<$number> for $format {
            #[allow(private_interfaces, reason = "sealed: nobody outside can implement it")]
            const PACKING: Option<Packing> = $packing;
        }
    )*};
}
stored! {
    f32 as f32: None;
    f64 as f64: None;
    half::bf16 as f32: Some(Packing::Bf16);
    half::f16 as f32: Some(Packing::F16);
}

/// A slice lent for a step, its format a value and no longer a type.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    stream: Stream,
    len: usize,
    marker: PhantomData<&'a mut [u8]>,
}

// SAFETY: a slice of plain numbers, borrowed for `'a`.
unsafe impl Send for Lent<'_> {}
// SAFETY: shared access only reads.
unsafe impl Sync for Lent<'_> {}

impl<'a> Lent<'a> {
    /// A slice in the number type of the formulas.
    pub(crate) fn native<E: Element>(slice: &'a [E]) -> Lent<'a> {
        Lent::new(slice.as_ptr().cast(), None, slice.len())
    }

    /// The same, to be written.
    pub(crate) fn native_mut<E: Element>(slice: &'a mut [E]) -> Lent<'a> {
        Lent::new(slice.as_mut_ptr().cast(), None, slice.len())
    }

    /// A slice in any format.
    pub(crate) fn stored<E, S: Stored<E>>(slice: &'a [S]) -> Lent<'a> {
        Lent::new(slice.as_ptr().cast(), S::PACKING, slice.len())
    }

    /// The same, to be written.
    pub(crate) fn stored_mut<E, S: Stored<E>>(slice: &'a mut [S]) -> Lent<'a> {
        Lent::new(slice.as_mut_ptr().cast(), S::PACKING, slice.len())
    }

    fn new(data: *const u8, packing: Option<Packing>, len: usize) -> Lent<'a> {
        Lent { stream: Stream { data: data.cast_mut(), packing }, len, marker: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn packing(&self) -> Option<Packing> {
        self.stream.packing
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// The values in the number type they were lent for.
    pub(crate) fn values<E: Element>(&self, isa: Isa) -> Cow<'_, [E]> {
        if self.stream.packing.is_none() {
            // SAFETY: made of a slice of this length; `&self` excludes the step that writes it.
            return unsafe { std::slice::from_raw_parts(self.stream.data.cast(), self.len) }.into();
        }
        let mut values = vec![E::number(0.0); self.len];
        self.read(isa, 0, &mut values);
        values.into()
    }

    /// Reads the values from `at` on, which must be there.
    pub(crate) fn read<E: Element>(&self, isa: Isa, at: usize, to: &mut [E]) {
        assert!(at + to.len() <= self.len, "{} values from {at} of {}", to.len(), self.len);
        for (block, to) in to.chunks_mut(BLOCK).enumerate() {
            // SAFETY: made of a slice that long; `&self` excludes the step that writes it.
            unsafe { self.stream.read(isa, at + block * BLOCK, to, None) }
        }
    }

    /// Zeroes all values. Only for what was lent to be written.
    pub(crate) fn clear<E: Element>(&mut self) {
        let bytes = self.len * self.stream.width::<E>();
        // SAFETY: made of a mutable slice of this length; zero bytes are the number zero.
        unsafe { std::ptr::write_bytes(self.stream.data, 0, bytes) }
    }

    /// Writes values from `at` on, rounded to the nearest; they must have room there. Only for what was
    /// lent to be written.
    pub(crate) fn write<E: Element>(&mut self, isa: Isa, at: usize, values: &[E]) {
        assert!(at + values.len() <= self.len, "{} values at {at} of {}", values.len(), self.len);
        for (block, values) in values.chunks(BLOCK).enumerate() {
            // SAFETY: made of a mutable slice that long.
            unsafe {
                self.stream.write(isa, at + block * BLOCK, Rounding::Nearest, values, None);
            }
        }
    }

    /// Writes what another holds of as many values, rounded to the nearest. Only for what was lent to be
    /// written.
    pub(crate) fn copy_from<E: Element>(&mut self, isa: Isa, from: &Lent<'_>) {
        let mut block = [E::number(0.0); BLOCK];
        for at in (0..from.len).step_by(BLOCK) {
            let values = &mut block[..BLOCK.min(from.len - at)];
            from.read(isa, at, values);
            self.write(isa, at, values);
        }
    }
}
