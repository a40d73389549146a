//! Online convex optimization: an optimizer plays against losses that are named round by round.
//!
//! In every round the optimizer stands at a point `x`, an adversary (who may have seen `x`) names
//! a convex loss `f`, the optimizer suffers `f(x)` and takes one step with the gradient `∇f(x)`.
//! Its regret against a comparator `u` is what it suffered beyond one who stood at `u` throughout,
//! `Σ f(x) − Σ f(u)` (Zinkevich 2003). A good method's regret grows slower than the number of
//! rounds, whatever the losses.
//!
//! On the probability simplex with linear losses (experts), normalised exponentiated gradient, a
//! chain over [`geometry::Simplex`](crate::geometry::Simplex), has a regret that depends on the
//! dimension only by its logarithm. [`Experts`] knows the bound and [`Game::standing`] compares a
//! game with it.
//!
//! ```
//! use thalweg::online::{Experts, Game, Linear};
//! use thalweg::{Chain, Optimizer, geometry::Simplex, rules::Scale};
//!
//! let setting = Experts::new(4, 500, 1.0)?;
//! let chain = Chain::new(Scale::default().lr(setting.tuned_lr())).over(Simplex::default());
//! let mut player = Optimizer::<f64>::new(chain)?;
//! // The adversary charges whoever is trusted most.
//! let game = Game::against(&mut player, &[0.25; 4], 500, |x| {
//!     let heaviest = (0..4).max_by(|a, b| x[*a].total_cmp(&x[*b])).unwrap_or(0);
//!     Linear((0..4).map(|i| if i == heaviest { 1.0 } else { -1.0 }).collect())
//! })?;
//! let standing = game.standing(setting.tuned_lr())?;
//! assert!(standing.regret <= standing.bound);
//! # Ok::<(), thalweg::Error>(())
//! ```

use std::fmt;

use crate::error::Error;
use crate::optimizer::{Optimizer, Outcome, Param};

/// What the optimizer calls the point it plays, e.g. in
/// [`Optimizer::slot`](crate::Optimizer::slot).
pub const POINT: &str = "point";

/// A convex loss of one round.
pub trait Loss {
    /// The loss at `x`, which has as many coordinates as the start of the game.
    fn value(&self, x: &[f64]) -> f64;
    /// The gradient (or a subgradient) at `x`, as long as `x`, per unit of each coordinate.
    fn gradient(&self, x: &[f64]) -> Vec<f64>;
}

/// The linear loss `⟨g, x⟩` with these coefficients `g`, one per coordinate: on the simplex, what
/// each expert is charged in the round.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear(pub Vec<f64>);

impl Loss for Linear {
    fn value(&self, x: &[f64]) -> f64 {
        self.0.iter().zip(x).map(|(g, x)| g * x).sum()
    }

    fn gradient(&self, _: &[f64]) -> Vec<f64> {
        self.0.clone()
    }
}

/// A game played to its end: the losses that were named, what was suffered in each round, and the
/// point after the last step.
#[derive(Clone, Debug)]
pub struct Game<L> {
    losses: Vec<L>,
    suffered: Vec<f64>,
    start: Vec<f64>,
    point: Vec<f64>,
}

impl<L: Loss> Game<L> {
    /// Plays `rounds` rounds from `start` against an adversary who sees the point before naming
    /// the loss. On the simplex, `start` is a distribution: its coordinates add up to 1.
    ///
    /// The optimizer must be new, and can be asked for its state afterwards (as [`POINT`]).
    ///
    /// # Errors
    /// [`Error::Online`] if `start` is empty, the optimizer has taken steps before, or a loss is
    /// NaN or infinite at the point; [`Error::Shape`] if a gradient has not as many coordinates as
    /// `start`; [`Error::NonFinite`] if one holds NaN or infinity, whatever the optimizer's own
    /// policy; those of [`Optimizer::step`].
    pub fn against(
        optimizer: &mut Optimizer<f64>,
        start: &[f64],
        rounds: usize,
        mut adversary: impl FnMut(&[f64]) -> L,
    ) -> Result<Game<L>, Error> {
        let mut game = Game::begin(optimizer, start)?;
        for _ in 0..rounds {
            let loss = adversary(&game.point);
            game.round(optimizer, loss)?;
        }
        Ok(game)
    }

    /// Plays one round per loss of a sequence fixed beforehand; otherwise as
    /// [`against`](Self::against).
    ///
    /// # Errors
    /// Those of [`against`](Self::against).
    pub fn play(
        optimizer: &mut Optimizer<f64>,
        start: &[f64],
        losses: impl IntoIterator<Item = L>,
    ) -> Result<Game<L>, Error> {
        let mut game = Game::begin(optimizer, start)?;
        for loss in losses {
            game.round(optimizer, loss)?;
        }
        Ok(game)
    }

