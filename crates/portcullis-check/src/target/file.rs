//! `target.toml`: what it may say, and how that becomes a [`Target`].
//!
//! Secrets are references (`env:NAME`, `file:PATH`), never values; the environment is passed in. Every problem is
//! reported at once.

mod people;

use std::path::Path;

use http::Method;
use jiff::Timestamp;
use portcullis_core::Secret;
use serde_json::Value;
use toml::de::DeTable;

use super::alarms_file::read_alarms;
use super::blocklist_file::{read_auto_block, read_blocklist};
use super::caps_file::read_caps;
use super::display_file::read_displays;
use super::edge_file::read_edge;
use super::forwarded_file::read_forwarded;
use super::handovers_file::read_handovers;
use super::load_file::read_load;
use super::read::{Reader, Section};
use super::rehearsal_file::read_rehearsal;
use super::sandbox_file::read_sandbox;
use super::screened_file::read_screen;
use super::sinks_file::read_logs;
use super::tiers_file::read_tiers;
use super::{
    Audience, Auth, Canary, Chat, Confirmation, Counted, Credential, Declaration, Effect, Held, HeldSecret,
    Identity, Limits, OpenApi, Problem, Purpose, Route, RouteKind, SHORTEST_CANARY, State, Target,
    TargetError, Tenancy,
};
use crate::catalogue;
use crate::jwt::Jwt;

/// Where secrets and files are looked up.
pub(super) struct Sources<'s> {
    pub(super) dir: &'s Path,
    env: &'s dyn Fn(&str) -> Option<String>,
}

impl Target {
    /// Reads a target file; `file:` references are relative to its folder, `env:` references are asked of `env`.
    ///
    /// # Errors
    /// Every problem of the file, each with its line.
    pub fn load(file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TargetError> {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| TargetError {
            file: Some(shown.clone()),
            problems: vec![Problem::new(shown.clone(), error.to_string(), "a readable file")],
        })?;
        let dir = file.parent().unwrap_or_else(|| Path::new("."));
        Self::parse(&text, dir, env).map_err(|error| TargetError { file: Some(shown), ..error })
    }

    /// Reads the text of a target file.
    ///
    /// # Errors
    /// Every problem of the text, each with its line.
    pub fn parse(text: &str, dir: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TargetError> {
        let reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            reader.problem(&span, "syntax", error.message().to_owned(), "TOML");
        }
        let sources = Sources { dir, env };
        let root = Section::new(&reader, String::new(), 0..0, document.get_ref());
        let target = read_target(&root, &sources);
        root.finish();
        let problems = reader.into_problems();
        match target {
            Some(target) if problems.is_empty() => Ok(target),
            _ => Err(TargetError { file: None, problems }),
        }
    }
}

