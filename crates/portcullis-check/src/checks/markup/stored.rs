//! Puts texts in where somebody may, and looks at the pages that show them.

use std::collections::BTreeSet;

use http::StatusCode;

use super::opens_as_page;
use super::payloads::{Kind, Payload, word};
use super::sinks::{Author, Sink, is_rendered, shown, shown_whole, sinks, stands_in_script};
use crate::checks::belongings;
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Display, ID, Identity, Route, Target, Wording};

/// How often a request is put again after a 429.
const PATIENCE: usize = 4;

/// A page that showed what was put in.
pub(in crate::checks) struct Page {
    /// Its route, as the target has it.
    pub(in crate::checks) line: String,
    pub(in crate::checks) seen: Seen,
    /// What the text does there.
    pub(in crate::checks) sinks: Vec<Sink>,
    pub(in crate::checks) bait: String,
}

/// What came of one place where texts are put in.
#[derive(Default)]
pub(in crate::checks) struct Stored {
    pub(in crate::checks) pages: Vec<Page>,
    /// How many texts were put in and came to every page that shows them, as they were or as what they do.
    pub(in crate::checks) arrived: usize,
    /// How many came without what would do something: a page made something else of it, or it was taken out before.
    pub(in crate::checks) changed: usize,
    /// How many were refused when they were put in.
    pub(in crate::checks) refused: usize,
    pub(in crate::checks) control: Option<PositiveControl>,
    pub(in crate::checks) doubts: Vec<String>,
}

/// One text on its way.
struct Putting<'p> {
    payload: &'p Payload,
    /// What is written: the text itself, or a question that asks for it.
    written: String,
    /// A word of the question that is in no answer.
    lead: Option<String>,
}

/// What became of a text on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// Its beginning is there, and what would do something is not.
    Changed,
    /// It is there as it was, or it does something.
    Whole,
}

/// On which pages something is known to be made of texts of a kind: what they would do came there, or harmless ones became
/// elements. Where neither is so, it may be that they never come, and nothing shows what the page would make of them.
#[derive(Default)]
struct Kinds {
    pages: BTreeSet<String>,
    judged: BTreeSet<(String, Kind)>,
}

impl Kinds {
    fn note(&mut self, line: &str, kind: Kind, is_judged: bool) {
        self.pages.insert(line.to_owned());
        if is_judged {
            self.judged.insert((line.to_owned(), kind));
        }
    }

    fn doubts(&self, what: &str) -> Vec<String> {
        let unjudged = |line: &String| {
            let kinds = Kind::TOLD.into_iter().filter(|kind| !self.judged.contains(&(line.clone(), *kind)));
            let words: Vec<&str> = kinds.map(Kind::words).collect();
            (!words.is_empty()).then(|| {
                format!(
                    "no text with {} came to {line} as {what}, so that nothing shows what that page makes of one: name in its \
                     [[display]] a place that takes such texts",
                    words.join(", none with ")
                )
            })
        };
        self.pages.iter().filter_map(unjudged).collect()
    }
}

impl<'p> Putting<'p> {
    fn of(payload: &'p Payload, wording: Wording) -> Self {
        match wording {
            Wording::Member => Self { payload, written: payload.text(), lead: None },
            Wording::Model => {
                let lead = word();
                let lines: Vec<String> =
                    payload.lines().into_iter().map(|line| format!("Say: {line}")).collect();
                let written = format!("{lead}. {}", lines.join("\n"));
                Self { payload, written, lead: Some(lead) }
            }
        }
    }

    /// What became of it on a page that shows its beginning.
    fn came(&self, page: &str, found: &[Sink], answers: bool) -> Came {
        let asked = if answers && self.lead.is_some() { shown_whole(page, &self.written) } else { 0 };
        // The question has each line on its own.
        let asked = if self.payload.definition.is_some() { 0 } else { asked };
        let is_there = shown_whole(page, &self.payload.text()) > asked;
        if is_there || !found.is_empty() { Came::Whole } else { Came::Changed }
    }

