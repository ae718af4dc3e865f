//! What is done about each class of leak.

use std::collections::BTreeSet;

/// What is done about a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is not looked for.
    Off,
    /// It leaves, and is counted.
    Observe,
    /// It is taken out and a note in braces stands in its place; of a link the words stay. What cannot be taken out,
    /// such as the system text, ends the answer.
    Redact,
    /// The answer ends before it.
    Stop,
}

/// A class of leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The random word in the system text of this answer.
    Canary,
    /// The system text, or a disguise of it.
    SystemText,
    /// Keys, tokens, private keys, passwords in connection strings.
    Secret,
    /// Personal data of others.
    Personal,
    /// A link or image that leads where it may not.
    Link,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Canary, Self::SystemText, Self::Secret, Self::Personal, Self::Link];

    /// Its stable name, for the audit and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::SystemText => "system_text",
            Self::Secret => "secret",
            Self::Personal => "personal_data",
            Self::Link => "link",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Canary => 0,
            Self::SystemText => 1,
            Self::Secret => 2,
            Self::Personal => 3,
            Self::Link => 4,
        }
    }
}

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A mail address.
    Email,
    /// A telephone number in an international form or a common national one.
    Phone,
    /// The number of a payment card, with its check digit (ISO/IEC 7812-1).
    Card,
    /// An international bank account number, with its check digits (ISO 13616).
    Iban,
    /// A social security number of the United States.
    Ssn,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::Ssn];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
        }
    }

    /// What stands in its place.
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Email => "{mail address withheld}",
            Self::Phone => "{phone number withheld}",
            Self::Card => "{card number withheld}",
            Self::Iban => "{account number withheld}",
            Self::Ssn => "{social security number withheld}",
        }
    }
}

/// What is done about each class, for one kind of asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The canary.
    pub canary: Action,
    /// The system text.
    pub system_text: Action,
    /// Secrets.
    pub secrets: Action,
    /// Personal data of others.
    pub personal: Action,
    /// The kinds of personal data that are looked for.
    pub kinds: BTreeSet<Kind>,
    /// Links and images to hosts that are not on the list, and markup that a browser would act on.
    pub links: Action,
}

impl Policy {
    /// Everything is looked for; what can be taken out is, and the rest ends the answer.
    pub fn strict() -> Self {
        Self {
            canary: Action::Stop,
            system_text: Action::Stop,
            secrets: Action::Redact,
            personal: Action::Redact,
            kinds: Kind::ALL.into(),
            links: Action::Redact,
        }
    }

    /// Nothing is looked for.
    pub fn off() -> Self {
        Self {
            canary: Action::Off,
            system_text: Action::Off,
            secrets: Action::Off,
            personal: Action::Off,
            kinds: BTreeSet::new(),
            links: Action::Off,
        }
    }

    pub(crate) const fn action(&self, class: Class) -> Action {
        match class {
            Class::Canary => self.canary,
            Class::SystemText => self.system_text,
            Class::Secret => self.secrets,
            Class::Personal => self.personal,
            Class::Link => self.links,
        }
    }
}

/// The hosts that an answer may lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    links: BTreeSet<String>,
    images: BTreeSet<String>,
}

impl Hosts {
    /// A host that links may lead to and images may come from: a browser fetches an image without being asked, so these
    /// are the community's own.
    pub fn own(&mut self, host: &str) {
        self.links.insert(host.to_ascii_lowercase());
        self.images.insert(host.to_ascii_lowercase());
    }

    /// A host that links may lead to, when somebody follows them.
    pub fn linked(&mut self, host: &str) {
        self.links.insert(host.to_ascii_lowercase());
    }

    /// The host of an address, if it is one of the web, is a host that links may lead to.
    pub fn linked_address(&mut self, url: &str) {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let host = host.map(|host| host.split_once(':').map_or(host, |(host, _)| host));
        if let Some(host) = host.filter(|host| !host.is_empty() && host.bytes().all(is_host_byte)) {
            self.linked(host);
        }
    }

    pub(crate) fn allow(&self, host: &str, image: bool) -> bool {
        let list = if image { &self.images } else { &self.links };
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            list.contains(&host.to_ascii_lowercase())
        } else {
            list.contains(host)
        }
    }
}

pub(crate) const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}
