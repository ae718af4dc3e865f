//! Every page fits the policy it is served with, and its links lead where links may lead.

use portcullis_pages::{POLICY, assets};

use crate::html::{Element, parse};
use crate::world::{BASE, OLDER, pages, usual};

pub(crate) const REL: &str = "noopener noreferrer nofollow";

/// The pages below a base that links may lead to.
const PAGES: [&str; 8] =
    ["/", "/history", "/memories", "/account", "/login", "/handovers", "/approvals", "/waiting"];
/// What stands before an id.
const OF_ONE: [&str; 2] = ["/chat/", "/documents/"];

fn is_page(path: &str) -> bool {
    let path = path.strip_prefix(BASE).unwrap_or(path);
    let is_id =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    PAGES.contains(&path) || OF_ONE.iter().any(|before| path.strip_prefix(before).is_some_and(is_id))
}

/// A path that was handed over stays on this site and holds nothing that acts.
fn is_handed(path: &str) -> bool {
    let here = url::Url::parse("https://here.example/").unwrap();
    let there = here.join(path);
    there.is_ok_and(|there| there.origin() == here.origin())
        && path.starts_with('/')
        && !path.contains(['<', '>', '"', '\'', '\\', '`', ' '])
}

fn is_asset(path: &str) -> bool {
    assets().iter().any(|asset| path == format!("{}?v={}", asset.path, asset.etag))
}

/// Every attribute of a page that holds an address must hold one that is listed.
pub(crate) fn judge_links(name: &str, page: &Element) {
    for element in page.all() {
        for (attribute, value) in &element.attributes {
            let place = format!("{} {attribute}={value:?} in `{name}`", element.name);
            let fits = match (element.name.as_str(), attribute.as_str()) {
                ("link", "href") | ("script" | "img", "src") => is_asset(value),
                ("form", "action") => value == "/c" || is_handed(value),
                ("a", "href") if element.attribute("rel") == Some("next") => is_handed(value),
                ("a", "href") => {
                    let outside = value.starts_with("https://") || value.starts_with("http://");
                    value == "#main" || is_page(value) || outside && element.attribute("rel") == Some(REL)
                }
                // All the other attributes that make a browser go or load.
                (
                    _,
                    "href" | "src" | "action" | "srcset" | "srcdoc" | "formaction" | "data" | "poster"
                    | "ping" | "background" | "manifest" | "cite" | "longdesc" | "usemap" | "xlink:href"
                    | "http-equiv" | "target" | "style",
                ) => false,
                (_, attribute) => !attribute.starts_with("on"),
            };
            assert!(fits, "{place}");
        }
    }
}

#[test]
fn the_policy_begins_with_nothing_and_allows_only_this_site() {
    assert!(POLICY.starts_with("default-src 'none';"));
    assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"), "{POLICY}");
    for wanted in [
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types portcullis",
    ] {
        assert!(POLICY.split("; ").any(|part| part == wanted), "{wanted}");
    }
}

#[test]
fn no_page_has_a_script_a_style_or_a_handler_of_its_own() {
    for (name, page) in pages(&usual) {
        for element in parse(&page).all() {
            assert_ne!(element.name, "style", "{name}");
            if element.name == "script" {
                assert!(element.attribute("src").is_some() && element.text.is_empty(), "{name}");
            }
            for (attribute, _) in &element.attributes {
                assert!(!attribute.starts_with("on") && attribute != "style", "{name}: {attribute}");
            }
        }
    }
}

#[test]
fn every_link_of_every_page_is_in_the_list() {
    for (name, page) in pages(&usual) {
        judge_links(name, &parse(&page));
    }
    // What was handed over as it should be is what stands there.
    let linked = |name: &str, link: &str| {
        pages(&usual).iter().any(|(it, page)| *it == name && page.contains(&format!("=\"{link}\"")))
    };
    assert!(linked("history", OLDER) && linked("sign in", "/c/harbour-rowing/login"));
}

#[test]
fn the_assets_are_small_and_load_nothing_from_elsewhere() {
    let text = |name: &str| {
        let asset = assets().iter().find(|asset| asset.path.ends_with(name)).unwrap();
        std::str::from_utf8(asset.body).unwrap()
    };
    let (css, script, icon) = (text(".css"), text(".js"), text(".svg"));
    assert!(css.len() < 20_000 && script.len() < 20_000 && icon.len() < 1_000);
    for bad in ["url(", "@import", "expression(", "http", "!ie", "</"] {
        assert!(!css.contains(bad), "{bad} in the style");
    }
    for bad in [
        "eval(",
        "new Function",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "setTimeout(\"",
        "localStorage",
        "sessionStorage",
        "document.cookie",
        "import(",
        "import ",
        "postMessage",
        "</script",
        "http://",
        "https://",
        "setAttribute(",
    ] {
        assert!(!script.contains(bad), "{bad} in the script");
    }
    // The only addresses outside that it knows are those that a sanitised answer links to.
    assert_eq!(script.matches("createHTML").count(), 2);
    for bad in ["<script", " on", "style", "href", "<image", "<foreignObject"] {
        assert!(!icon.contains(bad), "{bad} in the icon");
    }
}

/// The relative luminance and the contrast of WCAG 2.2.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let value = u8::from_str_radix(colour.get(at..at + 2).unwrap(), 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_can_be_told_apart_by_day_and_by_night() {
    assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.01);
    let css = std::str::from_utf8(assets()[0].body).unwrap();
    let schemes: Vec<&str> =
        css.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let colour =
            |name: &str| scheme.split(&format!("--{name}: ")).nth(1).unwrap().split(';').next().unwrap();
        for (text, ground, least) in [
            ("ink", "paper", 7.0),
            ("ink", "sheet", 7.0),
            ("ink", "tint", 7.0),
            ("faint", "paper", 4.5),
            ("faint", "sheet", 4.5),
            ("faint", "tint", 4.5),
            ("gate", "paper", 4.5),
            ("gate", "sheet", 4.5),
            ("gate", "tint", 4.5),
            ("gate-deep", "paper", 4.5),
            ("on-gate", "gate", 4.5),
            ("on-gate", "gate-deep", 4.5),
            ("warn", "paper", 4.5),
            ("warn", "sheet", 4.5),
            ("warn", "warn-tint", 4.5),
            // The edges of what can be filled in or pressed.
            ("edge", "paper", 3.0),
            ("edge", "sheet", 3.0),
        ] {
            let seen = contrast(colour(text), colour(ground));
            assert!(seen >= least, "{text} on {ground}: {seen:.2}");
        }
    }
}

#[test]
fn only_sanitised_answers_are_printed_without_escaping() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut unescaped = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let template = std::fs::read_to_string(&path).unwrap();
        for before in template.split("|safe").collect::<Vec<_>>().split_last().unwrap().1 {
            unescaped.push(before.rsplit_once("{{").unwrap().1.trim().to_owned());
        }
        for other in ["escape(", "|e(", "| safe", "{% autoescape", "{% filter"] {
            assert!(!template.contains(other), "{other} in {}", path.display());
        }
    }
    unescaped.sort();
    // `answer` is the template `answer.html`; `sanitised` has a type that only the sanitiser makes.
    assert_eq!(unescaped, ["answer", "sanitised"]);
}
