//! What a key accepts: how a given value becomes a typed one, or why it cannot.
//!
//! The shapes know nothing of files, layers and other keys. Their faults never hold a given value of another type
//! than the shape's, because it may be a secret in the wrong place.

mod time;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::codes::Code;
use crate::diagnostic::Origin;
use crate::network::Cidr;
use crate::secrets::SecretRef;
use crate::text::{Name, SystemText};
use crate::url::{BaseUrl, PublicUrl, PublicUrlFault, UrlFault};
use crate::value::{Value, quote, shown};

pub(crate) use self::time::{Days, Millis, Minutes, Seconds};

/// Turns a given value into a typed one.
pub(crate) trait Shape: Sync {
    /// The typed value: one that cannot be wrong.
    type Value;

    /// Reads a given value, or says everything that is wrong with it.
    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>>;

    /// The typed value as `config show` prints it: TOML, with secrets masked.
    fn show(&self, value: &Self::Value) -> String;

    /// The type, for the reference.
    fn kind(&self) -> &'static str;

    /// What is accepted within the type, for the reference; empty when everything is.
    fn range(&self) -> String {
        String::new()
    }
}

/// Why a value cannot be read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) wanted: String,
    pub(crate) found: Option<String>,
    pub(crate) help: Option<String>,
    /// Where in the value, if not the whole of it.
    pub(crate) origin: Option<Origin>,
}

impl Fault {
    pub(crate) fn new(code: Code, wanted: impl Into<String>) -> Self {
        Self { code, wanted: wanted.into(), found: None, help: None, origin: None }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn wrong_type(wanted: &str, value: &Value) -> Vec<Self> {
        vec![Self::new(Code::WrongType, format!("must be {wanted}")).found(value.kind())]
    }
}

fn integer(value: &Value, min: u64, max: u64) -> Result<u64, Vec<Fault>> {
    let number = match value {
        Value::Integer(number) => Some(*number),
        Value::HugeInteger => None,
        Value::Words(words) => match words.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return Err(Fault::wrong_type("a whole number", value)),
        },
        _ => return Err(Fault::wrong_type("a whole number", value)),
    };
    if let Some(number) = number.and_then(|number| u64::try_from(number).ok())
        && (min..=max).contains(&number)
    {
        return Ok(number);
    }
    let small = number.is_some_and(|number| number < i128::from(min));
    let wanted = if small { format!("must be at least {min}") } else { format!("must be at most {max}") };
    let found = number.map_or_else(|| "a far larger number".to_owned(), |number| number.to_string());
    Err(vec![Fault::new(Code::OutOfRange, wanted).found(found)])
}

pub(crate) fn text<'a>(value: &'a Value, wanted: &str) -> Result<&'a str, Vec<Fault>> {
    value.text().ok_or_else(|| Fault::wrong_type(wanted, value))
}

/// Reads a list element by element, so that every wrong element is found where it stands. Repeats are refused.
pub(crate) fn list<T: Clone + Ord>(
    value: &Value,
    wanted: &str,
    element: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Vec<T>, Vec<Fault>> {
    let given: Vec<(Result<&str, &str>, Option<Origin>)> = match value {
        Value::List(items) => items
            .iter()
            .map(|item| (item.value.text().ok_or(item.value.kind()), Some(item.origin.clone())))
            .collect(),
        Value::Words(words) => words
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| (Ok(word), None))
            .collect(),
        _ => return Err(Fault::wrong_type(wanted, value)),
    };
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    let mut faults = Vec::new();
    for (text, origin) in given {
        let fault = match text.map(&element) {
            Ok(Ok(value)) if seen.insert(value.clone()) => {
                read.push(value);
                continue;
            }
            Ok(Ok(_)) => Fault::new(Code::Duplicate, "must name each element once"),
            Ok(Err(fault)) => fault,
            Err(kind) => Fault::new(Code::WrongType, format!("must be {wanted}")).found(kind),
        };
        let help = fault.help.or_else(|| Some("correct this element or remove it".to_owned()));
        faults.push(Fault { origin, help, ..fault });
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

pub(crate) fn show_list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| quote(&item)).collect::<Vec<_>>().join(", "))
}

/// A number that is never nothing: a rate, a count of records.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) max: u32,
}