fn read_target(root: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Target> {
    let name = root.required("name");
    let base = root.required("base_url").and_then(|url| match Target::new(name.unwrap_or_default(), url) {
        Ok(target) => Some(target),
        Err(_) => {
            root.wrong("base_url", format!("`{url}`"), "an absolute URL such as `https://bot.example.org`");
            None
        }
    });
    let chat = root.section("chat").map(|section| read_chat(&section));
    let routes: Vec<Route> = root.sections("route").iter().filter_map(read_route).collect();
    let identities: Vec<Identity> =
        root.sections("identity").iter().filter_map(|section| read_identity(section, sources)).collect();
    check_names(root, &routes, &identities);
    let mut inventory = super::Inventory { routes, ..super::Inventory::default() };
    if let Some(section) = root.section("inventory") {
        read_inventory(&section, sources, &mut inventory);
    }
    let limits = root.section("limits").map(|section| read_limits(&section)).unwrap_or_default();
    let tenancy = root.section("tenancy").map(|section| read_tenancy(&section)).unwrap_or_default();
    let mut secrets = super::Secrets::default();
    if let Some(section) = root.section("secrets") {
        secrets.jwt = read_secret(&section, "jwt_secret", sources);
        secrets.encryption = read_secret(&section, "encryption_key", sources);
        secrets.csrf = read_secret(&section, "csrf_secret", sources);
        secrets.sample_jwt = section
            .text("sample_jwt")
            .and_then(|reference| resolve(&section, "sample_jwt", reference, sources))
            .map(Secret::new);
        secrets.used_elsewhere = section.texts("used_elsewhere");
        if let Some(reference) = section.text("words") {
            let words = resolve(&section, "words", reference, sources).unwrap_or_default();
            secrets.words = words.lines().map(str::to_owned).collect();
        }
        section.finish();
    }
    let canaries: Vec<Canary> = root.sections("canary").iter().filter_map(read_canary).collect();
    check_canaries(root, &canaries);
    let blocked = root.section("health").and_then(|section| {
        let url = section.text("blocked_url").and_then(|url| {
            let base = super::base_of(url);
            if base.is_none() {
                section.wrong(
                    "blocked_url",
                    format!("`{url}`"),
                    "an absolute URL such as `http://10.0.0.7:8080`",
                );
            }
            base
        });
        section.finish();
        url
    });
    let edge = root.section("edge").map(|section| read_edge(&section, sources));
    let declarations = root.sections("declares").iter().filter_map(read_declaration).collect();
    let (roles, accounts) = people::read_roles_and_accounts(root, sources);
    let owned = people::read_owned(root);
    let sign_ups = people::read_sign_ups(root, sources);
    let displays = read_displays(root, &identities);
    people::check_askers(root, &identities, &roles, &accounts, &sign_ups);
    let chat = chat.unwrap_or_else(Chat::openai);
    let rehearsal = read_rehearsal(root, sources, &chat, &identities);
    let handovers = read_handovers(root, &chat, &identities).map(Box::new);
    let blocklist = read_blocklist(root, sources).map(Box::new);
    let auto_block = read_auto_block(root, &identities).map(Box::new);
    let forwarded = read_forwarded(root, &chat, &limits, &identities).map(Box::new);
    let load = read_load(root, sources).map(Box::new);
    let alarms = read_alarms(root, sources, &chat, &identities).map(Box::new);
    let screen = read_screen(root, sources, &chat, &identities);
    let logs = read_logs(root, sources);
    let tiers = read_tiers(root, &chat, &tenancy.question, &identities);
    let caps = read_caps(root, &chat, &identities);
    let sandbox = read_sandbox(root, sources).map(Box::new);
    let target = base?;
    Some(Target {
        sandbox,
        logs,
        alarms,
        screen,
        caps,
        tiers,
        chat,
        inventory,
        identities,
        limits,
        secrets,
        tenancy,
        canaries,
        blocked,
        edge,
        roles,
        accounts,
        owned,
        displays,
        sign_ups,
        rehearsal,
        handovers,
        blocklist,
        auto_block,
        forwarded,
        load,
        declarations,
        ..target
    })
}

fn check_names(root: &Section<'_, '_>, routes: &[Route], identities: &[Identity]) {
    for (index, identity) in identities.iter().enumerate() {
        if identities.iter().take(index).any(|before| before.name == identity.name) {
            root.wrong(
                "identity",
                format!("two identities named `{}`", identity.name),
                "a name of its own for each",
            );
        }
    }
    for route in routes {
        if let Some(name) =
            route.identity.as_ref().filter(|name| !identities.iter().any(|i| i.name == **name))
        {
            root.wrong(
                "route",
                format!("`{}` for the unknown identity `{name}`", route.line()),
                "a known identity",
            );
        }
    }
    for (index, route) in routes.iter().enumerate() {
        if routes.iter().take(index).any(|before| before.is_same(route)) {
            root.wrong("route", format!("`{}` twice", route.line()), "each route once");
        }
    }
}

fn check_canaries(root: &Section<'_, '_>, canaries: &[Canary]) {
    for (index, canary) in canaries.iter().enumerate() {
        let others = canaries.iter().take(index);
        if others
            .clone()
            .any(|before| before.text.contains(&canary.text) || canary.text.contains(&before.text))
        {
            let found = format!("the text of the one in {} in another", canary.place());
            root.wrong("canary", found, "a random text of its own for each");
        }
    }
}

fn read_chat(section: &Section<'_, '_>) -> Chat {
    let mut chat = Chat { stream: None, ..Chat::openai() };
    if let Some(method) = read_method(section) {
        chat.route.method = method;
    }
    if let Some(path) = read_path(section) {
        chat.route.path = path;
    }
    if let Some(body) = read_question(section, "body") {
        chat.route.body = Some(body);
    }
    chat.stream = read_question(section, "stream");
    if let Some(answer) = section.text("answer") {
        if !answer.starts_with('/') {
            section.wrong("answer", format!("`{answer}`"), "a JSON pointer such as `/answer`");
        }
        answer.clone_into(&mut chat.answer);
    }
    section.finish();
    chat
}

fn read_method(section: &Section<'_, '_>) -> Option<Method> {
    let text = section.text("method")?;
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    if !known.contains(&text) {
        section.wrong("method", format!("`{text}`"), "one of GET, HEAD, POST, PUT, PATCH, DELETE");
        return None;
    }
    Method::from_bytes(text.as_bytes()).ok()
}

fn read_path(section: &Section<'_, '_>) -> Option<String> {
    let path = section.text("path")?;
    let plain =
        path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()) && !path.contains(['?', '#']);
    if !plain {
        section.wrong("path", format!("`{path}`"), "a path that starts with `/`; queries go into `query`");
        return None;
    }
    Some(path.to_owned())
}

