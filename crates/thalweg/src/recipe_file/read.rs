//! From the tree to a builder.

use super::blocks::{Kind, assemble, known, labels};
use super::node::{Entry, Malformed, Node, Value};
use super::words::{ACCUMULATION, LOW_PRECISION, STORAGE, Words};
use crate::chain::Chain;
use crate::engine::Threads;
use crate::error::Error;
use crate::hyper::Block;
use crate::optimizer::{Builder, LossScale, NonFinite, Pattern, biases_and_norms};
use crate::registry;
use crate::schedule::Schedule;

/// What is wrong at which byte.
pub(super) type Fault = (usize, String);

/// The builder a text describes.
pub(super) fn builder(text: &str, tree: Result<Node, Malformed>) -> Result<Builder, Error> {
    tree.and_then(recipe).map_err(|(at, what)| {
        let before = text.get(..at.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Error::Recipe { place: format!("line {line}, column {column}"), what }
    })
}

/// The complaint about a name that is not known.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = registry::near(name, known);
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    };
    let mut all: Vec<&str> = vec![];
    known.iter().for_each(|k| {
        if !all.contains(k) {
            all.push(k)
        }
    });
    let list = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    format!("no {what} is called {name:?}{hint} (there are: {list})")
}

pub(super) fn wrong(node: &Node, wanted: &str) -> Fault {
    (node.at, format!("{} where {wanted} belongs", node.value.kind()))
}

/// A table whose keys are taken one by one.
pub(super) struct Table<'a> {
    pub(super) at: usize,
    entries: Vec<&'a Entry>,
}

impl<'a> Table<'a> {
    pub(super) fn of(node: &'a Node, wanted: &str) -> Result<Table<'a>, Fault> {
        let Value::Table(entries) = &node.value else { return Err(wrong(node, wanted)) };
        for (k, entry) in entries.iter().enumerate() {
            if entries[..k].iter().any(|e| e.key == entry.key) {
                return Err((entry.at, format!("{:?} is given twice", entry.key)));
            }
        }
        Ok(Table { at: node.at, entries: entries.iter().collect() })
    }

    pub(super) fn take(&mut self, key: &str) -> Option<&'a Entry> {
        let place = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(place))
    }

    pub(super) fn need(&mut self, key: &str) -> Result<&'a Node, Fault> {
        let missing = (self.at, format!("{key:?} is missing"));
        self.take(key).map(|e| &e.node).ok_or(missing)
    }

    pub(super) fn rest(self) -> Vec<&'a Entry> {
        self.entries
    }

    /// Nothing may be left.
    pub(super) fn end(self, what: &str, known: &[&str]) -> Result<(), Fault> {
        match self.entries.first() {
            Some(extra) => Err((extra.at, unknown(what, &extra.key, known))),
            None => Ok(()),
        }
    }
}

fn text(node: &Node) -> Result<&str, Fault> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(wrong(node, "a string")),
    }
}

pub(super) fn number(node: &Node) -> Result<f64, Fault> {
    match &node.value {
        Value::Number(number) => Ok(*number),
        Value::Whole(whole) => Ok(*whole as f64),
        // JSON has no infinity.
        Value::Text(text) if text == "inf" => Ok(f64::INFINITY),
        _ => Err(wrong(node, "a number")),
    }
}

pub(super) fn whole(node: &Node) -> Result<u64, Fault> {
    match &node.value {
        Value::Whole(whole) => Ok(*whole),
        _ => Err((node.at, format!("{} where a whole number belongs", node.value.kind()))),
    }
}

fn yes(node: &Node) -> Result<(), Fault> {
    match node.value {
        Value::Bool(true) => Ok(()),
        _ => Err(wrong(node, "`true`")),
    }
}

fn list(node: &Node) -> Result<&[Node], Fault> {
    match &node.value {
        Value::List(nodes) => Ok(nodes),
        _ => Err(wrong(node, "a list")),
    }
}

