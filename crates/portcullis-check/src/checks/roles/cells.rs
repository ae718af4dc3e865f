//! Roles × permissions as requests: what must succeed does, what must be refused is.

use std::collections::{BTreeMap, BTreeSet};

use crate::checks::canary::Answer;
use crate::checks::standing::{self, Got};
use crate::outcome::{Finding, PositiveControl};
use crate::probe::{Probe, Seen};
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
    pub(super) fn take(&mut self, answers: &[(Exercise, Cell, &Seen)]) {
        let mut wrong: BTreeMap<(String, String, bool), Vec<(usize, String)>> = BTreeMap::new();
        for (exercise, cell, seen) in answers {
            self.asked += 1;
            let Cell { role, permission, allowed } = cell;
            let line = exercise.route.line();
            let said = || (seen.number(), format!("{line} was answered {}", seen.says()));
            let key = || (role.clone(), permission.clone(), *allowed);
            // Whoever must not do it is told in other words that a thing is not there than whoever may.
            let rightful =
                answers.iter().filter(|(other, cell, _)| cell.allowed && other.route.line() == line);
            let rightful = rightful.map(|(_, _, rightful)| *rightful);
            let got = match rightful
                .filter(|_| !allowed)
                .find(|seen| standing::got(&exercise.route, seen) == Got::Reached)
            {
                Some(rightful) => standing::got_beside(&exercise.route, seen, rightful),
                None => standing::got(&exercise.route, seen),
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
    pub(super) fn take_answers(&mut self, answers: &[Answer<'_, (Exercise, Cell)>]) {
        let plain: Vec<_> =
            answers.iter().map(|answer| (answer.tag.0.clone(), answer.tag.1.clone(), &answer.seen)).collect();
        self.take(&plain);
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
