//! What begins with two dots: directives, footnotes, targets and comments.

use super::blocks::{State, dedented, field, indent_of};
use super::table;

/// Directives whose content is code or must keep its lines.
const CODE: [&str; 11] = [
    "code-block",
    "code",
    "sourcecode",
    "parsed-literal",
    "productionlist",
    "doctest",
    "testcode",
    "testoutput",
    "prompt",
    "math",
    "ipython",
];

/// Directives that show nothing of their own text, or show another file's.
const SILENT: [&str; 21] = [
    "raw",
    "include",
    "literalinclude",
    "contents",
    "highlight",
    "sectnum",
    "section-numbering",
    "meta",
    "title",
    "default-role",
    "role",
    "index",
    "tabularcolumns",
    "currentmodule",
    "module",
    "default-domain",
    "toctree",
    "graphviz",
    "target-notes",
    "header",
    "footer",
];

/// Directives whose argument is a title or a signature.
const TITLED: [&str; 20] = [
    "admonition",
    "topic",
    "sidebar",
    "rubric",
    "epigraph",
    "pull-quote",
    "highlights",
    "centered",
    "table",
    "glossary",
    "compound",
    "function",
    "method",
    "attribute",
    "data",
    "exception",
    "describe",
    "option",
    "envvar",
    "class",
];

/// Directives that put a word before their text.
const LABELLED: [(&str, &str); 15] = [
    ("note", "Note"),
    ("warning", "Warning"),
    ("tip", "Tip"),
    ("important", "Important"),
    ("caution", "Caution"),
    ("danger", "Danger"),
    ("error", "Error"),
    ("hint", "Hint"),
    ("attention", "Attention"),
    ("seealso", "See also"),
    ("todo", "To do"),
    ("versionadded", "New in version"),
    ("versionchanged", "Changed in version"),
    ("deprecated", "Deprecated since version"),
    ("superseded", "Superseded by"),
];

impl<'l> State<'l> {
    /// What begins with two dots: a footnote, a target, a substitution, a directive, or a comment.
    pub(super) fn explicit(&mut self, indent: usize, bare: &'l str) {
        let rest = bare.strip_prefix("..").unwrap_or(bare).trim_start();
        if let Some((label, text)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && !label.contains(' ')
        {
            self.at += 1;
            let mut text = text.trim().to_owned();
            while !self.line(self.at).is_empty() && indent_of(self.line(self.at)) > indent {
                text.push(' ');
                text.push_str(self.line(self.at).trim());
                self.at += 1;
            }
            let text = self.inline(&text);
            self.push_item(format!("[{}] {text}", label.trim_start_matches('#')));
            return;
        }
        if let Some((name, argument)) = directive(rest) {
            self.at += 1;
            self.directive(indent, &name, argument);
            return;
        }
        self.at += 1;
        // Two dots and then a blank line are a comment of their own; otherwise all that is indented belongs to it.
        if !(rest.is_empty() && self.line(self.at).is_empty()) {
            self.deeper(indent);
        }
    }

    fn directive(&mut self, indent: usize, name: &str, argument: &'l str) {
        if SILENT.contains(&name) {
            let body = self.deeper(indent);
            if name == "toctree" {
                let pages = body
                    .iter()
                    .map(|line| line.trim())
                    .filter(|line| !line.is_empty() && !line.starts_with(':'));
                self.content.links.extend(pages.take(self.most_links).map(|page| format!("{page}.rst")));
            }
            return;
        }
        let options = self.options(indent);
        if CODE.contains(&name) {
            let code = self.deeper(indent);
            // `math` may hold its formula in the argument.
            let argument = if name == "math" { argument } else { "" };
            let code = dedented(&code);
            self.push_code(if argument.is_empty() { code } else { format!("{argument}\n{code}") });
            return;
        }
        match name {
            "image" | "figure" => {
                let alt = options.iter().find(|(name, _)| *name == "alt").map(|(_, alt)| alt.trim());
                if let Some(alt) = alt.filter(|alt| !alt.is_empty()) {
                    self.push_text(format!("[image: {alt}]"));
                }
            }
            "list-table" | "csv-table" => {
                let mut rows: Vec<String> =
                    Some(argument.to_owned()).into_iter().filter(|title| !title.is_empty()).collect();
                rows.extend(
                    options.iter().find(|(name, _)| *name == "header").map(|(_, header)| header.clone()),
                );
                let body = self.deeper(indent);
                if name == "list-table" {
                    rows.extend(table::list(&body));
                } else {
                    rows.extend(
                        body.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()),
                    );
                }
                self.push_rows(rows);
            }
            _ => self.flowing(indent, name, argument),
        }
    }

    /// A directive whose content is read like any other text.
    fn flowing(&mut self, indent: usize, name: &str, argument: &'l str) {
        let label = LABELLED.into_iter().find(|(known, _)| *known == name).map(|(_, label)| label);
        let mut text = argument.to_owned();
        // The first paragraph may begin beside the directive's name.
        while !text.is_empty() && !self.line(self.at).is_empty() && indent_of(self.line(self.at)) > indent {
            text.push(' ');
            text.push_str(self.line(self.at).trim());
            self.at += 1;
        }
        let label = match label {
            Some(label) if label.ends_with(" version") => {
                // The first word is the version, and what follows tells about it.
                if let Some((version, rest)) = text.split_once(' ') {
                    text = format!("{version}: {rest}");
                }
                Some(label.to_owned())
            }
            Some(label) if label.ends_with(" by") => Some(label.to_owned()),
            Some(label) => Some(format!("{label}:")),
            None if TITLED.contains(&name) || name.contains(':') => None,
            None => Some(format!("{name}:")),
        };
        if text.is_empty() {
            self.label = label.filter(|label| LABELLED.iter().any(|(_, known)| label.starts_with(known)));
            return;
        }
        let announces = text.ends_with("::");
        let text = self.inline(text.strip_suffix(':').filter(|_| announces).unwrap_or(&text));
        self.label = label;
        self.push_text(text.trim_end().to_owned());
        if announces {
            self.literal(indent);
        }
    }

    /// The options right below a directive's name.
    fn options(&mut self, indent: usize) -> Vec<(&'l str, String)> {
        let mut options: Vec<(&'l str, String)> = Vec::new();
        while !self.line(self.at).is_empty() && indent_of(self.line(self.at)) > indent {
            let line = self.line(self.at);
            match field(line.trim_start()) {
                Some((name, value)) => options.push((name, value.to_owned())),
                // An option's text may go on below it.
                None => match options.last_mut() {
                    Some((_, value)) => {
                        value.push(' ');
                        value.push_str(line.trim());
                    }
                    None => break,
                },
            }
            self.at += 1;
        }
        options
    }
}

/// `name:: argument`.
fn directive(text: &str) -> Option<(String, &str)> {
    let (name, argument) = text.split_once("::")?;
    // A substitution's directive has the substitution's name before it and shows nothing here.
    if name.starts_with('|') {
        return Some(("raw".to_owned(), ""));
    }
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'+' | b'.'));
    (is_name && (argument.is_empty() || argument.starts_with(' ')))
        .then(|| (name.to_lowercase(), argument.trim()))
}
