//! EDGE-01.

use std::collections::BTreeSet;

use http::{Method, Uri};
use portcullis_egress::Kind as Why;
use serde_json::json;

use super::hops::{MOST_HOPS, Spot};
use super::places::{self, Faults, Site};
use crate::check::{cases, check};
use crate::checks::saying::gist;
use crate::classify::Kind;
use crate::outcome::{Coverage, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Certificates, Probe, ProbeError, Seen};
use crate::target::{Route, Target};

check! {
    /// ## What it checks
    /// Asks every address of every host over plain HTTP for the path of every known route, for `/` and for a path that does
    /// not exist, and sends an empty JSON object to the chat, to `/` and to that path. Each must be answered with 301 or 308,
    /// and lead to HTTPS on the same host in at most 2 redirects, without a way back. Anything that is served in plain, a
    /// page that redirects by itself, 302, 303 and 307, another host and a loop fail. A POST may also be refused with 403,
    /// 405 or 426, unless the application answers it over HTTPS in the same words. Where port 80 is closed, HTTPS must answer
    /// at the same address. No credential, id or question is sent in plain.
    /// ## Why it matters
    /// One request in plain is enough to read a session, or to send a member to somebody else's page.
    /// ## How to fix
    /// Redirect everything in one place, before any route: nginx, in the server on port 80 and with nothing else in it,
    /// `return 308 https://$host$request_uri;`.
    /// ## Limits
    /// It looks from this machine only: a port that is closed here may be open to others. Hosts that the target file does not
    /// name are not seen, nor are paths outside the list of routes. HSTS is judged by EDGE-07, the certificate by EDGE-02.
    id: "EDGE-01", title: "HTTPS is forced everywhere",
    area: Edge, severity: Critical, since: "0.1.0",
    needs: [Edge, Routes], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "http-serves-the-application",
        "http-serves-the-api",
        "http-serves-posts",
        "http-serves-posts-with-ids",
        "http-redirects-for-now",
        "http-redirects-elsewhere",
        "http-redirects-by-page",
        "http-takes-three-hops",
        "https-redirects-back",
        "second-address-serves-http",
    ],
    inconclusive_on: ["dead", "mute", "waf", "certificate-with-short-key"],
}

/// A path that no deployment has.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";
/// Stands for the values of path parameters: those of the target file stay out of plain requests.
const NOBODYS: &str = "portcullis-check";
const FIX: &str = "redirect every request on the plain port before any route. nginx: server { listen 80; listen [::]:80; \
                   server_name _; return 308 https://$host$request_uri; }";

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let sites = places::sites(probe).await?;
    let paths = paths(&target);
    let mut faults = Faults::default();
    let mut doubts = target.inventory.gaps.clone();
    let mut controls = Vec::new();
    let mut looked_at = 0;
    for site in &sites {
        let judged = judge_site(probe, &target, site, &paths, &mut faults, &mut doubts).await;
        match judged {
            Ok(looked) => looked_at += looked,
            Err(why) => doubts.push(format!("{}: {}", site.line(), why.reason())),
        }
        match places::answers(probe, site, Certificates::Any).await {
            Ok(control) => controls.push(control),
            Err(why) => doubts.push(format!("{} over HTTPS: {}", site.line(), why.reason())),
        }
    }
    let total = sites.len() * (paths.len() + posts(&target).len());
    Verdict::settle(probe.evidence(), faults.findings(), &doubts, || {
        let what = format!("plain requests to {} addresses of hosts lead to HTTPS or nowhere", sites.len());
        Ok((
            Coverage::complete(looked_at, total, what)?,
            PositiveControl::all(controls, "the application answers over TLS at every address")?,
        ))
    })
}

