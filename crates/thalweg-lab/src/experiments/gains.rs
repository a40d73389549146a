//! X07, X09 and X17: the learned gains of MetaEGD, as the source defines them.

use thalweg::recipes::{adam, egdd, meta_egd, meta_egd_momentum};
use thalweg::{Chain, Optimizer, Param, Probe, Schedule};

use super::figure::{Axis, Figure};
use super::walk::{CURVATURE, Walk, advance, bowl, bowl_gradient, defect, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "meta-egd-bowl",
        row: "X07",
        source: "000 body, §4.2-4.5, §8.1, §10.3; 001 Meta-LR",
        claim: "where the gradient keeps its sign the gain grows, coordinate by coordinate",
        correct: "so it does; the first step has gain 1 and the first product is at step 2",
        errata: &["E11", "E12"],
        decides: &[
            "ν at step 200[1]",
            "ν at step 200[2]",
            "ν at step 200[3]",
            "positive products, of 597",
        ],
        features: &["F023", "F025", "F027", "F029", "F036", "F038", "F041", "F047", "F048", "F049"],
        expected: Verdict::Holds,
        run: bowl_gains,
    },
    Experiment {
        name: "gain-index",
        row: "X09",
        source: "000 §4.5 eq. 42, §5.2 eq. 45",
        claim: "ν_t = exp(γ·Σ g_k·g_{k+1}) with k from 1 to t − 1",
        correct: "ν_t = exp(γ·Σ g_{k−1}·g_k): the source's last product needs a gradient that is not there yet",
        errata: &["E11"],
        decides: &["ν₃[1]", "ν₃ by eq. 42[1]"],
        features: &["F024", "F028", "F031"],
        expected: Verdict::Refuted,
        run: index,
    },
    Experiment {
        name: "gamma-schedule",
        row: "X17",
        source: "000 §11.2 eq. 57",
        claim: "γ = γ₀·exp(−α·t/T) lets the gains learn fast first and settle later",
        correct: "so it does; it is a fixed schedule and adapts to nothing",
        errata: &["E25"],
        decides: &["ν after 200 steps[3]", "loss after 200 steps"],
        features: &["F052"],
        expected: Verdict::Holds,
        run: schedule,
    },
    Experiment {
        name: "gamma-groups",
        row: "X17",
        source: "000 §11.3 eq. 58; 004 §12.3",
        claim: "each group of parameters learns its gains at its own γ",
        correct: "so it does; gains are per coordinate anyway, only γ differs",
        errata: &["E26"],
        decides: &["ν after 200 steps[1]", "ν after 200 steps[2]", "ν after 200 steps[3]"],
        features: &["F053", "F152"],
        expected: Verdict::Holds,
        run: groups,
    },
    Experiment {
        name: "meta-egd-memory",
        row: "E21",
        source: "000 §9.2",
        claim: "MetaEGD needs less memory than Adam",
        correct: "both keep two numbers per coordinate; EGDD keeps three and one per tensor",
        errata: &["E21"],
        decides: &["numbers per coordinate, Adam", "numbers per coordinate, MetaEGD"],
        features: &["F044"],
        expected: Verdict::Refuted,
        run: memory,
    },
];

/// MetaEGD without a limit on the products.
pub(super) fn raw(chain: Chain, lr: f64, gamma: f64) -> Result<Chain> {
    tuned(chain, &[("lr", lr), ("gamma", gamma), ("clip", f64::INFINITY)])
}

fn bowl_gains(r: &mut Record) -> Result<()> {
    let builder = Optimizer::<f64>::builder().rest("all", raw(meta_egd(), 1e-3, 1e-4)?);
    let mut opt = builder.probe(Probe::Gains).threads(1).build()?;
    let (mut x, mut paths, mut aligned) = (vec![1.0; 3], [vec![], vec![], vec![]], 0.0);
    for t in 1..=200 {
        let g = bowl_gradient(&x);
        let report = opt.step(&mut [Param::new("x", &[3], &mut x, &g)])?;
        if t > 1 {
            aligned +=
                report.readings.iter().map(|reading| 3.0 * reading.gains.aligned).sum::<f64>();
        }
        let ell = opt.slot("x", "ell").unwrap_or_default();
        let gains: Vec<f64> = ell.iter().map(|ell| ell.exp()).collect();
        match t {
            1 => r.all_printed("ν at step 1", &gains, &["1.00000000"; 3]),
            2 => r.all_printed("ν at step 2", &gains, &["1.0000999", "1.00994917", "2.45960311"]),
            3 => r.all_printed("ν at step 3", &gains, &["1.00019962", "1.0197954", "4.53022745"]),
            200 => {
                let want = ["1.01653", "1.49627", "6.2394170387"];
                r.all_printed("ν at step 200", &gains, &want);
                r.claim("every gain has grown", gains.iter().all(|nu| *nu > 1.0));
            }
            _ => {}
        }
        for (path, nu) in paths.iter_mut().zip(gains) {
            path.push((f64::from(t), nu));
        }
    }
    r.count("positive products, of 597", Some(aligned.round() as usize), Some(597), 0);
    r.claim("every product is positive", aligned.round() == 597.0);
    r.relative("loss after 200 steps", bowl(&x), 0.351922944506, 1e-9);
    r.relative("x[1]", x[0], 0.8172089460432745, 1e-9);
    r.relative("x[2]", x[1], 0.06001285488934837, 1e-9);
    r.printed("x[3]", x[2], "8.89e-85");
    let figure = Figure::new(
        "meta-egd-bowl",
        "Learned gains on the bowl, η = 0.001, γ = 0.0001",
        Axis::log("step"),
        Axis::log("gain ν"),
    );
    let named = CURVATURE.iter().zip(paths);
    r.figure(named.fold(figure, |figure, (h, path)| figure.line(&format!("curvature {h}"), path)));
    Ok(())
}

