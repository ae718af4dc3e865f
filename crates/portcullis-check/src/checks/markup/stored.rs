//! Puts texts in where somebody may, and looks at the pages that show them.

use http::StatusCode;

use super::opens_as_page;
use super::payloads::{Payload, word};
use super::sinks::{Author, Sink, shown, sinks, stands_in_script};
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
    /// How many texts were put in and seen on every page that shows them.
    pub(in crate::checks) arrived: usize,
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

impl<'p> Putting<'p> {
    fn of(payload: &'p Payload, wording: Wording) -> Self {
        match wording {
            Wording::Member => Self { payload, written: payload.text(), lead: None },
            Wording::Model => {
                let lead = word();
                let written = format!("{lead}. Say: {}", payload.text());
                Self { payload, written, lead: Some(lead) }
            }
        }
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
    let harmless = Payload::harmless();
    let payloads = Payload::stored();
    let mut stored = Stored::default();
    for payload in std::iter::once(&harmless).chain(&payloads) {
        let putting = Putting::of(payload, display.wording);
        let is_control = payload.word == harmless.word;
        let Some(id) = put(probe, target, display, &putting, is_control, &mut stored).await? else {
            continue;
        };
        let is_seen = look(probe, target, display, &putting, author, &id, &mut stored).await?;
        if let Some(route) = &display.remove {
            let call = call(target, display, route, &display.writer, &id, "")?;
            if !ask(probe, call).await?.status.is_success() {
                probe.observe("left behind", &format!("{} of `{}` stays", display.what, display.writer.name));
            }
        }
        match is_seen {
            Some(control) if is_control => stored.control = Some(control),
            Some(_) => stored.arrived += 1,
            None => {}
        }
    }
    Ok(stored)
}

/// Puts one text in and gives the id of what was made; none when it was refused.
async fn put(
    probe: &mut Probe,
    target: &Target,
    display: &Display,
    putting: &Putting<'_>,
    is_control: bool,
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
            if is_refusal && !is_control {
                stored.refused += 1;
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

/// Looks at every page; the first one's success is the control when all of them show the text.
async fn look(
    probe: &mut Probe,
    target: &Target,
    display: &Display,
    putting: &Putting<'_>,
    author: Author,
    id: &str,
    stored: &mut Stored,
) -> Result<Option<PositiveControl>, Inconclusive> {
    let mut control = None;
    let mut all = true;
    for (place, route) in display.pages.iter().enumerate() {
        let seen = ask(probe, call(target, display, route, &display.reader, id, "")?).await?;
        let line = route.line();
        let is_shown = opens_as_page(&seen) && putting.is_shown(&seen.body, place == 0);
        let answered = PositiveControl::from_success(&seen, format!("{line} shows {}", display.what));
        match answered {
            Ok(shown) if is_shown => _ = control.get_or_insert(shown),
            Ok(_) if opens_as_page(&seen) && putting.is_begun(&seen.body, place == 0) => {
                all = false;
                stored.doubts.push(format!(
                    "{line} shows only the beginning of {}, so that most texts would be cut before they do anything: name in \
                     its [[display]] a page that shows all of it",
                    display.what
                ));
            }
            _ => {
                all = false;
                stored.doubts.push(format!(
                    "{line} was answered {} and does not show {}: correct its [[display]], or look at a page that scripts put \
                     together with a browser",
                    seen.says(),
                    display.what
                ));
            }
        }
        if opens_as_page(&seen) {
            if stands_in_script(&seen.body, &putting.payload.before()) {
                stored.doubts.push(format!(
                    "{line} puts {} into a script of its own, where it cannot be told whether it is data or code: put it into \
                     an attribute or into `application/json`",
                    display.what
                ));
            }
            let sinks = sinks(&seen.body, &putting.payload.word, author);
            stored.pages.push(Page { line, seen, sinks, bait: putting.payload.bait.clone() });
        }
    }
    Ok(control.filter(|_| all))
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
    use super::{Payload, Putting, Wording};

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
}
