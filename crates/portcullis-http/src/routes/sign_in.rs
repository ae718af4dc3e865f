//! Signing in by a link that is mailed.
//!
//! The page asks for an address, the link opens a page with a button, the button begins a session. The link works once,
//! for some minutes, and only in the browser that asked, which a cookie tells. Every answer is the same whether an
//! address is known or not; the mail is handed over without waiting for it.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use portcullis_audit::{ActorRef, Change, Event, Record};
use portcullis_core::{CommunityId, Token, TokenKind};
use portcullis_guard::credential::cookie;
use portcullis_guard::guards::sign_in::{may_ask, own_form};
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Noticed, Offence, Refusal, SecurityEvent};
use portcullis_mail::{Mail, Message};
use portcullis_pages::{
    Choose, ChooseProblem, Confirm, Elsewhere, Frame, LinkRefused, LinkSent, Notice, SignIn, SignInProblem,
};
use portcullis_store::{Community, CommunityRef, NewSession, NewSignIn, SignedIn, Strangers};

use super::OpenCall;
use crate::app::App;
use crate::cookies::Cookies;
use crate::dispatch::{from_elsewhere, provenance};
use crate::problem::CHALLENGE;

/// The longest form field that is looked at, in bytes.
const LONGEST_FIELD: usize = 320;

/// Where a sign-in page stands, and so whose it is.
struct Door {
    community: Community,
    /// `""`, or `/c/SLUG` where the host is shared.
    base: String,
}

impl Door {
    fn frame(&self, app: &App) -> Frame<'_> {
        Frame { community: &self.community.name, base: &self.base, door: &self.base, notice: notice(app) }
    }

    fn action(&self) -> String {
        format!("{}/login", self.base)
    }
}

/// The page that asks for an address.
pub(super) async fn page(call: OpenCall) -> Result<Response, Refusal> {
    let Some(door) = door(&call.app, &call.headers, call.path.first()).await? else {
        return Ok(html(StatusCode::OK, &choosing(&call.app, None)));
    };
    if let Some(own) = elsewhere(&call.app, &call.headers, &door.community).await? {
        return Ok(leading_on(&call.app, &door, &own));
    }
    Ok(html(StatusCode::OK, &asking(&call.app, &door, None, None)))
}

/// What somebody sees who is not signed in and opens a page that wants it.
pub(crate) async fn stranger(app: &App, headers: &HeaderMap) -> Result<Response, Refusal> {
    let door = door(app, headers, None).await?;
    if let Some(door) = &door
        && let Some(own) = elsewhere(app, headers, &door.community).await?
    {
        return Ok(see_other(&format!("{own}{}/login", base_of(app, &door.community))));
    }
    let page = match door {
        Some(door) => asking(app, &door, None, None),
        None => choosing(app, None),
    };
    let mut response = html(StatusCode::UNAUTHORIZED, &page);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    Ok(response)
}

/// Sends those who typed a community's short name to its sign-in page, whether there is such a community or not.
pub(super) async fn choose(call: OpenCall) -> Result<Response, Refusal> {
    let Some(slug) = field(call.query.as_bytes(), "community") else {
        return Ok(html(StatusCode::OK, &choosing(&call.app, None)));
    };
    let slug = slug.trim().to_lowercase();
    let well_formed = (2..=40).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_formed {
        return Ok(html(StatusCode::BAD_REQUEST, &choosing(&call.app, Some(ChooseProblem::Malformed))));
    }
    Ok(see_other(&format!("/c/{slug}/login")))
}

/// The page that an invitation leads to.
pub(super) async fn join(call: OpenCall) -> Result<Response, Refusal> {
    let token = field(call.query.as_bytes(), "token").unwrap_or_default();
    let refused = || Refusal::new(Code::NotFound, "this invitation does not work here");
    let invitation = Token::parse(TokenKind::Invitation, &token).map_err(|_| refused())?;
    let found = call.app.stores().directory.find(CommunityRef::Locator(invitation.locator())).await?;
    let door = door_of(&call.app, found.ok_or_else(refused)?);
    if let Some(own) = elsewhere(&call.app, &call.headers, &door.community).await? {
        return Ok(see_other(&format!("{own}/join?token={token}")));
    }
    Ok(html(StatusCode::OK, &asking(&call.app, &door, Some(&token), None)))
}

