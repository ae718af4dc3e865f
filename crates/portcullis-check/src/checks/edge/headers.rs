//! The rules of EDGE-07, one by one.

use http::HeaderMap;
use http::header::X_FRAME_OPTIONS;

use crate::checks::markup::policy;
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
    if subject == Subject::Page {
        let policy = policy::stands(&seen.headers);
        rule(Fault::NoPolicy, policy);
        rule(Fault::LaxPolicy, !policy || !policy::lets_scripts_in(&seen.headers));
        rule(Fault::Frameable, !is_frameable(&seen.headers));
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

/// Whether other sites may frame a page. Browsers pass over `X-Frame-Options` where a policy says who may.
fn is_frameable(headers: &HeaderMap) -> bool {
    let by_header = || {
        let frame = headers.get(X_FRAME_OPTIONS).and_then(|value| value.to_str().ok()).unwrap_or_default();
        !matches!(frame.trim().to_lowercase().as_str(), "deny" | "sameorigin")
    };
    policy::lets_anyone_frame(headers).unwrap_or_else(by_header)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::is_frameable;

    #[test]
    fn the_old_header_counts_only_where_no_policy_says_who_may_frame() {
        let with = |policies: &[&str], frame: &str| {
            let mut headers = HeaderMap::new();
            for policy in policies {
                headers.append("content-security-policy", policy.parse().unwrap());
            }
            headers.insert("x-frame-options", frame.parse().unwrap());
            is_frameable(&headers)
        };
        for (policies, frame) in [
            (&["frame-ancestors *"][..], "DENY"),
            (&["frame-ancestors https://*"], "DENY"),
            (&["default-src 'self'; frame-ancestors https:"], "SAMEORIGIN"),
            (&["frame-ancestors *, frame-ancestors http://*:80"], "DENY"),
            (&["default-src 'none'"], ""),
            (&[], "ALLOWALL"),
        ] {
            assert!(with(policies, frame), "{policies:?} {frame}");
        }
        for (policies, frame) in [
            (&["frame-ancestors 'none'"][..], ""),
            (&["frame-ancestors"], ""),
            (&["frame-ancestors *", "FRAME-ANCESTORS 'self' https://host.example"], ""),
            (&["default-src 'none'"], "Deny"),
            (&[], "sameorigin"),
        ] {
            assert!(!with(policies, frame), "{policies:?} {frame}");
        }
    }
}
