//! X07, X09 and X17: the learned gains of MetaEGD, as the source defines them.

use thalweg::recipes::{adam, egdd, meta_egd, meta_egd_momentum};
use thalweg::{Chain, Optimizer, Param, Probe, Schedule};

use super::figure::{Axis, Figure, numbered};
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
        correct: "so it does, beside a constant γ; it is a fixed schedule and adapts to nothing",
        errata: &["E25"],
        decides: &[
            "share of ln ν in the first 100 of 200 steps, steady gradient",
            "the same at constant γ, steady gradient",
        ],
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
        errata: &[],
        decides: &["ν after 200 steps[1]", "ν after 200 steps[2]", "ν after 200 steps[3]"],
        features: &["F053", "F152"],
        expected: Verdict::Holds,
        run: groups,
    },
    Experiment {
        name: "meta-egd-memory",
        row: "E21",
        source: "000 §9.2, §10.2",
        claim: "MetaEGD needs less memory than Adam",
        correct: "both keep two numbers per coordinate, which is no reason against very many of them either; EGDD keeps three and one per tensor",
        errata: &["E21"],
        decides: &["numbers per coordinate, Adam", "numbers per coordinate, MetaEGD"],
        features: &["F044", "F046"],
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
    // Equation 42 at step t, of the coordinate i; it needs the gradient of step t + 1.
    let early = |t: usize, i: usize| {
        let products = (1..t).map(|k| gradients[k][i] * gradients[k + 1][i]);
        (0.1 * products.sum::<f64>()).exp()
    };
    let (mut used, mut printed) = ([vec![], vec![]], [vec![], vec![]]);
    for (t, g) in (1..=3).zip(&gradients) {
        walk.step(g)?;
        for (i, nu) in walk.gains()?.into_iter().enumerate() {
            used[i].push(nu);
            printed[i].push(early(t, i));
        }
    }
    let (gains, early) = ([used[0][2], used[1][2]], [printed[0][2], printed[1][2]]);
    r.all_printed("ν₃", &gains, &["1.16183424", "0.83945702"]);
    r.all_printed("ν₃ by eq. 42", &early, &["0.904837", "1.105171"]);
    let same = gains.iter().zip(&early).all(|(a, b)| (a - b).abs() < 1e-6);
    r.claim("four gradients, at step 3", same);
    let mut figure = Figure::new(
        "gain-index",
        "Gains of two coordinates at the first steps, γ = 0.1: eq. 42 is a product ahead",
        Axis::linear("step t"),
        Axis::log("gain ν"),
    );
    for (i, (used, printed)) in used.into_iter().zip(printed).enumerate() {
        figure = figure
            .line(&format!("coordinate {}", i + 1), numbered(used))
            .bound(&format!("coordinate {}, eq. 42", i + 1), numbered(printed));
    }
    r.figure(figure);
    Ok(())
}

/// The logarithms of the gains after each of 200 steps with this γ.
fn learning(
    gamma: &Schedule,
    gradient: impl Fn(&[f64]) -> Vec<f64>,
) -> Result<(Walk, Vec<Vec<f64>>)> {
    let mut walk = Walk::new(raw(meta_egd(), 1e-3, 0.0)?.with("gamma", gamma.clone())?, &[1.0; 3])?;
    let step = |_| {
        walk.descend(1, &gradient)?;
        Ok(walk.slot("ell")?.to_vec())
    };
    let path = (0..200).map(step).collect::<Result<Vec<_>>>()?;
    Ok((walk, path))
}