    /// Whether a page shows its beginning. `answers` where the model's words must be there beside the question.
    fn is_begun(&self, page: &str, answers: bool) -> bool {
        let times = |text: &str| shown(page, text);
        let asked = self.lead.as_ref().filter(|_| answers).map_or(0, |lead| times(lead));
        times(&self.payload.before()) > asked
    }

    /// Whether a page shows it, to its end where it has one.
    fn is_shown(&self, page: &str, answers: bool) -> bool {
        // A title may show the beginning of the question alone.
        let asked = if answers && self.lead.is_some() { shown(page, &self.written) } else { 0 };
        let ends = |end: &String| shown(page, end) > asked;
        self.is_begun(page, answers) && self.payload.end.as_ref().is_none_or(ends)
    }
}

/// Puts every text in, one after the other.
pub(in crate::checks) async fn put_all(
    probe: &mut Probe,
    target: &Target,
    display: &Display,
) -> Result<Stored, Inconclusive> {
    let author = match display.wording {
        Wording::Member => Author::Member,
        Wording::Model => Author::Model,
    };
    let mut stored = Stored::default();
    let mut kinds = Kinds::default();
    let all = std::iter::once((Role::Control, Payload::harmless()))
        .chain(Payload::rendered().into_iter().map(|payload| (Role::Rendered, payload)))
        .chain(Payload::stored().into_iter().map(|payload| (Role::Bait, payload)));
    for (role, payload) in all {
        let putting = Putting::of(&payload, display.wording);
        let Some(id) = put(probe, target, display, &putting, role, &mut stored).await? else {
            continue;
        };
        let mut looking = Looking { display, putting: &putting, author, role, kinds: &mut kinds };
        let seen = looking.look(probe, target, &id, &mut stored).await?;
        if let Some(route) = &display.remove {
            let call = call(target, display, route, &display.writer, &id, "")?;
            if !ask(probe, call).await?.status.is_success() {
                probe.observe("left behind", &format!("{} of `{}` stays", display.what, display.writer.name));
            }
        }
        match (role, seen) {
            (Role::Control, Some((control, _))) => stored.control = Some(control),
            (Role::Bait, Some((_, Came::Whole))) => stored.arrived += 1,
            (Role::Bait, Some((_, Came::Changed))) => stored.changed += 1,
            _ => {}
        }
    }
    stored.doubts.extend(kinds.doubts(&display.what));
    Ok(stored)
}

/// What a text is put in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It must be shown.
    Control,
    /// Something harmless may be made of it.
    Rendered,
    /// Nothing may.
    Bait,
}

/// Puts one text in and gives the id of what was made; none when it was refused.
async fn put(
    probe: &mut Probe,
    target: &Target,
    display: &Display,
    putting: &Putting<'_>,
    role: Role,
    stored: &mut Stored,
) -> Result<Option<String>, Inconclusive> {
    let mut id = String::new();
    let routes = std::iter::once(&display.create).chain(&display.change);
    for (place, route) in routes.enumerate() {
        let seen = ask(probe, call(target, display, route, &display.writer, &id, &putting.written)?).await?;
        if let Err(why) = seen.must_be_the_application() {
            stored.doubts.push(why.reason().to_owned());
            return Ok(None);
        }
        if !seen.status.is_success() {
            let is_refusal = matches!(seen.status.as_u16(), 400 | 403 | 413 | 422);
            if is_refusal && role != Role::Control {
                stored.refused += usize::from(role == Role::Bait);
            } else {
                stored.doubts.push(format!(
                    "{} as `{}` was answered {}, so that {} could not be put in",
                    route.line(),
                    display.writer.name,
                    seen.says(),
                    display.what
                ));
            }
            return Ok(None);
        }
        if place == 0
            && let Some(spot) = &display.id
        {
            let Some(found) = spot.find(&seen) else {
                stored.doubts.push(format!(
                    "the id of {} is not where target.toml says: correct `id` of its [[display]]",
                    display.what
                ));
                return Ok(None);
            };
            id = found;
        }
    }
    Ok(Some(id))
}

