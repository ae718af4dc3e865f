//! This instance as a target of its own checks.
//!
//! The checks get communities of their own, two and two, with content and keys that are theirs alone: nothing of a real
//! community is read or written. In one more limits are driven. The keys are made for one run, expire by themselves after
//! an hour, and are revoked when the run ends. The communities stay, and the next run uses them again. A second instance that cannot
//! do its work, and a third in which attacks on a model that obeys are tried, others with small budgets, with a clock that can be
//! moved, with the screen on and behind a proxy run beside it for as long as the checks do, and so does the embedded sandbox, in
//! builds that have one.

mod belongings;
mod beside;
mod blocking;
mod cell;
mod ground;
mod people;
mod proxied;
mod rehearsal;
mod screened;
mod shore;
mod shown;
mod standing;
mod tiers;
mod till;
mod twin;
#[cfg(feature = "sandbox")]
mod workshop;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_check::target::{
    Counted, DOCUMENT, Declaration, Edge, HeldSecret, Inventory, Limits, MESSAGE, OpenApi, QUERY, Reached,
    Route, RouteKind, Target,
};
use portcullis_config::Config;
use portcullis_core::{ConversationId, KeyId};
use portcullis_http::problem::Shape;
use portcullis_http::{Access, ROUTES};
use portcullis_store::Community;
use serde_json::json;

use self::belongings::Belongings;
use self::beside::Beside;
use self::cell::Cell;
use self::ground::{ELSEWHERE, Elsewhere, Ground, PLOTS, Plot, QUIET};
use self::people::{ADMINS, People};
use self::twin::Twin;
use crate::instance::Kept;

/// Who answers for what this product says about itself.
const APPROVER: &str = "the Portcullis project";
/// Names the conversation that is looked at as a page.
const READ: &str = "read_conversation";
/// The community whose sign-in page is asked for.
const DOOR: &str = PLOTS[0].slug;
/// The checks' community that strangers must be able to join, so that it is seen what they become.
pub(super) const OPEN_TO_STRANGERS: &str = DOOR;
/// The id of nothing.
const MISSING: &str = "00000000-0000-7000-8000-000000000000";

/// Where this instance listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listening {
    /// For members.
    pub(super) member: SocketAddr,
    /// For the operator.
    pub(super) operator: SocketAddr,
}

/// This instance as a target, and what has to be taken back afterwards.
#[derive(Debug)]
pub(super) struct SelfTarget {
    target: Target,
    made: Made,
}

/// What a run made and must take back.
#[derive(Debug)]
pub(super) struct Made {
    keys: Vec<(Community, KeyId)>,
    twin: Twin,
    beside: Vec<Beside>,
    cell: Cell,
}

impl SelfTarget {
    /// Makes identities and content for one run against the instance that listens on `address`.
    pub(super) async fn prepare(kept: &Kept, config: &Config, listening: Listening) -> Result<Self> {
        let Listening { member: address, operator } = listening;
        let mut target = at(config, reachable(address))?;
        let twin = Twin::start().await?;
        target.blocked = Some(twin.at()?);
        let model = config.model.as_ref().map_or("extracts", |model| model.name.as_str());
        // Boxed: opening an instance makes a large future.
        let rehearsal::Started { stage, rehearsal, queue, logs, displays, alarms } =
            Box::pin(rehearsal::start(config)).await?;
        target.blocklist = blocking::list(config, operator).map(Box::new);
        target.load = Some(Box::new(blocking::load(target.blocklist.as_deref())));
        target.auto_block = blocking::by_itself(config, &rehearsal).map(Box::new);
        target.rehearsal = Some(rehearsal);
        target.handovers = Some(Box::new(queue));
        target.logs = logs;
        target.displays = displays;
        target.alarms = alarms.map(Box::new);
        let (till, caps) = Box::pin(till::start(config)).await?;
        target.caps = caps;
        let (tiers, places) = Box::pin(tiers::start(config)).await?;
        target.tiers = places;
        let (screening, screened) = Box::pin(screened::start(config)).await?;
        target.screen = Some(screened);
        let (cell, sandbox) = Cell::start(config).await?;
        target.sandbox = sandbox.map(Box::new);
        let (proxied, forwarded) = Box::pin(proxied::start(config)).await?;
        target.forwarded = Some(Box::new(forwarded));
        let beside = vec![stage, till, tiers, screening, proxied];
        let message = json!([{ "role": "user", "content": MESSAGE }]);
        target.chat.route.body = Some(json!({ "model": model, "messages": message }));
        target.chat.stream = Some(json!({ "model": model, "messages": message, "stream": true }));
        promises(&mut target, config);
        target.edge = public_edge(config);
        target.tenancy.question = ground::QUESTION.to_owned();
        target.tenancy.how_many = Some("limit".to_owned());

        let quiet = ground::prepare(kept, &QUIET).await?;
        let (mut keys, mut elsewhere) = (Vec::new(), Vec::new());
        for Elsewhere { plots, checks } in &ELSEWHERE {
            let mut other = target.clone();
            let people = settle(kept, config, &mut other, &pair(kept, plots).await?, &quiet).await?;
            let (identities, more) = people.into_parts();
            other.identities = identities;
            keys.extend(more);
            elsewhere.push(portcullis_check::target::Elsewhere { target: other, checks: checks.to_vec() });
        }
        let grounds = pair(kept, &PLOTS).await?;
        let mut people = settle(kept, config, &mut target, &grounds, &quiet).await?;
        people.for_limits(&quiet, config).await?;
        if let Some(first) = grounds.first() {
            people.with_ends(first).await?;
        }
        let (identities, more) = people.into_parts();
        target.identities = identities;
        keys.extend(more);
        target.elsewhere = elsewhere;
        Ok(Self { target, made: Made { keys, twin, beside, cell } })
    }

