//! Optimizers that the library's registry does not know: recipe files, and chains of a user's own program.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use thalweg::{Builder, Chain, Optimizer, Schedule, registry};

use super::{Entry, Range, sharp};
use crate::{Error, Result};

/// By how much a recipe's learning rate is lowered and raised at most where nobody names a range.
const REACH: f64 = 100.0;

/// What an optimizer is made from.
enum Source {
    /// A chain.
    Chain(Chain),
    /// The text of a recipe file in TOML, every value in it, and the chains of its groups.
    Recipe(String, Vec<Chain>),
}

/// One of these optimizers.
pub(super) struct Own {
    entry: Entry,
    source: Source,
    /// Whether no schedule can be given to its learning rate.
    pub(super) learns_its_rate: bool,
}

static ADDED: Mutex<Vec<&'static Own>> = Mutex::new(Vec::new());

impl Own {
    /// The chains of its groups, with their defaults.
    pub(super) fn chains(&self) -> Vec<Chain> {
        match &self.source {
            Source::Chain(chain) => vec![chain.clone()],
            Source::Recipe(_, chains) => chains.clone(),
        }
    }

    /// What its recipe builds; `None` if it is a chain.
    pub(super) fn recipe(&self) -> Option<std::result::Result<Builder, thalweg::Error>> {
        match &self.source {
            Source::Chain(_) => None,
            Source::Recipe(text, _) => Some(Builder::from_toml(text)),
        }
    }

    /// Why it makes no sense on tasks with a domain, if that is known.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        match &self.source {
            Source::Chain(_) => None,
            Source::Recipe(..) => Some("a recipe file says itself how updates are applied"),
        }
    }
}

/// The optimizer of this name, if it is one of these.
pub(super) fn get(name: &str) -> Option<&'static Own> {
    let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    added.iter().find(|own| own.entry.name == name).copied()
}

/// Those that the user's program has registered.
pub(super) fn entries() -> Vec<Entry> {
    let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    added.iter().map(|own| own.entry.clone()).collect()
}

/// Whether an optimizer is named by the path of a recipe file.
pub(super) fn is_path(name: &str) -> bool {
    let path = Path::new(name);
    name.contains(['/', '\\']) || path.extension().is_some_and(|e| e == "toml" || e == "json")
}

/// Adds an optimizer of the user's program to those that can be compared, for the rest of the process: its
/// name, one line on the method, what to tune, and its chain with the defaults.
///
/// ```
/// use thalweg::recipes::adam;
/// use thalweg_lab::optimizers::{Range, register};
///
/// let lr = Range { hyper: "lr", low: 1e-4, high: 1.0 };
/// register("slow_adam", "Adam with a long memory", &[lr], adam().with("beta1", 0.99)?)?;
/// assert!(thalweg_lab::optimizers::select(&["slow_adam".to_owned()]).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the name is taken or is none, or the chain does not make an optimizer or refuses an end of a range.
pub fn register(name: &str, summary: &str, tune: &[Range], chain: Chain) -> Result<()> {
    let made = Optimizer::<f32>::new(chain.clone()).map_err(|e| cannot(name, &e.to_string()))?;
    drop(made);
    for range in tune {
        for value in [range.low, range.high] {
            let mut tried = chain.clone();
            let done = tried.set(range.hyper, value);
            done.map_err(|e| cannot(name, &e.to_string()))?;
        }
    }
    let entry = entry(name, summary, tune.to_vec())?;
    add(entry, Source::Chain(chain)).map(drop)
}

/// Reads the recipe file at `path` and adds its optimizer under the file's name without the ending, which is
/// returned. What is tuned is its learning rate, over two decades up and down.
///
/// # Errors
/// If the file cannot be read or is no recipe, if the name is taken by another one, or if groups differ in
/// their learning rates.
pub fn recipe(path: &Path) -> Result<&'static str> {
    let builder = Builder::from_file(path).map_err(|e| {
        Error::usage(
            e.to_string(),
            "write a recipe file: `thalweg describe adamw` prints one, and the book's chapter lists the keys",
        )
    })?;
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let text = builder.to_toml().map_err(|e| cannot(&name, &e.to_string()))?;
    learn(&name, &text)
}

