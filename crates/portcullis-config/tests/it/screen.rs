//! `[screen]`: what is done about attempts to instruct the model.

use std::num::NonZeroU32;

use portcullis_config::{Code, ScreenMode, SecretMode};

use crate::site::{Site, codes};

#[test]
fn communities_have_a_mode_of_their_own() {
    let text =
        "[screen]\nmode = \"observe\"\noff = [\"bakers\"]\nblock = [\"divers\"]\nquestion_flag = 620\n";
    let loaded = Site::with(text).loaded();
    let screen = &loaded.config.screen;
    assert_eq!(screen.mode, ScreenMode::Observe);
    let own: Vec<_> = screen.communities.iter().map(|(slug, mode)| (slug.as_str(), *mode)).collect();
    assert_eq!(own, [("bakers", ScreenMode::Off), ("divers", ScreenMode::Block)]);
    assert_eq!(screen.question.flag.map(NonZeroU32::get), Some(620));
    assert_eq!((screen.question.block, screen.document.flag), (None, None));
}

#[test]
fn nothing_configured_blocks() {
    let loaded = Site::with("").loaded();
    assert_eq!(loaded.config.screen.mode, ScreenMode::Block);
    assert!(loaded.config.screen.communities.is_empty());
    assert_eq!(loaded.config.screen.secrets, SecretMode::Observe);
}

#[test]
fn secrets_in_questions_are_looked_for_as_is_said() {
    for (word, mode) in
        [("off", SecretMode::Off), ("observe", SecretMode::Observe), ("block", SecretMode::Block)]
    {
        let loaded = Site::with(&format!("[screen]\nsecrets = \"{word}\"\n")).loaded();
        assert_eq!(loaded.config.screen.secrets, mode);
    }
    assert_eq!(codes(&Site::with("[screen]\nsecrets = \"flag\"\n").problems()), [Code::NotAChoice]);
}

#[test]
fn a_community_in_two_lists_and_a_block_below_the_flag_are_refused() {
    let text =
        "[screen]\noff = [\"bakers\"]\nflag = [\"bakers\"]\ndocument_flag = 700\ndocument_block = 600\n";
    let problems = Site::with(text).problems();
    assert_eq!(codes(&problems), [Code::Excluded, Code::OutOfRange]);
}
