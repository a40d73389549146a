//! X01–X03: exponentiated gradient on the positive orthant.

use thalweg::geometry::{Burg, NegativeEntropy};
use thalweg::recipes::gd;
use thalweg::{Chain, Optimizer, Param};

use super::figure::{Axis, Figure, numbered};
use super::stream::Rng;
use super::walk::{Walk, advance, defect, distance, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "random-stream",
        row: "X01",
        source: "none (the acceptance experiments' own premise)",
        claim: "SplitMix64 with Box-Muller gives the same numbers in every language",
        correct: "it does, to the printed digits",
        errata: &[],
        decides: &["64-bit words equal to the reference, of 3"],
        features: &[],
        expected: Verdict::Holds,
        run: random_stream,
    },
    Experiment {
        name: "egd-positive",
        row: "X02",
        source: "000 body and §1.2; 001 EGD",
        claim: "from any non-negative start θ·exp(−η·g) stays positive and finds the constrained optimum",
        correct: "zero absorbs: the start must be strictly positive, and products underflow to zero where logarithms do not",
        errata: &["E01"],
        decides: &["x[1] from a start of 0", "steps until the f32 product is 0 at η·g = 1"],
        features: &["F002", "F004", "F005", "F008"],
        expected: Verdict::HoldsIf("the start is strictly positive and the state is a logarithm"),
        run: positive,
    },
    Experiment {
        name: "egd-relative-change",
        row: "X02",
        source: "000 §1.2",
        claim: "the relative change of a parameter is proportional to its gradient",
        correct: "exactly so for the change of its logarithm",
        errata: &[],
        decides: &["difference of ln(θ'/θ) from −η·g"],
        features: &["F006"],
        expected: Verdict::Holds,
        run: relative_change,
    },
    Experiment {
        name: "gd-leaves-orthant",
        row: "X02",
        source: "000 §1.1",
        claim: "plain gradient descent can leave the positive orthant",
        correct: "it does, here at step 8",
        errata: &[],
        decides: &["first step with a negative coordinate", "x[3] after 2000 steps"],
        features: &["F001", "F003"],
        expected: Verdict::Holds,
        run: leaves_orthant,
    },
    Experiment {
        name: "egd-scale",
        row: "X03",
        source: "000 §1.2 (3)",
        claim: "exponentiated gradient does not depend on the scale of the parameter",
        correct: "θ = c·z needs the rate η/c; descent on the logarithm with its factor kept is what does not depend on it",
        errata: &["E03"],
        decides: &[
            "exponentiated gradient, c = 10 against 1",
            "descent on the logarithm, c = 10 against 1",
        ],
        features: &["F007"],
        expected: Verdict::Refuted,
        run: scale,
    },
    Experiment {
        name: "log-parameter",
        row: "X03",
        source: "000 body and §1.3 eq. 8-9; 001 EGD",
        claim: "the factor exp(φ) of descent on φ = ln θ only adjusts the rate and may be dropped",
        correct: "with it the flow is that of the Burg entropy, without it that of the negative entropy, which is descent on u with θ = u²/4",
        errata: &["E02"],
        decides: &["factor dropped (EGD), x[1] at time 1", "factor kept, x[1] at time 1"],
        features: &["F009", "F010"],
        expected: Verdict::Refuted,
        run: log_parameter,
    },
];

/// The matrix of the non-negative least-squares problem.
const B: [[f64; 3]; 4] = [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 1.0]];
pub(super) const THIRDS: [f64; 3] = [1.0 / 3.0; 3];

fn product(x: &[f64]) -> [f64; 4] {
    B.map(|row| row.iter().zip(x).map(|(b, x)| b * x).sum())
}

/// `‖Bx − B·(1, ½, 0)‖²/2`.
fn squares(x: &[f64]) -> f64 {
    let residual = product(x).into_iter().zip(product(&[1.0, 0.5, 0.0])).map(|(a, b)| a - b);
    residual.map(|r| 0.5 * r * r).sum()
}

