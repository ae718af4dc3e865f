//! Where the client connects to, and from where.

use std::net::IpAddr;

use portcullis_egress::{AddressPolicy, Client, Kind, Options, Pin};

use crate::raw::{Listener, Then, client, get, ok};

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_a_connection() {
    let server = Listener::start(Then::Answer(ok("inside"))).await;
    let port = server.address.port();
    let pin = |host: &str, addresses: &[&str]| Pin {
        host: host.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    };
    let mut options = Options::new(AddressPolicy::Public);
    options.pins = vec![
        pin("inside.example", &["127.0.0.1"]),
        pin("mixed.example", &["1.1.1.1", "127.0.0.1"]),
        pin("mixed-first.example", &["::ffff:127.0.0.1", "1.1.1.1"]),
        pin("nat64.example", &["64:ff9b::7f00:1"]),
        pin("metadata.example", &["169.254.169.254"]),
    ];
    let public = Client::new(options).unwrap();
    let refused = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "169.254.169.254",
        "inside.example",
        "INSIDE.example",
        "mixed.example",
        "mixed-first.example",
        "nat64.example",
        "metadata.example",
    ];
    for host in refused {
        let error = public.send(get(&format!("http://{host}:{port}/"))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::AddressRefused, "{host}: {error}");
    }
    // Spellings that the system's resolver may not know at all; what matters is that nothing is reached.
    for host in ["127.0.0.1.", "localhost.", "127.0.0.1.example.invalid"] {
        let error = public.send(get(&format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::AddressRefused | Kind::Dns), "{host}: {error}");
    }
    assert_eq!(server.connections(), 0);

    // The same address is reached once the policy allows it: the refusals above are the policy's doing.
    client(|_| {}).send(get(&server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_pinned_name_reaches_its_address_under_its_own_host_header() {
    let mut server = Listener::start(Then::Answer(ok("x"))).await;
    let client = client(|options| {
        options.pins =
            vec![Pin { host: "bot.example".into(), addresses: vec![IpAddr::from([127, 0, 0, 1])] }];
    });
    let url = format!("http://bot.example:{}/", server.address.port());
    let response = client.send(get(&url)).await.unwrap();
    assert_eq!(response.body().peer(), Some(server.address));
    let (request, _) = server.heard.recv().await.unwrap();
    assert!(request.contains(&format!("\r\nhost: bot.example:{}\r\n", server.address.port())), "{request}");
}

#[tokio::test]
async fn the_local_address_is_the_one_asked_for() {
    let mut server = Listener::start(Then::Answer(ok("x"))).await;
    for last in [5, 77] {
        let source = IpAddr::from([127, 0, 0, last]);
        client(|options| options.source = Some(source)).send(get(&server.url("/"))).await.unwrap();
        assert_eq!(server.heard.recv().await.unwrap().1.ip(), source);
    }
    let v6 = client(|options| options.source = Some("::1".parse().unwrap()));
    assert_eq!(v6.send(get(&server.url("/"))).await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn a_closed_port_is_refused_and_an_unknown_name_is_dns() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(|_| {}).send(get(&format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(error.target(), address.to_string());
    let error = client(|_| {}).send(get("http://nowhere.invalid/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Dns);
}
