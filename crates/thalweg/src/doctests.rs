//! Compiles and runs the code of the README and of the book; exists only while doctests are
//! collected.

macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!(concat!("../../../book/src/", $file))]
        struct $name;
    )*};
}

#[doc = include_str!("../../../README.md")]
struct Readme;

pages! {
    Start "getting_started.md"
    Choose "how_to_choose.md"
    NewRule "new_rule.md"
    Geometries "geometries.md"
    Gains "learned_gains.md"
    Groups "groups.md"
    Schedules "schedules.md"
    Checkpoints "checkpoints.md"
    Precision "precision.md"
    Tail "tail.md"
    Evaluation "evaluation.md"
    Sam "optimizers/sam.md"
    AdaptiveClip "optimizers/agc.md"
    Centralize "optimizers/centralize.md"
    GradientNoise "optimizers/noise.md"
    RecipeFiles "recipe_files.md"
    Interchange "interchange.md"
    Online "online.md"
}
