//! The British and the American spelling of a word, each of which finds the other.

/// Where a word holds the one, the other is looked for too.
const ANYWHERE: [(&str, &str); 29] = [
    ("anaesth", "anesth"),
    ("analogue", "analog"),
    ("armour", "armor"),
    ("artefact", "artifact"),
    ("behaviour", "behavior"),
    ("cancell", "cancel"),
    ("catalogue", "catalog"),
    ("centre", "center"),
    ("colour", "color"),
    ("defence", "defense"),
    ("dialogue", "dialog"),
    ("favour", "favor"),
    ("fibre", "fiber"),
    ("flavour", "flavor"),
    ("grey", "gray"),
    ("haemat", "hemat"),
    ("haemo", "hemo"),
    ("honour", "honor"),
    ("labell", "label"),
    ("labour", "labor"),
    ("licence", "license"),
    ("litre", "liter"),
    ("metre", "meter"),
    ("modell", "model"),
    ("neighbour", "neighbor"),
    ("oedema", "edema"),
    ("orthopaed", "orthoped"),
    ("paediatr", "pediatr"),
    ("tumour", "tumor"),
];
/// The same near the end of longer words, whatever follows.
const ENDINGS: [(&str, &str); 5] =
    [("isation", "ization"), ("ising", "izing"), ("ise", "ize"), ("ysing", "yzing"), ("yse", "yze")];
/// Letters before such an ending, so that `rise` and `size` stay as they are.
const BEFORE_ENDING: usize = 3;

/// The other spellings of a word in small letters.
pub(super) fn spellings(word: &str) -> Vec<String> {
    let anywhere = ANYWHERE.into_iter().map(|pair| (pair, 0));
    let endings = ENDINGS.into_iter().map(|pair| (pair, BEFORE_ENDING));
    let both =
        anywhere.chain(endings).flat_map(|((one, other), least)| [(one, other, least), (other, one, least)]);
    let mut found: Vec<String> = both
        .filter_map(|(from, to, least)| {
            // Most words hold none of these, and a searcher for each of them would take longer than to look.
            let at = word.as_bytes().windows(from.len()).rposition(|part| part == from.as_bytes())?;
            let (before, after) = (word.get(..at)?, word.get(at..)?.strip_prefix(from)?);
            (before.len() >= least).then(|| format!("{before}{to}{after}"))
        })
        .filter(|other| other != word)
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn each_spelling_finds_the_other() {
        for (one, other) in [
            ("colours", "colors"),
            ("recoloured", "recolored"),
            ("normalise", "normalize"),
            ("optimisations", "optimizations"),
            ("centres", "centers"),
            ("analysed", "analyzed"),
        ] {
            assert!(spellings(one).contains(&other.to_owned()), "{one}");
            assert!(spellings(other).contains(&one.to_owned()), "{other}");
        }
    }

    #[test]
    fn most_words_have_one_spelling() {
        for word in ["rise", "size", "for", "import", "thread", "ised"] {
            assert_eq!(spellings(word), <[&str; 0]>::default(), "{word}");
        }
    }
}