/// How a text is looked for.
struct Looking<'a> {
    display: &'a Display,
    putting: &'a Putting<'a>,
    author: Author,
    role: Role,
    kinds: &'a mut Kinds,
}

impl Looking<'_> {
    /// Looks at every page; the first one's success is the control when all of them show the text, with the worst of what became
    /// of it.
    async fn look(
        &mut self,
        probe: &mut Probe,
        target: &Target,
        id: &str,
        stored: &mut Stored,
    ) -> Result<Option<(PositiveControl, Came)>, Inconclusive> {
        let (display, putting) = (self.display, self.putting);
        let mut control = None;
        let mut worst = Came::Whole;
        let mut all = true;
        for (place, route) in display.pages.iter().enumerate() {
            let seen = ask(probe, call(target, display, route, &display.reader, id, "")?).await?;
            let line = route.line();
            let is_page = opens_as_page(&seen);
            let found =
                if is_page { sinks(&seen.body, &putting.payload.word, self.author) } else { Vec::new() };
            let is_shown = is_page && putting.is_shown(&seen.body, place == 0);
            let answered = PositiveControl::from_success(&seen, format!("{line} shows {}", display.what));
            match answered {
                Ok(shown) if is_shown => {
                    _ = control.get_or_insert(shown);
                    worst = worst.min(self.note(&line, &seen.body, &found, place == 0));
                }
                Ok(_) if is_page && putting.is_begun(&seen.body, place == 0) => {
                    all = false;
                    stored.doubts.push(format!(
                        "{line} shows only the beginning of {}, so that most texts would be cut before they do anything: name \
                         in its [[display]] a page that shows all of it",
                        display.what
                    ));
                }
                // A page may make a line of a text of two, and show its first: it did not come.
                Ok(_) if is_page && putting.payload.definition.is_some() => {
                    _ = control.get_or_insert(PositiveControl::from_success(&seen, line.clone())?);
                    worst = Came::Changed;
                }
                _ => {
                    all = false;
                    stored.doubts.push(format!(
                        "{line} was answered {} and does not show {}: correct its [[display]], or look at a page that scripts \
                         put together with a browser",
                        seen.says(),
                        display.what
                    ));
                }
            }
            if is_page {
                if stands_in_script(&seen.body, &putting.payload.before()) {
                    stored.doubts.push(format!(
                        "{line} puts {} into a script of its own, where it cannot be told whether it is data or code: put it \
                         into an attribute or into `application/json`",
                        display.what
                    ));
                }
                stored.pages.push(Page { line, seen, sinks: found, bait: putting.payload.active() });
            }
        }
        Ok(control.filter(|_| all).map(|control| (control, worst)))
    }

    /// What became of it on a page that shows it.
    fn note(&mut self, line: &str, page: &str, found: &[Sink], answers: bool) -> Came {
        let kind = self.putting.payload.kind;
        let came = self.putting.came(page, found, answers);
        match self.role {
            Role::Control => self.kinds.note(line, kind, false),
            Role::Rendered => self.kinds.note(line, kind, is_rendered(page, &self.putting.payload.word)),
            Role::Bait => self.kinds.note(line, kind, came == Came::Whole),
        }
        came
    }
}

fn call(
    target: &Target,
    display: &Display,
    route: &Route,
    by: &Identity,
    id: &str,
    text: &str,
) -> Result<Call, Inconclusive> {
    if id.is_empty() && route.holds(ID) {
        return Err(Inconclusive::because(format!(
            "{} needs the id of {}: add `id` to its [[display]]",
            route.line(),
            display.what
        )));
    }
    let call = belongings::request(target, route, &by.community, id, text, id)?;
    let call = call.with(&by.credential, &by.name);
    Ok(match &display.at {
        Some(at) => call.at(at),
        None => call,
    })
}

/// Sends it, and again after a while where the target asks for patience.
async fn ask(probe: &mut Probe, call: Call) -> Result<Seen, Inconclusive> {
    for _ in 0..PATIENCE {
        let seen = probe.send(call.clone()).await?;
        if seen.status != StatusCode::TOO_MANY_REQUESTS {
            return Ok(seen);
        }
        tokio::time::sleep(probe.patience_asked(&seen)).await;
    }
    Ok(probe.send(call).await?)
}