fn read_json(section: &Section<'_, '_>, key: &'static str) -> Option<Value> {
    let text = section.text(key)?;
    match serde_json::from_str(text) {
        Ok(body) => Some(body),
        Err(error) => {
            section.wrong(key, format!("no JSON ({error})"), "a JSON text");
            None
        }
    }
}

fn read_question(section: &Section<'_, '_>, key: &'static str) -> Option<Value> {
    let body = read_json(section, key)?;
    if !body.to_string().contains(super::MESSAGE) {
        section.wrong(key, "a body without `{{message}}`", "a JSON body that holds `{{message}}`");
    }
    Some(body)
}

fn word<T: Copy>(section: &Section<'_, '_>, name: &'static str, words: &[(&str, T)], default: T) -> T {
    let Some(text) = section.text(name) else { return default };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return *value;
    }
    let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    section.wrong(name, format!("`{text}`"), &known);
    default
}

fn read_route(section: &Section<'_, '_>) -> Option<Route> {
    let route = read_request(section);
    section.finish();
    route
}

/// A request, in a table that may hold more than that.
pub(super) fn read_request(section: &Section<'_, '_>) -> Option<Route> {
    let _ = (section.required("method"), section.required("path"));
    let (method, path) = (read_method(section), read_path(section));
    let kinds = [
        ("api", RouteKind::Api),
        ("page", RouteKind::Page),
        ("login", RouteKind::Login),
        ("asset", RouteKind::Asset),
        ("live", RouteKind::Live),
        ("ready", RouteKind::Ready),
    ];
    let kind = word(section, "kind", &kinds, RouteKind::Api);
    let auth =
        word(section, "auth", &[("required", Auth::Required), ("public", Auth::Public)], Auth::Required);
    let safe = method.as_ref().is_some_and(Method::is_safe);
    let default = if safe { Effect::Reads } else { Effect::Writes };
    let effect = word(section, "effect", &[("reads", Effect::Reads), ("writes", Effect::Writes)], default);
    let succeeds_with = section.number("succeeds_with", 200..=422);
    if let Some(status) = succeeds_with.filter(|status| !matches!(status, 200..=299 | 400 | 404 | 409 | 422))
    {
        section.wrong("succeeds_with", status.to_string(), "2xx, 400, 404, 409 or 422");
    }
    let route = Route {
        params: section.text_map("params"),
        query: section.text_map("query"),
        headers: section.text_map("headers"),
        permission: section.text("permission").map(str::to_owned),
        body: read_json(section, "body"),
        identity: section.text("as").map(str::to_owned),
        succeeds_with: succeeds_with.and_then(|status| u16::try_from(status).ok()),
        signs_out: section.flag("signs_out"),
        shared: section.flag("shared"),
        method: method.clone().unwrap_or_default(),
        path: path.clone().unwrap_or_default(),
        auth,
        kind,
        effect,
    };
    (method.is_some() && path.is_some()).then_some(route)
}