/// Takes an address and, if a link is to be sent to it, sends one.
pub(super) async fn ask(call: OpenCall) -> Result<Response, Refusal> {
    let app = &call.app;
    let Some(door) = door(app, &call.headers, call.path.first()).await? else {
        return Ok(html(StatusCode::BAD_REQUEST, &choosing(app, None)));
    };
    let community = &door.community;
    from_our_page(&call, community)?;
    if let Some(own) = elsewhere(app, &call.headers, community).await? {
        return Ok(leading_on(app, &door, &own));
    }
    let Some(mail) = app.mail() else {
        return Err(Refusal::new(Code::NotFound, "signing in by mail is not set up here"));
    };
    let email = field(&call.body, "email").unwrap_or_default().trim().to_owned();
    let invitation = field(&call.body, "invitation").filter(|text| !text.is_empty());
    let again = |status, problem| html(status, &asking(app, &door, invitation.as_deref(), Some(problem)));
    if email.is_empty() || email.len() > LONGEST_FIELD {
        return Ok(again(StatusCode::BAD_REQUEST, SignInProblem::MalformedAddress));
    }
    if let Err(refusal) = may_ask(app.gate(), community.id, call.client, &email).await {
        let noticed = Noticed::refusal(&refusal).map(|noticed| noticed.in_community(community.id));
        if let Some(noticed) = noticed {
            app.gate().note(noticed.in_request(call.request));
        }
        let mut page = again(StatusCode::TOO_MANY_REQUESTS, SignInProblem::TooOften);
        let wait = refusal.retry_after.unwrap_or_default().as_secs().max(1);
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        return Ok(page);
    }
    let invited_by = invitation.as_deref().and_then(|text| Token::parse(TokenKind::Invitation, text).ok());
    // Another community's invitation opens nothing here.
    let invited_by = invited_by.filter(|token| *token.locator() == community.locator);

    let cookies = app.cookies();
    let life = app.settings().sign_in.link_life;
    // Always a new mark: one that the browser brings may have been planted there, and is known to who planted it.
    let (browser_text, browser) = Token::issue(TokenKind::Browser, &community.locator);
    let (text, link) = Token::issue(TokenKind::SignIn, &community.locator);
    let expires = app.gate().clock().now().checked_add(life);
    let expires = expires.map_err(|_| Refusal::new(Code::Internal, "the clock is out of its range"))?;
    let open = app.settings().sign_in.open.contains(&community.slug);
    let strangers = if open { Strangers::Join } else { Strangers::Refuse };
    let new = NewSignIn { token: link.hash(), browser: browser.hash(), email, expires };
    let invitation_hash = invited_by.as_ref().map(Token::hash);
    match app.stores().sessions.ask(community.id, new, strangers, invitation_hash).await {
        // Never to what was typed where a member is known: only their own mailbox may hold their link.
        Ok(Some(address)) => send(&**mail, app, community, &address, text.expose()).await,
        Ok(None) => {}
        Err(error) if error.kind() == portcullis_store::Kind::Invalid => {
            return Ok(again(StatusCode::BAD_REQUEST, SignInProblem::MalformedAddress));
        }
        Err(error) => return Err(error.into()),
    }
    let page = portcullis_pages::link_sent(&LinkSent {
        frame: door.frame(app),
        minutes: life.as_secs().div_ceil(60),
    });
    let mark = cookies.mark_browser(&browser_text, life);
    Ok(([(header::SET_COOKIE, mark)], html(StatusCode::OK, &page)).into_response())
}

/// The page that a mailed link opens. It looks nothing up and uses nothing up: mail scanners open links too.
pub(super) async fn link(call: OpenCall) -> Result<Response, Refusal> {
    let text = field(call.query.as_bytes(), "token").unwrap_or_default();
    let token = Token::parse(TokenKind::SignIn, &text).ok();
    let found = match &token {
        Some(token) => call.app.stores().directory.find(CommunityRef::Locator(token.locator())).await?,
        None => None,
    };
    let asked_here = cookie(&call.headers, call.app.cookies().browser()).is_some();
    let Some(community) = found else { return refused_link(&call).await };
    let door = door_of(&call.app, community);
    if !asked_here {
        return Ok(not_here(&call.app, &door));
    }
    let page = portcullis_pages::confirm(&Confirm {
        frame: door.frame(&call.app),
        action: "/login/link",
        token: &text,
    });
    Ok(html(StatusCode::OK, &page))
}

