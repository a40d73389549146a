//! Sharpness-aware minimisation: SAM (Foret et al. 2021, arXiv 2010.01412) and ASAM (Kwon et al.
//! 2021, arXiv 2102.11600).

use super::guard::norm_of_huge;
use super::{Optimizer, Param, StepReport};
use crate::engine::Element;
use crate::error::Error;
use crate::hyper::{Hypers, Range};

/// What the official code adds to the norm: a gradient of zero perturbs nothing.
const GUARD: f64 = 1e-12;

/// The shape of the neighbourhood in which SAM looks for the worst point.
pub trait Neighbourhood: Hypers + Default + Clone + Send + Sync + 'static {
    /// How far the neighbourhood reaches along a coordinate at `x`, per unit of radius.
    fn reach(&self, clock: u64) -> impl Fn(f64) -> f64 + use<Self>;
}

crate::hypers! {
    /// A ball (SAM).
    pub struct Ball {}
}

impl Neighbourhood for Ball {
    fn reach(&self, _: u64) -> impl Fn(f64) -> f64 + use<> {
        |_| 1.0
    }
}

crate::hypers! {
    /// A ball stretched by the sizes of the parameters (ASAM): what it finds does not depend on how
    /// a network's weights are scaled. Its radius should be 0.5 to 2, ten times SAM's or more.
    pub struct Stretched {
        /// Added to the size of each parameter, in its units (official code 0.01).
        eta "η" = 1e-2 in Range::NON_NEGATIVE,
    }
}

impl Neighbourhood for Stretched {
    fn reach(&self, clock: u64) -> impl Fn(f64) -> f64 + use<> {
        let eta = self.eta.value(clock);
        move |x: f64| x.abs() + eta
    }
}

crate::hypers! {
    /// Sharpness-aware minimisation around any [`Optimizer`]: a step follows the gradient taken at
    /// the point of a neighbourhood where the loss is, to first order, largest.
    ///
    /// It needs a second gradient of the same batch and asks the loop for it:
    /// [`perturb`](Self::perturb) moves the parameters there, the loop computes the gradient again,
    /// and [`Perturbed::step`] moves them back, bit for bit, and takes the optimizer's step.
    ///
    /// `e = ρ·T²·g / (‖T·g‖ + 1e-12)`, the norm over all parameters of the step, whatever their
    /// group; `T` is 1 ([`Ball`]) or `|x| + η` ([`Stretched`]).
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::momentum, sam::{Ascent, Sam}};
    /// let mut opt = Optimizer::<f32>::new(momentum().with("lr", 0.05)?)?;
    /// let sam = <Sam>::default().rho(0.05);
    /// let (mut x, shape) = (vec![1.0, -2.0], [2]);
    /// let gradient = |x: &[f32]| -> Vec<f32> { x.iter().map(|x| 2.0 * x).collect() };
    /// for _ in 0..100 {
    ///     let g = gradient(&x);
    ///     match sam.perturb(&mut opt, &mut [Param::new("x", &shape, &mut x, &g)])? {
    ///         Ascent::Perturbed(second) => {
    ///             let g = gradient(&x); // the same batch, at the perturbed parameters
    ///             let _ = second.step(&mut [Param::new("x", &shape, &mut x, &g)])?;
    ///         }
    ///         Ascent::Refused(report) => println!("{:?}", report.outcome),
    ///     }
    /// }
    /// assert!(x.iter().all(|x| x.abs() < 0.1));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub struct Sam<N: Neighbourhood = Ball> {
        /// Radius of the neighbourhood, in units of the parameters' norm (paper 0.05).
        rho "ρ" = 0.05 in Range::NON_NEGATIVE,
        with neighbourhood: N = N::default(),
    }
}

/// What [`Sam::perturb`] did.
#[derive(Debug)]
#[must_use = "the parameters are perturbed until it is given the second gradient"]
pub enum Ascent<'a, E: Element> {
    /// The parameters stand at the perturbed point: compute the gradient of the same batch there
    /// and give it to [`Perturbed::step`].
    Perturbed(Perturbed<'a, E>),
    /// Nothing has changed: gradients hold NaN or infinity. It counts as a refused step.
    Refused(StepReport),
}

/// The time between the two gradients. It holds the unperturbed parameters, and the optimizer,
/// which can neither step nor save meanwhile: a checkpoint between the gradients cannot be taken.
///
/// It ends with [`step`](Self::step) or [`cancel`](Self::cancel), which take it; neither can
/// happen twice:
///
/// ```compile_fail
/// # fn twice(second: thalweg::sam::Perturbed<'_, f32>) -> Result<(), thalweg::Error> {
/// let _ = second.step(&mut [])?;
/// let _ = second.step(&mut [])?; // used after it was moved
/// # Ok(()) }
/// ```
///
/// ```compile_fail
/// # use thalweg::{Optimizer, Param, recipes::adamw, sam::Sam};
/// # fn save(mut opt: Optimizer<f32>, p: &mut [Param<'_, f32>]) -> Result<(), thalweg::Error> {
/// let second = <Sam>::default().perturb(&mut opt, p)?;
/// opt.save("between")?; // borrowed by `second`
/// drop(second);
/// # Ok(()) }
/// ```
///
/// Dropping it restores nothing, since it cannot reach the parameters: they stay perturbed, and
/// the unperturbed ones are lost.
#[must_use = "the parameters are perturbed until `step` or `cancel` is called"]
pub struct Perturbed<'a, E: Element> {
    optimizer: &'a mut Optimizer<E>,
    before: Vec<(String, Vec<E>)>,
    /// The norm of the first gradient, stretched as the neighbourhood is.
    norm: f64,
}

