//! Default, file, environment and flags laid over one another: the last one that sets a key wins, and every value
//! remembers where it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Origin};
use crate::environment::{Environment, Flags, Variable};
use crate::keys::{self, ALL, AnyKey, SECTIONS};
use crate::near::nearest;
use crate::raw::{Broken, Entry, Raw, unknown_key};
use crate::secrets::SecretRef;
use crate::value::{Given, Value};

const PREFIX: &str = "PORTCULLIS_";
/// Variables with our prefix that set no key: they are read by tests and by the command line.
const OTHERS: &[&str] = &["PORTCULLIS_CONFIG", "PORTCULLIS_REQUIRE", "PORTCULLIS_SEED"];
const TESTS: &str = "PORTCULLIS_TEST_";

/// Every key with all the values it was given, the one that counts last.
#[derive(Debug, Clone)]
pub struct Resolved {
    layers: BTreeMap<&'static str, Vec<Given>>,
    sections: BTreeMap<&'static str, Origin>,
    lists: BTreeMap<&'static str, Vec<Entry>>,
    pub(crate) broken: Arc<Broken>,
}

impl Resolved {
    pub(crate) fn new(
        raw: Raw,
        environment: &Environment,
        flags: &Flags,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let Raw { keys: mut file, sections, lists, broken } = raw;
        let mut layers: BTreeMap<&'static str, Vec<Given>> = BTreeMap::new();
        for key in ALL {
            let given =
                [key.preset().given(), file.remove(key.name()), variable(*key, environment, diagnostics)];
            layers.insert(key.name(), given.into_iter().flatten().collect());
        }
        for flag in flags.iter() {
            let origin = Origin::Flag { name: flag.flag.clone() };
            let Some(name) = &flag.key else {
                let fault = Diagnostic::error(Code::BadFlag, origin, "must be followed by `key=value`");
                diagnostics.push(fault.key(flag.flag.clone()));
                continue;
            };
            if let Some((_, given)) = layers.iter_mut().find(|(key, _)| *key == name) {
                given.push(Given { value: Value::Words(flag.value.clone()), origin });
            } else if keys::list(keys::section_of(name)).is_some() || keys::list(name).is_some() {
                let section = keys::section_of(name);
                let section = if section.is_empty() { name } else { section };
                let wanted = format!("stands in `[[{section}]]`, which only the file can hold");
                diagnostics.push(Diagnostic::error(Code::BadFlag, origin, wanted).key(section));
            } else {
                let known = |section: &&str| SECTIONS.iter().any(|known| known.name == *section);
                let split = name.split_once('.').filter(|(section, _)| known(section));
                let (section, last) = split.unwrap_or(("", name));
                diagnostics.push(unknown_key(Code::BadFlag, section, last, origin));
            }
        }
        let resolved = Self { layers, sections, lists, broken: Arc::new(broken) };
        resolved.unknown_variables(environment, diagnostics);
        resolved
    }

    /// The values a key was given, the one that counts last.
    pub(crate) fn layers(&self, key: &str) -> &[Given] {
        self.layers.get(key).map_or(&[], Vec::as_slice)
    }

    /// The tables of a list, in the order of the file.
    pub(crate) fn entries(&self, list: &str) -> &[Entry] {
        self.lists.get(list).map_or(&[], Vec::as_slice)
    }

