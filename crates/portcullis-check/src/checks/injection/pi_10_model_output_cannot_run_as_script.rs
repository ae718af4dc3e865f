//! PI-10.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};

use super::alarms::{self, Looks};
use crate::check::{cases, check};
use crate::checks::canary::Leaks;
use crate::checks::deployment;
use crate::checks::markup::policy::{self, Gap};
use crate::checks::markup::{opens_as_page, reflected, sinks::Sink, stored};
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{Auth, Effect, Route, RouteKind, Target, Wording};

check! {
    /// ## What it checks
    /// Puts 53 texts in wherever pages show what somebody wrote (`[[display]]`), has the model say each of them, and
    /// sends others with requests whose answers may repeat them: in what paths and queries name, in parameters that there are
    /// not, in paths that are not there and in wrong bodies. Every page is then read with a browser's parser. No text may
    /// have become a script, an event handler, an address that runs, a frame, a form, a style, a redirect, a base or a
    /// name; nothing of a host of the text's choice may be fetched; what the model says may lead to no such host either. An
    /// answer that is no page and repeats a text must not be guessed to be one. Every page's Content-Security-Policy must
    /// let no inline or foreign script run and nothing be fetched from or sent to any host, by images, styles, forms or
    /// scripts, and a nonce must be another one in each answer. A harmless text that is as long must be seen to its end on
    /// each page in the same run, and of elements, of quotes that end an attribute and of Markdown at least one text must come to
    /// each page as it was written, or a harmless one be rendered: what is refused or taken out before shows nothing about a page.
    /// Where the target counts questions that hold markup or script (`[alarms]`), each must be counted, and questions about
    /// such things must not.
    /// ## Why it matters
    /// What the model says is what somebody wrote who wanted it said. If a page runs it, that somebody acts as the member who
    /// reads it; if a page fetches an image for it, the address carries the conversation out.
    /// ## How to fix
    /// Escape every text where it is put into a page. Render answers from an allow-list of elements, without images and
    /// with the targets of links judged. Send a policy that names your own hosts alone, for every directive.
    /// ## Limits
    /// Where a page renders harmless texts, one that drops what would do something is not told from a filter in front of it
    /// that takes out the same. Where every bare address is taken out before, nothing is seen of what a page makes of one; the
    /// result tells how many texts came changed. Routes that one identity alone may ask, and those that answer no pages, are sent two of the texts.
    /// Pages are read as they are sent. What scripts of a page do with a text afterwards is not seen; a page that scripts put
    /// together makes the check inconclusive. A policy in a `meta` element does not count. Texts within a page's own script are
    /// not judged. Whether a host of the policy's list serves scripts of others is known for a few hosts only.
    id: "PI-10", title: "Model output cannot run as script",
    area: Injection, severity: High, since: "0.1.0",
    needs: [Identity, Routes, Displays], touches: Writes,
    maps: ["LLM05:2025 Improper Output Handling", "API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "no-csp",
        "csp-unsafe-inline",
        "csp-images-from-anywhere",
        "csp-forms-to-anywhere",
        "csp-base-may-be-moved",
        "csp-nonce-never-changes",
        "page-shows-titles-raw",
        "page-shows-answers-raw",
        "page-shows-images-of-answers",
        "page-takes-any-address-for-a-link",
        "page-takes-addresses-in-brackets-for-links",
        "page-takes-bare-addresses-for-links",
        "page-follows-references",
        "page-shows-images-by-reference",
        "page-frames-titles-raw",
        "page-repeats-what-was-searched-for",
        "errors-are-sent-as-pages",
        "nobody-is-told-of-scripts",
        "every-question-is-an-alarm",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "stage-refuses-everything"],
}

