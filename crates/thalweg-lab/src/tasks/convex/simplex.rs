//! Tasks whose parameters are shares that sum to one, an example per gradient.

use crate::rng::Stream;
use crate::tasks::formula::Function;

/// Shares, and days or rounds.
const COUNT: usize = 8;
const DAYS: usize = 250;

/// A start near equal shares.
fn shares(stream: &mut Stream) -> Vec<f64> {
    let weights: Vec<f64> = (0..COUNT).map(|_| 1.0 + 0.2 * f64::from(stream.uniform())).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// A day, which another seed does not see at the same time.
fn any(stream: &mut Stream) -> usize {
    stream.below(DAYS as u32) as usize
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean over all days, each `day` a loss and its gradient.
fn mean(x: &[f64], gradient: &mut [f64], day: impl Fn(usize, &[f64], &mut [f64]) -> f64) -> f64 {
    gradient.fill(0.0);
    let (mut loss, mut slope) = (0.0, [0.0; COUNT]);
    for t in 0..DAYS {
        loss += day(t, x, &mut slope) / DAYS as f64;
        gradient.iter_mut().zip(slope).for_each(|(sum, g)| *sum += g / DAYS as f64);
    }
    loss
}

/// Cover's online portfolio (1991): the shares are restored every day, and the wealth grows by the mean of
/// the assets' price relatives. Prices are a trend and a wave for each asset, which a formula gives.
pub(super) struct Portfolio;

/// The mean logarithmic loss per day of the best constant shares.
const BEST: f64 = -0.001_652_350_418_365_1;

/// Losses below this count as it: single precision's shares do not sum to one exactly.
const ROUND_OFF: f64 = 1e-7;

/// The [floor](crate::tasks::Task::floor) of the portfolio, whose losses are above those of the best shares.
pub(super) const PORTFOLIO_FLOOR: f64 = ROUND_OFF;

impl Portfolio {
    /// The price of each asset at the end of a day, as a multiple of that at its beginning.
    fn relatives(day: usize) -> [f64; COUNT] {
        std::array::from_fn(|i| {
            let (t, i) = (day as f64, i as f64);
            let wave = (1.7 * t * (1.0 + 0.13 * i) + i).sin();
            1.0 + 0.0004 * (i - 2.0) + (0.01 + 0.005 * i) * wave
        })
    }

    fn day(day: usize, x: &[f64], gradient: &mut [f64]) -> f64 {
        let relatives = Self::relatives(day);
        let growth = dot(x, &relatives);
        gradient.iter_mut().zip(relatives).for_each(|(g, r)| *g = -r / growth);
        -growth.ln() - BEST
    }
}

impl Function for Portfolio {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        shares(stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        mean(x, gradient, Self::day)
    }

    fn seen(&self, _: usize, stream: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        Self::day(any(stream), x, gradient)
    }

    fn optimum(&self) -> Option<f64> {
        Some(0.0)
    }

    fn metric(&self, _: &[f64], loss: f64) -> Option<f64> {
        Some(loss)
    }
}

/// Prediction with expert advice (Littlestone and Warmuth 1994): the loss of a round is that of the
/// experts, mixed by the shares. The best mixture is the best expert alone.
pub(super) struct Experts;

/// The mean loss of the best expert.
const BEST_EXPERT: f64 = 0.498_940_835_743_013_5;

/// The [floor](crate::tasks::Task::floor) of the experts.
pub(super) const EXPERTS_FLOOR: f64 = BEST_EXPERT + ROUND_OFF;

impl Experts {
    /// The loss of each expert in a round.
    fn losses(round: usize) -> [f64; COUNT] {
        std::array::from_fn(|i| {
            let (t, i) = (round as f64, i as f64);
            let wave = (1.3 * t * (1.0 + 0.17 * i) + 2.0 * i).sin();
            0.5 + 0.3 * wave + 0.02 * (i - 5.0).abs()
        })
    }

    fn round(round: usize, x: &[f64], gradient: &mut [f64]) -> f64 {
        let losses = Self::losses(round);
        gradient.copy_from_slice(&losses);
        dot(x, &losses)
    }
}

impl Function for Experts {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        shares(stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        mean(x, gradient, Self::round)
    }

    fn seen(&self, _: usize, stream: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        Self::round(any(stream), x, gradient)
    }

    fn optimum(&self) -> Option<f64> {
        let mut means = [0.0; COUNT];
        mean(&[0.0; COUNT], &mut means, Self::round);
        means.into_iter().reduce(f64::min)
    }

    fn metric(&self, _: &[f64], loss: f64) -> Option<f64> {
        self.optimum().map(|best| loss - best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::stats::Estimate;
    use crate::rng::Purpose;
    use crate::tasks::formula::check_gradient;

    fn start() -> Vec<f64> {
        shares(&mut Stream::new("t", 1, Purpose::Init, 0))
    }

    #[test]
    fn gradients_agree_with_differences() {
        check_gradient("portfolio", &Portfolio, &start());
        check_gradient("experts", &Experts, &start());
    }

    #[test]
    fn gradients_of_days_average_to_that_of_all() {
        type Day = fn(usize, &[f64], &mut [f64]) -> f64;
        let functions: [(&dyn Function, Day); 2] =
            [(&Portfolio, Portfolio::day), (&Experts, Experts::round)];
        for (function, one) in functions {
            let (x, mut sum, mut all) = (start(), [0.0; COUNT], [0.0; COUNT]);
            let (mut day, mut loss) = ([0.0; COUNT], 0.0);
            for t in 0..DAYS {
                loss += one(t, &x, &mut day) / DAYS as f64;
                sum.iter_mut().zip(day).for_each(|(s, g)| *s += g / DAYS as f64);
            }
            assert!((function.at(&x, &mut all) - loss).abs() < 1e-12);
            assert!(sum.iter().zip(all).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    /// What is seen has the mean over all days as its expectation: four standard errors are allowed.
    #[test]
    fn days_are_drawn_alike_and_by_the_seed() {
        for function in [&Portfolio as &dyn Function, &Experts] {
            let (x, mut all, mut day) = (start(), [0.0; COUNT], [0.0; COUNT]);
            let loss = function.at(&x, &mut all);
            let mut seen = |seed, step| {
                let mut noise = Stream::new("t", seed, Purpose::Noise, step);
                function.seen(0, &mut noise, &x, &mut day)
            };
            let losses: Vec<f64> = (0..20_000).map(|step| seen(1, step)).collect();
            let Estimate { mean, half_width, .. } = Estimate::of(&losses);
            assert!((mean - loss).abs() < 2.0 * half_width.unwrap(), "{mean} {loss}");
            let apart = (0..100).filter(|step| seen(2, *step) != losses[*step as usize]).count();
            assert!(apart > 90, "{apart}");
        }
    }

    /// Shares found with scipy 1.16 (`minimize`, SLSQP) and by Cover's multiplicative iteration; they
    /// satisfy the conditions of Karush, Kuhn and Tucker.
    #[test]
    fn the_best_shares_are_those_of_scipy() {
        let mut best = [0.0; COUNT];
        (best[6], best[7]) = (0.383_649_115, 0.616_350_885);
        let mut gradient = [0.0; COUNT];
        let loss = Portfolio.at(&best, &mut gradient);
        assert!(loss.abs() < 1e-12, "{loss}");
        // Where a share is positive the slope is that of the mean, elsewhere no smaller.
        assert!((gradient[6] + 1.0).abs() < 1e-8 && (gradient[7] + 1.0).abs() < 1e-8);
        assert!(gradient[..6].iter().all(|g| *g > -1.0));
    }

    #[test]
    fn the_best_expert_is_the_sixth() {
        // numpy: mean losses 0.6015 .. 0.4989 .. 0.5407.
        assert!((Experts.optimum().unwrap() - BEST_EXPERT).abs() < 1e-12);
        let mut alone = [0.0; COUNT];
        alone[5] = 1.0;
        let loss = Experts.at(&alone, &mut [0.0; COUNT]);
        assert_eq!(Experts.metric(&alone, loss), Some(loss - Experts.optimum().unwrap()));
        assert!((loss - Experts.optimum().unwrap()).abs() < 1e-12);
    }
}
