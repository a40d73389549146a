//! X15 and X16: gains by signs, and one learning rate that learns.

use thalweg::Chain;
use thalweg::recipes::{adam, adam_hd, egdd, gd, meta_egd, sgd_hd};

use super::figure::{Axis, Figure};
use super::walk::{CURVATURE, Walk, bowl, bowl_gradient, distance, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "egdd",
        row: "X15",
        source: "000 body and Wrap-up; 001 Wrap-up",
        claim: "the original paper's form is richer than the post's, with the same idea",
        correct: "it has a scale per tensor besides, and signs in place of products, so that the scale of the loss does not matter",
        errata: &[],
        decides: &[
            "gain after 200 steps[1]",
            "gain after 200 steps[2]",
            "gain after 200 steps[3]",
            "change of the gains, loss × 1000",
        ],
        features: &["F058"],
        expected: Verdict::Holds,
        run: signs,
    },
    Experiment {
        name: "hypergradient",
        row: "X16",
        source: "000 body; 001 Meta-LR",
        claim: "gradient descent can tune the learning rate of gradient descent",
        correct: "so it can, from a rate that is too small and from one at which descent diverges: hypergradient descent; how far it goes is a matter of its own rate",
        errata: &[],
        decides: &[
            "SGD-HD, rate after 5 steps",
            "SGD-HD from 0.03, rate after 200 steps",
            "Adam-HD, rate after 50 steps",
        ],
        features: &["F021", "F157"],
        expected: Verdict::Holds,
        run: hypergradient,
    },
];

/// The gain after ten gradients whose signs agree, or which alternate.
fn gain(chain: Chain, alternate: bool) -> Result<f64> {
    let mut walk = Walk::new(chain, &[0.0])?;
    for t in 0..10 {
        walk.step(&[if alternate && t % 2 == 1 { -1.0 } else { 1.0 }])?;
    }
    match walk.slot("gain") {
        Ok(gain) => Ok(gain[0]),
        // The post's form keeps the logarithm of its gain.
        Err(_) => Ok(walk.gains()?[0]),
    }
}

/// What the paper's form shares with the post's, and what it has besides.
fn forms(r: &mut Record) -> Result<()> {
    for (name, chain) in [("the post's form", meta_egd()), ("EGDD", egdd())] {
        let [agree, oppose] = [gain(chain.clone(), false)?, gain(chain.clone(), true)?];
        r.note(&format!("{name}, gain where gradients agree"), agree);
        r.note(&format!("{name}, gain where they oppose each other"), oppose);
        let case = format!("{name}: the idea, gains grow where gradients agree and shrink else");
        r.claim(&case, agree > 1.0 && oppose < 1.0);
    }
    let has_scale = |chain: Chain| -> Result<bool> {
        let mut walk = Walk::new(chain, &[0.0])?;
        walk.step(&[1.0])?;
        Ok(walk.scalar("scale").is_ok())
    };
    let richer = has_scale(egdd())? && !has_scale(meta_egd())?;
    r.claim("EGDD is richer: it has a scale per tensor, which the post's form has not", richer);
    Ok(())
}

fn signs(r: &mut Record) -> Result<()> {
    forms(r)?;
    let mut walk = Walk::new(egdd(), &[1.0; 3])?;
    walk.descend(3, bowl_gradient)?;
    r.printed("scale after 3 steps", walk.scalar("scale")?, "1.002001507341");
    r.all_printed("gain after 3 steps", walk.slot("gain")?, &["1.02020134"; 3]);
    let want = ["0.994348207434", "0.94392193034", "0.482284010273"];
    r.all_printed("x after 3 steps", &walk.x, &want);
    walk.descend(7, bowl_gradient)?;
    r.printed("scale after 10 steps", walk.scalar("scale")?, "1.000495949009");
    let want = ["1.0941742837", "1.0941742837", "0.9900498337"];
    r.all_printed("gain after 10 steps", walk.slot("gain")?, &want);
    let want = ["0.957522034641", "0.609072078804", "-0.593530338315"];
    r.all_printed("x after 10 steps", &walk.x, &want);
    let mut paths = [vec![], vec![], vec![]];
    for t in 11..=200 {
        walk.descend(1, bowl_gradient)?;
        for (path, gain) in paths.iter_mut().zip(walk.slot("gain")?) {
            path.push((f64::from(t), *gain));
        }
    }
    r.printed("scale after 200 steps", walk.scalar("scale")?, "1.054368129778");
    let want = ["5.2069798272", "1.6989323086", "1.0100501671"];
    r.all_printed("gain after 200 steps", walk.slot("gain")?, &want);
    r.printed("loss after 200 steps", bowl(&walk.x), "5.837118e-07");
    for scale in [1e3, 1e-3] {
        let mut scaled = Walk::new(tuned(egdd(), &[("lr", 1e-3 / scale)])?, &[1.0; 3])?;
        scaled.descend(200, |x| bowl_gradient(x).iter().map(|g| scale * g).collect())?;
        let gains = distance(scaled.slot("gain")?, walk.slot("gain")?);
        r.near(&format!("change of the gains, loss × {scale}"), gains, 0.0, 1e-6);
        let change = scaled.scalar("scale")? - walk.scalar("scale")?;
        r.near(&format!("change of the scale, loss × {scale}"), change, 0.0, 1e-6);
        r.claim(
            &format!("loss × {scale}: gains and scale stay"),
            gains <= 1e-6 && change.abs() <= 1e-6,
        );
    }
    let figure =
        Figure::new("egdd", "Gains of EGDD on the bowl", Axis::linear("step"), Axis::log("gain"));
    let named = CURVATURE.iter().zip(paths);
    r.figure(named.fold(figure, |figure, (h, path)| figure.line(&format!("curvature {h}"), path)));
    Ok(())
}