    /// Takes back what the run used. Returns what is left behind, in words.
    pub(super) async fn clean_up(kept: &Kept, made: Made) -> Result<Vec<String>> {
        for (community, key) in made.keys {
            kept.stores.keys.revoke(&Kept::operator(&community), key).await?;
        }
        made.twin.stop().await?;
        for beside in made.beside {
            beside.stop().await?;
        }
        made.cell.stop().await?;
        let others = ELSEWHERE.iter().flat_map(|elsewhere| elsewhere.plots);
        let plots = PLOTS.iter().chain(others).chain([&QUIET]);
        Ok(plots.map(|plot| format!("the community `{}`, for the next run", plot.slug)).collect())
    }

    /// The target, and what to take back after it was judged.
    pub(super) fn into_parts(self) -> (Target, Made) {
        (self.target, self.made)
    }
}

/// Finds or makes two communities.
async fn pair(kept: &Kept, plots: &'static [Plot; 2]) -> Result<Vec<Ground>> {
    let mut grounds = Vec::new();
    for plot in plots {
        grounds.push(ground::prepare(kept, plot).await?);
    }
    Ok(grounds)
}

/// Makes people and what is theirs in two communities, and says what the target file of both would say.
async fn settle<'k>(
    kept: &'k Kept,
    config: &Config,
    target: &mut Target,
    grounds: &[Ground],
    quiet: &Ground,
) -> Result<People<'k>> {
    let mut people = People::new(kept)?;
    for (place, ground) in grounds.iter().enumerate() {
        let keeper = people.settle(ground).await?;
        let mut own = belongings::prepare(kept, ground, keeper).await?;
        belongings::hand_over(kept, ground, keeper).await?;
        // In the other community the first owner is asked for everything.
        let mut read = own.conversation;
        if place == 0 {
            let [reader, waiter] = [people::READS, people::WAITS].map(|number| people.owner(ground, number));
            read = belongings::prepare(kept, ground, reader.await?).await?.conversation;
            own.approval = belongings::prepare(kept, ground, waiter.await?).await?.approval;
        }
        describe(target, ground, &own, read);
    }
    target.tenancy.ids.insert(QUIET.slug.to_owned(), quiet.community.id.to_string());
    let first = grounds.first().context("the checks have no community")?;
    target.inventory = Inventory::generated(routes(first), "the route table that the router is built from");
    target.inventory.openapi = Some(OpenApi::OnTarget("/openapi.json".to_owned()));
    target.inventory.permission_key = Some("x-action".to_owned());
    standing::describe(target, grounds, quiet, config)?;
    Ok(people)
}

