//! RBAC-04.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;

use super::cells::{self, Asked, Cell, Judged};
use super::joining::{self, Newcomer, Wish};
use crate::check::{cases, check};
use crate::checks::{deployment, standing};
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{Declared, Exercise, OwnStanding, SignUp, SignUpBy, Target, text_at};

check! {
    /// ## What it checks
    /// Goes every declared way to a new account, step by step, by sign-up and by invitation, reading the link from the mail
    /// where there is one. What the new member is told about themselves must be the least role and its permissions. Then it
    /// tries every permission as the new member: what the least role may do must succeed, everything else must be refused. A
    /// second account of each way asks for the highest role while it signs up, and must not get it. Where it is refused, another one that
    /// asks for nothing must be let in, or the refusal may be about something else.
    /// ## Why it matters
    /// A default is what nobody decides. One wrong default makes every new member staff, and nobody looks at it again.
    /// ## How to fix
    /// Let the store's default be the least role, give it in one place whatever the way, and take no role from the request of
    /// somebody who is signing up. A role that an invitation gives must be checked against whoever made the invitation.
    /// ## Limits
    /// It knows the declared ways. Accounts that a directory or a payment makes are not tried unless they are declared.
    id: "RBAC-04", title: "New users get the least role",
    area: Roles, severity: High, since: "0.1.0",
    needs: [Identity, Roles, DeclaredRoles, SignUp], touches: Writes,
    maps: ["API5:2023 Broken Function Level Authorization", "API3:2023 Broken Object Property Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "admin-open-to-members",
        "invitation-makes-staff",
        "member-removal-unguarded",
        "new-members-read-members",
        "sign-up-honours-role",
        "sign-up-makes-staff",
        "write-members-unguarded",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Requests of one new member under way at the same time.
const AT_ONCE: usize = 4;

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let roles = &target.roles;
    let (Some(declared), Some(own), Some(least)) = (&roles.declared, &roles.own, roles.least()) else {
        return Err(Inconclusive::because("no declared matrix"));
    };
    let mut judged = Judged::default();
    ways_wanted(probe, &target, &mut judged.doubts);
    let admin = told_to_an_admin(probe, &target, own, &mut judged).await?;
    let exercises = cells::exercises(probe, &target, &declared.matrix, &mut judged.doubts);
    let highest = roles.order.last().map(String::as_str);
    let mut told = BTreeSet::from([admin]);
    let mut gone = 0;
    for sign_up in &target.sign_ups {
        let newcomer = match joining::join(probe, &target, sign_up, None).await {
            Ok(newcomer) => newcomer,
            Err(why) => {
                judged.doubts.push(why.why.reason().to_owned());
                continue;
            }
        };
        let result = judge_newcomer(
            probe,
            &target,
            &newcomer,
            declared,
            own,
            least,
            &exercises,
            &mut told,
            &mut judged,
        )
        .await;
        newcomer.leave(probe, &target).await;
        match result {
            Ok(()) => gone += 1,
            Err(why) => judged.doubts.push(why.reason().to_owned()),
        }
        if let Some(wish) = highest.filter(|_| sign_up.steps.iter().any(joining::carries_wishes)) {
            wished_for(probe, &target, sign_up, own, wish, least, &mut judged).await?;
        }
    }
    let Judged { findings, doubts, controls, cells, asked } = judged;
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "ways to an account give the least role, `{least}` ({} cells of new members, {asked} requests)",
            cells.len()
        );
        let coverage = Coverage::complete(gone, target.sign_ups.len(), what)?;
        Ok((coverage, PositiveControl::all(controls, "new members may do what the least role may")?))
    })
}

/// Both kinds of ways are wanted: accounts that staff make may come out differently.
fn ways_wanted(probe: &mut Probe, target: &Target, doubts: &mut Vec<String>) {
    for by in SignUpBy::ALL {
        if target.sign_ups.iter().any(|sign_up| sign_up.by == by) {
            continue;
        }
        match target.lacks(by.feature()) {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe(&format!("a way to an account begun by {}", by.word()), &said);
            }
            None => doubts.push(format!(
                "no way to an account that is begun by {0} is known: add [sign_up.NAME] with `by = \"{0}\"` to target.toml, \
                 or declare that there is none (`lacks = \"{1}\"`)",
                by.word(),
                by.feature()
            )),
        }
    }
}

