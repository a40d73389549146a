//! Whether what a step is given fits together, and fits what is known.

use super::{Param, State};
use crate::engine::Element;
use crate::engine::stream::Extent;
use crate::error::Error;

/// Coordinates in a tensor of this shape, if there can be so many. An axis of none leaves none, however long
/// the others are.
pub(super) fn size(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, k| n.checked_mul(*k))
}

/// Coordinates in a row of the first axis.
pub(super) fn width(shape: &[usize]) -> usize {
    // Of a shape that is possible, rows are too wide only where there are none.
    size(shape.get(1..).unwrap_or(&[])).unwrap_or(0)
}

/// Whether a parameter is what it was.
pub(super) fn fits<E: Element>(state: &State<E>, param: &Param<'_, E>) -> Result<(), Error> {
    let error = |what: String| Err(Error::Shape { parameter: param.name.to_owned(), what });
    if state.shape != param.shape {
        let (now, before) = (param.shape, &state.shape);
        return error(format!(
            "has shape {now:?}, but had {before:?}; `remove` it first if it is a new parameter"
        ));
    }
    if !state.format_unknown && state.value != param.value.packing() {
        return error(
            "is lent in another number format than before; `remove` it first if it is a new \
             parameter"
                .to_owned(),
        );
    }
    let scaled = || (0..state.slots.count()).any(|k| !state.slots.scales(k).is_empty());
    if param.is_lazy() && scaled() {
        return error(
            "has a sparse gradient and 8-bit state, whose blocks span rows; keep the state native \
             or in bf16, or pass an `exact_sparse_grad`"
                .to_owned(),
        );
    }
    whole(param)
}

/// Whether value, gradient and shape of a parameter agree.
pub(super) fn whole<E: Element>(param: &Param<'_, E>) -> Result<(), Error> {
    let error = |what: String| Err(Error::Shape { parameter: param.name.to_owned(), what });
    // Unsafe code relies on it: a product that wraps would let rows through that lie outside the value.
    let Some(expected) = size(param.shape) else {
        let shape = param.shape;
        return error(format!("has shape {shape:?}, more coordinates than can be addressed"));
    };
    if param.value.len() != expected {
        let (n, shape) = (param.value.len(), param.shape);
        return error(format!("holds {n} values, but its shape {shape:?} means {expected}"));
    }
    if let Some(copy) = param.copy.as_ref().filter(|copy| copy.len() != expected) {
        let n = copy.len();
        return error(format!("has {expected} values, but the buffer for its copy has {n}"));
    }
    let Some(grad) = &param.grad else { return Ok(()) };
    let n = grad.values.len();
    let (Extent::Rows(rows) | Extent::Scattered(rows)) = grad.extent else {
        return if n == expected {
            Ok(())
        } else {
            error(format!("has {expected} values, but its gradient has {n}"))
        };
    };
    let (count, width) = (param.shape.first().copied().unwrap_or(0), width(param.shape));
    if let Some(row) = rows.iter().find(|row| **row as usize >= count) {
        return error(format!("has {count} rows, but its gradient names row {row}"));
    }
    // Rows given and rows that are sums of several are counted by one `u32`.
    if rows.len() > u32::MAX as usize / 2 {
        let k = rows.len();
        return error(format!("has a sparse gradient of {k} rows; add some of them up before"));
    }
    if rows.len().checked_mul(width) != Some(n) {
        let k = rows.len();
        return error(format!(
            "has rows of {width} values, but its sparse gradient has {n} values for {k} rows"
        ));
    }
    if param.is_lazy() && param.copy.is_some() {
        return error(
            "has a sparse gradient and a copy to write, which would stay stale; pass an \
             `exact_sparse_grad`"
                .to_owned(),
        );
    }
    Ok(())
}
