//! The machine of the streaming detectors.
//!
//! At each place of the text the detectors are asked in a fixed order whether a match begins there. Each answers from the
//! text that follows: no, yes, or that it takes more to tell. More text never changes a no or a yes, and the machine goes on
//! only when it has one, so its output depends on the text and not on where it was cut.

use std::sync::Arc;

use crate::echo::Canary;
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
        self.advance(false, out, Self::quiet);
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.advance(true, out, Self::quiet);
        self.held.clear();
    }

    /// Goes on as far as can be told. `quiet` passes what no detector need be asked about.
    fn advance(
        &mut self,
        ended: bool,
        out: &mut String,
        mut quiet: impl FnMut(&mut Self, &Vault, &str) -> usize,
    ) {
        let vault = Arc::clone(&self.vault);
        let mut held = std::mem::take(&mut self.held);
        let mut at = 0;
        // Where the text begins that leaves as it is and was not added to `out` yet: most steps are one such character.
        let mut plain = 0;
        while self.stopped.is_none() && at < held.len() {
            let rest = tail(&held, at);
            let passed = if self.within.is_none() { quiet(self, &vault, rest) } else { 0 };
            if passed > 0 {
                self.settle(passed);
                at += passed;
                continue;
            }
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
                    self.wall.pass_instead(words);
                    plain = at + text.len();
                }
            }
            self.settle(text.len());
            at += text.len();
        }
        out.push_str(held.get(plain..at).unwrap_or_default());
        if at >= held.len() || self.stopped.is_some() {
            held.clear();
        } else if at > 0 {
            held.drain(..at);
        }
        self.held = held;
    }

    /// So many bytes were passed.
    fn settle(&mut self, len: usize) {
        self.no_address = self.no_address.saturating_sub(len);
        self.local = self.local.saturating_sub(len);
    }

    /// Passes the characters at whose places no detector can see anything whatever follows, and says how many bytes they are.
    /// Most of any prose are of this kind, and asking each detector at each of them is most of what the detectors cost.
    ///
    /// They are blanks, commas, and letters within a word that are known to belong to no mail address, that begin nothing
    /// which is listed, and that no digits follow as in the number of an account.
    fn quiet(&mut self, vault: &Vault, rest: &str) -> usize {
        let (canary, listed, alone) =
            (vault.canary().map(Canary::initial), secrets::listed_pairs(), links::alone_pairs());
        let mails = vault.policy().personal != Action::Off && vault.kinds().has(Kind::Email);
        let no_address = if mails { self.no_address } else { usize::MAX };
        let (mut before, mut len) = (self.before, 0);
        for window in rest.as_bytes().windows(3) {
            let &[byte, next, third] = window else { break };
            let quiet = match byte {
                b' ' | b',' => true,
                b'a'..=b'z' | b'A'..=b'Z' => {
                    before.is_some_and(|c| c.is_ascii_alphabetic())
                        && len < no_address
                        && !third.is_ascii_digit()
                        && canary != Some(byte)
                        && !listed.hold(byte, next)
                        && !alone.hold(byte, next)
                }
                _ => false,
            };
            if !quiet {
                break;
            }
            self.wall.pass(char::from(byte), before);
            before = Some(char::from(byte));
            len += 1;
        }
        self.before = before;
        len
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Hosts, Policy};
    use crate::secrets::{assigned, published};

    /// What texts are put together from: what each detector looks for, whole and in part, and what may stand before it.
    const PARTS: &[&str] = &[
        " ",
        ", ",
        ".",
        "\n",
        "-",
        ":",
        "(",
        ")",
        "[",
        "![",
        "]",
        "<",
        "<b",
        "@",
        "=",
        "/",
        "://",
        "a",
        "ab",
        "z",
        "É",
        "ß",
        "water",
        "Rope",
        "the ",
        "of",
        "9",
        "24",
        "4012888812340030",
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "ada@members.example",
        "ben@other.example",
        "ada.",
        "www.",
        "https://",
        "evil.example",
        "HTTP://",
        "javascript:x",
        "data:text",
        "http",
        "forum.example.org",
        "](https://forum.example.org/t/1)",
        "![a",
        "\n, \n",
        "x-----BEGIN RSA PRIVATE KEY-----\nMII",
        "-----END ",
        "user:pass@host",
        "+49 30 1234567",
        "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
    ];

    /// Numbers that are the same in every run.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    fn vault(policy: Policy) -> Arc<Vault> {
        let mut hosts = Hosts::default();
        // Where a link may lead and an image may not.
        hosts.linked_address("https://forum.example.org/t/1");
        let canary = Arc::new(Canary::new(*b"one canary of 24 letters"));
        let mut vault = Vault::new(Arc::new(policy)).with_canary(canary).with_hosts(hosts);
        vault.own("ada@members.example");
        Arc::new(vault)
    }

    #[test]
    fn what_is_passed_without_asking_is_what_every_detector_lets_pass() {
        let off = Policy { personal: Action::Off, links: Action::Off, ..Policy::strict() };
        let observed = Policy { secrets: Action::Observe, links: Action::Observe, ..Policy::strict() };
        let vaults = [Policy::strict(), off, observed].map(vault);
        let mut parts: Vec<&str> = PARTS.to_vec();
        parts.extend(published().map(|(_, prefix)| prefix).chain(assigned().iter().copied()));
        let canary = vaults[0].canary().unwrap().word().to_owned();
        parts.extend([canary.as_str(), canary.get(..9).unwrap_or_default()]);
        let (mut chance, mut asked, mut passed) = (Chance(1), 0, 0);
        for round in 0..30_000 {
            // Half of the texts are of few parts that lie together, so that what belongs together meets.
            let (from, of) =
                if round % 2 == 0 { (0, parts.len()) } else { (chance.below(PARTS.len() - 6), 6) };
            let text: String = (0..1 + chance.below(12)).map(|_| parts[from + chance.below(of)]).collect();
            let vault = &vaults[round % vaults.len()];
            let (mut quick, mut plain) = (Stream::new(Arc::clone(vault)), Stream::new(Arc::clone(vault)));
            let (mut left, mut wanted) = (String::new(), String::new());
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let cut = (1..=1 + chance.below(20))
                    .rev()
                    .find(|at| rest.is_char_boundary(*at))
                    .unwrap_or(rest.len());
                let (piece, after) = rest.split_at_checked(cut).unwrap_or((rest, ""));
                rest = after;
                let ended = rest.is_empty();
                quick.held.push_str(piece);
                quick.advance(ended, &mut left, |stream, vault, rest| {
                    let quiet = stream.quiet(vault, rest);
                    passed += quiet;
                    quiet
                });
                plain.held.push_str(piece);
                plain.advance(ended, &mut wanted, |_, _, _| 0);
                let same = (&left, &quick.held, quick.before, quick.found, quick.stopped)
                    == (&wanted, &plain.held, plain.before, plain.found, plain.stopped);
                assert!(same, "{text:?}: {left:?} and not {wanted:?}");
            }
            asked += text.len();
        }
        assert!(passed * 10 > asked, "{passed} of {asked} bytes were passed without asking");
    }
}
