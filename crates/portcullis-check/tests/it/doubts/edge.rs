//! About the edge.

use portcullis_check::Target;
use portcullis_check::target::{Credential, Declaration};

use super::{Built, Case, forwarded};

/// Where the chatbot meets the network.
fn edge(target: &mut Target) -> &mut portcullis_check::target::Edge {
    target.edge.as_mut().expect("it has an edge")
}

pub(super) const BUILT: &[Built] = &[
    Built {
        variant: "refuses-posts-without-words",
        change: |_| {},
        id: "EDGE-01",
        word: "inconclusive",
        says: "without a word",
    },
    Built {
        variant: "stands-behind-no-cache",
        change: |_| {},
        id: "EDGE-12",
        word: "inconclusive",
        says: "so nothing shows that one was met",
    },
    Built {
        variant: "stands-behind-no-cache",
        change: |target| {
            target.declarations.push(Declaration::new(
                "shared-cache",
                "nothing stands before it",
                "the test",
            ));
        },
        id: "EDGE-12",
        word: "pass",
        says: "",
    },
];

pub(super) const CASES: &[Case] = &[
    Case {
        what: "no page is known",
        change: |target| {
            let page = portcullis_check::target::RouteKind::Page;
            target.inventory.routes.retain(|route| route.kind != page);
            target.inventory.openapi = None;
        },
        id: "EDGE-07",
        word: "inconclusive",
        says: "no pages to look at",
    },
    Case {
        what: "nothing is known but a plain address on this machine",
        change: |target| target.edge = None,
        id: "EDGE-01",
        word: "inconclusive",
        says: "served on loopback without TLS",
    },
    Case {
        what: "the plain port is closed, and HTTPS answers",
        change: |target| edge(target).http_port = Some(1),
        id: "EDGE-01",
        word: "pass",
        says: "plain requests to 3 addresses",
    },
    Case {
        what: "the plain port is closed, and so is HTTPS",
        change: |target| (edge(target).http_port, edge(target).https_port) = (Some(1), Some(2)),
        id: "EDGE-01",
        word: "inconclusive",
        says: "no connection could be made",
    },
    Case {
        what: "nothing listens at one of the addresses",
        change: |target| {
            let addresses = edge(target).resolve.get_mut("bot.foreign.example").expect("it is there");
            addresses.push("127.0.0.3".parse().expect("an address"));
        },
        id: "EDGE-02",
        word: "inconclusive",
        says: "no connection could be made",
    },
    Case {
        what: "a host has no address",
        change: |target| edge(target).hosts.push("no-such-host.invalid".to_owned()),
        id: "EDGE-02",
        word: "inconclusive",
        says: "addresses of no-such-host.invalid",
    },
    Case {
        what: "the private root is not named",
        change: |target| edge(target).ca = None,
        id: "EDGE-02",
        word: "fail",
        says: "issued by `CN=Foreign Root`, which was not sent",
    },
    Case {
        what: "no public route is known",
        change: |target| {
            target.inventory.openapi = None;
            for route in &mut target.inventory.routes {
                route.auth = portcullis_check::target::Auth::Required;
            }
        },
        id: "EDGE-02",
        word: "inconclusive",
        says: "no public route is known",
    },
    Case {
        what: "nobody confirms what listens",
        change: |target| edge(target).complete_by = None,
        id: "EDGE-03",
        word: "inconclusive",
        says: "nobody confirms",
    },
    Case {
        what: "nobody confirms what listens",
        change: |target| edge(target).complete_by = None,
        id: "EDGE-04",
        word: "inconclusive",
        says: "nobody confirms",
    },
    Case {
        what: "an origin is down",
        change: |target| edge(target).origins.iter_mut().for_each(|origin| origin.port = 1),
        id: "EDGE-03",
        word: "inconclusive",
        says: "no connection could be made",
    },
    Case {
        what: "a listener is said to speak another protocol",
        change: |target| {
            for listener in &mut edge(target).listeners {
                listener.protocol = portcullis_check::target::Protocol::Tls;
            }
        },
        id: "EDGE-04",
        word: "inconclusive",
        says: "does not speak TLS",
    },
    Case {
        what: "the operator's token is wrong, so no entry is made",
        change: |target| {
            target.blocklist.as_mut().expect("a blocklist").operator = Credential::bearer("no such operator");
        },
        id: "EDGE-09",
        word: "inconclusive",
        says: "no entry could be made",
    },
    Case {
        what: "a block is told by what every answer holds",
        change: |target| {
            target.blocklist.as_mut().expect("a blocklist").marker = "workspace_title".to_owned()
        },
        id: "EDGE-09",
        word: "inconclusive",
        says: "the marker of a block",
    },
    Case {
        what: "a block is told by what no answer holds",
        change: |target| {
            target.blocklist.as_mut().expect("a blocklist").marker = "nothing of the kind".to_owned()
        },
        id: "EDGE-09",
        word: "fail",
        says: "is not refused as one that is blocked",
    },
    Case {
        what: "no header is believed where IPv6 networks would be tried",
        change: |target| forwarded(target).header = "X-Nothing".to_owned(),
        id: "EDGE-09",
        word: "inconclusive",
        says: "nothing shows that `X-Nothing` is believed",
    },
    Case {
        what: "nothing lets the checker say where it comes from, and the result says so",
        change: |target| target.forwarded = None,
        id: "EDGE-09",
        word: "pass",
        says: "no IPv6 network was tried: target.toml has no [forwarded]",
    },
    Case {
        what: "a block lasts longer than anybody waits",
        change: |target| {
            target.auto_block.as_mut().expect("blocks").lasts = std::time::Duration::from_secs(900);
        },
        id: "EDGE-10",
        word: "inconclusive",
        says: "a few seconds as [auto_block]",
    },
    Case {
        what: "another threshold is documented",
        change: |target| target.auto_block.as_mut().expect("blocks").threshold = 40,
        id: "EDGE-10",
        word: "fail",
        says: "40 are documented",
    },
    Case {
        what: "nobody has allowed a flood",
        change: |target| target.load = None,
        id: "EDGE-11",
        word: "inconclusive",
        says: "[load]",
    },
    Case {
        what: "the good client would come from the flood's own address",
        change: |target| {
            let port = target.base_url.port_u16().expect("a port");
            target.base_url = format!("http://localhost:{port}").parse().expect("a URL");
        },
        id: "EDGE-11",
        word: "inconclusive",
        says: "two client addresses are needed",
    },
    Case {
        what: "a flood is allowed and nobody asked for it",
        change: |_| {},
        id: "EDGE-11",
        word: "inconclusive",
        says: "--allow drills",
    },
];
