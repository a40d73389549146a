//! What the pictures of a figure have in common, written once.

use std::cell::Cell;

/// Markup that several pictures show: the first that does defines it, and all refer to it.
#[derive(Debug)]
pub(in crate::report) struct Shared {
    id: String,
    markup: String,
    defined: Cell<bool>,
}

impl Shared {
    /// Markup under an id that is unique in the document.
    pub(in crate::report) fn new(id: String, markup: String) -> Self {
        Shared { id, markup, defined: Cell::new(false) }
    }

    /// The markup as the next picture shows it.
    pub(super) fn show(&self) -> String {
        let reference = format!("<use href=\"#{}\"/>", self.id);
        match self.defined.replace(true) {
            true => reference,
            false => format!("<defs><g id=\"{}\">{}</g></defs>{reference}", self.id, self.markup),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_defined_once_and_shown_by_all() {
        let shared = Shared::new("s".to_owned(), "<path d=\"M0 0L1 1\"/>".to_owned());
        let all: String = (0..3).map(|_| shared.show()).collect();
        assert_eq!((all.matches("<path").count(), all.matches("<use").count()), (1, 3));
        assert!(all.starts_with("<defs>"));
    }
}
