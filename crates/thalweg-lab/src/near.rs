//! Names that somebody may have meant.

/// `; did you mean `x`?` for the known name nearest to `name`, if one is near.
pub(crate) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let most = (name.chars().count() / 3).max(1);
    let near = known.map(|k| (distance(name, k), k)).filter(|(d, _)| *d <= most);
    near.min_by_key(|(d, _)| *d).map_or_else(String::new, |(_, k)| format!("; did you mean `{k}`?"))
}

/// How many letters are to be put in, left out or replaced to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
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
