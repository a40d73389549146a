//! Sharpness-aware minimisation: SAM (Foret et al. 2021, arXiv 2010.01412) and ASAM (Kwon et al.
//! 2021, arXiv 2102.11600).

use super::guard::{Refusal, norm_of_huge};
use super::{Optimizer, Param, StepReport};
use crate::engine::kernel::BLOCK;
use crate::engine::{Element, Isa};
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
    /// Its hyper-parameters may follow a [schedule](crate::Schedule) of the optimizer's steps, but no
    /// [`Plateau`](crate::Plateau): SAM is told no metric, and no checkpoint would hold what it had reached.
    ///
    /// Both lists of parameters are put together as for any step. A [copy](Param::copy_to) moves to the
    /// perturbed point and back with its parameter, so a model may live in it; a gradient that is
    /// [to be zeroed](Param::grad_to_zero) is zeroed by `perturb` and again by the step, so a backward
    /// pass may add to it.
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
    /// No parameter has moved: gradients hold NaN or infinity. It counts as a refused step.
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
    before: Room<E>,
    /// The norm of the first gradient, stretched as the neighbourhood is.
    norm: f64,
}

/// Room for what is between the two gradients, kept so that the next step allocates nothing.
#[derive(Default)]
pub(super) struct Room<E> {
    /// The places of those that are perturbed.
    pub(super) active: Vec<usize>,
    /// The same as they were before.
    kept: Vec<Kept<E>>,
}

/// A parameter as it was before it was perturbed.
#[derive(Default)]
struct Kept<E> {
    name: String,
    value: Vec<E>,
    /// What its copy held, if it came with one.
    copy: Option<Vec<E>>,
}

impl<E: Element> Kept<E> {
    fn keep(&mut self, isa: Isa, param: &Param<'_, E>) {
        self.name.clear();
        self.name.push_str(param.name);
        self.value.resize(param.value.len(), E::number(0.0));
        param.value.read(isa, 0, &mut self.value);
        let room = self.copy.take();
        self.copy = param.copy.as_ref().map(|copy| {
            let mut values = room.unwrap_or_default();
            values.resize(copy.len(), E::number(0.0));
            copy.read(isa, 0, &mut values);
            values
        });
    }

    /// Writes it back, or says what of it has no place.
    fn restore(&self, isa: Isa, param: &mut Param<'_, E>) -> Result<(), String> {
        let other = |what: &str, here: usize| {
            let count = self.value.len();
            Err(format!("{what} with {count} values and is to be restored in {here}"))
        };
        if param.value.len() != self.value.len() {
            return other("was perturbed", param.value.len());
        }
        param.value.write(isa, 0, &self.value);
        match (&self.copy, &mut param.copy) {
            (None, _) => Ok(()),
            (Some(kept), Some(copy)) if copy.len() == kept.len() => {
                copy.write(isa, 0, kept);
                Ok(())
            }
            (Some(_), Some(copy)) => other("has a copy that was perturbed", copy.len()),
            (Some(_), None) => {
                let what = "has a copy that was perturbed and is missing from the second list; it \
                            stays perturbed";
                Err(what.to_owned())
            }
        }
    }
}

impl<N: Neighbourhood> Sam<N> {
    /// Whether none of its schedules waits for a metric.
    fn check_plateaus(&self) -> Result<(), Error> {
        let mut result = Ok(());
        self.each(&mut |hyper| {
            hyper.schedule().plateaus(&mut |_| {
                let what = "follows a plateau, but SAM is told no metric, and no checkpoint would hold what \
                            the plateau had reached; give it another schedule, or another value when the \
                            metric stands still";
                result = Err(Error::Conflict { name: hyper.spec().name, what: what.to_owned() });
            });
        });
        result
    }

    /// Moves the parameters that came with a gradient, and are not frozen, to the perturbed point, and
    /// their copies with them.
    ///
    /// # Errors
    /// If a name, shape, group or hyper-parameter does not fit, a hyper-parameter of SAM follows a plateau
    /// ([`Error::Conflict`]), or if gradients are not finite and
    /// the optimizer's policy says to fail; a policy that does not look is taken to fail. If gradients
    /// wait in an accumulation. Then no parameter has moved.
    ///
    /// In bf16 and f16 the perturbed parameter is rounded to the nearest: a radius below its last digits
    /// does not move it, and the second gradient is then the first.
    pub fn perturb<'a, E: Element>(
        &self,
        optimizer: &'a mut Optimizer<E>,
        params: &mut [Param<'_, E>],
    ) -> Result<Ascent<'a, E>, Error> {
        crate::part::check(self)?;
        self.check_plateaus()?;
        if optimizer.accumulated > 0.0 {
            let what = "SAM looks at one batch: its first gradient would not be the accumulated one; \
                        take a step before, and give it the whole batch";
            return Err(Error::Engine(what.to_owned()));
        }
        let mut room = std::mem::take(&mut optimizer.between);
        let mut report = optimizer.begin(params, &mut room.active)?;
        if let Some(k) = room.active.iter().find(|k| params[**k].is_sparse()) {
            let what = "has a sparse gradient, which cannot perturb a parameter; give SAM a dense \
                        one";
            let parameter = params[*k].name.to_owned();
            return Err(Error::Shape { parameter, what: what.to_owned() });
        }
        let isa = optimizer.isa;
        room.kept.resize_with(room.active.len(), Kept::default);
        for (kept, k) in room.kept.iter_mut().zip(&room.active) {
            kept.keep(isa, &params[*k]);
        }
        let clock = optimizer.steps();
        let first = First {
            isa,
            room: &room,
            reach: self.neighbourhood.reach(clock),
            unscale: 1.0 / optimizer.loss_scale(),
        };
        let measured = first.norm(params);
        if let Ok(norm) = &measured {
            first.move_by(self.rho.value(clock) / (norm + GUARD), params);
        }
        // What leads to an error is left to be looked at.
        if measured.is_ok() || !optimizer.gives_up() {
            params.iter_mut().for_each(Param::clear_gradient);
        }
        match measured {
            Ok(norm) => Ok(Ascent::Perturbed(Perturbed { optimizer, before: room, norm })),
            Err((norm, refused)) => {
                report.grad_norm = Some(norm);
                optimizer.between = room;
                optimizer.refuse(Refusal { refused, when: "" }, &mut report)?;
                Ok(Ascent::Refused(report))
            }
        }
    }
}

