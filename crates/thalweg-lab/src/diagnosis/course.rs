//! What probes hold, followed over the final runs of an optimizer: numbers to draw and to compare.

use thalweg::QUANTILES;

use super::record::{Layer, Probe};
use crate::protocol::stats::median;

/// A number that probes hold of the whole model, of each parameter, or of both.
#[derive(Debug)]
pub struct Quantity {
    /// Its name, unique.
    pub key: &'static str,
    /// The figure it is drawn in: the one that a [`Finding`](super::Finding) names.
    pub figure: &'static str,
    /// What an axis calls it.
    pub label: &'static str,
    /// Whether ratios of it count, not differences.
    pub log: bool,
    /// A value to compare with: what chance gives, or nothing done.
    pub level: Option<f64>,
    /// The range of a number that has one by nature.
    pub range: Option<[f64; 2]>,
    /// Whether a value says anything: a share of gains at a bound does not if it is zero.
    pub matters: fn(f64) -> bool,
    whole: fn(&Probe) -> Option<f64>,
    layer: fn(&Layer) -> Option<f64>,
}

/// A share that says something if it is at least a hundredth.
const SHARE: Quantity = Quantity {
    key: "",
    figure: "",
    label: "",
    log: false,
    level: None,
    range: Some([0.0, 1.0]),
    matters: |v| v >= 0.01,
    whole: |_| None,
    layer: |_| None,
};

/// A positive number of which ratios count.
const RATIO: Quantity = Quantity { log: true, range: None, matters: |_| true, ..SHARE };

/// Every quantity, in the order in which a reader meets them.
pub static QUANTITIES: [Quantity; 20] = [
    Quantity {
        key: "rate",
        figure: "effective-rate",
        label: "effective learning rate",
        whole: |p| over_rates(p, |r| r[2]),
        layer: |l| l.rates.map(|r| r[2]),
        ..RATIO
    },
    Quantity {
        key: "rate-spread",
        figure: "effective-rate",
        label: "spread of the rates, 95 % over 5 %",
        whole: |p| over_rates(p, |r| r[4] / r[0]),
        ..RATIO
    },
    Quantity {
        key: "update-ratio",
        figure: "update-ratio",
        label: "length of a step over that of the parameters",
        whole: |p| {
            let squares = |f: fn(&Layer) -> f64| p.layers.iter().map(|l| f(l).powi(2)).sum::<f64>();
            ratio(squares(|l| l.update_norm).sqrt(), squares(|l| l.weight_norm).sqrt())
        },
        // A bias that starts at zero has no size to compare with.
        layer: |l| ratio(l.update_norm, l.weight_norm).filter(|_| l.axes >= 2),
        ..RATIO
    },
    Quantity {
        key: "growth",
        figure: "growth",
        label: "length of the parameters over that at the start",
        level: Some(1.0),
        whole: growth,
        layer: |l| ratio(l.weight_norm, l.start_norm?).filter(|_| l.axes >= 2),
        ..RATIO
    },
    Quantity {
        key: "sign-agreement",
        figure: "sign-agreement",
        label: "successive gradients of one sign",
        level: Some(0.5),
        whole: |p| weighted(p, |l| l.successive),
        layer: |l| l.successive,
        matters: |_| true,
        ..SHARE
    },
    Quantity {
        key: "momentum-agreement",
        figure: "momentum-agreement",
        label: "gradients with the sign of the momentum",
        level: Some(0.5),
        whole: |p| weighted(p, |l| l.momentum),
        layer: |l| l.momentum,
        matters: |_| true,
        ..SHARE
    },
    Quantity {
        key: "confirmed",
        figure: "gradient-noise",
        label: "share of a gradient that the next confirms",
        level: Some(0.0),
        range: Some([-1.0, 1.0]),
        whole: confirmed,
        matters: |_| true,
        ..SHARE
    },
    Quantity {
        key: "gradient-norm",
        figure: "gradient-norm",
        label: "length of the gradient",
        // What was never there has not vanished.
        layer: |l| Some(l.gradient_norm).filter(|_| l.untouched < 1.0),
        matters: |v| v < f64::MIN_POSITIVE,
        ..RATIO
    },
    Quantity {
        key: "remembered",
        figure: "remembered",
        label: "root of the second moment over the gradient",
        level: Some(1.0),
        layer: remembered,
        matters: |v| v > 10.0,
        ..RATIO
    },
    Quantity {
        key: "gain-largest",
        figure: "gains",
        label: "largest learned gain",
        level: Some(1.0),
        whole: |p| p.layers.iter().filter_map(|l| Some(l.gains?.max)).reduce(f64::max),
        ..RATIO
    },
    Quantity {
        key: "gains-at-upper",
        figure: "gains",
        label: "gains at their upper bound",
        whole: |p| weighted(p, |l| Some(l.gains?.at_max)),
        layer: |l| Some(l.gains?.at_max),
        ..SHARE
    },
    Quantity {
        key: "gains-at-lower",
        figure: "gains",
        label: "gains at their lower bound",
        whole: |p| weighted(p, |l| Some(l.gains?.at_min)),
        layer: |l| Some(l.gains?.at_min),
        ..SHARE
    },
    Quantity {
        key: "gains-aligned",
        figure: "gains",
        label: "gains whose gradient agrees with the last step",
        level: Some(0.5),
        whole: |p| weighted(p, |l| l.gains?.aligned),
        layer: |l| l.gains?.aligned,
        matters: |_| true,
        ..SHARE
    },
    Quantity {
        key: "epsilon",
        figure: "epsilon",
        label: "coordinates where ε is in charge",
        whole: |p| weighted(p, |l| l.eps_dominates),
        layer: |l| l.eps_dominates,
        ..SHARE
    },
    Quantity {
        key: "clip-factor",
        figure: "clip-factor",
        label: "what clipping leaves of a gradient",
        matters: |v| v < 1.0,
        whole: |p| Some(p.clip_factor),
        layer: |l| l.clip_factor,
        ..RATIO
    },
    Quantity {
        key: "trust-ratio",
        figure: "trust-ratio",
        label: "trust ratio",
        level: Some(1.0),
        layer: |l| l.trust_ratio,
        ..RATIO
    },
    Quantity {
        key: "norm-counted",
        figure: "trust-ratio",
        label: "norm that the limits of the trust ratio count, over the norm",
        level: Some(1.0),
        matters: |v| v != 1.0,
        layer: |l| l.norm_counted,
        ..RATIO
    },
    Quantity {
        key: "untouched",
        figure: "untouched",
        label: "coordinates never given a gradient",
        whole: |p| weighted(p, |l| Some(l.untouched)),
        layer: |l| Some(l.untouched),
        ..SHARE
    },
    Quantity {
        key: "underflow",
        figure: "underflow",
        label: "second moments that bf16 would lose",
        layer: |l| l.lost_in_bf16,
        ..SHARE
    },
    Quantity {
        key: "lowest-code",
        figure: "underflow",
        label: "second moments at the lowest 8-bit code",
        layer: |l| l.at_lowest_code,
        ..SHARE
    },
];

