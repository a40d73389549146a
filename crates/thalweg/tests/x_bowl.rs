//! X47: every first-order optimizer on the bowl, against the reference table.

mod common;

use common::walk::{Walk, all_printed, bowl, bowl_gradient, near, near_relative, tuned};
use thalweg::geometry::{Hypentropy, PNorm};
use thalweg::recipes::*;
use thalweg::rules::{AdaGrad, MetaEgd, MetaEgdMomentum, Scale};
use thalweg::{At, Chain, Denominator, Here, Inside, Range, Real, Rule, Slot, hypers, slot};

/// A row of the table: the place after ten steps, the value after a hundred and a thousand, and
/// the number of steps until the value is below 1e-6.
struct Row {
    after_10: [&'static str; 3],
    f_100: f64,
    f_1000: f64,
    steps: usize,
}

fn row(after_10: [&'static str; 3], f_100: f64, f_1000: f64, steps: usize) -> Row {
    Row { after_10, f_100, f_1000, steps }
}

/// Below 1e-30 the table only holds how the last bits were rounded.
#[track_caller]
fn value(got: f64, want: f64) {
    if want < 1e-30 {
        assert!((0.0..1e-30).contains(&got), "{got:e} is not below 1e-30");
    } else {
        near_relative(got, want, 1e-6);
    }
}

#[track_caller]
fn check(chain: Chain, row: Row) {
    let mut walk = Walk::new(chain, &[1.0; 3]);
    let mut first_below = None;
    for t in 1..=10_000 {
        walk.descend(1, bowl_gradient);
        let f = bowl(&walk.x);
        if f < 1e-6 && first_below.is_none() {
            first_below = Some(t);
        }
        match t {
            10 => all_printed(&walk.x, &row.after_10),
            100 => value(f, row.f_100),
            1000 => value(f, row.f_1000),
            _ => {}
        }
        if t >= 1000 && first_below.is_some() {
            break;
        }
    }
    assert_eq!(first_below, Some(row.steps));
}

fn lr(chain: Chain, lr: f64) -> Chain {
    tuned(chain, &[("lr", lr)])
}

#[test]
fn x47_gradient_descent() {
    let x = ["0.818725294564", "0.110061759396", "0.818725294564"];
    check(lr(gd(), 2.0 / 101.0), row(x, 9.248164394e-01, 2.142560075e-16, 444));
    let x = ["0.904382075009", "0.3486784401", "0.000000000000"];
    check(lr(gd(), 0.01), row(x, 6.698984096e-02, 9.318783015e-10, 653));
}

#[test]
fn x47_momentum() {
    let x = ["0.621079112471", "-0.5887893888", "0.175316481"];
    check(lr(momentum(), 0.01), row(x, 1.644900022e-04, 8.923409460e-45, 141));
    // The third coordinate is the product of five rounding errors (3.37e-80 in the table): at this
    // rate the method is nilpotent there.
    let x = ["5.826111148124e-01", "-3.465781716457e-01", "0.000000000000"];
    check(lr(nesterov(), 0.01), row(x, 2.536106604e-07, 4.723475963e-51, 95));
}

#[test]
fn x47_adagrad() {
    let x = ["0.003105603449", "0.003105603447", "0.003105603446"];
    check(lr(adagrad(), 0.5), row(x, 1.034348750e-47, 0.0, 16));
    let inside = AdaGrad::<Inside>::default().denominator(Inside::new(1e-8));
    let x = ["0.003105603576", "0.003105603448", "0.003105603446"];
    check(Chain::new((inside, Scale::default().lr(0.5))), row(x, 1.034348758e-47, 0.0, 16));
}

#[test]
fn x47_rmsprop_and_adadelta() {
    let x = ["0.832052418284", "0.832052415359", "0.832052415066"];
    let chain = tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9)]);
    check(chain, row(x, 4.257626140e-01, 1.387499850e-03, 137));
    let x = ["0.549891131713", "0.549891108938", "0.549891106661"];
    let chain = tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.99)]);
    check(chain, row(x, 7.746194091e-03, 1.251962347e-320, 172));
    let x = ["0.96659718637", "0.966597013507", "0.966597011779"];
    check(adadelta(), row(x, 2.353310996e+01, 7.623206708e-03, 396));
}

#[test]
fn x47_adam_and_amsgrad() {
    let x = ["0.512293422884", "0.512293418118", "0.512293417642"];
    check(lr(adam(), 0.05), row(x, 9.843419141e-04, 1.673522482e-44, 129));
    check(lr(amsgrad(), 0.05), row(x, 1.055816423e-03, 1.272247428e-44, 107));
}

