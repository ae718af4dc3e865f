//! EDGE-07.

use std::collections::BTreeMap;

use http::Method;

use super::headers::{self, Fault, Subject};
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Effect, Route, RouteKind, Target};

check! {
    /// ## What it checks
    /// Grades the security headers of every page of the inventory, the sign-in page, an asset, an answer of the API, and two
    /// errors: an unknown path and a refusal. From 100 points it takes 25 for a missing Content-Security-Policy, 20 for one
    /// that lets inline or foreign scripts run, 20 for pages that others may frame, 20 for missing HSTS over TLS, 15 for
    /// missing `nosniff`, 5 each for missing Referrer-Policy, Permissions-Policy and Cross-Origin-Opener-Policy, and 50 when
    /// the API lets any origin read with credentials. Each must keep 90.
    /// ## Why it matters
    /// They are the second line when a model's answer carries a script, and the first against pages that frame the chat.
    /// ## How to fix
    /// Set them in one place for all answers, errors included (`always` in nginx), and allow origins from a list.
    /// ## Limits
    /// Over plain HTTP on loopback HSTS is not judged. Whether the policy fits what the pages load is not seen from outside.
    /// Assets and API answers are sampled, pages are not.
    id: "EDGE-07", title: "Security headers are in place",
    area: Edge, severity: Medium, since: "0.1.0",
    needs: [Identity, Routes], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "no-csp",
        "csp-unsafe-inline",
        "no-frame-protection",
        "frames-allowed-by-policy",
        "no-nosniff",
        "cors-reflects",
        "no-headers-on-errors",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A path that no deployment has.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";
/// Score wanted of each sample, out of 100.
const WANTED: u32 = 90;

struct Sample {
    what: String,
    subject: Subject,
    seen: Seen,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut doubts = Vec::new();
    let mut samples = Vec::new();
    let control = sample_api(probe, &target, &mut samples).await?;
    sample_errors(probe, &target, &mut samples, &mut doubts).await?;
    sample_pages(probe, &target, &mut samples, &mut doubts).await?;
    let over_tls = target.base_url.scheme_str() == Some("https");
    let judge_hsts = over_tls || !target.is_on_loopback();
    let mut faults: BTreeMap<Fault, Vec<(String, usize)>> = BTreeMap::new();
    for sample in &samples {
        let found = headers::grade(&sample.seen, sample.subject, judge_hsts);
        let score = 100u32.saturating_sub(found.iter().map(|fault| fault.points()).sum());
        probe.observe(&format!("headers of {}", sample.what), &format!("{score} of 100"));
        if score < WANTED {
            for fault in found {
                faults
                    .entry(fault)
                    .or_default()
                    .push((format!("{} ({score})", sample.what), sample.seen.number()));
            }
        }
    }
    let findings: Vec<Finding> = faults.into_iter().map(|(fault, places)| finding(fault, &places)).collect();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!("sampled answers score {WANTED} or more");
        Ok((Coverage::complete(samples.len(), samples.len(), what)?, control))
    })
}

fn finding(fault: Fault, places: &[(String, usize)]) -> Finding {
    let listed = places.iter().take(4).map(|(place, _)| place.as_str()).collect::<Vec<_>>().join(", ");
    let more = if places.len() > 4 { format!(" and {} more", places.len() - 4) } else { String::new() };
    Finding::new(format!("{} on {listed}{more}", fault.seen()), fault.fix())
        .shown_by(places.iter().map(|(_, number)| *number))
}

/// An answer of the API to its member, asked as a script of a foreign origin would ask.
async fn sample_api(
    probe: &mut Probe,
    target: &Target,
    samples: &mut Vec<Sample>,
) -> Result<PositiveControl, Inconclusive> {
    let mut why = Inconclusive::because(
        "no protected API route that only reads is known: add [[route]] to target.toml",
    );
    let mut control = None;
    for route in deployment::readable(target) {
        // The chat costs money and is asked only when there is nothing else.
        let is_chat = route.is_same(&target.chat.route);
        if route.kind != RouteKind::Api || is_chat && control.is_some() {
            continue;
        }
        let Some(identity) = deployment::asker(probe, target, &route) else { continue };
        let call = Call::by(target, &route, identity)?.header("Origin", headers::FOREIGN_ORIGIN)?;
        let seen = probe.send(call).await?;
        match PositiveControl::from_success(&seen, format!("{} answers `{}`", route.line(), identity.name)) {
            Ok(shown) if matches!(seen.kind(), Kind::Json | Kind::Other) => {
                control.get_or_insert(shown);
                samples.push(Sample { what: route.line(), subject: Subject::Api, seen });
            }
            Ok(_) => {
                let says = seen.says();
                why = Inconclusive::because(format!("{} answered {says}, data was wanted", route.line()));
            }
            Err(reason) => why = reason,
        }
    }
    control.ok_or(why)
}

