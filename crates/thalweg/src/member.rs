//! What a chain is made of, as far as the order of its members matters.

use crate::rule::Rule;

/// One rule, fold or geometry of a chain.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The whole path of its type.
    pub path: &'static str,
    /// See [`Rule::ON_GRADIENT`](crate::Rule::ON_GRADIENT).
    pub on_gradient: bool,
    /// See [`Rule::LAST`](crate::Rule::LAST).
    pub last: bool,
    /// See [`Part::PLACES`](crate::Part::PLACES).
    pub places: bool,
    /// See [`Rule::WHOLE`](crate::Rule::WHOLE).
    pub whole: bool,
}

impl Member {
    /// A rule, as its constants say.
    pub(crate) fn of_rule<R: Rule>() -> Member {
        Member {
            path: std::any::type_name::<R>(),
            on_gradient: R::ON_GRADIENT,
            last: R::LAST,
            places: R::HAS_VIEW,
            whole: R::WHOLE,
        }
    }

    /// The type's own name.
    pub(crate) fn name(self) -> &'static str {
        own_name(self.path)
    }
}

/// The name at the end of a type's path, without what it is generic over.
pub(crate) fn own_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}
