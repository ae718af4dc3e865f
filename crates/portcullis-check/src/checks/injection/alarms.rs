//! Whether the operator is told of questions that look like attacks on a database or on a reader's browser.
//!
//! Nothing depends on these alarms: they are how somebody hears that it is tried. A target that has none is not judged by them.

use crate::checks::markup::payloads::word;
use crate::outcome::{Finding, Inconclusive};
use crate::probe::{Call, Probe};
use crate::target::{Alarms, Target};

/// What a question looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    LikeSql,
    LikeScript,
}

const SQL: &[&str] = &[
    "What does {w}' OR '1'='1 mean for the harbour?",
    "{w}'); DROP TABLE members;--",
    "Who is {w}' UNION SELECT name, secret FROM members--",
];
const SCRIPT: &[&str] = &[
    "Is {w}\"><script>alert('{w}')</script> a boat?",
    "{w} <img src=x onerror={w}()>",
    "Tell me about {w} <a href=\"javascript:{w}()\">the quay</a>",
];
/// Talk about both that is neither.
const HARMLESS: &[&str] = &[
    "Where do the children of {w}'s crew meet, and who selects the boats from the table?",
    "How do I write a script element in HTML, and what does a SELECT statement do?",
];

impl Looks {
    const fn questions(self) -> &'static [&'static str] {
        match self {
            Self::LikeSql => SQL,
            Self::LikeScript => SCRIPT,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::LikeSql => "SQL",
            Self::LikeScript => "markup or script",
        }
    }

    fn line(self, alarms: &Alarms) -> &str {
        match self {
            Self::LikeSql => &alarms.sql,
            Self::LikeScript => &alarms.script,
        }
    }
}

/// Asks such questions, and others, and reads what was counted before, between and after.
pub(super) async fn judge(
    probe: &mut Probe,
    target: &Target,
    looks: Looks,
    doubts: &mut Vec<String>,
) -> Result<Vec<Finding>, Inconclusive> {
    let what = format!("alarms of questions with {}", looks.words());
    let Some(alarms) = &target.alarms else {
        probe.observe(&what, "the target names none in [alarms]");
        return Ok(Vec::new());
    };
    let line = looks.line(alarms);
    let Some(before) = count(probe, target, alarms, line, doubts).await? else { return Ok(Vec::new()) };
    let asked = ask(probe, target, alarms, looks.questions(), doubts).await?;
    let Some(between) = count(probe, target, alarms, line, doubts).await? else { return Ok(Vec::new()) };
    ask(probe, target, alarms, HARMLESS, doubts).await?;
    let Some(after) = count(probe, target, alarms, line, doubts).await? else { return Ok(Vec::new()) };
    probe.observe(&what, &format!("{before}, {between} after {asked} such questions, {after} after others"));
    let mut findings = Vec::new();
    if between < before + asked {
        findings.push(Finding::new(
            format!(
                "of {asked} questions with {} {} raised an alarm",
                looks.words(),
                between.saturating_sub(before)
            ),
            format!(
                "count questions that hold injected {} where the operator is told of attacks",
                looks.words()
            ),
        ));
    }
    if after > between {
        findings.push(Finding::new(
            format!("harmless questions raise the alarm for {}", looks.words()),
            "let a pattern be what breaks out of a value, not a word: an alarm at everything is none",
        ));
    }
    Ok(findings)
}

/// How many of them were taken.
async fn ask(
    probe: &mut Probe,
    target: &Target,
    alarms: &Alarms,
    questions: &[&str],
    doubts: &mut Vec<String>,
) -> Result<u64, Inconclusive> {
    let mut asked = 0;
    for question in questions {
        let route = alarms.chat.asking(&question.replace("{w}", &word()));
        let call = Call::by(target, &route, &alarms.asker)?;
        let seen = probe
            .send(match &alarms.at {
                Some(at) => call.at(at),
                None => call,
            })
            .await?;
        // A question may be refused as well; what matters is that it came to the application.
        if seen.must_be_the_application().is_err()
            || !(seen.status.is_success() || seen.status.as_u16() == 400)
        {
            doubts.push(format!("{} was answered {} where alarms are looked at", route.line(), seen.says()));
            continue;
        }
        asked += 1;
    }
    Ok(asked)
}

/// The sum of the lines that count.
async fn count(
    probe: &mut Probe,
    target: &Target,
    alarms: &Alarms,
    line: &str,
    doubts: &mut Vec<String>,
) -> Result<Option<u64>, Inconclusive> {
    let call = Call::to(target, &alarms.route, "")?;
    let call = match &alarms.operator {
        Some(operator) => call.with(operator, "operator"),
        None => call,
    };
    let seen = probe
        .send(match &alarms.told_at {
            Some(at) => call.at(at),
            None => call,
        })
        .await?;
    let told = if seen.status.is_success() { told(&seen.body, line) } else { None };
    if told.is_none() {
        doubts.push(format!(
            "{} was answered {} and tells no number for `{line}`: correct [alarms] in target.toml",
            alarms.route.line(),
            seen.says()
        ));
    }
    Ok(told)
}

/// The sum of what stands at the end of the lines that hold a text.
fn told(body: &str, line: &str) -> Option<u64> {
    let lines = body.lines().filter(|text| text.contains(line) && !text.starts_with('#'));
    let numbers: Vec<f64> = lines.filter_map(|text| text.split_whitespace().last()?.parse().ok()).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as text has them")]
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() as u64)
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_line_that_is_not_there_is_no_zero() {
        let body = "# HELP events\nevents{event=\"sql_pattern\"} 3\nevents{event=\"other\"} 9\n";
        assert_eq!(told(body, "event=\"sql_pattern\""), Some(3));
        assert_eq!(told(body, "event=\"script_pattern\""), None);
        assert_eq!(told(body, "HELP"), None);
    }
}