/// The keys of a recipe.
const KEYS: [&str; 9] = [
    "clip_global_norm",
    "non_finite",
    "threads",
    "storage",
    "low_precision",
    "seed",
    "accumulation",
    "loss_scale",
    "group",
];

/// One of a list of words.
fn word<T: PartialEq + Copy>(node: &Node, words: &Words<T>) -> Result<T, Fault> {
    let wanted = || format!("{} is not one of {}", node.value.kind(), words.names());
    match &node.value {
        Value::Text(name) => words
            .value(name)
            .ok_or_else(|| (node.at, format!("{name:?} is not one of {}", words.names()))),
        _ => Err((node.at, wanted())),
    }
}

fn recipe(root: Node) -> Result<Builder, Fault> {
    let mut table = Table::of(&root, "a recipe")?;
    let mut builder = Builder::new();
    if let Some(Entry { node, .. }) = table.take("clip_global_norm") {
        builder = builder.clip_global_norm(super::schedule::read(node)?);
        builder.max_norm.check().map_err(|e| (node.at, e.to_string()))?;
    }
    let mut policy_at = root.at;
    if let Some(Entry { node, .. }) = table.take("non_finite") {
        builder = builder.non_finite(non_finite(node)?);
        policy_at = node.at;
    }
    if let Some(Entry { node, .. }) = table.take("threads") {
        let count = whole(node)?;
        let range = 1..=Threads::MOST as u64;
        if !range.contains(&count) {
            return Err((node.at, format!("threads = {count} is outside [1, {}]", range.end())));
        }
        builder = builder.threads(count as usize);
    }
    if let Some(Entry { node, .. }) = table.take("storage") {
        builder = builder.storage(word(node, &STORAGE)?);
    }
    if let Some(Entry { node, .. }) = table.take("low_precision") {
        builder = builder.low_precision(word(node, &LOW_PRECISION)?);
    }
    if let Some(Entry { node, .. }) = table.take("seed") {
        let seed = whole(node)?;
        builder = builder.seed(seed);
    }
    if let Some(Entry { node, .. }) = table.take("accumulation") {
        builder = builder.accumulation(word(node, &ACCUMULATION)?);
    }
    if let Some(Entry { node, .. }) = table.take("loss_scale") {
        builder = builder.loss_scale(loss_scale(node)?);
    }
    builder.check_overflows().map_err(|e| (policy_at, e.to_string()))?;
    let groups = table.need("group")?;
    table.end("key", &KEYS)?;
    let nodes = list(groups)?;
    if nodes.is_empty() {
        return Err((groups.at, "a recipe needs at least one group".to_owned()));
    }
    for node in nodes {
        builder = group(node, builder)?;
    }
    Ok(builder)
}

/// A table of settings; those left out are torch's.
fn loss_scale(node: &Node) -> Result<LossScale, Fault> {
    let mut table = Table::of(node, "a table such as { scale = 65536.0, interval = 2000 }")?;
    let [scale, growth, backoff, interval] = LossScale::default().settings();
    let mut take = |(name, default): (&str, f64)| {
        table.take(name).map_or(Ok((node.at, default)), |e| Ok((e.node.at, number(&e.node)?)))
    };
    let (scale, growth, backoff) = (take(scale)?, take(growth)?, take(backoff)?);
    let interval = table.take(interval.0).map_or(Ok(interval.1 as u64), |e| whole(&e.node))?;
    table.end("setting of a loss scale", &["scale", "growth", "backoff", "interval"])?;
    let made = LossScale::default().start(scale.1).growth(growth.1, interval).backoff(backoff.1);
    match made.wrong() {
        None => Ok(made),
        Some((name, value, range)) => {
            let place = [("loss_scale", scale), ("growth", growth), ("backoff", backoff)];
            let at = place.iter().find(|p| p.0 == name).map_or(node.at, |p| p.1.0);
            Err((at, format!("{name} = {value} is outside {range}")))
        }
    }
}

