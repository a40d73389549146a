//! Instruction sets: which there are, which one runs, and numbers marked with one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::OnceLock;

use crate::error::Error;
use crate::hyper::HyperSpec;
use crate::real::Real;

/// An instruction set the sweep is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// One coordinate at a time: the oracle of the others, and slow.
    Scalar,
    /// What every machine of this architecture has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2 (x86-64).
    Avx2,
    /// AVX-512 F, VL, BW, DQ (x86-64).
    Avx512,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar => "scalar",
            Isa::Baseline if cfg!(target_arch = "x86_64") => "sse2",
            Isa::Baseline if cfg!(target_arch = "aarch64") => "neon",
            Isa::Baseline => "baseline",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

impl Isa {
    /// The instruction sets this machine can run, the fastest first.
    pub fn available() -> Vec<Isa> {
        let mut sets = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512dq");
            if avx512 {
                sets.push(Isa::Avx512);
            }
            if std::is_x86_feature_detected!("avx2") {
                sets.push(Isa::Avx2);
            }
        }
        sets.extend([Isa::Baseline, Isa::Scalar]);
        sets
    }

    /// The set to use: the one named by the environment variable `THALWEG_ISA` (`scalar`, `sse2`,
    /// `neon`, `avx2`, `avx512`), else the fastest available. Read once per process.
    ///
    /// # Errors
    /// [`Error::Engine`] if the variable names a set that does not exist or that this machine lacks.
    pub fn detect() -> Result<Isa, Error> {
        static CHOICE: OnceLock<Result<Isa, String>> = OnceLock::new();
        let choice = CHOICE.get_or_init(|| {
            let available = Isa::available();
            let Ok(name) = std::env::var("THALWEG_ISA") else { return Ok(available[0]) };
            available.iter().find(|isa| isa.to_string() == name).copied().ok_or_else(|| {
                let names: Vec<String> = available.iter().map(Isa::to_string).collect();
                format!("THALWEG_ISA={name} is not available; here: {}", names.join(", "))
            })
        });
        choice.clone().map_err(Error::Engine)
    }
}

/// Work that is compiled once per instruction set.
pub(crate) trait Task {
    /// Must be `#[inline(always)]`: the body has to be compiled inside [`Target::run`].
    fn run(self);
}

/// An instruction set as a type.
pub(crate) trait Target: Copy + fmt::Debug + Send + Sync + 'static {
    /// Whether loops over coordinates may become vector code.
    const VECTOR: bool = true;

    /// Runs a task compiled for this set.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn run(task: impl Task);
}

macro_rules! target {
    ($(#[$doc:meta])* $name:ident, vector $vector:literal $(, features $features:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl Target for $name {
            const VECTOR: bool = $vector;
            unsafe fn run(task: impl Task) {
                $(#[target_feature(enable = $features)])?
                #[inline(never)]
                unsafe fn compiled<T: Task>(task: T) {
                    task.run();
                }
                // SAFETY: the caller vouches for the instruction set.
                unsafe { compiled(task) }
            }
        }
    };
}
target!(/// See [`Isa::Scalar`].
    ScalarTarget, vector false);
target!(/// See [`Isa::Baseline`].
    BaselineTarget, vector true);
#[cfg(target_arch = "x86_64")]
target!(/// See [`Isa::Avx2`].
    Avx2Target, vector true, features "avx2");
#[cfg(target_arch = "x86_64")]
target!(/// See [`Isa::Avx512`].
    Avx512Target, vector true, features "avx512f,avx512vl,avx512bw,avx512dq");

/// Evaluates `$run` with the type `$target` standing for the instruction set `$isa`.
macro_rules! on {
    ($isa:expr, $target:ident => $run:expr) => {
        match $isa {
            $crate::Isa::Scalar => {
                type $target = $crate::engine::isa::ScalarTarget;
                $run
            }
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx2 => {
                type $target = $crate::engine::isa::Avx2Target;
                $run
            }
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx512 => {
                type $target = $crate::engine::isa::Avx512Target;
                $run
            }
            _ => {
                type $target = $crate::engine::isa::BaselineTarget;
                $run
            }
        }
    };
}
pub(crate) use on;

/// A number of a sweep compiled for the set `T`.
///
/// The mark makes every formula a different type for every set, so each closure has one caller
/// and is compiled into it. A closure shared by several callers might stay a call, and a call
/// keeps the loop around it from becoming vector code.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct On<T, F>(pub(crate) F, PhantomData<T>);

impl<T, F> On<T, F> {
    #[inline(always)]
    pub(crate) fn new(value: F) -> On<T, F> {
        On(value, PhantomData)
    }
}

macro_rules! forward {
    ($($trait:ident $method:ident),*) => {$(
        impl<T: Target, F: Real> $trait for On<T, F> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                On::new(self.0.$method(other.0))
            }
        }
    )*};
}
forward!(Add add, Sub sub, Mul mul, Div div);

impl<T: Target, F: Real> Neg for On<T, F> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        On::new(-self.0)
    }
}

impl<T: Target, F: Real> Real for On<T, F> {
    type Wide = F::Wide;
    type Mask = F::Mask;

    #[inline(always)]
    fn lift(constant: F::Wide) -> Self {
        On::new(F::lift(constant))
    }
    #[inline(always)]
    fn widen(self) -> F::Wide {
        self.0.widen()
    }
    #[inline(always)]
    fn number(value: f64) -> Self {
        On::new(F::number(value))
    }
    #[inline(always)]
    fn hyper(spec: &'static HyperSpec, value: f64) -> Self {
        On::new(F::hyper(spec, value))
    }
    #[inline(always)]
    fn named(name: &'static str, value: f64) -> Self {
        On::new(F::named(name, value))
    }
    #[inline(always)]
    fn away_from_zero(self) -> Self {
        On::new(self.0.away_from_zero())
    }
    #[inline(always)]
    fn lt(self, other: Self) -> F::Mask {
        self.0.lt(other.0)
    }
    #[inline(always)]
    fn select(mask: F::Mask, yes: Self, no: Self) -> Self {
        On::new(F::select(mask, yes.0, no.0))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        On::new(self.0.sqrt())
    }
    #[inline(always)]
    fn abs(self) -> Self {
        On::new(self.0.abs())
    }
    #[inline(always)]
    fn exp(self) -> Self {
        On::new(self.0.exp())
    }
    #[inline(always)]
    fn ln(self) -> Self {
        On::new(self.0.ln())
    }
    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        On::new(self.0.pow(exponent.0))
    }
}
