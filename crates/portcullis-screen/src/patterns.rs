//! What looks like an attack on a database or on a reader's browser. Statements are bound and output is encoded whatever
//! this says: it tells the operator that somebody tries.

use crate::fold;

/// What a message looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Injected SQL.
    Sql,
    /// Injected markup or script.
    Script,
}

/// What the message looks like, disguised or encoded for URLs too. A question about SQL or HTML is not an attack with it:
/// a pattern is what breaks out of a value, not a statement or an element by itself.
pub fn patterns(raw: &str) -> Vec<Pattern> {
    let mut texts = vec![fold::fold(raw).text];
    if raw.contains(['%', '&', '\\']) {
        texts.extend(crate::decode::decode(raw).iter().map(|text| fold::fold(text).text));
    }
    let any = |judge: fn(&str) -> bool| texts.iter().any(|text| judge(text));
    let mut found = Vec::new();
    if any(is_sql) {
        found.push(Pattern::Sql);
    }
    if any(is_script) {
        found.push(Pattern::Script);
    }
    found
}

/// Comments taken out, blanks made one.
pub(crate) fn flat(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        let (before, comment) = rest.split_at(at);
        out.push_str(before);
        out.push(' ');
        rest = comment.find("*/").and_then(|end| comment.get(end + 2..)).unwrap_or_default();
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn is_sql(text: &str) -> bool {
    // Each of the patterns holds one of these, and neither a comment nor a blank can stand inside of one.
    const SIGNS: &[&str] = &["#", "=", ";", "--", "true", "union", "sleep(", "benchmark(", "waitfor"];
    if !text.contains(['\'', '"', ';', ')', '-', '1']) || !SIGNS.iter().any(|sign| text.contains(sign)) {
        return false;
    }
    is_flat_sql(&flat(text))
}

pub(crate) fn is_flat_sql(text: &str) -> bool {
    breaks_out(text) || stacked(text) || united(text) || timed(text)
}

/// `' or 1=1`, `" or "a"="a`, `') or ('x'='x`, `admin'--`: a quotation mark that ends a value, and a condition or a comment.
pub(crate) fn breaks_out(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"', ')']) {
        // What comes behind a row of marks is the same for each of them.
        rest = rest.get(at + 1..).unwrap_or_default().trim_start_matches([')', ' ', '\'']);
        if ends_value(rest) {
            return true;
        }
    }
    false
}

/// Whether a comment to the end, or a condition that always holds, comes behind a quotation mark.
pub(crate) fn ends_value(after: &str) -> bool {
    let tail = after.trim_start();
    if (tail.starts_with("--") || tail.starts_with('#'))
        && tail.trim_start_matches(['-', '#', ' ', '+']).is_empty()
    {
        return true;
    }
    let condition =
        ["or ", "and ", "or(", "|| ", "&& "].into_iter().find_map(|word| after.strip_prefix(word));
    condition.is_some_and(always_true)
}

/// How much of each side of an equation is looked at, in characters. Its values are short, and quotation marks and brackets
/// stand around them.
const SIDE: usize = 64;

/// Whether the condition begins with an equation of two equal values.
fn always_true(condition: &str) -> bool {
    let condition = condition.trim_start_matches(['(', ' ']);
    let Some((left, _)) = head(condition, SIDE).split_once('=') else {
        return condition.starts_with("true") || condition.starts_with("1 --");
    };
    let right = head(condition.get(left.len() + 1..).unwrap_or_default(), SIDE);
    let value = |text: &str| text.trim().trim_matches(['\'', '"', '(', ')']).to_owned();
    let right: String =
        right.trim().chars().take_while(|c| !c.is_whitespace() && *c != ';' && *c != ')').collect();
    let right = right.split("--").next().unwrap_or_default();
    let (left, right) = (value(left), value(right));
    !left.is_empty() && left.len() <= 12 && !left.contains(' ') && left == right
}

/// The first so many characters, at least one.
pub(crate) fn head(text: &str, most: usize) -> &str {
    let mut rest = text.chars();
    let _ = rest.nth(most.saturating_sub(1));
    text.get(..text.len() - rest.as_str().len()).unwrap_or_default()
}

