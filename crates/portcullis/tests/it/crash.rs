//! Killed at any moment under load, and with its power cut at any moment, the program loses nothing that it
//! acknowledged: no message, no memory, no record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{Method, StatusCode};
use portcullis_config::Environment;
use portcullis_core::secret::random_bytes;
use portcullis_egress::{AddressPolicy, Options};
use serde_json::{Value, json};

use crate::powercut::{Disk, Layer};
use crate::program::{Program, Serving, free_port, signal};

/// How often it is killed, and how often its power is cut, unless `PORTCULLIS_CRASHES` says how often.
const ROUNDS: usize = 12;
/// Members who ask at the same time.
const CLIENTS: usize = 6;

fn rounds() -> usize {
    let told = Environment::from_process().text("PORTCULLIS_CRASHES").and_then(|text| text.parse().ok());
    told.unwrap_or(ROUNDS)
}

/// A member with what was acknowledged to them.
#[derive(Default)]
struct Client {
    key: String,
    /// Turns that were answered whole.
    turns: BTreeSet<String>,
    /// Questions that were answered whole, by conversation.
    conversations: BTreeMap<String, Vec<String>>,
    /// What each memory said when it was last acknowledged, and every text that was sent for it since.
    memories: BTreeMap<String, (String, Vec<String>)>,
}

impl Client {
    /// Asks, and changes memories, until the server is gone.
    async fn work(&mut self, serving: &Serving, round: usize) {
        let authorization = format!("Bearer {}", self.key);
        let by = ("authorization", authorization.as_str());
        let (mut conversation, mut memory) = ("new".to_owned(), None::<String>);
        for turn in 0.. {
            let question = format!("question {round} {turn}");
            let streams = turn % 2 == 1;
            let body = json!({
                "model": "extracts", "stream": streams, "messages": [{ "role": "user", "content": question }],
            });
            let headers = [by, ("x-conversation-id", conversation.as_str())];
            let Some((status, headers, body)) =
                serving.try_send(Method::POST, "/v1/chat/completions", &headers, body).await
            else {
                return;
            };
            assert_eq!(status, StatusCode::OK, "{body}");
            if !streams || body.contains("data: [DONE]") {
                conversation = headers["x-conversation-id"].to_str().expect("an id").to_owned();
                self.conversations.entry(conversation.clone()).or_default().push(question);
                let frame = body.trim_start_matches("data: ").lines().next().unwrap_or_default();
                let answer: Value = serde_json::from_str(frame).expect("an acknowledged answer is whole");
                let id = answer["id"].as_str().expect("an id");
                self.turns.insert(id.trim_start_matches("chatcmpl-").to_owned());
            }

            let fact = format!("fact {round} {turn}");
            let (method, path) = match &memory {
                None => (Method::POST, "/v1/memories".to_owned()),
                Some(id) => (Method::PATCH, format!("/v1/memories/{id}")),
            };
            if let Some((_, sent)) = memory.as_ref().and_then(|id| self.memories.get_mut(id)) {
                sent.push(fact.clone());
            }
            let Some((status, _, body)) =
                serving.try_send(method, &path, &[by], json!({ "text": fact })).await
            else {
                return;
            };
            assert!(status.is_success(), "{body}");
            let kept: Value = serde_json::from_str(&body).expect("an acknowledged memory is whole");
            let id = kept["id"].as_str().expect("an id").to_owned();
            self.memories.insert(id.clone(), (fact, Vec::new()));
            memory = Some(id);
        }
    }

    /// What was acknowledged and is not there.
    async fn lost(&self, serving: &Serving) -> Vec<String> {
        let mut lost = Vec::new();
        for (id, questions) in &self.conversations {
            let (_, body) =
                serving.send(Method::GET, &format!("/v1/conversations/{id}"), &self.key, None).await;
            let found: Value = serde_json::from_str(&body).unwrap_or_default();
            let messages = found["messages"].as_array().cloned().unwrap_or_default();
            let answered = |question: &String| {
                messages
                    .windows(2)
                    .any(|pair| pair[0]["text"] == **question && pair[1]["author"] == "assistant")
            };
            lost.extend(questions.iter().filter(|question| !answered(question)).cloned());
        }
        let (_, body) = serving.send(Method::GET, "/v1/memories", &self.key, None).await;
        let found: Value = serde_json::from_str(&body).unwrap_or_default();
        let found = found["memories"].as_array().cloned().unwrap_or_default();
        for (id, (fact, sent)) in &self.memories {
            let text =
                found.iter().find(|memory| memory["id"] == **id).and_then(|memory| memory["text"].as_str());
            if !text.is_some_and(|text| text == fact || sent.iter().any(|sent| sent == text)) {
                lost.push(format!("{fact} (there is {text:?})"));
            }
        }
        lost
    }
}

/// An instance with members who have keys.
struct Ground {
    program: Program,
    clients: Vec<Client>,
}

