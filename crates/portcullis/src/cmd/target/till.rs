//! An instance with small budgets, so that they can be used up in a moment: no budget of the instance that is judged is touched,
//! and no money is spent. Its model answers for nothing and tells what it used.

use anyhow::{Context as _, Result};
use portcullis_check::target::{Cap, Capped, Chat, Identity, MESSAGE, TokenPrice};
use portcullis_config::Config;
use portcullis_core::Role;
use portcullis_guard::Code;
use portcullis_model::upstream::{Scripted, Upstream};
use serde_json::json;

use super::beside::{Beside, Club, NO_LIMITS, Site};
use crate::instance::Instance;

const SLUG: &str = "portcullis-till";
/// With this model the budget of tokens is used up first, with the other the one of costs.
const CHEAP: &str = "cheap";
const DEAR: &str = "dear";
const TOKENS: u64 = 20_000;
/// In millionths.
const COST: u64 = 300_000;
const ANSWER: u64 = 100;

/// Starts it, and says which budgets may be used up there: one of tokens by a member, one of costs by an owner, since nobody is
/// exempt.
pub(super) async fn start(config: &Config) -> Result<(Beside, Vec<Cap>)> {
    let script = Scripted::text(&"boat ".repeat(80));
    let upstream = Upstream::start(script).await.context("no loopback port")?;
    let price = |price: TokenPrice| {
        let unit = |millionths: u64| format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        format!("{}/{}", unit(price.input), unit(price.output))
    };
    let cheap = TokenPrice { input: 1, output: 1 };
    let dear = TokenPrice { input: 20_000_000, output: 80_000_000 };
    let settings = [
        ("model.url", upstream.url()),
        ("model.name", CHEAP.to_owned()),
        ("model.allow", format!("{CHEAP},{DEAR}")),
        ("model.prices", format!("{CHEAP}={},{DEAR}={}", price(cheap), price(dear))),
        ("model.max_tokens", ANSWER.to_string()),
        ("limits.tokens_per_member_per_day", TOKENS.to_string()),
        ("limits.cost_per_member_per_day", format!("0.{COST:06}")),
    ];
    let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let mut site = Site::new("with small budgets", settings.chain(NO_LIMITS))?;
    site.config.danger = config.danger.clone();
    let instance = Instance::open(&site.config)?;
    let club = Club::new(&instance.kept, SLUG, "For budgets only").await?;
    let person = async |name, role: Role| -> Result<Identity> {
        Ok(club.somebody(name, role).await?.role(role.name()))
    };
    let member = person("spender", Role::Member).await?;
    let owner = person("owner", Role::Owner).await?;
    let other = person("other", Role::Member).await?;
    let till = site.serve(instance, vec![upstream]).await?;
    let at = Some(till.at()?);
    let cap = |what, limit, price, model, spender: &Identity| Cap {
        what,
        limit,
        price,
        at: at.clone(),
        chat: chat(model),
        spender: spender.clone(),
        other: other.clone(),
        question_tokens: "/usage/prompt_tokens".to_owned(),
        answer_tokens: "/usage/completion_tokens".to_owned(),
        marker: Some(Code::BudgetExhausted.name().to_owned()),
    };
    let caps = vec![
        cap(Capped::Tokens, TOKENS, None, CHEAP, &member),
        cap(Capped::Cost, COST, Some(dear), DEAR, &owner),
    ];
    Ok((till, caps))
}

fn chat(model: &str) -> Chat {
    let mut chat = Chat::openai();
    let message = json!([{ "role": "user", "content": MESSAGE }]);
    chat.route.body = Some(json!({ "model": model, "messages": message }));
    chat.stream = Some(json!({ "model": model, "messages": message, "stream": true }));
    chat
}