fn squares_gradient(x: &[f64], solution: [f64; 3]) -> Vec<f64> {
    let (at, target) = (product(x), product(&solution));
    let column = |j: usize| (0..4).map(|i| B[i][j] * (at[i] - target[i])).sum();
    (0..3).map(column).collect()
}

/// The gradient of the problem whose solution is not negative.
pub(super) fn inside(x: &[f64]) -> Vec<f64> {
    squares_gradient(x, [1.0, 0.5, 0.0])
}

/// The gradient of the problem whose solution is outside the orthant.
fn outside(x: &[f64]) -> Vec<f64> {
    squares_gradient(x, [1.0, 0.5, -0.3])
}

pub(super) fn descent(lr: f64) -> Result<Chain> {
    tuned(gd(), &[("lr", lr)])
}

pub(super) fn exponentiated(lr: f64) -> Result<Chain> {
    Ok(descent(lr)?.over(NegativeEntropy::default()))
}

/// Exponentiated gradient as a product, which underflows where the logarithm does not.
fn product_form(x: &mut [f64], lr: f64, steps: usize, gradient: impl Fn(&[f64]) -> Vec<f64>) {
    for _ in 0..steps {
        let g = gradient(x);
        x.iter_mut().zip(g).for_each(|(x, g)| *x *= (-lr * g).exp());
    }
}

fn random_stream(r: &mut Record) -> Result<()> {
    let mut bits = Rng::new(42);
    let want = [0xbdd7_3226_2feb_6e95, 0x28ef_e333_b266_f103, 0x4752_6757_130f_9f52_u64];
    let same = want.iter().filter(|want| bits.next_u64() == **want).count();
    r.count("64-bit words equal to the reference, of 3", Some(same), Some(3), 0);
    let mut stream = Rng::new(42);
    let uniform = [(); 3].map(|()| stream.uniform());
    let uniforms = ["0.74156488", "0.15991039", "0.27860113"];
    r.all_printed("uniform", &uniform, &uniforms);
    let normal = Rng::new(42).normal(4);
    let normals = ["0.88224891", "1.38847329", "-0.45084988", "0.67071644"];
    r.all_printed("normal", &normal, &normals);
    r.claim("seed 42", same == 3 && r.checks.iter().all(|c| c.agrees == Some(true)));
    let reference = |numbers: &[&str]| -> Vec<f64> {
        numbers.iter().map(|n| n.parse().unwrap_or(f64::NAN)).collect()
    };
    r.figure(
        Figure::new(
            "random-stream",
            "The first numbers at seed 42, here and in the reference",
            Axis::linear("place in the stream"),
            Axis::linear("number"),
        )
        .bound("uniform, reference", numbered(reference(&uniforms)))
        .bound("normal, reference", numbered(reference(&normals)))
        .points("uniform, here", numbered(uniform))
        .points("normal, here", numbered(normal)),
    );
    Ok(())
}

