//! When a member asks the bot to remember something.

/// What is to be remembered, if the question begins by asking for it: `Remember that I bake with rye.`
pub(crate) fn asked_for(question: &str) -> Option<&str> {
    const OPENINGS: &[&str] = &["please remember that ", "please remember: ", "remember that ", "remember: "];
    let question = question.trim();
    let fact = OPENINGS.iter().find_map(|opening| {
        let head = question.get(..opening.len())?;
        head.eq_ignore_ascii_case(opening).then(|| question.get(opening.len()..))?
    })?;
    let fact = fact.trim();
    (!fact.is_empty()).then_some(fact)
}

#[cfg(test)]
mod tests {
    use super::asked_for;

    #[test]
    fn only_a_question_that_begins_with_the_wish_is_one() {
        assert_eq!(asked_for("Remember that I bake with rye."), Some("I bake with rye."));
        assert_eq!(asked_for("  please REMEMBER: no nuts "), Some("no nuts"));
        for other in ["Do you remember that day?", "remember that ", "Remembering that", "", "é"] {
            assert_eq!(asked_for(other), None, "{other}");
        }
    }
}
