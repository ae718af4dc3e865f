//! What a page's Content-Security-Policy lets happen (CSP Level 3).
//!
//! Several policies hold together: what one of them forbids is forbidden. Policies that only report forbid nothing.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use http::header::CONTENT_SECURITY_POLICY;

/// The fewest characters of a nonce: 128 bits in Base64 take 22.
const SHORTEST_NONCE: usize = 22;
/// Hosts that serve scripts of everybody: a policy that names one lets everybody's scripts in.
const OF_EVERYBODY: &[&str] = &[
    "ajax.googleapis.com",
    "cdn.jsdelivr.net",
    "cdnjs.cloudflare.com",
    "esm.sh",
    "raw.githubusercontent.com",
    "unpkg.com",
];
/// What is fetched unasked, each with the directives that decide about it, the nearest first.
const FETCHED: [(&str, &[&str]); 6] = [
    ("images", &["img-src", "default-src"]),
    ("requests of scripts", &["connect-src", "default-src"]),
    ("styles", &["style-src-elem", "style-src", "default-src"]),
    ("fonts", &["font-src", "default-src"]),
    ("sound and video", &["media-src", "default-src"]),
    ("frames", &["frame-src", "child-src", "default-src"]),
];

/// What a policy lets happen that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checks) enum Gap {
    NoPolicy,
    InlineScripts,
    ForeignScripts,
    Eval,
    Plugins,
    Base,
    Forms,
    /// What may be fetched from anywhere.
    Fetched(&'static str),
    InlineStyles,
    ShortNonce,
    OldNonce,
}

impl Gap {
    pub(in crate::checks) fn words(self) -> String {
        match self {
            Self::NoPolicy => "no Content-Security-Policy".to_owned(),
            Self::InlineScripts => "a policy that lets inline scripts run".to_owned(),
            Self::ForeignScripts => "a policy that lets scripts of anybody's hosts run".to_owned(),
            Self::Eval => "a policy that lets text be run as script (`unsafe-eval`)".to_owned(),
            Self::Plugins => "a policy that lets objects be embedded".to_owned(),
            Self::Base => "a policy that lets the base of all addresses be moved".to_owned(),
            Self::Forms => "a policy that lets forms send to any host".to_owned(),
            Self::Fetched(what) => {
                format!("a policy that lets {what} come from any host, and data leave by them")
            }
            Self::InlineStyles => "a policy that lets inline styles in".to_owned(),
            Self::ShortNonce => "a policy whose nonce can be guessed".to_owned(),
            Self::OldNonce => "a policy whose nonce is the same in two answers".to_owned(),
        }
    }

    pub(in crate::checks) fn fix(self) -> String {
        match self {
            Self::NoPolicy => "send `Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src \
                 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'` with every page"
                .to_owned(),
            Self::InlineScripts => {
                "take `'unsafe-inline'` out of `script-src` and move scripts into files, or give each a nonce".to_owned()
            }
            Self::ForeignScripts => {
                "name in `script-src` your own hosts alone: no scheme, no wildcard, no host that serves everybody's files"
                    .to_owned()
            }
            Self::Eval => "take `'unsafe-eval'` out of `script-src`".to_owned(),
            Self::Plugins => "add `object-src 'none'`".to_owned(),
            Self::Base => "add `base-uri 'none'`; `default-src` does not cover it".to_owned(),
            Self::Forms => "add `form-action 'self'`; `default-src` does not cover it".to_owned(),
            Self::Fetched(what) => format!("name for {what} your own hosts alone: no scheme and no wildcard"),
            Self::InlineStyles => "take `'unsafe-inline'` out of `style-src` and move styles into files".to_owned(),
            Self::ShortNonce => "make each nonce of 16 random bytes".to_owned(),
            Self::OldNonce => "make a new nonce for every answer, and keep pages that bear one out of caches".to_owned(),
        }
    }
}

/// One policy: its directives, each with its sources in lower case but for nonces.
#[derive(Debug)]
struct Policy(BTreeMap<String, Vec<String>>);

