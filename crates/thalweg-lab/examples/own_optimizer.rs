//! An optimizer of your own in one file. The whole `thalweg` command then knows it:
//!
//! ```sh
//! cargo run --release --example own_optimizer -- compare digits-mlp --optimizers soft_sign,momentum,signum
//! ```
//!
//! Here a rule steps by the sign of the momentum where that is large and in proportion to it where it is
//! small. Anything that is a [`Chain`] can be registered. An optimizer that is made of the library's own
//! blocks needs no program, but a recipe file (`compare --optimizers mine.toml`).

use std::process::ExitCode;

use thalweg::rules::Scale;
use thalweg::{At, Chain, Here, Real, Rule, Slot, hypers, slot};
use thalweg_lab::optimizers::{self, Range};

hypers! {
    /// The momentum over its size and a softening: `m/(|m| + δ)`.
    pub struct SoftSign {
        /// Decay rate of the average.
        beta "β" = 0.9 in thalweg::Range::RATE,
        /// The momentum at which a step is half as long as at most.
        delta "δ" = 1e-3 in thalweg::Range::POSITIVE,
    }
}

impl Rule for SoftSign {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, a, _] = at.ema(&self.beta);
        let [delta] = at.lift([at.get(&self.delta)]);
        move |g, _, [m]| {
            let m = b * m + a * g;
            (m / (m.abs() + delta), [m])
        }
    }
}

/// Makes the optimizer known under a name, with what is to be tuned and where.
pub fn register() -> thalweg_lab::Result<()> {
    let tune = [
        Range { hyper: "lr", low: 1e-4, high: 1e-1 },
        Range { hyper: "delta", low: 1e-6, high: 1e-1 },
    ];
    let chain = Chain::new((SoftSign::default(), Scale::default().lr(1e-3)));
    optimizers::register("soft_sign", "momentum over its size and a softening", &tune, chain)
}

/// Registers the optimizer, and is the `thalweg` command from there on.
#[allow(dead_code, reason = "the test of this example registers the optimizer itself")]
fn main() -> ExitCode {
    match register() {
        Ok(()) => thalweg_lab::cli::main(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
