//! `[[display]]` of a target file.

use super::file::read_request;
use super::read::Section;
use super::{Display, Identity, MARKER, Route, Spot, State, Wording, base_of};

pub(super) fn read_displays(root: &Section<'_, '_>, identities: &[Identity]) -> Vec<Display> {
    root.sections("display").iter().filter_map(|section| read_display(section, identities)).collect()
}

fn read_display(section: &Section<'_, '_>, identities: &[Identity]) -> Option<Display> {
    let what = section.required("what");
    let word = section.required("by");
    let wording = Wording::ALL.iter().find(|(known, _)| Some(*known) == word).map(|(_, wording)| *wording);
    if wording.is_none() && word.is_some() {
        section.wrong("by", format!("`{}`", word.unwrap_or_default()), "`member` or `model`");
    }
    let at = section.text("base_url").and_then(|text| {
        let base = base_of(text);
        if base.is_none() {
            section.wrong("base_url", format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080`");
        }
        base
    });
    let somebody = |key: &'static str, name: &str| {
        let found =
            identities.iter().find(|identity| identity.state == State::Valid && identity.name == name);
        if found.is_none() {
            section.wrong(key, format!("`{name}`"), "a working identity");
        }
        found.cloned()
    };
    let writer = section.required("as").and_then(|name| somebody("as", name));
    let reader = match section.text("reader") {
        Some(name) => somebody("reader", name),
        None => writer.clone(),
    };
    let request = |key: &'static str| {
        let inner = section.section(key)?;
        let route = read_request(&inner);
        inner.finish();
        route
    };
    let (create, change, remove) = (request("create"), request("change"), request("remove"));
    if create.is_none() {
        section.wrong("create", "nothing", "the request that puts the text in, with `{{marker}}` for it");
    }
    let puts_in = [&create, &change].into_iter().flatten().any(|route| route.holds(MARKER));
    if create.is_some() && !puts_in {
        section.wrong(
            "create",
            "a request without `{{marker}}`",
            "`{{marker}}` where the text goes, there or in `change`",
        );
    }
    let id = section.text("id").and_then(|text| {
        let spot = Spot::parse(text);
        if spot.is_none() {
            section.wrong("id", format!("`{text}`"), "`/id`, `header:NAME`, `cookie:NAME` or `query:NAME`");
        }
        spot
    });
    let pages: Vec<Route> = section
        .sections("page")
        .iter()
        .filter_map(|page| {
            let route = read_request(page);
            page.finish();
            route
        })
        .collect();
    if pages.is_empty() {
        section.wrong("page", "none", "the pages that show the text, each as [[display.page]]");
    }
    section.finish();
    Some(Display {
        what: what?.to_owned(),
        wording: wording?,
        at,
        writer: writer?,
        create: create?,
        id,
        change,
        remove,
        pages,
        reader: reader?,
    })
}
