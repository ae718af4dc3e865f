//! Every kind of problem a configuration can have: one table, from which `portcullis explain CFG-012` and
//! `docs/errors.md` are made.
//!
//! A code keeps its number for ever; a retired number is not used again.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $title:literal;)+) => {
        /// The stable code of a problem, printed as `CFG-012`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)+
                }
            }

            /// What went wrong, in a few words.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }

            const fn lines(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($doc),+],)+
                }
            }
        }
    };
}

codes! {
    /// The file does not exist, is not a plain file, may not be read, is larger than 1 MiB, or is not UTF-8.
    ///
    /// `portcullis init` writes a commented file with fresh keys. Name another file with `--config`.
    Unreadable = 1, "the configuration file cannot be read";

    /// The file is not valid TOML at that place. The rest of the file is still read, so that other faults show too;
    /// faults that may only follow from this one are held back until it is repaired.
    ///
    /// The text at that place is not printed: it may hold a secret.
    Syntax = 2, "the file is not valid TOML";

    /// The file holds a key or a table that does not exist. It is refused rather than ignored, because a
    /// misspelt limit would silently be no limit.
    ///
    /// The name is not printed when it is long or unusual: it may be a secret that stands where a key belongs.
    UnknownKey = 3, "unknown key";

    /// The value has another type than the key wants, such as text where a whole number is wanted. Whole numbers
    /// stand without quotes; lists stand in brackets, in the environment and in flags with commas.
    WrongType = 4, "wrong type";

    /// The key has no default and must be given.
    Missing = 5, "a key is missing";

    /// A variable starts with `PORTCULLIS_` and sets no key. Only a warning, because other programs may share the
    /// environment. The variable of a key is `PORTCULLIS_` and the key in capitals, with two underscores between
    /// table and key: `limits.body_bytes` is `PORTCULLIS_LIMITS__BODY_BYTES`.
    UnknownVariable = 6, "unknown environment variable";

    /// The value of the variable is not UTF-8.
    NotUnicode = 7, "an environment variable is not text";

    /// A flag sets a key that does not exist, or `--set` is not of the form `key=value`.
    BadFlag = 8, "a flag sets no key";

    /// Two settings only mean something together, such as `tls.certificate` and `tls.key`, and one is missing.
    HalfPair = 9, "one of a pair is missing";

    /// The value is not one of the words that the key accepts.
    NotAChoice = 10, "not one of the choices";

    /// The value has the right type, but not the right form: an address wants `IP:PORT`, a name must not be empty or
    /// hold control characters.
    Malformed = 11, "malformed value";

    /// The number is smaller or larger than the key allows. The limits of each key stand in the configuration
    /// reference; where one follows from another key, the error names that key.
    OutOfRange = 12, "out of range";

    /// The URL is not an absolute `http` or `https` URL with a host, or carries what does not belong in a
    /// configuration file: a user name, a password, a query or a fragment. Credentials of a model belong in
    /// `model.api_key`, as a reference. The value is not printed when it may hold a password.
    BadUrl = 13, "not a usable URL";

    /// The value is not a network in CIDR notation, or it has bits set outside its prefix, or its prefix is so short
    /// that every address would be trusted: then anyone could claim any client address.
    BadNetwork = 14, "not a usable network";

    /// The path is empty, or nothing readable is there.
    BadPath = 15, "not a usable path";

    /// The list names the same thing twice. It is refused rather than merged, because one of the two was probably
    /// meant to be something else.
    Duplicate = 16, "named twice";

    /// A listener that other machines can reach would carry credentials and answers in the clear.
    ///
    /// Give it a loopback address, or a certificate in `[tls]`. Behind a proxy that ends TLS, set `public_url` to the
    /// proxy's https address and `proxies.trusted` to the networks that the proxy connects from.
    ExposedListener = 17, "a listener without TLS is reachable from other machines";

    /// Both listeners want the same port. The operator's plane has a port of its own, so that a firewall can keep the
    /// two apart.
    SharedListener = 18, "two listeners share an address";

    /// `public_url` is the address that members type and that links and cookies are made for. It must be https, or
    /// http on a loopback address while trying things out.
    PlainPublicUrl = 19, "the public address is not https";

    /// A secret stands in the configuration itself. Configuration files are copied, printed and committed, so only a
    /// reference may stand there: `file:PATH` (relative to the configuration file) or `env:NAME`.
    ///
    /// A value that once stood in a configuration file counts as known: make a new one
    /// (`head -c 32 /dev/urandom | base64`), do not move the old one.
    LiteralSecret = 20, "a secret stands in the configuration";

    /// The reference is not `env:NAME`, with a name of capitals, digits and underscores, or `file:PATH`.
    BadReference = 21, "malformed reference to a secret";

    /// The variable that a secret refers to is not set or empty, or the file does not exist or is empty. There is no
    /// weaker mode without the secret: the program does not start.
    MissingSecret = 22, "a secret is missing";

    /// The file of a secret exists, but is not a plain file, may not be read, is larger than 64 KiB, or is not text.
    UnreadableSecret = 23, "a secret cannot be read";

    /// Other accounts of the machine can read the file of a secret. Its mode must give nothing to group and others.
    /// In Kubernetes set `defaultMode: 0400` on the secret's volume.
    ExposedSecret = 24, "other accounts can read a secret";

    /// The secret has fewer characters than the deployment checklist asks for (32).
    ShortSecret = 25, "a secret is too short";

    /// The characters of the secret vary too little, as in `aaaa...`, `abcd...` or a short text repeated. Length alone
    /// is no strength: take 32 random bytes.
    RepetitiveSecret = 26, "a secret is repetitive";

    /// The secret holds a phrase that stands in documentation, example files and word lists (`changeme`, `your-`...).
    ExampleSecret = 27, "a secret is an example";

    /// The key must be 32 bytes, as 64 hex digits or 44 characters of base64. 32 characters of hex are only 16 bytes.
    NotAKey = 28, "not a 256-bit key";

    /// Two secrets have the same value. Whoever learns one, or breaks what one protects, then has the other.
    EqualSecrets = 29, "two secrets are equal";

    /// The key goes into an HTTP header, so it must be one line of visible ASCII characters.
    NotAHeader = 30, "a key does not fit in a header";

    /// The value names something that is not configured, such as a default model that callers may not choose.
    Dangling = 31, "refers to something that is not there";

    /// One time-out ends before another could: the longer one never takes effect. Only a warning.
    HiddenTimeout = 32, "a time-out never takes effect";

    /// The model is asked over plain http on another machine: questions, what was recalled and the key cross the network
    /// in the clear. Only a warning, because a private network may carry it.
    PlainModelUrl = 33, "the model is asked in the clear";

    /// Two settings exclude each other. In an `[[issuer]]`, `HS256` takes `key`; `RS256` and `ES256` take either `public_key` or
    /// `jwks`; and the keys of a JWK Set bring their own ids, so `key_id` does not stand beside it. In `[mail]`, a mail
    /// server (`smtp`) and a folder (`outbox`) each take their own settings. In a `[[tool]]`, each kind takes its own.
    Excluded = 34, "two settings exclude each other";

    /// Other accounts of the machine can write the file of a public key. Whoever can replace the key can sign tokens
    /// for every member of the issuer's communities. The schema and the program of a tool are held to the same.
    WritableKey = 35, "other accounts can replace a key";

    /// The file or the secret is not the kind of key that its setting wants: a private key or a certificate where a public key
    /// belongs, a public key where a secret belongs, or a key that is too weak.
    ///
    /// `openssl pkey -in private.pem -pubout` and `openssl x509 -in certificate.pem -pubkey -noout` print a public key. A
    /// private key that stood here has left its host and counts as known: make a new pair.
    WrongKey = 36, "not the kind of key that is wanted";

    /// Mail would cross a network in the clear: sign-in links, which sign in whoever reads them, and the password of
    /// the mail server. `security = "none"` is for a server on a loopback address of this machine.
    PlainMail = 37, "mail would be sent in the clear";

    /// Mail is written into a folder while members reach this instance over https: nobody gets the links. Only a
    /// warning, since a test of the whole may want it.
    MailGoesNowhere = 38, "mail reaches nobody";

    /// `tls.min_version` lets clients speak TLS 1.2. Only a warning: what is spoken of it has forward secrecy and
    /// authenticated encryption. The deployment checklist asks for 1.3.
    OldTls = 39, "an old version of TLS is spoken";

    /// An option that weakens safety is set, and this build has no such switch. Released builds have none; test builds
    /// have the cargo feature `guard-off`.
    NoSwitch = 40, "this build has no such switch";

    /// An option that weakens safety is on. It is printed at every start, and `portcullis check` reports it.
    Danger = 41, "safety is weakened";

    /// `danger.danger_guards_off` names a guard that does not exist.
    UnknownGuard = 42, "unknown guard";

    /// A budget of costs is set, and a model that may be asked has no price: what it costs would not be counted. Give it one in
    /// `model.prices`, or state what is taken for every model without one.
    NoPrice = 43, "a model has no price";

    /// A tool is a program, and this build has no sandbox to run one in. It is never run anywhere else. Releases have a sandbox;
    /// of the source it is `cargo build --release --features sandbox`.
    NoSandbox = 44, "this build has no sandbox";
}

