//! RBAC-02.

use std::collections::BTreeMap;

use super::listing::{self, Account};
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{AccountKind, Target};

check! {
    /// ## What it checks
    /// Reads the lists of people and of keys to their ends, for each community. Everyone must have a role, a key at least by
    /// whom it acts for; no two accounts may have one name, address or credential; no key may be shared; and no community
    /// may have more administrators than declared, keys that act for nobody included. The lists count as whole only if
    /// everyone with a working credential here stands on them.
    /// ## Why it matters
    /// An account without a role falls to whatever the code does by default, a shared one cannot be answered for, and every
    /// forgotten administrator is a way in.
    /// ## How to fix
    /// Make the role a required column with the least role as its default. Give each person and program a credential of
    /// their own. Take the admin role from whoever does not need it, or raise the declared number on purpose.
    /// ## Limits
    /// It believes what the lists say. People who share a password are not seen, nor accounts in a directory elsewhere.
    id: "RBAC-02", title: "Every user has a role",
    area: Roles, severity: Medium, since: "0.1.0",
    needs: [Identity, Roles, Accounts], touches: Nothing,
    maps: ["A01:2021 Broken Access Control"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "key-has-no-role",
        "key-makes-an-admin",
        "member-without-role",
        "shared-key",
        "too-many-admins",
        "two-members-one-address",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let mut doubts = Vec::new();
    let kinds = [(AccountKind::People, "people", None), (AccountKind::Keys, "keys", Some("service-keys"))];
    for (kind, word, feature) in kinds {
        if target.accounts.lists.iter().any(|list| list.kind == kind) {
            continue;
        }
        match feature.and_then(|feature| target.lacks(feature)) {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe("a list of keys", &said);
            }
            None => doubts.push(format!(
                "where {word} are listed is not known: add [[accounts.list]] with `kind = \"{word}\"` to target.toml"
            )),
        }
    }
    for list in &target.accounts.lists {
        if list.kind == AccountKind::People && list.role.is_none() {
            doubts.push(format!(
                "where {} names a role is not known: add `role` to its [[accounts.list]]",
                list.route.line()
            ));
        }
    }
    let (accounts, controls) = listing::everyone(probe, &target, &mut doubts).await;
    let mut findings = without_role(&accounts);
    // Somebody who is on no list may be on the rest of one that is not whole.
    if doubts.is_empty() {
        findings.extend(for_nobody_known(&accounts));
    }
    findings.extend(shared(&accounts));
    findings.extend(credentials_of_two(&target));
    findings.extend(administrators(&target, &accounts, &mut doubts));
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let keys = accounts.iter().filter(|account| account.kind == AccountKind::Keys).count();
        let what = format!("accounts have a role and an owner of their own ({keys} of them keys)");
        let coverage = Coverage::complete(accounts.len(), accounts.len(), what)?;
        Ok((
            coverage,
            PositiveControl::all(controls, "each list names everyone who has a working credential here")?,
        ))
    })
}

/// What an account is called in reports: its id. Names and addresses are people's own.
fn called(account: &Account) -> String {
    let word = if account.kind == AccountKind::Keys { "key" } else { "account" };
    format!("the {word} `{}` of {}", account.id, account.community)
}

fn person<'a>(accounts: &'a [Account], key: &Account) -> Option<&'a Account> {
    let id = key.acts_for.as_ref()?;
    accounts.iter().find(|other| {
        other.kind == AccountKind::People && other.community == key.community && other.id == *id
    })
}

/// A key has the role of whom it acts for; that a person has none is a finding of the person's.
fn without_role(accounts: &[Account]) -> Vec<Finding> {
    let own = accounts.iter().filter(|account| account.role.is_none() && account.acts_for.is_none());
    own.map(|account| {
        let who = called(account);
        let (seen, fix) = match account.kind {
            AccountKind::Keys => {
                (format!("{who} acts for nobody and has no role"), format!("give {who} a role, or revoke it"))
            }
            AccountKind::People => (
                format!("{who} has no role"),
                format!("give {who} the least role, and make the column required"),
            ),
        };
        Finding::new(seen, fix).shown_by([account.number])
    })
    .collect()
}