impl Shape for Count {
    type Value = NonZeroU32;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let number = integer(value, 1, u64::from(self.max))?;
        u32::try_from(number)
            .ok()
            .and_then(NonZeroU32::new)
            .ok_or_else(|| vec![Fault::new(Code::OutOfRange, "must be at least 1")])
    }

    fn show(&self, value: &Self::Value) -> String {
        value.to_string()
    }

    fn kind(&self) -> &'static str {
        "whole number"
    }

    fn range(&self) -> String {
        format!("1 to {}", self.max)
    }
}

/// A size or a length, in the unit that the key's name says.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl Shape for Size {
    type Value = usize;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let number = integer(value, u64::from(self.min), u64::from(self.max))?;
        usize::try_from(number)
            .map_err(|_| vec![Fault::new(Code::OutOfRange, "must fit this machine's memory")])
    }

    fn show(&self, value: &Self::Value) -> String {
        value.to_string()
    }

    fn kind(&self) -> &'static str {
        "whole number"
    }

    fn range(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// On or off.
#[derive(Debug)]
pub(crate) struct Switch;

impl Shape for Switch {
    type Value = bool;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        match value {
            Value::Switch(on) => Ok(*on),
            Value::Words(words) => {
                words.trim().parse().map_err(|_| Fault::wrong_type("`true` or `false`", value))
            }
            _ => Err(Fault::wrong_type("`true` or `false`", value)),
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.to_string()
    }

    fn kind(&self) -> &'static str {
        "switch"
    }
}

/// A path, relative to the folder of the configuration file.
#[derive(Debug)]
pub(crate) struct FilePath;

impl Shape for FilePath {
    type Value = PathBuf;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "a path in quotes")?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            let wanted = "must be a path that is not empty and holds no control characters";
            return Err(vec![Fault::new(Code::BadPath, wanted)]);
        }
        Ok(PathBuf::from(text))
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.to_string_lossy())
    }

    fn kind(&self) -> &'static str {
        "path"
    }
}

/// An address to listen on.
#[derive(Debug)]
pub(crate) struct Address;

impl Shape for Address {
    type Value = SocketAddr;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "an address in quotes")?;
        text.trim().parse().map_err(|_| {
            vec![
                Fault::new(Code::Malformed, "must be `IP:PORT`, such as `127.0.0.1:8080` or `[::1]:8080`")
                    .found(shown(text)),
            ]
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.to_string())
    }

    fn kind(&self) -> &'static str {
        "address"
    }

    fn range(&self) -> String {
        "`IP:PORT`; port 0 takes a free one".to_owned()
    }
}

fn base_url(value: &Value) -> Result<BaseUrl, Vec<Fault>> {
    let text = text(value, "a URL in quotes")?.trim();
    BaseUrl::parse(text).map_err(|fault| {
        let given = Fault::new(Code::BadUrl, fault.to_string());
        // What stands before an `@` or in a query may be a password.
        let may_hold_a_password = matches!(fault, UrlFault::Credentials | UrlFault::Query);
        vec![if may_hold_a_password { given } else { given.found(shown(text)) }]
    })
}

/// An http or https base URL.
#[derive(Debug)]
pub(crate) struct Url;

impl Shape for Url {
    type Value = BaseUrl;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        base_url(value)
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.to_string())
    }

    fn kind(&self) -> &'static str {
        "URL"
    }

    fn range(&self) -> String {
        "`https` or `http`".to_owned()
    }
}

/// The URL that members type.
#[derive(Debug)]
pub(crate) struct MemberUrl;

impl Shape for MemberUrl {
    type Value = PublicUrl;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let url = base_url(value)?;
        let found = shown(&url.to_string());
        PublicUrl::new(url).map_err(|fault| {
            let fault = match fault {
                PublicUrlFault::Plain => {
                    Fault::new(Code::PlainPublicUrl, "must be https, or http on a loopback address")
                        .help("give the address that members type, with TLS ended by `[tls]` or by a proxy")
                }
                PublicUrlFault::Path => Fault::new(Code::BadUrl, "must have no path")
                    .help("give the program a host name of its own"),
            };
            vec![fault.found(found)]
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.to_string())
    }

    fn kind(&self) -> &'static str {
        "URL"
    }

    fn range(&self) -> String {
        "`https`, or `http` on a loopback address; without a path".to_owned()
    }
}

