//! Every phase of an answer has an end.

use std::time::Duration;

use portcullis_model::upstream::{Echo, Hold, Scripted, Slow, Upstream};
use portcullis_model::{Kind, Model as _, Phase, Timeouts};

use crate::support::{SOON, client, hello, put_together};

const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(60);

fn times(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut times = Timeouts { connect: LONG, first_byte: LONG, idle: LONG, total: LONG };
    change(&mut times);
    times
}

#[tokio::test]
async fn a_mute_upstream_ends_at_the_first_byte() {
    for mute in
        [Slow::new(Echo).head(Hold::Forever), Slow::new(Echo).first_byte(LONG), Slow::new(Echo).hang_after(0)]
    {
        let upstream = Upstream::start(mute).await.unwrap();
        let model =
            client(&upstream.url(), |options| options.timeouts = times(|times| times.first_byte = SHORT));
        let error = match model.stream(&hello()).await {
            Ok(stream) => put_together(stream).await.unwrap_err().0,
            Err(error) => error,
        };
        assert_eq!(error.kind(), Kind::TimedOut(Phase::FirstByte));
        tokio::time::timeout(SOON, upstream.wait_abandoned(1)).await.expect("the upstream is let go");
    }
}

#[tokio::test]
async fn an_upstream_that_falls_silent_ends_at_idle_and_what_it_said_stays_said() {
    let upstream = Upstream::start(Slow::new(Echo).hang_after(3)).await.unwrap();
    let model = client(&upstream.url(), |options| options.timeouts = times(|times| times.idle = SHORT));
    let (error, text) = put_together(model.stream(&hello()).await.unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), text.as_str()), (Kind::TimedOut(Phase::Idle), "hello th"));
    tokio::time::timeout(SOON, upstream.wait_abandoned(1)).await.expect("the upstream is let go");
}

#[tokio::test]
async fn an_upstream_that_trickles_on_ends_at_total() {
    let upstream =
        Upstream::start(Slow::new(Scripted::text(&"x".repeat(4000))).between(Duration::from_millis(20)))
            .await
            .unwrap();
    let model = client(&upstream.url(), |options| options.timeouts = times(|times| times.total = SHORT));
    let (error, text) = put_together(model.stream(&hello()).await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut(Phase::Total));
    assert!(!text.is_empty());
}

#[tokio::test]
async fn a_whole_answer_ends_at_total_wherever_it_hangs() {
    for mute in [Slow::new(Echo).head(Hold::Forever), Slow::new(Echo).hang_after(0)] {
        let upstream = Upstream::start(mute).await.unwrap();
        let model = client(&upstream.url(), |options| options.timeouts = times(|times| times.total = SHORT));
        assert_eq!(model.complete(&hello()).await.unwrap_err().kind(), Kind::TimedOut(Phase::Total));
        tokio::time::timeout(SOON, upstream.wait_abandoned(1)).await.expect("the upstream is let go");
    }
    // Not streamed, an answer begins late: that is not a missing first byte.
    let upstream = Upstream::start(Slow::new(Echo).head(Hold::For(SHORT))).await.unwrap();
    let model = client(&upstream.url(), |options| {
        options.timeouts = times(|times| times.first_byte = Duration::from_millis(10));
    });
    model.complete(&hello()).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_never_greets_ends_while_connecting() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    let model = client(&url, |options| options.timeouts = times(|times| times.connect = SHORT));
    for error in [model.complete(&hello()).await.unwrap_err(), model.ping().await.unwrap_err()] {
        assert_eq!(error.kind(), Kind::TimedOut(Phase::Connect));
    }
}

#[tokio::test]
async fn a_slow_reader_is_not_a_silent_upstream() {
    use futures_util::StreamExt as _;
    let upstream = Upstream::start(Slow::new(Echo).between(Duration::from_millis(30))).await.unwrap();
    let model = client(&upstream.url(), |options| options.timeouts = times(|times| times.idle = SHORT));
    let mut stream = model.stream(&hello()).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(!first.choices.is_empty());
    // The reader takes longer than the upstream may; nothing of it is the upstream's fault.
    tokio::time::sleep(SHORT * 2).await;
    put_together(stream).await.unwrap();
}
