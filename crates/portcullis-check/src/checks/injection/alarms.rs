//! Whether the operator is told of questions that look like attacks on a database or on a reader's browser.
//!
//! Nothing depends on these alarms: they are how somebody hears that it is tried. A target that has none is not judged by them.
//!
//! A counter with labels has no line before its first event: no line is zero where the metric is declared, or where the line
//! comes later.

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
    let Some([before, between, after]) = in_turn([before, between, after]) else {
        doubts.push(format!(
            "{} tells no number for `{line}`, before questions that should be counted or after: correct [alarms] in target.toml",
            alarms.route.line()
        ));
        return Ok(Vec::new());
    };
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
                "count questions that hold injected {} where the operator is told of attacks, in `{line}`",
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

/// What was told of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The sum of the lines that count.
    Count(u64),
    /// The metric is declared and has no such line: nothing was counted yet.
    None,
    /// Nothing speaks of it.
    Nothing,
}

/// The counts one after the other. Nobody speaks of a counter before its first event, or everybody declares it; one that is
/// never spoken of, or no more, is no counter.
fn in_turn(told: [Told; 3]) -> Option<[u64; 3]> {
    let first = told.iter().position(|told| *told != Told::Nothing)?;
    let is_gone = told.iter().skip(first).any(|told| *told == Told::Nothing);
    let number = |told: Told| match told {
        Told::Count(count) => count,
        Told::None | Told::Nothing => 0,
    };
    (!is_gone).then(|| told.map(number))
}

/// What is told now; none where the answer is no success.
async fn count(
    probe: &mut Probe,
    target: &Target,
    alarms: &Alarms,
    line: &str,
    doubts: &mut Vec<String>,
) -> Result<Option<Told>, Inconclusive> {
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
    if !seen.status.is_success() {
        doubts.push(format!(
            "{} was answered {} and tells no number for `{line}`: correct [alarms] in target.toml",
            alarms.route.line(),
            seen.says()
        ));
        return Ok(None);
    }
    Ok(Some(told(&seen.body, line)))
}

/// The sum of what stands at the end of the lines that hold a text.
fn told(body: &str, line: &str) -> Told {
    let lines = body.lines().filter(|text| text.contains(line) && !text.starts_with('#'));
    let numbers: Vec<f64> = lines.filter_map(|text| text.split_whitespace().last()?.parse().ok()).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as text has them")]
    match numbers.is_empty() {
        false => Told::Count(numbers.iter().sum::<f64>() as u64),
        true if is_declared(body, line) => Told::None,
        true => Told::Nothing,
    }
}

/// Whether the metric of a line with labels is declared, in the text format of Prometheus or in OpenMetrics, which leaves
/// `_total` out there.
fn is_declared(body: &str, line: &str) -> bool {
    let Some((name, _)) = line.split_once('{') else { return false };
    let family = name.strip_suffix("_total").unwrap_or(name);
    let declares = |text: &str| {
        let mut words = text.split_whitespace();
        words.next() == Some("#")
            && matches!(words.next(), Some("TYPE" | "HELP"))
            && words.next().is_some_and(|word| word == name || word == family)
    };
    !family.is_empty() && body.lines().any(declares)
}

#[cfg(test)]
mod tests {
    use super::{Told, in_turn, told};

    #[test]
    fn a_line_that_is_not_there_is_no_zero_unless_its_metric_is_declared() {
        let body = "# HELP events all\nevents{event=\"sql_pattern\"} 3\nevents{event=\"other\"} 9\n";
        assert_eq!(told(body, "event=\"sql_pattern\""), Told::Count(3));
        assert_eq!(told(body, "event=\"script_pattern\""), Told::Nothing);
        assert_eq!(told(body, "HELP"), Told::Nothing);
        assert_eq!(told(body, "events{event=\"script_pattern\"}"), Told::None);
        assert_eq!(told(body, "event{event=\"script_pattern\"}"), Told::Nothing);
        assert_eq!(told("# TYPE events counter\n", "events_total{event=\"sql_pattern\"}"), Told::None);
        assert_eq!(told("# events\n", "events{event=\"sql_pattern\"}"), Told::Nothing);
        assert_eq!(told("# TYPE  counter\n", "{event=\"sql_pattern\"}"), Told::Nothing);
    }

    #[test]
    fn no_line_before_the_first_event_is_zero_and_none_at_all_is_not() {
        use Told::{Count, None, Nothing};
        for (told, numbers) in [
            ([Count(2), Count(5), Count(5)], Some([2, 5, 5])),
            ([None, Count(3), Count(3)], Some([0, 3, 3])),
            ([None, None, None], Some([0, 0, 0])),
            ([Nothing, Count(3), Count(3)], Some([0, 3, 3])),
            ([Nothing, Nothing, Count(1)], Some([0, 0, 1])),
            ([Nothing, Nothing, Nothing], Option::None),
            ([Count(3), Nothing, Count(3)], Option::None),
            ([Count(3), Count(6), Nothing], Option::None),
        ] {
            assert_eq!(in_turn(told), numbers, "{told:?}");
        }
    }
}
