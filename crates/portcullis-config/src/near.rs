//! Which known name was probably meant.

/// Names longer than this are not compared: no key is as long, and comparing costs the product of the lengths.
const LONGEST: usize = 80;

/// The known name that is nearest to `name`, if one is near enough that it was probably meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    // A third of the letters wrong is another word.
    let limit = (length / 3).clamp(1, 3);
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_is_recognised_and_another_word_is_not() {
        let known = ["member", "operator", "format"];
        assert_eq!(nearest("membre", known), Some("member"));
        assert_eq!(nearest("OPERATOR", known), Some("operator"));
        assert_eq!(nearest("url", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"member".repeat(100), known), None);
    }
}
