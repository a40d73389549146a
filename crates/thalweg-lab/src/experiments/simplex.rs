//! X04 and X05: divergences, the simplex, and mirror maps for signed parameters.

use thalweg::geometry::{EgPm, Hypentropy, PNorm, Simplex};
use thalweg::online;

use super::egd::{THIRDS, descent, exponentiated, inside};
use super::stream::Rng;
use super::walk::{Walk, distance};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "bregman-properties",
        row: "X04",
        source: "000 §2.1",
        claim: "a Bregman divergence is never negative, zero only for equal points, and not symmetric",
        correct: "so it is, for a strictly convex potential",
        errata: &[],
        decides: &["lowest of 1000 random pairs", "largest difference of both directions"],
        features: &["F011"],
        expected: Verdict::Holds,
        run: bregman_properties,
    },
    Experiment {
        name: "bregman-kl",
        row: "X04",
        source: "000 §2.4 eq. 20",
        claim: "the divergence of the negative entropy is the Kullback-Leibler divergence",
        correct: "it is the generalised one, KL − Σp + Σq",
        errata: &["E05"],
        decides: &["divergence off the simplex", "KL off the simplex"],
        features: &["F015"],
        expected: Verdict::HoldsIf("both points have the same sum, as on the simplex"),
        run: bregman_kl,
    },
    Experiment {
        name: "simplex-step",
        row: "X04",
        source: "000 §2.3 eq. 17-19",
        claim: "mirror descent with negative entropy on the simplex is θ·exp(−η·g)",
        correct: "the constraint has a multiplier: θ·exp(−η·g)/Σ",
        errata: &["E04"],
        decides: &["sum after the source's step"],
        features: &["F012", "F013", "F014"],
        expected: Verdict::Refuted,
        run: simplex_step,
    },
    Experiment {
        name: "uniform-start",
        row: "X04",
        source: "000 §3.2 eq. 26",
        claim: "the divergence from the start to any comparator is at most ln d",
        correct: "KL(θ*‖θ₁) = ln d − H(θ*) for the uniform start only",
        errata: &["E07"],
        decides: &["KL to a vertex from uniform", "KL to a vertex that starts with 0.01"],
        features: &["F019"],
        expected: Verdict::HoldsIf("the start is uniform"),
        run: uniform_start,
    },
    Experiment {
        name: "mirror-maps",
        row: "X05",
        source: "000 §2.2",
        claim: "mirror descent is one algorithm for every mirror map; the map makes the method",
        correct: "EG± without rescaling is hypentropy, whose limits are descent and exponentiated gradient; the p-norm with p = 2 is descent",
        errata: &["E04"],
        decides: &["EG± − hypentropy(0.7), 300 steps", "hypentropy(1e4) − descent, 50 steps"],
        features: &["F012"],
        expected: Verdict::Holds,
        run: mirror_maps,
    },
];

/// The divergence of the negative entropy `Σ x·ln x − x`, by definition.
fn entropic(p: &[f64], q: &[f64]) -> Result<f64> {
    let potential = |x: &[f64]| x.iter().map(|x| x * x.ln() - x).sum();
    Ok(online::bregman(potential, |x| x.iter().map(|x| x.ln()).collect(), p, q)?)
}

fn bregman_properties(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(4);
    let mut draw = || -> Vec<f64> { (0..4).map(|_| 0.05 + 3.0 * rng.uniform()).collect() };
    let (mut lowest, mut at_itself, mut asymmetry) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    for _ in 0..1000 {
        let (p, q) = (draw(), draw());
        let divergence = entropic(&p, &q)?;
        lowest = lowest.min(divergence);
        at_itself = at_itself.max(entropic(&p, &p)?.abs());
        asymmetry = asymmetry.max((divergence - entropic(&q, &p)?).abs());
    }
    r.above("lowest of 1000 random pairs", lowest, 0.0);
    r.near("largest of a point to itself", at_itself, 0.0, 1e-12);
    r.above("largest difference of both directions", asymmetry, 0.1);
    r.claim("1000 random pairs", lowest > 0.0 && at_itself <= 1e-12 && asymmetry > 0.1);
    Ok(())
}

fn bregman_kl(r: &mut Record) -> Result<()> {
    let (p, q) = ([0.2, 0.5, 1.0], [0.3; 3]);
    let divergence = entropic(&p, &q)?;
    r.printed("divergence off the simplex", divergence, "0.5782925946");
    let kl = online::kullback_leibler(&p, &q)?;
    r.printed("KL off the simplex", kl, "1.3782925946");
    let generalised = online::generalised_kl(&p, &q)?;
    r.near("generalised KL − divergence", generalised - divergence, 0.0, 1e-12);
    r.claim("Σp = 1.7, Σq = 0.9", (kl - divergence).abs() < 1e-9);
    let (p, q) = ([0.2, 0.5, 0.3], THIRDS);
    let error = online::kullback_leibler(&p, &q)? - entropic(&p, &q)?;
    r.near("KL − divergence on the simplex", error, 0.0, 1e-12);
    r.claim("both on the simplex", error.abs() <= 1e-12);
    Ok(())
}