    fn begin(optimizer: &Optimizer<f64>, start: &[f64]) -> Result<Game<L>, Error> {
        if start.is_empty() {
            return Err(Error::Online("the start has no coordinates; give it at least one".into()));
        }
        // A geometry remembers where it stands and would overwrite another start.
        if optimizer.steps() > 0 {
            let taken = optimizer.steps();
            let what = format!("the optimizer has taken {taken} steps; a game needs a new one");
            return Err(Error::Online(what));
        }
        Ok(Game { losses: vec![], suffered: vec![], start: start.to_vec(), point: start.to_vec() })
    }

    fn round(&mut self, optimizer: &mut Optimizer<f64>, loss: L) -> Result<(), Error> {
        let gradient = loss.gradient(&self.point);
        let shape = [self.point.len()];
        same_length("gradient", gradient.len(), shape[0])?;
        let value = loss.value(&self.point);
        let round = self.losses.len() + 1;
        if !value.is_finite() {
            return Err(Error::Online(format!(
                "the loss of round {round} is {value} at the point"
            )));
        }
        let report =
            optimizer.step(&mut [Param::new(POINT, &shape, &mut self.point, &gradient)])?;
        if let Outcome::Refused(refused) = report.outcome {
            let count = refused.iter().map(|(_, count)| count).sum();
            let (parameter, more) = (POINT.to_owned(), String::new());
            return Err(Error::NonFinite { parameter, count, step: round as u64, more });
        }
        self.suffered.push(value);
        self.losses.push(loss);
        Ok(())
    }

    /// The rounds played.
    pub fn rounds(&self) -> usize {
        self.losses.len()
    }

    /// The point after the last step, as long as the start.
    pub fn point(&self) -> &[f64] {
        &self.point
    }

    /// What was suffered in each round, in order.
    pub fn suffered(&self) -> &[f64] {
        &self.suffered
    }

    /// What was suffered in all rounds together.
    pub fn loss(&self) -> f64 {
        self.suffered.iter().sum()
    }

    /// The regret against `comparator`: the cumulative loss minus that of standing at
    /// `comparator` in every round. It may be negative.
    ///
    /// # Errors
    /// [`Error::Shape`] if `comparator` has not as many coordinates as the start.
    pub fn regret(&self, comparator: &[f64]) -> Result<f64, Error> {
        Ok(self.regret_curve(comparator)?.last().copied().unwrap_or(0.0))
    }

    /// The regret against `comparator` after each round, one number per round.
    ///
    /// # Errors
    /// [`Error::Shape`] if `comparator` has not as many coordinates as the start.
    pub fn regret_curve(&self, comparator: &[f64]) -> Result<Vec<f64>, Error> {
        same_length("comparator", comparator.len(), self.point.len())?;
        let (mut suffered, mut compared) = (0.0, 0.0);
        let rounds = self.suffered.iter().zip(&self.losses);
        let curve = rounds.map(|(value, loss)| {
            suffered += value;
            compared += loss.value(comparator);
            suffered - compared
        });
        Ok(curve.collect())
    }
}

impl Game<Linear> {
    /// The best fixed point of the simplex in hindsight, which for linear losses is a single
    /// expert: its number, from 0, and its cumulative loss. Of equals, the first.
    pub fn best_expert(&self) -> (usize, f64) {
        best(&self.totals())
    }

    /// After each round, the regret against the expert that is the best one up to there.
    pub fn expert_regret_curve(&self) -> Vec<f64> {
        let (mut suffered, mut totals) = (0.0, vec![0.0; self.point.len()]);
        let rounds = self.suffered.iter().zip(&self.losses);
        let curve = rounds.map(|(value, loss)| {
            suffered += value;
            add(&mut totals, loss);
            suffered - best(&totals).1
        });
        curve.collect()
    }

    /// How the game stands against the bound for exponentiated gradient with the constant
    /// learning rate `lr`, from where the game began: `ln count` for the uniform distribution, else the
    /// divergence of the best expert from the start. That the optimizer was this one, with this rate, is not
    /// checked. The limit of the losses is the largest that occurred.
    ///
    /// # Errors
    /// [`Error::Online`] if no round was played.
    pub fn standing(&self, lr: f64) -> Result<Standing, Error> {
        let sizes = self.losses.iter().flat_map(|loss| &loss.0).map(|g| g.abs());
        let setting = Experts::new(self.point.len(), self.rounds(), sizes.fold(0.0, f64::max))?;
        let (best, best_loss) = self.best_expert();
        let loss = self.loss();
        let bound = setting.bound_over(-self.start[best].ln(), lr);
        Ok(Standing { setting, lr, loss, best, best_loss, regret: loss - best_loss, bound })
    }

