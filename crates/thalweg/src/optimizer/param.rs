//! What a step is given: parameters and gradients, lent as slices.

use std::marker::PhantomData;

use crate::engine::Element;
use crate::engine::lent::{Lent, Stored};
use crate::engine::stream::Extent;

/// A parameter and its gradient, lent to the optimizer for one step.
///
/// Names are what groups, state and checkpoints go by; the order may change between steps.
///
/// [`new`](Self::new) takes slices of the number type the optimizer computes in. Everything else is
/// put together from [`of`](Self::of): half precision, a gradient that is zeroed once it is used, a
/// copy of the new value in another format, a gradient of few rows.
///
/// ```
/// use half::bf16;
/// use thalweg::{Optimizer, Param, recipes::adamw};
///
/// let mut opt = Optimizer::<f32>::new(adamw().with("lr", 0.1)?)?;
/// let mut x = [1.0, -2.0].map(bf16::from_f32);
/// let mut g = [0.5, -0.25].map(bf16::from_f32);
/// opt.step(&mut [Param::of("x", &[2], &mut x).grad_to_zero(&mut g)])?;
/// assert!(x[0] < bf16::ONE && g == [bf16::ZERO; 2]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it is an argument of `Optimizer::step`"]
pub struct Param<'a, E> {
    pub(super) name: &'a str,
    pub(super) shape: &'a [usize],
    pub(super) value: Lent<'a>,
    pub(super) grad: Option<Gradient<'a>>,
    pub(super) copy: Option<Lent<'a>>,
    marker: PhantomData<E>,
}

/// A gradient, dense or of few rows.
#[derive(Debug)]
pub(super) struct Gradient<'a> {
    pub(super) values: Lent<'a>,
    /// Whether it is to be zeroed once it is used.
    pub(super) zero: bool,
    /// The rows it is of.
    pub(super) extent: Extent<&'a [u32]>,
}

impl<'a, E: Element> Param<'a, E> {
    /// A parameter called `name` of this shape, row-major, with the gradient of the loss.
    pub fn new(name: &'a str, shape: &'a [usize], value: &'a mut [E], grad: &'a [E]) -> Self {
        let values = Lent::native(grad);
        Param::without_gradient(name, shape, value).given(values, false, Extent::Whole)
    }

    /// A parameter that received no gradient: it is left alone, and the report says so.
    pub fn without_gradient(name: &'a str, shape: &'a [usize], value: &'a mut [E]) -> Self {
        Param::lent(name, shape, Lent::native_mut(value))
    }

    /// A parameter in any format, without a gradient yet.
    pub fn of<S: Stored<E>>(name: &'a str, shape: &'a [usize], value: &'a mut [S]) -> Self {
        Param::lent(name, shape, Lent::stored_mut(value))
    }

    fn lent(name: &'a str, shape: &'a [usize], value: Lent<'a>) -> Self {
        Param { name, shape, value, grad: None, copy: None, marker: PhantomData }
    }

    /// Gives it a gradient, in any format.
    pub fn grad<S: Stored<E>>(self, grad: &'a [S]) -> Self {
        self.given(Lent::stored(grad), false, Extent::Whole)
    }

    /// Gives it a gradient that the step zeroes once it has used it, while it is in the cache. That of a
    /// refused step is zeroed too, and that of a frozen parameter.
    pub fn grad_to_zero<S: Stored<E>>(self, grad: &'a mut [S]) -> Self {
        self.given(Lent::stored_mut(grad), true, Extent::Whole)
    }

    /// Gives it a gradient that is zero but for some rows (of the first axis), as an embedding's
    /// is: `rows[i]` is where `values[i·width..][..width]` belongs, `width` being the product of
    /// the other axes. Rows may come in any order and repeatedly; repeated ones are added.
    ///
    /// Only these rows are stepped, parameter and state, at a cost in proportion to their number.
    /// Where a zero gradient changes nothing (gradient descent, AdaGrad, `meta_egd_sparse`) that is
    /// the dense step exactly; where it does (momentum, Adam, weight decay) it is the lazy form: rows
    /// that are not touched neither move nor forget, and steps are counted for the tensor. (With ε as
    /// `adam@keras` has it, 1e-8, that is `torch.optim.SparseAdam`.) What a method sums over a tensor (a
    /// trust ratio, the distances of DoG and DoWG) is summed over these rows.
    ///
    /// What goes by the whole tensor is an error, as [`Chain::takes_rows`](crate::Chain::takes_rows) tells:
    /// averages of the parameter, a first step that is unlike the others (ADOPT, Adan, damped momentum), a distance or a
    /// scale that is learned from all steps (Prodigy, D-Adaptation, Mechanic), a geometry that sums, such as the simplex.
    /// [`exact_sparse_grad`](Self::exact_sparse_grad) is the other form.
    pub fn sparse_grad<S: Stored<E>>(self, rows: &'a [u32], values: &'a [S]) -> Self {
        self.given(Lent::stored(values), false, Extent::Rows(rows))
    }

    /// [`sparse_grad`](Self::sparse_grad) with every row stepped, those without a gradient on zeros: the
    /// dense step bit for bit, whatever the method, as Keras' `Adam` takes it. Moments fade in all rows,
    /// decay reaches all, and sums run over the whole tensor, so everything that works with a dense
    /// gradient works with it. It costs what the dense step costs but for reading the gradient.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::adam};
    /// let (mut x, shape) = (vec![1.0; 6], [3, 2]);
    /// let mut opt = Optimizer::<f32>::new(adam())?;
    /// opt.step(&mut [Param::of("x", &shape, &mut x).exact_sparse_grad(&[2], &[0.5, 0.5])])?;
    /// let after_one = x[4];
    /// opt.step(&mut [Param::of("x", &shape, &mut x).exact_sparse_grad(&[0], &[0.5, 0.5])])?;
    /// assert!(x[4] < after_one); // the last row moves on with its momentum
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn exact_sparse_grad<S: Stored<E>>(self, rows: &'a [u32], values: &'a [S]) -> Self {
        self.given(Lent::stored(values), false, Extent::Scattered(rows))
    }

    fn given(self, values: Lent<'a>, zero: bool, extent: Extent<&'a [u32]>) -> Self {
        Param { grad: Some(Gradient { values, zero, extent }), ..self }
    }

    /// Has the step copy the new value, rounded to the nearest, to another buffer: the bf16 weights
    /// of a model whose f32 master weights this parameter is.
    pub fn copy_to<S: Stored<E>>(self, copy: &'a mut [S]) -> Self {
        Param { copy: Some(Lent::stored_mut(copy)), ..self }
    }

    /// What of it is stepped, and the rows its gradient is of.
    pub(super) fn extent(&self) -> Extent<&'a [u32]> {
        self.grad.as_ref().map_or(Extent::Whole, |g| g.extent)
    }

    /// Whether its gradient is of few rows.
    pub(super) fn is_sparse(&self) -> bool {
        !matches!(self.extent(), Extent::Whole)
    }

    /// Whether only few of its rows are stepped.
    pub(super) fn is_lazy(&self) -> bool {
        matches!(self.extent(), Extent::Rows(_))
    }

    /// Zeroes its gradient if that is asked for.
    pub(super) fn clear_gradient(&mut self) {
        if let Some(gradient) = self.grad.as_mut().filter(|g| g.zero) {
            gradient.values.clear::<E>();
        }
    }
}