#[cfg(test)]
mod tests {
    use super::{Came, Kind, Kinds, Payload, Putting, Wording};
    use crate::checks::markup::sinks::Sink;

    fn cut(text: &str) -> &str {
        text.get(..40).unwrap_or(text)
    }

    #[test]
    fn a_page_that_cuts_a_text_does_not_show_it() {
        let harmless = Payload::harmless();
        let putting = Putting::of(&harmless, Wording::Member);
        let text = harmless.text();
        assert!(putting.is_shown(&format!("<title>{}</title><p>{text}</p>", cut(&text)), true));
        let page = format!("<p>{} …</p>", cut(&text));
        assert!(putting.is_begun(&page, true) && !putting.is_shown(&page, true));
        // What does something is seen by what it does.
        let bait = Payload::stored().swap_remove(0);
        let page = format!("<p>{}</p>", bait.before());
        assert!(Putting::of(&bait, Wording::Member).is_shown(&page, true));
    }

    #[test]
    fn an_answer_must_be_there_to_its_end_beside_the_question() {
        let harmless = Payload::harmless();
        let putting = Putting::of(&harmless, Wording::Model);
        let (text, asked) = (harmless.text(), &putting.written);
        let head = format!("<title>{}</title><p>{asked}</p>", cut(asked));
        assert!(putting.is_shown(&format!("{head}<p>{text}</p>"), true));
        assert!(!putting.is_shown(&head, true));
        assert!(!putting.is_shown(&format!("{head}<p>{}</p>", cut(&text)), true));
        assert!(putting.is_shown(&format!("<p>{text}</p>"), false));
    }

    #[test]
    fn a_text_whose_markup_was_taken_out_did_not_come() {
        let stored = Payload::stored();
        let of = |kind: Kind| stored.iter().find(|payload| payload.kind == kind).unwrap();
        for kind in Kind::TOLD.into_iter().chain([Kind::Other]) {
            let payload = of(kind);
            let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
            let member = Putting::of(payload, Wording::Member);
            let taken_out = format!("<p>{} x</p>", payload.before());
            assert!(member.is_shown(&taken_out, true));
            assert_eq!(member.came(&taken_out, &[], true), Came::Changed, "{payload:?}");
            assert_eq!(member.came(&taken_out, &[Sink::Link], true), Came::Whole);
            let page = format!("<p>{}</p>", escaped(&payload.text()));
            assert_eq!(member.came(&page, &[], true), Came::Whole, "{payload:?}");
            let model = Putting::of(payload, Wording::Model);
            let asked = format!("<p>{}</p>", escaped(&model.written));
            assert_eq!(model.came(&format!("{asked}{taken_out}"), &[], true), Came::Changed, "{payload:?}");
            assert_eq!(model.came(&format!("{asked}{page}"), &[], true), Came::Whole, "{payload:?}");
        }
        let referring = stored.iter().find(|payload| payload.definition.is_some()).unwrap();
        let model = Putting::of(referring, Wording::Model);
        let asked = format!("<p>{}</p>", model.written.replace('\n', "<br>"));
        assert_eq!(model.came(&asked, &[], true), Came::Changed);
        assert_eq!(model.came(&format!("{asked}<p>{}</p>", referring.text()), &[], true), Came::Whole);
    }

    #[test]
    fn a_page_to_which_no_text_of_a_kind_came_is_not_judged() {
        let mut kinds = Kinds::default();
        kinds.note("GET /a", Kind::Other, true);
        assert_eq!(kinds.doubts("a title").len(), 1);
        for kind in Kind::TOLD {
            kinds.note("GET /a", kind, kind != Kind::Element);
        }
        let doubts = kinds.doubts("a title");
        assert!(
            doubts.iter().all(|doubt| doubt.contains("no text with elements came to GET /a")),
            "{doubts:?}"
        );
        kinds.note("GET /a", Kind::Element, true);
        assert_eq!(kinds.doubts("a title"), Vec::<String>::new());
    }
}
