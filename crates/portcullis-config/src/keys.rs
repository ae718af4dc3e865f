//! Every key there is: one table, from which the file is read, `portcullis.example.toml` is written and
//! `docs/config.md` is made.
//!
//! A key that is not in this table cannot be read by the program and is refused in a file. To add one, add a row and
//! read it in `config.rs`; a test fails when a row is not read.

use std::fmt;

use crate::codes::paragraphs;
use crate::config::{LogFormat, LogLevel, TlsVersion};
use crate::diagnostic::Origin;
use crate::handover::{HandoverMode, Phrases, Reasons};
use crate::issuers::IssuerAlgorithm;
use crate::mail::{MailKind, MailSecurity, OneHost, OneMailAddress};
use crate::money::{Money, OneCurrency, PriceList};
use crate::release::{Hosts, LeakAction, PersonalKinds, ReleaseMode};
use crate::screen::{ScreenMode, SecretMode};
use crate::shape::{
    Address, Choice, Count, Days, FilePath, Least, MemberUrl, Millis, Minutes, Names, Networks, OneName,
    Prose, Reference, Seconds, Shape, Size, Slugs, Switch, Url,
};
use crate::tools::{
    Description, HostsAndPorts, PROGRAM_MEMORY, PROGRAM_OUTPUT, Roles, ToolApproval, ToolKind,
};
use crate::value::{Given, Value, quote};

/// What a key is when nobody sets it.
#[derive(Debug)]
pub(crate) enum Preset {
    Number(u32),
    Text(&'static str),
    Off,
    On,
    Nothing,
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// Not set; the text is an example of a value, in TOML.
    Unset(&'static str),
    /// Not set, and `init` makes what the text, a value in TOML, refers to and sets it.
    Made(&'static str),
    /// Not set, and only set in the place of another key; the text is an example of a value, in TOML.
    Instead(&'static str),
}

/// One key and the shape of its value.
pub(crate) struct Key<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) preset: Preset,
    pub(crate) shape: S,
    doc: &'static [&'static str],
}

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name; empty for the keys above all tables.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    /// What of it the example file sets and what it shows in comments.
    pub(crate) in_example: InExample,
}

/// A table that may stand several times, each time for another thing: `[[issuer]]`. Only the file can hold it, since
/// a variable or a flag has no way to say which of them is meant.
pub(crate) struct List {
    pub(crate) section: Section,
    /// Its keys, named as if it stood once.
    pub(crate) keys: &'static [&'static dyn AnyKey],
}

/// How the example file shows the keys of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InExample {
    /// Header and keys are set.
    Set,
    /// The header is set, the keys are comments.
    Header,
    /// All is in comments, because the table means something even when it is empty.
    Commented,
}

/// A key whatever its shape, for reading files and writing documents.
pub(crate) trait AnyKey: Sync {
    fn name(&self) -> &'static str;
    fn preset(&self) -> &Preset;
    fn doc(&self) -> String;
    fn kind(&self) -> &'static str;
    fn range(&self) -> String;
    /// The value as `config show` prints it.
    fn show(&self, value: &Value) -> Option<String>;
}

impl<S: Shape> AnyKey for Key<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn preset(&self) -> &Preset {
        &self.preset
    }

    fn doc(&self) -> String {
        paragraphs(self.doc)
    }

    fn kind(&self) -> &'static str {
        self.shape.kind()
    }

    fn range(&self) -> String {
        self.shape.range()
    }

    fn show(&self, value: &Value) -> Option<String> {
        self.shape.read(value).ok().map(|value| self.shape.show(&value))
    }
}

impl<S> fmt::Debug for Key<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Preset {
    /// The default as a given value.
    pub(crate) fn given(&self) -> Option<Given> {
        let value = match self {
            Self::Number(number) => Value::Integer(i128::from(*number)),
            Self::Text(text) => Value::Text((*text).to_owned()),
            Self::Off => Value::Switch(false),
            Self::On => Value::Switch(true),
            Self::Nothing => Value::List(Vec::new()),
            Self::Texts(texts) => {
                let given =
                    |text: &&str| Given { value: Value::Text((*text).to_owned()), origin: Origin::Default };
                Value::List(texts.iter().map(given).collect())
            }
            Self::Unset(_) | Self::Made(_) | Self::Instead(_) => return None,
        };
        Some(Given { value, origin: Origin::Default })
    }

    /// The default in TOML.
    pub(crate) fn toml(&self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(quote(text)),
            Self::Off => Some("false".to_owned()),
            Self::On => Some("true".to_owned()),
            Self::Nothing => Some("[]".to_owned()),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
                Some(format!("[{}]", texts.join(", ")))
            }
            Self::Unset(_) | Self::Made(_) | Self::Instead(_) => None,
        }
    }

    /// A value in TOML for a key without a default.
    pub(crate) const fn example(&self) -> Option<&'static str> {
        match self {
            Self::Unset(example) | Self::Made(example) | Self::Instead(example) => Some(example),
            Self::Number(_) | Self::Text(_) | Self::Off | Self::On | Self::Nothing | Self::Texts(_) => None,
        }
    }
}

/// The table of a dotted key; empty for a key above all tables.
pub(crate) fn section_of(key: &str) -> &str {
    key.split_once('.').map_or("", |(section, _)| section)
}

/// The variable that overrides a key: `limits.body_bytes` is `PORTCULLIS_LIMITS__BODY_BYTES`.
pub(crate) fn variable(key: &str) -> String {
    format!("PORTCULLIS_{}", key.to_uppercase().replace('.', "__"))
}