/// Adds the optimizer of a recipe text under a name.
fn learn(name: &str, text: &str) -> Result<&'static str> {
    if let Some(Own { entry, source: Source::Recipe(known, _), .. }) = get(name)
        && known == text
    {
        return Ok(entry.name);
    }
    let built = Builder::from_toml(text).and_then(Builder::build::<f32>);
    let optimizer = built.map_err(|e| cannot(name, &e.to_string()))?;
    let chains: Vec<Chain> = optimizer.groups().map(|(_, chain)| chain.clone()).collect();
    let rates: Vec<f64> =
        chains.iter().filter_map(|chain| Some(chain.hyper("lr").ok()?.schedule().peak())).collect();
    if rates.iter().any(|rate| *rate != rates[0]) {
        return Err(Error::usage(
            format!(
                "the groups of `{name}` have the learning rates {rates:?}, and the search sets one for all"
            ),
            "give all groups the same `lr`, and what is to differ another place in their chains",
        ));
    }
    let around = |lr: f64| Range { hyper: "lr", low: lr / REACH, high: lr * REACH };
    let tune = rates.first().filter(|lr| **lr > 0.0).map(|lr| around(*lr));
    let entry = entry(name, "a recipe file", tune.into_iter().collect())?;
    add(entry, Source::Recipe(text.to_owned(), chains))
}

/// The entry of a new optimizer.
fn entry(name: &str, summary: &str, tune: Vec<Range>) -> Result<Entry> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name == "all" || !name.chars().all(letters) {
        return Err(cannot(name, "a name has letters, digits, `_` and `-`, and is not `all`"));
    }
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    Ok(Entry { name: leak(name), summary: leak(summary), tune, gradients_per_step: 1 })
}

fn add(entry: Entry, source: Source) -> Result<&'static str> {
    let (name, chains) = (
        entry.name,
        match &source {
            Source::Chain(chain) => std::slice::from_ref(chain),
            Source::Recipe(_, chains) => &chains[..],
        },
    );
    let scheduled = |chain: &Chain| {
        let chain = chain.clone().with("lr", Schedule::linear(0.1, 0.0, 9));
        chain.is_err() || chain.is_ok_and(|chain| Optimizer::<f32>::new(chain).is_ok())
    };
    let learns_its_rate = !chains.iter().all(scheduled);
    let own = Own { entry, source, learns_its_rate };
    // Held to the end, so that no other thread takes the name after it was found free.
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = added.iter().any(|own| own.entry.name == name);
    if taken || registry::get(name).is_ok() || sharp::get(name).is_some() {
        return Err(cannot(name, "an optimizer of that name exists"));
    }
    added.push(Box::leak(Box::new(own)));
    Ok(name)
}

fn cannot(name: &str, problem: &str) -> Error {
    Error::usage(
        format!("cannot add the optimizer `{name}`: {problem}"),
        "change its file's name or its content, or what your program registers",
    )
}

/// What stands before the name of a recipe among the facts of a comparison.
pub(crate) const RECIPE: &str = "recipe/";

/// The recipes among `entries`, as facts of a comparison.
pub(crate) fn recipes(entries: &[Entry]) -> Vec<(String, String)> {
    let text = |entry: &Entry| match get(entry.name)?.source {
        Source::Recipe(ref text, _) => Some((format!("{RECIPE}{}", entry.name), text.clone())),
        Source::Chain(_) => None,
    };
    entries.iter().filter_map(text).collect()
}

