//! An instance of this build with small budgets, so that they can be used up in a moment.
//!
//! Its model answers for nothing and tells what it used. It lives in a temporary folder, on loopback ports of its own, and ends
//! with the run: no budget of the instance that is judged is touched, and no money is spent.

use anyhow::{Context as _, Result};
use portcullis_check::target::{Cap, Capped, Chat, Credential, Identity, MESSAGE, TokenPrice};
use portcullis_config::{Environment, Flags};
use portcullis_core::{AbilitySet, Role, Scope, Tier};
use portcullis_model::upstream::{Scripted, Upstream};
use portcullis_store::{Community, KeyActor, NewCommunity, NewMember};
use serde_json::json;

use super::super::serve::{self, Serving};
use crate::instance::{Instance, Kept, Wanted};

const SLUG: &str = "portcullis-till";
/// With this model the budget of tokens is used up first, with the other the one of costs.
const CHEAP: &str = "cheap";
const DEAR: &str = "dear";
const TOKENS: u64 = 20_000;
/// In millionths.
const COST: u64 = 300_000;
const ANSWER: u64 = 100;

/// The running instance.
#[derive(Debug)]
pub(super) struct Till {
    instance: Instance,
    serving: Serving,
    upstream: Upstream,
    _folder: tempfile::TempDir,
}

/// Starts it, and says which budgets may be used up there: one of tokens by a member, one of costs by an owner, since nobody is
/// exempt.
pub(super) async fn start() -> Result<(Till, Vec<Cap>)> {
    let folder =
        tempfile::Builder::new().prefix("portcullis-check-").tempdir().context("no temporary folder")?;
    let script = Scripted::text(&"boat ".repeat(80));
    let upstream = Upstream::start(script).await.context("no loopback port")?;
    let made = portcullis_config::init(folder.path())?;
    let plenty = "1000000";
    let price = |price: TokenPrice| {
        let unit = |millionths: u64| format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        format!("{}/{}", unit(price.input), unit(price.output))
    };
    let cheap = TokenPrice { input: 1, output: 1 };
    let dear = TokenPrice { input: 20_000_000, output: 80_000_000 };
    let flags = Flags::none()
        .with("--listen", "listen.member", "127.0.0.1:0")
        .with("--listen", "listen.operator", "127.0.0.1:0")
        .with("--set", "model.url", upstream.url())
        .with("--set", "model.name", CHEAP)
        .with("--set", "model.allow", format!("{CHEAP},{DEAR}"))
        .with("--set", "model.prices", format!("{CHEAP}={},{DEAR}={}", price(cheap), price(dear)))
        .with("--set", "model.max_tokens", ANSWER.to_string())
        .with("--set", "limits.per_key_per_minute", plenty)
        .with("--set", "limits.per_address_per_minute", plenty)
        .with("--set", "limits.tokens_per_member_per_day", TOKENS.to_string())
        .with("--set", "limits.cost_per_member_per_day", format!("0.{COST:06}"));
    let own = portcullis_config::load(&made.config, &Environment::of::<&str, &str>([]), &flags)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
        .context("the configuration of the instance with small budgets is not valid")?
        .config;
    let instance = Instance::open(&own)?;
    let people = settle(&instance.kept).await?;
    let serving = serve::start(&instance, &own).await?;
    let at = Some(format!("http://{}", serving.address).parse()?);
    let cap = |what, limit, price, model, spender: &Identity| Cap {
        what,
        limit,
        price,
        at: at.clone(),
        chat: chat(model),
        spender: spender.clone(),
        other: people.other.clone(),
        question_tokens: "/usage/prompt_tokens".to_owned(),
        answer_tokens: "/usage/completion_tokens".to_owned(),
    };
    let caps = vec![
        cap(Capped::Tokens, TOKENS, None, CHEAP, &people.member),
        cap(Capped::Cost, COST, Some(dear), DEAR, &people.owner),
    ];
    Ok((Till { instance, serving, upstream, _folder: folder }, caps))
}

impl Till {
    pub(super) async fn stop(self) -> Result<()> {
        serve::stop(self.instance, self.serving).await?;
        self.upstream.stop().await;
        Ok(())
    }
}

fn chat(model: &str) -> Chat {
    let mut chat = Chat::openai();
    let message = json!([{ "role": "user", "content": MESSAGE }]);
    chat.route.body = Some(json!({ "model": model, "messages": message }));
    chat.stream = Some(json!({ "model": model, "messages": message, "stream": true }));
    chat
}

struct People {
    member: Identity,
    owner: Identity,
    other: Identity,
}

async fn settle(kept: &Kept) -> Result<People> {
    let new = NewCommunity {
        slug: SLUG.to_owned(),
        name: "For budgets only".to_owned(),
        host: None,
        tier: Tier::Dedicated,
    };
    let community = kept.stores.directory.create(new).await?;
    let scope = Kept::operator(&community);
    Ok(People {
        member: person(kept, &community, &scope, "spender", Role::Member).await?,
        owner: person(kept, &community, &scope, "owner", Role::Owner).await?,
        other: person(kept, &community, &scope, "other", Role::Member).await?,
    })
}

async fn person(
    kept: &Kept,
    community: &Community,
    scope: &Scope,
    name: &str,
    role: Role,
) -> Result<Identity> {
    let new = NewMember { name: name.to_owned(), email: None, role: Some(role) };
    let member = kept.stores.members.add(scope, new).await?.id;
    let wanted = Wanted {
        name: "till",
        actor: KeyActor::Member(member),
        ceiling: None,
        abilities: AbilitySet::SESSION,
        expires: None,
    };
    let (text, _) = kept.issue_key(community, wanted).await?;
    Ok(Identity::new(name, &community.slug, Credential::bearer(text.expose().clone())).role(role.name()))
}