impl Policy {
    fn read(text: &str) -> Self {
        let mut directives = BTreeMap::new();
        for part in text.split(';') {
            let mut words = part.split_ascii_whitespace();
            let Some(name) = words.next() else { continue };
            // Of two with one name the first counts.
            directives.entry(name.to_ascii_lowercase()).or_insert_with(|| words.map(str::to_owned).collect());
        }
        Self(directives)
    }

    /// What the nearest of these directives lists; none where nothing decides and everything is allowed.
    fn nearest(&self, names: &[&str]) -> Option<Sources<'_>> {
        names.iter().find_map(|name| self.0.get(*name)).map(|sources| Sources(sources))
    }

    /// Whether these directives let something happen that the sources judge.
    fn lets(&self, names: &[&str], judge: impl Fn(Sources<'_>) -> bool) -> bool {
        self.nearest(names).is_none_or(judge)
    }
}

#[derive(Debug, Clone, Copy)]
struct Sources<'p>(&'p [String]);

impl Sources<'_> {
    fn has(self, keyword: &str) -> bool {
        self.0.iter().any(|source| source.eq_ignore_ascii_case(keyword))
    }

    /// A nonce or a hash makes browsers ignore `unsafe-inline`.
    fn inline_styles(self) -> bool {
        self.has("'unsafe-inline'") && !self.0.iter().any(|source| is_pinned(source))
    }

    /// For scripts `strict-dynamic` does too.
    fn inline_scripts(self) -> bool {
        self.inline_styles() && !self.has("'strict-dynamic'")
    }

    /// Whether anybody's host is among them.
    fn foreign(self) -> bool {
        self.0.iter().any(|source| is_anybodys(source))
    }

    fn foreign_scripts(self) -> bool {
        if self.has("'strict-dynamic'") {
            return false;
        }
        let generated = ["data:", "blob:", "filesystem:", "mediastream:"];
        self.foreign()
            || generated.iter().any(|scheme| self.has(scheme))
            || self.0.iter().any(|source| is_of_everybody(host(&source.to_ascii_lowercase())))
    }

    fn nothing(self) -> bool {
        self.0.iter().all(|source| source.eq_ignore_ascii_case("'none'"))
    }
}

