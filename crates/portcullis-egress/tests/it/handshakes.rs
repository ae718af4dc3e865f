//! Handshakes that only look: what is presented is recorded whatever it is worth, and judged apart from that.

use std::time::Duration;

use portcullis_egress::Kind;
use portcullis_egress::handshake::{
    Distrust, Offer, Presented, Trust, Versions, dial, look_up, names_host, present,
};

use crate::raw::{Listener, Then};
use crate::secure::secure_server;

const SOON: Duration = Duration::from_secs(5);

async fn presented_by(port: u16, server_name: Option<&str>, versions: Versions) -> Presented {
    let stream = dial(([127, 0, 0, 1], port).into(), SOON).await.unwrap();
    let offer = Offer { server_name: server_name.map(str::to_owned), versions };
    present(stream, &offer, SOON).await.unwrap()
}

#[tokio::test]
async fn what_is_presented_is_recorded_whatever_it_is_worth() {
    let server = secure_server("bot.example").await;
    for name in [Some("other.example"), Some("127.0.0.1"), None] {
        let seen = presented_by(server.port, name, Versions::Both).await;
        assert!(seen.is_tls13 && seen.suite.starts_with("TLS13_"), "{seen:?}");
        assert_eq!(seen.certificates.len(), 1);
        assert!(names_host(&seen.certificates[0], "bot.example"));
        assert!(!names_host(&seen.certificates[0], "other.example"));
        assert!(!names_host(&seen.certificates[0], "127.0.0.1"));
    }
    assert!(!presented_by(server.port, None, Versions::Only12).await.is_tls13);
}

#[tokio::test]
async fn a_chain_is_trusted_by_its_root_alone_and_only_in_its_time() {
    let server = secure_server("bot.example").await;
    let chain = presented_by(server.port, None, Versions::Both).await.certificates;
    let (now, late) = (1_800_000_000, 200_000_000_000);
    let own = Trust::new(Some(&server.root_pem)).unwrap();
    assert_eq!(own.path(&chain, now), Ok(()));
    assert_eq!(own.path(&chain, late), Err(Distrust::Outdated));
    assert_eq!(Trust::new(None).unwrap().path(&chain, now), Err(Distrust::UnknownIssuer));
    assert!(matches!(own.path(&[], now), Err(Distrust::Other(_))));
    assert!(own.path(&[b"no certificate".to_vec()], now).is_err());
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told_from_what_refuses_and_from_silence() {
    let offer = Offer { server_name: None, versions: Versions::Both };
    let chatty = Listener::start(Then::Greet(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let stream = dial(chatty.address, SOON).await.unwrap();
    assert_eq!(present(stream, &offer, SOON).await.unwrap_err().kind(), Kind::Malformed);
    // A fatal alert: protocol_version.
    let refusing = Listener::start(Then::Greet(vec![21, 3, 3, 0, 2, 2, 70])).await;
    let stream = dial(refusing.address, SOON).await.unwrap();
    assert_eq!(present(stream, &offer, SOON).await.unwrap_err().kind(), Kind::Tls);
}

#[tokio::test]
async fn an_address_is_its_own_and_a_name_that_is_none_has_none() {
    assert_eq!(look_up("[::1]", SOON).await.unwrap(), ["::1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(look_up("no-such-host.invalid", SOON).await.unwrap_err().kind(), Kind::Dns);
}
