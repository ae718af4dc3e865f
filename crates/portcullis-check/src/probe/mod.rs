//! The only thing with a socket: sends what a check asks for and records it.
//!
//! Every exchange is numbered and kept redacted ([`evidence`]). Redirects are never followed. A request that gets no
//! answer is an error, and an error ends a check as inconclusive. It waits when the target asks it to (`Retry-After`),
//! keeps a budget of requests, and on a loopback target gives each check client addresses of its own, so that checks
//! do not use up each other's rate limits. It never decides whether an answer is right.

mod call;
mod ear;
mod evidence;
mod hello;
mod redact;
mod slow;
mod tls;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};
use portcullis_core::Clock;
use portcullis_egress::{AddressPolicy, Client, HttpVersion, Options as ClientOptions, Pin};

pub use call::Call;
pub use call::Certificates;
pub use ear::Ear;
pub use evidence::{Evidence, Exchange, Seen};
pub use hello::Old;
use redact::Redactor;
pub use slow::Dawdlers;
pub use tls::{Answered, Attempt, Peer, Taken};
pub(crate) use traffic::Traffic;

use crate::outcome::{Findings, Inconclusive};
use crate::target::{Identity, Sink, SinkAt, Target};

/// The most of an answer that is read; a longer one is an error, because what was not read was not looked at.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// The most of a sink that is read, from its end.
pub const MAX_SINK_BYTES: u64 = 64 << 20;
/// How often one request is repeated when the target asks for patience.
const PATIENCE: usize = 2;
/// Requests from one address before another is taken, where the target is on loopback: under the 300 a minute that this
/// product and many others allow an address.
const FROM_ONE_ADDRESS: usize = 200;
/// How many more of those a request counts as whose credential was refused: strangers are allowed fewer.
const WEIGHT_OF_A_REFUSAL: usize = 5;

/// What a probe may spend.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time for one answer, its body included.
    pub answer_timeout: Duration,
    /// Longest time for one check.
    pub check_timeout: Duration,
    /// Most requests of one check.
    pub requests: usize,
    /// Longest single wait that a `Retry-After` may ask for.
    pub longest_wait: Duration,
    /// How long a limit of so many requests a minute refuses at most: a minute, and a moment more.
    pub limit_window: Duration,
    /// How long after its end a credential may still work: 60 s, as control AUTH-02 says.
    pub expiry_grace: Duration,
    /// How long after an entry was made or taken off the blocklist may still be without it: 10 s, as control EDGE-09 says.
    pub block_grace: Duration,
    /// The longest block whose end is waited for.
    pub longest_block: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            check_timeout: Duration::from_secs(240),
            requests: 20_000,
            longest_wait: Duration::from_secs(75),
            limit_window: Duration::from_secs(61),
            expiry_grace: Duration::from_secs(60),
            block_grace: Duration::from_secs(10),
            longest_block: Duration::from_secs(60),
        }
    }
}

/// Why a request has no answer to judge.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No answer came.
    #[error("{request} got no answer: {why}")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// What the client says.
        why: portcullis_egress::Error,
    },
    /// The request cannot be made.
    #[error("{request} cannot be sent: {why}")]
    Unsendable {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        why: String,
    },
    /// The target keeps refusing for its rate limit.
    #[error(
        "{request} is still refused with 429 after waiting; raise the limit for the checker or run it later"
    )]
    Limited {
        /// Method and path.
        request: String,
    },
    /// The check's budget is used up.
    #[error("the budget of {limit} requests is used up at {request}")]
    OutOfRequests {
        /// Method and path.
        request: String,
        /// The budget.
        limit: usize,
    },
    /// No client could be made.
    #[error("no client could be made: {0}")]
    Client(portcullis_egress::Error),
}

/// Sends and records for one check.
pub struct Probe {
    target: Arc<Target>,
    clock: Arc<dyn Clock>,
    budget: Budget,
    clients: BTreeMap<Way, Client>,
    redactor: Redactor,
    log: Vec<Exchange>,
    sources: Sources,
    /// The address that requests come from now which name none, where it is not the first one.
    own: Option<Ipv4Addr>,
    /// How many came from it.
    sent: usize,
    traffic: Traffic,
    writes_allowed: bool,
    findings: Findings,
}

/// The client addresses of one check: 127.RUN.CHECK.1 to 127.RUN.CHECK.250, where the target is on loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources {
    run: u8,
    check: u8,
    next: u8,
    usable: bool,
}

impl Sources {
    /// The addresses of check number `check` in a run; `run` differs between runs.
    pub(crate) fn new(target: &Target, run: u8, check: usize) -> Self {
        let check = u8::try_from(check % 250).unwrap_or(0);
        // 127.0 and 127.255 stay out: other programs use the first.
        let run = run.clamp(2, 250);
        let host = target.base_url.host().unwrap_or_default();
        let numeric = host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        let usable = numeric && UdpSocket::bind((Ipv4Addr::new(127, run, check, 1), 0)).is_ok();
        Self { run, check, next: 1, usable }
    }

