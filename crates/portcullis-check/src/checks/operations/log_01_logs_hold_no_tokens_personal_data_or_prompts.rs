//! LOG-01.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_core::secret::random_bytes;

use crate::check::{cases, check};
use crate::checks::belongings::random_text;
use crate::checks::canary;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Chat, Credential, Identity, Logged, Shown, Sink, Target, encode};

check! {
    /// ## What it checks
    /// Sends questions, streams, wrong credentials, broken bodies, unknown paths and headers that hold texts made for this run: a token, a mail
    /// address, a telephone number, a number of an identity card and a word of the question. One more question is the last of all.
    /// Then it reads every sink that is declared (`[[sink]]`: logs, audit, metrics, proxies, tracers) and the bodies of all errors:
    /// neither these texts nor the working credential that the questions were sent with may stand there, as they are, in base64, in hex
    /// or percent-encoded. Each sink must hold the ids of the first question and of the last one, or, where it holds numbers
    /// alone, a number that rose after the last: else nothing shows that it took the requests in.
    /// ## Why it matters
    /// Logs are copied to more places, kept longer and read by more people than any database. What stands in them has left.
    /// ## How to fix
    /// Log the matched route, the status, the time and a request id. Leave out bodies, queries, headers and what people
    /// typed, also in the messages of errors.
    /// ## Limits
    /// A sink that nobody declared is not read, nor is one that is filled later than ten seconds after a request. A sink that takes
    /// requests in out of their order may lack some when it is read. Only the last 64 MiB of a sink are read.
    id: "LOG-01", title: "Logs hold no tokens, personal data or prompts",
    area: Operations, severity: Critical, since: "0.1.0",
    needs: [Identity, Sinks], touches: Nothing,
    maps: ["LLM02:2025 Sensitive Information Disclosure", "API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "log-holds-questions",
        "log-holds-credentials",
        "log-holds-working-credentials",
        "log-is-written-late",
        "access-log-holds-queries",
        "errors-repeat-what-was-sent",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// By what names answers tell their request's id.
const IDS: &[&str] = &["x-request-id", "request-id", "x-correlation-id", "x-trace-id"];
/// How long a sink is given to take a request in, and how often it is looked at meanwhile.
const FLUSHED: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Shorter secrets stand in texts by chance.
const SHORTEST_SECRET: usize = 8;

/// A text that must stand nowhere.
struct Marker {
    what: &'static str,
    text: String,
}

impl Marker {
    /// The spellings in which it would be found.
    fn spellings(&self) -> Vec<String> {
        let hex = self.text.bytes().map(|byte| format!("{byte:02x}")).collect();
        [self.text.clone(), encode(&self.text), STANDARD.encode(&self.text), hex]
            .map(|text| text.to_lowercase())
            .to_vec()
    }

    fn stands_in(&self, lower: &str) -> bool {
        self.spellings().iter().any(|spelling| lower.contains(spelling))
    }
}

fn markers() -> Vec<Marker> {
    let digits = |count: usize| -> String {
        random_bytes::<16>().iter().take(count).map(|byte| char::from(b'0' + byte % 10)).collect()
    };
    let marker = |what, text| Marker { what, text };
    vec![
        marker("a token", format!("sk-live-{}", random_text())),
        marker("a mail address", format!("{}@marker.example", random_text())),
        marker("a telephone number", format!("+49 30 {}", digits(9))),
        marker("the number of an identity card", format!("9{}-{}-{}", digits(2), digits(2), digits(4))),
        marker("a word of a question", random_text()),
    ]
}

/// The asker's own credential, as it stands in a request that succeeds.
fn working(credential: &Credential) -> Result<Vec<Marker>, Inconclusive> {
    let secret = credential.secret().expose();
    if secret.len() < SHORTEST_SECRET {
        return Err(Inconclusive::because(format!(
            "the secret of a working credential is shorter than {SHORTEST_SECRET} characters, too short to be looked for: give \
             the first [[identity]] a longer one"
        )));
    }
    let mut texts = vec![secret.clone()];
    if let Credential::Basic { user, password } = credential {
        // In base64 a password is spelled otherwise behind a name than alone.
        texts.push(format!("{user}:{}", password.expose()));
    }
    Ok(texts.into_iter().map(|text| Marker { what: "a working credential", text }).collect())
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let place = Place::of(&target)?;
    let markers = markers();
    let working = working(&place.asker.credential)?;
    for marker in markers.iter().chain(&working) {
        probe.keep_secret(&marker.text);
    }
    // One that cannot be read shows that here, before anything is sent.
    for sink in &target.logs.sinks {
        probe.sink(sink).await?;
    }
    // A question of nobody must not be answered as a member's is.
    let stranger = probe.send(place.chat(&target, "ready", false)?).await?;
    let asked = place.ask(probe, &target, &markers, false).await?;
    let mut controls =
        vec![PositiveControl::from_success(&asked, "a member's question with the texts is answered")?];
    if !crate::checks::deployment::is_turned_away(&stranger) || stranger.body == asked.body {
        return Err(Inconclusive::because(
            "strangers are answered like members: nothing shows that the application answers",
        ));
    }
    let first = id_of(&asked)?;
    let mut others = vec![place.ask(probe, &target, &markers, true).await?];
    for call in place.broken(&target, &markers)? {
        others.push(probe.send_once(call).await?);
    }
    let texts: Vec<&Marker> = markers.iter().chain(&working).collect();
    let mut findings = probe.findings();
    let mut doubts: Vec<String> = others.iter().filter_map(canary::shows_nothing).collect();
    let errors = others.iter().filter(|seen| seen.status.is_client_error() || seen.status.is_server_error());
    let mut refused = 0;
    for seen in errors {
        refused += 1;
        findings.extend(
            found(&texts, "the body of an error", &seen.body)
                .map(|finding| finding.shown_by([seen.number()])),
        );
    }
    if refused == 0 {
        doubts.push("no request was answered with an error, so no body of one was seen".to_owned());
    }
    let mut before = Vec::new();
    for sink in &target.logs.sinks {
        before.push(match &sink.shown {
            Shown::RequestId => 0.0,
            Shown::Number(prefix) => sum(&probe.sink(sink).await?, prefix),
        });
    }
    // A sink that has this one has what was sent before it: what is buffered comes in the order in which it was written.
    let last = place.ask(probe, &target, &markers, false).await?;
    controls.push(PositiveControl::from_success(&last, "so is one that is sent after all others")?);
    let last = id_of(&last)?;
    if first == last {
        return Err(Inconclusive::because(
            "two answers tell one request id: nothing shows which of them a sink took in",
        ));
    }
    for (sink, before) in target.logs.sinks.iter().zip(before) {
        match taken_in(probe, sink, before, [&first, &last]).await? {
            Some(text) => {
                probe.observe(&format!("the sink `{}`", sink.name), "it took the requests in");
                findings.extend(found(&texts, &format!("the sink `{}`", sink.name), &text));
            }
            None => {
                let text = probe.sink(sink).await?;
                findings.extend(found(&texts, &format!("the sink `{}`", sink.name), &text));
                doubts.push(match &sink.shown {
                    Shown::RequestId => format!(
                        "the sink `{}` does not hold the ids of both the first and the last request that were answered: it is \
                         another deployment's, keeps only some requests, or is filled later",
                        sink.name
                    ),
                    Shown::Number(prefix) => {
                        format!("no number of the sink `{}` in a line that begins with `{prefix}` rose", sink.name)
                    }
                });
            }
        }
    }
    let sinks = target.logs.sinks.len();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what =
            format!("sinks, beside the bodies of {refused} errors, hold none of {} texts", texts.len());
        let control = PositiveControl::all(controls, "each sink took in the requests that held them")?;
        Ok((Coverage::complete(sinks, sinks, what)?, control))
    })
}

