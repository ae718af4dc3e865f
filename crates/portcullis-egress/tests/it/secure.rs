//! TLS: who is trusted, for which name.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::Tasks;
use portcullis_egress::{AddressPolicy, Client, Kind, Options, Pin};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::raw::{Listener, Then, client, get, ok, read_request};

pub(crate) struct SecureServer {
    pub(crate) port: u16,
    pub(crate) root_pem: Vec<u8>,
    _tasks: Tasks,
}

pub(crate) async fn secure_server(name: &str) -> SecureServer {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = Tasks::new();
    let spawner = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            spawner.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(&ok("sealed")).await.unwrap();
                }
            });
        }
    });
    SecureServer { port, root_pem: made.cert.pem().into_bytes(), _tasks: tasks }
}

fn pinned(change: impl FnOnce(&mut Options)) -> Client {
    client(|options| {
        options.pins = ["bot.example", "other.example"]
            .map(|host| Pin { host: host.to_owned(), addresses: vec![IpAddr::from([127, 0, 0, 1])] })
            .to_vec();
        change(options);
    })
}

#[tokio::test]
async fn a_certificate_counts_only_from_a_trusted_root_and_for_its_own_name() {
    let server = secure_server("bot.example").await;
    let url = |host: &str| format!("https://{host}:{}/", server.port);
    let trusting = pinned(|options| options.extra_roots_pem = Some(server.root_pem.clone()));

    let body = trusting.send(get(&url("bot.example"))).await.unwrap().into_body();
    assert_eq!(body.collect(10, Duration::from_secs(5)).await.unwrap(), "sealed");
    for (client, host) in
        [(&trusting, "other.example"), (&trusting, "127.0.0.1"), (&pinned(|_| {}), "bot.example")]
    {
        assert_eq!(client.send(get(&url(host))).await.unwrap_err().kind(), Kind::Tls, "{host}");
    }
    let careless = pinned(|options| options.danger_accept_invalid_certificates = true);
    careless.send(get(&url("other.example"))).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_a_failed_handshake() {
    let server = Listener::start(Then::Greet(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let error = client(|_| {}).send(get(&format!("https://{}/", server.address))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
}

#[test]
fn extra_roots_that_cannot_be_used_are_refused_at_once() {
    for pem in ["", "not pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut options = Options::new(AddressPolicy::Any);
        options.extra_roots_pem = Some(pem.as_bytes().to_vec());
        assert_eq!(Client::new(options).unwrap_err().kind(), Kind::Malformed, "{pem:?}");
    }
}
