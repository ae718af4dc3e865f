//! Tools: may the model call this, with these arguments, for this member, now?
//!
//! The model is taken to be hostile: it may name any tool and write any arguments, as often as it likes. What it is told
//! of a refusal holds nothing of what it wrote.

use async_trait::async_trait;
use portcullis_leak::{Action, Class, Leak, Vault};
use portcullis_limit::{Charge, Rates, Subject};
use portcullis_tools::ApprovalRule;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};
use std::sync::Arc;

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::security::{Noticed, SecurityEvent};
use crate::tooling::{Call, Named};

/// The longest arguments, in bytes of JSON.
const LONGEST: usize = 32 << 10;

fn decline(words: impl Into<std::borrow::Cow<'static, str>>) -> Ruling {
    Ruling::Refuse(Refusal::new(Code::ToolRefused, words))
}

/// Tools that this community and role may use, and no others.
#[derive(Debug)]
pub struct ToolAllowList;

#[async_trait]
impl Guard<Call<Named>> for ToolAllowList {
    fn name(&self) -> &'static str {
        "tool-allow-list"
    }

    fn about(&self) -> &'static str {
        "only tools that are configured for this community and this role are called"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, call: &mut Call<Named>) -> Ruling {
        let named = &mut call.state;
        let tool = gate.parts.tools.find(&named.asked.name);
        match tool.filter(|tool| tool.allows(&named.community, named.scope.role())) {
            Some(tool) => {
                named.tool = Some(Arc::clone(tool));
                Ruling::Allow
            }
            // Whether there is one of that name elsewhere is not told.
            None => decline("there is no such tool here"),
        }
    }
}

/// So many calls of a tool in a turn, of a member in an hour, of a community in a day.
#[derive(Debug)]
pub struct ToolLimit;

#[async_trait]
impl Guard<Call<Named>> for ToolLimit {
    fn name(&self) -> &'static str {
        "tool-limit"
    }

    fn about(&self) -> &'static str {
        "calls of a tool are limited in a turn, for a member in any hour and for a community in any day"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, call: &mut Call<Named>) -> Ruling {
        let named = &call.state;
        let Some(tool) = &named.tool else { return decline("there is no such tool here") };
        let settings = tool.settings();
        if named.made.get(tool.name()).copied().unwrap_or(0) >= settings.per_turn {
            return decline(
                "this tool was called as often as one question allows; answer with what there is",
            );
        }
        let scope = &named.scope;
        let member = settings.per_hour.map(|most| {
            let both = stands_for(&[tool.name().as_str(), &format!("{:?}", scope.actor())]);
            Charge::one(Subject::ActorTool(scope.community(), both), Rates::per_hour(most))
        });
        let community = settings.per_day.map(|most| {
            let subject = Subject::CommunityTool(scope.community(), stands_for(&[tool.name().as_str()]));
            Charge::one(subject, Rates::per_day(most))
        });
        let charges: Vec<Charge> = member.into_iter().chain(community).collect();
        if charges.is_empty() {
            return Ruling::Allow;
        }
        match gate.counters.admit(gate.clock().monotonic(), &charges).await.0 {
            Ok(_) => Ruling::Allow,
            Err(_) => {
                decline("this tool was called as often as it may be for now; answer with what there is")
            }
        }
    }
}

/// A tool as an operator approved it.
#[derive(Debug)]
pub struct ToolPin;

#[async_trait]
impl Guard<Call<Named>> for ToolPin {
    fn name(&self) -> &'static str {
        "tool-pin"
    }

    fn about(&self) -> &'static str {
        "a tool whose name, description, schema or program is not what was approved is stopped"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, call: &mut Call<Named>) -> Ruling {
        let Some(tool) = call.state.tool.clone() else { return decline("there is no such tool here") };
        match tool.verify().await {
            Ok(spec) => {
                call.state.spec = Some(spec);
                Ruling::Allow
            }
            Err(stop) => {
                tracing::warn!(tool = tool.name().as_str(), why = stop.name(), "a tool is stopped");
                let noticed = Noticed::new(SecurityEvent::ToolStopped, self.name());
                gate.note(noticed.by(&call.state.scope).in_request(call.state.request));
                decline("this tool is not available")
            }
        }
    }
}

/// Arguments that fit the schema.
#[derive(Debug)]
pub struct ToolArguments;

#[async_trait]
impl Guard<Call<Named>> for ToolArguments {
    fn name(&self) -> &'static str {
        "tool-arguments"
    }

    fn about(&self) -> &'static str {
        "arguments are JSON that fits the tool's schema, which names everything that there may be"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, _: &Gate, call: &mut Call<Named>) -> Ruling {
        let named = &mut call.state;
        let Some(spec) = &named.spec else { return decline("this tool is not available") };
        if named.asked.arguments.len() > LONGEST {
            return decline("the arguments are longer than may be");
        }
        let written = named.asked.arguments.trim();
        let written = if written.is_empty() { "{}" } else { written };
        let Ok(Value::Object(arguments)) = serde_json::from_str::<Value>(written) else {
            return decline("the arguments must be one JSON object");
        };
        if let Err(mismatch) = spec.schema.check(&arguments) {
            return decline(mismatch.to_string());
        }
        // What goes out is written anew from what was judged: a key that stood twice stands once.
        named.arguments = arguments;
        Ruling::Allow
    }
}