impl Quantity {
    /// The quantity of this key.
    pub fn named(key: &str) -> Option<&'static Quantity> {
        QUANTITIES.iter().find(|q| q.key == key)
    }
}

fn ratio(a: f64, b: f64) -> Option<f64> {
    (b > 0.0).then(|| a / b)
}

/// How many times as long the matrices are as at the start; what starts at zero has no length to compare with.
pub(super) fn growth(probe: &Probe) -> Option<f64> {
    let sized = |l: &&Layer| l.axes >= 2 && l.start_norm.is_some_and(|norm| norm > 0.0);
    let squares = probe
        .layers
        .iter()
        .filter(sized)
        .map(|l| [l.weight_norm, l.start_norm.unwrap_or(0.0)].map(|norm| norm * norm));
    let [now, start] = squares.fold([0.0, 0.0], |[a, b], [x, y]| [a + x, b + y]);
    ratio(now.sqrt(), start.sqrt())
}

/// What of a gradient the next one confirms: their product over the mean of their squared lengths, −1 if they are
/// opposite and 0 by chance.
pub(super) fn confirmed(probe: &Probe) -> Option<f64> {
    Some(probe.signal / (probe.signal + probe.noise)).filter(|share| share.is_finite())
}

/// How many times the gradient of today the root of the second moment is.
pub(super) fn remembered(layer: &Layer) -> Option<f64> {
    ratio(layer.remembered?, layer.gradient_norm)
}

/// The mean over the parameters that have it, each coordinate counting once.
pub(super) fn weighted(probe: &Probe, of: impl Fn(&Layer) -> Option<f64>) -> Option<f64> {
    let parts = probe.layers.iter().filter_map(|l| Some((of(l)?, l.coordinates as f64)));
    let (sum, weight) = parts.fold((0.0, 0.0), |(s, w), (a, n)| (s + a * n, w + n));
    (weight > 0.0).then(|| sum / weight)
}

/// The geometric mean over the parameters, each coordinate counting once; none if a parameter stands still.
fn over_rates(probe: &Probe, of: fn(&[f64; QUANTILES.len()]) -> f64) -> Option<f64> {
    let log = weighted(probe, |l| Some(of(l.rates.as_ref()?).ln()))?;
    log.is_finite().then(|| log.exp())
}

