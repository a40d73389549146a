//! State memory: zeroed, on cache-line borders, each slot in a format of its own.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::codec::{Packing, Rounding};
use super::hints::Hints;
use super::kernel::{BLOCK, CHUNK};
use super::stream::Stream;
use super::{Element, Isa};

/// A cache line.
#[repr(align(64))]
struct Line;

const ALIGN: usize = align_of::<Line>();

/// Where a slot stands in the allocation.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its format, or that of the formulas.
    packing: Option<Packing>,
    /// The first byte of its values.
    values: usize,
    /// The first byte of its scales, one per block.
    scales: usize,
}

/// All slots of one parameter, each padded to whole chunks, in one allocation.
pub(crate) struct Slots<E> {
    data: NonNull<u8>,
    bytes: usize,
    places: Vec<Place>,
    len: usize,
    marker: PhantomData<E>,
}

// SAFETY: the buffer is owned; `E` is a plain number.
unsafe impl<E: Element> Send for Slots<E> {}
// SAFETY: shared access only reads.
unsafe impl<E: Element> Sync for Slots<E> {}

/// Bytes of one coordinate in a format.
fn width<E>(packing: Option<Packing>) -> usize {
    packing.map_or(size_of::<E>(), Packing::bytes)
}

impl<E: Element> Slots<E> {
    /// A slot of `len` zeros for each format; `None` is that of the formulas.
    pub(crate) fn new(formats: &[Option<Packing>], len: usize) -> Slots<E> {
        let (mut bytes, mut places) = (0usize, vec![]);
        for packing in formats {
            let values = bytes;
            bytes += (len.next_multiple_of(CHUNK) * width::<E>(*packing)).next_multiple_of(ALIGN);
            // Streams a multiple of 4 KiB apart fall into the same cache sets and the same
            // store-buffer comparison; a few lines of distance spread them.
            if len > 0 && (bytes - values).is_multiple_of(4096) {
                bytes += CHUNK * size_of::<E>();
            }
            let scales = bytes;
            if packing.is_some_and(Packing::scaled) {
                bytes += (len.div_ceil(BLOCK) * size_of::<f32>()).next_multiple_of(ALIGN);
            }
            places.push(Place { packing: *packing, values, scales });
        }
        let marker = PhantomData;
        if bytes == 0 {
            return Slots { data: NonNull::<Line>::dangling().cast(), bytes, places, len, marker };
        }
        let layout = Layout::from_size_align(bytes, ALIGN).expect("a buffer no larger than memory");
        // SAFETY: the layout is not empty; zero bytes are the number zero in every format.
        let data = unsafe { alloc_zeroed(layout) };
        match NonNull::new(data) {
            Some(data) => Slots { data, bytes, places, len, marker },
            None => handle_alloc_error(layout),
        }
    }

    /// How many slots there are.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// The format of slot `k`.
    pub(crate) fn packing(&self, k: usize) -> Option<Packing> {
        self.places[k].packing
    }

    /// The place of coordinate `at` of slot `k`, valid up to the length rounded up to whole chunks.
    pub(super) fn place(&self, k: usize, at: usize) -> *mut u8 {
        let Place { packing, values, .. } = self.places[k];
        self.data.as_ptr().wrapping_add(values + at * width::<E>(packing))
    }

    /// Slot `k` as a stream; of a format with scales only the bytes are in it.
    pub(super) fn stream(&self, k: usize) -> Stream {
        Stream { data: self.place(k, 0), packing: self.packing(k) }
    }

    /// The first value of slot 0, which must not be packed.
    pub(crate) fn first(&self) -> *mut E {
        self.place(0, 0).cast()
    }

    /// The scale of block `block` of slot `k`, which must have one.
    pub(super) fn scale(&self, k: usize, block: usize) -> *mut f32 {
        self.data.as_ptr().wrapping_add(self.places[k].scales).cast::<f32>().wrapping_add(block)
    }

    /// The values of slot `k`, unless they are packed.
    pub(crate) fn slot(&self, k: usize) -> Option<&[E]> {
        let native = self.places[k].packing.is_none();
        // SAFETY: inside the allocation and initialised; `&self` excludes writers.
        native.then(|| unsafe { std::slice::from_raw_parts(self.place(k, 0).cast(), self.len) })
    }

    /// [`slot`](Self::slot) for writing.
    pub(crate) fn slot_mut(&mut self, k: usize) -> Option<&mut [E]> {
        let native = self.places[k].packing.is_none();
        // SAFETY: inside the allocation; `&mut self` excludes everyone else.
        native.then(|| unsafe { std::slice::from_raw_parts_mut(self.place(k, 0).cast(), self.len) })
    }

