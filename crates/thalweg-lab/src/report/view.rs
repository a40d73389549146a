//! What all sections share: the document, and how each optimizer looks.

use super::detail::Detail;
use super::draw::Role;
use super::palette::SERIES;
use crate::protocol::{Standing, TaskOutcome};
use crate::store::Document;

/// The best optimizers of a task that get colour and label when there are many.
pub(super) const LABELLED: usize = 7;

/// The best optimizers of a task that get a band.
const BANDS: usize = 3;

/// With no more optimizers than this all of them get colour and label.
const FEW: usize = 10;

/// The document as the sections see it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) document: &'a Document,
    /// Every optimizer, the best of the first task first.
    pub(super) order: Vec<&'a str>,
    /// Which look each of them has.
    looks: Vec<usize>,
    /// How much of it is shown.
    pub(super) detail: Detail,
}

impl<'a> View<'a> {
    pub(super) fn new(document: &'a Document, detail: Detail) -> Self {
        let mut order: Vec<&str> = Vec::new();
        for standing in document.outcome.tasks.iter().flat_map(|t| &t.standings) {
            if !order.contains(&standing.optimizer) {
                order.push(standing.optimizer);
            }
        }
        let of = |task: &TaskOutcome| -> Vec<usize> {
            let best = task.standings.iter().take(LABELLED);
            best.filter_map(|s| order.iter().position(|o| *o == s.optimizer)).collect()
        };
        let leaders: Vec<Vec<usize>> = document.outcome.tasks.iter().map(of).collect();
        View { document, looks: looks(order.len(), &leaders), order, detail }
    }

    pub(super) fn tasks(&self) -> &'a [TaskOutcome] {
        &self.document.outcome.tasks
    }

    /// The look of an optimizer, the same in every figure.
    pub(super) fn look(&self, name: &str) -> usize {
        self.order.iter().position(|o| *o == name).map_or(0, |i| self.looks[i])
    }

    /// How much of the reader's eye a standing gets in the figures of its task.
    pub(super) fn role(&self, task: &TaskOutcome, standing: &Standing) -> Role {
        let many = task.standings.len() > FEW;
        match standing.rank {
            0..=BANDS => Role::Lead,
            rank if many && rank > LABELLED => Role::Rest,
            _ => Role::Label,
        }
    }
}

/// Looks for `count` optimizers, so that the colours of those that lead on a task differ as far as they can: the first
/// task chooses first, and who leads nowhere takes what is left.
fn looks(count: usize, leaders: &[Vec<usize>]) -> Vec<usize> {
    let mut looks: Vec<Option<usize>> = vec![None; count];
    for group in leaders {
        for &i in group {
            if looks[i].is_some() {
                continue;
            }
            let colours: Vec<usize> =
                group.iter().filter_map(|j| looks[*j]).map(|look| look % SERIES).collect();
            looks[i] = (0..SERIES * count)
                .filter(|look| !looks.contains(&Some(*look)))
                .find(|look| !colours.contains(&(look % SERIES)));
        }
    }
    let taken = looks.clone();
    let mut left = (0..).filter(|look| !taken.contains(&Some(*look)));
    looks.into_iter().filter_map(|look| look.or_else(|| left.next())).collect()
}

/// The name of a part of a task's figures, as it can stand in an id and be the name of a file: what else than letters,
/// digits and hyphens is in the names of tasks and optimizers stands between underscores, so that no two names become one.
pub(super) fn id(parts: &[&str]) -> String {
    let letter = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => c.to_string(),
        '_' => "__".to_owned(),
        '@' => "_at_".to_owned(),
        '.' => "_dot_".to_owned(),
        c => format!("_{:x}_", u32::from(c)),
    };
    parts.join("-").chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_names_have_one_id() {
        let names = ["lm@a.b", "lm@a-b", "lm-a-b", "lm@a_b", "lm@a_dot_b", "lm@a b", "lm@aéb"];
        let ids: BTreeSet<String> = names.iter().map(|name| id(&[name, "targets"])).collect();
        assert_eq!(ids.len(), names.len(), "{ids:?}");
        assert!(ids.contains("lm_at_a_dot_b-targets"));
        let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(ids.iter().all(|id| id.chars().all(fit)), "{ids:?}");
    }

    #[test]
    fn those_that_lead_on_a_task_differ_in_colour() {
        // By their places alone 0, 7 and 14 would be of one colour.
        let leaders = [(0..7).collect(), vec![14, 7, 0, 15, 8, 1, 2]];
        let all = looks(20, &leaders);
        for group in &leaders {
            let colours: BTreeSet<usize> = group.iter().map(|i| all[*i] % SERIES).collect();
            assert_eq!(colours.len(), 7, "{all:?}");
        }
        assert_eq!(all[..7], [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 20);
        // On one task nothing changes.
        assert_eq!(looks(9, &[(0..7).collect()]), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
