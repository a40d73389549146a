//! The experiments of matrix and second-order methods: their methods are not in the library yet.

use super::{Experiment, Record, Verdict};
use crate::Result;

const fn pending(
    name: &'static str,
    row: &'static str,
    source: &'static str,
    claim: &'static str,
    errata: &'static [&'static str],
    features: &'static [&'static str],
) -> Experiment {
    Experiment {
        name,
        row,
        source,
        claim,
        correct: "",
        errata,
        decides: &[],
        features,
        expected: Verdict::Pending,
        run: nothing,
    }
}

fn nothing(r: &mut Record) -> Result<()> {
    r.not_run("its methods are not in the library yet".to_owned());
    Ok(())
}

#[rustfmt::skip] // One line per experiment.
pub(super) const ALL: &[Experiment] = &[
    pending("newton", "X31", "004 §1-2, §10.3-10.4", "Newton's method converges quadratically near a minimum", &["E54", "E72", "E76"], &["F099", "F100", "F102", "F103", "F135", "F136", "F137", "F138"]),
    pending("block-inverse", "X32", "004 §8.4", "the inverse of a block approximation is off by C·ε", &["E66"], &["F127"]),
    pending("fisher-hessian", "X33", "004 §7.4, §12.1", "the Fisher matrix is the Hessian of a well-specified model", &["E51", "E61", "E62", "E75"], &["F114", "F119", "F121", "F146"]),
    pending("mini-batch-fisher", "X34", "002 AdaGrad; 004 §7.5", "squared mini-batch gradients estimate the diagonal of the Fisher matrix", &["E30", "E63"], &["F066", "F122"]),
    pending("natural-gradient", "X35", "002 AdaGrad; 004 §7.1-7.3", "the natural gradient does not depend on the parametrisation", &["E30"], &["F066", "F118", "F120"]),
    pending("gradients-as-curvature", "X36", "004 body, §4.1, §5.3", "√E g² is the curvature along each axis", &["E42", "E50", "E52", "E75"], &["F070", "F098", "F105", "F109", "F110", "F115", "F146"]),
    pending("kfac", "X38", "004 §8.2", "the curvature of a layer is a Kronecker product of two covariances", &["E64"], &["F123", "F124"]),
    pending("inverse-root", "X39", "004 §8.3", "inverse fourth roots by eigendecomposition are accurate enough", &[], &["F125", "F126"]),
    pending("shampoo", "X40", "004 §8.3", "Shampoo is a variant of K-FAC", &["E65"], &["F125"]),
    pending("matrix-problem", "X41", "004 §8.3, §9", "Shampoo, SOAP and Muon on a matrix problem", &[], &["F125", "F126"]),
    pending("newton-schulz", "X42", "004 §9.3", "X(3I − AX²)/2 converges with third order from X₀ = I/‖A‖", &["E68"], &["F130"]),
    pending("muon", "X43", "004 §9", "Muon is (m·mᵀ)^(−1/2)·m", &["E67", "E69"], &["F128", "F131", "F132"]),
    pending("hutchinson", "X46", "004 §3.2", "the diagonal of the Hessian from random products (AdaHessian, Sophia)", &[], &["F107"]),
    pending("matrix-methods-on-spirals", "X48", "004 §10.5, §11.4", "K-FAC and Shampoo take fewer and dearer steps than Adam", &[], &["F141", "F145"]),
    pending("future-directions", "X49", "000 §9.1; 004 §11.1, §11.3, §12.3", "automatic rates and β₂, mixed precision, a choice of method per layer", &[], &["F043", "F082", "F104", "F142", "F144", "F148", "F149", "F150"]),
];
