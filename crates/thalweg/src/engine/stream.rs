//! A buffer of numbers in any format, and rows scattered over one.

use super::codec::{Packing, Rounding};
use super::hints::{Hints, prefetch_line};
use super::{Element, Isa};

/// How many rows ahead of use the memory is asked for one: rows of a sparse gradient follow no
/// pattern that the hardware might guess.
const ROWS_AHEAD: usize = 16;

/// A buffer of the user's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) data: *mut u8,
    /// Its format; `None` is the number type of the formulas.
    pub(crate) packing: Option<Packing>,
}

impl Stream {
    /// Bytes of a coordinate.
    pub(super) fn width<E>(self) -> usize {
        self.packing.map_or(size_of::<E>(), Packing::bytes)
    }

    /// The place of a coordinate.
    pub(super) fn place<E>(self, at: usize) -> *mut u8 {
        self.data.wrapping_add(at * self.width::<E>())
    }

    /// Asks the memory for `count` coordinates.
    pub(super) fn ask<E>(self, at: usize, count: usize) {
        for line in (0..count * self.width::<E>()).step_by(64) {
            prefetch_line::<true>(self.place::<E>(at).wrapping_add(line));
        }
    }

    /// Copies or decodes `to.len()` coordinates.
    ///
    /// # Safety
    /// The stream holds that many from `at` on, and nobody writes them meanwhile.
    pub(super) unsafe fn read<E: Element>(
        self,
        isa: Isa,
        at: usize,
        to: &mut [E],
        hints: Option<&Hints>,
    ) {
        let from = self.place::<E>(at);
        // SAFETY: the caller's promise.
        unsafe {
            match self.packing {
                None => std::ptr::copy_nonoverlapping(from.cast(), to.as_mut_ptr(), to.len()),
                Some(packing) => {
                    let bytes = to.len() * packing.bytes();
                    let from = std::slice::from_raw_parts(from, bytes);
                    E::unpack(isa, packing, from, 0.0, to, hints);
                }
            }
        }
    }

    /// [`read`](Self::read) from row to row.
    ///
    /// # Safety
    /// As for [`read`](Self::read), for all of the rows' coordinates from `start` on.
    pub(super) unsafe fn read_rows<E: Element>(
        self,
        isa: Isa,
        rows: &Rows<'_>,
        start: usize,
        to: &mut [E],
    ) {
        rows.each_run(start, to.len(), |offset, k, column, count| {
            if k + ROWS_AHEAD < rows.index.len() {
                self.ask::<E>(rows.place(k + ROWS_AHEAD, column), count);
            }
            // SAFETY: the caller's promise.
            unsafe {
                let to = &mut to[offset..offset + count];
                self.read(isa, rows.place(k, column), to, None);
            }
        });
    }

    /// Copies or encodes `from.len()` coordinates.
    ///
    /// # Safety
    /// The stream holds that many from `at` on, and nobody else uses them meanwhile.
    pub(super) unsafe fn write<E: Element>(
        self,
        isa: Isa,
        at: usize,
        how: Rounding,
        from: &[E],
        hints: Option<&Hints>,
    ) {
        let to = self.place::<E>(at);
        // SAFETY: the caller's promise.
        unsafe {
            match self.packing {
                None => std::ptr::copy_nonoverlapping(from.as_ptr(), to.cast(), from.len()),
                Some(packing) => {
                    let bytes = from.len() * packing.bytes();
                    let to = std::slice::from_raw_parts_mut(to, bytes);
                    E::pack(isa, packing, how, from, to, hints);
                }
            }
        }
    }
}

/// What of a tensor is stepped, and what its gradient is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent<R> {
    /// All of it, on a gradient of all of it.
    Whole,
    /// These rows on their gradient; to the sweep the tensor is as long as they are.
    Rows(R),
    /// All of it, on the gradient of these rows and zeros.
    Scattered(R),
}

impl<R> Extent<R> {
    /// The same with its rows as `to` has them.
    pub(crate) fn map<S>(self, to: impl FnOnce(R) -> S) -> Extent<S> {
        match self {
            Extent::Whole => Extent::Whole,
            Extent::Rows(rows) => Extent::Rows(to(rows)),
            Extent::Scattered(rows) => Extent::Scattered(to(rows)),
        }
    }
}