macro_rules! keys {
    ($(#[doc = $list_doc:literal])+ $list:ident;
     $($(#[doc = $doc:literal])+ $id:ident: $shape:ty = $name:literal, $preset:expr, $value:expr;)+) => {
        $($(#[doc = $doc])+ pub(crate) static $id: Key<$shape> =
            Key { name: $name, preset: $preset, shape: $value, doc: &[$($doc),+] };)+

        $(#[doc = $list_doc])+
        pub(crate) static $list: &[&dyn AnyKey] = &[$(&$id),+];
    };
}

pub(crate) static SECTIONS: &[Section] = &[
    Section { name: "", doc: "", in_example: InExample::Set },
    Section { name: "listen", doc: "Where the program listens.", in_example: InExample::Set },
    Section {
        name: "tls",
        doc: "The certificate of the listeners. Without this table they speak plain HTTP.",
        in_example: InExample::Commented,
    },
    Section { name: "proxies", doc: "Proxies in front of the program.", in_example: InExample::Header },
    Section {
        name: "secrets",
        doc: "References to the instance's own keys, each `file:PATH` or `env:NAME`; never the key itself. Each key is at \
              least 32 random characters and differs from the others. `portcullis init` makes them.",
        in_example: InExample::Set,
    },
    Section {
        name: "model",
        doc: "The model that answers: anything with an OpenAI-compatible API. Without this table answers are extracts of \
              the content, and say so.",
        in_example: InExample::Commented,
    },
    Section {
        name: "release",
        doc: "What may leave in an answer; docs/leaks.md lists what is looked for. `observe` lets it leave and reports it, \
              `redact` takes it out, `stop` ends the answer before it.",
        in_example: InExample::Header,
    },
    Section {
        name: "screen",
        doc: "Questions and recalled passages that try to instruct the model; docs/screen.md says how they are recognised and how \
              often that is wrong. `observe` makes a security event of it, `flag` judges the answer as a whole before anything \
              of it leaves, too, `block` refuses the question and withholds the passage.",
        in_example: InExample::Header,
    },
    Section {
        name: "handover",
        doc: "Questions that a person should see: self-harm, threats with the law, requests for what is private to others; \
              docs/handover.md says how they are recognised. `observe` makes a security event of it, `hand-over` puts it into \
              the moderators' queue in the place of the model and tells its asker.",
        in_example: InExample::Header,
    },
    Section {
        name: "mail",
        doc: "How mail is sent: through a mail server, or into a folder for trying things out. Without this table nobody can \
              sign in by mail.",
        in_example: InExample::Commented,
    },
    Section {
        name: "sign_in",
        doc: "Signing in by a link that is sent by mail, and the sessions that begin so.",
        in_example: InExample::Header,
    },
    Section {
        name: "tools",
        doc: "How much one question may make of the tools that `[[tool]]` names; docs/tools.md says how they are guarded.",
        in_example: InExample::Header,
    },
    Section { name: "limits", doc: "How much one caller may use.", in_example: InExample::Header },
    Section {
        name: "blocklist",
        doc: "Addresses and networks that are refused before anything is looked up, with 403 and the code `address_blocked`. \
              The operator lists more of them while the program runs (`/blocklist` on the operator plane), and who offends too \
              often is blocked for a while. This table is read again on SIGHUP. A trusted proxy is never blocked; an IPv6 \
              client is its /64.",
        in_example: InExample::Header,
    },
    Section {
        name: "tiers",
        doc: "How much a whole community may use, by its tier.",
        in_example: InExample::Header,
    },
    Section {
        name: "audit",
        doc: "The tamper-evident journal of what happened.",
        in_example: InExample::Header,
    },
    Section {
        name: "log",
        doc: "The program's own log. It never holds prompts, answers, tokens or keys.",
        in_example: InExample::Header,
    },
    Section {
        name: "danger",
        doc: "Options that weaken safety, to prove that a check notices. Released builds accept none of them.",
        in_example: InExample::Commented,
    },
];

/// The tables that may stand several times.
pub(crate) static LISTS: &[List] = &[
    List {
        section: Section {
            name: "issuer",
            doc: "A host application that signs tokens (JWT) for its members, one table for each. A token is accepted if it is signed \
              with the issuer's key and algorithm, its `iss` is `name`, its `aud` holds `audience`, it has not expired, and \
              its claim `community`, which it must have where there is a choice, is one of `communities`. Its claims `plans`, \
              `role` and `spaces` narrow what is stored about the member.",
            in_example: InExample::Commented,
        },
        keys: ISSUER,
    },
    List {
        section: Section {
            name: "tool",
            doc: "A tool that the model may ask for, one table for each: an HTTP address, pages of listed hosts, a tool of an MCP \
                  server, or a program that runs in the sandbox. The model is told of it, and it is called, only in these \
                  communities and for these roles, with arguments that fit its schema, and only while its name, description, \
                  schema and program are those whose hash is `pin`. `portcullis tool list` says how each stands and prints its \
                  hash.",
            in_example: InExample::Commented,
        },
        keys: TOOL,
    },
];

/// Every key, those of tables that may stand several times after the others.
pub(crate) fn every() -> impl Iterator<Item = &'static dyn AnyKey> {
    ALL.iter().chain(LISTS.iter().flat_map(|list| list.keys)).copied()
}

/// Every table.
pub(crate) fn sections() -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().chain(LISTS.iter().map(|list| &list.section))
}

/// The tables of that name, if there may be several.
pub(crate) fn list(section: &str) -> Option<&'static List> {
    LISTS.iter().find(|list| list.section.name == section)
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

keys! {
    /// Every key that stands once, table by table in the order of [`SECTIONS`].
    ALL;

    /// Folder of the databases and of the audit journal, relative to the folder of this file. It is made on the first
    /// start, readable by this account only.
    DATA_DIR: FilePath = "data_dir", Preset::Text("data"), FilePath;

    /// The address that members type. Links, cookies and allowed origins are made from it, never from a request's `Host`.
    PUBLIC_URL: MemberUrl = "public_url", Preset::Text("http://127.0.0.1:8080"), MemberUrl;

    /// Address of the members' listener. One that other machines can reach needs `[tls]`, or an https `public_url` and the
    /// proxy's networks in `proxies.trusted`.
    LISTEN_MEMBER: Address = "listen.member", Preset::Text("127.0.0.1:8080"), Address;

    /// Address of the operator's listener, which wants `secrets.operator_token` on loopback too. The same rule holds for it.
    /// On a loopback address it speaks plain HTTP.
    LISTEN_OPERATOR: Address = "listen.operator", Preset::Text("127.0.0.1:8081"), Address;

    /// Address of a listener that speaks plain HTTP and only sends members on to `public_url`; usually port 80. Without
    /// this key there is none. It answers requests for the host of `public_url`, or of a community, with 308 and all others
    /// with 421.
    LISTEN_REDIRECT: Address = "listen.redirect", Preset::Unset("\"0.0.0.0:80\""), Address;

    /// File with the certificate chain in PEM, the listener's own certificate first, relative to the folder of this file. It is
    /// for the host of `public_url`. It and the key are read again every half minute, and at once on SIGHUP; a pair that
    /// cannot be used is logged and the one before it kept.
    TLS_CERTIFICATE: FilePath = "tls.certificate", Preset::Unset("\"tls/chain.pem\""), FilePath;

    /// File with the private key in PEM, readable by this account only.
    TLS_KEY: FilePath = "tls.key", Preset::Unset("\"tls/key.pem\""), FilePath;

    /// The oldest version of TLS that is spoken. `1.2` is for clients of before 2018; of its cipher suites only those
    /// with forward secrecy and authenticated encryption are.
    TLS_MIN_VERSION: Choice<TlsVersion> = "tls.min_version", Preset::Text("1.3"), Choice { words: TlsVersion::WORDS };

    /// Networks whose `X-Forwarded-For` is believed. Name the proxies' own addresses and nothing wider:
    /// whoever is in these networks can claim any client address.
    PROXIES_TRUSTED: Networks = "proxies.trusted", Preset::Nothing, Networks;

    /// Signs no token: keys and sessions are random. It is wanted and judged like the other secrets all the same, and none of them may
    /// equal it.
    JWT_SECRET: Reference = "secrets.jwt_secret", Preset::Text("file:secrets/jwt_secret"), Reference;

    /// Seals stored data; exactly 32 bytes, as hex or base64. Data sealed with a lost key is lost.
    ENCRYPTION_KEY: Reference = "secrets.encryption_key", Preset::Text("file:secrets/encryption_key"), Reference;

    /// Protects forms and cookie-authenticated writes against requests that other sites forge.
    CSRF_SECRET: Reference = "secrets.csrf_secret", Preset::Text("file:secrets/csrf_secret"), Reference;

    /// Signs the checkpoints of the audit journal; exactly 32 bytes, as hex or base64.
    AUDIT_KEY: Reference = "secrets.audit_key", Preset::Text("file:secrets/audit_key"), Reference;

    /// What the operator plane at `listen.operator` wants with every request, as `Authorization: Bearer …`; visible ASCII.
    /// Without this key there is no operator plane.
    OPERATOR_TOKEN: Reference = "secrets.operator_token", Preset::Made("\"file:secrets/operator_token\""), Reference;

    /// Base URL of the API, usually with `/v1` at its end. Required in this table.
    MODEL_URL: Url = "model.url", Preset::Unset("\"http://127.0.0.1:11434/v1\""), Url;

    /// The model that answers when a caller names none. Required in this table.
    MODEL_NAME: OneName = "model.name", Preset::Unset("\"llama3.2\""), OneName;

    /// The model's API key, if it wants one, as a reference.
    MODEL_API_KEY: Reference = "model.api_key", Preset::Unset("\"env:MODEL_API_KEY\""), Reference;

    /// The models that a caller may choose. Empty means `model.name` alone; otherwise `model.name` must be among them.
    MODEL_ALLOW: Names = "model.allow", Preset::Nothing, Names;

    /// What a million tokens of each model cost, as `MODEL=INPUT/OUTPUT` in the currency of `limits.currency`. `*` stands for
    /// every model that has no price of its own. With a budget of costs every model of `model.allow` must have a price.
    MODEL_PRICES: PriceList = "model.prices", Preset::Unset("[\"*=0.5/1.5\"]"), PriceList;

    /// How long to wait for a connection.
    MODEL_CONNECT_TIMEOUT: Millis = "model.connect_timeout_ms", Preset::Number(5_000), Millis { max: 5 * MINUTE_MS };

    /// How long to wait for the first byte of an answer.
    MODEL_FIRST_BYTE_TIMEOUT: Millis = "model.first_byte_timeout_ms", Preset::Number(30_000), Millis { max: HOUR_MS };

    /// How long an answer may pause.
    MODEL_IDLE_TIMEOUT: Millis = "model.idle_timeout_ms", Preset::Number(30_000), Millis { max: HOUR_MS };

    /// How long an answer may take in all.
    MODEL_TOTAL_TIMEOUT: Millis = "model.total_timeout_ms", Preset::Number(300_000), Millis { max: HOUR_MS };

    /// How many answers the model works on at once.
    MODEL_MAX_CONCURRENT: Count = "model.max_concurrent", Preset::Number(64), Count { max: 100_000 };

    /// How many of them are one member's at once; without this key an eighth of `model.max_concurrent`, and two at least. A
    /// member who asks for more waits, and so do the rest of their questions. A key that acts for no member is held to its
    /// community's part.
    MODEL_PER_MEMBER: Count = "model.max_concurrent_per_member", Preset::Unset("8"), Count { max: 100_000 };

    /// How many of them are one community's at once; without this key three quarters of `model.max_concurrent`.
    MODEL_PER_COMMUNITY: Count = "model.max_concurrent_per_community", Preset::Unset("48"), Count { max: 100_000 };

    /// How many questions wait when the model is busy; 0 refuses at once. One member fills at most an eighth of it and one
    /// community half. Communities take turns, and in them their members.
    MODEL_QUEUE: Size = "model.queue", Preset::Number(256), Size { min: 0, max: 100_000 };

    /// How long a question waits for the model.
    MODEL_QUEUE_TIMEOUT: Millis = "model.queue_timeout_ms", Preset::Number(10_000), Millis { max: HOUR_MS };

    /// The most tokens of an answer; a caller may ask for fewer.
    MODEL_MAX_TOKENS: Count = "model.max_tokens", Preset::Number(2_048), Count { max: 1_000_000 };

    /// The system text of members' chats.
    MODEL_SYSTEM: Prose = "model.system", Preset::Unset("\"Answer briefly, from the community's content only.\""),
        Prose { max_chars: 16_384 };

    /// When answers from the community's content are judged: `stream` as they come, `whole` once they are complete, so that of an
    /// answer that is stopped nothing leaves.
    RELEASE_MODE: Choice<ReleaseMode> = "release.mode", Preset::Text("stream"), Choice { words: ReleaseMode::WORDS };

    /// The communities whose answers are judged as a whole in any case, by short name.
    RELEASE_WHOLE: Slugs = "release.whole", Preset::Nothing, Slugs { least: Least::None };

    /// Hosts that answers may lead to and show images of, beside those of `public_url` and of the community. Links may also
    /// lead to the hosts of the documents that an answer was given.
    RELEASE_HOSTS: Hosts = "release.hosts", Preset::Nothing, Hosts;

    /// The system text, as it is or in a disguise.
    RELEASE_SYSTEM: Choice<LeakAction> = "release.system_text", Preset::Text("stop"),
        Choice { words: LeakAction::ENDING };

    /// Keys and tokens of common providers, private keys, passwords in addresses.
    RELEASE_SECRETS: Choice<LeakAction> = "release.secrets", Preset::Text("redact"),
        Choice { words: LeakAction::WORDS };

    /// Personal data of others than the member who asks.
    RELEASE_PERSONAL: Choice<LeakAction> = "release.personal_data", Preset::Text("redact"),
        Choice { words: LeakAction::WORDS };

    /// The kinds of personal data that are not looked for.
    RELEASE_PERSONAL_EXCEPT: PersonalKinds = "release.personal_data_except", Preset::Nothing, PersonalKinds;

    /// Links and images that lead to other hosts.
    RELEASE_LINKS: Choice<LeakAction> = "release.links", Preset::Text("redact"), Choice { words: LeakAction::WORDS };

    /// Whether an answer may quote personal data that stands in the passages it was given.
    RELEASE_QUOTE: Switch = "release.quote_content", Preset::Off, Switch;

    /// The `system` and `developer` messages of a caller who owns the request.
    RELEASE_OWN_SYSTEM: Choice<LeakAction> = "release.own_request_system_text", Preset::Text("off"),
        Choice { words: LeakAction::ENDING };

    /// Secrets in the answers to such a caller.
    RELEASE_OWN_SECRETS: Choice<LeakAction> = "release.own_request_secrets", Preset::Text("redact"),
        Choice { words: LeakAction::WORDS };

    /// Personal data in them.
    RELEASE_OWN_PERSONAL: Choice<LeakAction> = "release.own_request_personal_data", Preset::Text("off"),
        Choice { words: LeakAction::WORDS };

    /// Links in them.
    RELEASE_OWN_LINKS: Choice<LeakAction> = "release.own_request_links", Preset::Text("off"),
        Choice { words: LeakAction::WORDS };

    /// What is done where no list below names the community.
    SCREEN_MODE: Choice<ScreenMode> = "screen.mode", Preset::Text("block"), Choice { words: ScreenMode::WORDS };

    /// The communities in which nothing is looked at, by short name.
    SCREEN_OFF: Slugs = "screen.off", Preset::Nothing, Slugs { least: Least::None };

    /// The communities with `observe`.
    SCREEN_OBSERVE: Slugs = "screen.observe", Preset::Nothing, Slugs { least: Least::None };

    /// The communities with `flag`.
    SCREEN_FLAG: Slugs = "screen.flag", Preset::Nothing, Slugs { least: Least::None };

    /// The communities with `block`.
    SCREEN_BLOCK: Slugs = "screen.block", Preset::Nothing, Slugs { least: Least::None };

    /// From which score on a question is suspicious, in thousandths; without this key the threshold of docs/screen.md.
    /// `portcullis guard tune` finds one for the instance's own members.
    SCREEN_QUESTION_FLAG: Count = "screen.question_flag", Preset::Unset("500"), Count { max: 1_000 };

    /// From which score on `block` refuses it.
    SCREEN_QUESTION_BLOCK: Count = "screen.question_block", Preset::Unset("700"), Count { max: 1_000 };

    /// From which score on a passage, or a result of a tool, is suspicious.
    SCREEN_DOCUMENT_FLAG: Count = "screen.document_flag", Preset::Unset("500"), Count { max: 1_000 };

    /// From which score on `block` withholds it.
    SCREEN_DOCUMENT_BLOCK: Count = "screen.document_block", Preset::Unset("700"), Count { max: 1_000 };

    /// Keys, tokens, private keys and passwords in what members say, as docs/leaks.md lists them. `observe` makes a security event
    /// of it, `block` refuses the question, and leaves memories and earlier questions with one out of what the model is shown.
    /// What was found is told to nobody.
    SCREEN_SECRETS: Choice<SecretMode> = "screen.secrets", Preset::Text("observe"), Choice { words: SecretMode::WORDS };

    /// What is done where no list below names the community.
    HANDOVER_MODE: Choice<HandoverMode> = "handover.mode", Preset::Text("hand-over"),
        Choice { words: HandoverMode::WORDS };

    /// The communities in which nothing is looked at, by short name.
    HANDOVER_OFF: Slugs = "handover.off", Preset::Nothing, Slugs { least: Least::None };

    /// The communities with `observe`.
    HANDOVER_OBSERVE: Slugs = "handover.observe", Preset::Nothing, Slugs { least: Least::None };

    /// The communities with `hand-over`.
    HANDOVER_HAND_OVER: Slugs = "handover.hand_over", Preset::Nothing, Slugs { least: Least::None };

    /// The reasons that are not looked for.
    HANDOVER_EXCEPT: Reasons = "handover.except", Preset::Nothing, Reasons;

    /// Phrases for self-harm, beside those that ship.
    HANDOVER_SELF_HARM: Phrases = "handover.self_harm", Preset::Nothing, Phrases;

    /// Phrases for threats with the law, beside those that ship.
    HANDOVER_LEGAL_THREAT: Phrases = "handover.legal_threat", Preset::Nothing, Phrases;

    /// Phrases for requests for what is private to others, beside those that ship.
    HANDOVER_PRIVATE_DATA: Phrases = "handover.private_data", Preset::Nothing, Phrases;

    /// Phrases for whatever else a person should see.
    HANDOVER_OTHER: Phrases = "handover.other", Preset::Nothing, Phrases;

    /// What somebody is told who may harm themselves: whom to call, in the languages of the members. Without this key they
    /// are told to call their local emergency number.
    HANDOVER_HELP: Prose = "handover.self_harm_help",
        Preset::Unset("\"You can call the crisis line at any hour: 116 123.\""), Prose { max_chars: 2_000 };

    /// What everybody is told whose question was handed over: how to reach a person, and until when they answer.
    HANDOVER_CONTACT: Prose = "handover.contact",
        Preset::Unset("\"Moderators read this every day. You can also write to team@example.org.\""),
        Prose { max_chars: 2_000 };

    /// How long an entry of the queue is kept, acknowledged or not.
    HANDOVER_KEEP_DAYS: Days = "handover.keep_days", Preset::Number(90), Days { min: 1, max: 3_660 };

    /// How many entries of a community may wait to be acknowledged. A question beyond them is kept nowhere; its asker is told
    /// so, and the operator.
    HANDOVER_MOST_OPEN: Count = "handover.most_open", Preset::Number(500), Count { max: 500 };

    /// How many of them may be of one member or key.
    HANDOVER_MOST_OF_ONE: Count = "handover.most_of_one", Preset::Number(20), Count { max: 500 };

    /// Where mail goes: `smtp` to a mail server, `outbox` into a folder, one file a message. Required in this table.
    MAIL_KIND: Choice<MailKind> = "mail.kind", Preset::Unset("\"smtp\""), Choice { words: MailKind::WORDS };

    /// The address that mail comes from. Required in this table. The mail server must be allowed to send for it
    /// (SPF, DKIM), or what it sends is taken for forged.
    MAIL_FROM: OneMailAddress = "mail.from", Preset::Unset("\"no-reply@example.org\""), OneMailAddress;

    /// The name that mail programs show beside it.
    MAIL_FROM_NAME: OneName = "mail.from_name", Preset::Unset("\"The Bakers' Club\""), OneName;

    /// The mail server, by name or address. Its certificate must be for this name. Required for `smtp`.
    MAIL_HOST: OneHost = "mail.host", Preset::Unset("\"smtp.example.org\""), OneHost;

    /// Its port; without this key 587 for `starttls`, 465 for `tls` and 25 for `none`.
    MAIL_PORT: Size = "mail.port", Preset::Unset("587"), Size { min: 1, max: 65_535 };

    /// How the connection is protected: `starttls` begins in the clear and turns to TLS before anything is said, and
    /// ends if the server does not offer it; `tls` is TLS from the first byte; `none` is for a server on this machine's
    /// loopback address only.
    MAIL_SECURITY: Choice<MailSecurity> = "mail.security", Preset::Text("starttls"),
        Choice { words: MailSecurity::WORDS };

    /// The name of the login at the mail server, if it wants one.
    MAIL_USERNAME: OneName = "mail.username", Preset::Unset("\"portcullis\""), OneName;

    /// The password of that login, as a reference.
    MAIL_PASSWORD: Reference = "mail.password", Preset::Unset("\"env:MAIL_PASSWORD\""), Reference;

    /// File with root certificates in PEM that are trusted beside those of the web, for a mail server with a certificate
    /// of one's own; no other account can write it. Relative to the folder of this file.
    MAIL_CA_FILE: FilePath = "mail.ca_file", Preset::Unset("\"tls/mail-ca.pem\""), FilePath;

    /// The longest time for one message, from the connection to the server's receipt. What took longer is tried again.
    MAIL_TIMEOUT: Millis = "mail.timeout_ms", Preset::Number(30_000), Millis { max: 5 * MINUTE_MS };

    /// The folder of `outbox`, relative to the folder of this file. It is made with mode 0700: whoever reads a link in it
    /// can sign in with it.
    MAIL_OUTBOX: FilePath = "mail.outbox", Preset::Instead("\"outbox\""), FilePath;

    /// How long a link works. It works once, in the browser that asked for it.
    SIGN_IN_LINK: Minutes = "sign_in.link_minutes", Preset::Number(15), Minutes { min: 1, max: 60 };

    /// How long a session lasts however it is used. NIST SP 800-63B-3 section 4.1.3 wants a new sign-in at least every 30
    /// days.
    SIGN_IN_SESSION: Days = "sign_in.session_days", Preset::Number(30), Days { min: 1, max: 30 };

    /// How long a session may lie unused before it ends; by default 7 days. OWASP ASVS 5.0 (7.3.1) wants such an end.
    SIGN_IN_IDLE: Minutes = "sign_in.session_idle_minutes", Preset::Number(10_080), Minutes { min: 5, max: 43_200 };

    /// The communities that strangers may join by signing in, by short name. In all others only those sign in who are
    /// members already or were invited.
    SIGN_IN_OPEN: Slugs = "sign_in.open", Preset::Nothing, Slugs { least: Least::None };

    /// How many links one client may ask for one mail address within an hour. A client is an IPv4 address or an IPv6 /56; all of
    /// a /48 may ask for twice as many, and all clients together for four times as many. Whoever asks for more is told to
    /// wait, with 429 and `Retry-After`, whether the mail address is a member's or not.
    SIGN_IN_PER_ADDRESS: Count = "sign_in.links_per_address_per_hour", Preset::Number(5), Count { max: 1_000 };

    /// How many links one client, an IPv4 address or an IPv6 /56, may ask for within an hour, for whatever mail addresses.
    SIGN_IN_PER_CLIENT: Count = "sign_in.links_per_client_per_hour", Preset::Number(20), Count { max: 100_000 };

    /// How often the model may answer one question with calls of tools. After that it has to answer with words.
    TOOLS_ROUNDS: Count = "tools.rounds", Preset::Number(4), Count { max: 20 };

    /// The most calls that the model may ask for in one question, those that are refused among them.
    TOOLS_CALLS: Count = "tools.calls", Preset::Number(8), Count { max: 100 };

    /// How long somebody may decide on a call that a person has to approve (`tool.approval`), and once it is approved how long its
    /// asker may go on with it. After that it is not made.
    TOOLS_APPROVAL: Minutes = "tools.approval_minutes", Preset::Number(1_440), Minutes { min: 1, max: 43_200 };

    /// How long it is kept what was asked for, decided and made, beside the journal. At least twice `tools.approval_minutes`, so that
    /// nothing goes that still waits.
    TOOLS_APPROVALS_KEEP: Days = "tools.approvals_keep_days", Preset::Number(30), Days { min: 1, max: 3_660 };

    /// How many calls of a community may wait to be decided or gone on with. One beyond them is kept nowhere; its asker is told so,
    /// and the operator.
    TOOLS_APPROVALS_OPEN: Count = "tools.approvals_most_open", Preset::Number(200), Count { max: 500 };

    /// How many of them may be of one member or key.
    TOOLS_APPROVALS_OF_ONE: Count = "tools.approvals_most_of_one", Preset::Number(10), Count { max: 500 };

    /// How many programs of tools run at a time. Each may take its `memory_bytes`, and 16 MiB for its files. One community takes
    /// half of the places at most.
    TOOLS_PROGRAMS: Count = "tools.programs_at_once", Preset::Number(4), Count { max: 64 };

    /// How many calls of programs may wait for a place, and how many of one community beside them. More fail at once.
    TOOLS_PROGRAMS_WAITING: Count = "tools.programs_most_waiting", Preset::Number(64), Count { max: 1_000 };

    /// Requests of one member in any rolling minute, with all their sessions and keys; and of one key that acts for no member.
    LIMITS_KEY: Count = "limits.per_key_per_minute", Preset::Number(60), Count { max: 1_000_000 };

    /// The same in any rolling hour; without this key as many times more as in the tier `standard`.
    LIMITS_KEY_HOUR: Count = "limits.per_key_per_hour", Preset::Unset("2000"), Count { max: 1_000_000_000 };

    /// The same in any rolling day; without this key as many times more as in the tier `standard`.
    LIMITS_KEY_DAY: Count = "limits.per_key_per_day", Preset::Unset("20000"), Count { max: 1_000_000_000 };

    /// Requests in one session, or with one key of a member, in any rolling minute; without this key what the member may.
    LIMITS_SESSION_MINUTE: Count = "limits.per_session_per_minute", Preset::Unset("60"), Count { max: 1_000_000 };

    /// The same in any rolling hour.
    LIMITS_SESSION_HOUR: Count = "limits.per_session_per_hour", Preset::Unset("2000"), Count { max: 1_000_000_000 };

    /// The same in any rolling day.
    LIMITS_SESSION_DAY: Count = "limits.per_session_per_day", Preset::Unset("20000"), Count { max: 1_000_000_000 };

    /// Requests from one client address in any rolling minute, IPv6 by its /64. They are counted on arrival, before
    /// anything is looked up.
    LIMITS_ADDRESS: Count = "limits.per_address_per_minute", Preset::Number(300), Count { max: 1_000_000 };

    /// The same in any rolling hour; without this key as many times more as in the tier `standard`.
    LIMITS_ADDRESS_HOUR: Count = "limits.per_address_per_hour", Preset::Unset("10000"), Count { max: 1_000_000_000 };

    /// The same in any rolling day; without this key as many times more as in the tier `standard`.
    LIMITS_ADDRESS_DAY: Count = "limits.per_address_per_day", Preset::Unset("100000"), Count { max: 1_000_000_000 };

    /// Requests a minute from one client address without a valid credential.
    LIMITS_UNAUTHENTICATED: Count = "limits.unauthenticated_per_address_per_minute", Preset::Number(60),
        Count { max: 1_000_000 };

    /// Tokens that the model may use for one member in any rolling day, question and answer together, whatever the member's
    /// role; and for one key that acts for no member. They are reserved before the model is asked, at most
    /// `model.max_tokens` for the answer, and settled by what the upstream says it used. An answer that fails, or is left, before
    /// its first part has come costs all of it, because any part of it may have been made; so does a 502, which something between
    /// sends when it got no sense out of the model. One that the upstream refuses (503, 529, or 4xx but 408 and 499) costs its
    /// question alone. What was used outlives a restart; after a crash what was used in the last 20 seconds before it may not be
    /// counted. Without this key there is no budget.
    LIMITS_TOKENS_MEMBER: Count = "limits.tokens_per_member_per_day", Preset::Unset("200000"),
        Count { max: 4_000_000_000 };

    /// The same for a whole community.
    LIMITS_TOKENS_COMMUNITY: Count = "limits.tokens_per_community_per_day", Preset::Unset("5000000"),
        Count { max: 4_000_000_000 };

    /// The currency of `model.prices` and of the budgets of costs.
    LIMITS_CURRENCY: OneCurrency = "limits.currency", Preset::Text("EUR"), OneCurrency;

    /// What the model may cost for one member in any rolling day, whatever the member's role, by `model.prices`; and for one key
    /// that acts for no member. It is reserved before the model is asked and settled as tokens are. Prices can be out of
    /// date, so `limits.tokens_per_member_per_day` must be set too: both budgets count. Without this key there is none.
    LIMITS_COST_MEMBER: Money = "limits.cost_per_member_per_day", Preset::Unset("\"2.50\""), Money;

    /// The same for a whole community, beside `limits.tokens_per_community_per_day`.
    LIMITS_COST_COMMUNITY: Money = "limits.cost_per_community_per_day", Preset::Unset("\"40\""), Money;

    /// The most memory that the counters of limits take, in bytes. Half of it is for members, keys, sessions and communities.
    /// When it is full, strangers share the counter of their network, and nobody who is counted is forgotten.
    LIMITS_MEMORY: Size = "limits.memory_bytes", Preset::Number(67_108_864), Size { min: 1_048_576, max: u32::MAX };

    /// How many instances serve the same communities. They share no counters in this version, so each admits its part of every limit.
    LIMITS_INSTANCES: Count = "limits.instances", Preset::Number(1), Count { max: 1_000 };

    /// The largest request body, in bytes. Of whoever needs no credential, as on the sign-in pages, it is 8 KiB at most, and
    /// nothing where a request only reads.
    LIMITS_BODY: Size = "limits.body_bytes", Preset::Number(1_048_576), Size { min: 1_024, max: 67_108_864 };

    /// How long a request body may take to arrive, and longer only as far as it comes fast enough and its sender is known.
    LIMITS_BODY_TIMEOUT: Millis = "limits.body_timeout_ms", Preset::Number(10_000), Millis { max: 10 * MINUTE_MS };

    /// How many bytes of a body must come in each second beyond `limits.body_timeout_ms`.
    LIMITS_BODY_RATE: Count = "limits.body_bytes_per_second", Preset::Number(4_000), Count { max: 67_108_864 };

    /// The largest request head, in bytes.
    LIMITS_HEADER: Size = "limits.header_bytes", Preset::Number(16_384), Size { min: 8_192, max: 1_048_576 };

    /// How long a client may take to send a request's head, from the start of the connection or the end of the request before:
    /// a connection that is not used for so long is closed.
    LIMITS_HEADER_TIMEOUT: Millis = "limits.header_timeout_ms", Preset::Number(10_000), Millis { max: 10 * MINUTE_MS };

    /// How long a request may take in all, the model's answer included.
    LIMITS_REQUEST_TIMEOUT: Millis = "limits.request_timeout_ms", Preset::Number(330_000), Millis { max: 2 * HOUR_MS };

    /// How long a client may read nothing of what is sent to it before its connection is closed.
    LIMITS_WRITE_TIMEOUT: Millis = "limits.write_timeout_ms", Preset::Number(30_000), Millis { max: 10 * MINUTE_MS };

    /// How many connections are open at once.
    LIMITS_CONNECTIONS: Count = "limits.max_connections", Preset::Number(10_000), Count { max: 1_000_000 };

    /// How many of them are one client address's, IPv6 by its /64; never more than half of them. Those of `proxies.trusted` do
    /// not count: each stands for many clients.
    LIMITS_CONNECTIONS_PER_ADDRESS: Count = "limits.max_connections_per_address", Preset::Number(256),
        Count { max: 1_000_000 };

    /// How many answers to requests with an `Idempotency-Key` are remembered; at most a sixteenth of them for one member.
    LIMITS_IDEMPOTENCY_ENTRIES: Count = "limits.idempotency_entries", Preset::Number(10_000), Count { max: 1_000_000 };

    /// How many bytes they may take; at most a sixteenth of them for one member.
    LIMITS_IDEMPOTENCY_BYTES: Size = "limits.idempotency_bytes", Preset::Number(67_108_864),
        Size { min: 1_048_576, max: u32::MAX };

    /// How long they are remembered.
    LIMITS_IDEMPOTENCY_TTL: Seconds = "limits.idempotency_ttl_s", Preset::Number(86_400), Seconds { min: 1, max: 7 * 86_400 };

    /// Addresses and networks that are refused.
    BLOCKLIST_NETWORKS: Networks = "blocklist.networks", Preset::Nothing, Networks;

    /// Addresses and networks that are never blocked for what they did: an office behind one address, what watches this service,
    /// a proxy on this machine. They are still limited, and refused where `networks` or the operator lists them.
    BLOCKLIST_ALLOW: Networks = "blocklist.allow", Preset::Texts(&["127.0.0.1", "::1"]), Networks;

    /// Whether addresses are blocked for what they did.
    BLOCKLIST_AUTOMATIC: Switch = "blocklist.automatic", Preset::On, Switch;

    /// An address is blocked after so many credentials that are not valid, and sign-in links that did not work. The
    /// cookie of a session that has ended within 30 days is none of them: its browser is asked to sign in. What was done decays: all of
    /// it within `window_minutes`.
    BLOCKLIST_CREDENTIALS: Count = "blocklist.refused_credentials", Preset::Number(50), Count { max: 1_000_000 };

    /// The same for requests beyond the limits of the address, which were refused with 429 and came all the same. A member's own
    /// limits do not count.
    BLOCKLIST_REFUSED: Count = "blocklist.refused_requests", Preset::Number(300), Count { max: 1_000_000 };

    /// The same for requests of nobody known that nothing here takes: no such route, no HTTP, a body that is too large or never
    /// ends. What a browser says another site's page made it ask does not count.
    BLOCKLIST_MALFORMED: Count = "blocklist.malformed_requests", Preset::Number(300), Count { max: 1_000_000 };

    /// The time in which all that an address did decays.
    BLOCKLIST_WINDOW: Minutes = "blocklist.window_minutes", Preset::Number(10), Minutes { min: 1, max: 1_440 };

    /// How long such a block lasts.
    BLOCKLIST_LASTS: Seconds = "blocklist.block_seconds", Preset::Number(900), Seconds { min: 1, max: 7 * 86_400 };

    /// Requests of a community of the tier `standard` in any rolling minute, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_STANDARD_MINUTE: Count = "tiers.standard_per_minute", Preset::Number(60),
        Count { max: 1_000_000 };

    /// Requests of a community of the tier `standard` in any rolling hour, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_STANDARD_HOUR: Count = "tiers.standard_per_hour", Preset::Number(2_000),
        Count { max: 1_000_000_000 };

    /// Requests of a community of the tier `standard` in any rolling day, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_STANDARD_DAY: Count = "tiers.standard_per_day", Preset::Number(20_000),
        Count { max: 1_000_000_000 };

    /// Requests of a community of the tier `enhanced` in any rolling minute, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_ENHANCED_MINUTE: Count = "tiers.enhanced_per_minute", Preset::Number(300),
        Count { max: 1_000_000 };

    /// Requests of a community of the tier `enhanced` in any rolling hour, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_ENHANCED_HOUR: Count = "tiers.enhanced_per_hour", Preset::Number(10_000),
        Count { max: 1_000_000_000 };

    /// Requests of a community of the tier `enhanced` in any rolling day, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_ENHANCED_DAY: Count = "tiers.enhanced_per_day", Preset::Number(100_000),
        Count { max: 1_000_000_000 };

    /// Requests of a community of the tier `dedicated` in any rolling minute, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_DEDICATED_MINUTE: Count = "tiers.dedicated_per_minute", Preset::Number(1_000),
        Count { max: 1_000_000 };

    /// Requests of a community of the tier `dedicated` in any rolling hour, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_DEDICATED_HOUR: Count = "tiers.dedicated_per_hour", Preset::Number(50_000),
        Count { max: 1_000_000_000 };

    /// Requests of a community of the tier `dedicated` in any rolling day, all its members and keys together. What is done
    /// to manage the community does not count.
    TIERS_DEDICATED_DAY: Count = "tiers.dedicated_per_day", Preset::Number(500_000),
        Count { max: 1_000_000_000 };

    /// A checkpoint is signed after so many records.
    AUDIT_CHECKPOINT_RECORDS: Count = "audit.checkpoint_records", Preset::Number(1_000), Count { max: 1_000_000 };

    /// A checkpoint is signed after so many seconds, if there are new records.
    AUDIT_CHECKPOINT_SECONDS: Seconds = "audit.checkpoint_seconds", Preset::Number(60), Seconds { min: 1, max: 86_400 };

    /// The form of a line: `json` for machines, `text` for people.
    LOG_FORMAT: Choice<LogFormat> = "log.format", Preset::Text("json"), Choice { words: LogFormat::WORDS };

    /// The least severe line that is written.
    LOG_LEVEL: Choice<LogLevel> = "log.level", Preset::Text("info"), Choice { words: LogLevel::WORDS };

    /// Guards that are switched off, by name; `all` for all of them.
    DANGER_GUARDS_OFF: Names = "danger.danger_guards_off", Preset::Nothing, Names;

    /// Accept weak, short, repeated, example and equal secrets with a warning.
    DANGER_WEAK_SECRETS: Switch = "danger.danger_allow_weak_secrets", Preset::Off, Switch;
}

keys! {
    /// The keys of `[[issuer]]`.
    ISSUER;

    /// The `iss` of its tokens, character by character. Required, and different in each table.
    ISSUER_NAME: OneName = "issuer.name", Preset::Unset("\"https://members.example.org\""), OneName;

    /// What the `aud` of its tokens must hold: the name that the host gives this instance and no other service. Required.
    ISSUER_AUDIENCE: OneName = "issuer.audience", Preset::Unset("\"portcullis\""), OneName;

    /// The communities that it may speak for, by short name. Required.
    ISSUER_COMMUNITIES: Slugs = "issuer.communities", Preset::Unset("[\"bakers\"]"), Slugs { least: Least::One };

    /// How it signs: with a shared secret (`HS256`), or with a private key of RSA (`RS256`) or on the curve P-256 (`ES256`),
    /// whose public key stands here. Required; a token cannot choose another.
    ISSUER_ALGORITHM: Choice<IssuerAlgorithm> = "issuer.algorithm", Preset::Unset("\"HS256\""),
        Choice { words: IssuerAlgorithm::WORDS };

    /// The secret of `HS256`, as a reference: at least 32 random characters, which the host uses byte for byte (the text
    /// itself, not what it decodes to), in a file of mode 0600. It differs from every other secret.
    ISSUER_KEY: Reference = "issuer.key", Preset::Unset("\"file:secrets/bakers_host_key\""), Reference;

    /// File with the public key of `RS256` (2048 bits or more) or `ES256` in PEM (`BEGIN PUBLIC KEY`), which no other account
    /// can write, relative to the folder of this file.
    ISSUER_PUBLIC_KEY: FilePath = "issuer.public_key", Preset::Instead("\"keys/bakers.pem\""), FilePath;

    /// File with the public keys of `RS256` or `ES256` as a JWK Set, each with a `kid` of its own. The same holds for it.
    ISSUER_JWKS: FilePath = "issuer.jwks", Preset::Instead("\"keys/bakers.jwks.json\""), FilePath;

    /// The `kid` in its tokens, if they have one: a token with another `kid` is refused. A JWK Set brings its own.
    ISSUER_KEY_ID: OneName = "issuer.key_id", Preset::Unset("\"2026-1\""), OneName;

    /// Whether its claims may give a member more than is stored: plans, a role, spaces. Otherwise they only narrow it.
    ISSUER_GRANTS: Switch = "issuer.grants_entitlements", Preset::Off, Switch;

    /// Whether a member whom it names for the first time is made. Otherwise the member must exist.
    ISSUER_PROVISIONS: Switch = "issuer.provisions_members", Preset::Off, Switch;

    /// How far its clock may be off.
    ISSUER_LEEWAY: Seconds = "issuer.leeway_seconds", Preset::Number(30), Seconds { min: 0, max: 300 };

    /// How long its tokens may be valid from their `iat`, or from now if they have none. A token cannot be called back, so this is
    /// how long it outlives a membership that ends at the host.
    ISSUER_LONGEST_LIFE: Seconds = "issuer.longest_life_seconds", Preset::Number(3_600), Seconds { min: 1, max: 86_400 };
}

keys! {
    /// The keys of `[[tool]]`.
    TOOL;

    /// What the model calls it: `a-z`, `0-9`, `_` and `-`. Required, and different in each table.
    TOOL_NAME: OneName = "tool.name", Preset::Unset("\"tide_table\""), OneName;

    /// How it is called: `http-post` sends the arguments as a JSON object, `http-get` in the query, `fetch` reads a page that the
    /// model names, `mcp` calls a tool of a server that speaks the Model Context Protocol over streamable HTTP, `program` runs a
    /// program in the sandbox, which releases have. Required.
    TOOL_KIND: Choice<ToolKind> = "tool.kind", Preset::Unset("\"http-get\""), Choice { words: ToolKind::WORDS };

    /// Where it is, or its MCP server.
    TOOL_URL: Url = "tool.url", Preset::Unset("\"https://tides.example.org/table\""), Url;

    /// A key that goes with every request as a bearer token, as a reference.
    TOOL_KEY: Reference = "tool.key", Preset::Unset("\"file:secrets/tides_key\""), Reference;

    /// What the model is told that it does. An MCP server says so itself.
    TOOL_DESCRIPTION: Description = "tool.description", Preset::Unset("\"Tells when the tide is high.\""), Description;

    /// File with the JSON Schema of its arguments, which no other account can write, relative to the folder of this file.
    /// docs/tools.md lists the keywords that there may be. For `mcp` it takes the place of what the server says.
    TOOL_SCHEMA: FilePath = "tool.schema", Preset::Unset("\"tools/tide_table.json\""), FilePath;

    /// Hosts whose pages `fetch` reads, each with its port where that is not the scheme's own.
    TOOL_HOSTS: HostsAndPorts = "tool.hosts", Preset::Instead("[\"docs.example.org\"]"), HostsAndPorts;

    /// What the MCP server calls it, where that is not `name`.
    TOOL_REMOTE: OneName = "tool.remote_name", Preset::Instead("\"tides/lookup\""), OneName;

    /// File with the program of a `program`: WebAssembly with WASI preview 1, of 16 MiB at most, which no other account can write,
    /// relative to the folder of this file. It is run once for each call, reads the arguments as a JSON object from its standard
    /// input, and what it writes to its standard output is the result. It has no network and no files but its own.
    TOOL_PROGRAM: FilePath = "tool.program", Preset::Instead("\"tools/reckon.wasm\""), FilePath;

    /// The most memory of one call of a `program`.
    TOOL_MEMORY: Size = "tool.memory_bytes", Preset::Number(PROGRAM_MEMORY), Size { min: 65_536, max: 1_073_741_824 };

    /// The most that one call of a `program` may write, on both its streams. Beyond that it is stopped, and the call fails;
    /// `result_bytes` says how much of it is read.
    TOOL_OUTPUT: Size = "tool.output_bytes", Preset::Number(PROGRAM_OUTPUT), Size { min: 256, max: 16_777_216 };

    /// The communities that may use it, by short name. Required.
    TOOL_COMMUNITIES: Slugs = "tool.communities", Preset::Unset("[\"sailors\"]"), Slugs { least: Least::One };

    /// The roles that may use it. Required: no role stands for another.
    TOOL_ROLES: Roles = "tool.roles", Preset::Unset("[\"member\", \"moderator\", \"admin\", \"owner\"]"), Roles;

    /// The hash of its name, description, schema and program as somebody read and approved them. While it is missing or different the
    /// tool is stopped.
    TOOL_PIN: OneName = "tool.pin", Preset::Unset("\"sha256:…\""), OneName;

    /// Who approves each call of it, beside the guards. With `human` no call is made before a moderator, an admin or an owner has
    /// approved it who did not ask for it; see docs/tools.md.
    TOOL_APPROVAL: Choice<ToolApproval> = "tool.approval", Preset::Text("none"), Choice { words: ToolApproval::WORDS };

    /// Networks that the tool may be in beside public ones, such as your own. Everything else inside is refused, after a
    /// redirect too, whatever DNS says.
    TOOL_NETWORKS: Networks = "tool.networks", Preset::Nothing, Networks;

    /// The most calls of it for one question.
    TOOL_PER_TURN: Count = "tool.per_turn", Preset::Number(3), Count { max: 100 };

    /// The most calls of it by one member in any hour.
    TOOL_PER_HOUR: Count = "tool.per_hour", Preset::Number(60), Count { max: 1_000_000 };

    /// The most calls of it by a whole community in any day.
    TOOL_PER_DAY: Count = "tool.per_day", Preset::Number(2_000), Count { max: 100_000_000 };

    /// The longest time of one call. A `program` waits no longer than that for a place, and then runs no longer than that.
    TOOL_TIMEOUT: Seconds = "tool.timeout_seconds", Preset::Number(10), Seconds { min: 1, max: 120 };

    /// The most bytes that are read of what it returns.
    TOOL_RESULT_BYTES: Size = "tool.result_bytes", Preset::Number(16_384), Size { min: 256, max: 1_048_576 };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ALL, LISTS, SECTIONS, every, section_of, variable};

    #[test]
    fn keys_are_unique_documented_and_sorted_by_section() {
        let names: BTreeSet<_> = every().map(|key| key.name()).collect();
        assert_eq!(names.len(), every().count());
        assert!(every().all(|key| key.doc().len() > 10 && !key.kind().is_empty()));
        for list in LISTS {
            assert!(list.keys.iter().all(|key| section_of(key.name()) == list.section.name));
        }
        let position =
            |name| SECTIONS.iter().position(|section| section.name == name).expect("a known table");
        let sections: Vec<_> = ALL.iter().map(|key| position(section_of(key.name()))).collect();
        assert!(sections.is_sorted());
        assert_eq!(sections.iter().collect::<BTreeSet<_>>().len(), SECTIONS.len(), "a table without keys");
    }

    #[test]
    fn every_danger_is_named_so() {
        for key in ALL.iter().filter(|key| section_of(key.name()) == "danger") {
            assert!(key.name().starts_with("danger.danger_"), "{}", key.name());
        }
    }

    #[test]
    fn a_variable_is_named_after_its_key() {
        assert_eq!(variable("limits.per_key_per_minute"), "PORTCULLIS_LIMITS__PER_KEY_PER_MINUTE");
        assert_eq!(variable("data_dir"), "PORTCULLIS_DATA_DIR");
        let variables: BTreeSet<_> = ALL.iter().map(|key| variable(key.name())).collect();
        assert_eq!(variables.len(), ALL.len());
    }
}