/// Keys whose owner is on no list.
fn for_nobody_known(accounts: &[Account]) -> Vec<Finding> {
    let keys = accounts.iter().filter(|key| key.acts_for.is_some() && person(accounts, key).is_none());
    keys.map(|key| {
        let who = called(key);
        Finding::new(
            format!("{who} acts for somebody who is on no list"),
            format!("revoke {who}, or name whom it acts for"),
        )
        .shown_by([key.number])
    })
    .collect()
}

/// Accounts that cannot be one person's: marked as shared, or two with one name, address or credential.
fn shared(accounts: &[Account]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for account in accounts.iter().filter(|account| account.shared) {
        let who = called(account);
        let fix = format!("give everyone who uses {who} a credential of their own, and revoke it");
        findings.push(Finding::new(format!("{who} is shared"), fix).shown_by([account.number]));
    }
    type Part = fn(&Account) -> Option<&String>;
    let parts: [(&str, Part); 3] = [
        ("name", |account| account.name.as_ref()),
        ("address", |account| account.address.as_ref()),
        ("credential", |account| account.credential.as_ref()),
    ];
    for (word, part) in parts {
        let mut by: BTreeMap<(&str, AccountKind, String), Vec<&Account>> = BTreeMap::new();
        for account in accounts {
            if let Some(value) = part(account) {
                let value = if word == "credential" { value.clone() } else { value.trim().to_lowercase() };
                by.entry((&account.community, account.kind, value)).or_default().push(account);
            }
        }
        for same in by.into_values() {
            let [first, second, ..] = same.as_slice() else { continue };
            findings.push(
                Finding::new(
                    format!("{} and {} have one {word}", called(first), called(second)),
                    format!("make the {word} unique, and give the second of them its own"),
                )
                .shown_by(same.iter().map(|account| account.number)),
            );
        }
    }
    findings
}

/// One credential of two users, as the target file itself names them.
fn credentials_of_two(target: &Target) -> Option<Finding> {
    let valid = target.valid();
    valid.iter().enumerate().find_map(|(index, one)| {
        let secret = one.credential.secret().expose();
        let other = valid.iter().skip(index + 1);
        let mut other =
            other.filter(|other| other.user != one.user && other.credential.secret().expose() == secret);
        let other = other.next()?;
        Some(Finding::new(
            format!("`{}` and `{}` use one credential", one.name, other.name),
            format!("give `{}` a credential of their own", other.name),
        ))
    })
}

fn administrators(target: &Target, accounts: &[Account], doubts: &mut Vec<String>) -> Vec<Finding> {
    let Some(most) = target.accounts.admins_at_most else {
        doubts.push("how many administrators there may be is not declared: add `admins_at_most` to [accounts] in target.toml".to_owned());
        return Vec::new();
    };
    if target.roles.admins.is_empty() {
        doubts.push(
            "which roles are administrators is not known: add `admins` to [roles] in target.toml".to_owned(),
        );
    }
    let mut by_community: BTreeMap<&str, Vec<&Account>> = BTreeMap::new();
    for account in accounts {
        // A key that acts for somebody is that somebody's.
        let own = account.kind == AccountKind::People || account.acts_for.is_none();
        let is_admin = account.role.as_ref().is_some_and(|role| target.roles.admins.contains(role));
        if own && is_admin {
            by_community.entry(&account.community).or_default().push(account);
        }
    }
    if by_community.is_empty() && doubts.is_empty() {
        doubts.push(
            "no account is an administrator, although one read the list: correct `role` of [[accounts.list]]"
                .to_owned(),
        );
    }
    let too_many = by_community.into_iter().filter(|(_, admins)| admins.len() > most);
    too_many
        .map(|(community, admins)| {
            let keys = admins.iter().filter(|account| account.kind == AccountKind::Keys).count();
            Finding::new(
                format!("{community} has {} administrators ({keys} of them keys), at most {most} are declared", admins.len()),
                format!(
                    "take the admin role from whoever does not need it ({}), or raise `admins_at_most` on purpose",
                    admins.iter().map(|account| format!("`{}`", account.id)).collect::<Vec<_>>().join(", ")
                ),
            )
            .shown_by(admins.iter().map(|account| account.number))
        })
        .collect()
}