/// The paths to ask for: of all routes, the front page, and one that does not exist.
fn paths(target: &Target) -> Vec<String> {
    let filled = |route: &&Route| {
        let parts = route.path.split('/').map(|part| if part.starts_with('{') { NOBODYS } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let mut paths: BTreeSet<String> = target.routes().iter().map(filled).collect();
    paths.extend(["/".to_owned(), UNKNOWN_PATH.to_owned()]);
    paths.into_iter().collect()
}

fn posts(target: &Target) -> BTreeSet<String> {
    [target.chat.route.path.clone(), "/".to_owned(), UNKNOWN_PATH.to_owned()].into()
}

/// How many requests were looked at; all of them when the port is closed.
async fn judge_site(
    probe: &mut Probe,
    target: &Target,
    site: &Site,
    paths: &[String],
    faults: &mut Faults,
    doubts: &mut Vec<String>,
) -> Result<usize, Inconclusive> {
    let base = site.http()?;
    let posts = posts(target);
    let mut looked_at = 0;
    for path in paths {
        match follow(probe, site, Call::new(Method::GET, path.clone()), &base).await {
            Ok(End::Secure) => {}
            Ok(End::Doubt(why)) => doubts.push(format!("GET {path} of {}: {why}", site.line())),
            Ok(End::Wrong { what, number }) => {
                faults.add(
                    &format!("over plain HTTP, {what}"),
                    FIX,
                    &format!("GET {path} of {}", site.line()),
                    number,
                );
            }
            // Whether HTTPS answers at this address is asked in any case.
            Err(error) if looked_at == 0 && is_closed(&error) => {
                probe.observe(
                    &format!("port {} of {}", site.http_port, site.line()),
                    "closed, seen from this machine",
                );
                return Ok(paths.len() + posts.len());
            }
            Err(error) => return Err(error.into()),
        }
        looked_at += 1;
    }
    for path in posts {
        let mut call = Call::new(Method::POST, path.clone());
        call.body = Some(json!({}));
        let place = format!("POST {path} of {}", site.line());
        let seen = probe.send(call.clone().there(&base, site.address, Certificates::Any)).await?;
        if matches!(seen.status.as_u16(), 403 | 405 | 426) && seen.kind() != Kind::Firewall {
            let secure = probe.send(call.there(&site.https()?, site.address, Certificates::Any)).await?;
            let is_same = secure.status == seen.status && gist(&secure.body) == gist(&seen.body);
            if is_same && gist(&seen.body).is_empty() {
                doubts.push(format!(
                    "{place} was answered {} without a word in plain and over HTTPS, so nothing shows whether the application \
                     answered: redirect it, too",
                    seen.status.as_u16()
                ));
            } else if is_same {
                let what = "the application answers a POST as it does over HTTPS";
                faults.add(&format!("over plain HTTP, {what}"), FIX, &place, seen.number());
            }
        } else {
            match judge(&seen, &plainly(site, &path)) {
                Step::On(next) if next.secure && is_same(&next, site) => {}
                Step::On(_) | Step::End(End::Secure) => match follow(probe, site, call, &base).await? {
                    End::Secure => {}
                    End::Doubt(why) => doubts.push(format!("{place}: {why}")),
                    End::Wrong { what, number } => {
                        faults.add(&format!("over plain HTTP, {what}"), FIX, &place, number)
                    }
                },
                Step::End(End::Doubt(why)) => doubts.push(format!("{place}: {why}")),
                Step::End(End::Wrong { what, number }) => {
                    faults.add(&format!("over plain HTTP, {what}"), FIX, &place, number);
                }
            }
        }
        looked_at += 1;
    }
    Ok(looked_at)
}

fn is_closed(error: &ProbeError) -> bool {
    matches!(error, ProbeError::NoAnswer { why, .. } if why.kind() == Why::Refused)
}

/// Where a chain of redirects ended.
enum End {
    Secure,
    Wrong { what: String, number: usize },
    Doubt(String),
}

enum Step {
    On(Spot),
    End(End),
}

fn plainly(site: &Site, path: &str) -> Spot {
    Spot { secure: false, host: site.host.clone(), port: site.http_port, path: path.to_owned() }
}

fn is_same(spot: &Spot, site: &Site) -> bool {
    let port = if spot.secure { site.https_port } else { site.http_port };
    spot.host == site.host && spot.port == port
}

/// What an answer in plain means for the chain.
fn judge(seen: &Seen, at: &Spot) -> Step {
    let wrong = |what: String| Step::End(End::Wrong { what, number: seen.number() });
    match seen.status.as_u16() {
        301 | 308 => match at.follow(seen.header("location")) {
            Ok(next) => Step::On(next),
            Err(why) => wrong(format!("a redirect leads to {why}")),
        },
        status @ (302 | 303 | 307) => {
            wrong(format!("the redirect is one for now ({status}), 301 or 308 is wanted"))
        }
        _ if seen.kind() == Kind::Firewall => {
            Step::End(End::Doubt("a firewall answered: let the checker through".to_owned()))
        }
        200..=299 if refreshes(&seen.body) => {
            wrong("a page that redirects by itself is served, a redirect by status is wanted".to_owned())
        }
        status => {
            wrong(format!("{} is served with {status}, a redirect to HTTPS is wanted", seen.kind().name()))
        }
    }
}

/// Whether a page sends its reader elsewhere by itself.
fn refreshes(body: &str) -> bool {
    let lower: String = body.chars().take(20_000).collect::<String>().to_lowercase();
    let squeezed: String = lower.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).collect();
    squeezed.contains("http-equiv=refresh")
        || squeezed.contains("location=")
        || squeezed.contains("location.replace(")
}

/// Follows the redirects of a plain request until HTTPS, and looks whether HTTPS leads back.
async fn follow(probe: &mut Probe, site: &Site, call: Call, base: &Uri) -> Result<End, ProbeError> {
    let mut at = plainly(site, &call.path);
    let mut number = 0;
    for _ in 0..MOST_HOPS {
        let mut hop = call.clone();
        hop.path.clone_from(&at.path);
        let seen = probe.send(hop.there(base, site.address, Certificates::Any)).await?;
        number = seen.number();
        let next = match judge(&seen, &at) {
            Step::On(next) => next,
            Step::End(end) => return Ok(end),
        };
        if !is_same(&next, site) {
            return Ok(End::Wrong {
                what: format!("a redirect leads elsewhere, to {}", place_of(&next)),
                number,
            });
        }
        if next.secure {
            return leads_back(probe, site, &next).await;
        }
        at = next;
    }
    Ok(End::Wrong { what: format!("HTTPS is not reached in {MOST_HOPS} redirects"), number })
}

/// Scheme, host and port, without a path that may hold what the target said.
fn place_of(spot: &Spot) -> String {
    Spot { path: String::new(), ..spot.clone() }.url()
}

async fn leads_back(probe: &mut Probe, site: &Site, at: &Spot) -> Result<End, ProbeError> {
    let Ok(base) = site.https() else { return Ok(End::Doubt("the host is no host of a URL".to_owned())) };
    let call = Call::new(Method::GET, at.path.clone()).there(&base, site.address, Certificates::Any);
    let seen = probe.send(call).await?;
    let number = seen.number();
    if !seen.status.is_redirection() {
        return Ok(End::Secure);
    }
    Ok(match at.follow(seen.header("location")) {
        Ok(next) if !next.secure => {
            End::Wrong { what: format!("HTTPS leads back to plain HTTP, to {}", place_of(&next)), number }
        }
        Ok(next) if next == *at => End::Wrong { what: "HTTPS redirects to itself".to_owned(), number },
        _ => End::Secure,
    })
}

#[cfg(test)]
mod tests {
    use super::refreshes;

    #[test]
    fn a_page_that_redirects_by_itself_is_recognised() {
        for page in [
            "<meta http-equiv=\"Refresh\" content=\"0; url=https://bot.example/\">",
            "<script>window.location = 'https://bot.example/'</script>",
            "<script>location.replace('https://bot.example/')</script>",
        ] {
            assert!(refreshes(page), "{page}");
        }
        assert!(!refreshes("<p>The location of the meeting</p>"));
    }
}