/// Uses a link up and begins a session.
pub(super) async fn redeem(call: OpenCall) -> Result<Response, Refusal> {
    let app = &call.app;
    let text = field(&call.body, "token").unwrap_or_default();
    let browser = cookie(&call.headers, app.cookies().browser());
    let browser = browser.and_then(|text| Token::parse(TokenKind::Browser, text).ok());
    let failed = |community: Option<CommunityId>| {
        let noticed = Noticed::new(SecurityEvent::SignInFailed, "sign-in").in_request(call.request);
        app.gate().note(Noticed { community, ..noticed });
        // A page of another site can make a browser send this form, which its owner does not answer for.
        if !from_elsewhere(&call.headers) {
            app.gate().offended(call.client, Offence::Credential, Some(call.request));
        }
    };
    let Ok(link) = Token::parse(TokenKind::SignIn, &text) else {
        failed(None);
        return refused_link(&call).await;
    };
    let found = app.stores().directory.find(CommunityRef::Locator(link.locator())).await?;
    let Some(community) = found else {
        failed(None);
        return refused_link(&call).await;
    };
    from_our_page(&call, &community)?;
    if app.gate().journal().failure().is_some() {
        return Err(Refusal::new(
            Code::AuditUnavailable,
            "the audit journal cannot be written, so nobody is signed in",
        ));
    }
    let settings = &app.settings().sign_in;
    let (session_text, session) = Token::issue(TokenKind::Session, &community.locator);
    let now = app.gate().clock().now();
    let expires = now.checked_add(settings.session_life);
    let expires = expires.map_err(|_| Refusal::new(Code::Internal, "the clock is out of its range"))?;
    let new = NewSession { token: session.hash(), expires, idle: settings.session_idle };
    let begun = match browser {
        Some(browser) => {
            app.stores().sessions.redeem(community.id, link.hash(), browser.hash(), new, now).await?
        }
        None => None,
    };
    let Some(SignedIn { session, member, joined }) = begun else {
        failed(Some(community.id));
        let door = door_of(app, community);
        return Ok(not_here(app, &door));
    };
    let by = ActorRef::Member(member);
    record(app, community.id, by, Event::SignedIn { session }).await?;
    if joined {
        let event = Event::Administered(Change::new("member.joined", vec![member.into()]));
        record(app, community.id, by, event).await?;
    }
    let cookies = app.cookies();
    // Whoever was signed in here before is so no longer: their cookie is replaced, and what it stood for ends.
    if let Some(before) = cookie(&call.headers, cookies.session())
        && let Some((scope, session)) = app.gate().end_session(before).await
    {
        record(app, scope.community(), scope.actor().into(), Event::SignedOut { session }).await?;
    }
    let mut response = see_other("/");
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookies.begin_session(&session_text, settings.session_life));
    headers.append(header::SET_COOKIE, cookies.unmark_browser());
    Ok(response)
}

async fn send(mail: &dyn Mail, app: &App, community: &Community, email: &str, token: &str) {
    let link = format!("{}/login/link?token={token}", app.origin_of(community));
    let minutes = app.settings().sign_in.link_life.as_secs().div_ceil(60);
    let text = format!(
        "To sign in to {name}, open this link in the browser in which you asked for it:\n\n{link}\n\n\
         It works once, within {minutes} minutes. Did you not ask for it? Then do nothing: it works in no other\n\
         browser than the one that asked.\n",
        name = community.name
    );
    let subject = portcullis_mail::subject("Sign in to ", &community.name);
    // The answer must not tell whether there was a mail to send, so it does not tell that sending failed either.
    if let Err(error) = mail.send(Message { to: email.to_owned(), subject, text }).await {
        tracing::error!(error = %causes(&error), "a sign-in link could not be sent");
    }
}

async fn record(app: &App, community: CommunityId, actor: ActorRef, event: Event) -> Result<(), Refusal> {
    let record = Record { community: Some(community), actor, event };
    app.gate().journal().append(record).await.map(|_| ()).map_err(|error| {
        tracing::error!(error = %causes(&error), "the audit journal cannot be written");
        Refusal::new(Code::AuditUnavailable, "the audit journal cannot be written, so nobody is signed in")
    })
}

fn from_our_page(call: &OpenCall, community: &Community) -> Result<(), Refusal> {
    let own = call.app.origin_of(community);
    let ours = [own.as_str(), call.app.settings().origin.as_str()];
    own_form(&provenance(&http::Method::POST, &call.headers), &ours)
}

