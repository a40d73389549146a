use crate::hyper::Range;
use crate::part::{Geometry, Join, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot};

crate::hypers! {
    /// The squared p-norm, `‖x‖_p²/2` (Grove, Littlestone & Schuurmans 2001; Gentile 2003), with
    /// the norm over the tensor. The link is `sign(x)·|x|^(p−1)/‖x‖_p^(p−2)`, its inverse the same
    /// with `q = p/(p−1)`.
    ///
    /// `p = 2` is gradient descent; `p ≈ 1 + 1/ln d` behaves like exponentiated gradient on signed
    /// vectors. Four extra reading passes: one for the largest coordinate and one for the sum of powers,
    /// on either side of the link. The sums are kept in `f64`, and where they would leave its range the
    /// coordinates are divided by the largest first.
    ///
    /// What is kept between steps is the parameter, a power `q−1` of its dual. In `f32` a coordinate whose dual
    /// is less than `10^(−45/(q−1))` of the norm (for `p = 1 + 1/ln d`: 1e-5 at d = 1e4, 5e-4 at 1e6) is rounded to
    /// zero, and starts anew at the next step: steps smaller than that never add up. Keep such tensors in `f64`, or
    /// take [`Hypentropy`](crate::geometry::Hypentropy), which keeps its dual.
    pub struct PNorm {
        /// The exponent of the norm (ours 2).
        p "p" = 2.0 in Range::above(1.0),
    }
}

/// `sign(x)·|x|^(p−1)·‖x‖^(2−p)`; 0 at 0. The power is taken of `|x|/‖x‖`: that of `x` itself leaves
/// the range of `f32` where p is near 1, as the exponent of the way back is then large.
#[inline(always)]
fn link<F: Real>(x: F, exponent: F, norm: F) -> F {
    x.sign() * (x.abs() / norm.away_from_zero()).pow(exponent) * norm
}

/// What coordinates are divided by before their p-th powers are added: 1 if that of the largest leaves
/// room for those of all others on both sides, within 1e±200, else the largest.
fn unit<W: Real<Wide = W>>(largest: W, p: W) -> W {
    let fits = (p * largest.ln()).abs().lt(W::number(460.0));
    W::select(fits, W::number(1.0), largest)
}

/// The norm from the sum of the p-th powers in this unit.
fn norm<W: Real<Wide = W>>(unit: W, sum: W, p: W) -> W {
    unit * sum.pow(W::number(1.0) / p)
}

impl PNorm {
    /// p and its conjugate exponent q.
    fn exponents<F: Real>(&self, at: &At<F>) -> [F::Wide; 2] {
        let (p, one) = (at.get(&self.p), F::Wide::number(1.0));
        [p, (p / (p - one)).called("q")]
    }
}

impl Geometry for PNorm {}

impl Part for PNorm {
    type Memory<F: Real> = [F; 0];
    /// The norms on both sides; between the two passes of a side, its unit.
    type Scalars<F: Real> = [F; 2];
    type Terms<F: Real> = [F; 4];
    const SCALARS: &'static [Slot] = &[slot("a"), slot("b")];
    const JOIN: &'static [Join] = &[Join::Max, Join::Sum, Join::Max, Join::Sum];
    const PASSES: usize = 4;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        [a, b]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 4] + Copy + Send + Sync + use<F> {
        let [p, q] = self.exponents(at);
        let [p, q, p_1] = at.lift([p, q, p - F::Wide::number(1.0)]);
        move |u, here, []| {
            let dual = (link(here.x, p_1, a) - u).called("θ").abs();
            let x = here.x.abs();
            let share = |size: F, unit: F| size / unit.away_from_zero();
            [x, share(x, a).pow(p), dual, share(dual, b).pow(q)]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        pass: usize,
        [x, primal, theta, dual]: [W; 4],
        [a, b]: [W; 2],
    ) -> [W; 2] {
        let [p, q] = self.exponents(at);
        match pass {
            0 => [unit(x, p), b],
            1 => [norm(a, primal, p), b],
            2 => [a, unit(theta, q)],
            _ => [a, norm(b, dual, q)],
        }
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [a, b]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [p, q] = self.exponents(at);
        let one = F::Wide::number(1.0);
        let [p_1, q_1] = at.lift([p - one, q - one]);
        move |u, here, []| {
            let dual = (link(here.x, p_1, a) - u).called("θ");
            (link(dual, q_1, b), [])
        }
    }
}
