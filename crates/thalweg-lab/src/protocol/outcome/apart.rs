//! What sets the first apart from all that are ruled out, as far as probes can tell.

use super::types::{Apart, Half, Standing};
use crate::diagnosis::{Course, QUANTITIES, Quantity};

/// With fewer seeds than this, ranges lie apart by chance too often: of two times three equal runs in one
/// case of ten, of two times four in one of 35.
const SEEDS: usize = 4;

/// Ranges that lie apart by less than this factor, or by less than this share, are no difference to learn
/// from, however sure.
const FACTOR: f64 = 1.2;
const SHARE: f64 = 0.02;

/// The quantities of which every seed of the first lies above, or every seed below, every seed of every
/// optimizer that is ruled out.
pub(super) fn apart(ranked: &[Standing]) -> Vec<Apart> {
    let Some(first) = ranked.first().filter(|s| s.may_be_best) else { return Vec::new() };
    let others: Vec<&Standing> = ranked.iter().filter(|s| !s.may_be_best).collect();
    QUANTITIES.iter().filter_map(|q| of_quantity(q, first, &others)).collect()
}

fn of_quantity(quantity: &Quantity, first: &Standing, others: &[&Standing]) -> Option<Apart> {
    let own = course(quantity, first)?;
    let theirs: Option<Vec<&Course>> = others.iter().map(|s| course(quantity, s)).collect();
    between(quantity, own, &theirs.filter(|courses| !courses.is_empty())?)
}

/// In which half, and on which side, one course lies apart from all others.
fn between(quantity: &Quantity, own: &Course, theirs: &[&Course]) -> Option<Apart> {
    let half = |h: usize| {
        let range = |courses: &[&Course]| {
            let values = courses.iter().flat_map(|c| &c.halves).map(|halves| halves[h]);
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)])
        };
        let (own, theirs) = (range(&[own]), range(theirs));
        let says = own.iter().chain(&theirs).any(|v| (quantity.matters)(*v));
        let sides = [(theirs[1], own[0], true), (own[1], theirs[0], false)];
        let clear = sides.into_iter().find(|(low, high, _)| {
            says && *high > if quantity.log { FACTOR * low } else { low + SHARE }
        });
        clear.map(|(.., higher)| (higher, own, theirs))
    };
    let (half, (higher, first, others)) = match (half(0), half(1)) {
        (Some(earlier), Some(later)) if earlier.0 == later.0 => (Half::Both, later),
        (_, Some(later)) => (Half::Later, later),
        (Some(earlier), None) => (Half::Earlier, earlier),
        (None, None) => return None,
    };
    Some(Apart { quantity: quantity.key, half, higher, first, others })
}

/// The course in the whole model, if enough seeds have it.
fn course<'s>(quantity: &Quantity, standing: &'s Standing) -> Option<&'s Course> {
    standing.courses.get(quantity.key, None).filter(|c| c.halves.len() >= SEEDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(quantity: &str, halves: [[f64; 2]; 4]) -> Course {
        let quantity = Quantity::named(quantity).unwrap().key;
        Course { quantity, parameter: None, moments: Vec::new(), halves: halves.into() }
    }

    fn found(quantity: &str, own: [[f64; 2]; 4], theirs: &[[[f64; 2]; 4]]) -> Option<Apart> {
        let theirs: Vec<Course> = theirs.iter().map(|halves| course(quantity, *halves)).collect();
        let all: Vec<&Course> = theirs.iter().collect();
        let kind = Quantity::named(quantity).unwrap();
        between(kind, &course(quantity, own), &all)
    }

    #[test]
    fn every_seed_must_lie_on_one_side_of_every_seed_of_all_others() {
        let own = [[0.5, 0.10], [0.5, 0.12], [0.5, 0.11], [0.5, 0.2]];
        let below = [[0.5, 0.01], [0.6, 0.02], [0.4, 0.03], [0.5, 0.05]];
        let apart = found("update-ratio", own, &[below, below]).unwrap();
        assert_eq!((apart.half, apart.higher), (Half::Later, true));
        assert_eq!((apart.first, apart.others), ([0.10, 0.2], [0.01, 0.05]));
        // One seed of one other among them is enough to say nothing.
        let mut among = below;
        among[2][1] = 0.15;
        assert_eq!(found("update-ratio", own, &[below, among]), None);
        // Nor does a gap say anything that is too narrow to matter.
        among[2][1] = 0.09;
        assert_eq!(found("update-ratio", own, &[below, among]), None);
    }

    #[test]
    fn halves_on_one_side_are_throughout_and_on_two_sides_the_later_counts() {
        let (high, low) = ([0.9, 0.9], [0.3, 0.4]);
        let agreement = |own, theirs| found("sign-agreement", [own; 4], &[[theirs; 4]]);
        let both = agreement(low, high).unwrap();
        assert_eq!((both.half, both.higher), (Half::Both, false));
        let crossed = agreement([0.9, 0.2], [0.2, 0.9]).unwrap();
        assert_eq!((crossed.half, crossed.higher), (Half::Later, false));
        assert_eq!(agreement([0.9, 0.5], [0.2, 0.51]).unwrap().half, Half::Earlier);
        // Where nothing happens there is nothing to tell apart.
        assert_eq!(found("epsilon", [[0.0; 2]; 4], &[[[0.001; 2]; 4]]), None);
    }
}