/// `; drop table x`, after the end of a value.
pub(crate) fn stacked(text: &str) -> bool {
    const AFTER: &[&str] = &[
        "drop table",
        "drop database",
        "delete from",
        "truncate table",
        "insert into",
        "exec ",
        "exec(",
        "shutdown",
        "alter table",
        "xp_cmdshell",
        "declare @",
    ];
    let last_set = text.rfind(" set ");
    ["';", "\";", "');", "\");", "' ;", "1;", "0;"].iter().any(|end| {
        text.match_indices(end).any(|(at, found)| {
            let rest = text.get(at + found.len()..).unwrap_or_default().trim_start();
            AFTER.iter().any(|verb| rest.starts_with(verb))
                || (rest.starts_with("update ") && last_set.is_some_and(|at| at >= text.len() - rest.len()))
        })
    })
}

/// `' union select`, `1 union all select`.
fn united(text: &str) -> bool {
    text.match_indices("union ").any(|(at, found)| {
        let before = text.get(..at).unwrap_or_default().trim_end();
        let after = text.get(at + found.len()..).unwrap_or_default();
        let after = after.strip_prefix("all ").or_else(|| after.strip_prefix("distinct ")).unwrap_or(after);
        let ends_value = before.ends_with(['\'', '"', ')']) || ends_in_id(before);
        after.trim_start_matches('(').starts_with("select") && ends_value
    })
}

/// Whether it ends in `=` or a name, and a number: `id=-1`, `id 1`.
fn ends_in_id(text: &str) -> bool {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    head.len() < text.len() && (head.is_empty() || head.ends_with(['=', '-']) || head.ends_with("id "))
}

fn timed(text: &str) -> bool {
    let call = ["sleep(", "benchmark(", "pg_sleep(", "waitfor delay"].iter().find_map(|call| text.find(call));
    call.is_some_and(|at| {
        let before = text.get(..at).unwrap_or_default();
        ["' ", "\" ", ") ", "';", "1;"].iter().any(|end| before.contains(end))
            && ["or ", "and ", "select ", ";", "if("].iter().any(|joint| before.contains(joint))
    })
}

pub(crate) fn is_script(text: &str) -> bool {
    if !text.contains(['<', ':', '=']) {
        return false;
    }
    if text.contains(':') && is_scheme(text) {
        return true;
    }
    text.match_indices('<').any(|(at, _)| does(text.get(at + 1..).unwrap_or_default()))
}

/// How much of an element is looked at, in characters.
const ELEMENT: usize = 400;

/// Whether a text behind `<` is an element that does something.
fn does(element: &str) -> bool {
    if !is_element(element) {
        return false;
    }
    let element = head(element, ELEMENT);
    opens_script(element) || handles(element)
}

