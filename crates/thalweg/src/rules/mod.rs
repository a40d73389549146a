//! Rules and folds, one formula per file, and the recipes made of them.

use crate::registry::Entry;

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
    lamb,
    lars,
    novograd,
    stable_adamw,
    cautious,
);