    const fn address(self, host: u8) -> Option<Ipv4Addr> {
        if self.usable { Some(Ipv4Addr::new(127, self.run, self.check, host)) } else { None }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("target", &self.target.name)
            .field("log", &self.log.len())
            .finish_non_exhaustive()
    }
}

impl Probe {
    pub(crate) fn new(
        target: Arc<Target>,
        clock: Arc<dyn Clock>,
        budget: Budget,
        sources: Sources,
        traffic: Traffic,
        writes_allowed: bool,
    ) -> Self {
        let mut redactor = Redactor::default();
        let rehearsed = target.rehearsal.iter().flat_map(|rehearsal| &rehearsal.askers);
        let handing = target.handovers.iter().flat_map(|queue| queue.askers.iter().chain([&queue.reader]));
        let behind = target.forwarded.iter().flat_map(|forwarded| &forwarded.askers);
        let called = target.sandbox.iter().filter_map(|sandbox| sandbox.called.as_deref());
        let called = called.flat_map(|programs| &programs.askers);
        for identity in target.identities.iter().chain(rehearsed).chain(handing).chain(behind).chain(called) {
            redactor.learn(identity.credential.secret().expose());
            if let crate::target::Credential::Header { name, .. } = &identity.credential {
                redactor.learn_header(name);
            }
        }
        let drops = target.load.iter().filter_map(|load| load.drops.as_ref()).map(|drops| &drops.operator);
        let runs = target.sandbox.iter().filter_map(|sandbox| sandbox.credential.as_ref());
        let lists = target.blocklist.as_deref().into_iter();
        let lists = lists.chain(target.forwarded.iter().filter_map(|forwarded| forwarded.blocklist.as_ref()));
        for held in lists.map(|list| &list.operator).chain(drops).chain(runs) {
            redactor.learn(held.secret().expose());
        }
        let secrets = &target.secrets;
        for held in [&secrets.jwt, &secrets.encryption, &secrets.csrf].into_iter().flatten() {
            redactor.learn(held.value.expose());
        }
        if let Some(sample) = &secrets.sample_jwt {
            redactor.learn(sample.expose());
        }
        Self {
            target,
            clock,
            budget,
            clients: BTreeMap::new(),
            redactor,
            log: Vec::new(),
            sources,
            own: None,
            sent: 0,
            traffic,
            writes_allowed,
            findings: Findings::default(),
        }
    }

