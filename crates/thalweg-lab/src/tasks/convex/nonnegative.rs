//! Tasks whose parameters must not be negative, on the digits that ship inside the program.

use crate::Result;
use crate::data;
use crate::rng::Stream;
use crate::tasks::ParameterSpec;
use crate::tasks::formula::Function;

const PIXELS: usize = 64;

/// The first `count` digits in the order of their source, a row each, pixels from 0 to 1.
fn digits(count: usize) -> Result<Vec<f64>> {
    Ok(data::digits_in_order()?
        .images
        .iter()
        .take(count * PIXELS)
        .map(|p| f64::from(*p) / 16.0)
        .collect())
}

/// `½ |A x − b|²`, where the columns of `A` are 200 digits and `b` is the next one.
pub(super) struct LeastSquares {
    /// A row per digit.
    columns: Vec<f64>,
    target: Vec<f64>,
}

const COLUMNS: usize = 200;

/// The smallest loss, from `scipy.optimize.nnls`; a test checks the conditions for it.
const OPTIMUM: f64 = 0.189_422_980_219_365_66;

/// Below this only the last digits of the parameters tell losses apart: 200 of them, each known to 3e-8 of a size
/// of about a tenth, in directions of curvature 10 or so.
pub(super) const FLOOR: f64 = OPTIMUM + 1e-12;

impl LeastSquares {
    pub(super) fn new() -> Result<Self> {
        let mut columns = digits(COLUMNS + 1)?;
        let target = columns.split_off(COLUMNS * PIXELS);
        Ok(LeastSquares { columns, target })
    }
}

impl Function for LeastSquares {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        let near = |_| (0.9 + 0.2 * f64::from(stream.uniform())) / COLUMNS as f64;
        (0..COLUMNS).map(near).collect()
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut residual: Vec<f64> = self.target.iter().map(|b| -b).collect();
        for (x, column) in x.iter().zip(self.columns.chunks_exact(PIXELS)) {
            residual.iter_mut().zip(column).for_each(|(r, a)| *r += x * a);
        }
        for (g, column) in gradient.iter_mut().zip(self.columns.chunks_exact(PIXELS)) {
            *g = residual.iter().zip(column).map(|(r, a)| r * a).sum();
        }
        0.5 * residual.iter().map(|r| r * r).sum::<f64>()
    }

    fn optimum(&self) -> Option<f64> {
        Some(OPTIMUM)
    }

    fn metric(&self, _: &[f64], loss: f64) -> Option<f64> {
        Some(loss - OPTIMUM)
    }
}

/// The mean over all pixels of `(V − W H)²`, where `V` are the digits, a row each, `W` says how much of
/// each part is in which digit, and `H` are the parts (Lee and Seung 1999).
pub(super) struct Factorisation {
    digits: Vec<f64>,
}

const DIGITS: usize = 100;
const PARTS: usize = 6;

impl Factorisation {
    pub(super) fn new() -> Result<Self> {
        Ok(Factorisation { digits: digits(DIGITS)? })
    }
}

impl Function for Factorisation {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let spec = |name: &str, shape: [usize; 2]| ParameterSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            fan_in: PARTS,
        };
        vec![spec("weights", [DIGITS, PARTS]), spec("parts", [PARTS, PIXELS])]
    }

    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        // Products of two such numbers sum to about the mean pixel over all parts.
        let draw = |_| 0.1 + 0.4 * f64::from(stream.uniform());
        (0..PARTS * (DIGITS + PIXELS)).map(draw).collect()
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (weights, parts) = x.split_at(DIGITS * PARTS);
        let (d_weights, d_parts) = gradient.split_at_mut(DIGITS * PARTS);
        d_parts.fill(0.0);
        let scale = 1.0 / (DIGITS * PIXELS) as f64;
        let mut loss = 0.0;
        let rows = weights.chunks_exact(PARTS).zip(d_weights.chunks_exact_mut(PARTS));
        for (digit, (weights, d_weights)) in self.digits.chunks_exact(PIXELS).zip(rows) {
            let mut residual: [f64; PIXELS] = std::array::from_fn(|i| -digit[i]);
            for (w, part) in weights.iter().zip(parts.chunks_exact(PIXELS)) {
                residual.iter_mut().zip(part).for_each(|(r, p)| *r += w * p);
            }
            loss += scale * residual.iter().map(|r| r * r).sum::<f64>();
            for (k, part) in parts.chunks_exact(PIXELS).enumerate() {
                let dot: f64 = residual.iter().zip(part).map(|(r, p)| r * p).sum();
                d_weights[k] = 2.0 * scale * dot;
                let factor = 2.0 * scale * weights[k];
                let own = &mut d_parts[k * PIXELS..][..PIXELS];
                own.iter_mut().zip(residual).for_each(|(d, r)| *d += factor * r);
            }
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use crate::tasks::formula::check_gradient;

    const SOLUTION: [(usize, f64); 10] = [
        (4, 0.068_342_133_307_681_4),
        (11, 0.194_816_570_736_228_93),
        (18, 0.025_214_910_256_030_076),
        (57, 0.042_434_171_590_760_85),
        (107, 0.359_418_346_664_388_93),
        (141, 0.191_306_735_232_773_83),
        (154, 0.088_927_023_955_348_96),
        (183, 0.002_765_612_090_729_481_4),
        (194, 0.003_933_553_266_278_523),
        (198, 0.096_641_382_235_217_27),
    ];

    #[test]
    fn gradients_agree_with_differences() {
        let mut stream = Stream::new("t", 1, Purpose::Init, 0);
        let squares = LeastSquares::new().unwrap();
        check_gradient("nnls", &squares, &squares.start(&mut stream));
        let factors = Factorisation::new().unwrap();
        check_gradient("nmf", &factors, &factors.start(&mut stream));
    }

    /// The solution of scipy 1.16 (`scipy.optimize.nnls`) on the same digits.
    #[test]
    fn the_optimum_of_scipy_satisfies_the_conditions() {
        let squares = LeastSquares::new().unwrap();
        let mut x = vec![0.0; COLUMNS];
        for (i, value) in SOLUTION {
            x[i] = value;
        }
        let mut gradient = vec![0.0; COLUMNS];
        let loss = squares.at(&x, &mut gradient);
        assert!((loss - OPTIMUM).abs() < 1e-12, "{loss}");
        for (x, g) in x.iter().zip(&gradient) {
            // Karush, Kuhn and Tucker: no slope where a coordinate is positive, none below zero elsewhere.
            assert!(*g > -1e-10 && (*x == 0.0 || g.abs() < 1e-10), "{x} {g}");
        }
    }

    #[test]
    fn exact_factors_have_no_loss() {
        let mut task = Factorisation::new().unwrap();
        let x = task.start(&mut Stream::new("t", 1, Purpose::Init, 0));
        let (w, h) = x.split_at(DIGITS * PARTS);
        let at =
            |i: usize, j: usize| (0..PARTS).map(|k| w[i * PARTS + k] * h[k * PIXELS + j]).sum();
        task.digits = (0..DIGITS * PIXELS).map(|n| at(n / PIXELS, n % PIXELS)).collect();
        let mut gradient = vec![1.0; x.len()];
        assert!(task.at(&x, &mut gradient) < 1e-28);
        assert!(gradient.iter().all(|g| g.abs() < 1e-12));
    }
}