/// What the configuration promises, and what this product does not have.
fn promises(target: &mut Target, config: &Config) {
    let (member, session) = (config.limits.per_key.minute, config.limits.per_session.minute);
    // One that is as wide as its member's never refuses first.
    let own = (session < member).then_some(session.get());
    target.limits = Limits {
        counted: Counted::Everything,
        user_per_minute: Some(member.get()),
        address_per_minute: Some(config.limits.per_address.minute.get()),
        session_per_minute: own,
        community_per_minute: Some(config.tiers.dedicated.minute.get()),
        marker: Some("rate_limited".to_owned()),
    };
    let secrets = &config.secrets;
    target.secrets.jwt = Some(HeldSecret::served(secrets.jwt_secret.expose(), "secrets.jwt_secret"));
    let encryption = STANDARD.encode(secrets.encryption_key.expose());
    target.secrets.encryption = Some(HeldSecret::served(&encryption, "secrets.encryption_key"));
    target.secrets.csrf = Some(HeldSecret::served(secrets.csrf_secret.expose(), "secrets.csrf_secret"));
    let local = config.public_url.url().is_loopback();
    let plan =
        || Declaration::new("flood-plan", "served on loopback, where nobody else reaches it", APPROVER);
    target.declarations = local.then(plan).into_iter().collect();
    target.declarations.extend([
        Declaration::new("wrong-audience", "API keys are opaque and have no audience", APPROVER),
        Declaration::new("SEC-08", "keys and sessions are random texts: no secret signs a token", APPROVER),
    ]);
    if own.is_none() {
        let why = "all keys of a member share the member's limit";
        target.declarations.push(Declaration::new("session-limit", why, APPROVER));
    }
}

/// Where members come in, when that is a public address: what stands there is looked at from this machine, whatever this
/// listener speaks. None when the instance is served on loopback only.
fn public_edge(config: &Config) -> Option<Edge> {
    let url = config.public_url.url();
    config.public_url.is_https().then(|| Edge {
        hosts: vec![url.host().to_string().trim_matches(['[', ']']).to_owned()],
        https_port: Some(url.port()),
        ..Edge::default()
    })
}

/// What the target file of a community would say.
fn describe(target: &mut Target, ground: &Ground, own: &Belongings, read: ConversationId) {
    let slug = &ground.community.slug;
    target.tenancy.ids.insert(slug.clone(), ground.community.id.to_string());
    let open = ground.canaries.first().and_then(|canary| canary.document.clone()).unwrap_or_default();
    let values = [
        ("document", open),
        ("conversation", own.conversation.to_string()),
        (READ, read.to_string()),
        ("memory", own.memory.to_string()),
        ("approval", own.approval.to_string()),
        ("member", own.member.to_string()),
    ];
    let values = values.into_iter().map(|(name, id)| (name.to_owned(), id)).collect();
    target.tenancy.values.insert(slug.clone(), values);
    target.canaries.extend(ground.canaries.iter().cloned());
}

/// This instance at that address: over plain HTTP, or over TLS under its public host, with the certificate that it has.
fn at(config: &Config, address: SocketAddr) -> Result<Target> {
    const NAME: &str = "this instance";
    let Some(tls) = &config.tls else { return Ok(Target::new(NAME, &format!("http://{address}"))?) };
    let host = config.public_url.url().host();
    let mut target = Target::new(NAME, &format!("https://{host}:{}", address.port()))?;
    let roots_pem = std::fs::read(&tls.certificate).context("the certificate of `[tls]` cannot be read")?;
    target.reached = Some(Reached { address: address.ip(), roots_pem });
    Ok(target)
}

