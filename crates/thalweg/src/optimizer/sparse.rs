//! Gradients of few rows, brought into order.

use std::borrow::Cow;

use crate::engine::lent::Lent;
use crate::engine::{Element, Isa};

/// Rows in ascending order, each once.
pub(super) struct Merged<'a, E> {
    pub(super) index: Cow<'a, [u32]>,
    /// The values, unless the ones given are in order already.
    pub(super) values: Option<Vec<E>>,
}

/// Sorts rows and adds those that repeat, in the order they were given.
pub(super) fn merge<'a, E: Element>(
    isa: Isa,
    rows: &'a [u32],
    values: &Lent<'_>,
    width: usize,
) -> Merged<'a, E> {
    if rows.windows(2).all(|w| w[0] < w[1]) {
        return Merged { index: rows.into(), values: None };
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|k| rows[*k]);
    let given = values.values::<E>(isa);
    let (mut index, mut merged): (Vec<u32>, Vec<E>) = (vec![], vec![]);
    for k in order {
        let row = &given[k * width..(k + 1) * width];
        if index.last() == Some(&rows[k]) {
            let start = merged.len() - width;
            merged[start..].iter_mut().zip(row).for_each(|(sum, g)| *sum = *sum + *g);
        } else {
            index.push(rows[k]);
            merged.extend_from_slice(row);
        }
    }
    Merged { index: index.into(), values: Some(merged) }
}