/// The courses of an optimizer's final runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Courses {
    /// Every parameter with its coordinates.
    pub parameters: Vec<(String, usize)>,
    /// Every quantity that there is, in the whole model and in each parameter.
    pub courses: Vec<Course>,
    /// The effective learning rates in each parameter that has moved.
    pub rates: Vec<RateCourse>,
}

/// A quantity along the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The [`Quantity::key`].
    pub quantity: &'static str,
    /// In which parameter; `None` in the whole model.
    pub parameter: Option<String>,
    /// Where more than half of the seeds have it.
    pub moments: Vec<Moment>,
    /// Of every seed that has it: the median over the earlier and over the later half of its probes.
    pub halves: Vec<[f64; 2]>,
}

impl Course {
    /// The median over the seeds of what each had over the later half of its probes.
    pub fn later(&self) -> f64 {
        median(&self.halves.iter().map(|h| h[1]).collect::<Vec<_>>())
    }

    /// Whether any moment says something.
    pub fn matters(&self) -> bool {
        let quantity = Quantity::named(self.quantity);
        quantity.is_some_and(|q| self.moments.iter().any(|m| (q.matters)(m.median)))
    }
}

/// A moment of a course.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The step.
    pub step: usize,
    /// The median over the seeds.
    pub median: f64,
    /// The lowest of them.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// Effective learning rates along the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RateCourse {
    /// In which parameter.
    pub parameter: String,
    /// The step, and there the median over the seeds of each of the [`QUANTILES`].
    pub moments: Vec<(usize, [f64; QUANTILES.len()])>,
}

impl Courses {
    /// The courses over the seeds.
    pub fn of(seeds: &[&[Probe]]) -> Courses {
        let some = seeds.iter().find_map(|probes| probes.first());
        let Some(some) = some else { return Courses::default() };
        let name = |l: &Layer| (l.parameter.clone(), l.coordinates);
        let mut courses = Vec::new();
        for quantity in &QUANTITIES {
            courses.extend(course(quantity, None, seeds, &|p| (quantity.whole)(p)));
            for (k, layer) in some.layers.iter().enumerate() {
                let value = |p: &Probe| (quantity.layer)(p.layers.get(k)?);
                courses.extend(course(quantity, Some(&layer.parameter), seeds, &value));
            }
        }
        let rates = some.layers.iter().enumerate().filter_map(|(k, layer)| {
            let moments = shared_steps(seeds, &|p| p.layers.get(k)?.rates);
            let median = |(step, all): (usize, Vec<[f64; QUANTILES.len()]>)| {
                let quantile = |q| median(&all.iter().map(|r| r[q]).collect::<Vec<_>>());
                (step, std::array::from_fn(quantile))
            };
            let moments: Vec<_> = moments.into_iter().map(median).collect();
            (!moments.is_empty())
                .then(|| RateCourse { parameter: layer.parameter.clone(), moments })
        });
        Courses {
            rates: rates.collect(),
            parameters: some.layers.iter().map(name).collect(),
            courses,
        }
    }

    /// The course of a quantity in a parameter, or in the whole model.
    pub fn get(&self, quantity: &str, parameter: Option<&str>) -> Option<&Course> {
        let same = |c: &&Course| c.quantity == quantity && c.parameter.as_deref() == parameter;
        self.courses.iter().find(same)
    }
}

/// The steps at which more than half of the seeds have something, and what they have.
fn shared_steps<T>(seeds: &[&[Probe]], of: &dyn Fn(&Probe) -> Option<T>) -> Vec<(usize, Vec<T>)> {
    let mut at: std::collections::BTreeMap<usize, Vec<T>> = Default::default();
    for probe in seeds.iter().copied().flatten() {
        if let Some(value) = of(probe) {
            at.entry(probe.step).or_default().push(value);
        }
    }
    at.into_iter().filter(|(_, values)| 2 * values.len() > seeds.len()).collect()
}