fn positive(r: &mut Record) -> Result<()> {
    let mut walk = Walk::new(exponentiated(0.1)?, &THIRDS)?;
    walk.descend(200, inside)?;
    r.all_printed("x after 200 steps", &walk.x, &["0.98520374", "0.49633300", "0.03302112"]);
    r.relative("loss after 200 steps", squares(&walk.x), 7.875496e-4, 1e-6);
    let mut multiplied = THIRDS;
    product_form(&mut multiplied, 0.1, 200, inside);
    let ratio: Vec<f64> = walk.x.iter().zip(multiplied).map(|(a, b)| a / b).collect();
    r.near("logarithm and product differ by", distance(&ratio, &[1.0; 3]), 0.0, 1e-13);
    walk.descend(1800, inside)?;
    r.all_printed("x after 2000 steps", &walk.x, &["0.99846584", "0.49961678", "0.00344900"]);
    r.claim("start (1/3, 1/3, 1/3), optimum on the border", walk.x.iter().all(|x| *x > 0.0));

    let mut walk = Walk::new(exponentiated(0.1)?, &THIRDS)?;
    walk.descend(400, outside)?;
    r.all_printed("x, solution outside", &walk.x, &["0.86666666", "0.46666667", "5.8584e-09"]);
    let optimum = [13.0 / 15.0, 7.0 / 15.0, 0.0];
    r.claim("start (1/3, 1/3, 1/3), solution outside", distance(&walk.x, &optimum) < 1e-7);

    let mut figure = Figure::new(
        "egd-zero-start",
        "Exponentiated gradient by its start: the optimum is at x₁ = 1, and 0 stays 0",
        Axis::linear("step"),
        Axis::linear("x₁"),
    );
    let mut from_zero = [0.0; 3];
    for (name, first) in [("1/3", 1.0 / 3.0), ("0.001", 1e-3), ("0", 0.0)] {
        from_zero = [first, 1.0 / 3.0, 1.0 / 3.0];
        let mut path = vec![(0.0, first)];
        for t in 1..=200 {
            product_form(&mut from_zero, 0.1, 1, inside);
            path.push((f64::from(t), from_zero[0]));
        }
        figure = figure.line(&format!("from x₁ = {name}"), path);
    }
    r.figure(figure.bound("optimum", [(0.0, 1.0), (200.0, 1.0)]));
    r.near("x[1] from a start of 0", from_zero[0], 0.0, 0.0);
    r.claim("start (0, 1/3, 1/3): the optimum is at x[1] = 1", from_zero[0] > 0.0);
    let mut opt = Optimizer::<f64>::new(exponentiated(0.1)?)?;
    let refused = opt.step(&mut [Param::new("x", &[1], &mut [0.0], &[1.0])]).is_err();
    r.count("starts at zero that the library refuses, of 1", Some(refused.into()), Some(1), 0);
    underflow(r)
}

fn underflow(r: &mut Record) -> Result<()> {
    let (mut multiplied, mut steps, mut product) = (1.0_f32, 0, vec![]);
    while multiplied > 0.0 {
        product.push((steps as f64, f64::from(multiplied).ln()));
        multiplied *= (-1.0_f32).exp();
        steps += 1;
    }
    r.count("steps until the f32 product is 0 at η·g = 1", Some(steps), Some(104), 0);
    r.claim("f32 product, 104 steps down", multiplied > 0.0);
    let mut opt = Optimizer::<f32>::new(exponentiated(1.0)?)?;
    let (mut x, mut logarithm) = ([1.0_f32], vec![]);
    for g in [[1.0_f32; 104], [-1.0; 104]].concat() {
        advance(&mut opt, &mut [Param::new("x", &[1], &mut x, &[g])])?;
        let kept = opt.slot("x", "log_x").ok_or_else(|| defect("no logarithm is kept"))?;
        logarithm.push(f64::from(kept[0]));
    }
    r.near("f32 logarithm after 104 steps down and 104 up", f64::from(x[0]), 1.0, 0.0);
    r.figure(
        Figure::new(
            "egd-underflow",
            "ln θ in f32 at η·g = 1: what a product loses a logarithm keeps",
            Axis::linear("step"),
            Axis::linear("ln θ"),
        )
        .line("logarithm, 104 steps down and 104 up", numbered(logarithm))
        .line(&format!("product, exactly 0 from step {steps} on"), product),
    );
    Ok(())
}