impl Code {
    /// The code of that text, such as `CFG-012`; capitals do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.to_string().eq_ignore_ascii_case(text.trim()))
    }

    /// What it means and what to do, as paragraphs of Markdown.
    pub fn doc(self) -> String {
        paragraphs(self.lines())
    }

    /// Whether a problem with this code is about one value alone and so stands whatever else is wrong with the file.
    pub(crate) const fn stands_alone(self) -> bool {
        matches!(
            self,
            Self::Syntax
                | Self::UnknownKey
                | Self::WrongType
                | Self::NotAChoice
                | Self::Malformed
                | Self::OutOfRange
                | Self::BadUrl
                | Self::BadNetwork
                | Self::Duplicate
                | Self::LiteralSecret
                | Self::BadReference
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CFG-{:03}", self.number())
    }
}

/// Joins the lines of a doc comment into paragraphs, one line each.
pub(crate) fn paragraphs(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines.iter().map(|line| line.trim()) {
        if line.is_empty() {
            text.push_str("\n\n");
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    text
}

/// What `portcullis explain CFG-012` prints; nothing when there is no such code.
pub fn explain(code: &str) -> Option<String> {
    Code::parse(code).map(|code| format!("{code}: {}\n\n{}\n", code.title(), code.doc()))
}

/// The part of `docs/errors.md` about configuration: every code with its meaning.
pub fn errors_markdown() -> String {
    let mut text = String::from(
        "## Configuration (`CFG`)\n\nPrinted by `portcullis serve` and `portcullis config check`, all problems at once, each \
         with the place it\nstands at. `error` stops the start, `warning` does not.\n",
    );
    for code in Code::ALL {
        text.push_str(&format!("\n### {code}: {}\n\n{}\n", code.title(), code.doc()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Code, errors_markdown, explain};

    #[test]
    fn every_code_has_its_own_number_in_order_and_an_explanation() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for &code in Code::ALL {
            let text = explain(&code.to_string()).expect("every code is explained");
            assert!(text.len() > 60 && text.contains(code.title()), "{text}");
            assert!(errors_markdown().contains(&format!("### {code}: ")));
        }
    }

    #[test]
    fn a_code_is_found_in_any_case_and_only_if_it_exists() {
        assert_eq!(Code::parse(" cfg-012"), Some(Code::OutOfRange));
        assert_eq!(explain("CFG-999"), None);
        assert_eq!(explain(""), None);
    }
}
