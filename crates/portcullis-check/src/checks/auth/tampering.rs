//! The ways in which a request for one route is written so that a guard and a router may read it differently.

use http::Method;

use crate::outcome::Inconclusive;
use crate::probe::Call;
use crate::target::{Effect, Route};

/// How an answer to a tampered request is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shows {
    /// A success is one that must not be.
    Success,
    /// Only data in the answer is: others may rightly answer such a request.
    Data,
}

/// One way.
#[derive(Debug, Clone)]
pub(super) struct Tampered {
    /// What was done to the request, for messages: empty for nothing.
    pub(super) how: String,
    /// The request, by nobody yet.
    pub(super) call: Call,
    /// How its answer is judged.
    pub(super) shows: Shows,
}

/// Headers by which a client asks that another method is meant.
const METHOD_HEADERS: [&str; 3] = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];
/// What a client says who must not be believed.
const CLAIMS: [(&str, &str); 5] = [
    ("X-Role", "admin"),
    ("X-User-Role", "admin"),
    ("X-Admin", "true"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("Cookie", "role=admin; admin=true"),
];

/// The request as it should be written, and every way in which it is not.
///
/// `plane` is the path of the admin plane that the route is in, `front` a path that everyone may ask.
pub(super) fn every_way(
    route: &Route,
    plain: &Call,
    plane: &str,
    front: &str,
) -> Result<Vec<Tampered>, Inconclusive> {
    let mut ways = vec![Tampered { how: String::new(), call: plain.clone(), shows: Shows::Success }];
    let mut add = |how: String, call: Call, shows| ways.push(Tampered { how, call, shows });
    let reads = route.effect == Effect::Reads;
    let (path, query) =
        plain.path.split_once('?').map_or((plain.path.as_str(), ""), |(path, query)| (path, query));
    let with_query = |path: &str| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    for (how, written, shows) in paths(path, plane, reads) {
        add(how, at(plain, &with_query(&written)), shows);
    }
    for header in METHOD_HEADERS {
        let method = if route.method == Method::POST { Method::GET } else { Method::POST };
        let call = by(plain, method).header(header, route.method.as_str())?;
        add(format!("with `{header}: {}`", route.method), call, Shows::Success);
    }
    let meant = by(plain, Method::POST).query("_method", route.method.as_str());
    if route.method != Method::POST {
        add(format!("with `_method={}`", route.method), meant, Shows::Success);
    }
    for (name, value) in CLAIMS {
        add(format!("with `{name}: {value}`"), plain.clone().header(name, value)?, Shows::Success);
    }
    add("with `role=admin`".to_owned(), plain.clone().query("role", "admin"), Shows::Success);
    if reads {
        let method = |name: &[u8]| Method::from_bytes(name).unwrap_or(Method::GET);
        add("as HEAD".to_owned(), by(plain, Method::HEAD), Shows::Success);
        add("as OPTIONS".to_owned(), by(plain, Method::OPTIONS), Shows::Data);
        add("with `get` in small letters".to_owned(), by(plain, method(b"get")), Shows::Success);
        add("with a made-up method".to_owned(), by(plain, method(b"JEFF")), Shows::Success);
        for header in ["X-Original-URL", "X-Rewrite-URL"] {
            let call = at(plain, front).header(header, &plain.path)?;
            add(format!("with `{header}` at {front}"), call, Shows::Data);
        }
    }
    Ok(ways)
}

fn at(plain: &Call, path: &str) -> Call {
    let mut call = plain.clone();
    path.clone_into(&mut call.path);
    call
}

fn by(plain: &Call, method: Method) -> Call {
    let mut call = plain.clone();
    call.method = method;
    call
}

/// The path written in other ways.
fn paths(path: &str, plane: &str, reads: bool) -> Vec<(String, String, Shows)> {
    let plane = plane.trim_end_matches('/');
    let (above, last) = plane.rsplit_once('/').unwrap_or(("", plane));
    let below = path.strip_prefix(plane).unwrap_or_default();
    let first = last.chars().next().unwrap_or('a');
    let rest = last.get(first.len_utf8()..).unwrap_or_default();
    let capital = first.to_ascii_uppercase();
    let code = u32::from(first);
    let mut written = vec![
        ("in capitals", path.to_ascii_uppercase()),
        ("with a capital letter", format!("{above}/{capital}{rest}{below}")),
        ("with a slash at its end", format!("{path}/")),
        ("with two slashes at its beginning", format!("/{path}")),
        ("with two slashes in the middle", format!("{above}//{last}{below}")),
        ("with an encoded letter", format!("{above}/%{code:02x}{rest}{below}")),
        ("with `%2e` in the middle", format!("{above}/%2e/{last}{below}")),
        ("with `;x` in the middle", format!("{above}/{last};x{below}")),
    ];
    if reads {
        written.extend([
            ("with a letter encoded twice", format!("{above}/%25{code:02x}{rest}{below}")),
            ("with two slashes behind the plane", format!("{plane}/{below}")),
            ("with an encoded slash", format!("{above}/{last}%2f{}", below.trim_start_matches('/'))),
            ("with `/./` in the middle", format!("{above}/./{last}{below}")),
            ("by way of `x/..`", format!("{above}/x/../{last}{below}")),
            ("by way of `x/%2e%2e`", format!("{above}/x/%2e%2e/{last}{below}")),
            ("by way of `..;`", format!("{above}/x/..;/{last}{below}")),
            ("with `/.` at its end", format!("{path}/.")),
            ("with `;` at its end", format!("{path};")),
            ("with `%20` at its end", format!("{path}%20")),
            ("with `%00` at its end", format!("{path}%00")),
            ("with `.json` at its end", format!("{path}.json")),
        ]);
    }
    let mut all: Vec<_> = written
        .into_iter()
        .filter(|(_, written)| written != path)
        .map(|(how, written)| (format!("with its path {how}"), written, Shows::Success))
        .collect();
    if reads && !below.is_empty() {
        all.push((format!("without `{last}`"), format!("{above}{below}"), Shows::Data));
    }
    all
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Shows, every_way, paths};
    use crate::probe::Call;
    use crate::target::Route;

    #[test]
    fn a_path_is_written_in_ways_that_careless_routers_read_as_the_same() {
        let written: Vec<String> =
            paths("/api/admin/members", "/api/admin", true).into_iter().map(|(_, path, _)| path).collect();
        for path in [
            "/API/ADMIN/MEMBERS",
            "/api/Admin/members",
            "/api/admin/members/",
            "//api/admin/members",
            "/api//admin/members",
            "/api/admin//members",
            "/api/%61dmin/members",
            "/api/%2561dmin/members",
            "/api/%2e/admin/members",
            "/api/admin;x/members",
            "/api/x/..;/admin/members",
            "/api/members",
        ] {
            assert!(written.contains(&path.to_owned()), "{path}: {written:?}");
        }
    }

    #[test]
    fn the_plain_request_comes_first_and_writing_routes_are_not_asked_with_other_verbs() {
        let route = Route::new(Method::DELETE, "/admin/members/{id}");
        let ways = every_way(&route, &Call::new(Method::DELETE, "/admin/members/x"), "/admin", "/").unwrap();
        assert!(ways[0].how.is_empty() && ways[0].shows == Shows::Success);
        assert!(ways.iter().all(|way| way.call.method == Method::DELETE || way.call.method == Method::POST));
    }
}
