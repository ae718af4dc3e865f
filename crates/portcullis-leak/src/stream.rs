//! The machine of the streaming detectors.
//!
//! At each place of the text the detectors are asked in a fixed order whether a match begins there. Each answers from the
//! text that follows: no, yes, or that it takes more to tell. More text never changes a no or a yes, and the machine goes on
//! only when it has one, so its output depends on the text and not on where it was cut.

use std::sync::Arc;

use crate::leak::Vault;
use crate::links::{self, Wall};
use crate::policy::{Action, Class, Kind};
use crate::{numbers, personal, secrets, tail};

/// What a detector says about the place where a text begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    /// No match begins here.
    No,
    /// It takes more of the text to tell.
    More,
    /// A match begins here.
    Match(Match),
    /// So many bytes may leave, and whatever follows is judged anew.
    Pass(usize),
    /// A `<` that a browser would act on: a space after it makes it text.
    Defuse,
}

/// A match: how long its beginning is, and how it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) class: Class,
    /// What stands in its place.
    pub(crate) note: &'static str,
    /// The bytes by which it was recognised.
    pub(crate) len: usize,
    pub(crate) rest: Rest,
}

/// How a match goes on after its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rest {
    /// It has ended.
    Nothing,
    /// As long as characters of that set come. A full stop or the like belongs to it only when another one follows.
    Token(fn(char) -> bool),
    /// To the end of a private key.
    PrivateKey,
    /// To the bracket that closes a link's target.
    Target {
        /// Round brackets that are open within the target.
        open: usize,
    },
}

/// The streaming detectors on one text.
#[derive(Debug)]
pub(crate) struct Stream {
    vault: Arc<Vault>,
    held: String,
    /// The character before the held text.
    before: Option<char>,
    /// So many bytes of the held text belong to no mail address.
    no_address: usize,
    /// So many bytes of it may be the first part of one.
    local: usize,
    wall: Wall,
    within: Option<Within>,
    found: [u32; Class::ALL.len()],
    stopped: Option<Class>,
}

/// The rest of a match.
#[derive(Debug, Clone, Copy)]
struct Within {
    rest: Rest,
    /// Whether it leaves all the same, because it is only observed.
    leaves: bool,
}

/// So many bytes are settled.
#[derive(Debug, Clone, Copy)]
struct Step {
    len: usize,
    leaves: Leaves,
}

/// What of them leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    AsItIs,
    /// These words in their place.
    Instead(&'static str),
}

impl Stream {
    pub(crate) fn new(vault: Arc<Vault>) -> Self {
        Self {
            vault,
            held: String::new(),
            before: None,
            no_address: 0,
            local: 0,
            wall: Wall::default(),
            within: None,
            found: [0; Class::ALL.len()],
            stopped: None,
        }
    }

    pub(crate) const fn stopped(&self) -> Option<Class> {
        self.stopped
    }

    pub(crate) const fn found(&self) -> &[u32; Class::ALL.len()] {
        &self.found
    }

    /// How many bytes are held back.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a piece and adds to `out` what may leave.
    pub(crate) fn push(&mut self, piece: &str, out: &mut String) {
        self.held.push_str(piece);
        self.advance(false, out);
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.advance(true, out);
        self.held.clear();
    }

    fn advance(&mut self, ended: bool, out: &mut String) {
        let vault = Arc::clone(&self.vault);
        let mut held = std::mem::take(&mut self.held);
        let mut at = 0;
        // Where the text begins that leaves as it is and was not added to `out` yet: most steps are one such character.
        let mut plain = 0;
        while self.stopped.is_none() && at < held.len() {
            let rest = tail(&held, at);
            let step = match self.within {
                Some(within) => self.go_on(within, rest, ended),
                None => self.begin(&vault, rest, ended),
            };
            let Some(Step { len, leaves }) = step else { break };
            let text = rest.get(..len).unwrap_or(rest);
            match leaves {
                Leaves::AsItIs => self.let_out(text, &vault),
                Leaves::Instead(words) => {
                    out.push_str(held.get(plain..at).unwrap_or_default());
                    out.push_str(words);
                    plain = at + text.len();
                }
            }
            at += text.len();
            self.no_address = self.no_address.saturating_sub(text.len());
            self.local = self.local.saturating_sub(text.len());
        }
        out.push_str(held.get(plain..at).unwrap_or_default());
        if at >= held.len() || self.stopped.is_some() {
            held.clear();
        } else if at > 0 {
            held.drain(..at);
        }
        self.held = held;
    }

    /// One step outside a match, or none if it takes more text.
    fn begin(&mut self, vault: &Vault, rest: &str, ended: bool) -> Option<Step> {
        let first = rest.chars().next()?;
        let step = |len, leaves| Some(Step { len, leaves });
        match self.judge(vault, first, rest, ended) {
            Seen::More => None,
            Seen::No => step(first.len_utf8(), Leaves::AsItIs),
            Seen::Pass(len) => step(len.max(first.len_utf8()), Leaves::AsItIs),
            Seen::Defuse => {
                self.before = Some(' ');
                step(first.len_utf8(), Leaves::Instead("< "))
            }
            Seen::Match(found) => step(found.len, self.matched(found)),
        }
    }

