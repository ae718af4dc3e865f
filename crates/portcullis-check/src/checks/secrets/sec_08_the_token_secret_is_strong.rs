//! SEC-08.

use std::borrow::Cow;

use portcullis_core::strength::judge;
use serde_json::json;

use super::strength;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::jwt::Jwt;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{Credential, Held, HeldSecret, Identity, Target};
use crate::words;

check! {
    /// ## What it checks
    /// `JWT_SECRET` has at least 32 characters, can hold enough randomness, stands in no word list and is used for nothing
    /// else; every token of the target that is known, those of the identities and the one that is given as `sample_jwt`, is attacked
    /// offline with the word list. That the deployment uses this very secret is shown: a token signed with it is accepted and
    /// one signed with a random secret is refused.
    /// ## Why it matters
    /// Whoever finds the secret signs tokens for any member and any administrator, and leaves no failed sign-in behind.
    /// ## How to fix
    /// Make a secret with `openssl rand -base64 32`, store it in the secret store, and let the old one expire by the key
    /// rotation. Everyone signs in once more.
    /// ## Limits
    /// Characters bound randomness from above: a typed text can look random. The built-in word list is small; name a larger
    /// one as `words`. Tokens signed with a private key are not judged here.
    id: "SEC-08", title: "The token secret is strong",
    area: Secrets, severity: Critical, since: "0.1.0",
    needs: [JwtSecret, Identity], touches: Nothing,
    maps: ["API2:2023 Broken Authentication"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "weak-jwt-secret",
        "short-jwt-secret",
        "repeated-jwt-secret",
        "csrf-reuses-jwt",
        "accepts-any-signature",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut findings = Vec::new();
    let own = own_tokens(&target);
    let attacked = attacked(&target, own.iter().map(|(_, jwt)| jwt));
    if !attacked.is_empty() {
        let (tried, found) = words::try_all(&target.secrets.words, |candidate| {
            attacked.iter().any(|jwt| jwt.is_signed_with(candidate.as_bytes()))
        });
        let said = if found { "a secret was found" } else { "no secret was among them" };
        let number = probe.observe("tokens of the target, offline", &format!("{tried} words tried: {said}"));
        if found {
            findings.push(Finding::new(
                "the secret that signs tokens was found offline with a word list",
                "put a new random value into JWT_SECRET: `openssl rand -base64 32`; every token signed so far is \
                 forgeable",
            ).shown_by([number]));
        }
    }
    if let Some(held) = &target.secrets.jwt {
        let number = probe.observe("JWT_SECRET", &strength::record(held));
        let weak = strength::findings(&target, "JWT_SECRET", held, &judge(held.value.expose()));
        findings.extend(weak.into_iter().map(|finding| finding.shown_by([number])));
    }
    if !findings.is_empty() {
        return Verdict::settle(probe.evidence(), findings, &[], || {
            Err(Inconclusive::because("unreachable"))
        });
    }
    let Some(held) = &target.secrets.jwt else {
        return Err(Inconclusive::because(
            "a word list does not show that a secret is random: add [secrets] jwt_secret to target.toml",
        ));
    };
    match in_use(probe, &target, &own, held).await? {
        InUse::Shown(control) => Ok(Verdict::pass(
            Coverage::complete(1, 1, "secrets named JWT_SECRET")?,
            control,
            probe.evidence(),
        )),
        InUse::Ignored(finding) => Ok(Verdict::fail(probe.evidence(), finding)),
    }
}

/// The token that is given to be attacked, where a shared secret signed it.
fn sample(target: &Target) -> Option<Jwt> {
    let given = target.secrets.sample_jwt.as_ref().and_then(|sample| Jwt::parse(sample.expose()));
    given.filter(Jwt::is_symmetric)
}

/// Tokens of working identities that a shared secret signed.
fn own_tokens(target: &Target) -> Vec<(&Identity, Jwt)> {
    let parsed = target
        .valid()
        .into_iter()
        .filter_map(|identity| Some((identity, Jwt::parse(identity.credential.secret().expose())?)));
    parsed.filter(|(_, jwt)| jwt.is_symmetric()).collect()
}

/// Every known token but for those that the known secret signed, too: what is found for one of them is found for all.
fn attacked<'j>(target: &Target, own: impl Iterator<Item = &'j Jwt>) -> Vec<Cow<'j, Jwt>> {
    let held = target.secrets.jwt.as_ref().map(|held| held.value.expose().as_bytes());
    let mut is_known = false;
    let all = own.map(Cow::Borrowed).chain(sample(target).map(Cow::Owned));
    all.filter(|jwt| {
        !held.is_some_and(|held| jwt.is_signed_with(held)) || !std::mem::replace(&mut is_known, true)
    })
    .collect()
}

