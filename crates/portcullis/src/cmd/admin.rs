//! Administration on the command line: communities, members, plans, spaces, keys.
//!
//! Every change goes through the same ports as everything else, with the operator's scope, and into the journal.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use jiff::{Timestamp, ToSpan as _};
use portcullis_audit::{Change, Use};
use portcullis_core::{AbilitySet, Actor, KeyAbility, MemberId, Role, Scope, Tier};
use portcullis_store::{
    Community, CommunityRef, Entitlement, KeyActor, Member, NewCommunity, NewMember, NewSpace, Plan, Space,
    SpaceAccess, Status,
};

use crate::args::{CommunityCommand, Configured, KeyCommand, MemberCommand, PlanCommand, SpaceCommand};
use crate::instance::{self, Kept, Wanted};
use crate::out;

fn open(config: &Configured) -> Result<Kept> {
    Kept::open(&instance::configuration(config)?, Use::Administering)
}

async fn enter(config: &Configured, slug: &str) -> Result<(Kept, Community, Scope)> {
    let kept = open(config)?;
    let community = kept.community(slug).await?;
    let scope = Kept::operator(&community);
    Ok((kept, community, scope))
}

pub(super) async fn community(config: &Configured, command: CommunityCommand) -> Result<ExitCode> {
    let kept = open(config)?;
    match command {
        CommunityCommand::Create { slug, from_file, name, tier, host } => {
            let tier = tier_of(&tier)?;
            if let Some(slug) = slug {
                let name = name.unwrap_or_else(|| slug.clone());
                create_community(&kept, NewCommunity { slug, name, host, tier }).await?;
            }
            if let Some(file) = from_file {
                create_communities(&kept, &file, tier).await?;
            }
        }
        CommunityCommand::List => {
            for community in kept.stores.directory.list().await? {
                let Community { slug, id, tier, name, .. } = community;
                out::line(format_args!("{slug:<24} {id}  {:<10} {name}", tier.name()));
            }
        }
        CommunityCommand::Tier { slug, tier } => {
            let (community, tier) = (kept.community(&slug).await?, tier_of(&tier)?);
            kept.stores.directory.set_tier(community.id, tier).await?;
            let change = Change::new("community.tier", vec![community.id.into()]);
            kept.record_in_full(&community, change.before(community.tier.name()).to(tier.name())).await?;
            out::line(format_args!("{slug}: {} -> {}", community.tier.name(), tier.name()));
        }
    }
    kept.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn tier_of(name: &str) -> Result<Tier> {
    Tier::parse(name).ok_or_else(|| unknown("tier", name, Tier::ALL.map(Tier::name)))
}

async fn create_community(kept: &Kept, new: NewCommunity) -> Result<()> {
    let made = kept.stores.directory.create(new).await?;
    kept.record(&made, "community.created", vec![made.id.into()], Some(made.tier.name())).await?;
    out::line(format_args!("created {} ({})", made.slug, made.id));
    Ok(())
}

/// One community for each line. What exists is left alone, so that a run that stopped can be repeated.
async fn create_communities(kept: &Kept, file: &Path, tier: Tier) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    for (index, line) in text.lines().enumerate() {
        let slug = line.trim();
        if slug.is_empty() {
            continue;
        }
        if kept.stores.directory.find(CommunityRef::Slug(slug)).await?.is_some() {
            out::line(format_args!("{slug} exists"));
            continue;
        }
        let new = NewCommunity { slug: slug.to_owned(), name: slug.to_owned(), host: None, tier };
        create_community(kept, new)
            .await
            .with_context(|| format!("line {} of {} cannot be used", index + 1, file.display()))?;
    }
    Ok(())
}

