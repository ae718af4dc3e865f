//! Each phase has an end.

use std::time::Duration;

use portcullis_egress::{Kind, Phase};
use tokio::net::{TcpSocket, TcpStream};

use crate::raw::{Listener, Then, client, get};

const SHORT: Duration = Duration::from_millis(120);

#[tokio::test]
async fn a_server_that_takes_no_connection_times_out_while_connecting() {
    // A listener that accepts nothing takes as many connections as its backlog holds and ignores the rest.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        held.push(stream);
        assert!(held.len() < 64, "the backlog never fills");
    }
    let client = client(|options| options.connect_timeout = SHORT);
    let error = client.send(get(&format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut(Phase::Connect));
}

#[tokio::test]
async fn a_server_that_never_greets_times_out_in_the_handshake() {
    let server = Listener::start(Then::AnswerAndHang(Vec::new())).await;
    let client = client(|options| options.connect_timeout = SHORT);
    let error = client.send(get(&format!("https://{}/", server.address))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut(Phase::Tls));
}

#[tokio::test]
async fn a_mute_server_times_out_before_the_head() {
    let mut server = Listener::start(Then::AnswerAndHang(b"HTTP/1.1 200".to_vec())).await;
    let client = client(|options| options.head_timeout = SHORT);
    let error = client.send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut(Phase::Head));
    server.closed.recv().await.expect("the connection is closed then");
}

#[tokio::test]
async fn a_body_that_stalls_times_out_and_keeps_what_it_gave() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec();
    let server = Listener::start(Then::AnswerAndHang(answer)).await;
    let client = client(|_| {});
    let body = client.send(get(&server.url("/"))).await.unwrap().into_body();
    assert_eq!(body.collect(9, SHORT).await.unwrap_err().kind(), Kind::TimedOut(Phase::Body));
    let prefix = client.send(get(&server.url("/"))).await.unwrap().into_body().collect_prefix(9, SHORT).await;
    assert_eq!(prefix.bytes, "abc");
    assert_eq!(prefix.stopped.unwrap().kind(), Kind::TimedOut(Phase::Body));
}
