//! Gradients of few rows, brought into order.

use crate::engine::lent::Lent;
use crate::engine::stream::{Rows, Source, Stream};
use crate::engine::{Element, Isa};

/// Rows in ascending order, each once. Its memory serves one gradient after another.
#[derive(Default)]
pub(super) struct Merged<E> {
    /// Whether those given are in order already; the rest then says nothing.
    in_order: bool,
    index: Vec<u32>,
    /// Where the gradients of the rows are: among those given, or, from `given` on, in a sum.
    rows: Vec<u32>,
    given: usize,
    /// The sums of rows that were given repeatedly.
    sums: Vec<E>,
    /// The rows above their places, to be sorted.
    keys: Vec<u64>,
    /// A row to be added.
    other: Vec<E>,
}

impl<E: Element> Merged<E> {
    /// The rows as the sweep sees them, `given` being those last merged.
    pub(super) fn rows<'r>(&'r self, given: &'r [u32], width: usize) -> Rows<'r> {
        if self.in_order {
            return Rows { index: given, width, source: None };
        }
        let sums = Stream { data: self.sums.as_ptr().cast_mut().cast(), packing: None };
        let source = Source { rows: &self.rows, given: self.given, sums };
        Rows { index: &self.index, width, source: Some(source) }
    }

    /// Sorts rows and adds those that repeat, in the order they were given. There are fewer than 2³² of
    /// them.
    pub(super) fn merge(&mut self, isa: Isa, rows: &[u32], values: &Lent<'_>, width: usize) {
        self.in_order = rows.windows(2).all(|w| w[0] < w[1]);
        if self.in_order {
            return;
        }
        self.index.clear();
        self.rows.clear();
        self.sums.clear();
        self.given = rows.len();
        self.other.clear();
        self.other.resize(width, E::number(0.0));
        // The row above its place, in one number: sorted much faster than places by their row.
        self.keys.clear();
        self.keys.extend((0u32..).zip(rows).map(|(k, row)| u64::from(*row) << 32 | u64::from(k)));
        self.keys.sort_unstable();
        for key in &self.keys {
            let (row, k) = ((key >> 32) as u32, *key as u32);
            match self.rows.last_mut() {
                Some(last) if self.index.last() == Some(&row) => {
                    if (*last as usize) < self.given {
                        values.read(isa, *last as usize * width, &mut self.other);
                        *last = (self.given + self.sums.len() / width.max(1)) as u32;
                        self.sums.extend_from_slice(&self.other);
                    }
                    let start = self.sums.len() - width;
                    values.read(isa, k as usize * width, &mut self.other);
                    let sum = self.sums[start..].iter_mut();
                    sum.zip(&self.other).for_each(|(sum, g)| *sum = *sum + *g);
                }
                _ => {
                    self.index.push(row);
                    self.rows.push(k);
                }
            }
        }
    }
}
