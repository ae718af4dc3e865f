//! Rules that span several keys, each applied when the keys it needs could be read.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::codes::Code;
use crate::config::{Limits, Listen, Model, Proxies, Reader, SignIn, Tls, TlsVersion};
use crate::diagnostic::Severity;
use crate::keys;
use crate::mail::{Mail, MailRoute, MailSecurity};
use crate::secrets::require_private;
use crate::shape::Fault;
use crate::url::{PublicUrl, Scheme};
use crate::value::shown;

/// Nothing that other machines can reach speaks plain HTTP, unless a proxy that ends TLS stands before it.
pub(crate) fn listeners(
    r: &mut Reader<'_>,
    listen: Listen,
    public_url: &PublicUrl,
    tls: Option<&Tls>,
    proxies: &Proxies,
) {
    let behind_a_proxy = public_url.is_https() && !proxies.trusted.is_empty();
    for (address, key) in
        [(listen.member, keys::LISTEN_MEMBER.name), (listen.operator, keys::LISTEN_OPERATOR.name)]
    {
        if tls.is_none() && !behind_a_proxy && !address.ip().to_canonical().is_loopback() {
            let fault = Fault::new(
                Code::ExposedListener,
                "must be a loopback address while there is no TLS before or in the program",
            )
            .found(shown(&address.to_string()))
            .help(
                "set `[tls]`; or, behind a proxy that ends TLS, an https `public_url` and `proxies.trusted`",
            );
            r.report(key, fault, Severity::Error);
        }
    }
    if overlap(listen.member, listen.operator) {
        let fault = Fault::new(
            Code::SharedListener,
            format!("must have another port than `listen.member` ({})", listen.member),
        )
        .found(shown(&listen.operator.to_string()));
        r.report(keys::LISTEN_OPERATOR.name, fault, Severity::Error);
    }
    if let Some(redirect) = listen.redirect {
        for (other, name) in
            [(listen.member, keys::LISTEN_MEMBER.name), (listen.operator, keys::LISTEN_OPERATOR.name)]
        {
            if overlap(redirect, other) {
                let fault = Fault::new(
                    Code::SharedListener,
                    format!("must have another port than `{name}` ({other})"),
                )
                .found(shown(&redirect.to_string()));
                r.report(keys::LISTEN_REDIRECT.name, fault, Severity::Error);
            }
        }
        if !public_url.is_https() {
            let fault = Fault::new(Code::PlainPublicUrl, "must be https where `listen.redirect` is set")
                .found(shown(&public_url.to_string()));
            r.report(keys::PUBLIC_URL.name, fault, Severity::Error);
        }
    }
    if tls.is_some_and(|tls| tls.min_version == TlsVersion::Tls12) {
        let fault = Fault::new(Code::OldTls, "lets clients speak a version that TLS 1.3 has replaced")
            .found("`1.2`")
            .help("remove the key, unless members are known to need it");
        r.report(keys::TLS_MIN_VERSION.name, fault, Severity::Warning);
    }
    if tls.is_some() && !public_url.is_https() {
        let fault = Fault::new(Code::PlainPublicUrl, "must be https where `[tls]` is set")
            .found(shown(&public_url.to_string()));
        r.report(keys::PUBLIC_URL.name, fault, Severity::Error);
    }
}

/// Whether two listeners would want one address. Port 0 takes a free port each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (a_ip, b_ip) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() != 0 && a.port() == b.port() && (a_ip == b_ip || a_ip.is_unspecified() || b_ip.is_unspecified())
}

/// The files of a certificate are there, and its key is the owner's alone. What they hold is judged when they are used.
pub(crate) fn tls_files(r: &mut Reader<'_>, tls: &Tls) {
    let plain_file = |path: &Path| {
        let name = shown(&path.to_string_lossy());
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(metadata),
            Ok(_) => Err(Fault::new(Code::BadPath, format!("names {name}, which is not a plain file"))),
            Err(error) => Err(Fault::new(
                Code::BadPath,
                format!("names {name}, which cannot be read: {}", error.kind()),
            )),
        }
    };
    if let Err(fault) = plain_file(&tls.certificate) {
        r.report(keys::TLS_CERTIFICATE.name, fault, Severity::Error);
    }
    let key =
        plain_file(&tls.key).and_then(|metadata| require_private(&tls.key, metadata.permissions().mode()));
    if let Err(fault) = key {
        r.report(keys::TLS_KEY.name, fault, Severity::Error);
    }
}

/// Nothing that signs somebody in crosses a network in the clear, and links reach those who asked for them.
pub(crate) fn mail(r: &mut Reader<'_>, mail: &Mail, public_url: &PublicUrl) {
    match &mail.route {
        MailRoute::Smtp(server) => {
            if server.security == MailSecurity::None && !server.host.is_loopback() {
                let fault = Fault::new(
                    Code::PlainMail,
                    "must be `starttls` or `tls` for a server that is not on a loopback address of this machine",
                )
                .found("`none`")
                .help("remove the key to use the default (\"starttls\")");
                r.report(keys::MAIL_SECURITY.name, fault, Severity::Error);
            }
        }
        MailRoute::Outbox { .. } => {
            if !public_url.url().is_loopback() {
                let fault = Fault::new(
                    Code::MailGoesNowhere,
                    "keeps mail in a folder, so no member gets a link to sign in with",
                )
                .found("`outbox`")
                .help("set `mail.kind = \"smtp\"` and a mail server before members come");
                r.report(keys::MAIL_KIND.name, fault, Severity::Warning);
            }
        }
    }
}

