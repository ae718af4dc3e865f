//! The rules of EDGE-07, one by one.

use crate::probe::Seen;

/// An origin that no deployment trusts; `.invalid` is reserved (RFC 2606).
pub(super) const FOREIGN_ORIGIN: &str = "https://foreign-origin.invalid";
/// One year, in seconds.
const HSTS_SECONDS: u64 = 31_536_000;

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// HTML.
    Page,
    /// Data.
    Api,
    /// A script, style or image.
    Asset,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    NoPolicy,
    LaxPolicy,
    Frameable,
    NoHsts,
    Sniffable,
    NoReferrerPolicy,
    NoPermissionsPolicy,
    NoOpenerPolicy,
    ReflectsOrigin,
}

impl Fault {
    /// What it costs, out of 100.
    pub(super) const fn points(self) -> u32 {
        match self {
            Self::NoPolicy => 25,
            Self::LaxPolicy | Self::Frameable | Self::NoHsts => 20,
            Self::Sniffable => 15,
            Self::NoReferrerPolicy | Self::NoPermissionsPolicy | Self::NoOpenerPolicy => 5,
            Self::ReflectsOrigin => 50,
        }
    }

    pub(super) const fn seen(self) -> &'static str {
        match self {
            Self::NoPolicy => "Content-Security-Policy is missing",
            Self::LaxPolicy => "Content-Security-Policy lets inline or foreign scripts run",
            Self::Frameable => "other sites may frame the page",
            Self::NoHsts => "Strict-Transport-Security is missing or shorter than a year",
            Self::Sniffable => "X-Content-Type-Options: nosniff is missing",
            Self::NoReferrerPolicy => "Referrer-Policy is missing or lax",
            Self::NoPermissionsPolicy => "Permissions-Policy is missing",
            Self::NoOpenerPolicy => "Cross-Origin-Opener-Policy is missing",
            Self::ReflectsOrigin => "any origin may read with the member's credentials",
        }
    }

    pub(super) const fn fix(self) -> &'static str {
        match self {
            Self::NoPolicy | Self::LaxPolicy => {
                "nginx: add_header Content-Security-Policy \"default-src 'self'; script-src 'self'; object-src 'none'; \
                 base-uri 'none'; frame-ancestors 'none'\" always;"
            }
            Self::Frameable => {
                "add `frame-ancestors 'none'` to the Content-Security-Policy, or nginx: add_header X-Frame-Options \
                 DENY always;"
            }
            Self::NoHsts => "nginx: add_header Strict-Transport-Security \"max-age=31536000\" always;",
            Self::Sniffable => "nginx: add_header X-Content-Type-Options nosniff always;",
            Self::NoReferrerPolicy => "nginx: add_header Referrer-Policy no-referrer always;",
            Self::NoPermissionsPolicy => {
                "nginx: add_header Permissions-Policy \"camera=(), geolocation=(), microphone=()\" always;"
            }
            Self::NoOpenerPolicy => "nginx: add_header Cross-Origin-Opener-Policy same-origin always;",
            Self::ReflectsOrigin => {
                "answer Access-Control-Allow-Origin from a fixed list of origins; never repeat the Origin header"
            }
        }
    }
}

/// Everything that is wrong with an answer's headers.
pub(super) fn grade(seen: &Seen, subject: Subject, judge_hsts: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut rule = |fault: Fault, kept: bool| {
        if !kept {
            faults.push(fault);
        }
    };
    let policy = seen.header("content-security-policy");
    if subject == Subject::Page {
        rule(Fault::NoPolicy, !policy.is_empty());
        rule(Fault::LaxPolicy, policy.is_empty() || is_strict(policy));
        let by_policy = directive(policy, "frame-ancestors").is_some_and(|sources| {
            !sources.is_empty() && sources.iter().all(|source| !matches!(*source, "*" | "http:" | "https:"))
        });
        let frame = seen.header("x-frame-options").to_lowercase();
        rule(Fault::Frameable, by_policy || matches!(frame.as_str(), "deny" | "sameorigin"));
        let referrer = seen.header("referrer-policy").to_lowercase();
        let lax = ["", "unsafe-url", "no-referrer-when-downgrade", "origin"];
        rule(Fault::NoReferrerPolicy, !lax.contains(&referrer.as_str()));
        rule(Fault::NoPermissionsPolicy, !seen.header("permissions-policy").is_empty());
        let opener = seen.header("cross-origin-opener-policy").to_lowercase();
        rule(Fault::NoOpenerPolicy, opener.starts_with("same-origin"));
    }
    rule(Fault::Sniffable, seen.header("x-content-type-options").eq_ignore_ascii_case("nosniff"));
    rule(Fault::NoHsts, !judge_hsts || hsts_seconds(seen) >= HSTS_SECONDS);
    let allowed = seen.header("access-control-allow-origin");
    let with_credentials = seen.header("access-control-allow-credentials").eq_ignore_ascii_case("true");
    let reflects = allowed == FOREIGN_ORIGIN || allowed == "null" || allowed == "*" && with_credentials;
    rule(Fault::ReflectsOrigin, !reflects);
    faults
}

fn hsts_seconds(seen: &Seen) -> u64 {
    let header = seen.header("strict-transport-security").to_lowercase();
    let age = header.split(';').find_map(|part| part.trim().strip_prefix("max-age="));
    age.and_then(|seconds| seconds.trim_matches('"').parse().ok()).unwrap_or(0)
}

fn directive<'p>(policy: &'p str, name: &str) -> Option<Vec<&'p str>> {
    policy.split(';').find_map(|part| {
        let mut words = part.split_whitespace();
        words.next().filter(|word| word.eq_ignore_ascii_case(name))?;
        Some(words.collect())
    })
}

/// Whether scripts come only from where the policy names them.
fn is_strict(policy: &str) -> bool {
    let Some(scripts) = directive(policy, "script-src").or_else(|| directive(policy, "default-src")) else {
        return false;
    };
    // A nonce or a hash makes browsers ignore 'unsafe-inline'.
    let pinned = scripts.iter().any(|source| {
        ["'nonce-", "'sha256-", "'sha384-", "'sha512-"].iter().any(|start| source.starts_with(start))
    });
    let loose = scripts.iter().any(|source| match *source {
        "'unsafe-inline'" => !pinned,
        "'unsafe-eval'" | "*" | "http:" | "https:" | "data:" | "blob:" => true,
        _ => false,
    });
    let objects = directive(policy, "object-src").or_else(|| directive(policy, "default-src"));
    !loose && objects.is_some_and(|sources| !sources.contains(&"*"))
}

#[cfg(test)]
mod tests {
    use super::is_strict;

    #[test]
    fn a_policy_that_lets_scripts_in_is_not_strict() {
        for lax in [
            "default-src *",
            "script-src 'self' 'unsafe-inline'; object-src 'none'",
            "default-src 'self'; script-src https:",
            "script-src 'self'",
            "img-src 'self'",
            "default-src 'self' 'unsafe-eval'",
        ] {
            assert!(!is_strict(lax), "{lax}");
        }
        for strict in
            ["default-src 'self'", "default-src 'none'; script-src 'self' 'nonce-r4nd0m' 'unsafe-inline'"]
        {
            assert!(is_strict(strict), "{strict}");
        }
    }
}
