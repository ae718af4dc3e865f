//! Which texts are mail addresses, the same for whoever types, configures or sends to one.

/// RFC 5321 section 4.5.3.1.3: a path has at most 256 octets, two of them its brackets.
const LONGEST: usize = 254;
/// RFC 5321 section 4.5.3.1.1, in octets. A mail server refuses longer ones.
const LONGEST_LOCAL: usize = 64;

/// Whether a text is an address as people have them: a local part, one `@` and a host name.
///
/// Quoted local parts, comments and addresses of machines are allowed by RFC 5321, and used only by those who try what
/// a parser lets through; they are none. Nothing that passes holds a space, a control character, a bracket, a quote,
/// a comma or a colon, so it can stand in a header or in a list.
pub fn is_mail_address(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else { return false };
    text.len() <= LONGEST
        && local.len() <= LONGEST_LOCAL
        && local.split('.').all(is_atom)
        && is_host_name(host)
}

/// What one address is looked up and counted by: without the space around it, and without regard to the case of ASCII
/// letters. Other letters count as they are typed: to mail servers `k` and U+212A KELVIN SIGN are two mailboxes, and who
/// has the one must not pass for who has the other.
pub fn folded(address: &str) -> String {
    address.trim().to_ascii_lowercase()
}

/// RFC 5322 section 3.2.3, with letters outside ASCII as in RFC 6532.
fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
}

/// Whether a text is a host name: labels of letters, digits and inner hyphens, the last not a number. Names in
/// other scripts count as they are typed.
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && !numeric && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::{folded, is_mail_address};

    #[test]
    fn only_ascii_letters_fold() {
        assert_eq!(folded(" Mia@Example.ORG "), "mia@example.org");
        for (one, other) in [
            ("kim@x.org", "\u{212a}im@x.org"),
            ("\u{e9}@x.org", "\u{c9}@x.org"),
            ("i@x.org", "\u{130}@x.org"),
        ] {
            assert_ne!(folded(one), folded(other), "{other:?}");
        }
    }

    #[test]
    fn a_plain_address_is_one_and_nothing_else_is() {
        for text in [
            "member@example.org",
            "a.b+c@sub.example.org",
            "o'neil@example.org",
            "é@bücher.example",
            "a@localhost",
            "a@xn--bcher-kva.example",
        ] {
            assert!(is_mail_address(text), "{text}");
        }
        for text in [
            "",
            "member",
            "@example.org",
            "a@",
            "a@b@example.org",
            "a b@example.org",
            "a@example.org\r\nBcc: b@example.org",
            "a@example.org, b@example.org",
            "A <a@example.org>",
            "\"a b\"@example.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a(b)@example.org",
            "a@example..org",
            "a..b@example.org",
            ".a@example.org",
            "a@-example.org",
            "a@example.org>",
            "a\0@example.org",
            "a@example.org.",
            "a@exa_mple.org:25",
            "a\u{202e}@example.org",
        ] {
            assert!(!is_mail_address(text), "{text:?}");
        }
        assert!(is_mail_address(&format!("{}@{}.example.org", "a".repeat(64), "b".repeat(63))));
        assert!(is_mail_address(&format!("{}@example.org", "\u{fc}".repeat(32))));
        for local in ["a".repeat(65), "a".repeat(250), "\u{fc}".repeat(33)] {
            assert!(!is_mail_address(&format!("{local}@example.org")), "{local}");
        }
        let label = "b".repeat(60);
        assert!(!is_mail_address(&format!("{}@{label}.{label}.{label}.example", "a".repeat(64))));
        assert!(!is_mail_address(&format!("a@{}.org", "a".repeat(64))));
    }
}