pub(super) async fn member(config: &Configured, command: MemberCommand) -> Result<ExitCode> {
    match command {
        MemberCommand::Add { at, name, email, role, plan } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let role = role.map(|role| parse_role(&role)).transpose()?;
            let plans = plan.iter().map(|plan| entitlement(plan)).collect::<Result<Vec<_>>>()?;
            let known = kept.stores.spaces.plans(&scope).await?;
            for wanted in &plans {
                if !known.iter().any(|plan| plan.slug == wanted.plan) {
                    return Err(unknown("plan", &wanted.plan, known.iter().map(|plan| plan.slug.as_str())));
                }
            }
            let member = kept.stores.members.add(&scope, NewMember { name, email, role }).await?;
            kept.record(&community, "member.added", vec![member.id.into()], Some(member.role.name())).await?;
            for plan in plans {
                let change = Change::entitled(member.id, &plan.plan);
                kept.stores.members.entitle(&scope, member.id, plan).await?;
                kept.record_in_full(&community, change).await?;
            }
            out::line(format_args!("added {} as {}", member.id, member.role.name()));
            kept.close().await?;
        }
        MemberCommand::List { at } => {
            let (kept, _, scope) = enter(config, &at.community).await?;
            for member in kept.stores.members.list(&scope).await? {
                out::line(member_line(&member));
            }
            kept.close().await?;
        }
        MemberCommand::Role { at, member, role } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let (member, role) = (parse_member(&member)?, parse_role(&role)?);
            let before = kept.stores.members.set_role(&scope, member, role).await?;
            kept.record_in_full(&community, Change::role(member, before, role)).await?;
            out::line(format_args!("{member} is now {}", role.name()));
            kept.close().await?;
        }
        MemberCommand::Suspend { at, member } => {
            set_status(config, &at.community, &member, Status::Suspended).await?
        }
        MemberCommand::Restore { at, member } => {
            set_status(config, &at.community, &member, Status::Active).await?
        }
        MemberCommand::Entitle { at, member, plan } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let (member, entitlement) = (parse_member(&member)?, entitlement(&plan)?);
            let change = Change::entitled(member, &entitlement.plan);
            kept.stores.members.entitle(&scope, member, entitlement).await?;
            kept.record_in_full(&community, change).await?;
            out::line(format_args!("{member} has {plan}"));
            kept.close().await?;
        }
        MemberCommand::Lapse { at, member, plan } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let member = parse_member(&member)?;
            kept.stores.members.end_entitlement(&scope, member, &plan).await?;
            kept.record_in_full(&community, Change::entitlement_ended(member, &plan)).await?;
            out::line(format_args!("{member} no longer has {plan}"));
            kept.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn set_status(config: &Configured, community: &str, member: &str, status: Status) -> Result<()> {
    let (kept, community, scope) = enter(config, community).await?;
    let member = parse_member(member)?;
    let before = kept.stores.members.set_status(&scope, member, status).await?;
    let word = status.name();
    kept.record_in_full(&community, Change::status(member, before.name(), word)).await?;
    out::line(format_args!("{member} is {word}"));
    kept.close().await
}

