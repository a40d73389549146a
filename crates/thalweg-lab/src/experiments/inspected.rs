//! What is wrong in the sources, or absent from them, and is seen by reading: there is nothing to measure.

use super::{Experiment, Record, Verdict};
use crate::Result;

const fn inspected(
    name: &'static str,
    row: &'static str,
    source: &'static str,
    claim: &'static str,
    correct: &'static str,
    errata: &'static [&'static str],
    features: &'static [&'static str],
) -> Experiment {
    Experiment {
        name,
        row,
        source,
        claim,
        correct,
        errata,
        decides: &[],
        features,
        expected: Verdict::NotRun,
        run: nothing,
    }
}

fn nothing(r: &mut Record) -> Result<()> {
    r.not_run("by inspection: it is seen by reading, and there is nothing to measure".to_owned());
    Ok(())
}

#[rustfmt::skip] // One line per claim.
pub(super) const ALL: &[Experiment] = &[
    inspected("bilevel", "E09", "000 §4.1 eq. 30-31, Summary", "the gains are derived strictly from min_ν E L_val(θ*(ν)) with θ*(ν) = argmin_θ L_train(θ; ν)", "eq. 41 is one step of the hypergradient of the training loss: no validation loss, no expectation over tasks and no inner minimum are in it, and argmin_θ L(θ) does not depend on ν", &["E09"], &["F022"]),
    inspected("class-in-torch", "E20", "000 §8.2", "p.data.add_(grad, alpha=-lr*nu) takes a step with a gain per coordinate", "alpha must be a number in torch, and a tensor is a TypeError; addcmul_(nu, grad, value=-lr) takes it. The defaults of the class are run in meta-egd-defaults, its algorithm in meta-egd-bowl", &["E20"], &["F042"]),
    inspected("rate-counted-twice", "E57", "004 §4.3, §11.3", "θ − η·H⁻¹·m with H = diag(√v)/(η·σ) is Adam", "put in, it is θ − η²·σ·m/√v: the rate counts twice. Adam is θ − H⁻¹·m with H = diag(√v + ε)/η, as the body has it", &["E57"], &["F111"]),
    inspected("announced", "F093", "002 intro", "chapters on language, graph networks and information geometry and an exercise are announced", "the document ends without them", &[], &["F093"]),
];