    /// The target.
    pub fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }

    /// The clock that the run goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Whether `--allow writes` was given.
    pub const fn may_write(&self) -> bool {
        self.writes_allowed
    }

    /// How many requests were made as this identity in the last minute, by all checks of the run.
    pub fn sent_lately(&self, identity: &Identity) -> usize {
        self.traffic.lately(&identity.name, self.clock.monotonic())
    }

    /// When, on the run's clock, the first of those will be more than a minute ago.
    pub fn eases_at(&self, identity: &Identity) -> Duration {
        self.traffic.eases_at(&identity.name)
    }

    /// What this check may spend.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A client address of its own, where the target is on loopback.
    pub fn fresh_source(&mut self) -> Option<Ipv4Addr> {
        let next = self.sources.next.checked_add(1).filter(|next| *next <= 250)?;
        self.sources.next = next;
        self.sources.address(next)
    }

    /// The address that requests come from which name none: another one after so many, since targets limit addresses too.
    fn own_source(&mut self) -> Option<Ipv4Addr> {
        self.sent = self.sent.saturating_add(1);
        if self.sent > FROM_ONE_ADDRESS
            && let Some(next) = self.fresh_source()
        {
            self.sent = 0;
            self.own = Some(next);
        }
        self.own.or_else(|| self.sources.address(1))
    }

    /// Keeps a credential that a check made out of the records.
    pub fn keep_secret(&mut self, value: &str) {
        self.redactor.learn(value);
    }

    /// Sends a request; when the target answers 429 it waits as long as it is asked to, and tries again.
    ///
    /// # Errors
    /// When there is no answer, or the target keeps answering 429.
    pub async fn send(&mut self, call: Call) -> Result<Seen, ProbeError> {
        for _ in 0..=PATIENCE {
            let seen = self.send_once(call.clone()).await?;
            if seen.status != StatusCode::TOO_MANY_REQUESTS {
                return Ok(seen);
            }
            let wait = self.patience_asked(&seen);
            tokio::time::sleep(wait).await;
        }
        Err(ProbeError::Limited { request: call.line() })
    }

    /// Sends a request and takes whatever answer comes, 429 included.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_once(&mut self, call: Call) -> Result<Seen, ProbeError> {
        let prepared = self.prepare(call)?;
        let (prepared, result) = prepared.transmit(&*self.clock).await;
        self.record(prepared, result)
    }

    /// Sends many requests, `at_once` of them at a time, and takes whatever answers come, in the order of the calls.
    ///
    /// # Errors
    /// When one of them has no answer; the others are recorded all the same.
    pub async fn burst(&mut self, calls: Vec<Call>, at_once: usize) -> Result<Vec<Seen>, ProbeError> {
        self.burst_each(calls, at_once).await?.into_iter().collect()
    }

    /// The same, with what became of each: under a flood some have no answer.
    ///
    /// # Errors
    /// When one of them cannot be sent at all.
    pub async fn burst_each(
        &mut self,
        calls: Vec<Call>,
        at_once: usize,
    ) -> Result<Vec<Result<Seen, ProbeError>>, ProbeError> {
        let mut prepared = Vec::with_capacity(calls.len());
        for call in calls {
            prepared.push(self.prepare(call)?);
        }
        let clock = Arc::clone(&self.clock);
        let mut done: Vec<_> = stream::iter(prepared.into_iter().enumerate())
            .map(|(index, prepared)| {
                let clock = Arc::clone(&clock);
                async move { (index, prepared.transmit(&*clock).await) }
            })
            .buffer_unordered(at_once.max(1))
            .collect()
            .await;
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, (prepared, result))| self.record(prepared, result)).collect())
    }

    /// Records something that was looked at without a request, and gives its number.
    pub fn observe(&mut self, what: &str, found: &str) -> usize {
        let number = self.log.len() + 1;
        self.log.push(Exchange {
            number,
            request: what.to_owned(),
            credential: "none needed".to_owned(),
            source: None,
            request_headers: Vec::new(),
            request_body: String::new(),
            status: None,
            answer: self.redactor.text(found),
            headers: Vec::new(),
            body: String::new(),
            elapsed_ms: 0,
        });
        number
    }

    /// The text of a sink as it is now, at most its last [`MAX_SINK_BYTES`].
    ///
    /// # Errors
    /// When it cannot be read: what was not read was not looked at.
    pub async fn sink(&mut self, sink: &Sink) -> Result<String, Inconclusive> {
        let read = match &sink.at {
            SinkAt::File(path) => tail(path).map_err(|error| error.to_string()),
            SinkAt::Here(read) => read(),
            SinkAt::Url(url, credential) => {
                let mut call = Call::new(http::Method::GET, "").at(url);
                if let Some(credential) = credential {
                    self.redactor.learn(credential.secret().expose());
                    call = call.with(credential, &sink.name);
                }
                let seen = self.send(call).await?;
                if seen.status.is_success() { Ok(seen.body) } else { Err(seen.says()) }
            }
        };
        read.map_err(|why| Inconclusive::because(format!("the sink `{}` cannot be read: {why}", sink.name)))
    }

    /// What the check found to be wrong so far: what it adds stays found, though it may run out of its time.
    pub fn findings(&self) -> Findings {
        self.findings.clone()
    }

    /// Everything recorded so far.
    pub fn evidence(&self) -> Evidence {
        Evidence::new(self.log.clone())
    }

    /// How long a 429 asks to wait: at least a moment, at most the budget's longest wait.
    pub(crate) fn patience_asked(&self, seen: &Seen) -> Duration {
        let seconds =
            seen.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Duration::from_secs(seconds.unwrap_or(1)).min(self.budget.longest_wait)
    }

    fn client(&mut self, way: Way) -> Result<Client, ProbeError> {
        if let Some(client) = self.clients.get(&way) {
            return Ok(client.clone());
        }
        let mut options = ClientOptions::new(AddressPolicy::Any);
        options.connect_timeout = self.budget.connect_timeout;
        options.head_timeout = self.budget.answer_timeout;
        options.source = way.source.map(IpAddr::V4);
        options.version = way.version;
        if let Some((host, address, certificates)) = &way.there {
            options.pins = vec![Pin { host: host.clone(), addresses: vec![*address] }];
            options.pool_idle_per_host = 0;
            options.danger_accept_invalid_certificates = *certificates == Certificates::Any;
            let ca = self.target.edge.as_ref().and_then(|edge| edge.ca.as_ref());
            options.extra_roots_pem = ca.map(|file| file.pem.clone().into_bytes());
        } else if let Some(reached) = &self.target.reached {
            let host = self.target.base_url.host().unwrap_or_default().to_owned();
            options.pins = vec![Pin { host, addresses: vec![reached.address] }];
            options.extra_roots_pem = Some(reached.roots_pem.clone());
        }
        options.user_agent =
            Some(HeaderValue::from_static(concat!("portcullis-check/", env!("CARGO_PKG_VERSION"))));
        let client = Client::new(options).map_err(ProbeError::Client)?;
        self.clients.insert(way, client.clone());
        Ok(client)
    }

    fn prepare(&mut self, call: Call) -> Result<Prepared, ProbeError> {
        if self.log.len() >= self.budget.requests {
            return Err(ProbeError::OutOfRequests { request: call.line(), limit: self.budget.requests });
        }
        // An address that the check chose reaches this machine only.
        let source = match &call.base {
            None => call.source.or_else(|| self.own_source()),
            Some(base) => call.source.filter(|_| is_this_machine(base)),
        };
        let unsendable = |why: String| ProbeError::Unsendable { request: call.line(), why };
        let mut headers = call.headers.clone();
        if let Some(credential) = &call.credential {
            credential.apply(&mut headers).map_err(|why| unsendable(why.reason().to_owned()))?;
        }
        let json = call.body.as_ref().map(|body| Bytes::from(body.to_string()));
        let form = call.form.as_ref().map(|form| Bytes::from(form.clone()));
        if form.is_some() {
            let typed = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.entry(CONTENT_TYPE).or_insert(typed);
        }
        let body = form.or(json).unwrap_or_default();
        if call.body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        headers.remove(HOST);
        let base = call.base.as_ref().unwrap_or(&self.target.base_url).to_string();
        let uri: http::Uri = format!("{}{}", base.trim_end_matches('/'), call.path)
            .parse()
            .map_err(|error: http::uri::InvalidUri| unsendable(error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let there = call.there.clone();
        let client = self.client(Way { source, there, version: call.version })?;
        if self.target.counts(&call.path) {
            self.traffic.note(&call.label, self.clock.monotonic());
        }
        Ok(Prepared { call, source, request, client, timeout: self.budget.answer_timeout })
    }

    fn record(&mut self, sent: Prepared, result: Transmitted) -> Result<Seen, ProbeError> {
        let number = self.log.len() + 1;
        let mut exchange = Exchange {
            number,
            request: self.redactor.text(&sent.call.line()),
            credential: sent.call.label.clone(),
            source: sent.source.map(|source| source.to_string()),
            request_headers: self.redactor.headers(sent.request.headers()),
            request_body: self.redactor.body(&String::from_utf8_lossy(sent.request.body())),
            status: None,
            answer: String::new(),
            headers: Vec::new(),
            body: String::new(),
            elapsed_ms: u64::try_from(result.elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        let (status, headers, body) = match result.answer {
            Ok(answer) => answer,
            Err(why) => {
                exchange.answer = format!("no answer: {why}");
                self.log.push(exchange);
                return Err(ProbeError::NoAnswer { request: sent.call.line(), why });
            }
        };
        if status == StatusCode::UNAUTHORIZED {
            self.sent = self.sent.saturating_add(WEIGHT_OF_A_REFUSAL);
        }
        let seen = Seen {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            elapsed: result.elapsed,
            number,
            method: sent.call.method.clone(),
            path: sent.call.path.clone(),
            credential: sent.call.label.clone(),
        };
        exchange.status = Some(status.as_u16());
        seen.kind().name().clone_into(&mut exchange.answer);
        exchange.headers = self.redactor.headers(&seen.headers);
        exchange.body =
            if sent.call.private { "(not recorded)".to_owned() } else { self.redactor.body(&seen.body) };
        self.log.push(exchange);
        Ok(seen)
    }
}

/// Whether it is an address of this machine's own, which any of its addresses reaches.
fn is_this_machine(base: &http::Uri) -> bool {
    base.host().is_some_and(|host| host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

/// The end of a file, as text.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_SINK_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_SINK_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How requests get there: one client for each way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    source: Option<Ipv4Addr>,
    there: Option<(String, IpAddr, Certificates)>,
    version: HttpVersion,
}

/// A request that is ready to go.
struct Prepared {
    call: Call,
    source: Option<Ipv4Addr>,
    request: Request<Bytes>,
    client: Client,
    timeout: Duration,
}

/// What came back.
struct Transmitted {
    answer: Result<(StatusCode, http::HeaderMap, Bytes), portcullis_egress::Error>,
    elapsed: Duration,
}

impl Prepared {
    async fn transmit(self, clock: &dyn Clock) -> (Self, Transmitted) {
        let started = clock.monotonic();
        let answer = match self.client.send(self.request.clone()).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                body.collect(MAX_BODY_BYTES, self.timeout).await.map(|body| (head.status, head.headers, body))
            }
            Err(error) => Err(error),
        };
        let elapsed = clock.monotonic().saturating_sub(started);
        (self, Transmitted { answer, elapsed })
    }
}