    /// Takes in what leaves, as far as what follows is judged by it.
    fn let_out(&mut self, text: &str, vault: &Vault) {
        if vault.policy().links != Action::Off {
            for c in text.chars() {
                self.wall.pass(c, self.before);
                self.before = Some(c);
            }
        } else if let Some(last) = text.chars().next_back() {
            self.before = Some(last);
        }
    }

    fn matched(&mut self, found: Match) -> Leaves {
        if let Some(count) = self.found.get_mut(found.class.index()) {
            *count = count.saturating_add(1);
        }
        match self.vault.policy().action(found.class) {
            Action::Stop => {
                self.stopped = Some(found.class);
                return Leaves::Instead("");
            }
            Action::Observe | Action::Off => {
                let within = Within { rest: found.rest, leaves: true };
                // What a link leads to is text like any other.
                self.within = (!matches!(found.rest, Rest::Nothing | Rest::Target { .. })).then_some(within);
                return Leaves::AsItIs;
            }
            Action::Redact => {}
        }
        // Nothing can lean on what was taken out: the note ends in a brace, and a dropped target leaves its bracket.
        self.before = found.note.chars().next_back().or(self.before);
        self.within =
            (!matches!(found.rest, Rest::Nothing)).then_some(Within { rest: found.rest, leaves: false });
        Leaves::Instead(found.note)
    }

    /// One step inside a match.
    fn go_on(&mut self, mut within: Within, rest: &str, ended: bool) -> Option<Step> {
        let (len, over) = match &mut within.rest {
            Rest::Nothing => (0, true),
            Rest::Token(member) => token_rest(*member, rest, ended),
            Rest::PrivateKey => secrets::private_key_rest(rest, ended),
            Rest::Target { open } => links::target_rest(open, rest),
        };
        self.within = if over { None } else { Some(within) };
        // A step without progress that does not end the match waits for more.
        if len == 0 && !over {
            return None;
        }
        let leaves = if within.leaves { Leaves::AsItIs } else { Leaves::Instead("") };
        Some(Step { len, leaves })
    }

    /// Asks the detectors in their order.
    fn judge(&mut self, vault: &Vault, first: char, rest: &str, ended: bool) -> Seen {
        let policy = vault.policy();
        if policy.canary != Action::Off
            && let Some(canary) = vault.canary()
        {
            match canary.begins(rest, ended) {
                Seen::No => {}
                seen => return seen,
            }
        }
        if policy.secrets != Action::Off {
            match secrets::begins(first, self.before, rest, ended) {
                Seen::No => {}
                seen => return seen,
            }
        }
        if policy.links != Action::Off {
            match self.wall.begins(first, self.before, rest, ended, vault.hosts()) {
                Seen::No => {}
                seen => return seen,
            }
        }
        if policy.personal != Action::Off {
            return self.personal(first, rest, ended, vault);
        }
        Seen::No
    }

    fn personal(&mut self, first: char, rest: &str, ended: bool, vault: &Vault) -> Seen {
        let kinds = vault.kinds();
        if first.is_ascii_digit() || matches!(first, '+' | '(') {
            match numbers::begins(first, self.before, rest, ended, kinds) {
                Seen::No => {}
                Seen::Match(found) if vault.is_own(rest.get(..found.len).unwrap_or_default()) => {
                    return Seen::Pass(found.len);
                }
                seen => return seen,
            }
        }
        if kinds.has(Kind::Iban) && first.is_ascii_alphabetic() {
            match personal::iban(rest, ended) {
                Seen::No => {}
                Seen::Match(found) if vault.is_own(rest.get(..found.len).unwrap_or_default()) => {
                    return Seen::Pass(found.len);
                }
                seen => return seen,
            }
        }
        if kinds.has(Kind::Email) && self.no_address == 0 && personal::local(first) {
            match personal::address(rest, self.local, ended) {
                personal::Address::Long(run) => self.local = run,
                personal::Address::Clear(len) => self.no_address = len,
                personal::Address::More(run) => {
                    self.local = run;
                    return Seen::More;
                }
                personal::Address::Is(found) if vault.is_own(rest.get(..found.len).unwrap_or_default()) => {
                    return Seen::Pass(found.len);
                }
                personal::Address::Is(found) => return Seen::Match(found),
            }
        }
        Seen::No
    }
}

/// How much of `rest` still belongs to a token, and whether the token ends there.
fn token_rest(member: fn(char) -> bool, rest: &str, ended: bool) -> (usize, bool) {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !member(c) {
            return (at, true);
        }
        if matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '\'') {
            match chars.peek() {
                None if ended => return (at, true),
                None => return (at, false),
                Some((_, next))
                    if !member(*next) || matches!(next, '.' | ',' | ';' | ':' | '!' | '?' | '\'') =>
                {
                    return (at, true);
                }
                Some(_) => {}
            }
        }
    }
    (rest.len(), false)
}
