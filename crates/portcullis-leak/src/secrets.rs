//! Keys and tokens of common providers, private keys, and passwords in connection strings.
//!
//! [`TOKENS`] is the published list. Each entry is recognised by its prefix and the least number of characters after it,
//! together at most 64; after that everything is withheld until the token ends.

use std::sync::LazyLock;

use crate::pairs::Pairs;
use crate::policy::Class;
use crate::stream::{Match, Rest, Seen};
use crate::tail;

/// What stands in the place of a secret.
const NOTE: &str = "{secret withheld}";
/// Most characters of a name and password before the `@` of an address.
const LONGEST_LOGIN: usize = 256;
/// Most characters of the scheme of an address that is looked at as a whole; a longer one is cut at its `://`.
const LONGEST_SCHEME: usize = 32;

/// A token with a prefix.
struct Token {
    issuer: &'static str,
    prefix: &'static str,
    /// So many characters after the prefix make it one.
    least: usize,
    member: fn(char) -> bool,
    proof: Proof,
}

/// What the characters after a prefix must be, so that it is no common word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The prefix tells enough.
    Prefix,
    /// Not only small letters and hyphens; within a word, letters and digits without a hyphen.
    Mixed,
}

const fn token(issuer: &'static str, prefix: &'static str, least: usize, member: fn(char) -> bool) -> Token {
    Token { issuer, prefix, least, member, proof: Proof::Prefix }
}

const fn mixed(issuer: &'static str, prefix: &'static str, least: usize, member: fn(char) -> bool) -> Token {
    Token { issuer, prefix, least, member, proof: Proof::Mixed }
}

const fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const fn dashed(c: char) -> bool {
    word(c) || c == '-'
}

const fn dotted(c: char) -> bool {
    dashed(c) || c == '.'
}

const fn base64(c: char) -> bool {
    dashed(c) || matches!(c, '+' | '/' | '=')
}