fn non_finite(node: &Node) -> Result<NonFinite, Fault> {
    const WANTED: &str = "\"fail\", \"unchecked\" or { skip = 10 }";
    match &node.value {
        Value::Text(policy) if policy == "fail" => Ok(NonFinite::Fail),
        Value::Text(policy) if policy == "unchecked" => Ok(NonFinite::Unchecked),
        Value::Table(_) => {
            let mut table = Table::of(node, WANTED)?;
            let limit = whole(table.need("skip")?)?;
            table.end("policy", &["skip"])?;
            Ok(NonFinite::Skip { limit })
        }
        _ => Err(wrong(node, WANTED)),
    }
}

const PATTERNS: [&str; 4] = ["glob", "regex", "biases_and_norms", "rest"];

fn group(node: &Node, builder: Builder) -> Result<Builder, Fault> {
    let mut table = Table::of(node, "a group")?;
    let name_at = table.need("name")?;
    let name = text(name_at)?;
    let mut pattern: Option<Pattern> = None;
    for kind in PATTERNS {
        let Some(entry) = table.take(kind) else { continue };
        if pattern.is_some() && kind != "biases_and_norms" {
            return Err((entry.at, format!("group {name:?} has a second pattern")));
        }
        pattern = Some(match kind {
            "glob" => Pattern::Glob(text(&entry.node)?.to_owned()),
            "regex" => Pattern::Regex(text(&entry.node)?.to_owned()),
            "biases_and_norms" => match (&pattern, &entry.node.value) {
                (None, _) => yes(&entry.node).map(|()| biases_and_norms())?,
                // Beside a name's pattern it says which of those.
                (Some(named), Value::Bool(true)) => named.clone().and(biases_and_norms()),
                (Some(named), Value::Bool(false)) => named.clone().except(biases_and_norms()),
                _ => return Err(wrong(&entry.node, "`true` or `false`")),
            },
            _ => yes(&entry.node).map(|()| Pattern::Rest)?,
        });
        let compiled = pattern.as_ref().map(|p| p.compile(&format!("group {name:?}")));
        if let Some(Err(error)) = compiled {
            return Err((entry.node.at, error.to_string()));
        }
    }
    let storage = table.take("storage").map(|e| word(&e.node, &STORAGE)).transpose()?;
    let chain = match (table.take("optimizer"), table.take("chain")) {
        (Some(entry), None) => preset(&entry.node, table)?,
        (None, Some(entry)) => {
            let known = [&PATTERNS[..], &["name", "storage", "chain"]].concat();
            table.end("key of a group with a chain", &known)?;
            explicit(&entry.node)?
        }
        (None, None) => {
            return Err((node.at, format!("group {name:?} needs an `optimizer` or a `chain`")));
        }
        (Some(_), Some(entry)) => {
            return Err((entry.at, format!("group {name:?} has an optimizer and a chain")));
        }
    };
    let pattern = pattern.unwrap_or(Pattern::Rest);
    let rest = matches!(pattern, Pattern::Rest);
    if builder.groups.iter().any(|g| g.0 == name) {
        return Err((name_at.at, format!("group {name:?} is given twice")));
    }
    if rest && builder.groups.iter().any(|g| matches!(g.1, Pattern::Rest)) {
        return Err((node.at, format!("group {name:?} is a second rest: it needs a pattern")));
    }
    let builder = builder.group(name, pattern, chain);
    Ok(match storage {
        Some(storage) => builder.group_storage(name, storage),
        None => builder,
    })
}

