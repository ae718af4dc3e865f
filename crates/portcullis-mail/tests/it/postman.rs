//! The queue, on paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::Tasks;
use portcullis_mail::{Error, Mail, Message, Postman, PostmanOptions};
use tokio::time::Instant;

use crate::world::message;

/// What the fake does with a message.
#[derive(Debug, Clone, PartialEq)]
enum Act {
    Answer(Result<(), Error>),
    Hang,
}

/// A server whose answers are written down; at the end of the list it takes everything.
#[derive(Debug, Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    tries: Mutex<Vec<(Instant, String)>>,
}

impl Script {
    fn of(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self { acts: Mutex::new(acts.into_iter().collect()), tries: Mutex::default() })
    }

    fn subjects(&self) -> Vec<String> {
        self.tries.lock().unwrap().iter().map(|(_, subject)| subject.clone()).collect()
    }
}

#[async_trait]
impl Mail for Script {
    async fn send(&self, message: Message) -> Result<(), Error> {
        self.tries.lock().unwrap().push((Instant::now(), message.subject));
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(Ok(())));
        match act {
            Act::Answer(answer) => answer,
            Act::Hang => std::future::pending().await,
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        Err(Error::Unreachable)
    }
}

fn later() -> Act {
    Act::Answer(Err(Error::Later(451)))
}

fn numbered(number: usize) -> Message {
    Message { subject: number.to_string(), ..message() }
}

/// Lets the background work get on; on paused time this takes none.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn taking_a_message_takes_no_time_and_the_queue_has_a_bound() {
    let script = Script::of(std::iter::repeat_n(Act::Hang, 100));
    let tasks = Tasks::new();
    let options = PostmanOptions { queue: 3, at_once: 2, ..PostmanOptions::default() };
    let postman = Postman::start(script.clone(), &tasks, options);
    let start = Instant::now();
    for number in 0..2 {
        postman.send(numbered(number)).await.unwrap();
    }
    pass(Duration::from_millis(1)).await;
    for number in 2..5 {
        postman.send(numbered(number)).await.unwrap();
    }
    assert_eq!(postman.waiting(), 3);
    assert_eq!(postman.send(numbered(5)).await, Err(Error::Full));
    assert_eq!(postman.counts().dropped, 1);
    assert_eq!(start.elapsed(), Duration::from_millis(1), "only the pause in the middle");
    assert_eq!(script.subjects(), ["0", "1"]);
    assert_eq!(postman.ping().await, Err(Error::Unreachable));
}

#[tokio::test(start_paused = true)]
async fn tries_are_made_at_growing_distances_and_end() {
    let script = Script::of(std::iter::repeat_n(later(), 9));
    let tasks = Tasks::new();
    let options =
        PostmanOptions { attempts: 4, back_off: Duration::from_secs(2), ..PostmanOptions::default() };
    let postman = Postman::start(script.clone(), &tasks, options);
    let start = Instant::now();
    postman.send(message()).await.unwrap();
    pass(Duration::from_secs(600)).await;
    let times: Vec<u64> =
        script.tries.lock().unwrap().iter().map(|(time, _)| (*time - start).as_secs()).collect();
    assert_eq!(times, [0, 2, 6, 14]);
    assert_eq!((postman.counts().retried, postman.counts().failed, postman.counts().sent), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_has_to_repair_is_not_tried_again() {
    let finals =
        [Error::Refused(550), Error::Login(535), Error::Tls, Error::NotOffered("x"), Error::Recipient];
    let script = Script::of(finals.clone().map(|error| Act::Answer(Err(error))));
    let tasks = Tasks::new();
    let postman = Postman::start(script.clone(), &tasks, PostmanOptions::default());
    for number in 0..finals.len() {
        postman.send(numbered(number)).await.unwrap();
    }
    pass(Duration::from_secs(600)).await;
    assert_eq!((script.subjects().len(), postman.counts().failed), (finals.len(), 5));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_given_up_when_its_link_has_expired() {
    let life = Duration::from_secs(60);
    // One hangs, one would be tried again behind its end.
    for acts in [vec![Act::Hang], std::iter::repeat_n(later(), 50).collect()] {
        let script = Script::of(acts);
        let tasks = Tasks::new();
        let options = PostmanOptions { life, attempts: 50, ..PostmanOptions::default() };
        let postman = Postman::start(script.clone(), &tasks, options);
        let start = Instant::now();
        postman.send(message()).await.unwrap();
        pass(Duration::from_secs(600)).await;
        assert_eq!(postman.counts().failed, 1);
        assert!(script.tries.lock().unwrap().iter().all(|(time, _)| *time - start < life));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_hold_up_the_others() {
    let script = Script::of([Act::Hang]);
    let tasks = Tasks::new();
    let postman = Postman::start(script, &tasks, PostmanOptions { at_once: 2, ..PostmanOptions::default() });
    for number in 0..20 {
        postman.send(numbered(number)).await.unwrap();
    }
    pass(Duration::from_millis(1)).await;
    assert_eq!((postman.counts().sent, postman.waiting()), (19, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_is_left_and_says_how_much_is_lost() {
    // Two hang at work; of the waiting ones all are sent when there is room, none when there is not.
    for (at_once, sent, lost) in [(3, 8, 2), (2, 0, 10)] {
        let script = Script::of([Act::Hang, Act::Hang]);
        let tasks = Tasks::new();
        let options = PostmanOptions { at_once, drain: Duration::from_secs(5), ..PostmanOptions::default() };
        let postman = Postman::start(script, &tasks, options);
        for number in 0..10 {
            postman.send(numbered(number)).await.unwrap();
        }
        let start = Instant::now();
        assert_eq!(tasks.close(Duration::from_secs(25)).await, 0);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!((postman.counts().sent, postman.counts().lost), (sent, lost));
        assert_eq!(postman.send(message()).await, Err(Error::Closed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_next_try_but_makes_it() {
    for (second, sent, lost) in [(Act::Answer(Ok(())), 1, 0), (later(), 0, 1)] {
        let script = Script::of([later(), second, later(), later()]);
        let tasks = Tasks::new();
        let options = PostmanOptions { back_off: Duration::from_secs(100), ..PostmanOptions::default() };
        let postman = Postman::start(script.clone(), &tasks, options);
        postman.send(message()).await.unwrap();
        pass(Duration::from_secs(1)).await;
        let start = Instant::now();
        assert_eq!(tasks.close(Duration::from_secs(25)).await, 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!((postman.counts().sent, postman.counts().lost), (sent, lost));
        assert_eq!(script.subjects().len(), 2);
    }
}