/// What somebody with a higher role is told must be that role, or the answer says the same to everyone.
async fn told_to_an_admin(
    probe: &mut Probe,
    target: &Target,
    own: &OwnStanding,
    judged: &mut Judged,
) -> Result<String, Inconclusive> {
    let admin = target.roles.order.iter().rev().flat_map(|role| target.with_role(role)).next();
    let admin = admin.ok_or_else(|| Inconclusive::because("no working identity has any role"))?;
    let seen = probe.send(Call::by(target, &own.route, admin)?).await?;
    PositiveControl::from_success(&seen, format!("{} as `{}`", own.route.line(), admin.name))?;
    let role = text_at(&seen.json().unwrap_or_default(), &own.role);
    if role.as_deref() != Some(admin.role.as_str()) {
        judged.doubts.push(format!(
            "{} does not tell `{}` that they are `{}`, so what it tells new members shows nothing",
            own.route.line(),
            admin.name,
            admin.role
        ));
    }
    let stranger = probe.send(Call::new(own.route.method.clone(), own.route.path.clone())).await?;
    if !deployment::is_turned_away(&stranger) {
        judged.doubts.push(format!("{} answers nobody {}", own.route.line(), stranger.says()));
    }
    Ok(seen.body)
}

#[expect(clippy::too_many_arguments, reason = "one newcomer and all that they are held against")]
async fn judge_newcomer(
    probe: &mut Probe,
    target: &Target,
    newcomer: &Newcomer<'_>,
    declared: &Declared,
    own: &OwnStanding,
    least: &str,
    exercises: &BTreeMap<String, Vec<Exercise>>,
    told: &mut BTreeSet<String>,
    judged: &mut Judged,
) -> Result<(), Inconclusive> {
    let seen = probe.send(newcomer.call(&own.route)?).await?;
    judged.controls.push(PositiveControl::from_success(
        &seen,
        format!("{} as the {}", own.route.line(), newcomer.label),
    )?);
    let body = seen.json().unwrap_or_default();
    if !told.insert(seen.body.clone()) {
        return Err(Inconclusive::because(format!(
            "the {} is told the same about themselves as somebody else, so they may be signed in as them",
            newcomer.label
        )));
    }
    let role = text_at(&body, &own.role).ok_or_else(|| {
        Inconclusive::because(format!(
            "{} tells the {} no role at `{}`",
            own.route.line(),
            newcomer.label,
            own.role
        ))
    })?;
    let fix = || format!("give the {} the role `{least}` and nothing more", newcomer.label);
    if role != least {
        let said = format!("the {} is `{role}`, not `{least}`", newcomer.label);
        judged.findings.push(Finding::new(said, fix()).shown_by([seen.number()]));
    }
    if let Some(at) = &own.permissions {
        let held = body.pointer(at).and_then(Value::as_array).ok_or_else(|| {
            Inconclusive::because(format!(
                "{} tells the {} no permissions at `{at}`",
                own.route.line(),
                newcomer.label
            ))
        })?;
        let held: BTreeSet<&str> = held.iter().filter_map(Value::as_str).collect();
        let wanted: BTreeSet<&str> =
            declared.matrix.0.get(least).into_iter().flatten().map(String::as_str).collect();
        // What the target declares that nothing here needs, a credential need not have.
        let lacking = wanted.difference(&held).filter(|permission| exercises.contains_key(**permission));
        let differs: Vec<String> =
            held.difference(&wanted).chain(lacking).map(|permission| format!("`{permission}`")).collect();
        if !differs.is_empty() {
            let said = format!(
                "the {} is told permissions that are not those of `{least}`: they differ in {}",
                newcomer.label,
                differs.join(", ")
            );
            judged.findings.push(Finding::new(said, fix()).shown_by([seen.number()]));
        }
    }
    let mut asked = Vec::new();
    for (permission, exercises) in exercises {
        let allowed = declared.matrix.allows(least, permission);
        for exercise in exercises {
            // What is somebody's own is not the new member's.
            if allowed && !standing::is_for_anyone(target, exercise) {
                continue;
            }
            let cell = Cell { role: newcomer.label.clone(), permission: permission.clone(), allowed };
            asked.push((exercise.clone(), cell, newcomer.call(&exercise.route)?));
        }
    }
    let calls = asked.iter().map(|(_, _, call)| call.clone()).collect();
    let mut answers = probe.burst(calls, AT_ONCE).await?;
    for ((_, _, call), seen) in asked.iter().zip(&mut answers) {
        // A limit says nothing about a role: it is asked again when the limit allows it.
        if seen.status == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(probe.patience_asked(seen)).await;
            *seen = probe.send(call.clone()).await?;
        }
    }
    let mut all = Vec::with_capacity(answers.len());
    for ((exercise, cell, _), seen) in asked.into_iter().zip(&answers) {
        let nowhere = newcomer.call(&standing::nowhere(target, &exercise.route))?;
        all.push(Asked { exercise, cell, seen, nowhere });
    }
    judged.take(probe, &all).await;
    for permission in exercises.keys() {
        let shown = all.iter().any(|asked| asked.cell.permission == *permission);
        if !shown {
            judged.doubts.push(format!(
                "no request shows whether the {} may `{permission}`: add [[permission]] to target.toml",
                newcomer.label
            ));
        }
    }
    Ok(())
}