    fn totals(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.point.len()];
        self.losses.iter().for_each(|loss| add(&mut totals, loss));
        totals
    }
}

/// Adds what each expert was charged.
fn add(totals: &mut [f64], Linear(charges): &Linear) {
    totals.iter_mut().zip(charges).for_each(|(total, charge)| *total += charge);
}

/// The smallest total and its place.
fn best(totals: &[f64]) -> (usize, f64) {
    let better = |a: (usize, f64), b: (usize, f64)| if b.1 < a.1 { b } else { a };
    totals.iter().copied().enumerate().reduce(better).unwrap_or((0, 0.0))
}

/// Linear losses on the probability simplex: what is known before the game.
///
/// The bound (Kivinen & Warmuth 1997; Freund & Schapire 1997; with these constants
/// Shalev-Shwartz 2012, "Online Learning and Online Convex Optimization") holds for normalised
/// exponentiated gradient from the uniform distribution with a constant learning rate, against
/// every sequence and every adversary: the negative entropy is 1-strongly convex in the l1 norm
/// on the simplex, and the divergence from the start to any point is at most `ln count`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    count: usize,
    rounds: usize,
    limit: f64,
}

impl Experts {
    /// `count` experts, `rounds` rounds, no charge larger than `limit` in absolute value (in units
    /// of the loss).
    ///
    /// # Errors
    /// [`Error::Online`] if there is no expert or no round, or `limit` is negative or not finite.
    pub fn new(count: usize, rounds: usize, limit: f64) -> Result<Experts, Error> {
        if count == 0 || rounds == 0 || !(limit >= 0.0 && limit.is_finite()) {
            return Err(Error::Online(format!(
                "{count} experts, {rounds} rounds and the limit {limit} are no game: it needs at \
                 least 1 expert, 1 round and a limit in [0, ∞)"
            )));
        }
        Ok(Experts { count, rounds, limit })
    }

    /// The number of experts, the dimension of the simplex plus one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of rounds.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// The largest charge.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The most the regret can be with the learning rate `lr` (per unit of loss):
    /// `ln count / lr + lr·rounds·limit²/2`, whose second term is 0 if `limit` is, whatever the rate.
    /// Infinite if `lr` is not positive.
    pub fn bound(&self, lr: f64) -> f64 {
        self.bound_over(self.log_count(), lr)
    }

    /// The bound against a point at this divergence from the start.
    fn bound_over(&self, divergence: f64, lr: f64) -> f64 {
        // The tuned rate of a game without charges is infinite.
        let charged = if self.limit == 0.0 {
            0.0
        } else {
            lr * self.rounds as f64 * self.limit * self.limit / 2.0
        };
        if lr > 0.0 { divergence / lr + charged } else { f64::INFINITY }
    }

    /// The learning rate with the smallest bound, `√(2 ln count / rounds) / limit`. Infinite if
    /// `limit` is 0, otherwise zero if there is one expert.
    pub fn tuned_lr(&self) -> f64 {
        if self.limit == 0.0 {
            return f64::INFINITY;
        }
        (2.0 * self.log_count() / self.rounds as f64).sqrt() / self.limit
    }

    /// The bound at [`tuned_lr`](Self::tuned_lr), `limit·√(2·rounds·ln count)`.
    pub fn tuned_bound(&self) -> f64 {
        self.limit * (2.0 * self.rounds as f64 * self.log_count()).sqrt()
    }

    fn log_count(&self) -> f64 {
        libm::log(self.count as f64)
    }
}

/// A game on the simplex against its bound.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// Experts, rounds, and the largest charge that occurred.
    pub setting: Experts,
    /// The learning rate the bound is for.
    pub lr: f64,
    /// What the player suffered in all rounds together.
    pub loss: f64,
    /// The best expert in hindsight, from 0.
    pub best: usize,
    /// The best expert's cumulative loss.
    pub best_loss: f64,
    /// `loss − best_loss`.
    pub regret: f64,
    /// The most `regret` can be; see [`Experts::bound`].
    pub bound: f64,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { setting, lr, loss, best, best_loss, regret, bound } = self;
        write!(
            f,
            "{} rounds, {} experts: loss {loss:.6}, best expert {best} {best_loss:.6}, regret \
             {regret:.6}, bound {bound:.6} at lr {lr:.6} (tuned: {:.6} at {:.6})",
            setting.rounds,
            setting.count,
            setting.tuned_bound(),
            setting.tuned_lr()
        )
    }
}