#[test]
fn x47_decay() {
    let x = ["0.508568677922", "0.508568673164", "0.508568672688"];
    let chain = tuned(adamw(), &[("lr", 0.05), ("decay", 0.01)]);
    check(chain, row(x, 8.707637709e-04, 4.009487319e-45, 55));
    let x = ["0.512293422832", "0.512293418118", "0.512293417642"];
    let chain = tuned(adam_l2(), &[("lr", 0.05), ("decay", 0.01)]);
    check(chain, row(x, 9.843419141e-04, 1.673522480e-44, 129));
}

#[test]
fn x47_adabelief() {
    let x = ["0.353670312479"; 3];
    check(lr(adabelief(), 0.05), row(x, 1.061772409e-03, 1.989531716e-44, 106));
    let x = ["0.749350475433", "-0.375605650975", "-2.584364207301"];
    check(lr(adabelief_rectified(), 0.05), row(x, 8.247520496e+01, 8.415832961e-38, 270));
}

#[test]
fn x47_meta_egd() {
    let gains = <MetaEgd>::default().gamma(1e-4).clip(f64::INFINITY);
    let x = ["9.900404472953e-01", "9.004175043698e-01", "4.470823254313e-04"];
    let chain = Chain::new((gains, Scale::default().lr(1e-3)));
    check(chain, row(x, 7.689830476e-01, 6.383438473e-02, 6269));
    let gains = <MetaEgd>::default().gamma(0.1).clip(1.0);
    let x = ["0.983851968296", "0.848028309929", "0.165373448951"];
    let chain = Chain::new((gains, Scale::default().lr(1e-3)));
    check(chain, row(x, 7.848002344e-04, 3.016464660e-45, 163));
}

hypers! {
    /// The source's momentum form, with the product of the two buffers in place of the derivative.
    struct ProductOfBuffers {
        /// Share of the buffer kept.
        momentum "μ" = 0.9 in Range::RATE,
        /// Rate at which the logarithm of the gain learns.
        gamma "γ" = 1e-5 in Range::NON_NEGATIVE,
    }
}

impl Rule for ProductOfBuffers {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("ell"), slot("buf")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [mu, gamma] = at.lift([at.get(&self.momentum), at.get(&self.gamma)]);
        move |d, _, [ell, buf]| {
            let new = mu * buf + d;
            let ell = ell + gamma * (buf * new);
            (ell.exp() * new, [ell, new])
        }
    }
}

#[test]
fn x47_meta_egd_with_momentum() {
    let gains = <MetaEgdMomentum>::default().gamma(1e-5).clip(f64::INFINITY);
    let x = ["0.958971766645", "0.615756356179", "-0.544476851733"];
    let chain = Chain::new((gains, Scale::default().lr(1e-3)));
    check(chain, row(x, 6.858231706e-02, 1.080216292e-10, 595));
    let x = ["0.958945773644", "0.594497473251", "1.285345927662"];
    let chain = Chain::new((ProductOfBuffers::default(), Scale::default().lr(1e-3)));
    check(chain, row(x, 6.990107472e-02, 3.648890670e-11, 569));
}

#[test]
fn x47_egdd_and_hypergradients() {
    let x = ["0.957522034641", "0.609072078804", "-0.593530338315"];
    check(egdd(), row(x, 1.477006033e-02, 1.742620239e-43, 166));
    let x = ["0.987608436733", "0.882142551682", "0.264001367403"];
    let chain = tuned(sgd_hd(), &[("lr", 1e-3), ("hyper_lr", 1e-8)]);
    check(chain, row(x, 6.716185484e-01, 2.835332803e-02, 4563));
    let x = ["0.543690457318", "0.543690404498", "0.543690399216"];
    let chain = tuned(adam_hd(), &[("lr", 1e-3), ("hyper_lr", 1e-4)]);
    check(chain, row(x, 8.700923467e-04, 1.098819099e-44, 114));
}

#[test]
fn x47_mirror_maps() {
    let x = ["0.871297795004", "0.292084756274", "0.000000000000"];
    let chain = lr(gd(), 0.01).over(Hypentropy::default().beta(1.0));
    check(chain, row(x, 4.807921584e-02, 6.383225105e-10, 635));
    let x = ["1.253760342838", "0.385186109195", "0.008841976333"];
    let chain = lr(gd(), 0.01).over(PNorm::default().p(1.5));
    check(chain, row(x, 1.453630607e-01, 2.031655825e-09, 692));
    let x = ["0.659376817346", "0.274197654663", "0.359163085368"];
    let chain = lr(gd(), 0.01).over(PNorm::default().p(3.0));
    check(chain, row(x, 8.926778469e-01, 5.344513604e-09, 752));
}

/// The seed's limit of RMSProp: a cycle of half the learning rate in every coordinate (E34).
#[test]
fn x47_rmsprop_cycles_at_half_its_rate() {
    let mut walk = Walk::new(tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9)]), &[1.0; 3]);
    walk.descend(1000, bowl_gradient);
    walk.x.iter().for_each(|x| near(x.abs(), 0.005, 1e-8));
}
