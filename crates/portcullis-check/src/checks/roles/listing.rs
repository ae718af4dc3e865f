//! Reads whole lists of accounts, page after page.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe};
use crate::target::{AccountKind, AccountList, Identity, Target, text_at};

/// More pages are a list that never ends.
const MOST_PAGES: usize = 500;

/// An account as a list names it.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) kind: AccountKind,
    pub(super) community: String,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    pub(super) role: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) shared: bool,
    pub(super) acts_for: Option<String>,
    /// The exchange that shows it.
    pub(super) number: usize,
}

/// A list as one community's administrator reads it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) accounts: Vec<Account>,
    pub(super) pages: usize,
    pub(super) control: PositiveControl,
}

/// Everything on every list, and why it may not be whole.
pub(super) async fn everyone(
    probe: &mut Probe,
    target: &Target,
    doubts: &mut Vec<String>,
) -> (Vec<Account>, Vec<PositiveControl>) {
    let (mut accounts, mut controls) = (Vec::new(), Vec::new());
    for list in &target.accounts.lists {
        for name in &list.askers {
            let asker = target.valid().into_iter().find(|identity| identity.name == *name);
            let Some(asker) = asker else {
                doubts.push(format!("`{name}`, who reads {}, has no working credential", list.route.line()));
                continue;
            };
            match read(probe, target, list, asker).await {
                Ok(listed) => {
                    let said = format!(
                        "{} accounts on {} pages for {}",
                        listed.accounts.len(),
                        listed.pages,
                        asker.community
                    );
                    probe.observe(&list.route.line(), &said);
                    doubts.extend(missing(target, list, &asker.community, &listed.accounts));
                    accounts.extend(listed.accounts);
                    controls.push(listed.control);
                }
                Err(why) => doubts.push(why.reason().to_owned()),
            }
        }
        let communities: BTreeSet<&str> =
            target.valid().into_iter().map(|identity| identity.community.as_str()).collect();
        for community in communities {
            let read = target
                .valid()
                .into_iter()
                .any(|asker| asker.community == community && list.askers.contains(&asker.name));
            if !read {
                doubts.push(format!(
                    "nobody reads {} for {community}: add one of its administrators to `as` of its [[accounts.list]]",
                    list.route.line()
                ));
            }
        }
    }
    (accounts, controls)
}

async fn read(
    probe: &mut Probe,
    target: &Target,
    list: &AccountList,
    asker: &Identity,
) -> Result<Listed, Inconclusive> {
    let mut listed: Option<Listed> = None;
    let mut ids = BTreeSet::new();
    let mut next: Option<String> = None;
    for pages in 1..=MOST_PAGES {
        let mut call = Call::by(target, &list.route, asker)?;
        if let Some(((name, _), value)) = list.next.as_ref().zip(next.as_ref()) {
            call = call.query(name, value);
        }
        let seen = probe.send(call).await?;
        let control =
            PositiveControl::from_success(&seen, format!("{} as `{}`", list.route.line(), asker.name))?;
        let body = seen.json().unwrap_or_default();
        let items = body.pointer(&list.items).and_then(Value::as_array).ok_or_else(|| {
            Inconclusive::because(format!("{} has no list at `{}`", list.route.line(), list.items))
        })?;
        let listed = listed.get_or_insert_with(|| Listed { accounts: Vec::new(), pages, control });
        listed.pages = pages;
        for item in items {
            let Some(account) = account(list, asker, item, seen.number()) else {
                let why = format!("an item of {} has no `{}`", list.route.line(), list.id);
                return Err(Inconclusive::because(why));
            };
            if !ids.insert(account.id.clone()) {
                let why = format!(
                    "{} lists the same account on two pages, so its pages cannot be trusted",
                    list.route.line()
                );
                return Err(Inconclusive::because(why));
            }
            let is_ended =
                list.ended.as_ref().and_then(|at| item.pointer(at)).is_some_and(|ended| !ended.is_null());
            if !is_ended {
                listed.accounts.push(account);
            }
        }
        next = list.next.as_ref().and_then(|(_, at)| text_at(&body, at)).filter(|next| !next.is_empty());
        if next.is_some() {
            continue;
        }
        let total = list.total.as_ref().and_then(|at| body.pointer(at)).and_then(Value::as_u64);
        if total.is_some_and(|total| total != ids.len() as u64) {
            let why =
                format!("{} says that there are other numbers of accounts than it lists", list.route.line());
            return Err(Inconclusive::because(why));
        }
        break;
    }
    match listed {
        Some(_) if next.is_some() => {
            Err(Inconclusive::because(format!("{} has more than {MOST_PAGES} pages", list.route.line())))
        }
        Some(listed) if ids.is_empty() && list.kind == AccountKind::People => {
            let _ = listed;
            Err(Inconclusive::because(format!("{} lists nobody for {}", list.route.line(), asker.community)))
        }
        Some(listed) => Ok(listed),
        None => Err(Inconclusive::because(format!("{} was not read", list.route.line()))),
    }
}

fn account(list: &AccountList, asker: &Identity, item: &Value, number: usize) -> Option<Account> {
    let text = |at: &Option<String>| text_at(item, at.as_ref()?).filter(|text| !text.trim().is_empty());
    let shared = list.shared.as_ref().and_then(|at| item.pointer(at)).is_some_and(|shared| match shared {
        Value::Bool(shared) => *shared,
        Value::Array(users) => users.len() > 1,
        Value::Number(users) => users.as_u64().is_some_and(|users| users > 1),
        _ => false,
    });
    Some(Account {
        kind: list.kind,
        community: asker.community.clone(),
        id: text_at(item, &list.id)?,
        name: text(&list.name),
        address: text(&list.address),
        role: text(&list.role),
        credential: text(&list.credential),
        shared,
        acts_for: text(&list.acts_for),
        number,
    })
}

/// People whom the check itself knows and the list does not.
fn missing(target: &Target, list: &AccountList, community: &str, accounts: &[Account]) -> Option<String> {
    if list.kind != AccountKind::People {
        return None;
    }
    let users: BTreeSet<&str> = target
        .valid()
        .into_iter()
        .filter(|identity| identity.community == community)
        .map(|identity| identity.user.as_str())
        .collect();
    let is_listed = |user: &&str| {
        accounts.iter().any(|account| {
            let named = [Some(&account.id), account.name.as_ref(), account.address.as_ref()];
            named.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(user))
        })
    };
    let lost: Vec<&str> = users.into_iter().filter(|user| !is_listed(user)).collect();
    let first = lost.first()?;
    Some(format!(
        "{} does not list `{first}`, who has a working credential ({} such in {community}): it is not whole, or `user` of the \
         [[identity]] is not the account's id, name or address",
        list.route.line(),
        lost.len()
    ))
}
