//! Keeps what must not be stored out of records.
//!
//! It replaces every credential and secret the target file named, the values of headers that carry credentials, and
//! text that has the form of a token. It works on whole texts before they are shortened, so that no secret survives
//! cut in half.

use http::HeaderMap;
use memchr::memmem::Finder;
use portcullis_core::Secret;

/// The most characters of a body that a record keeps.
const BODY_HEAD_CHARS: usize = 160;
const HEADER_CHARS: usize = 200;
/// Shorter values would blank ordinary words.
const SHORTEST_SECRET: usize = 6;
/// Keys are at least as long, and so is hardly any other word.
const SHORTEST_KEY: usize = 32;
/// How a JWT begins: `{"` in base64.
const JWT: &str = "eyJ";

/// Headers whose whole value is a credential.
const CREDENTIAL_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-csrf-token",
    "www-authenticate-token",
];

/// Replaces secrets in text.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longer first: a secret that holds another one goes as a whole.
    secrets: Vec<Secret<String>>,
    /// How they begin: the keys of one community all alike. Hardly any text holds a secret, and one that holds no beginning of
    /// one need not be searched for each of hundreds.
    beginnings: Vec<Finder<'static>>,
    headers: Vec<String>,
}

impl Redactor {
    /// Also replaces `value` from now on.
    pub(super) fn learn(&mut self, value: &str) {
        let Some(beginning) = value.as_bytes().get(..SHORTEST_SECRET) else { return };
        if self.secrets.iter().any(|known| known.expose() == value) {
            return;
        }
        let place = self.secrets.partition_point(|known| known.expose().len() >= value.len());
        self.secrets.insert(place, Secret::new(value.to_owned()));
        if !self.beginnings.iter().any(|known| known.needle() == beginning) {
            self.beginnings.push(Finder::new(beginning).into_owned());
        }
    }

    /// Also treats the header `name` as a credential.
    pub(super) fn learn_header(&mut self, name: &str) {
        self.headers.push(name.to_lowercase());
    }

    /// The text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        if !self.beginnings.iter().any(|beginning| beginning.find(text.as_bytes()).is_some()) {
            return without_tokens(text);
        }
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if clean.contains(secret.expose().as_str()) {
                clean = clean.replace(secret.expose().as_str(), "***");
            }
        }
        without_tokens(&clean)
    }

    /// The beginning of a body, one line, without secrets.
    pub(super) fn body(&self, body: &str) -> String {
        head(&self.text(body), BODY_HEAD_CHARS)
    }

    /// Header names and values without secrets, in order.
    pub(super) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().to_owned();
                let text = value.to_str().unwrap_or("(not text)");
                let shown = if CREDENTIAL_HEADERS.contains(&name.as_str()) || self.headers.contains(&name) {
                    "***".to_owned()
                } else if name == "set-cookie" {
                    cookie(text)
                } else {
                    head(&self.text(text), HEADER_CHARS)
                };
                (name, shown)
            })
            .collect()
    }
}

/// A `Set-Cookie` value without the cookie's value: the attributes are what a reader needs.
fn cookie(text: &str) -> String {
    let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
    let name = pair.split('=').next().unwrap_or_default();
    if attributes.is_empty() { format!("{name}=***") } else { format!("{name}=***;{attributes}") }
}

/// Replaces what has the form of a JWT or of a long key, whether it is known or not.
fn without_tokens(text: &str) -> String {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=');
    let is_long =
        || text.as_bytes().split(|byte| !is_token_byte(byte)).any(|word| word.len() >= SHORTEST_KEY);
    if !text.contains(JWT) && (text.len() < SHORTEST_KEY || !is_long()) {
        return text.to_owned();
    }
    let is_token_char = |c: char| u8::try_from(c).is_ok_and(|byte| is_token_byte(&byte));
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token_char(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        clean.push_str(if looks_like_token(word) { "***" } else { word });
        let next = tail.find(is_token_char).unwrap_or(tail.len());
        let (between, tail) = tail.split_at(next);
        clean.push_str(between);
        rest = tail;
    }
    clean
}

fn looks_like_token(word: &str) -> bool {
    if word.starts_with(JWT) && word.matches('.').count() >= 2 {
        return true;
    }
    if word.len() < SHORTEST_KEY || word.contains('/') {
        return false;
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let upper = word.chars().filter(char::is_ascii_uppercase).count();
    let lower = word.chars().filter(char::is_ascii_lowercase).count();
    digits >= 4 && lower >= 4 && (upper >= 4 || word.len() >= 40)
}

fn head(text: &str, chars: usize) -> String {
    let mut line: String = text.chars().take(chars).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(chars).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::Redactor;

    #[test]
    fn no_credential_survives_in_a_record() {
        let mut redactor = Redactor::default();
        redactor.learn("tok-alice-42");
        redactor.learn_header("X-Member-Key");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc".parse().unwrap());
        headers.insert("x-member-key", "short".parse().unwrap());
        headers.insert("set-cookie", "sid=topsecret; HttpOnly; Secure".parse().unwrap());
        headers.insert("location", "/in?token=tok-alice-42".parse().unwrap());
        let shown = format!("{:?}", redactor.headers(&headers));
        for secret in ["abc", "short", "topsecret", "tok-alice-42"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("HttpOnly"));
    }

    #[test]
    fn a_secret_is_not_kept_by_being_cut_in_half() {
        let mut redactor = Redactor::default();
        redactor.learn("abcdefghijklmnop");
        let body = format!("{}abcdefghijklmnop", "x ".repeat(76));
        assert!(!redactor.body(&body).contains("abcdefgh"));
    }

    #[test]
    fn of_secrets_that_begin_alike_each_goes_as_a_whole() {
        let mut redactor = Redactor::default();
        let (long, short, inside) = ("pcl_harbour.one", "pcl_harbour", "bour.one");
        for secret in [short, inside, long, "pcl_ha", "tiny"] {
            redactor.learn(secret);
        }
        let said = format!("{long}, {short}, {inside}, pcl_hay, pcl_h and tiny");
        assert_eq!(redactor.text(&said), "***, ***, ***, ***y, pcl_h and tiny");
        // What takes the place of one makes no other.
        assert_eq!(redactor.text("pcl_pcl_haha"), "pcl_***ha");
    }

    #[test]
    fn unknown_tokens_are_replaced_by_their_form() {
        let redactor = Redactor::default();
        let body = "{\"token\":\"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl\",\"key\":\
                    \"sk-Proj4aB7cD9eF1gH3iJ5kL7mN9oP1qR3\",\"path\":\"/api/history\"}";
        assert_eq!(redactor.body(body), "{\"token\":\"***\",\"key\":\"***\",\"path\":\"/api/history\"}");
    }
}
