//! From a builder to text.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::blocks::{blocks_of, known, labels};
use super::words::{ACCUMULATION, LOW_PRECISION, STORAGE};
use crate::chain::Chain;
use crate::engine::Threads;
use crate::error::Error;
use crate::hyper::Block;
use crate::optimizer::{Builder, NonFinite, Pattern, Storage};
use crate::schedule::Schedule;

/// A table whose keys keep their order.
type Table = Vec<(String, Written)>;

/// What a recipe is written with.
pub(super) enum Written {
    /// A number, a string, a list or a table as both formats write them.
    Plain(Json),
    Table(Table),
    List(Vec<Written>),
}

fn plain(value: impl Into<Json>) -> Written {
    Written::Plain(value.into())
}

fn key(key: &str, value: Written) -> (String, Written) {
    (key.to_owned(), value)
}

/// The recipe of a builder.
pub(super) fn recipe(builder: &Builder) -> Result<Table, Error> {
    let mut recipe = vec![];
    let max_norm = builder.max_norm.schedule();
    if !matches!(max_norm, Schedule::Constant(f64::INFINITY)) {
        recipe.push(key("clip_global_norm", schedule(max_norm)));
    }
    match builder.non_finite {
        NonFinite::Skip { limit } => {
            let skip = Written::Table(vec![key("skip", plain(limit))]);
            recipe.push(key("non_finite", skip));
        }
        NonFinite::Fail => recipe.push(key("non_finite", plain("fail"))),
        NonFinite::Unchecked => recipe.push(key("non_finite", plain("unchecked"))),
    }
    match &builder.threads {
        Ok(Threads::Rayon) => {}
        Ok(Threads::Caller) => recipe.push(key("threads", plain(1))),
        Ok(threads) => recipe.push(key("threads", plain(threads.helpers() + 1))),
        Err(error) => return Err(Error::Engine(error.to_string())),
    }
    precision(builder, &mut recipe);
    let groups = builder.groups.iter().map(|(name, pattern, chain)| {
        let own = builder.group_storage.iter().rev().find(|(group, _)| group == name);
        group(name, pattern, own.map(|(_, storage)| *storage), chain)
    });
    recipe.push(key("group", Written::List(groups.collect::<Result<_, _>>()?)));
    Ok(recipe)
}

/// What differs from the defaults in storage and accumulation.
fn precision(builder: &Builder, recipe: &mut Table) {
    if let Some(scale) = &builder.loss_scale {
        let settings = scale.settings().map(|(name, value)| match name {
            "interval" => key(name, plain(value as u64)),
            _ => key(name, plain(value)),
        });
        recipe.push(key("loss_scale", Written::Table(settings.into())));
    }
    let default = Builder::new();
    if builder.storage != default.storage {
        recipe.push(key("storage", plain(STORAGE.name(builder.storage))));
    }
    if builder.precision.low != default.precision.low {
        recipe.push(key("low_precision", plain(LOW_PRECISION.name(builder.precision.low))));
    }
    if builder.precision.seed != 0 {
        recipe.push(key("seed", plain(builder.precision.seed)));
    }
    if builder.accumulation != default.accumulation {
        recipe.push(key("accumulation", plain(ACCUMULATION.name(builder.accumulation))));
    }
}

fn group(
    name: &str,
    pattern: &Pattern,
    storage: Option<Storage>,
    chain: &Chain,
) -> Result<Written, Error> {
    let mut group = vec![key("name", plain(name))];
    // Of two patterns a file can say a name's and, beside it, whether it is biases and norms.
    let (named, vectors) = match pattern {
        Pattern::And(named, of) if matches!(**of, Pattern::BiasesAndNorms) => {
            (&**named, Some(true))
        }
        Pattern::Except(named, of) if matches!(**of, Pattern::BiasesAndNorms) => {
            (&**named, Some(false))
        }
        other => (other, None),
    };
    group.push(match named {
        Pattern::Glob(glob) => key("glob", plain(glob.as_str())),
        Pattern::Regex(regex) => key("regex", plain(regex.as_str())),
        Pattern::BiasesAndNorms if vectors.is_none() => key("biases_and_norms", plain(true)),
        Pattern::Rest if vectors.is_none() => key("rest", plain(true)),
        Pattern::Where(_) => {
            return Err(Error::Engine(format!(
                "group {name:?} goes by a test that is a function, which no file can say"
            )));
        }
        _ => {
            return Err(Error::Engine(format!(
                "group {name:?} goes by {pattern:?}; a file can say a glob or a regex, and of those whether they \
                 are biases and norms"
            )));
        }
    });
    if let Some(vectors) = vectors {
        group.push(key("biases_and_norms", plain(vectors)));
    }
    if let Some(storage) = storage {
        group.push(key("storage", plain(STORAGE.name(storage))));
    }
    let mut chain_list = vec![];
    for (kind, block) in blocks_of(chain) {
        if !known().iter().any(|k| k.block.path == block.path) {
            let block = block.path;
            return Err(Error::Engine(format!("no file can name the {} {block}", kind.name())));
        }
        let mut table = vec![key(kind.name(), plain(block.name()))];
        values(&block, &mut labels(&block).into_iter(), &mut table);
        chain_list.push(Written::Table(table));
    }
    group.push(key("chain", Written::List(chain_list)));
    Ok(Written::Table(group))
}