/// Somebody who asks for a role while they sign up: they are refused, or they get the least one.
async fn wished_for(
    probe: &mut Probe,
    target: &Target,
    sign_up: &SignUp,
    own: &OwnStanding,
    wish: &str,
    least: &str,
    judged: &mut Judged,
) -> Result<(), Inconclusive> {
    let who = format!("a new member by {} who asked to be `{wish}`", sign_up.name);
    let first = sign_up.steps.iter().position(joining::carries_wishes);
    let mut steps = sign_up.steps.len();
    let newcomer = loop {
        let wish = Wish { role: wish, steps };
        let broken = match joining::join(probe, target, sign_up, Some(wish)).await {
            Ok(newcomer) => break newcomer,
            Err(broken) => broken,
        };
        match broken.refused_at.filter(|step| *step < steps) {
            Some(step) if Some(step) == first => {
                match joining::join(probe, target, sign_up, None).await {
                    Ok(other) => {
                        probe.observe(&who, "refused, and one who asks for no role is let in");
                        other.leave(probe, target).await;
                    }
                    Err(_) => judged.doubts.push(format!(
                        "{who} was not let in, and then neither was one without asking for a role, so nothing shows why ({}): let \
                         as many sign up as the check needs",
                        broken.why.reason()
                    )),
                }
                return Ok(());
            }
            // What was asked for before may have been granted: once more, and from here on nothing is asked for.
            Some(step) => steps = step,
            None => {
                judged.doubts.push(format!(
                    "{who} did not get to the end, and the application refused nothing that asked for it, so nothing shows what they \
                     would be ({}): let whoever signs up come to the end of the declared way, whatever their role",
                    broken.why.reason()
                ));
                return Ok(());
            }
        }
    };
    let seen = probe.send(newcomer.call(&own.route)?).await?;
    let role = seen.json().and_then(|body| text_at(&body, &own.role));
    match role.filter(|_| seen.status.is_success()) {
        Some(role) if role == least => {}
        Some(role) => judged.findings.push(
            Finding::new(
                format!("the {} asked to be `{wish}` while signing up and is `{role}`", newcomer.label),
                format!("take no role from the requests of [sign_up.{}]", sign_up.name),
            )
            .shown_by([seen.number()]),
        ),
        None => judged.doubts.push(format!(
            "{} tells the {} no role at `{}` once they asked to be `{wish}`: it was answered {}",
            own.route.line(),
            newcomer.label,
            own.role,
            seen.says()
        )),
    }
    newcomer.leave(probe, target).await;
    Ok(())
}