fn course(
    quantity: &Quantity,
    parameter: Option<&str>,
    seeds: &[&[Probe]],
    of: &dyn Fn(&Probe) -> Option<f64>,
) -> Option<Course> {
    let moment = |(step, values): (usize, Vec<f64>)| Moment {
        step,
        median: median(&values),
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    let moments: Vec<Moment> = shared_steps(seeds, of).into_iter().map(moment).collect();
    let halves = seeds.iter().filter_map(|probes| {
        let values: Vec<f64> = probes.iter().filter_map(of).collect();
        let (first, later) = values.split_at(values.len() / 2);
        (!first.is_empty()).then(|| [median(first), median(later)])
    });
    (!moments.is_empty()).then(|| Course {
        quantity: quantity.key,
        parameter: parameter.map(str::to_owned),
        moments,
        halves: halves.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(parameter: &str, coordinates: usize, rate: f64, successive: f64) -> Layer {
        Layer {
            parameter: parameter.to_owned(),
            axes: 2,
            coordinates,
            gradient_norm: 1.0,
            weight_norm: 4.0,
            start_norm: Some(0.5),
            update_norm: 3.0,
            untouched: 0.0,
            looked: 2,
            rates: Some([rate / 10.0, rate / 2.0, rate, 2.0 * rate, 10.0 * rate]),
            successive: Some(successive),
            momentum: None,
            eps_dominates: None,
            remembered: None,
            lost_in_f16: None,
            lost_in_bf16: None,
            lost_in_8_bit: None,
            at_lowest_code: None,
            gains: None,
            clip_factor: None,
            trust_ratio: None,
            norm_counted: None,
        }
    }

    fn probe(step: usize, rate: f64, successive: f64) -> Probe {
        Probe {
            step,
            loss: 1.0,
            lr: Some(0.1),
            clip_factor: 1.0,
            signal: 1.0,
            noise: 3.0,
            layers: vec![layer("a", 3, rate, successive), layer("b", 1, 16.0 * rate, 0.0)],
        }
    }

    #[test]
    fn the_whole_model_counts_every_coordinate_once() {
        let probes = [probe(2, 1.0, 0.8), probe(4, 1.0, 0.8)];
        let courses = Courses::of(&[&probes]);
        let first = |key, parameter| {
            courses.get(key, parameter).map(|c| (c.moments[0].step, c.moments[0].median))
        };
        assert_eq!(courses.parameters, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        let (step, agreement) = first("sign-agreement", None).unwrap();
        assert!(step == 2 && (agreement - 0.6).abs() < 1e-12, "{agreement}");
        // 16 to the power of one coordinate in four.
        assert!((first("rate", None).unwrap().1 - 2.0).abs() < 1e-12);
        assert!((first("rate-spread", None).unwrap().1 - 100.0).abs() < 1e-9);
        assert!((first("update-ratio", None).unwrap().1 - 0.75).abs() < 1e-12);
        assert_eq!(first("confirmed", None), Some((2, 0.25)));
        assert_eq!(first("rate", Some("b")), Some((2, 16.0)));
        assert_eq!(first("growth", None), Some((2, 8.0)));
        // What an optimizer does not have is no course.
        assert_eq!(first("gains-at-upper", None), None);
        assert_eq!(first("momentum-agreement", Some("a")), None);
    }

    #[test]
    fn a_moment_needs_more_than_half_of_the_seeds_and_tells_how_far_they_lie_apart() {
        let seed = |rate: f64, steps: &[usize]| -> Vec<Probe> {
            steps.iter().map(|step| probe(*step, rate * *step as f64, 0.5)).collect()
        };
        let all = [seed(1.0, &[2, 4, 8, 16]), seed(3.0, &[2, 4]), seed(2.0, &[2, 4, 8])];
        let seeds: Vec<&[Probe]> = all.iter().map(|p| &p[..]).collect();
        let courses = Courses::of(&seeds);
        let course = courses.get("rate", Some("a")).unwrap();
        let steps: Vec<usize> = course.moments.iter().map(|m| m.step).collect();
        assert_eq!(steps, [2, 4, 8]);
        assert_eq!(course.moments[1], Moment { step: 4, median: 8.0, low: 4.0, high: 12.0 });
        assert_eq!(course.halves, [[3.0, 12.0], [6.0, 12.0], [4.0, 12.0]]);
        assert_eq!(courses.rates[0].moments[0], (2, [0.4, 2.0, 4.0, 8.0, 40.0]));
        assert_eq!(Courses::of(&[&[], &[]]), Courses::default());
    }

    #[test]
    fn every_figure_that_findings_name_has_a_quantity() {
        let figures: std::collections::HashSet<&str> =
            QUANTITIES.iter().map(|q| q.figure).collect();
        for name in [
            "sign-agreement",
            "momentum-agreement",
            "clip-factor",
            "trust-ratio",
            "gains",
            "epsilon",
            "underflow",
            "update-ratio",
            "growth",
            "gradient-norm",
            "remembered",
            "untouched",
            "gradient-noise",
        ] {
            assert!(figures.contains(name), "{name}");
        }
        let keys: std::collections::HashSet<&str> = QUANTITIES.iter().map(|q| q.key).collect();
        assert_eq!(keys.len(), QUANTITIES.len());
    }
}