fn relative_change(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(2);
    let sizes = [0.5, 1e-3, 40.0];
    let (x, g) = ([sizes; 10].concat(), rng.normal(30));
    let mut walk = Walk::new(exponentiated(0.1)?, &x)?;
    walk.step(&g)?;
    let change: Vec<f64> = walk.x.iter().zip(&x).map(|(new, old)| (new / old).ln()).collect();
    let want: Vec<f64> = g.iter().map(|g| -0.1 * g).collect();
    let error = distance(&change, &want);
    r.near("difference of ln(θ'/θ) from −η·g", error, 0.0, 1e-12);
    r.claim("parameters from 0.001 to 40", error <= 1e-12);
    let figure = Figure::new(
        "egd-relative-change",
        "One step of exponentiated gradient, η = 0.1: the change of ln θ by the gradient",
        Axis::linear("gradient g"),
        Axis::linear("ln(θ'/θ)"),
    );
    let figure = figure.bound("−η·g", [(-2.5, 0.25), (2.5, -0.25)]);
    let of_size = |figure: Figure, k: usize| {
        let points = g.iter().copied().zip(change.iter().copied()).skip(k).step_by(3);
        figure.points(&format!("θ = {}", sizes[k]), points)
    };
    r.figure((0..3).fold(figure, of_size));
    Ok(())
}

fn leaves_orthant(r: &mut Record) -> Result<()> {
    let mut plain = Walk::new(descent(0.1)?, &THIRDS)?;
    let mut entropic = Walk::new(exponentiated(0.1)?, &THIRDS)?;
    let (mut first, mut paths) = (None, [vec![], vec![]]);
    for t in 1..=400 {
        plain.descend(1, outside)?;
        entropic.descend(1, outside)?;
        first = first.or(plain.x.iter().any(|x| *x < 0.0).then_some(t));
        paths[0].push((t as f64, plain.x[2]));
        paths[1].push((t as f64, entropic.x[2]));
    }
    r.count("first step with a negative coordinate", first, Some(8), 0);
    plain.descend(1600, outside)?;
    r.near("x[3] after 2000 steps", plain.x[2], -0.3, 1e-9);
    r.claim("least squares whose solution is outside", first.is_some());
    let [plain, entropic] = paths;
    r.figure(
        Figure::new(
            "gd-leaves-orthant",
            "The coordinate whose unconstrained solution is negative",
            Axis::log("step"),
            Axis::linear("x₃"),
        )
        .line("gradient descent", plain)
        .line("exponentiated gradient", entropic),
    );
    Ok(())
}

/// Some steps in units in which the parameter of the problem is `scale` times ours.
fn in_units(
    chain: Chain,
    start: f64,
    scale: f64,
    steps: usize,
    [read, slope]: [fn(f64) -> f64; 2],
) -> Result<Vec<f64>> {
    let mut walk = Walk::new(chain, &[start; 3])?;
    let parameter = |z: &[f64]| z.iter().map(|z| scale * read(*z)).collect::<Vec<f64>>();
    walk.descend(steps, |z| {
        let g = inside(&parameter(z));
        g.iter().zip(z).map(|(g, z)| scale * g * slope(*z)).collect()
    })?;
    Ok(parameter(&walk.x))
}

fn scale(r: &mut Record) -> Result<()> {
    let logarithmic = |c: f64, steps| {
        in_units(descent(0.01)?, (1.0 / (3.0 * c)).ln(), c, steps, [f64::exp, f64::exp])
    };
    let kept = distance(&logarithmic(10.0, 20)?, &logarithmic(1.0, 20)?);
    r.near("descent on the logarithm, c = 10 against 1", kept, 0.0, 1e-12);
    let entropic =
        |c: f64, steps| in_units(exponentiated(0.01)?, 1.0 / (3.0 * c), c, steps, [|x| x, |_| 1.0]);
    let changed = distance(&entropic(10.0, 20)?, &entropic(1.0, 20)?);
    r.near("exponentiated gradient, c = 10 against 1", changed, 0.3396, 1e-3);
    r.claim("θ = 10·z instead of z, 20 steps", changed < 1e-9);
    let mut figure = Figure::new(
        "egd-scale",
        "The first parameter in its own unit and in tenths of it, rate 0.01",
        Axis::linear("step"),
        Axis::linear("θ₁"),
    );
    for c in [1.0, 10.0] {
        let path = |of: &dyn Fn(usize) -> Result<Vec<f64>>| -> Result<Vec<(f64, f64)>> {
            (0..=20).map(|t| Ok((t as f64, of(t)?[0]))).collect()
        };
        figure = figure
            .line(&format!("exponentiated gradient, θ = {c}·z"), path(&|t| entropic(c, t))?)
            .line(&format!("descent on the logarithm, θ = {c}·z"), path(&|t| logarithmic(c, t))?);
    }
    r.figure(figure);
    Ok(())
}

