//! What may leave in an answer: `[release]`.

use crate::codes::Code;
use crate::config::Reader;
use crate::keys;
use crate::shape::{Fault, Shape, list, show_list};
use crate::text::Name;
use crate::url::Host;
use crate::value::{Value, shown};

/// What may leave in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// When answers are judged.
    pub mode: ReleaseMode,
    /// The communities whose answers are judged as a whole in any case, by short name.
    pub whole: Vec<Name>,
    /// Hosts that answers may lead to, beside the community's own.
    pub hosts: Vec<Host>,
    /// What is done about the system text.
    pub system_text: LeakAction,
    /// What is done about secrets.
    pub secrets: LeakAction,
    /// What is done about personal data of others.
    pub personal_data: LeakAction,
    /// The kinds of personal data that are not looked for.
    pub personal_data_except: Vec<PersonalKind>,
    /// What is done about links to other hosts.
    pub links: LeakAction,
    /// Whether an answer may quote personal data of the passages it was given.
    pub quote_content: bool,
    /// The same for callers who own their requests.
    pub own_request: OwnRequest,
}

/// What may leave in answers to callers who own their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnRequest {
    /// What is done about the caller's system text.
    pub system_text: LeakAction,
    /// What is done about secrets.
    pub secrets: LeakAction,
    /// What is done about personal data.
    pub personal_data: LeakAction,
    /// What is done about links.
    pub links: LeakAction,
}

/// When an answer is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseMode {
    /// As it comes.
    Stream,
    /// Once it is complete.
    Whole,
}

impl ReleaseMode {
    pub(crate) const WORDS: &[(&str, Self)] = &[("stream", Self::Stream), ("whole", Self::Whole)];
}

/// What is done about something that must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakAction {
    /// It is not looked for.
    Off,
    /// It leaves and is reported.
    Observe,
    /// It is taken out.
    Redact,
    /// The answer ends before it.
    Stop,
}

impl LeakAction {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("redact", Self::Redact), ("stop", Self::Stop)];

    /// For what cannot be taken out.
    pub(crate) const ENDING: &[(&str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("stop", Self::Stop)];
}

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonalKind {
    /// Mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Bank account numbers.
    Iban,
    /// Social security numbers of the United States.
    Ssn,
}

impl PersonalKind {
    const WORDS: &[(&str, Self)] = &[
        ("email", Self::Email),
        ("phone", Self::Phone),
        ("card", Self::Card),
        ("iban", Self::Iban),
        ("ssn", Self::Ssn),
    ];

    fn word(self) -> String {
        Self::WORDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// A list of kinds of personal data.
#[derive(Debug)]
pub(crate) struct PersonalKinds;

impl Shape for PersonalKinds {
    type Value = Vec<PersonalKind>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of words in quotes", |text| {
            let found = PersonalKind::WORDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind);
            found.ok_or_else(|| {
                Fault::new(Code::NotAChoice, format!("must be {}", self.range())).found(shown(text))
            })
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(|kind| kind.word()))
    }

    fn kind(&self) -> &'static str {
        "list of words"
    }

    fn range(&self) -> String {
        "`email`, `phone`, `card`, `iban` or `ssn`".to_owned()
    }
}

/// A list of hosts.
#[derive(Debug)]
pub(crate) struct Hosts;

impl Shape for Hosts {
    type Value = Vec<Host>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let wanted = "must be a host by DNS name, without scheme, port and path";
        let names = list(value, "a list of host names in quotes", |text| {
            let host = Host::parse(text).filter(|host| matches!(host, Host::Name(_)));
            let fault = Fault::new(Code::Malformed, wanted).found(shown(text));
            host.map(|host| host.to_string()).ok_or(fault)
        })?;
        Ok(names.iter().filter_map(|name| Host::parse(name)).collect())
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(Host::to_string))
    }

    fn kind(&self) -> &'static str {
        "list of hosts"
    }

    fn range(&self) -> String {
        "each a DNS name, without its subdomains".to_owned()
    }
}

pub(crate) fn read(r: &mut Reader<'_>) -> Option<Release> {
    let mode = r.required(&keys::RELEASE_MODE);
    let whole = r.required(&keys::RELEASE_WHOLE);
    let hosts = r.required(&keys::RELEASE_HOSTS);
    let system_text = r.required(&keys::RELEASE_SYSTEM);
    let secrets = r.required(&keys::RELEASE_SECRETS);
    let personal_data = r.required(&keys::RELEASE_PERSONAL);
    let personal_data_except = r.required(&keys::RELEASE_PERSONAL_EXCEPT);
    let links = r.required(&keys::RELEASE_LINKS);
    let quote_content = r.required(&keys::RELEASE_QUOTE);
    let own = [
        &keys::RELEASE_OWN_SYSTEM,
        &keys::RELEASE_OWN_SECRETS,
        &keys::RELEASE_OWN_PERSONAL,
        &keys::RELEASE_OWN_LINKS,
    ]
    .map(|key| r.required(key));
    let [own_system, own_secrets, own_personal, own_links] = own;
    Some(Release {
        mode: mode?,
        whole: whole?,
        hosts: hosts?,
        system_text: system_text?,
        secrets: secrets?,
        personal_data: personal_data?,
        personal_data_except: personal_data_except?,
        links: links?,
        quote_content: quote_content?,
        own_request: OwnRequest {
            system_text: own_system?,
            secrets: own_secrets?,
            personal_data: own_personal?,
            links: own_links?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Hosts, PersonalKinds};
    use crate::shape::Shape;
    use crate::value::Value;

    fn words(text: &str) -> Value {
        Value::Words(text.to_owned())
    }

    #[test]
    fn only_names_of_hosts_are_taken() {
        assert_eq!(Hosts.read(&words("Docs.Example.org,b.example")).map(|hosts| hosts.len()).ok(), Some(2));
        for bad in [
            "https://docs.example.org",
            "docs.example.org/x",
            "docs.example.org:80",
            "192.0.2.1",
            "*.example.org",
        ] {
            assert!(Hosts.read(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_known_kinds_are_taken() {
        assert_eq!(PersonalKinds.read(&words("email, iban")).map(|kinds| kinds.len()).ok(), Some(2));
        assert!(PersonalKinds.read(&words("mail")).is_err());
    }
}
