//! Whatever a file holds, loading it ends, does not panic and tells no secret.

use std::fs;

use portcullis_config::{Environment, Flags, load};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::site::Site;

const FILE_SECRET: &str = "Hw3NfZ8qKt5YvB2mXr9GcJ7pLd4SaU6eTqRk1WzVxCy";
const LITERAL: &str = "Vb6KxJ3wQm9RtZ5nHc8YdL2gPf7SaE4uTiOoXkWz";

fn valid() -> String {
    format!(
        "data_dir = \"data\"\npublic_url = \"https://chat.example.org\"\n\n[listen]\nmember = \"0.0.0.0:8080\"\n\n[secrets]\n\
         jwt_secret = \"env:JWT_SECRET\"\n# {LITERAL}\ncsrf_secret = \"{LITERAL}\"\n\n[proxies]\ntrusted = [\"10.0.0.0/8\"]\n\n[model]\n\
         url = \"http://127.0.0.1:1/v1\"\nname = \"a\"\nallow = [\"a\", \"b\"]\n\n[limits]\nper_key_per_minute = 5\n\n[[issuer]]\n\
         name = \"https://a.example\"\naudience = \"p\"\ncommunities = [\"bakers\"]\nalgorithm = \"HS256\"\nkey = \"env:ISSUER_KEY\"\n\n\
         [[issuer]]\nname = \"b\"\nalgorithm = \"RS256\"\n# {LITERAL}\nkey = \"{LITERAL}\"\npublic_key = \"{LITERAL}\"\n"
    )
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(Index, char),
    Insert(Index, String),
    Delete(Index, usize),
    SwapLines(Index, Index),
    CopyLine(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Small pieces of syntax do more harm than random letters.
    let piece = prop::sample::select(vec![
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "#",
        "\n",
        "\r",
        "\\",
        "\\u12",
        "0x",
        "-",
        "_",
        "\u{feff}",
        "\0",
        "é",
        "1979-05-27",
        "inf",
        "true",
        "a = 1\n",
        "[secrets]\n",
        "[[issuer]]\n",
        "[issuer]\n",
        "secrets.",
        "env:",
        "file:",
    ]);
    prop_oneof![
        (any::<Index>(), any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, c)),
        (any::<Index>(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece.to_owned())),
        (any::<Index>(), 1usize..12).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Mutation::CopyLine(a, b)),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split('\n').collect();
    if chars.is_empty() {
        return text.to_owned();
    }
    match mutation {
        Mutation::Replace(at, c) => {
            let at = at.index(chars.len());
            chars[at] = *c;
        }
        Mutation::Insert(at, piece) => {
            let at = at.index(chars.len() + 1);
            chars.splice(at..at, piece.chars());
        }
        Mutation::Delete(at, count) => {
            let at = at.index(chars.len());
            chars.drain(at..(at + count).min(chars.len()));
        }
        Mutation::SwapLines(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            return lines.join("\n");
        }
        Mutation::CopyLine(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.insert(b, lines[a]);
            return lines.join("\n");
        }
    }
    chars.into_iter().collect()
}

/// The secret, or so much of it that it helps whoever reads it.
fn tells(text: &str, secret: &str) -> bool {
    const PIECE: usize = 8;
    (0..=secret.len() - PIECE).any(|at| text.contains(&secret[at..at + PIECE]))
}

#[test]
fn mutated_files_never_panic_and_never_tell_a_secret() {
    let site = Site::with("");
    site.file("secrets/csrf_secret", FILE_SECRET, 0o600);
    let path = site.path("portcullis.toml");
    let environment = Environment::of([("JWT_SECRET", FILE_SECRET), ("ISSUER_KEY", FILE_SECRET)]);
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(mutations in prop::collection::vec(mutation(), 1..6))| {
        let text = mutations.iter().fold(valid(), |text, mutation| mutate(&text, mutation));
        fs::write(&path, &text).unwrap();
        let told = match load(&path, &environment, &Flags::none()) {
            Ok(loaded) => format!("{loaded:?} {} {}", loaded.resolved.show(), loaded.warnings),
            Err(problems) => {
                prop_assert!(problems.errors() > 0, "refused without a reason: {text}");
                format!("{problems} {problems:?}")
            }
        };
        prop_assert!(!tells(&told, LITERAL), "{text}\n{told}");
        prop_assert!(!tells(&told, FILE_SECRET), "{text}\n{told}");
    });
}

#[test]
fn deep_nesting_and_long_keys_end() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a = ".repeat(50_000)),
        "a.".repeat(100_000) + "b = 1",
        format!("{} = 1", "a".repeat(500_000)),
    ] {
        let site = Site::with(&text);
        assert!(site.problems().to_string().len() < 100_000_000);
    }
}