/// Adds the recipes that the facts of a comparison hold.
///
/// # Errors
/// As [`recipe`].
pub(crate) fn recall(facts: &[(String, String)]) -> Result<()> {
    let mut held = facts.iter().filter_map(|(key, text)| Some((key.strip_prefix(RECIPE)?, text)));
    held.try_for_each(|(name, text)| learn(name, text).map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::{course, fixed, select, unfit};
    use super::*;
    use crate::tasks::{Domain, Schedule as Course};

    fn file(dir: &Path, name: &str, text: &str) -> String {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    const GROUPS: &str = r#"
        [[group]]
        name = "flat"
        biases_and_norms = true
        optimizer = "adamw"
        decay = 0.0
        [[group]]
        name = "rest"
        optimizer = "adamw"
        beta2 = 0.95
    "#;

    #[test]
    fn a_recipe_is_an_optimizer_that_tunes_its_rate() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "two_groups.toml", GROUPS);
        let entries = select(&[path.clone(), "gd".to_owned(), path]).unwrap();
        assert_eq!(entries.len(), 2);
        let entry = &entries[0];
        assert_eq!((entry.name, entry.tune[0].low, entry.tune[0].high), ("two_groups", 1e-5, 0.1));
        assert!(fixed(entry, crate::tasks::all()[0]).contains(&("beta1", 0.9)));
        assert!(unfit("two_groups", Domain::Simplex).unwrap().contains("recipe"));
        assert!(unfit("two_groups", Domain::Free).is_none());
        let facts = recipes(&entries);
        assert_eq!(facts.len(), 1);
        assert!(facts[0].0 == "recipe/two_groups" && facts[0].1.contains("beta2 = 0.95"));
        recall(&facts).unwrap();
    }

    #[test]
    fn a_method_that_learns_its_rate_is_seen_to() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[[group]]\nname = 'all'\noptimizer = 'sgd_hd'\n";
        let path = file(dir.path(), "learner.json.toml", text);
        assert!(select(&[path]).unwrap_err().problem().contains("letters"));
        let path = file(dir.path(), "learner.toml", text);
        select(&[path]).unwrap();
        assert_eq!(course("learner", Course::WarmupCosine), Course::Constant);
        assert_eq!(course("two_rates", Course::WarmupCosine), Course::WarmupCosine);
    }

    #[test]
    fn wrong_recipes_say_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let problem = |name: &str, text: &str| {
            let error = select(&[file(dir.path(), name, text)]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.problem().to_owned()
        };
        let unknown = problem("a.toml", "[[group]]\nname = 'all'\noptimizer = 'adamm'\n");
        assert!(unknown.contains("line 3") && unknown.contains("adam"), "{unknown}");
        let taken = problem("adam.toml", "[[group]]\nname = 'all'\noptimizer = 'gd'\n");
        assert!(taken.contains("exists"), "{taken}");
        let rates = problem("rates.toml", &(GROUPS.to_owned() + "lr = 0.5\n"));
        assert!(rates.contains("[0.001, 0.5]"), "{rates}");
        assert!(select(&["nowhere.toml".to_owned()]).unwrap_err().problem().contains("nowhere"));
    }

    #[test]
    fn a_registered_chain_is_checked() {
        let lr = Range { hyper: "lr", low: 1e-4, high: 1.0 };
        let chain = || thalweg::recipes::momentum();
        register("my_momentum", "mine", &[lr], chain()).unwrap();
        assert_eq!(select(&["my_momentum".to_owned()]).unwrap()[0].tune, [lr]);
        assert!(unfit("my_momentum", Domain::Simplex).is_none());
        for (name, range) in [
            ("my_momentum", lr),
            ("a b", lr),
            ("all", lr),
            ("mine2", Range { hyper: "nu", ..lr }),
            ("mine3", Range { hyper: "momentum", low: 0.5, high: 1.5 }),
        ] {
            assert!(register(name, "mine", &[range], chain()).is_err(), "{name}");
        }
    }
}