/// The hyper-parameters of a block, then its parts, each before its own.
fn values(block: &Block, labels: &mut impl Iterator<Item = String>, table: &mut Table) {
    for (hyper, label) in block.hypers.iter().zip(labels.by_ref()) {
        table.push((label, schedule(hyper.schedule())));
    }
    for (place, part) in &block.parts {
        table.push(key(place, plain(part.name())));
        values(part, labels, table);
    }
}

/// A schedule; a constant is its number.
fn schedule(schedule: &Schedule) -> Written {
    let without_null = |mut value: Json| {
        // TOML has no null; what is absent is none.
        if let Some(plateau) = value.get_mut("plateau").and_then(Json::as_object_mut) {
            plateau.retain(|_, v| !v.is_null());
        }
        value
    };
    match schedule {
        Schedule::Constant(value) if value.is_finite() => plain(*value),
        Schedule::Constant(value) => plain(value.to_string()),
        Schedule::Warmup { steps, then } => {
            let fields = vec![key("steps", plain(*steps)), key("then", self::schedule(then))];
            Written::Table(vec![key("warmup", Written::Table(fields))])
        }
        Schedule::Sequential(parts) => {
            let pair = |(length, part): &(u64, Schedule)| {
                Written::List(vec![plain(*length), self::schedule(part)])
            };
            let parts = Written::List(parts.iter().map(pair).collect());
            Written::Table(vec![key("sequential", parts)])
        }
        // Plain data of numbers: it can always be written.
        other => plain(without_null(serde_json::to_value(other).unwrap_or(Json::Null))),
    }
}

/// On one line, in TOML (`=`) or JSON (`:`).
fn inline(value: &Written, toml: bool) -> String {
    let name = |key: &str| match toml && bare(key) {
        true => key.to_owned(),
        false => Json::from(key).to_string(),
    };
    let table = |entries: Vec<(String, String)>| {
        let equals = if toml { " =" } else { ":" };
        let entries: Vec<String> =
            entries.iter().map(|(k, v)| format!("{}{equals} {v}", name(k))).collect();
        format!("{{ {} }}", entries.join(", "))
    };
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    match value {
        Written::Table(entries) => {
            table(entries.iter().map(|(k, v)| (k.clone(), inline(v, toml))).collect())
        }
        Written::List(items) => list(items.iter().map(|v| inline(v, toml)).collect()),
        Written::Plain(Json::Object(entries)) => {
            let inner = |v: &Json| inline(&Written::Plain(v.clone()), toml);
            table(entries.iter().map(|(k, v)| (k.clone(), inner(v))).collect())
        }
        Written::Plain(Json::Array(items)) => {
            list(items.iter().map(|v| inline(&Written::Plain(v.clone()), toml)).collect())
        }
        // JSON's strings are TOML's too, but for one character that both may escape.
        Written::Plain(other) => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

/// Whether TOML takes the key without quotes.
fn bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A list, one item per line.
fn lines(items: &[Written], toml: bool, indent: &str) -> String {
    let mut text = "[\n".to_owned();
    for (k, item) in items.iter().enumerate() {
        let comma = if toml || k + 1 < items.len() { "," } else { "" };
        let _ = writeln!(text, "{indent}  {}{comma}", inline(item, toml));
    }
    text + indent + "]"
}

pub(super) fn toml(recipe: &Table) -> String {
    let mut text = String::new();
    for (key, value) in recipe {
        match value {
            Written::List(groups) => {
                for group in groups {
                    text += if text.is_empty() { "[[group]]\n" } else { "\n[[group]]\n" };
                    let Written::Table(entries) = group else { continue };
                    for (key, value) in entries {
                        let _ = match value {
                            Written::List(items) => {
                                writeln!(text, "{key} = {}", lines(items, true, ""))
                            }
                            value => writeln!(text, "{key} = {}", inline(value, true)),
                        };
                    }
                }
            }
            value => {
                let _ = writeln!(text, "{key} = {}", inline(value, true));
            }
        }
    }
    text
}

pub(super) fn json(recipe: &Table) -> String {
    let mut members = vec![];
    for (key, value) in recipe {
        let value = match value {
            Written::List(groups) => {
                let group = |group: &Written| match group {
                    Written::Table(entries) => {
                        let entry = |(key, value): &(String, Written)| match value {
                            Written::List(items) => {
                                format!("      {key:?}: {}", lines(items, false, "      "))
                            }
                            value => format!("      {key:?}: {}", inline(value, false)),
                        };
                        let entries: Vec<String> = entries.iter().map(entry).collect();
                        format!("    {{\n{}\n    }}", entries.join(",\n"))
                    }
                    other => inline(other, false),
                };
                let groups: Vec<String> = groups.iter().map(group).collect();
                format!("[\n{}\n  ]", groups.join(",\n"))
            }
            value => inline(value, false),
        };
        members.push(format!("  {key:?}: {value}"));
    }
    format!("{{\n{}\n}}\n", members.join(",\n"))
}