const fn capital(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

const fn hex(c: char) -> bool {
    matches!(c, '0'..='9' | 'a'..='f')
}

/// The published list.
static TOKENS: &[Token] = &[
    token("Portcullis", "pcl_", 16, word),
    token("Portcullis", "pcs_", 16, word),
    token("Portcullis", "pcm_", 16, word),
    token("Portcullis", "pcb_", 16, word),
    token("Portcullis", "pci_", 16, word),
    token("Anthropic", "sk-ant-", 16, dashed),
    token("OpenAI", "sk-proj-", 16, dashed),
    token("OpenAI", "sk-svcacct-", 16, dashed),
    token("OpenAI", "sk-admin-", 16, dashed),
    token("OpenRouter", "sk-or-v1-", 16, dashed),
    mixed("OpenAI", "sk-", 20, dashed),
    token("AWS", "AKIA", 16, capital),
    token("AWS", "ASIA", 16, capital),
    token("AWS", "ABIA", 16, capital),
    token("AWS", "ACCA", 16, capital),
    mixed("AWS", "ABSK", 40, base64),
    token("GitHub", "ghp_", 20, word),
    token("GitHub", "gho_", 20, word),
    token("GitHub", "ghu_", 20, word),
    token("GitHub", "ghs_", 20, word),
    token("GitHub", "ghr_", 20, word),
    token("GitHub", "github_pat_", 20, word),
    token("GitLab", "glpat-", 16, dotted),
    token("GitLab", "gldt-", 16, dotted),
    token("GitLab", "glrt-", 16, dotted),
    token("GitLab", "glcbt-", 16, dotted),
    token("GitLab", "glptt-", 16, dotted),
    token("GitLab", "glft-", 16, dotted),
    token("GitLab", "glsoat-", 16, dotted),
    token("GitLab", "gloas-", 16, dotted),
    token("Slack", "xoxb-", 10, dashed),
    token("Slack", "xoxp-", 10, dashed),
    token("Slack", "xoxa-", 10, dashed),
    token("Slack", "xoxr-", 10, dashed),
    token("Slack", "xoxs-", 10, dashed),
    token("Slack", "xoxe-", 10, dashed),
    token("Slack", "xoxe.", 10, dotted),
    token("Slack", "xapp-", 10, dashed),
    token("Slack", "hooks.slack.com/services/", 8, base64),
    token("Discord", "discord.com/api/webhooks/", 8, base64),
    token("Stripe", "sk_live_", 10, word),
    token("Stripe", "sk_test_", 10, word),
    token("Stripe", "rk_live_", 10, word),
    token("Stripe", "rk_test_", 10, word),
    token("Stripe", "whsec_", 16, base64),
    token("Google", "AIza", 30, dashed),
    token("Google", "GOCSPX-", 16, dashed),
    token("Google", "ya29.", 20, dotted),
    token("Google", "1//0", 24, dashed),
    token("Twilio", "SK", 32, hex),
    token("SendGrid", "SG.", 20, dotted),
    token("Mailgun", "key-", 32, hex),
    token("npm", "npm_", 20, word),
    token("PyPI", "pypi-AgE", 16, dashed),
    token("RubyGems", "rubygems_", 20, word),
    mixed("crates.io", "cio", 32, word),
    token("Docker", "dckr_pat_", 16, dashed),
    token("Docker", "dckr_oat_", 16, dashed),
    token("Hugging Face", "hf_", 30, word),
    token("Databricks", "dapi", 32, hex),
    token("DigitalOcean", "dop_v1_", 20, hex),
    token("DigitalOcean", "doo_v1_", 20, hex),
    token("DigitalOcean", "dor_v1_", 20, hex),
    token("Shopify", "shpat_", 20, word),
    token("Shopify", "shpca_", 20, word),
    token("Shopify", "shppa_", 20, word),
    token("Shopify", "shpss_", 20, word),
    token("Square", "sq0atp-", 16, dashed),
    token("Square", "sq0csp-", 16, dashed),
    token("HashiCorp Vault", "hvs.", 20, dashed),
    token("HashiCorp Vault", "hvb.", 20, dashed),
    token("HashiCorp Vault", "hvr.", 20, dashed),
    token("Grafana", "glc_", 20, base64),
    token("Grafana", "glsa_", 20, word),
    token("Atlassian", "ATATT3", 20, base64),
    token("Linear", "lin_api_", 20, word),
    token("Notion", "ntn_", 30, word),
    token("Figma", "figd_", 20, dashed),
    token("Sentry", "sntrys_", 20, base64),
    token("Sentry", "sntryu_", 20, word),
    token("Postman", "PMAK-", 20, dashed),
    token("New Relic", "NRAK-", 20, capital),
    token("Doppler", "dp.pt.", 20, word),
    token("Supabase", "sbp_", 20, word),
    token("PlanetScale", "pscale_tkn_", 16, dotted),
    token("PlanetScale", "pscale_pw_", 16, dotted),
    token("Groq", "gsk_", 20, word),
    token("Perplexity", "pplx-", 20, word),
    token("xAI", "xai-", 30, word),
    mixed("Replicate", "r8_", 30, word),
    token("age", "AGE-SECRET-KEY-1", 16, capital),
    mixed("JSON Web Token", "eyJ", 17, dotted),
];

/// Names that stand before a secret and `=`, in any letter case.
static ASSIGNED: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "accountkey",
    "sharedaccesskey",
    "client_secret",
    "secret_access_key",
    "session_token",
    "private_token",
    "api_key",
    "apikey",
    "auth_token",
];
/// So many characters after the `=` make it one.
const ASSIGNED_LEAST: usize = 6;

/// Every token of the list: who issues it and how it begins.
pub fn published() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOKENS.iter().map(|token| (token.issuer, token.prefix))
}

/// The names that stand before a secret and `=`.
#[cfg(test)]
pub(crate) fn assigned() -> &'static [&'static str] {
    ASSIGNED
}

static BY_FIRST: LazyLock<[Vec<&'static Token>; 128]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let begins = |token: &&Token| token.prefix.bytes().next().map(usize::from) == Some(byte);
        TOKENS.iter().filter(begins).collect()
    })
});

/// How tokens and names before a secret begin.
static LISTED: LazyLock<Pairs> = LazyLock::new(|| {
    let mut listed = Pairs::none();
    TOKENS.iter().for_each(|token| listed.add(token.prefix));
    ASSIGNED.iter().for_each(|name| listed.add_in_any_case(name));
    listed
});

/// The first two letters of everything that is listed.
pub(crate) fn listed_pairs() -> &'static Pairs {
    &LISTED
}

/// Whether a secret begins here.
pub(crate) fn begins(first: char, before: Option<char>, rest: &str, ended: bool) -> Seen {
    let seen = if may_begin(first, rest) { listed(first, before, rest, ended) } else { Seen::No };
    match (seen, first) {
        (Seen::No, '-') => private_key(rest, ended),
        (Seen::No, ':') => login(rest, 0, ended),
        (Seen::No, _) if first.is_ascii_alphabetic() && !before.is_some_and(|c| c.is_ascii_alphabetic()) => {
            address_with_login(rest, ended)
        }
        (seen, _) => seen,
    }
}

