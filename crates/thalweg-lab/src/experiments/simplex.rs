//! X04 and X05: divergences, the simplex, and mirror maps for signed parameters.

use thalweg::geometry::{EgPm, Hypentropy, PNorm, Simplex};
use thalweg::{Chain, online};

use super::egd::{THIRDS, descent, exponentiated, inside};
use super::figure::{Axis, Figure, numbered};
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

/// Pairs that the figure shows: with more they hide each other.
const SHOWN: usize = 150;

fn bregman_properties(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(4);
    let mut draw = || -> Vec<f64> { (0..4).map(|_| 0.05 + 3.0 * rng.uniform()).collect() };
    let (mut lowest, mut at_itself, mut asymmetry) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    let mut pairs = vec![];
    for _ in 0..1000 {
        let (p, q) = (draw(), draw());
        let (divergence, back) = (entropic(&p, &q)?, entropic(&q, &p)?);
        lowest = lowest.min(divergence);
        at_itself = at_itself.max(entropic(&p, &p)?.abs());
        asymmetry = asymmetry.max((divergence - back).abs());
        pairs.push((divergence, back));
    }
    r.above("lowest of 1000 random pairs", lowest, 0.0);
    r.near("largest of a point to itself", at_itself, 0.0, 1e-12);
    r.above("largest difference of both directions", asymmetry, 0.1);
    r.claim("1000 random pairs", lowest > 0.0 && at_itself <= 1e-12 && asymmetry > 0.1);
    pairs.truncate(SHOWN);
    r.figure(
        Figure::new(
            "bregman-properties",
            "The divergence of the negative entropy in both directions: positive, and off the diagonal",
            Axis::log("from q to p"),
            Axis::log("from p to q"),
        )
        .bound("if it were symmetric", [(0.02, 0.02), (20.0, 20.0)])
        .points(&format!("{SHOWN} of 1000 random pairs"), pairs),
    );
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
    let (mut bregman, mut classic, mut general) = (vec![], vec![], vec![]);
    for k in 1..=20 {
        let p = [0.2, 0.5, 1.0].map(|p| 0.1 * f64::from(k) * p);
        let (sum, q) = (p.iter().sum::<f64>(), [0.3; 3]);
        bregman.push((sum, entropic(&p, &q)?));
        classic.push((sum, online::kullback_leibler(&p, &q)?));
        general.push((sum, online::generalised_kl(&p, &q)?));
    }
    r.figure(
        Figure::new(
            "bregman-kl",
            "From q = (0.3, 0.3, 0.3) to multiples of (0.2, 0.5, 1): equal where the sums are",
            Axis::linear("Σp"),
            Axis::linear("divergence"),
        )
        .line("of the negative entropy", bregman)
        .line("Kullback-Leibler", classic)
        .points("generalised: KL − Σp + Σq", general)
        .bound("Σp = Σq", [(0.9, -0.2), (0.9, 3.0)]),
    );
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
    let total = |walk: &Walk| walk.x.iter().sum::<f64>();
    let sum = total(&source);
    r.printed("sum after the source's step", sum, "1.085084");
    let mut sums = [vec![(0.0, 1.0), (1.0, sum)], vec![(0.0, 1.0), (1.0, total(&walk))]];
    for t in 2..=8 {
        for (walk, sums) in [&mut source, &mut walk].into_iter().zip(&mut sums) {
            walk.step(&g)?;
            sums.push((f64::from(t), total(walk)));
        }
    }
    let [leaving, staying] = sums;
    r.figure(
        Figure::new(
            "simplex-step",
            "Steps with g = (1, 0, −1) and η = 0.5 from the uniform distribution: the sum of x",
            Axis::linear("step"),
            Axis::log("x₁ + x₂ + x₃"),
        )
        .line("source: θ·exp(−η·g)", leaving)
        .line("with the multiplier: θ·exp(−η·g)/Σ", staying),
    );
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
    let shares = (1..=30).map(|k| 0.01 * f64::from(k));
    let from = |share: f64| {
        let start = [[share].as_slice(), &[(1.0 - share) / 9.0; 9]].concat();
        Ok((share, online::kullback_leibler(&vertex, &start)?))
    };
    r.figure(
        Figure::new(
            "uniform-start",
            "The divergence of a vertex of the simplex from starts that give it more or less",
            Axis::linear("share of the vertex in the start, of ten coordinates"),
            Axis::linear("KL(vertex‖start)"),
        )
        .line("measured", shares.map(from).collect::<Result<Vec<_>>>()?)
        .points("uniform start", [(0.1, to_vertex)])
        .points("start with 0.01", [(0.01, from_tilted)])
        .bound("ln d", [(0.0, log), (0.3, log)]),
    );
    Ok(())
}