    /// The bytes of slot `k`.
    pub(crate) fn raw(&self, k: usize) -> &[u8] {
        // SAFETY: inside the allocation and initialised; `&self` excludes writers.
        unsafe { std::slice::from_raw_parts(self.place(k, 0), self.raw_len(k)) }
    }

    /// The bytes of slot `k` for writing.
    pub(crate) fn raw_mut(&mut self, k: usize) -> &mut [u8] {
        // SAFETY: inside the allocation; `&mut self` excludes everyone else.
        unsafe { std::slice::from_raw_parts_mut(self.place(k, 0), self.raw_len(k)) }
    }

    fn raw_len(&self, k: usize) -> usize {
        self.len * width::<E>(self.places[k].packing)
    }

    fn scale_count(&self, k: usize) -> usize {
        let scaled = self.places[k].packing.is_some_and(Packing::scaled);
        if scaled { self.len.div_ceil(BLOCK) } else { 0 }
    }

    /// The scales of slot `k`; none if its format has none.
    pub(crate) fn scales(&self, k: usize) -> &[f32] {
        match self.scale_count(k) {
            0 => &[],
            // SAFETY: inside the allocation and initialised; `&self` excludes writers.
            n => unsafe { std::slice::from_raw_parts(self.scale(k, 0), n) },
        }
    }

    /// The scales of slot `k` for writing.
    pub(crate) fn scales_mut(&mut self, k: usize) -> &mut [f32] {
        match self.scale_count(k) {
            0 => &mut [],
            // SAFETY: inside the allocation; `&mut self` excludes everyone else.
            n => unsafe { std::slice::from_raw_parts_mut(self.scale(k, 0), n) },
        }
    }

    /// The values of slot `k` in the number type of the formulas.
    pub(crate) fn values(&self, k: usize, isa: Isa) -> Vec<E> {
        if let Some(slot) = self.slot(k) {
            return slot.to_vec();
        }
        let mut values = vec![E::number(0.0); self.len];
        for (block, values) in values.chunks_mut(BLOCK).enumerate() {
            self.unpack(k, block * BLOCK, isa, values, None);
        }
        values
    }

    /// Decodes the coordinates of a packed slot from `start`, the first of a block, on.
    pub(super) fn unpack(
        &self,
        k: usize,
        start: usize,
        isa: Isa,
        to: &mut [E],
        hints: Option<&Hints>,
    ) {
        let Some(packing) = self.packing(k) else { return };
        // SAFETY: inside the allocation; nobody writes this block meanwhile.
        let (from, scale) = unsafe {
            let bytes = to.len() * packing.bytes();
            let scale = if packing.scaled() { *self.scale(k, start / BLOCK) } else { 0.0 };
            (std::slice::from_raw_parts(self.place(k, start), bytes), scale)
        };
        E::unpack(isa, packing, from, scale, to, hints);
    }

    /// Encodes the coordinates of a packed slot from `start`, the first of a block, on.
    ///
    /// # Safety
    /// Nobody else uses this block of the slot meanwhile.
    pub(super) unsafe fn pack(
        &self,
        k: usize,
        start: usize,
        isa: Isa,
        how: Rounding,
        from: &[E],
        hints: Option<&Hints>,
    ) {
        let Some(packing) = self.packing(k) else { return };
        // SAFETY: inside the allocation, and the caller's promise.
        unsafe {
            let bytes = from.len() * packing.bytes();
            let to = std::slice::from_raw_parts_mut(self.place(k, start), bytes);
            let scale = E::pack(isa, packing, how, from, to, hints);
            if packing.scaled() {
                *self.scale(k, start / BLOCK) = scale;
            }
        }
    }

    /// Sets the values of slot `k`, rounded to the nearest that its format has.
    pub(crate) fn set(&mut self, k: usize, isa: Isa, values: &[E]) {
        if let Some(slot) = self.slot_mut(k) {
            return slot.copy_from_slice(values);
        }
        for (block, values) in values.chunks(BLOCK).enumerate() {
            // SAFETY: `&mut self` excludes everyone else.
            unsafe {
                self.pack(k, block * BLOCK, isa, Rounding::Nearest, values, None);
            }
        }
    }

    /// Bytes that hold values and scales, without padding.
    pub(crate) fn used_bytes(&self) -> usize {
        (0..self.count()).map(|k| self.raw_len(k) + 4 * self.scale_count(k)).sum()
    }
}

impl<E> Drop for Slots<E> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: allocated in `new` with this size and alignment.
            unsafe {
                dealloc(self.data.as_ptr(), Layout::from_size_align_unchecked(self.bytes, ALIGN));
            }
        }
    }
}
