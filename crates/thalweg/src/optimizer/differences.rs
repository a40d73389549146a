//! The hyper-parameters of a checkpoint against those here.

use super::checkpoint::GroupHeader;
use crate::chain::Chain;
use crate::hyper::Hypers;
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
