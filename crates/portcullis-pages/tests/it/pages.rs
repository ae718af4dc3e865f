//! What every page is made of, and what some of them must not tell.

use portcullis_pages::{Allowance, Chat, Frame, LinkSent, SignIn, SignInProblem, chat, link_sent, sign_in};

use crate::html::{Element, parse};
use crate::world::{BASE, moment, pages, usual};

fn count(page: &Element, what: impl Fn(&Element) -> bool) -> usize {
    page.all().into_iter().filter(|element| what(element)).count()
}

#[test]
fn every_page_can_be_found_ones_way_around_in() {
    for (name, page) in pages(&usual) {
        let page = parse(&page);
        assert_eq!(count(&page, |it| it.name == "h1"), 1, "first headings of `{name}`");
        assert_eq!(count(&page, |it| it.name == "main"), 1, "{name}");
        assert_eq!(count(&page, |it| it.name == "header"), 1, "{name}");
        let html = page.all().into_iter().find(|it| it.name == "html").unwrap();
        assert_eq!(html.attribute("lang"), Some("en"), "{name}");
        let first = page.all().into_iter().find(|it| it.name == "a").unwrap();
        assert_eq!(first.attribute("href"), Some("#main"), "the skip link of `{name}` comes first");
        let title = page.all().into_iter().find(|it| it.name == "title").unwrap();
        assert!(!title.text.starts_with(" ·"), "{name}: {}", title.text);
    }
}

#[test]
fn ids_are_unique_and_what_names_them_finds_them() {
    for (name, page) in pages(&usual) {
        let page = parse(&page);
        let mut ids: Vec<&str> = page.all().into_iter().filter_map(|it| it.attribute("id")).collect();
        ids.sort_unstable();
        let named = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), named, "{name}");
        for element in page.all() {
            for attribute in ["for", "aria-labelledby", "aria-describedby"] {
                if let Some(id) = element.attribute(attribute) {
                    assert!(ids.contains(&id), "{attribute}={id} in `{name}`");
                }
            }
        }
    }
}

#[test]
fn every_field_has_a_label_and_every_button_a_name_and_a_type() {
    for (name, page) in pages(&usual) {
        let page = parse(&page);
        let labelled: Vec<&str> = page
            .all()
            .into_iter()
            .filter(|it| it.name == "label")
            .filter_map(|it| it.attribute("for"))
            .collect();
        for element in page.all() {
            match element.name.as_str() {
                "input" if element.attribute("type") == Some("hidden") => {}
                "input" | "textarea" => {
                    assert!(element.attribute("id").is_some_and(|id| labelled.contains(&id)), "{name}");
                }
                "button" => {
                    assert!(!element.text.trim().is_empty() && element.attribute("type").is_some(), "{name}");
                }
                "img" => assert_eq!(element.attribute("alt"), Some(""), "{name}: the mark is an ornament"),
                _ => {}
            }
        }
    }
}

#[test]
fn headings_go_down_one_level_at_a_time() {
    for (name, page) in pages(&usual) {
        let mut last = 0;
        for element in parse(&page).all() {
            let level = match element.name.as_str() {
                "h1" => 1,
                "h2" => 2,
                "h3" => 3,
                _ => continue,
            };
            // The list of recent conversations stands before the title of the one that is open.
            assert!(level <= last + 1 || last == 0, "h{level} after h{last} in `{name}`");
            last = level;
        }
    }
}

#[test]
fn only_pages_that_change_something_carry_the_token() {
    for (name, page) in pages(&usual) {
        let changing = ["chat", "history", "memories", "handovers", "approvals", "waiting", "account"]
            .iter()
            .any(|it| name.starts_with(it));
        assert_eq!(page.contains("csrf-token"), changing, "{name}");
    }
}