enum InUse {
    Shown(PositiveControl),
    Ignored(Finding),
}

/// Whether the deployment really judges tokens by this secret.
async fn in_use(
    probe: &mut Probe,
    target: &Target,
    tokens: &[(&Identity, Jwt)],
    held: &HeldSecret,
) -> Result<InUse, Inconclusive> {
    let secret = held.value.expose().as_bytes();
    if let Some((identity, jwt)) = tokens.iter().find(|(_, jwt)| jwt.is_signed_with(secret)) {
        return exchange(probe, target, identity, jwt, secret).await;
    }
    if held.held == Held::Served && tokens.is_empty() {
        return Ok(InUse::Shown(deployment::tells_members_from_strangers(probe).await?));
    }
    let given = sample(target).filter(|jwt| tokens.is_empty() && jwt.is_signed_with(secret));
    if let (Some(jwt), Some(somebody)) = (given, target.valid().first()) {
        // Nothing says how it is sent: as most are.
        let holder = Identity { credential: Credential::bearer(String::new()), ..(*somebody).clone() };
        return exchange(probe, target, &holder, &jwt, secret).await.map_err(|why| {
            Inconclusive::because(format!(
                "`sample_jwt` is signed with this JWT_SECRET, and a token made like it was not accepted as a bearer token, so \
                 nothing shows that the deployment uses the secret: add an identity whose credential is a token ({})",
                why.reason()
            ))
        });
    }
    Err(Inconclusive::because(if tokens.is_empty() {
        "nothing shows that the deployment uses this JWT_SECRET: add an identity with a bearer token, or [secrets] \
         sample_jwt, to target.toml"
    } else {
        "the tokens of the identities are not signed with this JWT_SECRET: name the secret that the deployment uses"
    }))
}

/// A new token by this secret must be accepted, and one by a random secret refused.
async fn exchange(
    probe: &mut Probe,
    target: &Target,
    identity: &Identity,
    jwt: &Jwt,
    secret: &[u8],
) -> Result<InUse, Inconclusive> {
    let mut claims = jwt.claims.clone();
    if let Some(map) = claims.as_object_mut() {
        map.insert("exp".to_owned(), json!(probe.clock().now().as_second() + 600));
    }
    let random = portcullis_core::secret::random_bytes::<48>();
    let (Some(ours), Some(theirs)) = (jwt.resigned(&claims, secret), jwt.resigned(&claims, &random)) else {
        return Err(Inconclusive::because("no token could be made"));
    };
    probe.keep_secret(&ours);
    probe.keep_secret(&theirs);
    let mut why =
        Inconclusive::because("no protected route that only reads is known: add [[route]] to target.toml");
    for route in deployment::readable(target) {
        let nobody = probe.send(Call::to(target, &route, &identity.community)?).await?;
        if !deployment::is_turned_away(&nobody) {
            why = Inconclusive::because(format!("{} answers everyone", route.line()));
            continue;
        }
        let call = Call::to(target, &route, &identity.community)?;
        let good =
            call.clone().with(&identity.credential.with_secret(ours.clone()), "a token made with JWT_SECRET");
        let accepted = probe.send(good).await?;
        let shown = format!("{} accepts a token made with JWT_SECRET and refuses a forged one", route.line());
        let control = match PositiveControl::from_success(&accepted, shown) {
            Ok(control) => control,
            Err(reason) => {
                why = reason;
                continue;
            }
        };
        let forged =
            call.with(&identity.credential.with_secret(theirs.clone()), "a token made with a random secret");
        let answer = probe.send(forged).await?;
        if deployment::is_turned_away(&answer) {
            return Ok(InUse::Shown(control));
        }
        if answer.status.is_success() && answer.kind() == accepted.kind() {
            return Ok(InUse::Ignored(Finding::new(
                format!("{} accepts a token signed with a random secret", route.line()),
                format!(
                    "verify the signature of every token with JWT_SECRET ({}) and a fixed algorithm",
                    held_name(target)
                ),
            )));
        }
        why = Inconclusive::because(format!("{} answered a forged token {}", route.line(), answer.says()));
    }
    Err(why)
}

fn held_name(target: &Target) -> &str {
    target.secrets.jwt.as_ref().map_or("JWT_SECRET", |held| held.origin.as_str())
}