/// The place after every step on the problem whose solution is not negative.
fn places(chain: Result<Chain>, start: &[f64], steps: usize) -> Result<Vec<Vec<f64>>> {
    let mut walk = Walk::new(chain?, start)?;
    let step = |_| {
        walk.descend(1, inside)?;
        Ok(walk.x.clone())
    };
    (0..steps).map(step).collect()
}

/// The largest difference of two paths at their end.
fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.last().zip(b.last()).map_or(f64::NAN, |(a, b)| distance(a, b))
}

fn mirror_maps(r: &mut Record) -> Result<()> {
    let hypentropic = |lr: f64, beta: f64| Ok(descent(lr)?.over(Hypentropy::default().beta(beta)));
    let norm = |p: f64, lr: f64| Ok(descent(lr)?.over(PNorm::default().p(p)));
    let pair = Ok(descent(0.05)?.over(EgPm::default().beta(0.7)));
    let pair = places(pair, &[0.0; 3], 300)?;
    let single = places(hypentropic(0.05, 0.7), &[0.0; 3], 300)?;
    let paired = apart(&pair, &single);
    r.near("EG± − hypentropy(0.7), 300 steps", paired, 0.0, 1e-13);
    let plain = places(descent(0.01), &THIRDS, 50)?;
    let flat = places(hypentropic(1e-6, 1e4), &THIRDS, 50)?;
    let wide = apart(&flat, &plain);
    r.printed("hypentropy(1e4) − descent, 50 steps", wide, "3e-10");
    let entropic = places(exponentiated(0.01), &THIRDS, 50)?;
    let sharp = places(hypentropic(0.01, 1e-9), &THIRDS, 50)?;
    let narrow = apart(&sharp, &entropic);
    r.near("hypentropy(1e-9) − exponentiated gradient, 50 steps", narrow, 0.0, 1e-12);
    let euclidean = places(norm(2.0, 0.01), &THIRDS, 50)?;
    let two = apart(&euclidean, &plain);
    r.near("p-norm(2) − descent, 50 steps", two, 0.0, 1e-12);
    let signed = vec![vec![0.3, -1.2, 2.0]];
    let there_and_back = apart(&places(norm(1.5, 0.0), &signed[0], 1)?, &signed);
    r.near("link of p = 1.5 and its inverse", there_and_back, 0.0, 1e-12);
    let mut barrier = Walk::new(descent(1.0)?.over(thalweg::geometry::Burg::default()), &[1.0])?;
    let refused = usize::from(barrier.step(&[-2.0]).is_err());
    r.count("Burg steps out of the orthant that are refused, of 1", Some(refused), Some(1), 0);
    r.claim("EG± is hypentropy", paired <= 1e-13);
    r.claim("hypentropy(∞) and p-norm(2) are descent", wide < 1e-9 && two <= 1e-12);
    r.claim("hypentropy(0) is exponentiated gradient", narrow <= 1e-12);
    let first = |path: &[Vec<f64>]| -> Vec<(f64, f64)> {
        numbered(path.iter().take(50).map(|x| x[0])).collect()
    };
    let some = |path: &[Vec<f64>], from| first(path).into_iter().skip(from).step_by(6);
    r.figure(
        Figure::new(
            "mirror-maps",
            "The first 50 steps: circles of one mirror map on the line of another are the same method",
            Axis::linear("step"),
            Axis::linear("x₁"),
        )
        .line("gradient descent", first(&plain))
        .line("exponentiated gradient", first(&entropic))
        .line("EG±, β = 0.7, from 0 at five times the rate", first(&pair))
        .points("hypentropy(1e4)", some(&flat, 1))
        .points("p-norm, p = 2", some(&euclidean, 4))
        .points("hypentropy(1e-9)", some(&sharp, 1))
        .points("hypentropy(0.7)", some(&single, 1)),
    );
    Ok(())
}