fn schedule(r: &mut Record) -> Result<()> {
    // γ at step t from 1 is 1e-4·exp(−2t/200); schedules count from 0.
    let decay = f64::exp(-2.0 / 200.0);
    let falling = Schedule::Exponential { base: 1e-4 * decay, factor: decay };
    let (walk, path) = learning(&falling, bowl_gradient)?;
    r.all_printed("ν after 200 steps", &walk.gains()?, &["1.00747978", "1.34337286", "6.06803812"]);
    r.printed("loss after 200 steps", bowl(&walk.x), "0.362135787");
    let constant = Schedule::Constant(1e-4);
    let (_, still) = learning(&constant, bowl_gradient)?;
    // Gradients that fade let gains settle at any γ: what the schedule does is the difference. Along the
    // steepest axis nothing is left to learn in either half.
    let share = |path: &[Vec<f64>], i: usize| path[99][i] / path[199][i];
    for (i, h) in CURVATURE.iter().enumerate().take(2) {
        let [falling, constant] = [share(&path, i), share(&still, i)];
        r.note(&format!("share of ln ν in the first 100 of 200 steps, curvature {h}"), falling);
        r.note(&format!("the same at constant γ, curvature {h}"), constant);
        r.claim(&format!("curvature {h}: earlier than at constant γ"), falling > constant);
    }
    let steady = |_: &[f64]| vec![1.0; 3];
    let (_, path) = learning(&falling, steady)?;
    let (_, still) = learning(&constant, steady)?;
    let [falling, constant] = [share(&path, 0), share(&still, 0)];
    r.note("share of ln ν in the first 100 of 200 steps, steady gradient", falling);
    r.note("the same at constant γ, steady gradient", constant);
    r.claim("steady gradient: earlier than at constant γ", falling > constant);
    let figure = Figure::new(
        "gamma-schedule",
        "What a gain has learned of a steady gradient of 1, by the schedule of γ",
        Axis::linear("step"),
        Axis::linear("ln ν"),
    );
    let first = |path: Vec<Vec<f64>>| numbered(path.into_iter().map(|ell| ell[0]));
    r.figure(
        figure
            .line("γ falling from 0.0001 by 2/200 a step", first(path))
            .line("γ = 0.0001", first(still)),
    );
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
    let (mut x, mut gains, mut paths) = ([1.0; 3], [1.0; 3], [vec![], vec![], vec![]]);
    for _ in 0..200 {
        let g = bowl_gradient(&x);
        let parts = x.chunks_mut(1).zip(g.chunks(1)).zip(names);
        let mut params: Vec<Param<'_, f64>> =
            parts.map(|((x, g), name)| Param::new(name, &[1], x, g)).collect();
        advance(&mut opt, &mut params)?;
        for (i, name) in names.into_iter().enumerate() {
            let ell = opt.slot(name, "ell").ok_or_else(|| defect("a group has no gains"))?;
            gains[i] = ell[0].exp();
            paths[i].push(gains[i]);
        }
    }
    r.all_printed("ν after 200 steps", &gains, &["4.11678548", "6.03716091", "6.23941704"]);
    r.printed("loss after 200 steps", bowl(&x), "0.187443973");
    // Coordinates of a bowl do not see each other: each must be what it is alone with its γ.
    let title = "Learned gains on the bowl, each coordinate a group with its own γ";
    let mut figure =
        Figure::new("gamma-groups", title, Axis::linear("step"), Axis::linear("gain ν"));
    let (mut alone, mut marks) = (vec![], vec![]);
    for (i, (gamma, path)) in gammas.into_iter().zip(paths).enumerate() {
        let mut walk = Walk::new(raw(meta_egd(), 1e-3, gamma)?, &[1.0; 3])?;
        for t in (20..=200).step_by(20) {
            walk.descend(20, bowl_gradient)?;
            marks.push((f64::from(t), walk.gains()?[i]));
        }
        alone.push(walk.gains()?[i]);
        figure = figure.line(&format!("curvature {}, γ = {gamma}", CURVATURE[i]), numbered(path));
    }
    r.claim("each group is what it is alone", super::walk::distance(&alone, &gains) <= 1e-12);
    r.figure(figure.points("the same, alone", marks));
    Ok(())
}

fn memory(r: &mut Record) -> Result<()> {
    let per_coordinate = |chain: Chain| Some(chain.memory_per_coordinate());
    r.figure(memory_figure()?);
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

/// What an optimizer in double precision keeps of a tensor after a step.
fn memory_figure() -> Result<Figure> {
    let title = "What an optimizer keeps of a tensor: MetaEGD as much as Adam";
    let figure = Figure::new(
        "meta-egd-memory",
        title,
        Axis::linear("coordinates of the tensor"),
        Axis::linear("numbers kept"),
    );
    let kept = |chain: Chain| -> Result<Vec<(f64, f64)>> {
        let of_size = |size: usize| {
            let mut walk = Walk::new(chain.clone(), &vec![1.0; size])?;
            walk.step(&vec![1.0; size])?;
            Ok((size as f64, walk.opt.state_bytes() as f64 / size_of::<f64>() as f64))
        };
        (0..=10).map(|k| of_size(1 + 10 * k)).collect()
    };
    Ok(figure
        .line("EGDD", kept(egdd())?)
        .line("Adam", kept(adam())?)
        .points("MetaEGD", kept(meta_egd())?.into_iter().step_by(2))
        .points("MetaEGD with momentum", kept(meta_egd_momentum())?.into_iter().skip(1).step_by(2)))
}
