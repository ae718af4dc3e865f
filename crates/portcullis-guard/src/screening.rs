//! What is done about questions and passages that look like attempts to instruct the model: where it is set, and what was
//! found in a text.
//!
//! The scorer itself is `portcullis-screen`. A score is a judgement and is sometimes wrong, so what it leads to is set for
//! each community, and nothing else relies on it: scope, tools and release guards hold without it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use lru::LruCache;
use parking_lot::Mutex;
use portcullis_core::{Actor, CommunityId, DocumentId, Scope};
use portcullis_screen::patterns::Pattern;
use portcullis_screen::{Channel, Finding, Screen, Thresholds};
use portcullis_store::CommunityRef;
use ring::digest::{Context, SHA256};

use crate::gate::Gate;
use crate::guards::tool_results;
use crate::refusal::Refusal;
use crate::visit::{Asked, Turn};

/// What is done about what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing is looked at.
    Off,
    /// It is a security event, and nothing else comes of it.
    Observe,
    /// The answer is judged as a whole before anything of it leaves, too.
    Flag,
    /// The question is refused, and the passage withheld; what is only suspicious is as with `Flag`.
    #[default]
    Block,
}

/// What is done about secrets in questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretMode {
    /// They are not looked for.
    Off,
    /// One is a security event, and nothing else comes of it.
    #[default]
    Observe,
    /// The question is refused, and what the asker said before is left out of what the model is shown.
    Block,
}

/// How questions and passages are screened.
#[derive(Debug, Clone, Default)]
pub struct Screening {
    /// Where nothing else is set.
    pub mode: Mode,
    /// Communities with a mode of their own, by short name.
    pub communities: BTreeMap<String, Mode>,
    /// For questions, in the place of the thresholds that the weights were calibrated to.
    pub question: Custom,
    /// For passages and results of tools.
    pub document: Custom,
    /// What is done about secrets in questions.
    pub secrets: SecretMode,
}

/// Thresholds that somebody set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Custom {
    /// From which score on a text is suspicious.
    pub flag: Option<f32>,
    /// From which score on a question is refused, or a passage withheld.
    pub block: Option<f32>,
}

impl Custom {
    /// These thresholds where they are set, else those. To block what is not even suspicious is to flag it too.
    pub fn over(self, defaults: Thresholds) -> Thresholds {
        let flag = self.flag.unwrap_or(defaults.flag);
        let block = self.block.unwrap_or_else(|| defaults.block.max(flag));
        Thresholds { flag: flag.min(block), block }
    }
}

/// How often passages of a document were withheld since the start, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// In how many turns.
    pub times: u64,
    /// The moment of the last.
    pub last: Timestamp,
}

/// What was withheld since the start. The journal holds all of it; this is what moderators are shown without reading it.
#[derive(Debug)]
pub(crate) struct Quarantined(Mutex<LruCache<(CommunityId, DocumentId), Withheld>>);

/// How many documents are remembered.
const REMEMBERED: std::num::NonZeroUsize = std::num::NonZeroUsize::new(4_096).unwrap();

impl Default for Quarantined {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

/// What was found in texts that were judged before: the same passages are recalled again and again, and whoever keeps a
/// conversation sends all of it with every question. Of a text only its hash is kept.
pub(crate) struct Judged {
    questions: Mutex<LruCache<TextKey, Found>>,
    documents: Mutex<LruCache<TextKey, Found>>,
}

/// SHA-256 of a text and of whose it is: nobody can make two texts that share what was found, nor learn from the time that
/// an answer takes what somebody else asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TextKey([u8; 32]);

/// What was found in one text, as far as it was looked at.
#[derive(Debug, Default)]
struct Found {
    score: Option<f32>,
    patterns: Option<Box<[Pattern]>>,
}

/// For how many texts of each channel this is kept, with less than 100 bytes each.
const KEPT: std::num::NonZeroUsize = std::num::NonZeroUsize::new(16_384).unwrap();

impl std::fmt::Debug for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}

impl Default for Judged {
    fn default() -> Self {
        Self { questions: Mutex::new(LruCache::new(KEPT)), documents: Mutex::new(LruCache::new(KEPT)) }
    }
}

