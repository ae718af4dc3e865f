//! Roles × permissions as requests: what must succeed does, what must be refused is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::checks::canary::Answer;
use crate::checks::standing::{self, Got};
use crate::outcome::{Finding, Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Effect, Exercise, Matrix, Target};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// The role of whoever asks, or what they are otherwise called.
    pub(super) role: String,
    pub(super) permission: String,
    /// Whether it must succeed.
    pub(super) allowed: bool,
}

/// A request that exercises a permission, and its answer.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) exercise: Exercise,
    pub(super) cell: Cell,
    pub(super) seen: &'a Seen,
    /// A request by the same asker for [`standing::nowhere`].
    pub(super) nowhere: Call,
}

/// What answers 404 are held against.
#[derive(Debug, Default)]
struct Beside {
    /// What those are told whom a route is for, by its line.
    rightful: BTreeMap<String, Seen>,
    nothing: standing::Nothing,
}

impl Beside {
    /// Whether somebody was let in who must not be, where a thing that is not there shows it.
    async fn got(
        &mut self,
        probe: &mut Probe,
        asked: &Asked<'_>,
        all: &[Asked<'_>],
    ) -> Result<Got, Inconclusive> {
        let line = asked.exercise.route.line();
        let reached = |other: &&Asked<'_>| {
            other.cell.allowed
                && other.exercise.route.line() == line
                && standing::got(&other.exercise.route, other.seen) == Got::Reached
        };
        let nothing = self.nothing.told(probe, asked.seen, asked.nowhere.clone()).await?;
        if let Some(rightful) = all.iter().find(reached) {
            return standing::got_beside(asked.seen, rightful.seen, nothing);
        }
        let rightful = match self.rightful.entry(line) {
            Entry::Occupied(told) => told.into_mut(),
            Entry::Vacant(place) => place.insert(rightful(probe, &asked.exercise).await?),
        };
        standing::got_beside(asked.seen, rightful, nothing)
    }
}

/// What somebody is told whose role has the permission.
async fn rightful(probe: &mut Probe, exercise: &Exercise) -> Result<Seen, Inconclusive> {
    let target = probe.target();
    let Exercise { route, permission } = exercise;
    let may = |role: &str| {
        target.roles.declared.as_ref().is_some_and(|declared| declared.matrix.allows(role, permission))
    };
    let all = target.valid().into_iter().filter(|who| may(&who.role));
    // Whom the request names goes first.
    let who = all.min_by_key(|who| (Some(&who.name) != route.identity.as_ref(), probe.sent_lately(who)));
    let who = who.ok_or_else(|| {
        Inconclusive::because(format!(
            "no working identity may `{permission}`, so nothing is known of what {} answers",
            route.line()
        ))
    })?;
    let seen = probe.send(Call::by(&target, route, who)?).await?;
    standing::shown(route, &seen, &who.name)?;
    Ok(seen)
}

/// What came of the cells.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    pub(super) doubts: Vec<String>,
    pub(super) controls: Vec<PositiveControl>,
    /// Cells that were shown, in either way.
    pub(super) cells: BTreeSet<Cell>,
    /// Requests.
    pub(super) asked: usize,
}