/// The host of a source, without scheme, port and path.
fn host(source: &str) -> &str {
    let rest = source.split_once("://").map_or(source, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}

/// Whether a source is a nonce or a hash as browsers read them; they pass over one that is not well formed.
fn is_pinned(source: &str) -> bool {
    let inner = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let Some((kind, value)) = inner.and_then(|inner| inner.split_once('-')) else { return false };
    let digits = value.trim_end_matches('=');
    ["nonce", "sha256", "sha384", "sha512"].iter().any(|known| kind.eq_ignore_ascii_case(known))
        && !digits.is_empty()
        && value.len() - digits.len() <= 2
        && digits.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_'))
}

/// Whether a host, or one that a wildcard stands for, serves scripts of everybody.
fn is_of_everybody(host: &str) -> bool {
    match host.strip_prefix('*') {
        Some(end) if end.starts_with('.') => OF_EVERYBODY.iter().any(|known| known.ends_with(end)),
        _ => OF_EVERYBODY.contains(&host),
    }
}

/// Whether a source covers hosts that anybody can have: a whole scheme, everything, or a whole top-level domain.
fn is_anybodys(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    if ["http:", "https:", "ws:", "wss:"].contains(&source.as_str()) {
        return true;
    }
    let host = host(&source);
    host == "*" || host.strip_prefix("*.").is_some_and(|rest| !rest.contains('.') && rest != "localhost")
}

fn policies(headers: &HeaderMap) -> Vec<Policy> {
    let texts = headers.get_all(CONTENT_SECURITY_POLICY).iter().filter_map(|value| value.to_str().ok());
    let texts = texts.flat_map(|text| text.split(','));
    texts.map(Policy::read).filter(|policy| !policy.0.is_empty()).collect()
}

/// The nonces that an answer's policies name.
pub(in crate::checks) fn nonces(headers: &HeaderMap) -> BTreeSet<String> {
    let policies = policies(headers);
    let sources = policies.iter().flat_map(|policy| policy.0.values().flatten());
    let nonces = sources.filter(|source| source.to_ascii_lowercase().starts_with("'nonce-"));
    nonces.filter_map(|source| source.get(7..).map(|nonce| nonce.trim_end_matches('\'').to_owned())).collect()
}

/// Whether an answer has a policy at all.
pub(in crate::checks) fn stands(headers: &HeaderMap) -> bool {
    !policies(headers).is_empty()
}

/// Whether the policies of one answer let scripts in that are not the page's own, or objects of anybody's.
pub(in crate::checks) fn lets_scripts_in(headers: &HeaderMap) -> bool {
    let of_scripts = |gap: &Gap| matches!(gap, Gap::InlineScripts | Gap::ForeignScripts | Gap::Eval);
    let objects = |policy: &Policy| policy.lets(&["object-src", "default-src"], |sources| sources.foreign());
    gaps(headers).iter().any(of_scripts) || policies(headers).iter().all(objects)
}

/// Whether the policies of one answer let anybody frame it; none when no policy says who may.
pub(in crate::checks) fn lets_anyone_frame(headers: &HeaderMap) -> Option<bool> {
    let policies = policies(headers);
    let mut said = policies.iter().filter_map(|policy| policy.nearest(&["frame-ancestors"])).peekable();
    said.peek()?;
    Some(said.all(|sources| sources.foreign()))
}

/// Everything that the policies of one answer let happen together.
pub(in crate::checks) fn gaps(headers: &HeaderMap) -> Vec<Gap> {
    let policies = policies(headers);
    if policies.is_empty() {
        return vec![Gap::NoPolicy];
    }
    let all_let = |names: &[&str], judge: fn(Sources<'_>) -> bool| {
        policies.iter().all(|policy| policy.lets(names, judge))
    };
    let elements = ["script-src-elem", "script-src", "default-src"];
    let handlers = ["script-src-attr", "script-src", "default-src"];
    let mut gaps = Vec::new();
    let mut rule = |gap, holds: bool| gaps.extend(holds.then_some(gap));
    rule(
        Gap::InlineScripts,
        all_let(&elements, |sources| sources.inline_scripts())
            || all_let(&handlers, |sources| sources.inline_scripts()),
    );
    rule(Gap::ForeignScripts, all_let(&elements, |sources| sources.foreign_scripts()));
    rule(Gap::Eval, all_let(&["script-src", "default-src"], |sources| sources.has("'unsafe-eval'")));
    rule(Gap::Plugins, all_let(&["object-src", "default-src"], |sources| !sources.nothing()));
    rule(Gap::Base, all_let(&["base-uri"], |sources| sources.foreign()));
    rule(Gap::Forms, all_let(&["form-action"], |sources| sources.foreign()));
    for (what, names) in FETCHED {
        rule(Gap::Fetched(what), all_let(names, |sources| sources.foreign()));
    }
    let styles =
        [["style-src-elem", "style-src", "default-src"], ["style-src-attr", "style-src", "default-src"]];
    rule(Gap::InlineStyles, styles.iter().any(|names| all_let(names, |sources| sources.inline_styles())));
    rule(Gap::ShortNonce, nonces(headers).iter().any(|nonce| nonce.len() < SHORTEST_NONCE));
    gaps
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Gap, gaps, lets_scripts_in, nonces};

    fn headers(policies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for policy in policies {
            headers.append("content-security-policy", policy.parse().unwrap());
        }
        headers
    }

    const STRICT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'";

    #[test]
    fn a_strict_policy_has_no_gap() {
        for strict in [
            STRICT.to_owned(),
            format!("{STRICT}; script-src *"),
            STRICT.replace(
                "script-src 'self'",
                "script-src 'nonce-AAAAAAAAAAAAAAAAAAAAAA' 'unsafe-inline' 'strict-dynamic' https:",
            ),
            STRICT.replace("style-src 'self'", "style-src 'unsafe-inline' 'sha256-AAAA+/-_BBBB=='"),
            STRICT.replace("script-src 'self'", "script-src 'SHA512-AAAA' 'unsafe-inline' *.cdn.bot.example"),
            STRICT.replace("script-src 'self'", "SCRIPT-SRC https://static.bot.example/js/"),
            STRICT.replace("img-src 'self'", "img-src *.bot.example"),
        ] {
            assert_eq!(gaps(&headers(&[&strict])), [], "{strict}");
        }
    }

    #[test]
    fn each_looseness_is_a_gap() {
        let with = |from: &str, to: &str| gaps(&headers(&[&STRICT.replace(from, to)]));
        for (from, to, gap) in [
            ("script-src 'self'", "script-src 'self' 'unsafe-inline'", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'self'; script-src-attr 'unsafe-inline'", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'self'; script-src-elem https:", Gap::ForeignScripts),
            ("script-src 'self'", "script-src 'self' data:", Gap::ForeignScripts),
            ("script-src 'self'", "script-src 'self' https://unpkg.com", Gap::ForeignScripts),
            ("script-src 'self'", "script-src 'self' *.com", Gap::ForeignScripts),
            ("script-src 'self'", "script-src 'self' https://*.jsdelivr.net:443/npm/", Gap::ForeignScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' 'sha256-AAAA", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' sha256-AAAA", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' 'sha256-'", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' 'sha256-A==='", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' 'sha384-A=A'", Gap::InlineScripts),
            ("script-src 'self'", "script-src 'unsafe-inline' 'sha1-AAAA'", Gap::InlineScripts),
            (
                "script-src 'self'",
                "script-src 'unsafe-inline' 'nonce-{{nonce-of-this-answer}}'",
                Gap::InlineScripts,
            ),
            ("script-src 'self'", "script-src 'self' 'unsafe-eval'", Gap::Eval),
            ("default-src 'none'", "default-src 'none'; object-src 'self'", Gap::Plugins),
            ("base-uri 'none'", "", Gap::Base),
            ("form-action 'self'", "", Gap::Forms),
            ("form-action 'self'", "form-action https:", Gap::Forms),
            ("img-src 'self'", "img-src *", Gap::Fetched("images")),
            ("img-src 'self'", "img-src https://*:443", Gap::Fetched("images")),
            ("connect-src 'self'", "connect-src 'self' wss:", Gap::Fetched("requests of scripts")),
            ("style-src 'self'", "style-src 'self' 'unsafe-inline'", Gap::InlineStyles),
            ("style-src 'self'", "style-src 'unsafe-inline' 'strict-dynamic'", Gap::InlineStyles),
            ("script-src 'self'", "script-src 'nonce-1234'", Gap::ShortNonce),
        ] {
            assert_eq!(with(from, to), [gap], "{to}");
        }
        assert_eq!(gaps(&headers(&[])), [Gap::NoPolicy]);
        assert_eq!(gaps(&headers(&["", " , ;"])), [Gap::NoPolicy]);
        assert!(gaps(&headers(&["frame-ancestors 'none'"])).contains(&Gap::InlineScripts));
    }

    #[test]
    fn a_policy_that_lets_scripts_or_objects_in_is_told_from_one_that_lets_data_out() {
        for lax in [
            "default-src *",
            "script-src 'self' 'unsafe-inline'; object-src 'none'",
            "script-src 'self' 'Unsafe-Inline'; object-src 'none'",
            "default-src 'self'; script-src https:",
            "default-src 'self'; script-src https://*",
            "default-src 'self'; script-src 'self'; script-src-elem * 'unsafe-inline'",
            "default-src 'self'; object-src https://*",
            "script-src 'self'",
            "img-src 'self'",
            "default-src 'self' 'unsafe-eval'",
        ] {
            assert!(lets_scripts_in(&headers(&[lax])), "{lax}");
        }
        for strict in [
            "default-src 'self'",
            "default-src 'none'; script-src 'self' 'nonce-r4nd0m' 'unsafe-inline'",
            "default-src 'self'; img-src *",
        ] {
            assert!(!lets_scripts_in(&headers(&[strict])), "{strict}");
        }
    }

    #[test]
    fn what_one_of_several_policies_forbids_is_forbidden() {
        let loose = "script-src * 'unsafe-inline' 'unsafe-eval'";
        assert_eq!(gaps(&headers(&[loose, STRICT])), []);
        assert_eq!(gaps(&headers(&[&format!("{loose}, {STRICT}")])), []);
    }

    #[test]
    fn nonces_keep_their_letters() {
        let found = nonces(&headers(&["script-src 'nonce-AbC'; style-src 'nonce-xyz'"]));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["AbC", "xyz"]);
    }
}