fn hypergradient(r: &mut Record) -> Result<()> {
    let run = |chain: Chain, hypers: &[(&str, f64)], steps: usize| -> Result<Walk> {
        let mut walk = Walk::new(tuned(chain, hypers)?, &[1.0; 3])?;
        walk.descend(steps, bowl_gradient)?;
        Ok(walk)
    };
    let sgd_at = |lr: f64| [("lr", lr), ("hyper_lr", 1e-8)];
    let adam_at = [("lr", 1e-3), ("hyper_lr", 1e-4)];
    let sgd = run(sgd_hd(), &sgd_at(1e-3), 5)?;
    let rate = sgd.scalar("rate")?;
    r.printed("SGD-HD, rate after 5 steps", rate, "1.266900268607e-03");
    r.all_printed("SGD-HD, x after 5 steps", &sgd.x, &["0.99426921", "0.94386299", "0.54311132"]);
    let still = run(gd(), &[("lr", 1e-3)], 5)?;
    r.claim(
        "SGD-HD from 0.001: the rate grows, and the loss is lower than at the rate it began with",
        rate > 1e-3 && bowl(&sgd.x) < bowl(&still.x),
    );
    // A rate that could only grow would be a schedule. Above 2/100 descent diverges on this bowl.
    let (high, still) = (run(sgd_hd(), &sgd_at(0.03), 200)?, run(gd(), &[("lr", 0.03)], 200)?);
    let rate_down = high.scalar("rate")?;
    r.note("SGD-HD from 0.03, rate after 200 steps", rate_down);
    r.note("SGD-HD from 0.03, loss after 200 steps", bowl(&high.x));
    r.note("descent at 0.03, loss after 200 steps", bowl(&still.x));
    r.claim(
        "SGD-HD from 0.03: the rate falls below 2/100, and the loss with it where descent diverges",
        rate_down < 0.02 && bowl(&high.x) < bowl(&[1.0; 3]) && bowl(&still.x) > bowl(&[1.0; 3]),
    );
    let hyper = run(adam_hd(), &adam_at, 50)?;
    let rate = hyper.scalar("rate")?;
    r.printed("Adam-HD, rate after 50 steps", rate, "1.039836372345e-01");
    r.all_printed("Adam-HD, x after 50 steps", &hyper.x, &["0.10040136"; 3]);
    let still = run(adam(), &[("lr", 1e-3)], 50)?;
    r.claim(
        "Adam-HD from 0.001: the rate grows, and the loss is lower than at the rate it began with",
        rate > 1e-3 && bowl(&hyper.x) < bowl(&still.x),
    );
    let title = "Learning rates that follow their own gradient, on the bowl";
    let mut figure =
        Figure::new("hypergradient", title, Axis::linear("step"), Axis::log("learning rate"));
    for (name, chain, hypers) in [
        ("SGD-HD from 0.001", sgd_hd(), sgd_at(1e-3)),
        ("SGD-HD from 0.03", sgd_hd(), sgd_at(0.03)),
        ("Adam-HD from 0.001", adam_hd(), adam_at),
    ] {
        let at = |t| Ok((t as f64, run(chain.clone(), &hypers, t)?.scalar("rate")?));
        figure = figure.line(name, (1..=50).map(at).collect::<Result<Vec<_>>>()?);
    }
    r.figure(figure.bound("above it descent diverges", [(1.0, 0.02), (50.0, 0.02)]));
    Ok(())
}
