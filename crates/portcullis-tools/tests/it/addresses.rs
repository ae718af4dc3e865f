//! Where a call may go: the trap stands on 127.0.0.1, beside the one network that the tool may be in.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_egress::{AddressPolicy, Found, Resolver};
use portcullis_tools::{Egress, FaultKind, WebMethod};
use serde_json::json;

use crate::server::{Server, call_with, fetch, http, ok, to, tool};

async fn kind(settings: portcullis_tools::Settings, egress: &Egress, url: &str) -> Result<String, FaultKind> {
    let tool = tool(settings, egress);
    call_with(&tool, json!({ "url": url })).await.map(|returned| returned.text).map_err(|fault| fault.kind)
}

#[tokio::test]
async fn no_spelling_of_an_address_inside_reaches_the_trap_even_when_its_host_is_listed() {
    let trap = Server::at("127.0.0.1:0", |_| ok("INSIDE")).await;
    let port = trap.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
        "[fd00::1]",
    ] {
        // As a URL parser writes them.
        let url = url::Url::parse(&format!("http://{host}:{port}/")).expect("an address");
        let listed = format!("{}:{port}", url.host_str().expect("a host"));
        let refused = kind(fetch(&[&listed]), &Egress::default(), url.as_str()).await;
        assert_eq!(refused, Err(FaultKind::AddressRefused), "{host}");
        let unlisted = kind(fetch(&["docs.example.org"]), &Egress::default(), url.as_str()).await;
        assert_eq!(unlisted, Err(FaultKind::HostRefused), "{host}");
    }
    assert_eq!(trap.asked(), [] as [String; 0]);
    let open = Egress { policy: AddressPolicy::Any, resolver: None };
    let listed = format!("127.0.0.1:{port}");
    let reached = kind(fetch(&[&listed]), &open, &format!("http://{listed}/")).await;
    assert_eq!(reached, Ok("INSIDE".to_owned()), "without the guard the trap is reached");
    assert_eq!(trap.asked().len(), 1);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_could_not_be_asked_for_itself() {
    let trap = Server::at("127.0.0.1:0", |_| ok("INSIDE")).await;
    let inside = trap.address.port();
    let honest = Server::at("127.0.0.2:0", move |request| match request.split(' ').nth(1) {
        Some("/to-itself") => to("/page"),
        Some("/round") => to("/round"),
        Some("/page") => ok("a page"),
        Some("/to-trap") => to(&format!("http://127.0.0.1:{inside}/")),
        Some("/to-mapped") => to(&format!("http://[::ffff:127.0.0.1]:{inside}/")),
        Some("/to-user") => to(&format!("http://127.0.0.2@127.0.0.1:{inside}/")),
        Some("/to-scheme") => to("file:///etc/passwd"),
        Some("/to-nothing") => to(""),
        _ => to(&format!("//127.0.0.1:{inside}/")),
    })
    .await;
    let own = honest.address.to_string();
    let ask =
        async |path: &str| kind(fetch(&[&own]), &Egress::default(), &format!("http://{own}{path}")).await;
    assert_eq!(ask("/to-itself").await, Ok("a page".to_owned()));
    for path in ["/to-trap", "/to-mapped", "/to-user", "/to-scheme", "/round", "/elsewhere"] {
        assert_eq!(ask(path).await, Err(FaultKind::RedirectRefused), "{path}");
    }
    // Even where the trap's host is listed its address is judged.
    let listed = [own.clone(), format!("127.0.0.1:{inside}")];
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    let refused = kind(fetch(&listed), &Egress::default(), &format!("http://{own}/to-trap")).await;
    assert_eq!(refused, Err(FaultKind::AddressRefused));
    // A tool at one address follows nothing to another.
    let get = tool(http(format!("http://{own}/to-trap"), WebMethod::Get), &Egress::default());
    let refused = call_with(&get, json!({})).await.expect_err("refused").kind;
    assert_eq!(refused, FaultKind::RedirectRefused);
    let post = tool(http(format!("http://{own}/to-itself"), WebMethod::Post), &Egress::default());
    assert_eq!(call_with(&post, json!({})).await.expect_err("refused").kind, FaultKind::RedirectRefused);
    assert_eq!(trap.asked(), [] as [String; 0]);
}

/// Says one address first and another from then on, as whoever owns a name can.
#[derive(Debug)]
struct Rebinding {
    asked: AtomicUsize,
    then: Vec<IpAddr>,
}

impl Resolver for Rebinding {
    fn look_up<'a>(&'a self, _host: &'a str) -> Found<'a> {
        let first = self.asked.fetch_add(1, Ordering::Relaxed) == 0;
        let honest = vec![IpAddr::from([127, 0, 0, 2])];
        let addresses = if first { honest } else { self.then.clone() };
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_is_refused_from_then_on() {
    let trap = Server::at("127.0.0.1:0", |_| ok("INSIDE")).await;
    let port = trap.address.port();
    let honest = Server::at(&format!("127.0.0.2:{port}"), |_| ok("a page")).await;
    for then in
        [vec!["127.0.0.1"], vec!["::ffff:127.0.0.1"], vec!["127.0.0.2", "127.0.0.1"], vec!["169.254.169.254"]]
    {
        let then: Vec<IpAddr> = then.iter().map(|address| address.parse().expect("an address")).collect();
        let resolver = Arc::new(Rebinding { asked: AtomicUsize::new(0), then });
        let egress = Egress { policy: AddressPolicy::Public, resolver: Some(resolver.clone()) };
        let host = format!("turns.example:{port}");
        let tool = tool(fetch(&[&host]), &egress);
        let url = json!({ "url": format!("http://{host}/") });
        assert_eq!(call_with(&tool, url.clone()).await.expect("honest").text, "a page");
        for _ in 0..3 {
            assert_eq!(
                call_with(&tool, url.clone()).await.expect_err("refused").kind,
                FaultKind::AddressRefused
            );
        }
        assert_eq!(resolver.asked.load(Ordering::Relaxed), 4, "each connection looked the name up once");
    }
    assert_eq!((honest.asked().len(), trap.asked().len()), (4, 0));
}
