//! `[rehearsal]` and `[[planted]]` of a target file.

use http::Uri;

use super::file::{Sources, resolve};
use super::read::Section;
use super::{
    Chat, DeclaredTool, Form, Identity, Planted, PlantedKind, Purpose, Rehearsal, Spot, State, Thread,
    ToolInventory, WORD, base_of,
};

/// The fewest letters and digits of a planted text: fewer could come about by chance.
const SHORTEST: usize = 12;
/// What an order leaves in an answer may be short: `[97]`.
const SHORTEST_ORDER: usize = 2;

/// Where attacks are tried, and what was planted there.
pub(super) fn read_rehearsal(
    root: &Section<'_, '_>,
    sources: &Sources<'_>,
    chat: &Chat,
    identities: &[Identity],
) -> Option<Rehearsal> {
    let planted: Vec<Planted> = root.sections("planted").iter().filter_map(read_planted).collect();
    let Some(section) = root.section("rehearsal") else {
        if !planted.is_empty() {
            root.wrong("planted", "planted texts without `[rehearsal]`", "both, or neither");
        }
        return None;
    };
    let url = |key: &'static str| {
        let text = section.text(key)?;
        let base = base_of(text);
        if base.is_none() {
            section.wrong(key, format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080`");
        }
        base
    };
    let (at, trace) = (url("base_url"), url("trace"));
    let system = section.text("system").and_then(|reference| resolve(&section, "system", reference, sources));
    let citation = section.text("citation").map(str::to_owned);
    if citation.as_ref().is_some_and(|form| !form.contains(super::NUMBER)) {
        section.wrong("citation", "a form without `{{number}}`", "a form such as `[{{number}}]`");
    }
    let mark_after = section.text("mark_after").map(str::to_owned);
    let names = section.texts("as");
    let usable = |identity: &&Identity| identity.state == State::Valid && identity.purpose != Purpose::Limits;
    let askers: Vec<Identity> =
        identities.iter().filter(usable).filter(|identity| names.contains(&identity.name)).cloned().collect();
    if askers.is_empty() || askers.len() != names.len() {
        section.wrong(
            "as",
            format!("{} working identities of {}", askers.len(), names.len()),
            "working identities",
        );
    }
    if askers.iter().any(|asker| askers.iter().any(|other| !asker.is_peer(other))) {
        section.wrong(
            "as",
            "identities of different standing",
            "members of one community who may all see the same",
        );
    }
    let insider = read_insider(&section, identities, &askers);
    let thread = read_thread(&section);
    let tools = read_tools(&section, identities);
    section.finish();
    if tools.is_none()
        && planted.iter().any(|planted| matches!(planted.kind, PlantedKind::Tools | PlantedKind::Call))
    {
        root.wrong(
            "planted",
            "a text of the kind `tools` or `call` without `[rehearsal.tools]`",
            "both, or neither",
        );
    }
    let chat = chat.clone();
    Some(Rehearsal { at, chat, askers, system, planted, insider, trace, mark_after, citation, thread, tools })
}

/// Who may read what the askers may not.
fn read_insider(section: &Section<'_, '_>, identities: &[Identity], askers: &[Identity]) -> Option<Identity> {
    let name = section.text("insider")?;
    let named = identities.iter().find(|identity| identity.name == name && identity.state == State::Valid);
    let community = askers.first().map(|asker| asker.community.as_str());
    let insider = named.filter(|insider| {
        askers.iter().all(|asker| asker.user != insider.user) && Some(insider.community.as_str()) == community
    });
    if insider.is_none() {
        let wanted = "a working identity of the same community who is none of `as`";
        section.wrong("insider", format!("`{name}`"), wanted);
    }
    insider.cloned()
}

/// `[rehearsal.conversation]`.
fn read_thread(rehearsal: &Section<'_, '_>) -> Option<Thread> {
    let section = rehearsal.section("conversation")?;
    let spot = |key: &'static str, wanted: &str, is_one: fn(&Spot) -> bool| {
        let text = section.required(key)?;
        let spot = Spot::parse(text).filter(is_one);
        if spot.is_none() {
            section.wrong(key, format!("`{text}`"), wanted);
        }
        spot
    };
    let at =
        spot("at", "`header:NAME`, or a member of the body such as `/conversation`", |spot| match spot {
            Spot::Header(_) => true,
            Spot::Pointer(pointer) => pointer.matches('/').count() == 1,
            Spot::Cookie(_) | Spot::Query(_) => false,
        });
    let id = spot("id", "`/id`, `header:NAME` or `cookie:NAME`", |spot| !matches!(spot, Spot::Query(_)));
    let begin = section.text("begin").map(str::to_owned);
    section.finish();
    Some(Thread { at: at?, begin, id: id? })
}

/// `[rehearsal.tools]` and its `[[rehearsal.tools.tool]]`.
fn read_tools(rehearsal: &Section<'_, '_>, identities: &[Identity]) -> Option<ToolInventory> {
    let section = rehearsal.section("tools")?;
    let names = section.texts("as");
    let usable = |identity: &&Identity| identity.state == State::Valid && names.contains(&identity.name);
    let askers: Vec<Identity> = identities.iter().filter(usable).cloned().collect();
    if askers.len() != names.len() {
        section.wrong(
            "as",
            format!("{} working identities of {}", askers.len(), names.len()),
            "working identities",
        );
    }
    let url = |key: &'static str, text: &str| {
        let base = base_of(text);
        if base.is_none() {
            section.wrong(key, format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080/calls`");
        }
        base
    };
    let sinks: Vec<_> = section.texts("sinks").iter().filter_map(|text| url("sinks", text)).collect();
    if sinks.is_empty() {
        section.wrong("sinks", "none", "where the calls that reached a tool are told");
    }
    let decisions = section.text("decisions").and_then(|text| url("decisions", text));
    let reader = section.text("reader").map(|name| {
        let argument = section.text("reader_argument").unwrap_or("url");
        (name.to_owned(), argument.to_owned())
    });
    let told = |key: &'static str| -> Vec<Uri> {
        section.texts(key).iter().filter_map(|text| url(key, text)).collect()
    };
    let addresses = |key: &'static str| {
        let addresses = section.texts(key);
        if addresses.iter().any(|address| !address.contains(WORD)) {
            let wanted = "addresses such as `http://10.0.0.7/page?w={{word}}`";
            section.wrong(key, "an address without `{{word}}`", wanted);
        }
        addresses
    };
    let (traps, trapped) = (addresses("traps"), told("trapped"));
    let (pages, visited) = (addresses("pages"), told("visited"));
    let tools: Vec<DeclaredTool> = section.sections("tool").iter().filter_map(read_tool).collect();
    section.finish();
    for (key, kind, some, told) in [
        ("trapped", "traps", !traps.is_empty(), !trapped.is_empty()),
        ("visited", "pages", !pages.is_empty(), !visited.is_empty()),
    ] {
        if some != told {
            let found = format!("`{kind}` without what tells who came, or the other way round");
            section.wrong(key, found, "both, or neither");
        }
    }
    Some(ToolInventory { askers, tools, sinks, trapped, decisions, reader, traps, pages, visited })
}

