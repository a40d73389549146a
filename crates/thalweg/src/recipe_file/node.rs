//! TOML and JSON as one tree that knows where everything stood.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// A value and the byte at which it begins.
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// A key with its value.
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

/// What both formats have.
pub(super) enum Value {
    Text(String),
    Number(f64),
    /// A number written without a point.
    Whole(u64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Something no recipe holds.
    Other(&'static str),
}

impl Value {
    /// What it is called in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Number(_) | Value::Whole(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(what) => what,
        }
    }
}

/// Where the text is no TOML or no JSON, and why.
pub(super) type Malformed = (usize, String);

/// Reads TOML.
pub(super) fn toml(text: &str) -> Result<Node, Malformed> {
    let table = DeTable::parse(text)
        .map_err(|e| (e.span().map_or(0, |span| span.start), e.message().to_owned()))?;
    Ok(Node { at: 0, value: toml_table(table.get_ref()) })
}

fn toml_table(table: &DeTable<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            at: key.span().start,
            key: key.get_ref().to_string(),
            node: Node { at: value.span().start, value: toml_value(value.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.at);
    Value::Table(entries)
}

fn toml_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Integer(whole) => match i128::from_str_radix(whole.as_str(), whole.radix()) {
            Ok(n) => u64::try_from(n).map_or(Value::Number(n as f64), Value::Whole),
            Err(_) => Value::Other("a number out of range"),
        },
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            // Infinity is written so; what rounds to it is a slip.
            Ok(n) if n.is_finite() || float.as_str().ends_with(['f', 'n']) => Value::Number(n),
            _ => Value::Other("a number out of range"),
        },
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => {
            let node = |v: &toml::Spanned<DeValue<'_>>| Node {
                at: v.span().start,
                value: toml_value(v.get_ref()),
            };
            Value::List(list.iter().map(node).collect())
        }
        DeValue::Table(table) => toml_table(table),
    }
}

/// Lists and tables in each other, at most: each is a call within another, and the stack is finite.
const DEPTH: usize = 128;

/// Reads JSON.
pub(super) fn json(text: &str) -> Result<Node, Malformed> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|e| malformed(text, &e))?;
    json_node(raw, text, DEPTH)
}

/// Reads a part of the whole text that begins at `at`. What is wrong with a number or a string is found
/// at its end, and said of its beginning.
fn part<'a, T: Deserialize<'a>>(text: &'a str, at: usize) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| {
        let (within, what) = malformed(text, &error);
        let within = if text.starts_with(['{', '[']) { within } else { 0 };
        (at + within, what)
    })
}

/// The byte of serde_json's line and column.
fn malformed(text: &str, error: &serde_json::Error) -> Malformed {
    let before: usize =
        text.split_inclusive('\n').take(error.line().max(1) - 1).map(str::len).sum();
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or(&message);
    (before + error.column().saturating_sub(1), what.to_owned())
}

/// The members of an object, in their order, with equal keys kept.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

fn json_node(raw: &RawValue, whole: &str, depth: usize) -> Result<Node, Malformed> {
    let text = raw.get();
    // The slice is a part of the whole text, so the difference of their places is its offset.
    let at = text.as_ptr() as usize - whole.as_ptr() as usize;
    let deeper = || {
        let what = format!("lists and tables are nested more than {DEPTH} deep");
        depth.checked_sub(1).ok_or((at, what))
    };
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let depth = deeper()?;
            let Members(members) = part(text, at)?;
            let entry = |(key, raw): (String, &RawValue)| {
                let node = json_node(raw, whole, depth)?;
                let at = key_before(whole, node.at, &key);
                Ok(Entry { at, key, node })
            };
            Value::Table(members.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let depth = deeper()?;
            let items: Vec<&RawValue> = part(text, at)?;
            let items = items.into_iter().map(|raw| json_node(raw, whole, depth));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(part(text, at)?),
        Some(b't' | b'f') => Value::Bool(part(text, at)?),
        Some(b'n') => Value::Other("null"),
        _ => match text.parse() {
            Ok(whole) => Value::Whole(whole),
            Err(_) => Value::Number(part(text, at)?),
        },
    };
    Ok(Node { at, value })
}

/// Where a key begins whose value begins at `at`; the value's place if it is written with escapes.
fn key_before(whole: &str, at: usize, key: &str) -> usize {
    let before = whole[..at].trim_end().trim_end_matches(':').trim_end();
    match before.strip_suffix('"').and_then(|b| b.strip_suffix(key)) {
        Some(b) if b.ends_with('"') => b.len() - 1,
        _ => at,
    }
}