/// A session ends for one reason or the other, and both can take effect.
pub(crate) fn sessions(r: &mut Reader<'_>, sign_in: &SignIn) {
    if sign_in.session_idle > sign_in.session_life {
        let key = keys::SIGN_IN_SESSION.name;
        let wanted =
            format!("never takes effect: `{key}` ends after {} minutes", sign_in.session_life.as_secs() / 60);
        let found = format!("{} minutes", sign_in.session_idle.as_secs() / 60);
        r.report(
            keys::SIGN_IN_IDLE.name,
            Fault::new(Code::HiddenTimeout, wanted).found(found),
            Severity::Warning,
        );
    }
}

/// What ends a body that is held back comes before what ends every request, and money is never counted without tokens.
pub(crate) fn limits(r: &mut Reader<'_>, limits: &Limits) {
    let member = (limits.cost_per_member_per_day, limits.tokens_per_member_per_day);
    let community = (limits.cost_per_community_per_day, limits.tokens_per_community_per_day);
    for ((cost, tokens), key, beside) in [
        (member, keys::LIMITS_COST_MEMBER.name, keys::LIMITS_TOKENS_MEMBER.name),
        (community, keys::LIMITS_COST_COMMUNITY.name, keys::LIMITS_TOKENS_COMMUNITY.name),
    ] {
        if cost.is_some() && tokens.is_none() {
            let fault =
                Fault::new(Code::HalfPair, format!("needs `{beside}` beside it: prices can be out of date"))
                    .help(format!("set `{beside}` to the most tokens that a day may hold"));
            r.report(key, fault, Severity::Error);
        }
    }
    let (body, request) = (limits.body_timeout, limits.request_timeout);
    if body > request {
        let key = keys::LIMITS_REQUEST_TIMEOUT.name;
        let wanted = format!("never takes effect: `{key}` ends after {} ms", request.as_millis());
        let fault = Fault::new(Code::HiddenTimeout, wanted).found(format!("{} ms", body.as_millis()));
        r.report(keys::LIMITS_BODY_TIMEOUT.name, fault, Severity::Warning);
    }
}

/// The model's settings agree with one another and with the limits.
pub(crate) fn model(r: &mut Reader<'_>, model: &Model, limits: &Limits) {
    if !model.allow.contains(&model.name) {
        let fault = Fault::new(
            Code::Dangling,
            format!("must name `model.name` too ({})", shown(model.name.as_str())),
        )
        .help("add it to the list, or remove `model.allow` to allow it alone");
        r.report(keys::MODEL_ALLOW.name, fault, Severity::Error);
    }
    let budgets = [
        (limits.cost_per_member_per_day, keys::LIMITS_COST_MEMBER.name),
        (limits.cost_per_community_per_day, keys::LIMITS_COST_COMMUNITY.name),
    ];
    if let Some((_, key)) = budgets.iter().find(|(cost, _)| cost.is_some()) {
        for name in model.allow.iter().filter(|name| model.prices.of(name.as_str()).is_none()) {
            let fault = Fault::new(
                Code::NoPrice,
                format!("has no price for {}, so `{key}` would not hold for it", shown(name.as_str())),
            )
            .help("add `MODEL=INPUT/OUTPUT`, or a price for every other model as `*=INPUT/OUTPUT`");
            r.report(keys::MODEL_PRICES.name, fault, Severity::Error);
        }
    }
    // Visible ASCII only: anything else could not be sent, or could add a header.
    if let Some(key) = &model.api_key
        && !key.expose().bytes().all(|b| b.is_ascii_graphic())
    {
        let fault = Fault::new(Code::NotAHeader, "must refer to one line of visible ASCII characters");
        r.report(keys::MODEL_API_KEY.name, fault, Severity::Error);
    }
    if model.url.scheme() == Scheme::Http && !model.url.is_loopback() {
        let fault = Fault::new(Code::PlainModelUrl, "sends questions and the model's key in the clear")
            .found(shown(&model.url.to_string()))
            .help("use https, unless the network between is yours alone");
        r.report(keys::MODEL_URL.name, fault, Severity::Warning);
    }
    let total = (keys::MODEL_TOTAL_TIMEOUT.name, model.total_timeout);
    let request = (keys::LIMITS_REQUEST_TIMEOUT.name, limits.request_timeout);
    let pairs = [
        ((keys::MODEL_CONNECT_TIMEOUT.name, model.connect_timeout), total),
        ((keys::MODEL_FIRST_BYTE_TIMEOUT.name, model.first_byte_timeout), total),
        ((keys::MODEL_IDLE_TIMEOUT.name, model.idle_timeout), total),
        (total, request),
    ];
    for ((inner_key, inner), (outer_key, outer)) in pairs {
        if inner > outer {
            let wanted = format!("never takes effect: `{outer_key}` ends after {} ms", outer.as_millis());
            let fault = Fault::new(Code::HiddenTimeout, wanted).found(format!("{} ms", inner.as_millis()));
            r.report(inner_key, fault, Severity::Warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn listeners_overlap_on_one_port_of_one_address() {
        let pair = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        assert!(pair("127.0.0.1:80", "127.0.0.1:80"));
        assert!(pair("0.0.0.0:80", "127.0.0.1:80"));
        assert!(pair("127.0.0.1:80", "[::ffff:127.0.0.1]:80"));
        assert!(pair("[::]:80", "10.0.0.1:80"));
        assert!(!pair("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!pair("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!pair("127.0.0.1:0", "127.0.0.1:0"));
    }
}
