//! Goes a declared way to a new account, as its new member would.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use http::header::{COOKIE, HeaderValue};
use portcullis_core::Secret;

use super::letters;
use crate::checks::belongings::random_text;
use crate::classify::Kind;
use crate::outcome::Inconclusive;
use crate::probe::{Call, Probe, ProbeError, Seen};
use crate::target::{
    Act, Credential, NEWCOMERS, NewCredential, Route, SignUp, Spot, Step, Target, cookies, filled, query_of,
};

/// How long a mail may take.
const MAIL_TIME: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Somebody who just joined.
#[derive(Debug)]
pub(in crate::checks) struct Newcomer<'t> {
    sign_up: &'t SignUp,
    /// What reports call them.
    pub(super) label: String,
    credential: Credential,
    headers: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    jar: BTreeMap<String, String>,
}

/// A role that a new member asks for wherever they send something in the first `steps` steps.
#[derive(Debug, Clone, Copy)]
pub(in crate::checks) struct Wish<'w> {
    pub(super) role: &'w str,
    pub(super) steps: usize,
}

/// Why the way did not come to its end.
#[derive(Debug)]
pub(in crate::checks) struct Broken {
    pub(super) why: Inconclusive,
    /// The step that the application itself refused, where one was refused that can carry a wish.
    pub(super) refused_at: Option<usize>,
}

impl From<Inconclusive> for Broken {
    fn from(why: Inconclusive) -> Self {
        Self { why, refused_at: None }
    }
}

impl From<ProbeError> for Broken {
    fn from(why: ProbeError) -> Self {
        Inconclusive::from(why).into()
    }
}

impl From<Broken> for Inconclusive {
    fn from(broken: Broken) -> Self {
        broken.why
    }
}

/// Whether the new member sends something in a step, which can ask for a role.
pub(super) fn carries_wishes(step: &Step) -> bool {
    matches!(&step.act, Act::Ask { route, .. } if route.identity.is_none())
}

/// Goes the way.
pub(in crate::checks) async fn join<'t>(
    probe: &mut Probe,
    target: &Target,
    sign_up: &'t SignUp,
    wish: Option<Wish<'_>>,
) -> Result<Newcomer<'t>, Broken> {
    let name = format!("check-{}", random_text().get(..12).unwrap_or_default());
    let mut values = target.values(&sign_up.community);
    values.insert("address".to_owned(), format!("{name}@{NEWCOMERS}"));
    let label = format!("new member by {}", sign_up.name);
    values.insert("name".to_owned(), name);
    let mut newcomer = Newcomer {
        sign_up,
        label,
        credential: Credential::bearer(String::new()),
        headers: BTreeMap::new(),
        values,
        jar: BTreeMap::new(),
    };
    for (place, step) in sign_up.steps.iter().enumerate() {
        let wish = wish.filter(|wish| place < wish.steps).map(|wish| wish.role);
        newcomer.go(probe, target, place, step, wish).await?;
    }
    newcomer.headers =
        sign_up.headers.iter().map(|(name, value)| (name.clone(), filled(value, &newcomer.values))).collect();
    newcomer.credential = newcomer.own_credential()?;
    probe.keep_secret(newcomer.credential.secret().expose());
    Ok(newcomer)
}