/// Arguments that carry nothing out which an answer may not either.
#[derive(Debug)]
pub struct ToolLeaks;

#[async_trait]
impl Guard<Call<Named>> for ToolLeaks {
    fn name(&self) -> &'static str {
        "tool-leaks"
    }

    fn about(&self) -> &'static str {
        "arguments with the system text, its random words, secrets or personal data of others go nowhere"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, call: &mut Call<Named>) -> Ruling {
        let named = &call.state;
        let found = texts(&named.arguments).find_map(|text| {
            if text.contains(&named.mark) { Some(Class::Canary) } else { leak(&named.vault, &text) }
        });
        if found.is_none() {
            return Ruling::Allow;
        }
        let noticed = Noticed::new(SecurityEvent::LeakStopped, self.name());
        gate.note(noticed.by(&named.scope).in_request(named.request));
        decline("the arguments hold something that must not leave")
    }
}

/// What a person has to approve is not made before one has.
#[derive(Debug)]
pub struct ToolApproval;

#[async_trait]
impl Guard<Call<Named>> for ToolApproval {
    fn name(&self) -> &'static str {
        "tool-approval"
    }

    fn about(&self) -> &'static str {
        "a call that a person has to approve waits, and is made once, as it was approved, when its asker goes on"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, _: &Gate, call: &mut Call<Named>) -> Ruling {
        let named = &mut call.state;
        let Some(tool) = &named.tool else { return decline("there is no such tool here") };
        match &named.approved {
            Some(approved) if approved.covers(tool, &named.arguments) => Ruling::Allow,
            Some(_) => decline("the call is not what was approved"),
            None => {
                named.waits = tool.settings().approval == ApprovalRule::Human;
                Ruling::Allow
            }
        }
    }
}

/// Every text in the arguments, then all of them together, however they were cut over several.
fn texts(arguments: &Map<String, Value>) -> impl Iterator<Item = String> {
    fn gather(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Number(number) => into.push(number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
            Value::Object(map) => map.values().for_each(|item| gather(item, into)),
            Value::Bool(_) | Value::Null => {}
        }
    }
    let mut all = Vec::new();
    arguments.values().for_each(|value| gather(value, &mut all));
    let together = all.concat();
    let decoded = all.iter().map(|text| unquoted(text)).filter(|text| !text.is_empty()).collect::<Vec<_>>();
    all.into_iter().chain(decoded).chain([together])
}

/// A text with its percent codes read, where there are any: it may be an address.
fn unquoted(text: &str) -> String {
    if !text.contains('%') {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let read = code.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = read.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What of a text may not leave. Links are no matter here: where a call goes is decided elsewhere.
fn leak(vault: &Arc<Vault>, text: &str) -> Option<Class> {
    let (mut leak, mut out) = (Leak::new(vault), String::new());
    leak.push(text, &mut out);
    leak.finish(&mut out);
    let policy = vault.policy();
    leak.found().map(|(class, _)| class).find(|class| {
        let action = match class {
            Class::Canary => policy.canary,
            Class::SystemText => policy.system_text,
            Class::Secret => policy.secrets,
            Class::Personal => policy.personal,
            Class::Link => Action::Off,
        };
        matches!(action, Action::Redact | Action::Stop)
    })
}

/// A number that stands for texts, in counters.
fn stands_for(texts: &[&str]) -> u128 {
    let hash = digest(&SHA256, texts.join("\n").as_bytes());
    let first = hash.as_ref().first_chunk::<16>().copied().unwrap_or_default();
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_leak::{Canary, Policy, Vault};
    use serde_json::json;

    use super::{leak, stands_for, texts};

    fn carries(arguments: &serde_json::Value) -> bool {
        let canary = Arc::new(Canary::new([7; 24]));
        let vault = Vault::new(Arc::new(Policy::strict())).with_canary(canary);
        let vault = Arc::new(vault.without_links());
        texts(arguments.as_object().expect("an object")).any(|text| leak(&vault, &text).is_some())
    }

    #[test]
    fn what_must_not_leave_is_found_wherever_it_stands_in_the_arguments() {
        let canary = Canary::new([7; 24]);
        let word = canary.word();
        let (one, two) = word.split_at(word.len() / 2);
        for bad in [
            json!({"q": word}),
            json!({"q": format!("tide {word} Hull")}),
            json!({"deep": {"list": ["a", {"b": word}]}}),
            json!({"a": one, "b": two}),
            json!({"key": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}),
            json!({"url": "https://example.org/?q=sk%5Flive%5F4eC39HqLyjWDarjtT1zdp7dc"}),
            json!({"to": "paul@example.org"}),
            json!({"to": "DE89 3704 0044 0532 0130 00"}),
        ] {
            assert!(carries(&bad), "{bad}");
        }
        for good in [
            json!({"place": "Hull", "days": 3}),
            json!({"url": "https://docs.example.org/a%20b?c=d"}),
            json!({"text": "The tide at Hull is high at 14:20, 5.3 m."}),
            json!({}),
        ] {
            assert!(!carries(&good), "{good}");
        }
    }

    #[test]
    fn what_is_counted_apart_has_numbers_of_its_own() {
        assert_ne!(stands_for(&["a", "b"]), stands_for(&["a", "c"]));
        assert_ne!(stands_for(&["a"]), stands_for(&["b"]));
    }
}
