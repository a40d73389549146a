//! Gradients of few rows, brought into order.

use std::borrow::Cow;

use crate::engine::lent::Lent;
use crate::engine::stream::{Rows, Source, Stream};
use crate::engine::{Element, Isa};

/// Rows in ascending order, each once.
pub(super) struct Merged<'a, E> {
    pub(super) index: Cow<'a, [u32]>,
    /// Where their gradients are, unless the ones given are in order already.
    source: Option<Found<E>>,
}

/// Where the gradients of rows are: among those given, or, if several belong together, in a sum.
struct Found<E> {
    rows: Vec<u32>,
    given: usize,
    sums: Vec<E>,
}

impl<E> Merged<'_, E> {
    /// The rows as the sweep sees them.
    pub(super) fn rows(&self, width: usize) -> Rows<'_> {
        let source = self.source.as_ref().map(|found| {
            let sums = Stream { data: found.sums.as_ptr().cast_mut().cast(), packing: None };
            Source { rows: &found.rows, given: found.given, sums }
        });
        Rows { index: &self.index, width, source }
    }
}

/// Sorts rows and adds those that repeat, in the order they were given. There are fewer than 2³² of
/// them.
pub(super) fn merge<'a, E: Element>(
    isa: Isa,
    rows: &'a [u32],
    values: &Lent<'_>,
    width: usize,
) -> Merged<'a, E> {
    if rows.windows(2).all(|w| w[0] < w[1]) {
        return Merged { index: rows.into(), source: None };
    }
    // The row above its place, in one number: sorted much faster than places by their row.
    let mut order: Vec<u64> =
        (0u32..).zip(rows).map(|(k, row)| u64::from(*row) << 32 | u64::from(k)).collect();
    order.sort_unstable();
    let mut index: Vec<u32> = Vec::with_capacity(rows.len());
    let mut found = Found { rows: Vec::with_capacity(rows.len()), given: rows.len(), sums: vec![] };
    let mut other = vec![E::number(0.0); width];
    for key in order {
        let (row, k) = ((key >> 32) as u32, key as u32);
        match found.rows.last_mut() {
            Some(last) if index.last() == Some(&row) => {
                if (*last as usize) < found.given {
                    values.read(isa, *last as usize * width, &mut other);
                    *last = (found.given + found.sums.len() / width.max(1)) as u32;
                    found.sums.extend_from_slice(&other);
                }
                let start = found.sums.len() - width;
                values.read(isa, k as usize * width, &mut other);
                let sum = found.sums[start..].iter_mut();
                sum.zip(&other).for_each(|(sum, g)| *sum = *sum + *g);
            }
            _ => {
                index.push(row);
                found.rows.push(k);
            }
        }
    }
    Merged { index: index.into(), source: Some(found) }
}
