//! `[handover]`: what is done about questions that a person should see.

use portcullis_config::{Code, HandoverMode, HandoverReason};

use crate::site::{Site, codes};

#[test]
fn communities_have_a_mode_and_the_operator_phrases_of_their_own() {
    let text = "[handover]\nmode = \"observe\"\noff = [\"bakers\"]\nhand_over = [\"divers\"]\nexcept = [\"legal-threat\"]\n\
                other = [\"refund .. fraud*\"]\nself_harm_help = \"Call 0000.\"\nkeep_days = 7\n";
    let loaded = Site::with(text).loaded();
    let handover = &loaded.config.handover;
    assert_eq!(handover.mode, HandoverMode::Observe);
    let own: Vec<_> = handover.communities.iter().map(|(slug, mode)| (slug.as_str(), *mode)).collect();
    assert_eq!(own, [("bakers", HandoverMode::Off), ("divers", HandoverMode::HandOver)]);
    assert_eq!(handover.except, [HandoverReason::LegalThreat]);
    assert_eq!(handover.phrases, [(HandoverReason::Other, "refund .. fraud*".to_owned())]);
    assert_eq!(handover.help.as_ref().map(|text| text.as_str()), Some("Call 0000."));
    assert_eq!(handover.keep.as_secs(), 7 * 86_400);
}

#[test]
fn nothing_configured_hands_over() {
    let loaded = Site::with("").loaded();
    let handover = &loaded.config.handover;
    assert_eq!((handover.mode, handover.except.len()), (HandoverMode::HandOver, 0));
    assert!(handover.communities.is_empty() && handover.phrases.is_empty());
}

#[test]
fn a_community_in_two_lists_an_unknown_reason_and_a_phrase_without_words_are_refused() {
    let text =
        "[handover]\noff = [\"bakers\"]\nobserve = [\"bakers\"]\nexcept = [\"weather\"]\nother = [\"..\"]\n";
    let problems = Site::with(text).problems();
    let mut found = codes(&problems);
    found.sort_by_key(|code| format!("{code:?}"));
    assert_eq!(found, [Code::Excluded, Code::Malformed, Code::NotAChoice]);
}