/// Where the requests go, and who asks.
struct Place<'t> {
    at: Option<&'t http::Uri>,
    chat: &'t Chat,
    asker: &'t Identity,
}

impl<'t> Place<'t> {
    fn of(target: &'t Target) -> Result<Self, Inconclusive> {
        let nobody =
            || Inconclusive::because("no working identity may ask: add an [[identity]] to target.toml");
        match (target.logs.of, &target.rehearsal) {
            (Logged::Target, _) => {
                let asker = canary::askers(target).into_iter().next().ok_or_else(nobody)?;
                Ok(Self { at: None, chat: &target.chat, asker })
            }
            (Logged::Rehearsal, Some(rehearsal)) => Ok(Self {
                at: rehearsal.at.as_ref(),
                chat: &rehearsal.chat,
                asker: rehearsal.askers.first().ok_or_else(nobody)?,
            }),
            (Logged::Rehearsal, None) => Err(nobody()),
        }
    }

    fn there(&self, call: Call) -> Call {
        match self.at {
            Some(at) => call.at(at),
            None => call,
        }
    }

    /// The chat's request by nobody.
    fn chat(&self, target: &Target, question: &str, streamed: bool) -> Result<Call, Inconclusive> {
        let streaming = streamed.then(|| self.chat.streaming(question)).flatten();
        let route = streaming.unwrap_or_else(|| self.chat.asking(question));
        Ok(self.there(Call::to(target, &route, &self.asker.community)?))
    }

