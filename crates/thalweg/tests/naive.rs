//! The engine beside the plain loop over its formulas, on tensors of several blocks, which no golden trajectory has.

mod proof;

use proof::*;
use thalweg::Isa;
use thalweg::naive::Naive;

/// The formulas run one coordinate after another know no blocks, lanes or spans: bit for bit the same where
/// nothing is summed, and up to the rounding of the sums elsewhere.
#[test]
fn over_several_blocks_the_engine_is_the_formulas_one_coordinate_after_another() {
    const STEPS: u64 = 6;
    const N: u64 = 2 * 1024 + 17;
    // A sum of N terms is off by at most N roundings of their size, in either order, at every step.
    let rounding = (2 * STEPS * N) as f64 * (f64::EPSILON / 2.0);
    let mut skipped = vec![];
    for sentence in sentences() {
        let mut x = [Tensor::<f64>::new("x", 0..N)];
        let start = x[0].x().to_vec();
        let Some(mut naive) = Naive::new(sentence.chain.clone(), &start) else {
            skipped.push(sentence.name);
            continue;
        };
        let mut opt = optimizer(&sentence.chain, Isa::available()[0]);
        let gradient = tame(12);
        for clock in 0..STEPS {
            train(&mut opt, &mut x, 1, &gradient);
            naive.step(&(0..N).map(|id| gradient(clock, id)).collect::<Vec<f64>>());
        }
        let mut view = vec![f64::NAN; start.len()];
        opt.evaluation("x", x[0].x(), &mut view).expect("a view");
        let sums = sentence.chain.reading_passes() > 0;
        for (what, got, want) in
            [("x", x[0].x(), naive.x()), ("view", &view[..], &naive.view()[..])]
        {
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let most = if sums { rounding * want.abs().max(start[i].abs()) } else { 0.0 };
                let close = (got - want).abs() <= most;
                assert!(close, "{}: {what}[{i}] is {got:e}, not {want:e}", sentence.name);
            }
        }
    }
    assert_eq!(skipped, ["noise"]);
}