/// Whose page this is: the community that the path names, or whose own host was asked, or the only one there is. The host
/// decides nothing else.
async fn door(app: &App, headers: &HeaderMap, slug: Option<&String>) -> Result<Option<Door>, Refusal> {
    let directory = &app.stores().directory;
    if let Some(slug) = slug {
        let found = directory.find(CommunityRef::Slug(slug)).await?;
        let community = found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such page here"))?;
        let base = format!("/c/{}", community.slug);
        return Ok(Some(Door { community, base }));
    }
    let host = asked_host(headers);
    if let Some(community) = directory.find(CommunityRef::Host(&host)).await? {
        return Ok(Some(Door { community, base: String::new() }));
    }
    let only = directory.find(CommunityRef::Only).await?;
    Ok(only.map(|community| Door { community, base: String::new() }))
}

/// The host that was asked, without a port.
fn asked_host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    without_port(host).to_lowercase()
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an address in brackets part no port from it.
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The origin at which a community is signed in to, for who asks the shared host or another community's in the place of it: the
/// cookie that marks a browser is for one host, and the link leads to this one. Nobody is led away from a host that is none of
/// these, which may be what a proxy calls this one.
async fn elsewhere(app: &App, headers: &HeaderMap, community: &Community) -> Result<Option<String>, Refusal> {
    let (own, asked) = (app.origin_of(community), asked_host(headers));
    if host_of(&own) == asked {
        return Ok(None);
    }
    let ours = host_of(&app.settings().origin) == asked
        || app.stores().directory.find(CommunityRef::Host(&asked)).await?.is_some();
    Ok(ours.then_some(own))
}

/// The host of an origin, without its port.
fn host_of(origin: &str) -> String {
    origin.split_once("://").map_or("", |(_, authority)| without_port(authority)).to_lowercase()
}

/// A page that leads on to a community's sign-in page under that origin. It is no redirect: browsers let no form of ours lead to
/// another host, and one may have led here.
fn leading_on(app: &App, door: &Door, origin: &str) -> Response {
    let to = format!("{origin}{}/login", base_of(app, &door.community));
    let page = portcullis_pages::elsewhere(&Elsewhere { frame: door.frame(app), to: &to });
    let mut response = html(StatusCode::OK, &page);
    if let Ok(refresh) = HeaderValue::from_str(&format!("0; url={to}")) {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    response
}

/// The sign-in page of a community that is known otherwise.
fn door_of(app: &App, community: Community) -> Door {
    let base = base_of(app, &community);
    Door { community, base }
}

/// What stands before `/login` in the address of a community's sign-in page.
pub(super) fn base_of(app: &App, community: &Community) -> String {
    let own_host = app.origin_of(community) != app.settings().origin;
    if own_host { String::new() } else { format!("/c/{}", community.slug) }
}

/// A link of which nothing is known, not even whose it would be.
async fn refused_link(call: &OpenCall) -> Result<Response, Refusal> {
    match door(&call.app, &call.headers, None).await? {
        Some(door) => Ok(not_here(&call.app, &door)),
        None => Ok(html(StatusCode::FORBIDDEN, &choosing(&call.app, None))),
    }
}

fn not_here(app: &App, door: &Door) -> Response {
    let page = portcullis_pages::link_refused(&LinkRefused { frame: door.frame(app) });
    html(StatusCode::FORBIDDEN, &page)
}

fn asking(app: &App, door: &Door, invitation: Option<&str>, problem: Option<SignInProblem>) -> String {
    portcullis_pages::sign_in(&SignIn {
        frame: door.frame(app),
        action: &door.action(),
        invitation,
        problem,
        open: app.settings().sign_in.open.contains(&door.community.slug),
    })
}

fn choosing(app: &App, problem: Option<ChooseProblem>) -> String {
    portcullis_pages::choose(&Choose { problem, notice: notice(app) })
}

/// What a reader should know about the address.
pub(crate) fn notice(app: &App) -> Option<Notice> {
    (app.cookies() == Cookies::Plain).then_some(Notice::Insecure)
}

/// A page under the pages' own policy. It names itself to this site only: without a referrer at all browsers would send
/// its forms with the origin `null`.
pub(crate) fn html(status: StatusCode, page: &str) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(portcullis_pages::POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, headers, Html(page.to_owned())).into_response()
}

fn see_other(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// A field of a form or query. One that is there twice is not there: two readers could disagree on which counts.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(form).filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.into_owned())
}