/// The first gradient, and where it stands.
struct First<'r, E, R> {
    isa: Isa,
    room: &'r Room<E>,
    reach: R,
    /// What the gradients are multiplied by to be without the loss scale.
    unscale: f64,
}

impl<E: Element, R: Fn(f64) -> f64> First<'_, E, R> {
    /// Shows `T·g` of every coordinate, and which parameter it is of.
    fn each(&self, params: &[Param<'_, E>], mut see: impl FnMut(usize, f64)) {
        let mut g = [E::number(0.0); BLOCK];
        for (t, (kept, k)) in self.room.kept.iter().zip(&self.room.active).enumerate() {
            let Some(gradient) = &params[*k].grad else { continue };
            for (block, x) in kept.value.chunks(BLOCK).enumerate() {
                gradient.values.read(self.isa, block * BLOCK, &mut g[..x.len()]);
                for (x, g) in x.iter().zip(&g) {
                    see(t, (self.reach)(x.widen()) * (g.widen() * self.unscale));
                }
            }
        }
    }

    /// The norm of `T·g`, or whose gradients are not finite, how many of each.
    fn norm(&self, params: &[Param<'_, E>]) -> Result<f64, (f64, Vec<(String, u64)>)> {
        let mut squares = 0.0;
        self.each(params, |_, v| squares += v * v);
        let norm = squares.sqrt();
        if norm.is_finite() {
            return Ok(norm);
        }
        let (mut counts, mut all) = (vec![0u64; self.room.kept.len()], vec![]);
        self.each(params, |t, v| {
            counts[t] += u64::from(!v.is_finite());
            all.push(v);
        });
        let named = self.room.kept.iter().zip(counts).filter(|(_, count)| *count > 0);
        let refused: Vec<(String, u64)> = named.map(|(k, n)| (k.name.clone(), n)).collect();
        if refused.is_empty() {
            return Ok(norm_of_huge(|| all.iter().copied()));
        }
        Err((norm, refused))
    }

    /// Moves the parameters and their copies by `T²·g` times `step`.
    fn move_by(&self, step: f64, params: &mut [Param<'_, E>]) {
        let mut moved = [E::number(0.0); BLOCK];
        for (kept, k) in self.room.kept.iter().zip(&self.room.active) {
            let param = &mut params[*k];
            let Some(gradient) = &param.grad else { continue };
            for (block, x) in kept.value.chunks(BLOCK).enumerate() {
                let (at, moved) = (block * BLOCK, &mut moved[..x.len()]);
                gradient.values.read(self.isa, at, moved);
                for (v, x) in moved.iter_mut().zip(x) {
                    let (x, g) = (x.widen(), v.widen() * self.unscale);
                    let reach = (self.reach)(x);
                    *v = E::lift(x + reach * reach * g * step);
                }
                param.value.write(self.isa, at, moved);
                if let Some(copy) = &mut param.copy {
                    copy.write(self.isa, at, moved);
                }
            }
        }
    }
}

impl<E: Element> Perturbed<'_, E> {
    /// The norm of the first gradient that the radius was divided by, over all parameters, the loss
    /// scale divided out; for [`Stretched`], of the gradient times the sizes of the parameters.
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
        for kept in &self.before.kept {
            // The list is usually in the same order.
            let place = (at..params.len()).chain(0..at).find(|k| params[*k].name == kept.name);
            let restored = match place {
                Some(k) => {
                    at = k + 1;
                    kept.restore(self.optimizer.isa, &mut params[k])
                }
                None => {
                    Err("was perturbed and is missing from the second list; it stays perturbed"
                        .to_owned())
                }
            };
            if let (Err(what), true) = (restored, result.is_ok()) {
                result = Err(Error::Shape { parameter: kept.name.clone(), what });
            }
        }
        self.optimizer.between = std::mem::take(&mut self.before);
        result
    }
}

impl<E: Element> std::fmt::Debug for Perturbed<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Perturbed")
            .field("optimizer", &self.optimizer)
            .field("params", &self.before.kept.len())
            .finish_non_exhaustive()
    }
}
