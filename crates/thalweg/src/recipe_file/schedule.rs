//! Schedules in recipe files: a number, or a table of one kind with its fields.

use serde_json::{Map, Value as Json, json};

use super::node::{Entry, Node, Value};
use super::read::{Fault, Table, number, unknown, whole, wrong};
use crate::plateau::Plateau;
use crate::schedule::Schedule;

/// One schedule of each kind, with the fields a file may leave out: they have these values.
fn kinds() -> Vec<(Schedule, &'static [&'static str])> {
    let plateau: &[&str] = &[
        "start",
        "factor",
        "patience",
        "threshold",
        "mode",
        "threshold_mode",
        "cooldown",
        "floor",
        "best",
        "bad",
        "cooling",
    ];
    vec![
        (Schedule::Step { base: 1.0, factor: 0.1, every: 1 }, &[]),
        (Schedule::MultiStep { base: 1.0, factor: 0.1, milestones: vec![] }, &[]),
        (Schedule::Exponential { base: 1.0, factor: 0.9 }, &[]),
        (Schedule::Polynomial { from: 1.0, to: 0.0, steps: 1, power: 1.0 }, &["power"]),
        (Schedule::Cosine { from: 1.0, to: 0.0, steps: 1 }, &[]),
        (Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 1, growth: 1 }, &["growth"]),
        (Schedule::one_cycle(1.0, 10), &[]),
        (Schedule::Wsd { peak: 1.0, end: 0.0, warmup: 1, stable: 1, decay: 1 }, &[]),
        (Schedule::InverseSqrt { peak: 1.0, warmup: 1 }, &[]),
        (
            Schedule::Plateau(Plateau { best: Some(0.0), start: Some(0.0), ..Plateau::new(1.0) }),
            plateau,
        ),
    ]
}

/// The one key of a schedule that serde writes as `{ kind: fields }`.
fn fields_of(schedule: &Schedule) -> (String, Map<String, Json>) {
    match serde_json::to_value(schedule) {
        Ok(Json::Object(mut object)) => match object.iter_mut().next() {
            Some((kind, Json::Object(fields))) => (kind.clone(), std::mem::take(fields)),
            _ => (String::new(), Map::new()),
        },
        _ => (String::new(), Map::new()),
    }
}

/// The schedule a node describes.
pub(super) fn read(node: &Node) -> Result<Schedule, Fault> {
    let schedule = match &node.value {
        Value::Table(entries) => match &entries[..] {
            [entry] => kind(entry)?,
            _ => return Err((node.at, "a schedule is a table with one key, its kind".to_owned())),
        },
        Value::Number(_) | Value::Whole(_) | Value::Text(_) => Schedule::Constant(number(node)?),
        _ => return Err(wrong(node, "a number or a schedule")),
    };
    schedule.check().map_err(|e| (node.at, e.to_string()))?;
    Ok(schedule)
}

fn kind(entry: &Entry) -> Result<Schedule, Fault> {
    match entry.key.as_str() {
        "constant" => number(&entry.node).map(Schedule::Constant),
        "warmup" => {
            let mut table = Table::of(&entry.node, "{ steps, then }")?;
            let (steps, then) = (whole(table.need("steps")?)?, read(table.need("then")?)?);
            table.end("field of warmup", &["steps", "then"])?;
            Ok(then.after_warmup(steps))
        }
        "sequential" => {
            let part = |node: &Node| match &node.value {
                Value::List(pair) if pair.len() == 2 => Ok((whole(&pair[0])?, read(&pair[1])?)),
                _ => Err(wrong(node, "a pair of length and schedule")),
            };
            match &entry.node.value {
                Value::List(parts) => {
                    parts.iter().map(part).collect::<Result<_, _>>().map(Schedule::Sequential)
                }
                _ => Err(wrong(&entry.node, "a list of pairs")),
            }
        }
        name => {
            let kinds = kinds();
            let found = kinds.iter().find(|(example, _)| fields_of(example).0 == name);
            let Some((example, optional)) = found else {
                let names: Vec<String> = kinds.iter().map(|(e, _)| fields_of(e).0).collect();
                let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
                names.extend(["constant", "warmup", "sequential"]);
                return Err((entry.at, unknown("schedule", name, &names)));
            };
            fields(name, fields_of(example).1, optional, &entry.node)
        }
    }
}

fn fields(
    kind: &str,
    example: Map<String, Json>,
    optional: &[&str],
    node: &Node,
) -> Result<Schedule, Fault> {
    let table = Table::of(node, "a table of fields")?;
    let known: Vec<&str> = example.keys().map(String::as_str).collect();
    let mut given = Map::new();
    for entry in table.rest() {
        if !example.contains_key(&entry.key) {
            return Err((entry.at, unknown(&format!("field of {kind}"), &entry.key, &known)));
        }
        // Alone in the example, so that a wrong type is this field's fault.
        let mut alone = example.clone();
        let value = match (&example[&entry.key], &entry.node.value) {
            (Json::String(_), Value::Text(word)) => json!(word),
            _ => plain(&entry.node)?,
        };
        alone.insert(entry.key.clone(), value.clone());
        parse(kind, &alone).map_err(|what| (entry.node.at, what))?;
        given.insert(entry.key.clone(), value);
    }
    for key in known {
        if !given.contains_key(key) {
            if !optional.contains(&key) {
                return Err((node.at, format!("{kind} needs {key:?}")));
            }
            // What a plateau has seen so far: nothing.
            if !["best", "start"].contains(&key) {
                given.insert(key.to_owned(), example[key].clone());
            }
        }
    }
    parse(kind, &given).map_err(|what| (node.at, what))
}

fn parse(kind: &str, fields: &Map<String, Json>) -> Result<Schedule, String> {
    serde_json::from_value(json!({ kind: fields })).map_err(|e| e.to_string())
}

/// A number or a list of whole numbers.
fn plain(node: &Node) -> Result<Json, Fault> {
    match &node.value {
        Value::Whole(whole) => Ok(json!(whole)),
        Value::Number(number) if number.is_finite() => Ok(json!(number)),
        Value::List(items) => items.iter().map(plain).collect::<Result<_, _>>().map(Json::Array),
        _ => Err(wrong(node, "a finite number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_schedule_is_read() {
        // A new kind does not compile here until it is thought of.
        let known = |schedule: &Schedule| match schedule {
            Schedule::Constant(_) | Schedule::Warmup { .. } | Schedule::Sequential(_) => true,
            Schedule::Step { .. }
            | Schedule::MultiStep { .. }
            | Schedule::Exponential { .. }
            | Schedule::Polynomial { .. }
            | Schedule::Cosine { .. }
            | Schedule::CosineRestarts { .. }
            | Schedule::OneCycle { .. }
            | Schedule::Wsd { .. }
            | Schedule::InverseSqrt { .. }
            | Schedule::Plateau(_) => false,
        };
        let kinds = kinds();
        assert!(kinds.iter().all(|(schedule, _)| !known(schedule)));
        let mut names: Vec<String> = kinds.iter().map(|(s, _)| fields_of(s).0).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 10);
    }
}