/// A listener on all addresses is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// The route table, with what the checks ask for: what reads one's own things, or the community's administration, is
/// asked as those who may, and what changes anything is asked for a thing that is not there.
fn routes(ground: &Ground) -> Vec<Route> {
    let keeper = &people::keeper(ground);
    let owners = &[people::READS, people::WAITS].map(|number| people::owner(ground, number));
    let [_, waiter] = owners;
    let to_probed = |(number, route): (usize, &portcullis_http::Route)| {
        let mut probed = Route::new(route.method.clone(), route.path);
        if !matches!(route.access, Access::Needs(_)) {
            probed = probed.public();
        }
        if route.path.starts_with("/admin/") {
            probed = probed.only_for(&people::admin(ground, number % ADMINS));
        }
        match (route.shape, route.access) {
            (Shape::Page, Access::Needs(_)) if route.name == "handovers-page" => {
                // It differs by community, as TEN-05 sees. TEN-06 looks at what administrators are told in JSON.
                let page = probed.kind(RouteKind::Page).shared();
                return page.only_for(&people::admin(ground, number % ADMINS));
            }
            (Shape::Page, Access::Needs(_)) if route.name == "approvals-page" => {
                // What waits stands in markup, in which the marks of administrators are not looked for: its list in JSON is.
                let page = probed.kind(RouteKind::Page).shared();
                return page.only_for(&people::admin(ground, number % ADMINS));
            }
            (Shape::Page, Access::Needs(_)) => return page(probed, route, owners),
            (Shape::Page, _) => return door(probed, route),
            _ => {}
        }
        match route.name {
            "handovers" => probed.only_for(&people::admin(ground, number % ADMINS)),
            // Alike for everybody who may read them, in every community. Nothing is withheld in either community of a run.
            "models" | "limits" | "session" | "sessions" | "roles" | "plans" | "quarantine" => {
                probed.shared()
            }
            "search" => probed.body(json!({ "query": QUERY })).reads(),
            "document" => probed.param("document", DOCUMENT),
            "conversation" => probed.param("conversation", "{{conversation}}").only_for(keeper),
            "memory" => probed.param("memory", "{{memory}}").only_for(keeper),
            "member" => probed.param("member", "{{member}}"),
            "conversations" | "memories" => probed.only_for(keeper),
            "own-approvals" => probed.only_for(waiter),
            "style" | "script" | "mark" => probed.kind(RouteKind::Asset),
            "live" => probed.kind(RouteKind::Live),
            "ready" => probed.kind(RouteKind::Ready),
            "acknowledge-handover" | "approve" | "deny" => {
                harmless(probed, route).only_for(&people::admin(ground, number % ADMINS))
            }
            "approvals" => probed.only_for(&people::admin(ground, number % ADMINS)),
            "approval" => {
                probed.param("approval", "{{approval}}").only_for(&people::admin(ground, number % ADMINS))
            }
            "own-approval" => probed.param("approval", "{{approval}}").only_for(waiter),
            _ if !route.method.is_safe() => harmless(probed, route),
            _ => probed,
        }
    };
    ROUTES.iter().enumerate().map(to_probed).collect()
}

/// A page of somebody signed in.
fn page(probed: Route, route: &portcullis_http::Route, [reader, waiter]: &[String; 2]) -> Route {
    let read = format!("{{{{{READ}}}}}");
    let probed = match route.name {
        // A piece of a page.
        "last-answer" => return probed.param("conversation", &read).only_for(reader),
        "document-page" => probed.param("document", DOCUMENT),
        "conversation-page" => probed.param("conversation", &read).only_for(reader),
        "chat-page" | "history-page" => probed.only_for(reader),
        "memories-page" | "waiting-page" => probed.only_for(waiter),
        // Everybody has an account, and it shows their own name, plans and sessions.
        _ => probed.shared(),
    };
    probed.kind(RouteKind::Page)
}

/// A page on the way in.
fn door(probed: Route, route: &portcullis_http::Route) -> Route {
    let probed = route.parameters().fold(probed, |probed, name| probed.param(name, DOOR));
    match (route.method.is_safe(), route.name) {
        // Without a token they lead nowhere.
        (true, "join-page") => probed.succeeds_with(404),
        (true, "link-page") => probed.succeeds_with(403),
        (true, _) => probed.kind(RouteKind::Login),
        // Nothing is asked for and nothing is used up.
        (false, "use-link") => probed.succeeds_with(403),
        (false, _) => probed.succeeds_with(400),
    }
}

/// A change that changes nothing: of a thing that is not there, or with a body that every right caller is told is wrong.
fn harmless(probed: Route, route: &portcullis_http::Route) -> Route {
    let mut parameters = route.parameters().peekable();
    let of_a_thing = parameters.peek().is_some();
    let probed = parameters.fold(probed, |probed, name| probed.param(name, MISSING));
    let probed = match route.example.map(serde_json::from_str::<serde_json::Value>) {
        Some(Ok(example)) if of_a_thing => probed.body(example),
        Some(Ok(_)) => probed.body(json!({ "nothing": true })),
        _ => probed,
    };
    match route.name {
        "chat" => probed,
        // With a key there is no session to end.
        "end-sessions" => probed.succeeds_with(200).signs_out(),
        "sign-out" => probed.succeeds_with(400).signs_out(),
        _ if of_a_thing => probed.succeeds_with(404),
        _ => probed.succeeds_with(400),
    }
}