    /// Where the value of a key comes from; nothing if it has none or there is no such key.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.layers(key).last().map(|given| &given.origin)
    }

    /// Where a table is set: its header in the file, or the first key that anyone gave.
    pub(crate) fn section(&self, section: &str) -> Option<&Origin> {
        let given = || {
            let keys = self.layers.iter().filter(|(key, _)| keys::section_of(key) == section);
            keys.flat_map(|(_, given)| given)
                .map(|given| &given.origin)
                .find(|origin| **origin != Origin::Default)
        };
        self.sections.get(section).or_else(given)
    }

    /// Every key with its value and origin, as `portcullis config show` prints it. Secrets show as `***` with their
    /// reference, the system text as its length.
    pub fn show(&self) -> String {
        let row = |name: String, key: &dyn AnyKey, last: Option<&Given>| {
            let value = last.and_then(|given| key.show(&given.value));
            let origin = last.map_or_else(|| "not set".to_owned(), |given| given.origin.to_string());
            (name, value.unwrap_or_else(|| "(none)".to_owned()), origin)
        };
        let mut rows = Vec::new();
        for section in SECTIONS {
            for key in ALL.iter().filter(|key| keys::section_of(key.name()) == section.name) {
                rows.push(row(key.name().to_owned(), *key, self.layers(key.name()).last()));
            }
        }
        for list in keys::LISTS {
            for (number, entry) in (1..).zip(self.entries(list.section.name)) {
                let layers = list.keys.iter().map(|key| (key, entry.layers(*key)));
                for (key, layers) in layers.filter(|(_, layers)| !layers.is_empty()) {
                    let last = key.name().trim_start_matches(list.section.name);
                    let name = format!("{}[{number}]{last}", list.section.name);
                    rows.push(row(name, *key, layers.last()));
                }
            }
        }
        let width = |text: &String| text.chars().count();
        let name_width = rows.iter().map(|(name, ..)| width(name)).max().unwrap_or(0);
        let value_width = rows.iter().map(|(_, value, _)| width(value)).max().unwrap_or(0).min(48);
        let line = |(name, value, origin): (String, String, String)| {
            format!("{name:name_width$} = {value:value_width$}  # {origin}\n")
        };
        rows.into_iter().map(line).collect()
    }

    fn unknown_variables(&self, environment: &Environment, diagnostics: &mut Diagnostics) {
        let variables: Vec<String> = ALL.iter().map(|key| keys::variable(key.name())).collect();
        let referred: Vec<String> = self
            .layers
            .values()
            .flatten()
            .chain(self.lists.values().flatten().flat_map(|entry| entry.keys.values()))
            .filter_map(|given| given.value.text().and_then(|text| SecretRef::parse(text).ok()))
            .filter_map(|reference| match reference {
                SecretRef::Variable(name) => Some(name),
                SecretRef::File(_) => None,
            })
            .collect();
        for name in environment.names().filter(|name| name.starts_with(PREFIX)) {
            let ours = OTHERS.contains(&name) || name.starts_with(TESTS);
            if ours || variables.iter().chain(&referred).any(|known| known == name) {
                continue;
            }
            let origin = Origin::Environment { variable: name.to_owned() };
            let warning =
                Diagnostic::warning(Code::UnknownVariable, origin, "sets no key and is ignored").key(name);
            let list = keys::LISTS
                .iter()
                .map(|list| list.section.name)
                .find(|list| name.strip_prefix(&*format!("{}__", keys::variable(list))).is_some());
            diagnostics.push(match (list, near_variable(name, &variables)) {
                (Some(list), _) => warning.help(format!("unset it; only the file can hold `[[{list}]]`")),
                (None, Some(near)) => warning.help(format!("did you mean `{near}`?")),
                (None, None) => warning.help("unset it"),
            });
        }
    }
}

/// As [`Resolved::show`], for a message that holds a configuration.
impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

fn variable(key: &dyn AnyKey, environment: &Environment, diagnostics: &mut Diagnostics) -> Option<Given> {
    let name = keys::variable(key.name());
    match environment.look_up(&name)? {
        Variable::Text(text) => Some(Given {
            value: Value::Words(text.expose().clone()),
            origin: Origin::Environment { variable: name },
        }),
        Variable::NotUnicode => {
            let origin = Origin::Environment { variable: name };
            diagnostics
                .push(Diagnostic::error(Code::NotUnicode, origin, "must be UTF-8 text").key(key.name()));
            None
        }
    }
}

/// The variable that was probably meant: a misspelling, or a name without its table.
fn near_variable<'a>(name: &str, variables: &'a [String]) -> Option<&'a str> {
    let known = || variables.iter().map(String::as_str);
    let bare = name.strip_prefix(PREFIX).unwrap_or(name);
    let without_table = |known: &&str| known.rsplit_once("__").is_some_and(|(_, last)| last == bare);
    // The prefix is equal in all of them, so it must not make different names look near.
    nearest(bare, known().filter_map(|known| known.strip_prefix(PREFIX)))
        .and_then(|near| known().find(|known| known.strip_prefix(PREFIX) == Some(near)))
        .or_else(|| known().find(without_table))
}

#[cfg(test)]
mod tests {
    use super::near_variable;
    use crate::keys::{self, ALL};

    #[test]
    fn a_misspelt_variable_is_recognised() {
        let variables: Vec<_> = ALL.iter().map(|key| keys::variable(key.name())).collect();
        let near = |name| near_variable(name, &variables);
        assert_eq!(near("PORTCULLIS_LIMITS_BODY_BYTES"), Some("PORTCULLIS_LIMITS__BODY_BYTES"));
        assert_eq!(near("PORTCULLIS_JWT_SECRET"), Some("PORTCULLIS_SECRETS__JWT_SECRET"));
        assert_eq!(near("PORTCULLIS_X"), None);
    }
}