/// Rows of a larger tensor, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The row of the tensor behind each row, in ascending order, each once.
    pub(crate) index: &'a [u32],
    /// Coordinates in a row.
    pub(crate) width: usize,
    /// Where the gradient of each row is, if not in the same order.
    pub(crate) source: Option<Source<'a>>,
}

/// Where the gradients of rows are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Which row of the gradient each is. Those from `given` on are rows of `sums`.
    pub(crate) rows: &'a [u32],
    pub(crate) given: usize,
    pub(crate) sums: Stream,
}

impl Source<'_> {
    /// The stream that holds the gradient of row `k`, and its row there.
    fn of(&self, g: Stream, k: usize) -> (Stream, usize) {
        match (self.rows[k] as usize).checked_sub(self.given) {
            None => (g, self.rows[k] as usize),
            Some(sum) => (self.sums, sum),
        }
    }
}

impl Rows<'_> {
    /// The coordinates of all of them.
    pub(crate) fn len(&self) -> usize {
        self.index.len() * self.width
    }

    /// Calls `run(offset, at, count)` for each run of coordinates from `start` to `start + n` that
    /// lies in one row: its offset from `start`, and its place in the tensor.
    pub(super) fn each(&self, start: usize, n: usize, mut run: impl FnMut(usize, usize, usize)) {
        self.each_run(start, n, |offset, k, column, count| {
            run(offset, self.place(k, column), count);
        });
    }

    /// Where in the tensor a column of the `k`-th of the rows stands.
    fn place(&self, k: usize, column: usize) -> usize {
        self.index[k] as usize * self.width + column
    }

    /// Copies or decodes coordinates of the `k`-th row of the gradient `g`, from `column` on, and asks
    /// the memory for those of a later row.
    ///
    /// # Safety
    /// `g` holds a row for each of these, or for each that is not among the sums; the row has
    /// `column + to.len()` coordinates.
    pub(super) unsafe fn read_gradient<E: Element>(
        &self,
        g: Stream,
        isa: Isa,
        k: usize,
        column: usize,
        to: &mut [E],
    ) {
        let at = |k| self.source.map_or((g, k), |source| source.of(g, k));
        if k + ROWS_AHEAD < self.index.len() {
            let (stream, row) = at(k + ROWS_AHEAD);
            stream.ask::<E>(row * self.width + column, to.len());
        }
        let (stream, row) = at(k);
        // SAFETY: the caller's promise.
        unsafe { stream.read(isa, row * self.width + column, to, None) }
    }

    /// Writes the coordinates of a dense gradient from `start` on: the rows that are among them, and
    /// zeros.
    ///
    /// # Safety
    /// As for [`read_gradient`](Self::read_gradient).
    pub(super) unsafe fn scatter<E: Element>(
        &self,
        g: Stream,
        isa: Isa,
        start: usize,
        to: &mut [E],
    ) {
        to.fill(E::number(0.0));
        let first = self.index.partition_point(|row| (*row as usize + 1) * self.width <= start);
        for (k, row) in self.index.iter().enumerate().skip(first) {
            let at = *row as usize * self.width;
            if at >= start + to.len() {
                break;
            }
            let column = start.saturating_sub(at);
            let offset = at + column - start;
            let count = (self.width - column).min(to.len() - offset);
            // SAFETY: the caller's promise; the run lies in the row.
            unsafe { self.read_gradient(g, isa, k, column, &mut to[offset..offset + count]) }
        }
    }

    /// Calls `run(offset, k, column, count)` for each such run: its offset from `start`, which of the
    /// rows it is of, and where in it.
    pub(super) fn each_run(
        &self,
        start: usize,
        n: usize,
        mut run: impl FnMut(usize, usize, usize, usize),
    ) {
        let (mut k, mut column) = (start / self.width, start % self.width);
        let mut done = 0;
        while done < n {
            let count = (self.width - column).min(n - done);
            run(done, k, column, count);
            done += count;
            (k, column) = (k + 1, 0);
        }
    }
}