/// By what is wrong with policies: where.
type Gaps = BTreeMap<Gap, Vec<(String, usize)>>;

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let control = deployment::tells_members_from_strangers(probe).await?;
    let mut findings = Vec::new();
    let mut doubts = Vec::new();
    let mut controls = vec![control];
    let mut gaps = Gaps::new();
    let (mut arrived, mut refused, mut changed) = (0, 0, 0);
    let mut leaks: Leaks<(Sink, String, String)> = Leaks::none();
    for (word, wording) in Wording::ALL {
        if !target.displays.iter().any(|display| display.wording == wording) {
            doubts.push(format!(
                "no page is known that shows what the {word} says: add [[display]] with `by = \"{word}\"`"
            ));
        }
    }
    for display in &target.displays {
        let put = stored::put_all(probe, &target, display).await?;
        for page in &put.pages {
            note(&mut gaps, &page.line, &page.seen.headers, page.seen.number());
            for sink in &page.sinks {
                let key = (*sink, page.line.clone(), display.what.clone());
                leaks.add(key, page.seen.number(), format!("`{}`", page.bait));
            }
        }
        arrived += put.arrived;
        refused += put.refused;
        changed += put.changed;
        doubts.extend(put.doubts);
        match put.control {
            Some(control) => controls.push(control),
            None => doubts.push(format!("a harmless text never came to where {} is shown", display.what)),
        }
        if put.arrived == 0 {
            doubts.push(format!(
                "every text was refused or changed for {}, so that none came to a page",
                display.what
            ));
        }
    }
    findings.extend(leaks.into_findings(|(sink, line, what), first| {
        let fix =
            format!("escape {what} in {line}, or render it from an allow-list of elements and addresses");
        (format!("{line} makes {} of {what}: {first}", sink.words()), fix)
    }));
    let repeated = reflected::ask_all(probe, &target).await?;
    findings.extend(repeated.findings);
    doubts.extend(repeated.doubts);
    for (line, headers, number) in &repeated.pages {
        note(&mut gaps, line, headers, *number);
    }
    findings.extend(alarms::judge(probe, &target, Looks::LikeScript, &mut doubts).await?);
    let pages = open_pages(probe, &target, &mut gaps, &mut doubts).await?;
    findings.extend(gaps.into_iter().map(|(gap, places)| of_gap(gap, &places)));
    probe.observe("texts that came back at once", &format!("{} of {}", repeated.repeated, repeated.asked));
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        // What did not come back shows nothing about a page.
        let all = arrived + repeated.repeated;
        let what = format!(
            "texts did nothing on the pages that showed them, {changed} more came without what would do something, {refused} were \
             refused, and {pages} pages have policies that would stop them"
        );
        let shown = "a harmless text comes to every page, and strangers are refused";
        Ok((Coverage::complete(all, all, what)?, PositiveControl::all(controls, shown)?))
    })
}

fn note(gaps: &mut Gaps, line: &str, headers: &HeaderMap, number: usize) {
    for gap in policy::gaps(headers) {
        let places = gaps.entry(gap).or_default();
        if places.iter().all(|(known, _)| known != line) {
            places.push((line.to_owned(), number));
        }
    }
}

fn of_gap(gap: Gap, places: &[(String, usize)]) -> Finding {
    let listed = places.iter().take(4).map(|(place, _)| place.as_str()).collect::<Vec<_>>().join(", ");
    let more = if places.len() > 4 { format!(" and {} more", places.len() - 4) } else { String::new() };
    Finding::new(format!("{} on {listed}{more}", gap.words()), gap.fix())
        .shown_by(places.iter().map(|(_, number)| *number))
}

/// Opens every page of the inventory twice; a nonce is another one each time.
async fn open_pages(
    probe: &mut Probe,
    target: &Target,
    gaps: &mut Gaps,
    doubts: &mut Vec<String>,
) -> Result<usize, Inconclusive> {
    let is_page = |route: &&Route| {
        matches!(route.kind, RouteKind::Page | RouteKind::Login)
            && route.method == Method::GET
            && route.effect == Effect::Reads
    };
    let mut opened = 0;
    for route in target.routes().into_iter().filter(is_page) {
        let call = match deployment::asker(probe, target, route) {
            Some(identity) if route.auth == Auth::Required => Call::by(target, route, identity)?,
            _ => Call::to(target, route, "")?,
        };
        let (first, second) = (probe.send(call.clone()).await?, probe.send(call).await?);
        if !first.status.is_success() || !opens_as_page(&first) {
            doubts.push(format!("{} was answered {}, a page was wanted", route.line(), first.says()));
            continue;
        }
        opened += 1;
        note(gaps, &route.line(), &first.headers, first.number());
        let (one, other) = (policy::nonces(&first.headers), policy::nonces(&second.headers));
        if one.intersection(&other).next().is_some() {
            gaps.entry(Gap::OldNonce).or_default().push((route.line(), second.number()));
        }
    }
    if opened == 0 && target.lacks("pages").is_none() {
        doubts.push(
            "no page to look at: add a [[route]] with `kind = \"page\"`, or declare that there are none"
                .to_owned(),
        );
    }
    Ok(opened)
}