/// Where a method is after every thousandth of 10⁵ steps of 1e-5: its flow up to time 1.
fn flow(
    chain: Chain,
    start: f64,
    read: fn(f64) -> f64,
    slope: fn(f64) -> f64,
) -> Result<Vec<Vec<f64>>> {
    let mut walk = Walk::new(chain, &[start; 3])?;
    let place = |z: &[f64]| z.iter().map(|z| read(*z)).collect::<Vec<f64>>();
    let mut path = vec![place(&walk.x)];
    for _ in 0..100 {
        walk.descend(1000, |z| {
            inside(&place(z)).iter().zip(z).map(|(g, z)| g * slope(*z)).collect()
        })?;
        path.push(place(&walk.x));
    }
    Ok(path)
}

fn log_parameter(r: &mut Record) -> Result<()> {
    let third: f64 = 1.0 / 3.0;
    let entropic = [0.827429, 0.491544, 0.309548];
    let barrier = [0.760394, 0.487240, 0.372678];
    let square = descent(1e-5)?;
    let dropped = flow(exponentiated(1e-5)?, third, |x| x, |_| 1.0)?;
    let kept = flow(descent(1e-5)?, third.ln(), f64::exp, f64::exp)?;
    let flows = [
        ("factor dropped (EGD)", dropped.clone(), entropic),
        (
            "u with θ = u²/4",
            flow(square, 2.0 * third.sqrt(), |u| u * u / 4.0, |u| u / 2.0)?,
            entropic,
        ),
        ("factor kept", kept.clone(), barrier),
        (
            "Burg entropy",
            flow(descent(1e-5)?.over(Burg::default()), third, |x| x, |_| 1.0)?,
            barrier,
        ),
    ];
    for (name, path, want) in &flows {
        for i in 0..3 {
            r.near(&format!("{name}, x[{}] at time 1", i + 1), path[100][i], want[i], 5e-6);
        }
    }
    // If the factor only adjusted the rate, both flows would follow one path at different times.
    let (mut path, mut closest) = (Walk::new(exponentiated(1e-3)?, &THIRDS)?, f64::INFINITY);
    let mut long = vec![THIRDS.to_vec()];
    for _ in 0..5000 {
        path.descend(1, inside)?;
        closest = closest.min(distance(&path.x, &kept[100]));
        long.push(path.x.clone());
    }
    r.note("how near the path without the factor comes to where the other is at time 1", closest);
    r.claim("both flows follow the same path", closest < 1e-3);
    let apart = distance(&dropped[100], &kept[100]);
    r.claim("both flows are at the same place at time 1", apart < 1e-3);
    let seen = |path: &[Vec<f64>]| path.iter().map(|x| (x[0], x[2])).collect::<Vec<_>>();
    let figure = Figure::new(
        "log-parameter",
        "Descent on φ = ln θ from (1/3, 1/3, 1/3): dropping the factor changes the path",
        Axis::linear("x₁"),
        Axis::linear("x₃"),
    );
    let figure = figure
        .line("factor dropped (EGD), to time 5", seen(&long))
        .line("factor kept, to time 1", seen(&kept));
    let at_one = |figure: Figure, (name, path, _): &(&str, Vec<Vec<f64>>, [f64; 3])| {
        figure.points(&format!("{name}, time 1"), seen(&path[100..]))
    };
    r.figure(flows.iter().fold(figure, at_one));
    Ok(())
}
