//! This instance as a target of its own checks.
//!
//! The checks get two communities of their own, with content and keys that are theirs alone: nothing of a real
//! community is read or written. The keys are made for one run, expire by themselves after an hour, and are revoked when
//! the run ends. The two communities stay, and the next run uses them again. A second instance that cannot do its work
//! runs beside it for as long as the checks do.

mod belongings;
mod ground;
mod people;
mod standing;
mod twin;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_check::target::{
    DOCUMENT, Declaration, HeldSecret, Inventory, Limits, MESSAGE, OpenApi, QUERY, Route, RouteKind, Target,
};
use portcullis_config::Config;
use portcullis_core::KeyId;
use portcullis_http::{Access, ROUTES};
use portcullis_store::Community;
use serde_json::json;

use self::belongings::Belongings;
use self::ground::{Ground, PLOTS};
use self::people::People;
use self::twin::Twin;
use crate::instance::Kept;

/// Who answers for what this product says about itself.
const APPROVER: &str = "the Portcullis project";
/// The id of nothing.
const MISSING: &str = "00000000-0000-7000-8000-000000000000";

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
}

impl SelfTarget {
    /// Makes identities and content for one run against the instance that listens on `address`.
    pub(super) async fn prepare(kept: &Kept, config: &Config, address: SocketAddr) -> Result<Self> {
        let mut target = Target::new("this instance", &format!("http://{}", reachable(address)))?;
        let twin = Twin::start().await?;
        target.blocked = Some(format!("http://{}", twin.address()).parse()?);
        let model = config.model.as_ref().map_or("extracts", |model| model.name.as_str());
        let message = json!([{ "role": "user", "content": MESSAGE }]);
        target.chat.route.body = Some(json!({ "model": model, "messages": message }));
        target.chat.stream = Some(json!({ "model": model, "messages": message, "stream": true }));
        promises(&mut target, config);
        target.tenancy.question = ground::QUESTION.to_owned();

        let mut people = People::new(kept)?;
        let mut grounds = Vec::new();
        for plot in &PLOTS {
            let ground = ground::prepare(kept, plot).await?;
            let keeper = people.settle(&ground).await?;
            let own = belongings::prepare(kept, &ground, keeper).await?;
            place(&mut target, &ground, &own);
            grounds.push(ground);
        }
        if let Some(first) = grounds.first() {
            let routes = routes(&people::keeper(first), &people::admin(first));
            target.inventory = Inventory::generated(routes, "the route table that the router is built from");
            target.inventory.openapi = Some(OpenApi::OnTarget("/openapi.json".to_owned()));
            target.inventory.permission_key = Some("x-action".to_owned());
            people.for_limits(first, config).await?;
            people.builders(first).await?;
            people.with_ends(first).await?;
        }
        standing::describe(&mut target, &grounds, config)?;
        let (identities, keys) = people.into_parts();
        target.identities = identities;
        Ok(Self { target, made: Made { keys, twin } })
    }

    /// Takes back what the run used. Returns what is left behind, in words.
    pub(super) async fn clean_up(kept: &Kept, made: Made) -> Result<Vec<String>> {
        for (community, key) in made.keys {
            kept.stores.keys.revoke(&Kept::operator(&community), key).await?;
        }
        made.twin.stop().await?;
        let [one, two] = &PLOTS;
        Ok(vec![format!("the communities `{}` and `{}`, for the next run", one.slug, two.slug)])
    }

    /// The target, and what to take back after it was judged.
    pub(super) fn into_parts(self) -> (Target, Made) {
        (self.target, self.made)
    }
}

/// What the configuration promises, and what this product does not have.
fn promises(target: &mut Target, config: &Config) {
    target.limits = Limits {
        user_per_minute: Some(config.limits.per_key_per_minute.get()),
        address_per_minute: Some(config.limits.per_address_per_minute.get()),
        session_per_minute: None,
        marker: Some("rate_limited".to_owned()),
    };
    let secrets = &config.secrets;
    target.secrets.jwt = Some(HeldSecret::served(secrets.jwt_secret.expose(), "secrets.jwt_secret"));
    let encryption = STANDARD.encode(secrets.encryption_key.expose());
    target.secrets.encryption = Some(HeldSecret::served(&encryption, "secrets.encryption_key"));
    target.secrets.csrf = Some(HeldSecret::served(secrets.csrf_secret.expose(), "secrets.csrf_secret"));
    target.declarations = vec![
        Declaration::new("wrong-audience", "API keys are opaque and have no audience", APPROVER),
        Declaration::new("session-limit", "all keys of a member share the member's limit", APPROVER),
        Declaration::new("pages", "this instance serves no pages", APPROVER),
        Declaration::new("login", "this instance has no sign-in page", APPROVER),
        Declaration::new("assets", "this instance serves no assets", APPROVER),
    ];
}

/// What the target file of a community would say.
fn place(target: &mut Target, ground: &Ground, own: &Belongings) {
    let slug = &ground.community.slug;
    target.tenancy.ids.insert(slug.clone(), ground.community.id.to_string());
    let open = ground.canaries.first().and_then(|canary| canary.document.clone()).unwrap_or_default();
    let values = [
        ("document", open),
        ("conversation", own.conversation.to_string()),
        ("memory", own.memory.to_string()),
        ("member", own.member.to_string()),
    ];
    let values = values.into_iter().map(|(name, id)| (name.to_owned(), id)).collect();
    target.tenancy.values.insert(slug.clone(), values);
    target.canaries.extend(ground.canaries.iter().cloned());
}

/// A listener on all addresses is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// The route table, with what the checks ask for: what reads one's own things is asked as `keeper`, the community's
/// administration as `admin`, and what changes them is asked for a thing that is not there.
fn routes(keeper: &str, admin: &str) -> Vec<Route> {
    let to_probed = |route: &portcullis_http::Route| {
        let mut probed = Route::new(route.method.clone(), route.path);
        if route.access == Access::Public {
            probed = probed.public();
        }
        if route.path.starts_with("/admin/") {
            probed = probed.only_for(admin);
        }
        match route.name {
            // Alike for everybody who may read them, in every community.
            "models" | "limits" | "session" | "sessions" | "roles" | "plans" => probed.shared(),
            "search" => probed.body(json!({ "query": QUERY })).reads(),
            "document" => probed.param("document", DOCUMENT),
            "conversation" => probed.param("conversation", "{{conversation}}").only_for(keeper),
            "memory" => probed.param("memory", "{{memory}}").only_for(keeper),
            "member" => probed.param("member", "{{member}}"),
            "conversations" | "memories" => probed.only_for(keeper),
            "live" => probed.kind(RouteKind::Live),
            "ready" => probed.kind(RouteKind::Ready),
            _ if !route.method.is_safe() => harmless(probed, route),
            _ => probed,
        }
    };
    ROUTES.iter().map(to_probed).collect()
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
        // Signs out the sessions of somebody who has none.
        "end-sessions" => probed.succeeds_with(200),
        _ if of_a_thing => probed.succeeds_with(404),
        _ => probed.succeeds_with(400),
    }
}