    /// A member's question that holds all of it, in the body and in headers that products log.
    async fn ask(
        &self,
        probe: &mut Probe,
        target: &Target,
        markers: &[Marker],
        streamed: bool,
    ) -> Result<Seen, Inconclusive> {
        let all: Vec<&str> = markers.iter().map(|marker| marker.text.as_str()).collect();
        let question = format!("Please keep this in mind and say ready: {}", all.join(" and "));
        let mut call = self.chat(target, &question, streamed)?.with(&self.asker.credential, &self.asker.name);
        for (name, marker) in ["Referer", "X-Api-Token", "X-User-Email"].into_iter().zip(markers) {
            call = call.header(name, &marker.text)?;
        }
        Ok(probe.send(call).await?)
    }

    /// Requests that are refused, each with the texts at another place.
    fn broken(&self, target: &Target, markers: &[Marker]) -> Result<Vec<Call>, Inconclusive> {
        let all: Vec<&str> = markers.iter().map(|marker| marker.text.as_str()).collect();
        let token = markers.first().map_or("", |marker| marker.text.as_str());
        let form: BTreeMap<String, String> =
            markers.iter().map(|marker| (marker.what.replace(' ', "_"), marker.text.clone())).collect();
        let path = &self.chat.route.path;
        let mut unknown = Call::new(Method::GET, format!("/no-such-{}", encode(&all.join("-"))));
        for marker in markers {
            unknown = unknown.query("email", &marker.text);
        }
        let mut known = self.chat(target, &all.join(" "), false)?;
        known = known.query("email", &all.join(" "));
        let mut broken = Call::new(self.chat.route.method.clone(), path.clone()).form(&form);
        broken.body = None;
        let credential = &self.asker.credential;
        Ok(vec![
            known.clone().with(&Credential::bearer(token), "a made-up token"),
            known.with(&credential.with_secret(token.to_owned()), "a made-up credential"),
            self.there(broken).with(credential, &self.asker.name),
            self.there(unknown).with(credential, &self.asker.name),
        ])
    }
}

fn id_of(seen: &Seen) -> Result<String, Inconclusive> {
    let told = IDS.iter().map(|name| seen.header(name)).find(|id| id.len() >= 8);
    told.map(str::to_owned).ok_or_else(|| {
        Inconclusive::because(format!(
            "the answer to {} tells no request id in {}: without one nothing shows that a sink took it in",
            seen.request_line(),
            IDS.join(", ")
        ))
    })
}

/// The text of a sink once it has taken in the requests with these ids, or its number has risen; none when it never did.
async fn taken_in(
    probe: &mut Probe,
    sink: &Sink,
    before: f64,
    ids: [&str; 2],
) -> Result<Option<String>, Inconclusive> {
    let started = probe.clock().monotonic();
    loop {
        let text = probe.sink(sink).await?;
        let is_in = match &sink.shown {
            Shown::RequestId => ids.iter().all(|id| text.contains(id)),
            Shown::Number(prefix) => sum(&text, prefix) > before,
        };
        if is_in {
            return Ok(Some(text));
        }
        if probe.clock().monotonic().saturating_sub(started) > FLUSHED.min(probe.budget().longest_wait) {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The sum of the numbers at the end of lines that begin so.
fn sum(text: &str, prefix: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(prefix));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn found<'m>(markers: &'m [&'m Marker], place: &str, text: &str) -> impl Iterator<Item = Finding> + use<'m> {
    let lower = text.to_lowercase();
    let place = place.to_owned();
    markers.iter().filter(move |marker| marker.stands_in(&lower)).map(move |marker| {
        Finding::new(
            format!("{place} holds {} of a request", marker.what),
            format!("leave bodies, queries, headers and what people typed out of {place}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Marker, sum, working};
    use crate::target::Credential;

    #[test]
    fn a_text_is_found_in_the_spellings_that_logs_use() {
        let marker = Marker { what: "a mail address", text: "ann@marker.example".to_owned() };
        for text in [
            "ANN@marker.example",
            "?e=ann%40marker.example",
            "yw5uqg1hcmtlci5legftcgxl",
            "616e6e406d61726b65722e6578616d706c65",
        ] {
            assert!(marker.stands_in(&text.to_lowercase()), "{text}");
        }
        assert!(!marker.stands_in("ann at marker"));
    }

    #[test]
    fn a_password_is_found_in_the_header_that_carries_it() {
        let (user, password) = ("ann".to_owned(), "ferry boat".to_owned());
        let credential = Credential::Basic { user, password: portcullis_core::Secret::new(password) };
        let mut headers = http::HeaderMap::new();
        credential.apply(&mut headers).unwrap();
        let logged = headers["authorization"].to_str().unwrap().to_lowercase();
        assert!(working(&credential).unwrap().iter().any(|marker| marker.stands_in(&logged)), "{logged}");
        assert!(working(&Credential::bearer("short")).is_err());
    }

    #[test]
    fn numbers_are_summed_over_labels() {
        let text = "# requests\nrequests{a=\"1\"} 4\nrequests{a=\"2\"} 3\nother 9\n";
        assert!((sum(text, "requests") - 7.0).abs() < 0.1);
    }
}
