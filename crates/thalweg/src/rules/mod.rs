//! Rules and folds, one formula per file, and the recipes made of them.

use crate::chain::Chain;
use crate::registry::Entry;

/// What a rule file says of its building blocks, so that recipe files can name them: chains of one
/// rule, fold or geometry each. The first form of a name is the one meant when a recipe does not say
/// how it is completed.
const BLOCKS: &[fn() -> Chain] = &[];

/// Declares the catalogue: each name is a file of this folder with its formulas, its recipes and
/// its registry entries.
macro_rules! catalogue {
    ($($file:ident),* $(,)?) => {
        $(
            mod $file;
            #[allow(unused_imports, reason = "a file of recipes alone has no rule")]
            pub use $file::*;
        )*

        /// The registry entries of every file.
        pub(crate) const CATALOGUE: &[&[Entry]] = &[$($file::ENTRIES),*];

        /// The building blocks of every file.
        pub(crate) const ALL_BLOCKS: &[&[fn() -> Chain]] = &[$({
            // Where the file has no table of this name, the one above is what the name means.
            #[allow(unused_imports, reason = "a file may have no table")]
            use $file::*;
            BLOCKS
        }),*];

        /// Optimizers ready to use: chains with the defaults of the paper or of a library.
        #[doc(hidden)]
        pub mod recipes {
            $(
                #[allow(unused_imports, reason = "a file of building blocks has no recipe")]
                pub use super::$file::recipes::*;
            )*
        }
    };
}

catalogue!(
    scale,
    decay,
    clip,
    gd,
    momentum,
    adagrad,
    rmsprop,
    adadelta,
    adam,
    amsgrad,
    adabelief,
    meta_egd,
    group_gain,
    egdd,
    amid,
    hypergradient,
    nadam,
    radam,
    adamax,
    lion,
    signum,
    adan,
    adopt,
    ademamix,
    mars,
    laprop,
    yogi,
    rprop,
    asgd,
    maximize,
    lookahead,
    schedule_free,
    weight_average,
    swa,
    lamb,
    lars,
    novograd,
    stable_adamw,
    cautious,
    dog,
    dowg,
    prodigy,
    d_adaptation,
    mechanic,
);
