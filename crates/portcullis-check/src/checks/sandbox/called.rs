//! The other way into a sandbox: a member asks, the model calls, and the call runs a program there.
//!
//! It tries what the API tries, as a member who talks a model into it would. What a program said stands in the answer; how it ended
//! is what the bot wrote down.

use http::Method;
use serde_json::Value;

use super::escapes::Became;
use super::jobs;
use crate::outcome::{Finding, Findings, Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{CalledPrograms, Expected, Identity, Programs, WORD};

const FIX: &str = "run each call in a sandbox of its own that is made for it: the same walls, limits and files as for any other job";

/// What the calls came to.
pub(super) struct Made {
    /// How many attempts were made.
    pub(super) count: usize,
    /// That what must succeed did.
    pub(super) control: PositiveControl,
}

/// An answer, and what it says.
struct Answered {
    seen: Seen,
    said: String,
}

/// Calls everything once, and judges it. What got out is found whatever happens after it.
pub(super) async fn try_all(
    probe: &mut Probe,
    programs: &CalledPrograms,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) -> Result<Made, Inconclusive> {
    if programs.attempts.is_empty() {
        return Err(Inconclusive::because("no program tries to get out when a model calls it"));
    }
    let [owner, thief] = &programs.askers;
    let control = hello(probe, programs, owner).await?;
    let written = call(probe, programs, owner, &programs.writes).await?;
    if !written.said.contains(Programs::WRITTEN) {
        doubts.push(
            "a call of a program that writes a file of its own does not say so, so nothing shows whether another community's call \
             could read it"
                .to_owned(),
        );
    }
    let mut answers = Vec::new();
    for attempt in &programs.attempts {
        let answered = call(probe, programs, thief, &attempt.tool).await?;
        // At once: nothing that comes later may take it back.
        if let Some(became) = escaped(&answered.said) {
            findings.push(finding(&attempt.name, &became, &answered.seen));
        }
        answers.push((attempt, answered));
    }
    hello(probe, programs, thief).await?;
    let ends = ends(probe, programs).await?;
    let mut count = 0;
    for (attempt, answered) in &answers {
        // Each was called once in this run.
        let end = ends.iter().rev().find(|(tool, _)| *tool == attempt.tool).map(|(_, end)| end.as_str());
        match judge(&attempt.expect, end, &answered.said) {
            Became::Held => count += 1,
            Became::Escaped(shown) => {
                count += 1;
                let finding = finding(&attempt.name, &shown, &answered.seen);
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
            Became::NotMade(why) | Became::Doubtful(why) => {
                doubts.push(format!(
                    "an attempt was neither held nor successful: {}, called: {why}",
                    attempt.name
                ));
            }
        }
    }
    Ok(Made { count, control })
}

fn finding(name: &str, shown: &str, seen: &Seen) -> Finding {
    Finding::new(format!("{name} was got at from a call of a model: {shown}"), FIX).shown_by([seen.number()])
}

/// What has to work, or nothing that fails shows anything.
async fn hello(
    probe: &mut Probe,
    programs: &CalledPrograms,
    asker: &Identity,
) -> Result<PositiveControl, Inconclusive> {
    let word = jobs::word();
    let answered = ask(probe, programs, asker, &programs.hello, &word).await?;
    let mut greetings = answered.said.split("hello ").skip(1);
    if !greetings.any(|rest| rest.contains(&word)) {
        return Err(Inconclusive::because(format!(
            "{} was asked for a call of the program `{}`, which says hello, and its answer does not: nothing shows that such calls \
             run",
            programs.at, programs.hello
        )));
    }
    PositiveControl::from_success(&answered.seen, "a program that a model called said hello")
}

async fn call(
    probe: &mut Probe,
    programs: &CalledPrograms,
    asker: &Identity,
    tool: &str,
) -> Result<Answered, Inconclusive> {
    ask(probe, programs, asker, tool, &jobs::word()).await
}

async fn ask(
    probe: &mut Probe,
    programs: &CalledPrograms,
    asker: &Identity,
    tool: &str,
    word: &str,
) -> Result<Answered, Inconclusive> {
    let target = probe.target();
    let question = format!("Please call the tool {tool} {}", programs.arguments.replace(WORD, word));
    let request = Call::by(&target, &programs.chat.asking(&question), asker)?.at(&programs.at);
    let seen = probe.send_once(request).await?;
    let said = seen
        .json()
        .filter(|_| seen.status.is_success())
        .and_then(|json| json.pointer(&programs.chat.answer).and_then(Value::as_str).map(str::to_owned));
    match said {
        Some(said) => Ok(Answered { seen, said }),
        None => Err(Inconclusive::because(format!(
            "{} was asked for a call of `{tool}` and answered {}: it gives no answer at `{}`",
            seen.request_line(),
            seen.says(),
            programs.chat.answer
        ))),
    }
}

/// Tool and end of every call that the bot tells of.
async fn ends(probe: &mut Probe, programs: &CalledPrograms) -> Result<Vec<(String, String)>, Inconclusive> {
    let seen = probe.send(Call::new(Method::GET, "").at(&programs.ends)).await?;
    let told = seen.json().filter(|_| seen.status.is_success());
    let Some(Value::Array(told)) = told else {
        return Err(Inconclusive::because(format!(
            "{} was answered {}, a list in JSON of how calls ended was wanted",
            seen.request_line(),
            seen.says()
        )));
    };
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(told.iter().filter_map(|entry| text(entry, "tool").zip(text(entry, "end"))).collect())
}

fn escaped(said: &str) -> Option<String> {
    said.contains(Programs::ESCAPED).then(|| "it got where no job may get".to_owned())
}

/// What became of a call of a program, by what its answer says and how it is told to have ended.
fn judge(expect: &Expected, end: Option<&str>, said: &str) -> Became {
    if let Some(shown) = escaped(said) {
        return Became::Escaped(shown);
    }
    let Some(end) = end else { return Became::NotMade("nothing tells how it ended".to_owned()) };
    // The word alone, and not as a part of `withheld`.
    let says_held = || said.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == Programs::HELD);
    let was_held = end == "returned" && says_held();
    let limit = end.strip_suffix("_limit");
    match expect {
        Expected::Held | Expected::Bounded(_) if was_held => Became::Held,
        Expected::Bounded(limits) if limit.is_some_and(|limit| limits.contains(&limit)) => Became::Held,
        // A loop that breaks off by itself was not stopped.
        Expected::Bounded(limits) if end == "broke_off" && !limits.contains(&"time") => Became::Held,
        Expected::Bounded(_) if end == "returned" => Became::Escaped("it was not stopped".to_owned()),
        Expected::Refused if matches!(end, "broke_off" | "program_refused" | "refused") => Became::Held,
        Expected::Held | Expected::Bounded(_) | Expected::Refused => {
            Became::NotMade(format!("it ended with `{end}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Became, Expected, judge};

    #[test]
    fn a_called_program_that_got_out_or_was_not_stopped_is_no_held_one() {
        let escaped = |became: Became| matches!(became, Became::Escaped(_));
        let bomb = Expected::Bounded(vec!["time"]);
        for expect in [&Expected::Held, &Expected::Refused, &bomb] {
            for end in [None, Some("returned"), Some("refused"), Some("time_limit")] {
                assert!(escaped(judge(expect, end, "result: \"ESCAPED\\n\"")), "{expect:?} {end:?}");
            }
        }
        assert!(escaped(judge(&bomb, Some("returned"), "result: \"\"")));
        assert_eq!(judge(&bomb, Some("time_limit"), ""), Became::Held);
        assert_eq!(judge(&bomb, Some("returned"), "result: \"held\\n\""), Became::Held);
        assert_eq!(judge(&Expected::Held, Some("returned"), "result: \"held\\n\""), Became::Held);
        for end in ["broke_off", "program_refused", "refused"] {
            assert_eq!(judge(&Expected::Refused, Some(end), "it could not be used"), Became::Held);
        }
    }

    #[test]
    fn a_call_that_came_to_nothing_or_that_nobody_tells_of_was_not_made() {
        let bomb = Expected::Bounded(vec!["time"]);
        let not_made = |became: Became| matches!(became, Became::NotMade(_));
        for end in [None, Some("busy"), Some("sandbox_failed"), Some("cancelled"), Some("timed_out")] {
            for expect in [&Expected::Held, &Expected::Refused, &bomb] {
                assert!(not_made(judge(expect, end, "it could not be used")), "{expect:?} {end:?}");
            }
        }
        // A result that a guard kept back shows nothing, and neither do a refusal, another limit and an end of its own.
        assert!(not_made(judge(&Expected::Held, Some("withheld"), "the result was withheld")));
        assert!(not_made(judge(&Expected::Held, Some("returned"), "the result was withheld")));
        assert!(not_made(judge(&Expected::Held, Some("refused"), "there is no such tool, held")));
        assert!(not_made(judge(&bomb, Some("refused"), "")));
        assert!(not_made(judge(&bomb, Some("memory_limit"), "")));
        assert!(not_made(judge(&bomb, Some("broke_off"), "")));
        assert!(not_made(judge(&Expected::Refused, Some("returned"), "")));
    }
}