/// The Bregman divergence `ψ(p) − ψ(q) − ⟨∇ψ(q), p − q⟩` of a differentiable convex `potential` ψ:
/// by how much ψ at `p` exceeds its linearisation at `q` (Bregman 1967). It is not symmetric;
/// for convex ψ it is not negative up to rounding, and for strictly convex ψ zero only at `p = q`.
///
/// # Errors
/// [`Error::Shape`] if `p`, `q` and the gradient at `q` are not equally long.
pub fn bregman(
    potential: impl Fn(&[f64]) -> f64,
    gradient: impl Fn(&[f64]) -> Vec<f64>,
    p: &[f64],
    q: &[f64],
) -> Result<f64, Error> {
    same_length("q", q.len(), p.len())?;
    let slope = gradient(q);
    same_length("gradient", slope.len(), q.len())?;
    let steps = p.iter().zip(q).map(|(p, q)| p - q);
    let linear: f64 = slope.iter().zip(steps).map(|(slope, step)| slope * step).sum();
    Ok(potential(p) - potential(q) - linear)
}

/// `‖p − q‖²/2`: the divergence of the Euclidean geometry, `ψ = ‖x‖²/2`.
///
/// # Errors
/// [`Error::Shape`] if `p` and `q` are not equally long.
pub fn squared_euclidean(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    same_length("q", q.len(), p.len())?;
    Ok(p.iter().zip(q).map(|(p, q)| 0.5 * (p - q) * (p - q)).sum())
}

/// The generalised Kullback–Leibler divergence `Σ p·ln(p/q) − p + q`, in nats: the divergence of
/// the negative entropy, `ψ = Σ x·ln x − x`. `0·ln 0` is 0; infinite if some `q` is 0 where `p`
/// is not.
///
/// # Errors
/// [`Error::Shape`] if `p` and `q` are not equally long; [`Error::Online`] if a coordinate is
/// negative or not finite.
pub fn generalised_kl(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    let term = |p: f64, q: f64| {
        // Rounding must not make a term negative.
        (relative_entropy(p, q) - p + q).max(0.0)
    };
    separable(p, q, |x| x >= 0.0, "at least 0", term)
}

/// The Kullback–Leibler divergence `Σ p·ln(p/q)`, in nats. Where `p` and `q` have the same sum, as
/// distributions have, it is [`generalised_kl`] and not negative.
///
/// # Errors
/// [`Error::Shape`] if `p` and `q` are not equally long; [`Error::Online`] if a coordinate is
/// negative or not finite.
pub fn kullback_leibler(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    separable(p, q, |x| x >= 0.0, "at least 0", relative_entropy)
}

/// The Itakura–Saito divergence `Σ p/q − ln(p/q) − 1`: the divergence of the Burg entropy,
/// `ψ = −Σ ln x`. Multiplying `p` and `q` by the same number leaves it unchanged.
///
/// # Errors
/// [`Error::Shape`] if `p` and `q` are not equally long; [`Error::Online`] if a coordinate is not
/// positive or not finite.
pub fn itakura_saito(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    let term = |p: f64, q: f64| (p / q - log_quotient(p, q) - 1.0).max(0.0);
    separable(p, q, |x| x > 0.0, "greater than 0", term)
}

/// `p·ln(p/q)` with its limits where either is zero.
fn relative_entropy(p: f64, q: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * log_quotient(p, q) }
}

/// `ln(p/q)`, also where the quotient is too large or too small for a number.
fn log_quotient(p: f64, q: f64) -> f64 {
    let quotient = p / q;
    if quotient.is_normal() { libm::log(quotient) } else { libm::log(p) - libm::log(q) }
}

/// The sum of a term over the coordinates, all of which must be in the domain.
fn separable(
    p: &[f64],
    q: &[f64],
    inside: impl Fn(f64) -> bool,
    domain: &str,
    term: impl Fn(f64, f64) -> f64,
) -> Result<f64, Error> {
    same_length("q", q.len(), p.len())?;
    for (name, values) in [("p", p), ("q", q)] {
        let outside = values.iter().position(|x| !(x.is_finite() && inside(*x)));
        if let Some(i) = outside {
            let value = values[i];
            let what = format!("{name}[{i}] = {value}; this divergence needs numbers {domain}");
            return Err(Error::Online(what));
        }
    }
    Ok(p.iter().zip(q).map(|(p, q)| term(*p, *q)).sum())
}

/// Whether something has as many coordinates as it must.
fn same_length(what: &str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected {
        return Ok(());
    }
    let what_is_wrong = format!("has {got} coordinates, but must have {expected}");
    Err(Error::Shape { parameter: what.to_owned(), what: what_is_wrong })
}
