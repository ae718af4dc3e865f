//! Made-up content and questions: the same on every run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::words::{Dice, Vocabulary};

const FOLDERS: usize = 8;
const PARAGRAPHS: usize = 6;
const WORDS: usize = 45;

/// Writes so many Markdown files below `folder`, in a few folders.
pub(super) fn write(folder: &Path, documents: usize) -> Result<()> {
    let vocabulary = Vocabulary::new();
    let mut dice = Dice(2);
    for number in 0..documents {
        let topic = folder.join(format!("topic-{}", number % FOLDERS));
        let title = format!("{} {}", vocabulary.subject(&mut dice), vocabulary.sentence(&mut dice, 4));
        let mut text = format!("# {title}\n");
        for _ in 0..PARAGRAPHS {
            text.push_str(&format!("\n{}.\n", vocabulary.sentence(&mut dice, WORDS)));
        }
        let file = topic.join(format!("document-{number}.md"));
        fs::create_dir_all(&topic)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("`{}` cannot be written", file.display()))?;
    }
    Ok(())
}

/// So many questions about that content.
pub(super) fn questions(count: usize) -> Vec<String> {
    Vocabulary::new().questions(&mut Dice(3), count)
}

#[cfg(test)]
mod tests {
    use super::super::words::COMMON;
    use super::*;

    #[test]
    fn content_is_the_same_on_every_run_and_no_two_documents_are() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read = |root: &tempfile::TempDir, number: usize| {
            let path = format!("topic-{}/document-{number}.md", number % FOLDERS);
            fs::read_to_string(root.path().join(path)).unwrap()
        };
        write(one.path(), 10).unwrap();
        write(other.path(), 10).unwrap();
        assert_eq!(read(&one, 9), read(&other, 9));
        assert_ne!(read(&one, 1), read(&one, 9));
        assert_eq!(questions(3), questions(3));
    }

    #[test]
    fn a_few_words_make_up_much_of_the_text_and_most_words_are_rare() {
        let vocabulary = Vocabulary::new();
        let mut dice = Dice(4);
        let words: Vec<&str> = (0..10_000).map(|_| vocabulary.word(&mut dice)).collect();
        let common = words.iter().filter(|word| COMMON.contains(word)).count();
        assert!((3_000..6_000).contains(&common), "{common}");
        let distinct: std::collections::BTreeSet<&str> = words.iter().copied().collect();
        assert!(distinct.len() > 1_500, "{}", distinct.len());
    }
}