impl TextKey {
    fn of(scope: &Scope, channel: Channel, text: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(scope.community().as_bytes());
        if channel == Channel::Question {
            match scope.actor() {
                Actor::Member(member) => hash.update(member.as_bytes()),
                Actor::Key(key) => hash.update(key.as_bytes()),
                Actor::Operator => {}
            }
        }
        hash.update(text.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        Self(key)
    }
}

impl Judged {
    /// The score of a text: the one that is kept, or what `score` finds.
    fn score(&self, key: TextKey, channel: Channel, score: impl FnOnce() -> f32) -> f32 {
        let kept = match channel {
            Channel::Question => &self.questions,
            Channel::Document => &self.documents,
        };
        if let Some(score) = kept.lock().get(&key).and_then(|found| found.score) {
            return score;
        }
        let score = score();
        kept.lock().get_or_insert_mut(key, Found::default).score = Some(score);
        score
    }

    /// What a question looks like: what is kept, or what `look` finds.
    fn patterns(&self, key: TextKey, look: impl FnOnce() -> Vec<Pattern>) -> Box<[Pattern]> {
        if let Some(patterns) = self.questions.lock().get(&key).and_then(|found| found.patterns.clone()) {
            return patterns;
        }
        let patterns: Box<[Pattern]> = look().into();
        self.questions.lock().get_or_insert_mut(key, Found::default).patterns = Some(patterns.clone());
        patterns
    }
}

/// The scorer, or a refusal: without it nothing is known to be clear.
fn scorer() -> Result<&'static Screen, Refusal> {
    static WARNED: OnceLock<()> = OnceLock::new();
    Screen::shipped().map_err(|error| {
        WARNED.get_or_init(|| tracing::error!(%error, "nothing can be screened"));
        Refusal::new(crate::Code::Internal, "questions cannot be screened, so none is answered")
    })
}

/// The texts of a question, each with its key, which several guards look for it by.
fn keyed(turn: &mut Turn<Asked>) -> impl Iterator<Item = (TextKey, &str)> {
    let (scope, said) = (&turn.scope, &turn.question.said);
    let keys = turn
        .state
        .keys
        .get_or_insert_with(|| said.iter().map(|text| TextKey::of(scope, Channel::Question, text)).collect());
    keys.iter().copied().zip(said.iter().map(String::as_str))
}

impl Gate {
    /// What is done about findings in that community.
    pub(crate) async fn mode(&self, community: CommunityId) -> Result<Mode, Refusal> {
        let screening = &self.parts.screening;
        if screening.communities.is_empty() {
            return Ok(screening.mode);
        }
        let found = self.parts.stores.directory.find(CommunityRef::Id(community)).await?;
        let own = found.and_then(|community| screening.communities.get(&community.slug).copied());
        Ok(own.unwrap_or(screening.mode))
    }

    /// What a text looks like that a tool returned: as it is, and as the strings of its JSON say it; the worse counts.
    pub(crate) fn find_returned(&self, scope: &Scope, text: &str) -> Result<Finding, Refusal> {
        let found = self.find(scope, text)?;
        match tool_results::unquoted(text) {
            Some(said) if found != Finding::Block => Ok(found.max(self.find(scope, &said)?)),
            _ => Ok(found),
        }
    }

    /// What a text looks like that was found for a request.
    pub(crate) fn find(&self, scope: &Scope, text: &str) -> Result<Finding, Refusal> {
        self.find_by(TextKey::of(scope, Channel::Document, text), text, Channel::Document)
    }

    /// What a text looks like that its asker wrote before: a memory, or an earlier question.
    pub(crate) fn find_of_asker(&self, scope: &Scope, text: &str) -> Result<Finding, Refusal> {
        self.find_by(TextKey::of(scope, Channel::Question, text), text, Channel::Question)
    }

    fn find_by(&self, key: TextKey, text: &str, channel: Channel) -> Result<Finding, Refusal> {
        let screen = scorer()?;
        let score = self.judged.score(key, channel, || screen.score(text, channel));
        Ok(self.thresholds(screen, channel).judge(score))
    }

    /// The worst that the texts of a question look like, and of what its caller's tools returned.
    pub(crate) fn find_in_question(&self, turn: &mut Turn<Asked>) -> Result<Finding, Refusal> {
        let mut worst = Finding::Clear;
        for (key, text) in keyed(turn) {
            worst = worst.max(self.find_by(key, text, Channel::Question)?);
        }
        for text in &turn.question.returned {
            worst = worst.max(self.find_returned(&turn.scope, text)?);
        }
        Ok(worst)
    }

