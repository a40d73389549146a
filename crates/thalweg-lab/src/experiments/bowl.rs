//! X47: every first-order method on the bowl.

use thalweg::geometry::{Hypentropy, PNorm};
use thalweg::recipes::*;
use thalweg::rules::{AdaGrad, MetaEgd, MetaEgdMomentum, RmsProp, Scale, Sign};
use thalweg::{Chain, Denominator, Inside, Rule};

use super::figure::{Axis, Figure};
use super::rules::ProductOfBuffers;
use super::stream::Rng;
use super::walk::{Runs, Walk, best, bowl as loss, bowl_gradient, mean, rates, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[Experiment {
    name: "bowl",
    row: "X47",
    source: "000 body, §5, §12, Summary; 001 Meta-LR; 002 Principles; 004 §11.4",
    claim: "the consistency of a gradient's direction is a signal of its own, complementary to its size",
    correct: "a signal of its own it is: gains by signs, which have no size, are ahead of gradient descent along and across the axes of the bowl, each at its best rate; along the axes size alone (AdaGrad, RMSProp) needs a fifth of their steps, across them AdaGrad is behind descent; and nowhere do both together need a tenth fewer steps than the better of them alone",
    errata: &["E27"],
    decides: &[
        "GD, along the axes, steps at the best rate",
        "gains by signs, along the axes, steps at the best rate",
        "Adam, along the axes, steps at the best rate",
        "AdaGrad, along the axes, steps at the best rate",
        "GD, across the axes, steps at the best rate",
        "gains by signs, across the axes, steps at the best rate",
        "Adam, across the axes, steps at the best rate",
        "gains by signs around Adam, across the axes, steps at the best rate",
    ],
    features: &["F030", "F046", "F056", "F059", "F061", "F073", "F079", "F080", "F117"],
    expected: Verdict::HoldsIf(
        "complementary does not mean that both together do more than one alone",
    ),
    run,
}];

/// A method: the place after ten steps, the value after a hundred and a thousand, and the number of
/// steps until the value is below 1e-6.
struct Row {
    name: &'static str,
    chain: Chain,
    after_10: [&'static str; 3],
    f_100: f64,
    f_1000: f64,
    steps: usize,
}

/// Columns as in the reference: ten steps, f(100), f(1000), steps to f < 1e-6.
type Numbers = ([&'static str; 3], f64, f64, usize);

fn row(name: &'static str, chain: Chain, (after_10, f_100, f_1000, steps): Numbers) -> Row {
    Row { name, chain, after_10, f_100, f_1000, steps }
}

fn lr(chain: Chain, lr: f64) -> Result<Chain> {
    tuned(chain, &[("lr", lr)])
}

#[rustfmt::skip] // A table is easier to compare with the reference than thirty short lists.
fn descents() -> Result<Vec<Row>> {
    Ok(vec![
        row("GD 2/101", lr(gd(), 2.0 / 101.0)?, (["0.818725294564", "0.110061759396", "0.818725294564"], 9.248164394e-01, 2.142560075e-16, 444)),
        row("GD 0.01", lr(gd(), 0.01)?, (["0.904382075009", "0.3486784401", "0.000000000000"], 6.698984096e-02, 9.318783015e-10, 653)),
        row("heavy ball", lr(momentum(), 0.01)?, (["0.621079112471", "-0.5887893888", "0.175316481"], 1.644900022e-04, 8.923409460e-45, 141)),
        // The third coordinate is the product of five rounding errors: at this rate the method is
        // nilpotent there.
        row("Nesterov", lr(nesterov(), 0.01)?, (["5.826111148124e-01", "-3.465781716457e-01", "0.000000000000"], 2.536106604e-07, 4.723475963e-51, 95)),
        row("hypentropy(1)", lr(gd(), 0.01)?.over(Hypentropy::default().beta(1.0)), (["0.871297795004", "0.292084756274", "0.000000000000"], 4.807921584e-02, 6.383225105e-10, 635)),
        row("p-norm 1.5", lr(gd(), 0.01)?.over(PNorm::default().p(1.5)), (["1.253760342838", "0.385186109195", "0.008841976333"], 1.453630607e-01, 2.031655825e-09, 692)),
        row("p-norm 3", lr(gd(), 0.01)?.over(PNorm::default().p(3.0)), (["0.659376817346", "0.274197654663", "0.359163085368"], 8.926778469e-01, 5.344513604e-09, 752)),
    ])
}

#[rustfmt::skip]
fn adaptive() -> Result<Vec<Row>> {
    let inside = AdaGrad::<Inside>::default().denominator(Inside::new(1e-8));
    let rms = |rho| tuned(rmsprop(), &[("lr", 0.01), ("rho", rho)]);
    let decay = |chain| tuned(chain, &[("lr", 0.05), ("decay", 0.01)]);
    Ok(vec![
        row("AdaGrad outside", lr(adagrad(), 0.5)?, (["0.003105603449", "0.003105603447", "0.003105603446"], 1.034348750e-47, 0.0, 16)),
        row("AdaGrad inside", Chain::new((inside, Scale::default().lr(0.5))), (["0.003105603576", "0.003105603448", "0.003105603446"], 1.034348758e-47, 0.0, 16)),
        row("RMSProp 0.9", rms(0.9)?, (["0.832052418284", "0.832052415359", "0.832052415066"], 4.257626140e-01, 1.387499850e-03, 137)),
        row("RMSProp 0.99", rms(0.99)?, (["0.549891131713", "0.549891108938", "0.549891106661"], 7.746194091e-03, 1.251962347e-320, 172)),
        row("AdaDelta", adadelta(), (["0.96659718637", "0.966597013507", "0.966597011779"], 2.353310996e+01, 7.623206708e-03, 396)),
        row("Adam", lr(adam(), 0.05)?, (["0.512293422884", "0.512293418118", "0.512293417642"], 9.843419141e-04, 1.673522482e-44, 129)),
        row("AMSGrad", lr(amsgrad(), 0.05)?, (["0.512293422884", "0.512293418118", "0.512293417642"], 1.055816423e-03, 1.272247428e-44, 107)),
        row("AdamW", decay(adamw())?, (["0.508568677922", "0.508568673164", "0.508568672688"], 8.707637709e-04, 4.009487319e-45, 55)),
        row("Adam + L2", decay(adam_l2())?, (["0.512293422832", "0.512293418118", "0.512293417642"], 9.843419141e-04, 1.673522480e-44, 129)),
        row("AdaBelief", lr(adabelief(), 0.05)?, (["0.353670312479", "0.353670312479", "0.353670312479"], 1.061772409e-03, 1.989531716e-44, 106)),
        row("AdaBelief rectified", lr(adabelief_rectified(), 0.05)?, (["0.749350475433", "-0.375605650975", "-2.584364207301"], 8.247520496e+01, 8.415832961e-38, 270)),
    ])
}

#[rustfmt::skip]
fn learned() -> Result<Vec<Row>> {
    let at = |rule: MetaEgd| Chain::new((rule, Scale::default().lr(1e-3)));
    let raw = <MetaEgd>::default().gamma(1e-4).clip(f64::INFINITY);
    let clipped = <MetaEgd>::default().gamma(0.1).clip(1.0);
    let buffers = <MetaEgdMomentum>::default().gamma(1e-5).clip(f64::INFINITY);
    let momentum = Chain::new((buffers, Scale::default().lr(1e-3)));
    let source = Chain::new((ProductOfBuffers::default(), Scale::default().lr(1e-3)));
    let hyper = |chain, hyper_lr| tuned(chain, &[("lr", 1e-3), ("hyper_lr", hyper_lr)]);
    Ok(vec![
        row("MetaEGD raw", at(raw), (["9.900404472953e-01", "9.004175043698e-01", "4.470823254313e-04"], 7.689830476e-01, 6.383438473e-02, 6269)),
        row("MetaEGD clipped", at(clipped), (["0.983851968296", "0.848028309929", "0.165373448951"], 7.848002344e-04, 3.016464660e-45, 163)),
        row("MetaEGD momentum", momentum, (["0.958971766645", "0.615756356179", "-0.544476851733"], 6.858231706e-02, 1.080216292e-10, 595)),
        row("MetaEGD momentum, source", source, (["0.958945773644", "0.594497473251", "1.285345927662"], 6.990107472e-02, 3.648890670e-11, 569)),
        row("EGDD", egdd(), (["0.957522034641", "0.609072078804", "-0.593530338315"], 1.477006033e-02, 1.742620239e-43, 166)),
        row("SGD-HD", hyper(sgd_hd(), 1e-8)?, (["0.987608436733", "0.882142551682", "0.264001367403"], 6.716185484e-01, 2.835332803e-02, 4563)),
        row("Adam-HD", hyper(adam_hd(), 1e-4)?, (["0.543690457318", "0.543690404498", "0.543690399216"], 8.700923467e-04, 1.098819099e-44, 114)),
    ])
}

/// Below 1e-30 the reference only holds how the last bits were rounded.
fn value(r: &mut Record, what: &str, got: f64, want: f64) {
    if want < 1e-30 {
        r.at_most(what, got, 1e-30);
    } else {
        r.relative(what, got, want, 1e-6);
    }
}

/// Runs a method; its curve.
fn method(r: &mut Record, row: &Row) -> Result<Vec<(f64, f64)>> {
    let mut walk = Walk::new(row.chain.clone(), &[1.0; 3])?;
    let (mut first, mut curve) = (None, vec![]);
    for t in 1..=10_000 {
        walk.descend(1, bowl_gradient)?;
        let f = loss(&walk.x);
        curve.push((t as f64, f));
        if f < 1e-6 && first.is_none() {
            first = Some(t);
        }
        match t {
            10 => r.all_printed(&format!("{}, x after 10", row.name), &walk.x, &row.after_10),
            100 => value(r, &format!("{}, f(100)", row.name), f, row.f_100),
            1000 => value(r, &format!("{}, f(1000)", row.name), f, row.f_1000),
            _ => {}
        }
        if t >= 1000 && first.is_some() {
            break;
        }
    }
    r.count(&format!("{}, steps to f < 1e-6", row.name), first, Some(row.steps), 0);
    Ok(curve)
}

/// The lowest value so far: the dips of methods that swing through the minimum say little.
fn lowest(curve: Vec<(f64, f64)>) -> impl Iterator<Item = (f64, f64)> {
    curve.into_iter().scan(f64::INFINITY, |lowest, (t, f)| {
        *lowest = lowest.min(f);
        Some((t, *lowest))
    })
}

/// The bowl in coordinates that are none of its axes: mirrored at the plane `x₁ + x₂ + x₃ = 0`.
fn mirrored(x: &[f64]) -> Vec<f64> {
    let twice_mean = 2.0 * mean(x);
    x.iter().map(|x| x - twice_mean).collect()
}

/// Gains learned from signs around a direction that divides by the size of past gradients.
fn gains_around(size: impl Rule) -> Chain {
    Chain::new((size, MetaEgd::<Sign>::default(), Scale::default()))
}

/// Steps after which a run is given up.
const LONGEST: f64 = 1000.0;

/// Rates at which the logarithm of a gain learns.
const GAMMAS: [f64; 5] = [1e-3, 3e-3, 1e-2, 3e-2, 0.1];

/// Steps of each method at its best rate and its best γ, from the same places. At one rate for all, gains
/// that do nothing but raise the rate would seem to know something.
fn at_best_rates(r: &mut Record, place: &str, runs: &Runs<'_>) -> Result<()> {
    let fewest = |chain: &Chain| {
        best(rates(), |rate, limit| runs.steps(lr(chain.clone(), rate)?, limit.min(LONGEST)))
    };
    let mut least = |name: &str, chain: Chain, gammas: &[f64]| -> Result<f64> {
        let mut steps = fewest(&chain)?.steps;
        for gamma in gammas {
            steps = steps.min(fewest(&tuned(chain.clone(), &[("gamma", *gamma)])?)?.steps);
        }
        // A count at the limit is a run that was given up.
        let steps = if steps < LONGEST { steps } else { f64::INFINITY };
        r.steps(&format!("{name}, {place}, steps at the best rate"), steps);
        Ok(steps)
    };
    let plain = least("GD", gd(), &[])?;
    // Signs have no size: what these gains learn is consistency and nothing else.
    let signs = least("gains by signs", meta_egd_sign(), &GAMMAS)?;
    let sizes = [
        ("Adam", adam(), meta_egd_adam()),
        ("AdaGrad", adagrad(), gains_around(<AdaGrad>::default())),
        ("RMSProp", rmsprop(), gains_around(<RmsProp>::default())),
    ];
    let mut cases =
        vec![(format!("gains by signs, {place}: fewer steps than descent"), signs < plain)];
    for (name, size, both) in sizes {
        let alone = least(name, size, &[])?.min(signs);
        let together = least(&format!("gains by signs around {name}"), both, &GAMMAS)?;
        // With some values of γ to choose from a few steps are gained by chance.
        let case = format!(
            "gains by signs around {name}, {place}: a tenth fewer steps than the better of both alone"
        );
        cases.push((case, together < 0.9 * alone));
    }
    cases.iter().for_each(|(case, holds)| r.claim(case, *holds));
    Ok(())
}

/// [`at_best_rates`] along the axes of the bowl and mirrored.
fn complementary(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(47);
    let starts: Vec<_> = (0..32).map(|_| rng.normal(3)).collect();
    let along = Runs { starts: &starts, gradient: &bowl_gradient, loss: &loss };
    at_best_rates(r, "along the axes", &along)?;
    let mirrored_starts: Vec<_> = starts.iter().map(|x| mirrored(x)).collect();
    // A mirror is its own inverse.
    let gradient = |x: &[f64]| mirrored(&bowl_gradient(&mirrored(x)));
    let height = |x: &[f64]| loss(&mirrored(x));
    let across = Runs { starts: &mirrored_starts, gradient: &gradient, loss: &height };
    at_best_rates(r, "across the axes", &across)?;
    let mut figure = Figure::new(
        "bowl-rates",
        "Steps to a loss below 1e-6 on the bowl by the learning rate, mean of 32 starts",
        Axis::log("learning rate"),
        Axis::log("steps"),
    );
    for (name, chain) in [
        ("GD", gd()),
        ("Adam", adam()),
        ("AdaGrad", adagrad()),
        ("gains by signs, γ = 0.1", tuned(meta_egd_sign(), &[("gamma", 0.1)])?),
        ("gains by signs around Adam, γ = 0.01", tuned(meta_egd_adam(), &[("gamma", 0.01)])?),
    ] {
        let at = |rate| Ok((rate, along.steps(lr(chain.clone(), rate)?, 1e3)?));
        let steps = rates().map(at).collect::<Result<Vec<_>>>()?;
        figure = figure.line(name, steps.into_iter().filter(|(_, steps)| *steps < 1e3));
    }
    r.figure(figure);
    Ok(())
}

fn run(r: &mut Record) -> Result<()> {
    let families = [
        ("bowl-descent", "Gradient descent, momentum and mirror maps", descents()?),
        ("bowl-adaptive", "Methods that divide by the size of past gradients", adaptive()?),
        ("bowl-learned", "Methods whose step sizes learn", learned()?),
    ];
    for (name, title, rows) in families {
        let mut figure = Figure::new(
            name,
            &format!("{title} on the bowl, at the rates of the reference"),
            Axis::log("step"),
            Axis::log("lowest loss so far").between(1e-12, 1e2),
        );
        for row in rows {
            figure = figure.line(row.name, lowest(method(r, &row)?));
        }
        r.figure(figure);
    }
    complementary(r)?;
    // The limit of RMSProp is a cycle of half its rate in every coordinate (E34).
    let mut cycle = Walk::new(tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9)])?, &[1.0; 3])?;
    cycle.descend(1000, bowl_gradient)?;
    for (i, x) in cycle.x.iter().enumerate() {
        r.near(&format!("RMSProp 0.9, |x[{}]| after 1000", i + 1), x.abs(), 0.005, 1e-8);
    }
    Ok(())
}