#[test]
fn who_asked_goes_on_or_is_answered_again_and_who_decides_is_neither() {
    let pages = pages(&usual);
    let buttons = |wanted: &str| {
        let (_, page) = pages.iter().find(|(name, _)| *name == wanted).unwrap();
        let page = parse(page);
        let calls = ["resume", "approve", "deny"];
        let done = page.all().into_iter().filter_map(|it| it.attribute("data-do").map(str::to_owned));
        done.filter(|done| calls.contains(&done.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(buttons("approvals"), ["approve", "deny"]);
    assert_eq!(buttons("waiting"), ["resume", "resume"], "of a call that is erased nothing is answered");
    let (_, waiting) = pages.iter().find(|(name, _)| *name == "waiting").unwrap();
    for said in ["Go on: ", "Answer again: ", ">Go on<", ">Answer again<"] {
        assert_eq!(waiting.matches(said).count(), 1, "{said}");
    }
}

#[test]
fn what_the_script_needs_is_there() {
    let all = pages(&usual);
    let script = portcullis_pages::assets().iter().find(|it| it.path.ends_with(".js")).unwrap();
    let script = std::str::from_utf8(script.body).unwrap();
    // Every action of the script has a button, and every button an action.
    let mut asked: Vec<String> = Vec::new();
    for (_, page) in &all {
        let page = parse(page);
        asked.extend(page.all().into_iter().filter_map(|it| it.attribute("data-do")).map(str::to_owned));
    }
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 11);
    for action in asked {
        assert!(script.contains(&format!("\"{action}\"")), "{action}");
    }
    let chat = &all.iter().find(|(name, _)| *name == "chat").unwrap().1;
    for id in ["ask", "question", "send", "stop", "status", "problem", "messages", "title", "actions"] {
        assert!(chat.contains(&format!("id=\"{id}\"")) && script.contains(&format!("by(\"{id}\")")), "{id}");
    }
    assert!(chat.contains("<noscript>"));
}

#[test]
fn a_mailed_link_opens_a_page_that_does_nothing_by_itself() {
    let (_, page) = pages(&usual).into_iter().find(|(name, _)| *name == "confirm").unwrap();
    let page = parse(&page);
    let forms: Vec<_> = page.all().into_iter().filter(|it| it.name == "form").collect();
    assert_eq!(forms.len(), 1);
    assert_eq!(forms[0].attribute("method"), Some("post"));
    assert_eq!(count(&page, |it| it.attribute("name") == Some("token")), 1);
    assert_eq!(count(&page, |it| it.attribute("href").is_some_and(|href| href.contains("token"))), 0);
}

#[test]
fn what_is_left_is_shown_when_it_is_little() {
    let frame = Frame { community: "Harbour Rowing", base: "", door: BASE, notice: None };
    for (remaining, shown) in [(0, true), (15, true), (16, false), (60, false), (u64::MAX, false)] {
        let page = chat(&Chat {
            frame,
            member: "Mia",
            csrf: "x",
            model: "m",
            conversation: None,
            recent: &[],
            allowance: Some(Allowance { remaining, limit: 60, resets: moment() }),
        });
        assert_eq!(page.contains(&format!("{remaining} of 60 requests left")), shown, "{remaining}");
        assert_eq!(page.contains("requests left"), shown);
    }
}

/// On a host that communities share the pages have one address for all of them, and the sign-in pages do not.
#[test]
fn a_door_is_not_a_base() {
    let frame = Frame { community: "Harbour Rowing", base: "", door: BASE, notice: None };
    let page = parse(&link_sent(&LinkSent { frame, minutes: 15 }));
    let body = page.all().into_iter().find(|it| it.name == "body").unwrap();
    assert_eq!(body.attribute("data-base"), Some(""));
    assert_eq!(body.attribute("data-login"), Some("/c/harbour-rowing/login"));
    assert_eq!(count(&page, |it| it.attribute("href") == Some("/c/harbour-rowing/login")), 1);
}

#[test]
fn withheld_messages_are_said_to_be_so() {
    let (_, page) = pages(&usual).into_iter().find(|(name, _)| *name == "chat").unwrap();
    assert!(page.contains("This message was withheld.") && page.contains("This answer was withheld."));
}

#[test]
fn the_sign_in_page_is_as_it_was() {
    let frame = Frame { community: "Harbour Rowing", base: BASE, door: BASE, notice: None };
    let view = SignIn {
        frame,
        action: "/c/harbour-rowing/login",
        invitation: Some("pci_h_x"),
        problem: Some(SignInProblem::MalformedAddress),
        open: false,
    };
    insta::assert_snapshot!("sign_in", without_hashes(&sign_in(&view)));
    insta::assert_snapshot!("link_sent", without_hashes(&link_sent(&LinkSent { frame, minutes: 15 })));
}

/// A page without the hashes of its assets, which change with every word of them.
fn without_hashes(page: &str) -> String {
    portcullis_pages::assets().iter().fold(page.to_owned(), |page, asset| page.replace(asset.etag, "HASH"))
}
