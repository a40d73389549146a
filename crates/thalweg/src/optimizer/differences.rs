//! The hyper-parameters and settings of a checkpoint against those here.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::checkpoint::GroupHeader;
use super::{Accumulation, NonFinite};
use crate::chain::Chain;
use crate::hyper::{Hyper, Hypers};
use crate::schedule::Schedule;

pub(super) fn hypers(chain: &impl Hypers) -> Vec<(String, Schedule)> {
    let mut all = vec![];
    chain.each(&mut |h| all.push((h.spec().name.to_owned(), h.schedule().clone())));
    all
}

/// The place of each name among its equals: the second `eps` is `("eps", 1)`.
fn labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut labels: Vec<(&str, usize)> = vec![];
    for name in names {
        let before = labels.iter().filter(|l| l.0 == name).count();
        labels.push((name, before));
    }
    labels
}

/// The saved hyper-parameter with this label.
fn saved_as<'a>(saved: &'a GroupHeader, label: (&str, usize)) -> Option<&'a Schedule> {
    let mut equals = saved.hypers.iter().filter(|(name, _)| name == label.0);
    equals.nth(label.1).map(|(_, schedule)| schedule)
}

/// Lets plateau schedules go on where the saved ones were.
pub(super) fn resume(chain: &mut Chain, saved: &GroupHeader) {
    let names: Vec<&'static str> = chain.hypers().iter().map(|h| h.spec().name).collect();
    let mut labels = labels(names.iter().copied()).into_iter();
    chain.each_mut(&mut |hyper| {
        if let Some(then) = labels.next().and_then(|label| saved_as(saved, label)) {
            hyper.resume(then);
        }
    });
}

/// What there is to say if a hyper-parameter that is read once was another one when it was read.
pub(super) fn changed_once(saved: &GroupHeader, chain: &Chain) -> Option<String> {
    let here = chain.hypers();
    let labels = labels(here.iter().map(|h| h.spec().name));
    let mut once = labels.into_iter().zip(&here).filter(|(_, hyper)| hyper.spec().once);
    once.find_map(|(label, hyper)| {
        let then = saved_as(saved, label).filter(|then| *then != hyper.schedule())?;
        let (name, now) = (hyper.spec().name, hyper.schedule());
        Some(format!(
            "{name} was {then} and is {now} here, but is read once, when a parameter is met; build the \
             optimizer with {name} = {then}"
        ))
    })
}

pub(super) fn compare(group: &str, saved: &GroupHeader, chain: &Chain) -> Vec<String> {
    let mut differences = vec![];
    let here = hypers(chain);
    let here_labels = labels(here.iter().map(|(name, _)| name.as_str()));
    for (label, (name, now)) in here_labels.iter().zip(&here) {
        match saved_as(saved, *label) {
            Some(then) if then == now => {}
            Some(then) => {
                differences.push(format!("{group}.{name}: saved {then}, here {now}"));
            }
            None => differences.push(format!("{group}.{name}: not saved, here {now}")),
        }
    }
    let saved_labels = labels(saved.hypers.iter().map(|(name, _)| name.as_str()));
    for (label, (name, then)) in saved_labels.iter().zip(&saved.hypers) {
        if !here_labels.contains(label) {
            differences.push(format!("{group}.{name}: saved {then}, not here"));
        }
    }
    differences
}

/// A limit that is not infinite. A constant is written as its number, as before there were schedules.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Limit {
    Number(f64),
    Schedule(Schedule),
}

impl Limit {
    pub(super) fn of(hyper: &Hyper) -> Option<Limit> {
        match hyper.schedule() {
            Schedule::Constant(limit) => limit.is_finite().then_some(Limit::Number(*limit)),
            schedule => Some(Limit::Schedule(schedule.clone())),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Number(limit) => limit.fmt(f),
            Limit::Schedule(schedule) => schedule.fmt(f),
        }
    }
}

/// What an optimizer is told besides its groups.
#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) max_norm: Option<Limit>,
    pub(super) accumulation: Accumulation,
    pub(super) non_finite: NonFinite,
}

impl Settings {
    pub(super) fn compare(&self, saved: Option<&Settings>) -> Vec<String> {
        let Some(saved) = saved else { return vec![] };
        let limit = |s: &Settings| s.max_norm.as_ref().map_or("none".to_owned(), Limit::to_string);
        let rows = [
            ("clip_global_norm", limit(saved), limit(self)),
            (
                "accumulation",
                format!("{:?}", saved.accumulation),
                format!("{:?}", self.accumulation),
            ),
            ("non_finite", format!("{:?}", saved.non_finite), format!("{:?}", self.non_finite)),
        ];
        let differ = rows.into_iter().filter(|(_, then, now)| then != now);
        differ.map(|(name, then, now)| format!("{name}: saved {then}, here {now}")).collect()
    }
}
