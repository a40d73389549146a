//! Whether two runs are the same, bit for bit.

use super::training::{Point, Run};
use crate::tasks::Measurement;

/// The first thing in which a repeated run differs from the one that was kept; `None` if they agree in
/// every bit. Seconds are not compared.
pub fn first_difference(kept: &Run, again: &Run) -> Option<String> {
    for (a, b) in kept.points.iter().zip(&again.points) {
        if let Some(what) = point(a, b) {
            return Some(format!("after {} gradient evaluations, {what}", a.step));
        }
    }
    if kept.points.len() != again.points.len() {
        return Some(format!(
            "there were {} measurements, now there are {}",
            kept.points.len(),
            again.points.len()
        ));
    }
    if kept.divergence != again.divergence {
        return Some(format!("divergence was {:?}, now {:?}", kept.divergence, again.divergence));
    }
    match (kept.test, again.test) {
        (Some(a), Some(b)) => measurement("test", a, b),
        (None, None) => None,
        (a, b) => Some(format!("the test result was {a:?}, now {b:?}")),
    }
}

fn point(a: &Point, b: &Point) -> Option<String> {
    if a.step != b.step {
        return Some(format!("the next measurement is after {}", b.step));
    }
    number("training loss", a.train_loss, b.train_loss)
        .or_else(|| measurement("validation", a.validation, b.validation))
}

fn measurement(part: &str, a: Measurement, b: Measurement) -> Option<String> {
    number(&format!("{part} loss"), Some(a.loss), Some(b.loss))
        .or_else(|| number(&format!("{part} metric"), a.metric, b.metric))
}

fn number(what: &str, a: Option<f64>, b: Option<f64>) -> Option<String> {
    // NaNs are kept without their bits.
    let bits =
        |x: Option<f64>| x.map(|x| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() });
    (bits(a) != bits(b)).then(|| format!("the {what} was {a:?}, now it is {b:?}"))
}