/// An unknown path and a refusal: headers that are set by handlers are missing there.
async fn sample_errors(
    probe: &mut Probe,
    target: &Target,
    samples: &mut Vec<Sample>,
    doubts: &mut Vec<String>,
) -> Result<(), Inconclusive> {
    let mut errors = vec![("an unknown path".to_owned(), Call::new(Method::GET, UNKNOWN_PATH))];
    let protected = deployment::readable(target);
    if let Some(route) = protected.first() {
        let community =
            deployment::asker(probe, target, route).map_or("", |identity| identity.community.as_str());
        let call = Call::to(target, route, community)?.header("Origin", headers::FOREIGN_ORIGIN)?;
        errors.push((format!("a refusal of {}", route.line()), call));
    }
    for (what, call) in errors {
        let seen = probe.send(call).await?;
        match seen.kind() {
            Kind::Firewall => doubts.push(format!("{what} was answered by a firewall")),
            _ if seen.status.is_client_error() => {
                let is_page = matches!(seen.kind(), Kind::Html | Kind::Shell | Kind::SignIn);
                let subject = if is_page { Subject::Page } else { Subject::Api };
                samples.push(Sample { what, subject, seen });
            }
            // Whether a refusal is one is AUTH-01's to say; as a page its headers count all the same.
            Kind::SignIn if what.starts_with("a refusal") => {
                samples.push(Sample { what, subject: Subject::Page, seen });
            }
            _ if what.starts_with("a refusal") && seen.status.is_success() && seen.kind() == Kind::Json => {
                samples.push(Sample { what, subject: Subject::Api, seen });
            }
            _ => doubts.push(format!("{what} was answered {}, an error was wanted", seen.says())),
        }
    }
    Ok(())
}

/// Every page, the sign-in page, and the assets.
async fn sample_pages(
    probe: &mut Probe,
    target: &Target,
    samples: &mut Vec<Sample>,
    doubts: &mut Vec<String>,
) -> Result<(), Inconclusive> {
    let kinds = [
        (RouteKind::Page, "pages", Subject::Page),
        (RouteKind::Login, "login", Subject::Page),
        (RouteKind::Asset, "assets", Subject::Asset),
    ];
    for (kind, feature, subject) in kinds {
        let routes: Vec<Route> = target
            .routes()
            .into_iter()
            .filter(|route| {
                route.kind == kind && route.method == Method::GET && route.effect == Effect::Reads
            })
            .cloned()
            .collect();
        if routes.is_empty() {
            match target.lacks(feature) {
                Some(lacks) => {
                    let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                    probe.observe(&format!("a sample of {feature}"), &said);
                }
                None => doubts.push(format!(
                    "no {feature} to look at: add a [[route]] with `kind = \"{}\"`, or declare that there are none",
                    feature.trim_end_matches('s')
                )),
            }
        }
        for route in routes {
            let call = match deployment::asker(probe, target, &route) {
                Some(identity) if route.auth == Auth::Required => Call::by(target, &route, identity)?,
                _ => Call::to(target, &route, "")?,
            };
            let seen = probe.send(call).await?;
            if seen.status.is_success() && is_of_kind(kind, seen.kind()) {
                samples.push(Sample { what: route.line(), subject, seen });
            } else {
                doubts.push(format!(
                    "{} was answered {}, {} was wanted",
                    route.line(),
                    seen.says(),
                    if kind == RouteKind::Asset { "an asset" } else { "a page" }
                ));
            }
        }
    }
    Ok(())
}

const fn is_of_kind(wanted: RouteKind, kind: Kind) -> bool {
    match wanted {
        RouteKind::Page => matches!(kind, Kind::Html | Kind::Shell),
        RouteKind::Login => matches!(kind, Kind::Html | Kind::Shell | Kind::SignIn),
        RouteKind::Asset => matches!(kind, Kind::Other | Kind::Json),
        RouteKind::Api | RouteKind::Live | RouteKind::Ready => true,
    }
}
