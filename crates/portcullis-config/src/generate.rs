//! The documents that are made from the table of keys: the example file and the reference.

use crate::keys::{self, AnyKey, InExample, Preset, Section};

/// Comments are wrapped to this many characters.
const WIDTH: usize = 100;

/// `portcullis.example.toml`, which is also the file that `init` writes: every key with what it means.
pub fn example_toml() -> String {
    let mut text = String::from(
        "# Portcullis: every key with its default. A key in a comment shows its default, or an example where it has none.\n\
         # `portcullis config check` judges this file, `portcullis config show` prints what is in effect.\n",
    );
    for section in keys::sections() {
        let (header, mark) = match section.in_example {
            InExample::Set => ("", ""),
            InExample::Header => ("", "#"),
            InExample::Commented => ("#", "#"),
        };
        if !section.name.is_empty() {
            text.push('\n');
            comment(&mut text, section.doc);
            text.push_str(&format!("{header}{}\n", in_brackets(section)));
        }
        for key in in_section(section.name) {
            let last = key.name().rsplit('.').next().unwrap_or_default();
            let value = key.preset().toml().or_else(|| key.preset().example().map(str::to_owned));
            // A key that stands in the place of another is a remark: both together would be wrong.
            let mark = match key.preset() {
                Preset::Instead(_) => "# ",
                // A key without a default is set by those who want it.
                Preset::Unset(_) => "#",
                _ => mark,
            };
            text.push('\n');
            comment(&mut text, &key.doc());
            comment(&mut text, &accepts(key));
            text.push_str(&format!("{mark}{last} = {}\n", value.unwrap_or_default()));
        }
    }
    text
}

/// `docs/config.md`: every key with type, default, range, variable and meaning.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         The program reads one file, `portcullis.toml`. A value is taken from, in this order: a flag, the environment, the\n\
         file, the default. `portcullis config show` prints every value with the place it comes from, and\n\
         `portcullis config check` every problem with its place and the way out; [errors.md](errors.md) explains the codes.\n\n\
         Paths are relative to the folder of the file, wherever they are given. A list in a variable or a flag is separated\n\
         by commas. A key or table that does not exist is an error.\n\n\
         A table in double brackets may stand several times. Only the file can hold it: no variable and no flag says which one\n\
         of them is meant.\n",
    );
    for section in keys::sections() {
        match section.name {
            "" => text.push_str("\n## Above all tables\n"),
            _ => text.push_str(&format!("\n## `{}`\n\n{}\n", in_brackets(section), section.doc)),
        }
        for key in in_section(section.name) {
            text.push_str(&format!("\n### `{}`\n\n{}\n\n", key.name(), key.doc()));
            text.push_str(&format!("- Type: {}\n", key.kind()));
            match key.preset().example() {
                Some(example) => text.push_str(&format!("- Default: none; for example `{example}`\n")),
                None => {
                    text.push_str(&format!("- Default: `{}`\n", key.preset().toml().unwrap_or_default()));
                }
            }
            if !key.range().is_empty() {
                text.push_str(&format!("- Accepts: {}\n", key.range()));
            }
            if keys::list(section.name).is_none() {
                text.push_str(&format!("- Variable: `{}`\n", keys::variable(key.name())));
            }
        }
    }
    text
}

fn in_section(section: &str) -> impl Iterator<Item = &'static dyn AnyKey> {
    keys::every().filter(move |key| keys::section_of(key.name()) == section)
}

/// The header of a table.
fn in_brackets(section: &Section) -> String {
    match keys::list(section.name) {
        Some(_) => format!("[[{}]]", section.name),
        None => format!("[{}]", section.name),
    }
}

fn accepts(key: &dyn AnyKey) -> String {
    let kind = key.kind();
    match key.range() {
        range if range.is_empty() => format!("({kind})"),
        range => format!("({kind}: {range})"),
    }
}

fn comment(text: &mut String, words: &str) {
    for paragraph in words.split("\n\n") {
        let mut line = String::from("#");
        for word in paragraph.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}