fn simplex_step(r: &mut Record) -> Result<()> {
    let g = [1.0, 0.0, -1.0];
    let mut walk = Walk::new(descent(0.5)?.over(Simplex::default()), &THIRDS)?;
    walk.step(&g)?;
    let want = ["0.18632372", "0.30719589", "0.50648039"];
    r.all_printed("x after a normalised step", &walk.x, &want);
    let mut source = Walk::new(exponentiated(0.5)?, &THIRDS)?;
    source.step(&g)?;
    let sum: f64 = source.x.iter().sum();
    r.printed("sum after the source's step", sum, "1.085084");
    r.claim(
        "one step from the uniform distribution stays on the simplex",
        (sum - 1.0).abs() < 1e-9,
    );
    Ok(())
}

fn uniform_start(r: &mut Record) -> Result<()> {
    let uniform = [0.1; 10];
    let pair = [[0.5; 2].as_slice(), &[0.0; 8]].concat();
    let vertex = [[1.0].as_slice(), &[0.0; 9]].concat();
    let log = 10f64.ln();
    let to_pair = online::kullback_leibler(&pair, &uniform)?;
    r.printed("KL to (½, ½, 0, …) from uniform", to_pair, "1.609");
    let to_vertex = online::kullback_leibler(&vertex, &uniform)?;
    r.near("KL to a vertex from uniform", to_vertex, log, 1e-12);
    r.claim("uniform start", to_pair < log && to_vertex <= log + 1e-12);
    let tilted = [[0.01].as_slice(), &[0.11; 9]].concat();
    let from_tilted = online::kullback_leibler(&vertex, &tilted)?;
    r.near("KL to a vertex that starts with 0.01", from_tilted, 100f64.ln(), 1e-12);
    r.claim("start (0.01, 0.11, …)", from_tilted <= log);
    Ok(())
}

fn mirror_maps(r: &mut Record) -> Result<()> {
    let hypentropic = |lr: f64, beta: f64| Ok(descent(lr)?.over(Hypentropy::default().beta(beta)));
    let run = |chain: Result<thalweg::Chain>, start: &[f64], steps: usize| -> Result<Vec<f64>> {
        let mut walk = Walk::new(chain?, start)?;
        walk.descend(steps, inside)?;
        Ok(walk.x)
    };
    let pair = Ok(descent(0.05)?.over(EgPm::default().beta(0.7)));
    let (pair, single) = (run(pair, &[0.0; 3], 300)?, run(hypentropic(0.05, 0.7), &[0.0; 3], 300)?);
    let paired = distance(&pair, &single);
    r.near("EG± − hypentropy(0.7), 300 steps", paired, 0.0, 1e-13);
    let plain = run(descent(0.01), &THIRDS, 50)?;
    let wide = distance(&run(hypentropic(1e-6, 1e4), &THIRDS, 50)?, &plain);
    r.printed("hypentropy(1e4) − descent, 50 steps", wide, "3e-10");
    let entropic = run(exponentiated(0.01), &THIRDS, 50)?;
    let narrow = distance(&run(hypentropic(0.01, 1e-9), &THIRDS, 50)?, &entropic);
    r.near("hypentropy(1e-9) − exponentiated gradient, 50 steps", narrow, 0.0, 1e-12);
    let norm = |p: f64, lr: f64| Ok(descent(lr)?.over(PNorm::default().p(p)));
    let two = distance(&run(norm(2.0, 0.01), &THIRDS, 50)?, &plain);
    r.near("p-norm(2) − descent, 50 steps", two, 0.0, 1e-12);
    let there_and_back = distance(&run(norm(1.5, 0.0), &[0.3, -1.2, 2.0], 1)?, &[0.3, -1.2, 2.0]);
    r.near("link of p = 1.5 and its inverse", there_and_back, 0.0, 1e-12);
    let mut barrier = Walk::new(descent(1.0)?.over(thalweg::geometry::Burg::default()), &[1.0])?;
    let refused = usize::from(barrier.step(&[-2.0]).is_err());
    r.count("Burg steps out of the orthant that are refused, of 1", Some(refused), Some(1), 0);
    r.claim("EG± is hypentropy", paired <= 1e-13);
    r.claim("hypentropy(∞) and p-norm(2) are descent", wide < 1e-9 && two <= 1e-12);
    r.claim("hypentropy(0) is exponentiated gradient", narrow <= 1e-12);
    Ok(())
}
