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
        Name { library: self, of, block: "", slot: "t", tensor, sign: 1.0, ahead: 0 }
    }

    /// Whether one counter stands for all parameters, under its bare name.
    fn counts_once(self) -> bool {
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
    /// that has the learning rate in its buffer, `Adam + TrustRatio` the Adam of a chain with that.
    pub block: &'static str,
    /// The slot or scalar here; `t`: the steps taken; `computed`: what follows from those and the
    /// hyper-parameters, `variance`: what follows from `v` and `mean`; both are written and not read.
    pub slot: &'static str,
    /// The name there.
    pub tensor: &'static str,
    /// −1 where the other library stores the opposite sign.
    pub sign: f64,
    /// What a counter there is ahead of the steps taken: 1 if it is the number of the next step.
    pub ahead: u64,
}

/// What a row asks of the blocks around its own.
pub(super) enum Neighbour {
    Any,
    Before(&'static str),
    Anywhere(&'static str),
}

impl Name {
    /// The block with its type, and what must be around it.
    pub(super) fn split(&self) -> (&'static str, Neighbour) {
        if let Some((other, block)) = self.block.split_once(", ") {
            return (block, Neighbour::Before(other));
        }
        match self.block.split_once(" + ") {
            Some((block, other)) => (block, Neighbour::Anywhere(other)),
            None => (self.block, Neighbour::Any),
        }
    }

    /// Whether it stands there once for all parameters, under its bare name.
    pub fn once(&self) -> bool {
        let shared = matches!(self.slot, "t" | "computed" | "lr_max" | "weight_sum");
        shared && self.library.counts_once()
    }
}

/// What a row gives, or what it means if it gives nothing.
const fn or<T: Copy>(given: &[T], otherwise: T) -> T {
    match given {
        [given] => *given,
        _ => otherwise,
    }
}

macro_rules! names {
    ($($library:ident $of:literal: $($block:literal { $($slot:ident $tensor:literal $(* $sign:literal)? $(+ $ahead:literal)?),+ })+)+) => {
        &[$($($(Name {
            library: Library::$library,
            of: $of,
            block: $block,
            slot: stringify!($slot),
            tensor: $tensor,
            sign: or(&[$($sign)?], 1.0),
            ahead: or(&[$($ahead)?], 0),
        }),+),+),+]
    };
}

/// The table. CONVENTIONS.md prints it.
const NAMES: &[Name] = names! {
    Torch "Adam, AdamW, SparseAdam":
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
    Torch "NAdam":
        "NAdam<GrowingMomentum>" {
            m "exp_avg", v "exp_avg_sq", computed "mu_product", t "step"
        }
    Torch "RAdam":
        "RAdam" { m "exp_avg", v "exp_avg_sq", t "step" }
    Torch "Adamax":
        "Adamax<InMaximum>" { m "exp_avg", norm "exp_inf", t "step" }
    Torch "Rprop":
        "Rprop<AtThisStep>" { prev "prev", step "step_size", t "step" }
    Torch "ASGD":
        "Asgd" { average "ax", computed "eta", computed "mu", t "step" }
    Optax "adam, adamw, lamb":
        "Adam" { m "mu", v "nu", t "count" }
    Optax "amsgrad":
        "AmsGrad<Corrected>" { m "mu", v "nu", v_max "nu_max", t "count" }
    Optax "adabelief":
        "AdaBelief" { m "mu", s "nu", t "count" }
    Optax "sgd":
        "Momentum" { buf "trace" }
        "Nesterov" { buf "trace" }
    Optax "rmsprop with momentum, lars":
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
    Optax "nadam":
        "NAdam<ConstantMomentum>" { m "mu", v "nu", t "count" }
    Optax "radam":
        "RAdam" { m "mu", v "nu", t "count" }
    Optax "adamax":
        "Adamax<InMaximum>" { m "mu", norm "nu", t "count" }
    Optax "lion":
        "Lion" { m "mu", t "count" }
    Optax "signum":
        "Signum" { m "ema", t "count" }
    Optax "yogi":
        "Yogi<AtInitial>" { m "mu", v "nu", t "count" }
    Optax "novograd":
        "NovoGrad" { m "mu", v "nu", t "count" }
    Optax "adan":
        "Adan<Complement>" { m "m", diff "v", v "n", prev "g", t "t" }
    Optax "contrib.adopt":
        "Adopt<StepsBefore>" { m "mu", v "nu", t "count" }
    Optax "contrib.ademamix":
        "AdEmaMix" { m "m1", slow "m2", v "nu", t "count", t "count_m2" }
    Optax "contrib.schedule_free":
        "ScheduleFree<PlainRate>" {
            z "z", lr_max "max_lr", weight_sum "weight_sum", computed "b1", t "step_count" + 1
        }
    Optax "contrib.schedule_free_adamw":
        "CorrectedRms" { v "nu", t "count" }
    Optax "rprop":
        "Rprop<AtNextStep>" { prev "prev_updates", step "step_sizes" }
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
    Burn "RmsProp":
        "RmsProp" { v "square_avg.square_avg", variance "centered.avg" }
        "RmsProp, Momentum" { buf "momentum.buf" }
    Burn "RmsProp, centred":
        "CenteredRmsProp" {
            v "square_avg.square_avg", mean "centered.grad_avg", variance "centered.avg"
        }
        "CenteredRmsProp, Momentum" { buf "momentum.buf" }
    Burn "Lion":
        "Lion" { m "momentum" }
    Burn "Adan":
        "Adan<Kept>" {
            m "momentum.exp_avg", diff "momentum.exp_avg_diff", v "momentum.exp_avg_sq",
            prev "momentum.neg_pre_grad" * -1.0, t "momentum.time"
        }
    Burn "Lamb":
        "Adam + TrustRatio" { m "moment_1", v "moment_2", t "time" }
    Candle "Adam":
        "Adam" { m "m", v "v", t "t" + 1 }
    Candle "Adam with amsgrad":
        "AmsGrad<Raw>" { m "m", v "v", v_max "vmax", t "t" + 1 }
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
    Candle "NAdam":
        "NAdam<GrowingMomentum>" {
            m "m", v "v", computed "mu_t", computed "mu_t2", computed "prod", computed "prod2",
            t "t" + 1
        }
    Candle "RAdam":
        "RAdam" { m "m", v "v", t "t" + 1 }
    Candle "Adamax":
        "Adamax<InMaximum>" { m "m", norm "u", t "t" + 1 }
};