impl Judged {
    /// Judges answers to exercises.
    pub(super) async fn take(&mut self, probe: &mut Probe, answers: &[Asked<'_>]) {
        let mut wrong: BTreeMap<(String, String, bool), Vec<(usize, String)>> = BTreeMap::new();
        let mut beside = Beside::default();
        for asked in answers {
            self.asked += 1;
            let Asked { exercise, cell, seen, .. } = asked;
            let Cell { role, permission, allowed } = cell;
            let line = exercise.route.line();
            let said = || (seen.number(), format!("{line} was answered {}", seen.says()));
            let key = || (role.clone(), permission.clone(), *allowed);
            let got = if !allowed && standing::says_nothing_is_there(&exercise.route, seen) {
                match beside.got(probe, asked, answers).await {
                    Ok(got) => got,
                    Err(why) => {
                        let why = why.reason();
                        self.doubts.push(format!("whether `{role}` may `{permission}` is not shown: {why}"));
                        continue;
                    }
                }
            } else {
                standing::got(&exercise.route, seen)
            };
            match (allowed, got) {
                (true, Got::Reached) => match standing::shown(&exercise.route, seen, role) {
                    Ok(control) => {
                        self.controls.push(control);
                        self.cells.insert(cell.clone());
                    }
                    Err(why) => self.doubts.push(why.reason().to_owned()),
                },
                (false, Got::Refused) => _ = self.cells.insert(cell.clone()),
                (true, Got::Refused) | (false, Got::Reached) => wrong.entry(key()).or_default().push(said()),
                (_, Got::Unclear) => self.doubts.push(format!(
                    "whether `{role}` may `{permission}` is not shown: {}",
                    standing::unclear(seen)
                )),
            }
        }
        for ((role, permission, allowed), shown) in wrong {
            let first = shown.first().map(|(_, said)| said.as_str()).unwrap_or_default();
            let (seen, fix) = if allowed {
                (
                    format!("`{role}` may `{permission}` and was refused: {first}"),
                    format!(
                        "give `{permission}` to `{role}` where it is decided, or take it out of the declared matrix"
                    ),
                )
            } else {
                (
                    format!("`{role}` must not `{permission}` and was let in: {first}"),
                    format!(
                        "ask for `{permission}` before the handlers of its routes run, and refuse `{role}` with 403"
                    ),
                )
            };
            self.findings.push(Finding::new(seen, fix).shown_by(shown.iter().map(|(number, _)| *number)));
        }
    }

    /// The same for a crew's answers.
    pub(super) async fn take_answers(
        &mut self,
        probe: &mut Probe,
        answers: &[Answer<'_, (Exercise, Cell)>],
    ) -> Result<(), Inconclusive> {
        let target = probe.target();
        let mut all = Vec::with_capacity(answers.len());
        for Answer { tag: (exercise, cell), asker, seen, .. } in answers {
            let nowhere = standing::nowhere(&target, &exercise.route);
            let call = Call::filled(&nowhere, &BTreeMap::new())?;
            let nowhere = match asker {
                Some(asker) => call.with(&asker.credential, &asker.name),
                None => call,
            };
            all.push(Asked { exercise: exercise.clone(), cell: cell.clone(), seen, nowhere });
        }
        self.take(probe, &all).await;
        Ok(())
    }
}

/// The exercises of every permission that somebody declared; one without any is a doubt, unless the target declares that
/// nothing here needs it and no route names it.
pub(super) fn exercises(
    probe: &mut Probe,
    target: &Target,
    matrix: &Matrix,
    doubts: &mut Vec<String>,
) -> BTreeMap<String, Vec<Exercise>> {
    let mut elsewhere = Vec::new();
    let by_permission = exercises_of(target, matrix, probe.may_write(), &mut elsewhere, doubts);
    for (permission, said) in elsewhere {
        probe.observe(&format!("requests for `{permission}`"), &said);
    }
    by_permission
}

fn exercises_of(
    target: &Target,
    matrix: &Matrix,
    may_write: bool,
    elsewhere: &mut Vec<(String, String)>,
    doubts: &mut Vec<String>,
) -> BTreeMap<String, Vec<Exercise>> {
    // Who is signed out shows nothing any more.
    let mut all = target.exercises();
    all.retain(|exercise| !exercise.route.signs_out);
    let mut by_permission = BTreeMap::new();
    for permission in matrix.permissions() {
        let lacks = target.lacks(&format!("permission:{permission}"));
        if let Some(lacks) = lacks.filter(|_| !all.iter().any(|exercise| exercise.permission == permission)) {
            let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
            elsewhere.push((permission.to_owned(), said));
            continue;
        }
        let (held, fit): (Vec<Exercise>, Vec<Exercise>) =
            all.iter().filter(|exercise| exercise.permission == permission).cloned().partition(|exercise| {
                let route = &exercise.route;
                route.effect == Effect::Writes && route.succeeds_with.is_none() && !may_write
            });
        if fit.is_empty() {
            let held = held.first().map(|exercise| exercise.route.line());
            doubts.push(match held {
                Some(line) => format!(
                    "`{permission}` was not exercised because {line} writes: allow it with `--allow writes`, or give it \
                     `succeeds_with`"
                ),
                None => format!(
                    "no request exercises `{permission}`: give a [[route]] `permission = \"{permission}\"`, or add \
                     [[permission]] to target.toml"
                ),
            });
        }
        by_permission.insert(permission.to_owned(), fit);
    }
    by_permission
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::exercises_of;
    use crate::target::{Declaration, Exercise, Matrix, Route, Target};

    #[test]
    fn a_permission_without_a_request_or_with_a_forbidden_one_is_named() {
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        let exercise = |permission: &str, route| Exercise { permission: permission.to_owned(), route };
        target.roles.exercises = vec![
            exercise("read", Route::new(Method::GET, "/a")),
            exercise("write", Route::new(Method::POST, "/a")),
            exercise("remove", Route::new(Method::DELETE, "/a/x").succeeds_with(404)),
        ];
        let matrix =
            Matrix::parse("[roles]\nadmin = [\"read\", \"write\", \"remove\", \"dream\"]\n").unwrap();
        let mut doubts = Vec::new();
        let found = exercises_of(&target, &matrix, false, &mut Vec::new(), &mut doubts);
        assert_eq!((found["read"].len(), found["remove"].len(), found["write"].len()), (1, 1, 0));
        assert_eq!(doubts.len(), 2, "{doubts:?}");
        assert!(doubts[0].contains("`dream`") && doubts[1].contains("`write`"), "{doubts:?}");
        doubts.clear();
        assert_eq!(exercises_of(&target, &matrix, true, &mut Vec::new(), &mut doubts)["write"].len(), 1);
        // What is declared absent is left out, but not where a route names it all the same.
        for lacks in ["permission:dream", "permission:read"] {
            target.declarations.push(Declaration::new(lacks, "no request needs it", "the test"));
        }
        let (mut elsewhere, mut doubts) = (Vec::new(), Vec::new());
        let found = exercises_of(&target, &matrix, true, &mut elsewhere, &mut doubts);
        assert!(!found.contains_key("dream") && found["read"].len() == 1 && elsewhere.len() == 1);
    }
}