/// Whether the first two bytes are those of anything that is listed, as far as they have come.
fn may_begin(first: char, rest: &str) -> bool {
    match (u8::try_from(first), rest.as_bytes().get(1)) {
        (Ok(first), Some(next)) => LISTED.hold(first, *next),
        (Ok(first), None) => LISTED.begin(first),
        (Err(_), _) => false,
    }
}

/// Whether a token or a name before a secret begins here.
fn listed(first: char, before: Option<char>, rest: &str, ended: bool) -> Seen {
    let tokens = BY_FIRST.get(first as usize).map(Vec::as_slice).unwrap_or_default();
    for token in tokens {
        match token.begins(before, rest, ended) {
            Seen::No => {}
            seen => return seen,
        }
    }
    assigned_secret(first, rest, ended)
}

impl Token {
    fn begins(&self, before: Option<char>, rest: &str, ended: bool) -> Seen {
        let (prefix, given) = (self.prefix.as_bytes(), rest.as_bytes());
        if given.len() > 1 && given.get(1) != prefix.get(1) {
            return Seen::No;
        }
        let Some(body) = rest.strip_prefix(self.prefix) else {
            return if !ended && self.prefix.starts_with(rest) { Seen::More } else { Seen::No };
        };
        let mut len = 0;
        let (mut capitals, mut small, mut digits, mut others) = (false, false, false, false);
        for c in body.chars().take(self.least) {
            if !(self.member)(c) {
                return Seen::No;
            }
            len += 1;
            capitals |= c.is_ascii_uppercase();
            small |= c.is_ascii_lowercase();
            digits |= c.is_ascii_digit();
            others |= c == '-' || c == '.';
        }
        if len < self.least {
            return if ended { Seen::No } else { Seen::More };
        }
        let within_word = before.is_some_and(|c| c.is_ascii_alphanumeric());
        let is_one = match self.proof {
            Proof::Prefix => true,
            Proof::Mixed if within_word => digits && (capitals || small) && !others,
            Proof::Mixed => digits || capitals,
        };
        if is_one { secret(self.prefix.len() + self.least, self.member) } else { Seen::No }
    }
}

fn secret(len: usize, member: fn(char) -> bool) -> Seen {
    Seen::Match(Match { class: Class::Secret, note: NOTE, len, rest: Rest::Token(member) })
}

/// `-----BEGIN ... PRIVATE KEY`.
fn private_key(rest: &str, ended: bool) -> Seen {
    const BEGIN: &str = "-----BEGIN ";
    const KEY: &str = "PRIVATE KEY";
    const LONGEST: usize = 40;
    let Some(label) = rest.strip_prefix(BEGIN) else {
        return if !ended && BEGIN.starts_with(rest) { Seen::More } else { Seen::No };
    };
    let run =
        label.bytes().take(LONGEST).take_while(|byte| byte.is_ascii_uppercase() || *byte == b' ').count();
    match label.get(..run).and_then(|run| run.find(KEY)) {
        Some(at) => {
            let len = BEGIN.len() + at + KEY.len();
            Seen::Match(Match { class: Class::Secret, note: NOTE, len, rest: Rest::PrivateKey })
        }
        None if run == label.len() && run < LONGEST && !ended => Seen::More,
        None => Seen::No,
    }
}

/// Everything up to the end of a private key: what is settled, and whether the key ends there.
pub(crate) fn private_key_rest(rest: &str, ended: bool) -> (usize, bool) {
    const END: &str = "-----END ";
    const CLOSE: &str = "-----";
    const LONGEST: usize = 64;
    if let Some(at) = rest.find(END) {
        let label = tail(rest, at + END.len());
        return match label.find(CLOSE) {
            Some(close) if close <= LONGEST => (at + END.len() + close + CLOSE.len(), true),
            _ if label.len() > LONGEST || ended => (at + END.len(), true),
            _ => (at, false),
        };
    }
    // The end of the text may be the beginning of the last line.
    let keep = (1..END.len()).rev().find(|len| rest.ends_with(END.get(..*len).unwrap_or_default()));
    (rest.len() - keep.unwrap_or(0), ended)
}