/// A list of networks.
#[derive(Debug)]
pub(crate) struct Networks;

impl Shape for Networks {
    type Value = Vec<Cidr>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of networks in quotes", |text| {
            Cidr::parse(text.trim())
                .map_err(|fault| Fault::new(Code::BadNetwork, fault.to_string()).found(shown(text)))
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(Cidr::to_string))
    }

    fn kind(&self) -> &'static str {
        "list of networks"
    }
}

/// A reference to a secret.
#[derive(Debug)]
pub(crate) struct Reference;

impl Shape for Reference {
    type Value = SecretRef;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let Some(text) = value.text() else {
            return Err(Fault::wrong_type("a reference in quotes, `env:NAME` or `file:PATH`", value));
        };
        SecretRef::parse(text).map_err(|fault| vec![fault])
    }

    fn show(&self, value: &Self::Value) -> String {
        format!("*** ({value})")
    }

    fn kind(&self) -> &'static str {
        "reference to a secret"
    }

    fn range(&self) -> String {
        "`env:NAME` or `file:PATH`".to_owned()
    }
}

/// One name.
#[derive(Debug)]
pub(crate) struct OneName;

impl Shape for OneName {
    type Value = Name;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        Name::parse(text(value, "a name in quotes")?).map_err(|fault| vec![fault])
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(value.as_str())
    }

    fn kind(&self) -> &'static str {
        "name"
    }
}

/// A list of names.
#[derive(Debug)]
pub(crate) struct Names;

impl Shape for Names {
    type Value = Vec<Name>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of names in quotes", Name::parse)
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(Name::to_string))
    }

    fn kind(&self) -> &'static str {
        "list of names"
    }
}

/// A list of short names.
#[derive(Debug)]
pub(crate) struct Slugs {
    pub(crate) least: Least,
}

/// Whether a list may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Least {
    None,
    One,
}

impl Shape for Slugs {
    type Value = Vec<Name>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let slugs = list(value, "a list of short names in quotes", Name::parse_slug)?;
        if slugs.is_empty() && self.least == Least::One {
            return Err(vec![Fault::new(Code::Malformed, "must name at least one").found("none")]);
        }
        Ok(slugs)
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(Name::to_string))
    }

    fn kind(&self) -> &'static str {
        "list of short names"
    }

    fn range(&self) -> String {
        let each = "each 2 to 40 characters of `a-z`, `0-9` and `-`";
        match self.least {
            Least::One => format!("at least one; {each}"),
            Least::None => each.to_owned(),
        }
    }
}

/// A longer text.
#[derive(Debug)]
pub(crate) struct Prose {
    pub(crate) max_chars: usize,
}

impl Shape for Prose {
    type Value = SystemText;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "text in quotes")?;
        let chars = text.chars().count();
        if text.trim().is_empty() || chars > self.max_chars {
            let wanted = format!("must have 1 to {} characters", self.max_chars);
            return Err(vec![Fault::new(Code::Malformed, wanted).found(chars.to_string())]);
        }
        Ok(SystemText::new(text))
    }

    fn show(&self, value: &Self::Value) -> String {
        format!("{value:?}")
    }

    fn kind(&self) -> &'static str {
        "text"
    }

    fn range(&self) -> String {
        format!("1 to {} characters", self.max_chars)
    }
}

/// One of a few words.
#[derive(Debug)]
pub(crate) struct Choice<T: 'static> {
    pub(crate) words: &'static [(&'static str, T)],
}

impl<T: Copy + PartialEq + Sync> Choice<T> {
    fn spelled(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.join(""),
        }
    }
}

impl<T: Copy + PartialEq + Sync> Shape for Choice<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "a word in quotes")?;
        let choice = self.words.iter().find(|(word, _)| *word == text);
        choice.map(|(_, choice)| *choice).ok_or_else(|| {
            let fault =
                Fault::new(Code::NotAChoice, format!("must be {}", self.spelled())).found(shown(text));
            vec![match crate::near::nearest(text, self.words.iter().map(|(word, _)| *word)) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            }]
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        self.words
            .iter()
            .find(|(_, choice)| choice == value)
            .map_or_else(String::new, |(word, _)| quote(word))
    }

    fn kind(&self) -> &'static str {
        "word"
    }

    fn range(&self) -> String {
        self.spelled()
    }
}