impl Ground {
    fn new() -> Self {
        let program = Program::new();
        program.ok(&["community", "create", "bakers"]);
        let client = |place: usize| {
            let printed = program.ok(&["member", "add", "--community", "bakers", &format!("Ada {place}")]);
            let member = printed.split_whitespace().nth(1).expect("an id").to_owned();
            let create = [
                "key",
                "create",
                "--community",
                "bakers",
                "k",
                "--ability",
                "chat,personal",
                "--member",
                &member,
            ];
            Client { key: program.ok(&create).trim().to_owned(), ..Client::default() }
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { program, clients }
    }

    async fn serve(&self, layer: Option<&Layer>) -> Serving {
        let limits = [
            "limits.per_key_per_minute=1000000",
            "limits.per_key_per_hour=1000000000",
            "limits.per_key_per_day=1000000000",
            "limits.per_address_per_minute=1000000",
            "limits.per_address_per_hour=1000000000",
            "limits.per_address_per_day=1000000000",
            "tiers.standard_per_minute=1000000",
            "tiers.standard_per_hour=1000000000",
            "tiers.standard_per_day=1000000000",
        ]
        .map(|limit| ["--set", limit])
        .concat();
        let variables = layer.map(Layer::variables).into_iter().flatten().collect::<Vec<_>>();
        let options = Options::new(AddressPolicy::Any);
        self.program.serve_under(&variables, free_port(), options, "http://127.0.0.1", &limits).await
    }

    /// Everybody works until the server is killed, at some moment.
    async fn kill_under_load(&mut self, layer: Option<&Layer>, round: usize) {
        let serving = self.serve(layer).await;
        let pid = serving.id();
        let [random] = random_bytes::<1>();
        let kill = async {
            // Any moment of the first quarter of a second: what is going on then differs from run to run.
            tokio::time::sleep(Duration::from_millis(u64::from(random))).await;
            signal(pid, "KILL");
        };
        let work = futures_util::future::join_all(
            self.clients.iter_mut().map(|client| client.work(&serving, round)),
        );
        tokio::join!(kill, work);
        serving.kill();
    }

    /// What was acknowledged and is lost, and what is wrong with the journal.
    async fn lost(&self) -> Vec<String> {
        let serving = self.serve(None).await;
        let mut lost = Vec::new();
        for client in &self.clients {
            lost.extend(client.lost(&serving).await);
        }
        assert_eq!(serving.stop(), Some(0));
        let verified = self.program.run(&["audit", "verify"]);
        let said = crate::program::text(&verified.stdout);
        if !verified.status.success() || !said.contains("0 turns are open") {
            lost.push(format!("the journal: {said} {}", crate::program::text(&verified.stderr)));
        }
        lost.extend(self.unrecorded());
        lost
    }

    /// Turns that were answered and are not in the journal as such.
    fn unrecorded(&self) -> Vec<String> {
        let (mut opened, mut answered) = (BTreeSet::new(), BTreeSet::new());
        for line in self.program.ok(&["audit", "query"]).lines() {
            let record: Value = serde_json::from_str(line).expect("a record");
            let event = &record["event"];
            let turn = event["turn"].as_str().unwrap_or_default().to_owned();
            match (event["kind"].as_str(), event["outcome"]["result"].as_str()) {
                (Some("turn.opened"), _) => assert!(opened.insert(turn), "a turn is opened twice"),
                (Some("turn.closed"), Some("answered")) => assert!(answered.insert(turn), "and closed twice"),
                _ => {}
            }
        }
        assert!(answered.is_subset(&opened), "a turn was closed that was never opened");
        let acknowledged = self.clients.iter().flat_map(|client| &client.turns);
        acknowledged
            .filter(|turn| !answered.contains(*turn))
            .map(|turn| format!("the record of {turn}"))
            .collect()
    }

    fn turns(&self) -> usize {
        self.clients.iter().map(|client| client.turns.len()).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_nothing_that_was_acknowledged() {
    let mut ground = Ground::new();
    for round in 0..rounds() {
        ground.kill_under_load(None, round).await;
    }
    let lost = ground.lost().await;
    assert!(lost.is_empty(), "acknowledged and lost: {lost:#?}");
    assert!(ground.turns() > rounds(), "only {} answers: the load was none", ground.turns());
    println!("{} kills, {} answers acknowledged", rounds(), ground.turns());
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_of_power_that_lose_every_unsynced_write_lose_nothing_that_was_acknowledged() {
    let mut ground = Ground::new();
    let mut layer = Layer::over(&ground.program.path().join("data"));
    layer.begin();
    let serving = ground.serve(Some(&layer)).await;
    let (status, body) = serving.ask(&ground.clients[0].key, "anything").await;
    assert_eq!((status, serving.stop()), (StatusCode::OK, Some(0)), "{body}");
    assert!(layer.saw_everything(), "the program changed files in a way that the layer does not see");

    let mut unsynced = 0;
    for round in 0..rounds() {
        layer.begin();
        ground.kill_under_load(Some(&layer), round).await;
        unsynced += layer.cut(Disk::Honest);
        let lost = ground.lost().await;
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:#?}");
    }
    assert!(ground.turns() > rounds(), "only {} answers: the load was none", ground.turns());
    assert!(unsynced > 0, "everything was synced when the power was cut: there was nothing to lose");
    println!("{} cuts, {} answers acknowledged, {unsynced} changes not synced", rounds(), ground.turns());
}

/// What the layer is worth: a disk that only says that it synced is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_sync_is_noticed() {
    for deaf_to in [".db", "audit"] {
        let mut ground = Ground::new();
        let mut layer = Layer::over(&ground.program.path().join("data"));
        layer.begin();
        while ground.turns() < CLIENTS {
            ground.kill_under_load(Some(&layer), 0).await;
        }
        layer.cut(Disk::DeafTo(deaf_to));
        let lost = ground.lost().await;
        assert!(!lost.is_empty(), "a disk that is deaf to syncs of {deaf_to} lost nothing");
    }
}