impl Newcomer<'_> {
    /// A route's request by the new member.
    pub(super) fn call(&self, route: &Route) -> Result<Call, Inconclusive> {
        let mut call = self.bare(route)?;
        for (name, value) in &self.headers {
            call = call.header(name, value)?;
        }
        Ok(call)
    }

    /// The same with the credential alone.
    pub(in crate::checks) fn bare(&self, route: &Route) -> Result<Call, Inconclusive> {
        Ok(Call::filled(route, &self.values)?.with(&self.credential, &self.label))
    }

    /// The headers beside the credential, filled.
    pub(in crate::checks) const fn own_headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// Takes the account away again; what stays is noted.
    pub(in crate::checks) async fn leave(mut self, probe: &mut Probe, target: &Target) {
        let mut left = self.sign_up.undo.is_empty();
        for step in &self.sign_up.undo {
            left |= self.go(probe, target, 0, step, None).await.is_err();
        }
        if left {
            probe.observe(
                "left behind",
                &format!("the account of the {} in {}", self.label, self.sign_up.community),
            );
        }
    }

    fn own_credential(&self) -> Result<Credential, Inconclusive> {
        Ok(match &self.sign_up.credential {
            NewCredential::Bearer(text) => Credential::Bearer(Secret::new(filled(text, &self.values))),
            NewCredential::Header { name, value } => {
                Credential::Header { name: name.clone(), value: Secret::new(filled(value, &self.values)) }
            }
            NewCredential::Cookie(name) => {
                let value = self.jar.get(name).ok_or_else(|| {
                    Inconclusive::because(format!(
                        "no step of [sign_up.{}] set the cookie `{name}` by which its new member is known",
                        self.sign_up.name
                    ))
                })?;
                Credential::Cookie { name: name.clone(), value: Secret::new(value.clone()) }
            }
        })
    }

    async fn go(
        &mut self,
        probe: &mut Probe,
        target: &Target,
        place: usize,
        step: &Step,
        wish: Option<&str>,
    ) -> Result<(), Broken> {
        match &step.act {
            Act::Ask { route, form } => {
                let seen = self.ask(probe, target, route, form, wish).await?;
                if !is_fine(route, &seen) {
                    let why = format!(
                        "{} of [sign_up.{}] was answered {}",
                        route.line(),
                        self.sign_up.name,
                        seen.says()
                    );
                    let is_refusal = carries_wishes(step)
                        && seen.status.is_client_error()
                        && seen.status != StatusCode::TOO_MANY_REQUESTS
                        && seen.kind() != Kind::Firewall;
                    return Err(Broken {
                        why: Inconclusive::because(why),
                        refused_at: is_refusal.then_some(place),
                    });
                }
                for (name, place) in &step.captures {
                    let found = place.find(&seen).ok_or_else(|| {
                        Inconclusive::because(format!(
                            "{} of [sign_up.{}] gave no `{name}` where target.toml says: it was answered {}",
                            route.line(),
                            self.sign_up.name,
                            seen.says()
                        ))
                    })?;
                    self.keep(probe, name, found);
                }
            }
            Act::Mail { folder, link } => {
                let address = self.values.get("address").cloned().unwrap_or_default();
                let started = probe.clock().monotonic();
                let found = loop {
                    let looked = letters::link(folder, &address, link).map_err(|error| {
                        let folder = folder.display();
                        Inconclusive::because(format!("the mails in {folder} cannot be read: {error}"))
                    })?;
                    if let Some(found) = looked {
                        break found;
                    }
                    if probe.clock().monotonic().saturating_sub(started) > MAIL_TIME {
                        return Err(Inconclusive::because(format!(
                            "[sign_up.{}] waits for a mail with `{link}`, and none came within {} s",
                            self.sign_up.name,
                            MAIL_TIME.as_secs()
                        ))
                        .into());
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                };
                probe.observe("the mail to the new member", "it holds the link");
                for (name, place) in &step.captures {
                    let value = match place {
                        Spot::Query(query) => query_of(&found, query).map(|value| percent_decoded(&value)),
                        _ => None,
                    };
                    let value = value.ok_or_else(|| {
                        Inconclusive::because(format!(
                            "the link in the mail of [sign_up.{}] has no `{name}`: a mail gives `query:NAME`",
                            self.sign_up.name
                        ))
                    })?;
                    self.keep(probe, name, value);
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, probe: &mut Probe, name: &str, value: String) {
        probe.keep_secret(&value);
        self.values.insert(name.to_owned(), value);
    }

    async fn ask(
        &mut self,
        probe: &mut Probe,
        target: &Target,
        route: &Route,
        form: &BTreeMap<String, String>,
        wish: Option<&str>,
    ) -> Result<Seen, Inconclusive> {
        let mut call = Call::filled(route, &self.values)?;
        let mut fields: BTreeMap<String, String> =
            form.iter().map(|(name, value)| (name.clone(), filled(value, &self.values))).collect();
        let by = route.identity.as_ref();
        if let Some(wish) = wish.filter(|_| by.is_none()) {
            call = call.body_member("role", wish).query("role", wish);
            if !fields.is_empty() {
                fields.insert("role".to_owned(), wish.to_owned());
            }
        }
        if !fields.is_empty() {
            call = call.form(&fields);
        }
        if let Some(name) = by {
            let identity = target.identities.iter().find(|identity| identity.name == *name);
            let identity =
                identity.ok_or_else(|| Inconclusive::because(format!("`{name}` is no known identity")))?;
            call = call.with(&identity.credential, &identity.name);
        } else if !self.jar.is_empty() {
            let pairs: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut value = HeaderValue::try_from(pairs.join("; "))
                .map_err(|_| Inconclusive::because("a cookie that was set cannot be sent back"))?;
            value.set_sensitive(true);
            call.headers.insert(COOKIE, value);
        }
        // Addresses that sign up often are limited.
        let source = probe.fresh_source();
        let seen = probe.send(call.from(source)).await?;
        if by.is_none() {
            for (name, value) in cookies(&seen) {
                probe.keep_secret(&value);
                self.jar.insert(name, value);
            }
        }
        Ok(seen)
    }
}

/// Whether a step was answered so that the way goes on.
fn is_fine(route: &Route, seen: &Seen) -> bool {
    match route.succeeds_with {
        Some(wanted) => seen.status.as_u16() == wanted,
        None => seen.status.is_success() || seen.status.is_redirection(),
    }
}

/// The text with every `%41` replaced by what it stands for.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn what_a_link_carries_is_read_as_a_browser_reads_it() {
        assert_eq!(percent_decoded("a%3Db%"), "a=b%");
    }
}