pub(super) async fn plan(config: &Configured, command: PlanCommand) -> Result<ExitCode> {
    match command {
        PlanCommand::Create { at, slug, name } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let name = name.unwrap_or_else(|| slug.clone());
            kept.stores.spaces.create_plan(&scope, Plan { slug: slug.clone(), name }).await?;
            kept.record_in_full(&community, Change::plan_created(&slug)).await?;
            out::line(format_args!("created plan {slug}"));
            kept.close().await?;
        }
        PlanCommand::List { at } => {
            let (kept, _, scope) = enter(config, &at.community).await?;
            for Plan { slug, name } in kept.stores.spaces.plans(&scope).await? {
                out::line(format_args!("{slug:<24} {name}"));
            }
            kept.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn space(config: &Configured, command: SpaceCommand) -> Result<ExitCode> {
    match command {
        SpaceCommand::Create { at, slug, name, access } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let name = name.unwrap_or_else(|| slug.clone());
            let new = NewSpace { slug, name, access: parse_access(&access) };
            let space = kept.stores.spaces.create(&scope, new).await?;
            let change = Change::space_created(space.id, space.access.name(), space.access.plans());
            kept.record_in_full(&community, change).await?;
            out::line(space_line(&space));
            kept.close().await?;
        }
        SpaceCommand::List { at } => {
            let (kept, _, scope) = enter(config, &at.community).await?;
            for space in kept.stores.spaces.list(&scope).await? {
                out::line(space_line(&space));
            }
            kept.close().await?;
        }
        SpaceCommand::Open { at, slug, access } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let spaces = kept.stores.spaces.list(&scope).await?;
            let space = spaces
                .iter()
                .find(|space| space.slug == slug)
                .ok_or_else(|| unknown("space", &slug, spaces.iter().map(|space| space.slug.as_str())))?;
            let wanted = parse_access(&access);
            let change = Change::space_access(space.id, wanted.name(), wanted.plans());
            kept.stores.spaces.set_access(&scope, space.id, wanted).await?;
            kept.record_in_full(&community, change).await?;
            out::line(format_args!("{slug} can be read by {access}"));
            kept.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn key(config: &Configured, command: KeyCommand) -> Result<ExitCode> {
    match command {
        KeyCommand::Create { at, name, member, ceiling, ability, role, plan, expires } => {
            let (kept, community, _) = enter(config, &at.community).await?;
            let abilities = ability.iter().map(|word| parse_ability(word)).collect::<Result<AbilitySet>>()?;
            let actor = match member {
                Some(member) => KeyActor::Member(parse_member(&member)?),
                None => KeyActor::Backend { role: parse_role(&role)?, plans: plan },
            };
            let ceiling = ceiling.map(|role| parse_role(&role)).transpose()?;
            let expires = expires.map(|text| parse_expiry(&text, kept.clock.now())).transpose()?;
            let wanted = Wanted { name: &name, actor, ceiling, abilities, expires };
            let (text, id) = kept.issue_key(&community, wanted).await?;
            kept.close().await?;
            out::note(format_args!("key {id} was created. It is shown this once:"));
            out::line(text.expose());
        }
        KeyCommand::List { at } => {
            let (kept, _, scope) = enter(config, &at.community).await?;
            let now = kept.clock.now();
            for key in kept.stores.keys.list(&scope).await? {
                let state = match (key.revoked, key.expires) {
                    (Some(_), _) => "revoked",
                    (None, Some(end)) if end <= now => "expired",
                    (None, _) => "active",
                };
                let abilities: Vec<_> = key.abilities.iter().map(KeyAbility::name).collect();
                let maker = match key.made_by {
                    Some(Actor::Member(member)) => format!("by {member}  "),
                    Some(Actor::Key(key)) => format!("by {key}  "),
                    Some(Actor::Operator) => "by the operator  ".to_owned(),
                    None => String::new(),
                };
                let (id, hint, name) = (key.id, key.hint, key.name);
                out::line(format_args!("{id}  {state:<8} {hint}  {}  {maker}{name}", abilities.join(",")));
            }
            kept.close().await?;
        }
        KeyCommand::Revoke { at, key } => {
            let (kept, community, scope) = enter(config, &at.community).await?;
            let key = key.parse().map_err(|error| anyhow!("{error}; `portcullis key list` shows the ids"))?;
            kept.stores.keys.revoke(&scope, key).await?;
            kept.record(&community, "key.revoked", vec![key.into()], None).await?;
            out::line(format_args!("revoked {key}"));
            kept.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown<'a>(what: &str, found: &str, known: impl IntoIterator<Item = &'a str>) -> anyhow::Error {
    let known: Vec<_> = known.into_iter().collect();
    if known.is_empty() {
        anyhow!("there is no {what} `{found}`; none exists yet")
    } else {
        anyhow!("there is no {what} `{found}`; there is: {}", known.join(", "))
    }
}

fn parse_role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| unknown("role", text, Role::ALL.map(Role::name)))
}

fn parse_ability(text: &str) -> Result<KeyAbility> {
    KeyAbility::parse(text).ok_or_else(|| unknown("ability", text, KeyAbility::ALL.map(KeyAbility::name)))
}

fn parse_member(text: &str) -> Result<MemberId> {
    text.parse().map_err(|error| anyhow!("{error}; `portcullis member list` shows the ids"))
}

fn parse_access(text: &str) -> SpaceAccess {
    match text {
        "staff" => SpaceAccess::Staff,
        "members" => SpaceAccess::Members,
        plans => SpaceAccess::Plans(plans.split(',').map(|plan| plan.trim().to_owned()).collect()),
    }
}

/// `plus` or `plus=2027-01-31T00:00:00Z`.
fn entitlement(text: &str) -> Result<Entitlement> {
    let (plan, until) = text.split_once('=').map_or((text, None), |(plan, until)| (plan, Some(until)));
    let until = until.map(parse_time).transpose()?;
    Ok(Entitlement { plan: plan.to_owned(), until })
}

fn parse_time(text: &str) -> Result<Timestamp> {
    text.parse().with_context(|| format!("`{text}` is no moment; write one such as 2027-01-31T00:00:00Z"))
}

fn parse_expiry(text: &str, now: Timestamp) -> Result<Timestamp> {
    match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) if (1..=3_650).contains(&days) => Ok(now.checked_add((days * 24).hours())?),
        Some(_) => Err(anyhow!("`{text}` is not between 1d and 3650d")),
        None => parse_time(text),
    }
}

fn member_line(member: &Member) -> String {
    let status = member.status.name();
    let plans: Vec<_> = member
        .entitlements
        .iter()
        .map(|entitled| match entitled.until {
            Some(until) => format!("{} until {until}", entitled.plan),
            None => entitled.plan.clone(),
        })
        .collect();
    format!("{}  {status:<9} {:<9} {}  {}", member.id, member.role.name(), member.name, plans.join(", "))
}

fn space_line(space: &Space) -> String {
    let access = match &space.access {
        SpaceAccess::Plans(plans) => format!("plans: {}", plans.join(", ")),
        access => access.name().to_owned(),
    };
    format!("{:<32} {access:<20} {}", space.slug, space.name)
}

#[cfg(test)]
mod tests {
    use super::{entitlement, parse_expiry};

    #[test]
    fn an_entitlement_has_an_optional_end() {
        assert_eq!(entitlement("plus").expect("a plan").until, None);
        let ends = entitlement("plus=2027-01-31T00:00:00Z").expect("a plan with an end");
        assert_eq!(ends.until.expect("an end").to_string(), "2027-01-31T00:00:00Z");
        assert!(entitlement("plus=tomorrow").is_err());
    }

    #[test]
    fn an_expiry_is_a_moment_or_a_number_of_days() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a moment");
        assert_eq!(parse_expiry("90d", now).expect("days").to_string(), "2026-04-01T00:00:00Z");
        for bad in ["0d", "-1d", "99999d", "soon", ""] {
            assert!(parse_expiry(bad, now).is_err(), "{bad}");
        }
    }
}
