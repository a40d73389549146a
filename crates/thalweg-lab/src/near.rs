//! Names that somebody may have meant.

use thalweg::registry::distance;

/// `; did you mean `x`?` for the known name nearest to `name`, if one is near.
pub(crate) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let most = (name.chars().count() / 3).max(1);
    let near = known.map(|k| (distance(name, k), k)).filter(|(d, _)| *d <= most);
    near.min_by_key(|(d, _)| *d).map_or_else(String::new, |(_, k)| format!("; did you mean `{k}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, want) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2), ("a", "a", 0)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (want, want), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["digits", "digits-mlp", "mnist"];
        assert_eq!(hint("digit", known.into_iter()), "; did you mean `digits`?");
        assert_eq!(hint("zzz", known.into_iter()), "");
    }
}