/// A secret after its name and `=`, as in connection strings, addresses and environment files.
fn assigned_secret(first: char, rest: &str, ended: bool) -> Seen {
    let small = first.to_ascii_lowercase();
    if !matches!(small, 'p' | 'a' | 's' | 'c') {
        return Seen::No;
    }
    for name in ASSIGNED {
        if !name.starts_with(small) {
            continue;
        }
        let shared = name.bytes().zip(rest.bytes()).take_while(|(a, b)| *a == b.to_ascii_lowercase()).count();
        if shared < name.len() {
            if shared == rest.len() && !ended {
                return Seen::More;
            }
            continue;
        }
        let value = match tail(rest, name.len()).strip_prefix('=') {
            Some(value) => value,
            None if rest.len() == name.len() && !ended => return Seen::More,
            None => continue,
        };
        let quoted = value.strip_prefix(['"', '\'']).unwrap_or(value);
        let given = quoted.chars().take(ASSIGNED_LEAST).take_while(|c| assigned_member(*c)).count();
        if given == ASSIGNED_LEAST {
            let bytes: usize = quoted.chars().take(given).map(char::len_utf8).sum();
            return secret(rest.len() - quoted.len() + bytes, assigned_member);
        }
        if quoted.chars().count() == given && !ended {
            return Seen::More;
        }
    }
    Seen::No
}

const fn assigned_member(c: char) -> bool {
    !matches!(c, ' ' | '\n' | '\r' | '\t' | '"' | '\'' | ';' | '&' | '<' | '>' | '`' | ')' | ']' | '}' | '\\')
}

/// `scheme://name:password@`, from the first letter of the scheme.
fn address_with_login(rest: &str, ended: bool) -> Seen {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let scheme = rest.bytes().take(LONGEST_SCHEME + 1).take_while(is_scheme).count();
    if scheme > LONGEST_SCHEME {
        return Seen::No;
    }
    if scheme == rest.len() {
        return if ended { Seen::No } else { Seen::More };
    }
    login(rest, scheme, ended)
}

/// `://name:password@`, which begins at byte `at`.
fn login(rest: &str, at: usize, ended: bool) -> Seen {
    const MARK: &str = "://";
    let from = tail(rest, at);
    let Some(authority) = from.strip_prefix(MARK) else {
        return if !ended && MARK.starts_with(from) { Seen::More } else { Seen::No };
    };
    let mut password = None;
    for (index, (place, c)) in authority.char_indices().enumerate() {
        match c {
            '@' => {
                return match password {
                    Some(begins) if begins < place => secret(at + MARK.len() + place + 1, address_member),
                    _ => Seen::No,
                };
            }
            ':' if password.is_none() => password = Some(place + 1),
            '/' | '?' | '#' | '"' | '\'' | '<' | '>' | ')' | ']' | '`' | '\\' => return Seen::No,
            _ if c.is_whitespace() || index >= LONGEST_LOGIN => return Seen::No,
            _ => {}
        }
    }
    if ended { Seen::No } else { Seen::More }
}

/// What an address goes on with.
pub(crate) fn address_member(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '`' | ')' | ']' | '}' | '|' | '\\' | '^' | '{' | '*')
}

#[cfg(test)]
mod tests {
    use super::{ASSIGNED_LEAST, TOKENS, assigned, may_begin};

    #[test]
    fn every_token_is_recognised_within_64_characters() {
        for token in TOKENS {
            assert!(token.prefix.len() + token.least <= 64, "{}", token.prefix);
            assert!(token.prefix.is_ascii());
        }
        assert!(assigned().iter().all(|name| name.len() + 2 + ASSIGNED_LEAST <= 64));
    }

    #[test]
    fn nothing_that_is_listed_is_ruled_out_by_its_first_letters() {
        let names = assigned().iter().flat_map(|name| {
            let mixed: String = name
                .chars()
                .enumerate()
                .map(|(at, c)| if at == 1 { c.to_ascii_uppercase() } else { c })
                .collect();
            let capital: String = name
                .chars()
                .enumerate()
                .map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c })
                .collect();
            [(*name).to_owned(), name.to_uppercase(), mixed, capital]
        });
        for text in TOKENS.iter().map(|token| token.prefix.to_owned()).chain(names) {
            let first = text.chars().next().expect("no entry is empty");
            assert!(may_begin(first, &text), "{text}");
            assert!(may_begin(first, &first.to_string()), "{text}");
        }
        for text in ["the", "tide", "é", "pé", " a", "a b"] {
            assert!(!may_begin(text.chars().next().expect("a letter"), text), "{text}");
        }
    }
}