fn index(r: &mut Record) -> Result<()> {
    let gradients = [[1.0, -2.0], [0.5, 1.0], [2.0, 0.25], [-1.0, 3.0]];
    let mut walk = Walk::new(raw(meta_egd(), 1e-3, 0.1)?, &[0.0; 2])?;
    gradients[..3].iter().try_for_each(|g| walk.step(g))?;
    let gains = walk.gains()?;
    r.all_printed("ν₃", &gains, &["1.16183424", "0.83945702"]);
    let early: Vec<f64> = (0..2)
        .map(|i| (1..3).map(|k| gradients[k][i] * gradients[k + 1][i]).sum::<f64>())
        .map(|sum| (0.1 * sum).exp())
        .collect();
    r.all_printed("ν₃ by eq. 42", &early, &["0.904837", "1.105171"]);
    let same = gains.iter().zip(&early).all(|(a, b)| (a - b).abs() < 1e-6);
    r.claim("four gradients, at step 3", same);
    Ok(())
}

fn schedule(r: &mut Record) -> Result<()> {
    // γ at step t from 1 is 1e-4·exp(−2t/200); schedules count from 0.
    let decay = f64::exp(-2.0 / 200.0);
    let gamma = Schedule::Exponential { base: 1e-4 * decay, factor: decay };
    let mut walk = Walk::new(raw(meta_egd(), 1e-3, 0.0)?.with("gamma", gamma)?, &[1.0; 3])?;
    let (mut halfway, mut paths) = (vec![], [vec![], vec![], vec![]]);
    for t in 1..=200 {
        walk.descend(1, bowl_gradient)?;
        for (path, nu) in paths.iter_mut().zip(walk.gains()?) {
            path.push((f64::from(t), nu));
        }
        if t == 100 {
            halfway = walk.gains()?;
        }
    }
    let gains = walk.gains()?;
    r.all_printed("ν after 200 steps", &gains, &["1.00747978", "1.34337286", "6.06803812"]);
    r.printed("loss after 200 steps", bowl(&walk.x), "0.362135787");
    let slower = (0..3).all(|i| halfway[i].ln() > gains[i].ln() - halfway[i].ln());
    r.claim("the first hundred steps change every gain more than the second", slower);
    let title = "Learned gains on the bowl, γ falling from 0.0001 by 2/200 a step";
    let figure = Figure::new("gamma-schedule", title, Axis::linear("step"), Axis::log("gain ν"));
    let named = CURVATURE.iter().zip(paths);
    r.figure(named.fold(figure, |figure, (h, path)| figure.line(&format!("curvature {h}"), path)));
    Ok(())
}

fn groups(r: &mut Record) -> Result<()> {
    let names = ["x1", "x2", "x3"];
    let gammas = [1e-2, 1e-3, 1e-4];
    let mut builder = Optimizer::<f64>::builder();
    for (name, gamma) in names.into_iter().zip(gammas) {
        builder = builder.group(name, name, raw(meta_egd(), 1e-3, gamma)?);
    }
    let mut opt = builder.threads(1).build::<f64>()?;
    let mut x = [1.0; 3];
    for _ in 0..200 {
        let g = bowl_gradient(&x);
        let parts = x.chunks_mut(1).zip(g.chunks(1)).zip(names);
        let mut params: Vec<Param<'_, f64>> =
            parts.map(|((x, g), name)| Param::new(name, &[1], x, g)).collect();
        advance(&mut opt, &mut params)?;
    }
    let gain = |name: &&str| {
        let ell = opt.slot(name, "ell").map(|ell| ell[0].exp());
        ell.ok_or_else(|| defect("a group has no gains"))
    };
    let gains = names.iter().map(gain).collect::<Result<Vec<f64>>>()?;
    r.all_printed("ν after 200 steps", &gains, &["4.11678548", "6.03716091", "6.23941704"]);
    r.printed("loss after 200 steps", bowl(&x), "0.187443973");
    // Coordinates of a bowl do not see each other: each must be what it is alone with its γ.
    let mut alone = vec![];
    for (i, gamma) in gammas.into_iter().enumerate() {
        let mut walk = Walk::new(raw(meta_egd(), 1e-3, gamma)?, &[1.0; 3])?;
        walk.descend(200, bowl_gradient)?;
        alone.push(walk.gains()?[i]);
    }
    r.claim("each group is what it is alone", super::walk::distance(&alone, &gains) <= 1e-12);
    Ok(())
}

fn memory(r: &mut Record) -> Result<()> {
    let per_coordinate = |chain: Chain| Some(chain.memory_per_coordinate());
    r.count("numbers per coordinate, Adam", per_coordinate(adam()), Some(2), 0);
    r.count("numbers per coordinate, MetaEGD", per_coordinate(meta_egd()), Some(2), 0);
    let with_momentum = per_coordinate(meta_egd_momentum());
    r.count("numbers per coordinate, MetaEGD with momentum", with_momentum, Some(2), 0);
    r.count("numbers per coordinate, EGDD", per_coordinate(egdd()), Some(3), 0);
    r.count("numbers per tensor, EGDD", Some(egdd().scalars().len()), Some(1), 0);
    let less = meta_egd().memory_per_coordinate() < adam().memory_per_coordinate();
    r.claim("states of both optimizers", less);
    Ok(())
}