/// A registry entry with hyper-parameters.
fn preset(node: &Node, hypers: Table<'_>) -> Result<Chain, Fault> {
    let entry = registry::get(text(node)?).map_err(|e| (node.at, e.to_string()))?;
    let (mut chain, hypers) = ((entry.chain)(), hypers.rest());
    for entry in &hypers {
        let schedule = super::schedule::read(&entry.node)?;
        match chain.set(&entry.key, schedule) {
            Err(Error::UnknownHyper { .. }) => {
                let all = chain.hypers();
                let known: Vec<&str> = all.iter().map(|h| h.spec().name).collect();
                return Err((entry.at, unknown("hyper-parameter", &entry.key, &known)));
            }
            result => result.map_err(|e| (entry.node.at, e.to_string()))?,
        }
    }
    chain.check().map_err(|error| {
        let about = match &error {
            Error::Hyper { name, .. } | Error::Conflict { name, .. } => *name,
            _ => "",
        };
        let given = hypers.iter().find(|entry| entry.key == about);
        (given.map_or(node.at, |entry| entry.node.at), error.to_string())
    })?;
    Ok(chain)
}

/// A chain of blocks.
fn explicit(node: &Node) -> Result<Chain, Fault> {
    let elements = list(node)?;
    let mut blocks = vec![];
    for (k, element) in elements.iter().enumerate() {
        let (kind, block) = block(element)?;
        if kind == Kind::Geometry && k + 1 < elements.len() {
            return Err((element.at, "a geometry stands last in its chain".to_owned()));
        }
        blocks.push(block);
    }
    let chain = assemble(&blocks).map_err(|what| (node.at, what))?;
    chain.check().map_err(|e| (node.at, e.to_string()))?;
    Ok(chain)
}

/// One block with its parts and values.
fn block(node: &Node) -> Result<(Kind, Block), Fault> {
    let mut table = Table::of(node, "a block such as { rule = \"Scale\", lr = 1e-3 }")?;
    let named = Kind::ALL.into_iter().find_map(|kind| Some((kind, table.take(kind.name())?)));
    let Some((kind, entry)) = named else {
        return Err((node.at, "a block is named by `rule`, `fold` or `geometry`".to_owned()));
    };
    let name = text(&entry.node)?;
    let forms: Vec<_> = known().iter().filter(|k| k.block.name() == name).collect();
    let Some(usual) = forms.first() else {
        let names: Vec<&str> =
            known().iter().filter(|k| k.kind == kind).map(|k| k.block.name()).collect();
        return Err((entry.node.at, unknown(kind.name(), name, &names)));
    };
    if usual.kind != kind {
        let is = usual.kind.name();
        return Err((entry.at, format!("{name} is a {is}: write `{is} = {name:?}`")));
    }
    let mut parts: Vec<(&str, &str)> =
        usual.block.parts.iter().map(|(place, part)| (*place, part.name())).collect();
    let mut last_named = entry.node.at;
    for (place, part) in &mut parts {
        let Some(entry) = table.take(place) else { continue };
        let (wanted, mut there) = (text(&entry.node)?, vec![]);
        let of = |b: &Block| b.parts.iter().find(|p| p.0 == *place).map(|p| p.1.name());
        there.extend(forms.iter().filter_map(|k| of(&k.block)));
        let Some(found) = there.iter().find(|p| **p == wanted) else {
            return Err((entry.node.at, unknown(place, wanted, &there)));
        };
        (*part, last_named) = (found, entry.node.at);
    }
    let same = |b: &Block| b.parts.iter().map(|(_, p)| p.name()).eq(parts.iter().map(|p| p.1));
    let Some(form) = forms.iter().find(|k| same(&k.block)) else {
        return Err((last_named, format!("{name} is not there with {parts:?} together")));
    };
    let mut block = form.block.clone();
    let labels = labels(&block);
    for entry in table.rest() {
        let Some(k) = labels.iter().position(|label| *label == entry.key) else {
            let places = parts.iter().map(|p| p.0);
            let known: Vec<&str> = labels.iter().map(String::as_str).chain(places).collect();
            let what = format!("hyper-parameter of {name}");
            return Err((entry.at, unknown(&what, &entry.key, &known)));
        };
        let schedule: Schedule = super::schedule::read(&entry.node)?;
        let hyper = &mut *block.all_mut().swap_remove(k);
        hyper.set(schedule);
        hyper.check().map_err(|e| (entry.node.at, e.to_string()))?;
    }
    Ok((kind, block))
}