fn read_identity(section: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Identity> {
    let name = section.required("name");
    let community = section.required("community");
    let credential = read_credential(section, sources);
    let flags = [
        (section.flag("expired"), State::Expired),
        (section.flag("revoked"), State::Revoked),
        (section.flag("wrong_audience"), State::WrongAudience),
        (section.flag("expiring"), State::Expiring),
        (section.flag("lapsed"), State::Lapsed),
    ];
    let mut states = flags.iter().filter(|(set, _)| *set).map(|(_, state)| *state);
    let state = states.next().unwrap_or(State::Valid);
    if states.next().is_some() {
        section.wrong(
            "name",
            "more than one of `expired`, `revoked`, `wrong_audience`, `expiring`, `lapsed`",
            "at most one of them",
        );
    }
    let ends = read_end(section, state, credential.as_ref());
    let purposes = [("any", Purpose::Any), ("limits", Purpose::Limits), ("named", Purpose::Named)];
    let purpose = word(section, "purpose", &purposes, Purpose::Any);
    let identity = name.zip(community).zip(credential).map(|((name, community), credential)| Identity {
        user: section.text("user").unwrap_or(name).to_owned(),
        role: section.text("role").unwrap_or("member").to_owned(),
        plans: section.texts("plans"),
        spaces: section.texts("spaces"),
        state,
        purpose,
        ends,
        ..Identity::new(name, community, credential)
    });
    let _ = (section.text("user"), section.text("role"), section.texts("plans"), section.texts("spaces"));
    section.finish();
    identity
}

/// When a credential that is to expire during the run does: as the file says, or as the token itself does.
fn read_end(section: &Section<'_, '_>, state: State, credential: Option<&Credential>) -> Option<Timestamp> {
    let said = section.text("ends");
    if state != State::Expiring {
        if said.is_some() {
            section.wrong("ends", "an end without `expiring = true`", "both, or neither");
        }
        return None;
    }
    let wanted = "a time such as `2026-01-10T12:00:00Z`";
    if let Some(text) = said {
        let ends = text.parse().ok();
        if ends.is_none() {
            section.wrong("ends", format!("`{text}`"), wanted);
        }
        return ends;
    }
    let token = credential?.secret().expose();
    let ends = Jwt::parse(token).and_then(|jwt| Timestamp::from_second(jwt.expires_at()?).ok());
    if ends.is_none() {
        section.wrong(
            "expiring",
            "a credential that does not say when it ends",
            &format!("`ends`, {wanted}"),
        );
    }
    ends
}

fn read_canary(section: &Section<'_, '_>) -> Option<Canary> {
    let (community, space) = (section.required("community"), section.required("space"));
    let (topic, text) = (section.required("topic"), section.required("text"));
    let (plans, staff) = (section.texts("plans"), section.flag("staff"));
    let (document, title) = (section.text("document"), section.text("title"));
    let asks = section.texts("asks");
    if staff && !plans.is_empty() {
        section.wrong("staff", "`staff = true` beside `plans`", "one of both: who may read the space");
    }
    if text.is_some_and(|text| text.bytes().filter(u8::is_ascii_alphanumeric).count() < SHORTEST_CANARY) {
        let wanted = format!("random text of at least {SHORTEST_CANARY} letters (a to z) and digits");
        section.wrong("text", "a text that could come about by chance", &wanted);
    }
    let holds = |outer: Option<&str>, inner: Option<&str>| {
        outer.zip(inner).is_some_and(|(outer, inner)| outer.to_lowercase().contains(&inner.to_lowercase()))
    };
    if holds(topic, text) || holds(topic, title) {
        section.wrong("topic", "a topic that holds the text or the title", "words that give neither away");
    }
    section.finish();
    let mut canary = Canary::new(community?, space?, topic?, text?);
    canary.audience = match (staff, plans.is_empty()) {
        (true, _) => Audience::Staff,
        (false, false) => Audience::Plans(plans),
        (false, true) => Audience::Members,
    };
    (canary.asks, canary.document, canary.title) =
        (asks, document.map(str::to_owned), title.map(str::to_owned));
    Some(canary)
}

fn read_credential(section: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Credential> {
    let mut found = Vec::new();
    if let Some(reference) = section.text("bearer") {
        found.push(
            resolve(section, "bearer", reference, sources)
                .map(|token| Credential::Bearer(Secret::new(token))),
        );
    }
    for name in ["cookie", "header"] {
        let Some(pair) = section.section(name) else { continue };
        let (key, reference) = (pair.required("name"), pair.required("value"));
        let value =
            reference.and_then(|reference| resolve(&pair, "value", reference, sources)).map(Secret::new);
        pair.finish();
        found.push(key.zip(value).map(|(key, value)| {
            let key = key.to_owned();
            if name == "cookie" {
                Credential::Cookie { name: key, value }
            } else {
                Credential::Header { name: key, value }
            }
        }));
    }
    if let Some(pair) = section.section("basic") {
        let (user, reference) = (pair.required("user"), pair.required("password"));
        let password = reference.and_then(|reference| resolve(&pair, "password", reference, sources));
        pair.finish();
        found.push(user.zip(password).map(|(user, password)| Credential::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        }));
    }
    if found.len() != 1 {
        section.wrong(
            "name",
            format!("{} credentials", found.len()),
            "exactly one of `bearer`, `cookie`, `header`, `basic`",
        );
        return None;
    }
    found.pop().flatten()
}

/// What a reference stands for. A text that is no reference is not repeated: it may be the secret itself.
pub(super) fn resolve(
    section: &Section<'_, '_>,
    key: &'static str,
    reference: &str,
    sources: &Sources<'_>,
) -> Option<String> {
    let value = if let Some(name) = reference.strip_prefix("env:") {
        let value = (sources.env)(name);
        if value.is_none() {
            section.wrong(
                key,
                format!("`{reference}`, which is not set"),
                "an environment variable with a value",
            );
        }
        value?
    } else if let Some(path) = reference.strip_prefix("file:") {
        match std::fs::read_to_string(sources.dir.join(path)) {
            Ok(text) => text,
            Err(error) => {
                section.wrong(key, format!("`{reference}`: {error}"), "a readable file");
                return None;
            }
        }
    } else {
        section.wrong(
            key,
            "a value that is no reference",
            "`env:NAME` or `file:PATH`, never the secret itself",
        );
        return None;
    };
    let value = value.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() {
        section.wrong(key, format!("`{reference}`, which is empty"), "a value");
        return None;
    }
    Some(value)
}

fn read_secret(section: &Section<'_, '_>, key: &'static str, sources: &Sources<'_>) -> Option<HeldSecret> {
    let reference = section.text(key)?;
    let value = resolve(section, key, reference, sources)?;
    Some(HeldSecret { value: Secret::new(value), origin: reference.to_owned(), held: Held::Given })
}

fn read_inventory(section: &Section<'_, '_>, sources: &Sources<'_>, inventory: &mut super::Inventory) {
    if let Some(place) = section.text("openapi") {
        if place.starts_with('/') {
            inventory.openapi = Some(OpenApi::OnTarget(place.to_owned()));
        } else if let Some(text) = resolve(section, "openapi", place, sources) {
            match serde_json::from_str(&text) {
                Ok(document) => inventory.openapi = Some(OpenApi::Document(document)),
                Err(error) => {
                    section.wrong("openapi", format!("no JSON ({error})"), "an OpenAPI document in JSON")
                }
            }
        }
    }
    if let Some(reference) = section.text("access_log")
        && let Some(text) = resolve(section, "access_log", reference, sources)
    {
        inventory.confirmations.push(Confirmation::AccessLog { origin: reference.to_owned(), text });
    }
    inventory.permission_key = section.text("permission_key").map(str::to_owned);
    if let Some(who) = section.text("complete_by") {
        if who.trim().is_empty() {
            section.wrong("complete_by", "empty text", "who answers for the list of routes, and when");
        }
        inventory.confirmations.push(Confirmation::Person(who.to_owned()));
    }
    section.finish();
}

fn read_limits(section: &Section<'_, '_>) -> Limits {
    let range = 1..=10_000;
    let limits = Limits {
        counted: word(section, "counts", &Counted::ALL, Counted::default()),
        user_per_minute: section.number("user_per_minute", range.clone()),
        address_per_minute: section.number("address_per_minute", range.clone()),
        session_per_minute: section.number("session_per_minute", range.clone()),
        community_per_minute: section.number("community_per_minute", range),
        marker: section.text("marker").map(str::to_owned),
    };
    section.finish();
    limits
}

fn read_tenancy(section: &Section<'_, '_>) -> Tenancy {
    let defaults = Tenancy::default();
    let tenancy = Tenancy {
        ids: section.text_map("ids"),
        values: section.text_maps("values"),
        question: section.text("question").map_or(defaults.question, str::to_owned),
        how_many: section.text("how_many").map(str::to_owned),
        id_names: section.texts("id_names"),
    };
    section.finish();
    tenancy
}

fn read_declaration(section: &Section<'_, '_>) -> Option<Declaration> {
    let (lacks, reason, approver) =
        (section.required("lacks"), section.required("reason"), section.required("approver"));
    section.finish();
    let lacks = lacks?;
    let is_permission = lacks.strip_prefix("permission:").is_some_and(|name| !name.is_empty());
    if !Declaration::FEATURES.contains(&lacks) && !is_permission && catalogue::find(lacks).is_none() {
        let features = Declaration::FEATURES.join("`, `");
        section.wrong(
            "lacks",
            format!("`{lacks}`"),
            &format!("a control's id, `permission:NAME` or one of `{features}`"),
        );
        return None;
    }
    Some(Declaration::new(lacks, reason?, approver?))
}
