//! What all sections share: the document, and how each optimizer looks.

use super::detail::Detail;
use super::draw::Role;
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
        View { document, order, detail }
    }

    pub(super) fn tasks(&self) -> &'a [TaskOutcome] {
        &self.document.outcome.tasks
    }

    /// The look of an optimizer, the same in every figure.
    pub(super) fn look(&self, name: &str) -> usize {
        self.order.iter().position(|o| *o == name).unwrap_or(0)
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

/// The name of a part of a task's figures, as it can stand in an id.
pub(super) fn id(parts: &[&str]) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    parts.join("-").chars().map(letter).collect()
}