fn is_element(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_script_element(text: &str) -> bool {
    text.strip_prefix("script").is_some_and(|rest| rest.starts_with(['>', ' ', '/', '\n']))
}

/// What comes before the next element of the kind: what stands behind that one is seen from there, and further.
fn own(text: &str, is_next: fn(&str) -> bool) -> &str {
    let mut opens = text.match_indices('<').map(|(at, _)| text.split_at(at));
    opens.find(|(_, next)| is_next(next.get(1..).unwrap_or_default())).map_or(text, |(own, _)| own)
}

/// A link or an attribute whose address is a script.
pub(crate) fn is_scheme(text: &str) -> bool {
    // What browsers skip inside a scheme.
    let mut tight = String::with_capacity(text.len());
    text.split_whitespace().for_each(|word| tight.push_str(word));
    tight.contains("javascript:") && tight.contains("javascript:alert")
        || tight.contains("=\"javascript:")
        || tight.contains("='javascript:")
        || tight.contains("](javascript:")
        || tight.contains("=javascript:")
        || tight.contains("](data:text/html")
        || tight.contains("\"data:text/html")
        || tight.contains("vbscript:msgbox")
}

/// A script that does something: code that reads or shows, or a source.
fn opens_script(element: &str) -> bool {
    if !is_script_element(element) {
        return false;
    }
    let own = own(element, is_script_element);
    const DOES: &[&str] = &[
        "alert(",
        "prompt(",
        "confirm(",
        "document.",
        "window.",
        "eval(",
        "fetch(",
        "src=",
        "src =",
        "location",
        "cookie",
        "xmlhttprequest",
        "import(",
        "atob(",
    ];
    DOES.iter().any(|does| own.contains(does))
}

/// An element with an `on…=` handler: `<img src=x onerror=…>`, `<svg/onload=…>`.
fn handles(element: &str) -> bool {
    let tag = element.split('>').next().unwrap_or_default();
    own(tag, is_element).match_indices("on").any(|(at, _)| {
        if !tag.get(..at).unwrap_or_default().ends_with([' ', '/', '"', '\'', '\n', '\t']) {
            return false;
        }
        let name = tag.get(at + 2..).unwrap_or_default();
        let len = name.bytes().take_while(u8::is_ascii_lowercase).count();
        let value = name.get(len..).unwrap_or_default().trim_start();
        let code = value.strip_prefix('=').map(str::trim_start);
        (3..=20).contains(&len)
            && code
                .is_some_and(|code| code.contains('(') || code.contains("javascript") || code.contains('`'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_on_a_database_are_seen() {
        for attack in [
            "' OR 1=1 --",
            "admin'--",
            "\" or \"a\"=\"a",
            "') OR ('x'='x",
            "x'; DROP TABLE members; --",
            "1 UNION ALL SELECT name, password FROM users",
            "id=-1 union select 1,2,3",
            "foo' /**/UNION/**/SELECT/**/secret",
            "%27%20OR%201%3D1%20--",
            "1; DELETE FROM posts",
            "' AND sleep(5) --",
            "＇ OR 1=1 --",
        ] {
            assert_eq!(patterns(attack), vec![Pattern::Sql], "{attack}");
        }
    }

    #[test]
    fn attacks_on_a_browser_are_seen() {
        for attack in [
            "<script>alert(1)</script>",
            "<ScRiPt src=//evil.example/x.js></sCrIpT>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(document.cookie)>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "[x](javascript:alert(1))",
            "<a href=\"java\tscript:alert(1)\">",
            "%3Cscript%3Ealert(1)%3C/script%3E",
            "&#60;script&#62;alert(1)&#60;/script&#62;",
        ] {
            assert_eq!(patterns(attack), vec![Pattern::Script], "{attack}");
        }
    }

    #[test]
    fn a_long_message_of_whatever_repeats_is_read_to_its_end() {
        const SIGNS: &[&str] = &[
            ")",
            "'",
            "\"",
            "(",
            " ",
            "#",
            "#x",
            "-",
            "+",
            "=",
            "1",
            ";",
            "1;update ",
            "' or ",
            ")or(a=",
            "true",
            "union ",
            "sleep(",
            "<",
            "<a",
            "<a ",
            "<script ",
            "on",
            " onabc=",
            "javascript:",
        ];
        const LENGTH: usize = 1 << 16;
        let repeat = |sign: &str, length: usize| sign.repeat(length / sign.len());
        for one in SIGNS {
            for other in SIGNS {
                let by_turns = repeat(&[*one, other].concat(), LENGTH);
                let apart = repeat(one, LENGTH / 2) + &repeat(other, LENGTH / 2);
                for text in [by_turns, apart] {
                    assert!(is_sql(&format!("{text} x' or 1=1 --")), "{one} {other}");
                    assert!(is_script(&format!("{text}<script>alert(1)")), "{one} {other}");
                }
            }
        }
        let longest = repeat(")", 1 << 19) + &repeat("#x", 1 << 19);
        assert_eq!(patterns(&longest), []);
        assert_eq!(patterns(&repeat("' or ", 1 << 20)), []);
        assert_eq!(patterns(&repeat("1;update ", 1 << 20)), []);
        assert_eq!(patterns(&(repeat("1;update ", 1 << 20) + "x set y")), [Pattern::Sql]);
    }

    #[test]
    fn questions_about_databases_and_pages_are_not_attacks() {
        for question in [
            "How does UNION ALL differ from UNION in SQL?",
            "What does SELECT * FROM users WHERE id = 1 do?",
            "Why is 'a' or 'b' = true in Python?",
            "DROP TABLE vs TRUNCATE TABLE; which is faster?",
            "I don't know -- do you?",
            "What is the <script> tag for, and where does it go?",
            "Where do I put onclick in <button onclick>?",
            "it's 5 or 6 o'clock; update me please",
            "In javascript: what does === mean?",
            "x = 1; update the view and it's done",
        ] {
            assert_eq!(patterns(question), Vec::new(), "{question}");
        }
    }
}