fn read_tool(section: &Section<'_, '_>) -> Option<DeclaredTool> {
    let (name, arguments) = (section.required("name"), section.required("arguments"));
    let (allowed, approval) = (section.flag("allowed"), section.flag("approval"));
    if approval && !allowed {
        section.wrong("approval", "a tool that nobody may use", "`allowed = true` beside it");
    }
    if arguments.is_some_and(|text| {
        !text.contains(WORD)
            || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_err()
    }) {
        section.wrong("arguments", "other text", "a JSON object with `{{word}}` in a text of it");
    }
    section.finish();
    Some(DeclaredTool { name: name?.to_owned(), arguments: arguments?.to_owned(), allowed, approval })
}

fn read_planted(section: &Section<'_, '_>) -> Option<Planted> {
    let word = section.required("kind");
    let kind = PlantedKind::ALL.iter().find(|(known, _)| Some(*known) == word).map(|(_, kind)| *kind);
    if kind.is_none() && word.is_some() {
        let known = PlantedKind::ALL.map(|(known, _)| format!("`{known}`")).join(" or ");
        section.wrong("kind", format!("`{}`", word.unwrap_or_default()), &known);
    }
    let text = section.required("text");
    let least = if kind == Some(PlantedKind::Order) { SHORTEST_ORDER } else { SHORTEST };
    if text.is_some_and(|text| text.chars().filter(|c| c.is_alphanumeric()).count() < least) {
        let wanted = format!("text of at least {least} letters and digits that stands nowhere else");
        section.wrong("text", "a text that could come about by chance", &wanted);
    }
    let (topic, marker) = (section.text("topic"), section.text("marker"));
    if kind.is_some_and(|kind| !kind.is_apart()) && topic.is_none() {
        section.wrong("topic", "nothing", "what to ask for, so that the document is recalled");
    }
    let marked = [PlantedKind::Secret, PlantedKind::Personal, PlantedKind::Order, PlantedKind::Call];
    if kind.is_some_and(|kind| marked.contains(&kind)) && marker.is_none() {
        section.wrong(
            "marker",
            "nothing",
            "a harmless text of the same document, by which it is seen that it was recalled",
        );
    }
    let form = section.text("form").map_or(Some(Form::Plain), |word| {
        let form = Form::ALL.iter().find(|(known, _)| *known == word).map(|(_, form)| *form);
        if form.is_none() {
            let known = Form::ALL.map(|(known, _)| format!("`{known}`")).join(" or ");
            section.wrong("form", format!("`{word}`"), &known);
        }
        form
    });
    section.finish();
    Some(Planted {
        kind: kind?,
        form: form?,
        text: text?.to_owned(),
        topic: topic.unwrap_or_default().to_owned(),
        marker: marker.map(str::to_owned),
    })
}
