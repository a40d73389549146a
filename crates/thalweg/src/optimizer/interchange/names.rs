//! The names table: what other libraries call the state of the blocks here.

use std::fmt;

/// A library whose optimizer states can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Library {
    /// PyTorch: `torch.optim`, names of `Optimizer.state` (2.15).
    Torch,
    /// optax, fields of its state tuples (0.2.8).
    Optax,
    /// burn, paths of its optimizer records (burn-optim 0.22).
    Burn,
    /// candle-optimisers, fields of its structs (0.10.2). The crate itself has no way to save them.
    Candle,
}

impl Library {
    /// All of them.
    pub const ALL: [Library; 4] = [Library::Torch, Library::Optax, Library::Burn, Library::Candle];

    /// What a counter of steps is called where the optimizer itself has none: it may be in the file,
    /// and is not written.
    pub(super) fn counter(self) -> Name {
        let (tensor, of) = match self {
            Library::Torch => ("step", "none"),
            Library::Optax => ("count", "none"),
            Library::Burn => ("time", "none"),
            Library::Candle => ("t", "none"),
        };
        Name { library: self, of, block: "", slot: "t", tensor, sign: 1.0 }
    }

    /// Whether one counter stands for all parameters, under its bare name.
    pub(super) fn counts_once(self) -> bool {
        matches!(self, Library::Optax | Library::Candle)
    }

    /// The names this library gives to state, one row per block and slot.
    pub fn names(self) -> impl Iterator<Item = &'static Name> {
        NAMES.iter().filter(move |name| name.library == self)
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Library::Torch => "torch",
            Library::Optax => "optax",
            Library::Burn => "burn",
            Library::Candle => "candle-optimisers",
        })
    }
}

/// A row of the names table.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Name {
    /// Whose name it is.
    pub library: Library,
    /// The optimizers there.
    pub of: &'static str,
    /// The block here; `AmsGrad<Raw>` is the one completed by `Raw`, `Scale, Momentum` the momentum
    /// that has the learning rate in its buffer.
    pub block: &'static str,
    /// The slot here, or `t`: the steps taken.
    pub slot: &'static str,
    /// The name there.
    pub tensor: &'static str,
    /// −1 where the other library stores the opposite sign.
    pub sign: f64,
}

/// The sign of a row, + where none is given.
const fn sign(given: &[f64]) -> f64 {
    match given {
        [sign] => *sign,
        _ => 1.0,
    }
}

macro_rules! names {
    ($($library:ident $of:literal: $($block:literal { $($slot:ident $tensor:literal $(* $sign:literal)?),+ })+)+) => {
        &[$($($(Name {
            library: Library::$library,
            of: $of,
            block: $block,
            slot: stringify!($slot),
            tensor: $tensor,
            sign: sign(&[$($sign)?]),
        }),+),+),+]
    };
}

/// The table. CONVENTIONS.md prints it.
const NAMES: &[Name] = names! {
    Torch "Adam, AdamW":
        "Adam" { m "exp_avg", v "exp_avg_sq", t "step" }
    Torch "Adam, AdamW with amsgrad":
        "AmsGrad<Raw>" { m "exp_avg", v "exp_avg_sq", v_max "max_exp_avg_sq", t "step" }
    Torch "SGD, RMSprop with momentum":
        "Momentum" { buf "momentum_buffer" }
        "Nesterov" { buf "momentum_buffer" }
    Torch "RMSprop":
        "RmsProp" { v "square_avg", t "step" }
    Torch "RMSprop, centred":
        "CenteredRmsProp" { v "square_avg", mean "grad_avg", t "step" }
    Torch "Adagrad":
        "AdaGrad" { sum "sum", t "step" }
    Torch "Adadelta":
        "AdaDelta" { v "square_avg", delta "acc_delta", t "step" }
    Optax "adam, adamw":
        "Adam" { m "mu", v "nu", t "count" }
    Optax "amsgrad":
        "AmsGrad<Corrected>" { m "mu", v "nu", v_max "nu_max", t "count" }
    Optax "adabelief":
        "AdaBelief" { m "mu", s "nu", t "count" }
    Optax "sgd":
        "Momentum" { buf "trace" }
        "Nesterov" { buf "trace" }
    Optax "rmsprop with momentum":
        "Scale, Momentum" { buf "trace" * -1.0 }
        "Scale, Nesterov" { buf "trace" * -1.0 }
    Optax "rmsprop":
        "RmsProp" { v "nu" }
    Optax "rmsprop, centred":
        "CenteredRmsProp" { v "nu", mean "mu" }
    Optax "adagrad":
        "AdaGrad" { sum "sum_of_squares" }
    Optax "adadelta":
        "AdaDelta" { v "e_g", delta "e_x" }
    Burn "Adam, AdamW":
        "Adam" { m "momentum.moment_1", v "momentum.moment_2", t "momentum.time" }
    Burn "Adam, AdamW with amsgrad":
        "AmsGrad<Raw>" {
            m "momentum.moment_1", v "momentum.moment_2", v_max "momentum.max_moment_2",
            t "momentum.time"
        }
    Burn "Sgd":
        "Momentum" { buf "momentum.velocity" }
        "Nesterov" { buf "momentum.velocity" }
    Burn "AdaGrad":
        "AdaGrad" { sum "lr_decay.sum", t "lr_decay.time" }
    Candle "Adam":
        "Adam" { m "m", v "v", t "t" }
    Candle "Adam with amsgrad":
        "AmsGrad<Raw>" { m "m", v "v", v_max "vmax", t "t" }
    Candle "SGD, RMSprop with momentum":
        "Momentum" { buf "b" }
        "Nesterov" { buf "b" }
    Candle "RMSprop":
        "RmsProp" { v "v" }
    Candle "RMSprop, centred":
        "CenteredRmsProp" { v "v", mean "g" }
    Candle "Adagrad":
        "AdaGrad" { sum "sum", t "t" }
    Candle "Adadelta":
        "AdaDelta" { v "v", delta "u" }
};
