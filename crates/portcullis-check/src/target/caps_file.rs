//! `[[cap]]` of a target file.

use super::blocklist_file::SHORTEST_MARKER;
use super::read::Section;
use super::{Cap, Capped, Chat, Identity, State, TokenPrice, base_of};

/// The budgets that may be used up.
pub(super) fn read_caps(root: &Section<'_, '_>, chat: &Chat, identities: &[Identity]) -> Vec<Cap> {
    root.sections("cap").iter().filter_map(|section| read_cap(section, chat, identities)).collect()
}

fn read_cap(section: &Section<'_, '_>, chat: &Chat, identities: &[Identity]) -> Option<Cap> {
    let word = section.required("what");
    let what = Capped::ALL.iter().find(|(known, _)| Some(*known) == word).map(|(_, what)| *what);
    if what.is_none() && word.is_some() {
        section.wrong("what", format!("`{}`", word.unwrap_or_default()), "`tokens` or `cost`");
    }
    let limit = section.number("limit", 1..=u32::MAX);
    let price = section.text("price").and_then(|text| {
        let price = price(text);
        if price.is_none() {
            section.wrong(
                "price",
                format!("`{text}`"),
                "millionths of a million tokens of questions and of answers: `150000/600000`",
            );
        }
        price
    });
    if what == Some(Capped::Cost) && price.is_none() {
        section.wrong("price", "nothing", "what a million tokens cost, where costs are limited");
    }
    let who = |key: &'static str| {
        let name = section.required(key)?;
        let found =
            identities.iter().find(|identity| identity.name == name && identity.state == State::Valid);
        if found.is_none() {
            section.wrong(key, format!("`{name}`"), "a working identity");
        }
        found.cloned()
    };
    let (spender, other) = (who("as"), who("other"));
    if spender.as_ref().zip(other.as_ref()).is_some_and(|(spender, other)| spender.user == other.user) {
        section.wrong("other", "the one whose budget is used up", "somebody else");
    }
    let at = section.text("base_url").and_then(|text| {
        let base = base_of(text);
        if base.is_none() {
            section.wrong("base_url", format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080`");
        }
        base
    });
    let pointer = |key: &'static str| section.required(key).map(str::to_owned);
    let (question_tokens, answer_tokens) = (pointer("question_tokens"), pointer("answer_tokens"));
    let marker = section.text("marker").map(str::to_owned);
    if let Some(marker) = &marker
        && marker.chars().filter(|c| c.is_alphanumeric()).count() < SHORTEST_MARKER
    {
        let wanted = "text of at least 6 letters that stands in its 429 and in no other one";
        section.wrong("marker", format!("`{marker}`"), wanted);
    }
    section.finish();
    Some(Cap {
        what: what?,
        limit: limit?.into(),
        price,
        at,
        chat: chat.clone(),
        spender: spender?,
        other: other?,
        question_tokens: question_tokens?,
        answer_tokens: answer_tokens?,
        marker,
    })
}

fn price(text: &str) -> Option<TokenPrice> {
    let (input, output) = text.split_once('/')?;
    Some(TokenPrice { input: input.trim().parse().ok()?, output: output.trim().parse().ok()? })
}