impl<N: Neighbourhood> Sam<N> {
    /// Moves the parameters that came with a gradient, and are not frozen, to the perturbed point.
    ///
    /// # Errors
    /// If a name, shape, group or hyper-parameter does not fit, or if gradients are not finite and
    /// the optimizer's policy says to fail; a policy that does not look is taken to fail. If gradients
    /// wait in an accumulation. Then nothing has changed.
    ///
    /// In bf16 and f16 the perturbed parameter is rounded to the nearest: a radius below its last digits
    /// does not move it, and the second gradient is then the first.
    pub fn perturb<'a, E: Element>(
        &self,
        optimizer: &'a mut Optimizer<E>,
        params: &mut [Param<'_, E>],
    ) -> Result<Ascent<'a, E>, Error> {
        crate::part::check(self)?;
        if optimizer.accumulated > 0.0 {
            let what = "SAM looks at one batch: its first gradient would not be the accumulated one; \
                        take a step before, and give it the whole batch";
            return Err(Error::Engine(what.to_owned()));
        }
        let (active, mut report) = optimizer.begin(params)?;
        let clock = optimizer.steps();
        let reach = self.neighbourhood.reach(clock);
        let isa = optimizer.isa;
        if let Some(k) = active.iter().find(|k| params[**k].is_sparse()) {
            let what = "has a sparse gradient, which cannot perturb a parameter; give SAM a dense \
                        one";
            let parameter = params[*k].name.to_owned();
            return Err(Error::Shape { parameter, what: what.to_owned() });
        }
        let before: Vec<(String, Vec<E>)> = active
            .iter()
            .map(|k| (params[*k].name.to_owned(), params[*k].value.values(isa).into_owned()))
            .collect();
        let gradients: Vec<Vec<E>> = active.iter().map(|k| params[*k].gradient(isa)).collect();
        let stretched = |t: usize| {
            let pairs = gradients[t].iter().zip(&before[t].1);
            pairs.map(|(g, x)| reach(x.widen()) * g.widen())
        };
        let all = || (0..active.len()).flat_map(stretched);
        let mut norm = all().map(|v| v * v).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let count = |t: usize| stretched(t).filter(|v| !v.is_finite()).count() as u64;
            let refused: Vec<(String, u64)> = (0..active.len())
                .map(|t| (before[t].0.clone(), count(t)))
                .filter(|(_, count)| *count > 0)
                .collect();
            if !refused.is_empty() {
                report.grad_norm = Some(norm);
                optimizer.refuse(refused, &mut report)?;
                return Ok(Ascent::Refused(report));
            }
            norm = norm_of_huge(all);
        }
        let scale = self.rho.value(clock) / (norm + GUARD);
        for (t, k) in active.iter().enumerate() {
            let perturbed = |(x, g): (&E, &E)| {
                let reach = reach(x.widen());
                E::lift(x.widen() + reach * reach * g.widen() * scale)
            };
            let moved: Vec<E> = before[t].1.iter().zip(&gradients[t]).map(perturbed).collect();
            params[*k].value.write(isa, &moved);
        }
        Ok(Ascent::Perturbed(Perturbed { optimizer, before, norm }))
    }
}

impl<E: Element> Perturbed<'_, E> {
    /// The norm of the first gradient that the radius was divided by, over all parameters; for
    /// [`Stretched`], of the gradient times the sizes of the parameters.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// Puts the parameters back where they were and takes the optimizer's step with the gradients
    /// given here, those at the perturbed point. Clipping and the check for NaN look at them.
    ///
    /// # Errors
    /// Those of [`Optimizer::step`], and [`Error::Shape`] if a perturbed parameter is missing or
    /// has another length. The parameters that are there are back where they were in any case.
    pub fn step(mut self, params: &mut [Param<'_, E>]) -> Result<StepReport, Error> {
        self.restore(params)?;
        self.optimizer.step(params)
    }

    /// Puts the parameters back where they were, bit for bit, and takes no step. Gradients in the
    /// list are not looked at.
    ///
    /// # Errors
    /// [`Error::Shape`] if a perturbed parameter is missing or has another length; the others are
    /// back where they were.
    pub fn cancel(mut self, params: &mut [Param<'_, E>]) -> Result<(), Error> {
        self.restore(params)
    }

    fn restore(&mut self, params: &mut [Param<'_, E>]) -> Result<(), Error> {
        let mut result = Ok(());
        let mut at = 0;
        for (name, values) in std::mem::take(&mut self.before) {
            // The list is usually in the same order.
            let place = (at..params.len()).chain(0..at).find(|k| params[*k].name == name);
            match place {
                Some(k) if params[k].value.len() == values.len() => {
                    params[k].value.write(self.optimizer.isa, &values);
                    at = k + 1;
                }
                found => {
                    let what = match found {
                        Some(k) => format!(
                            "was perturbed with {} values and is to be restored in {}",
                            values.len(),
                            params[k].value.len()
                        ),
                        None => "was perturbed and is missing from the second list; it stays \
                                 perturbed"
                            .to_owned(),
                    };
                    if result.is_ok() {
                        result = Err(Error::Shape { parameter: name, what });
                    }
                }
            }
        }
        result
    }
}

impl<E: Element> std::fmt::Debug for Perturbed<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Perturbed")
            .field("optimizer", &self.optimizer)
            .field("params", &self.before.len())
            .finish_non_exhaustive()
    }
}
