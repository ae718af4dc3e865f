//! `[sandbox]` of a target file.

use std::net::IpAddr;

use super::Credential;
use super::blocklist_file::read_base;
use super::file::{Sources, resolve};
use super::read::Section;
use super::sandbox::{HostFile, Runtime, SHORTEST_PLANTED, SandboxApi};

/// More at once is no sandbox of a chatbot, but a cluster.
const MOST_AT_ONCE: u32 = 64;

pub(super) fn read_sandbox(root: &Section<'_, '_>, sources: &Sources<'_>) -> Option<SandboxApi> {
    let section = root.section("sandbox")?;
    let _ = section.required("base_url");
    let at = read_base(&section);
    let credential = section
        .text("key")
        .and_then(|reference| resolve(&section, "key", reference, sources))
        .map(Credential::bearer);
    let runtime = section.required("runtime").and_then(|word| match word {
        "python" => Some(Runtime::Python),
        "wasm" => Some(Runtime::Wasm(None)),
        other => {
            section.wrong("runtime", format!("`{other}`"), "`python` or `wasm`");
            None
        }
    });
    let at_once = section.number("max_parallel", 1..=MOST_AT_ONCE);
    if at_once.is_none() && !section.has("max_parallel") {
        section.wrong("max_parallel", "nothing", "how many jobs run at a time");
    }
    let tenants = section.texts("tenants");
    let found = tenants.len();
    let tenants: Option<[String; 2]> = tenants.try_into().ok();
    if tenants.as_ref().is_none_or(|[one, two]| one == two) {
        section.wrong(
            "tenants",
            format!("{found} names"),
            "two different communities, as the API names them",
        );
    }
    let mut reach = Vec::new();
    for text in section.texts("reach") {
        match text.parse::<IpAddr>() {
            Ok(address) => reach.push(address),
            Err(_) => {
                section.wrong("reach", format!("`{text}`"), "an address of this machine such as `10.0.0.5`")
            }
        }
    }
    let planted =
        section.sections("planted").iter().filter_map(|inner| read_planted(inner, sources)).collect();
    section.finish();
    let at_once = usize::try_from(at_once?).ok()?;
    Some(SandboxApi {
        at: at?,
        credential,
        runtime: runtime?,
        at_once,
        tenants: tenants?,
        reach,
        planted,
        called: None,
    })
}

fn read_planted(section: &Section<'_, '_>, sources: &Sources<'_>) -> Option<HostFile> {
    let path = section.required("path");
    if let Some(path) = path.filter(|path| !path.starts_with('/')) {
        section.wrong("path", format!("`{path}`"), "an absolute path on the sandbox's host");
    }
    let text = section.required("text").and_then(|reference| resolve(section, "text", reference, sources));
    if text.as_ref().is_some_and(|text| text.trim().len() < SHORTEST_PLANTED) {
        section.wrong(
            "text",
            "a text that could come back by chance",
            "a random text of at least 12 letters",
        );
    }
    section.finish();
    Some(HostFile { path: path?.to_owned(), text: text?.trim().to_owned() })
}