    /// What of a question looks like an attack on a database or a browser, each kind once.
    pub(crate) fn patterns_in_question(&self, turn: &mut Turn<Asked>) -> Vec<Pattern> {
        let mut found = Vec::new();
        for (key, text) in keyed(turn) {
            let seen = self.judged.patterns(key, || portcullis_screen::patterns::patterns(text));
            for pattern in &seen {
                if !found.contains(pattern) {
                    found.push(*pattern);
                }
            }
        }
        found
    }

    /// Remembers that passages of that document were withheld in a turn.
    pub(crate) fn withhold(&self, community: CommunityId, document: DocumentId) {
        let last = self.clock().now();
        let mut kept = self.quarantined.0.lock();
        let times = kept.get(&(community, document)).map_or(0, |before| before.times);
        kept.put((community, document), Withheld { times: times.saturating_add(1), last });
    }

    /// The documents of the scope's community with passages that were withheld since the start, the last first.
    pub fn withheld(&self, scope: &Scope) -> Vec<(DocumentId, Withheld)> {
        let kept = self.quarantined.0.lock();
        let own = kept.iter().filter(|((community, _), _)| *community == scope.community());
        own.map(|((_, document), withheld)| (*document, *withheld)).collect()
    }

    fn thresholds(&self, screen: &Screen, channel: Channel) -> Thresholds {
        let custom = match channel {
            Channel::Question => self.parts.screening.question,
            Channel::Document => self.parts.screening.document,
        };
        custom.over(screen.defaults(channel))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{AbilitySet, Grant, ManualClock, MemberId, Role, Tier};

    use super::*;

    #[test]
    fn a_text_is_judged_once_in_each_channel_and_no_other_text_gets_its_score() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().expect("a moment"));
        #[expect(clippy::disallowed_methods, reason = "a scope to try the scores with")]
        let someone = |community| {
            Scope::grant(Grant {
                community,
                actor: Actor::Member(MemberId::new(&clock)),
                role: Role::Member,
                abilities: AbilitySet::SESSION,
                spaces: [].into(),
                tier: Tier::Standard,
            })
        };
        let (here, there) = (CommunityId::new(&clock), CommunityId::new(&clock));
        let (mia, ben, far) = (someone(here), someone(here), someone(there));
        let judged = Judged::default();
        let score =
            |scope, text, channel, score| judged.score(TextKey::of(scope, channel, text), channel, || score);
        assert_eq!(score(&mia, "hello", Channel::Question, 0.25), 0.25);
        assert_eq!(score(&mia, "hello", Channel::Question, 0.5), 0.25, "kept");
        assert_eq!(score(&mia, "hello", Channel::Document, 0.75), 0.75, "another channel");
        assert_eq!(score(&mia, "hello ", Channel::Question, 0.125), 0.125, "another text");
        assert_eq!(score(&ben, "hello", Channel::Question, 0.5), 0.5, "somebody else's question");
        assert_eq!(score(&ben, "hello", Channel::Document, 0.5), 0.75, "the community's document");
        assert_eq!(score(&far, "hello", Channel::Document, 0.5), 0.5, "another community's document");
        let patterns = |scope, text, found: &[Pattern]| {
            judged.patterns(TextKey::of(scope, Channel::Question, text), || found.to_vec()).to_vec()
        };
        let sql = [Pattern::Sql];
        assert_eq!(patterns(&mia, "hello", &sql), sql, "its score alone says nothing of what it looks like");
        assert_eq!(patterns(&mia, "hello", &[]), sql, "kept");
        assert_eq!(score(&mia, "hello", Channel::Question, 0.5), 0.25, "kept beside it");
        assert_eq!(patterns(&mia, "hello ", &[]), [], "another text");
        assert_eq!(patterns(&ben, "hello", &[]), [], "somebody else's question");
        assert_eq!(patterns(&far, "news", &sql), sql);
        assert_eq!(score(&far, "news", Channel::Question, 0.5), 0.5, "what it looks like alone is no score");
    }

    #[test]
    fn thresholds_that_are_set_take_the_place_of_the_calibrated_ones() {
        let defaults = Thresholds { flag: 0.5, block: 0.8 };
        let over = |flag, block| Custom { flag, block }.over(defaults);
        assert_eq!(over(None, None), defaults);
        assert_eq!(over(Some(0.9), None), Thresholds { flag: 0.9, block: 0.9 });
        assert_eq!(over(None, Some(0.3)), Thresholds { flag: 0.3, block: 0.3 });
        assert_eq!(over(Some(0.2), Some(0.7)), Thresholds { flag: 0.2, block: 0.7 });
    }
}
