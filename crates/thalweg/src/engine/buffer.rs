//! State memory: zeroed, on cache-line borders.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::Element;
use super::kernel::CHUNK;

/// A cache line.
const ALIGN: usize = 64;

/// All slots of one parameter, each padded to whole chunks, in one allocation.
pub(crate) struct Slots<E> {
    data: NonNull<E>,
    stride: usize,
    count: usize,
    len: usize,
}

// SAFETY: the buffer is owned; `E` is a plain number.
unsafe impl<E: Element> Send for Slots<E> {}
// SAFETY: shared access only reads.
unsafe impl<E: Element> Sync for Slots<E> {}

impl<E: Element> Slots<E> {
    /// `count` slots of `len` zeros.
    pub(crate) fn new(count: usize, len: usize) -> Slots<E> {
        let mut stride = len.next_multiple_of(CHUNK);
        // Streams a multiple of 4 KiB apart fall into the same cache sets and the same store-buffer
        // comparison; one line of distance spreads them.
        if count > 0 && (stride * size_of::<E>()).is_multiple_of(4096) {
            stride += CHUNK;
        }
        let bytes = stride * count * size_of::<E>();
        if bytes == 0 {
            return Slots { data: NonNull::dangling(), stride, count, len };
        }
        let layout = Layout::from_size_align(bytes, ALIGN).expect("a buffer no larger than memory");
        // SAFETY: the layout is not empty; zero bytes are the number zero.
        let data = unsafe { alloc_zeroed(layout) };
        match NonNull::new(data.cast()) {
            Some(data) => Slots { data, stride, count, len },
            None => handle_alloc_error(layout),
        }
    }

    /// How many slots there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The start of slot `k`, valid for the length rounded up to whole chunks.
    pub(crate) fn pointer(&self, k: usize) -> *mut E {
        assert!(k < self.count);
        // SAFETY: inside the allocation.
        unsafe { self.data.as_ptr().add(k * self.stride) }
    }

    /// The values of slot `k`.
    pub(crate) fn slot(&self, k: usize) -> &[E] {
        // SAFETY: inside the allocation and initialised; `&self` excludes writers.
        unsafe { std::slice::from_raw_parts(self.pointer(k), self.len) }
    }

    /// All slots for writing.
    pub(crate) fn each_mut(&mut self) -> Vec<&mut [E]> {
        (0..self.count)
            // SAFETY: slots do not overlap; `&mut self` excludes everyone else.
            .map(|k| unsafe { std::slice::from_raw_parts_mut(self.pointer(k), self.len) })
            .collect()
    }
}

impl<E> Drop for Slots<E> {
    fn drop(&mut self) {
        let bytes = self.stride * self.count * size_of::<E>();
        if bytes > 0 {
            // SAFETY: allocated in `new` with this size and alignment.
            unsafe {
                dealloc(self.data.as_ptr().cast(), Layout::from_size_align_unchecked(bytes, ALIGN));
            }
        }
    }
}
