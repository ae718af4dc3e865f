//! What a target file leaves out or gets wrong: the checks say so instead of passing, against a chatbot that is in order.

use futures_util::stream::{self, StreamExt};
use jiff::ToSpan as _;
use portcullis_check::target::{
    AccountKind, Audience, Confirmation, Credential, Forwarded, HandoverQueue, Held, HeldSecret, Identity,
    MARKER, NewCredential, OwnedKind, Planted, PlantedKind, Runtime, SandboxApi, SignUpBy, Spot, Staffed,
    State, ToolInventory, Wording,
};
use portcullis_check::{Options, Quiet, Selector, Target, run};
use portcullis_core::secret::random_bytes;
use portcullis_core::{Clock as _, SystemClock};

use crate::foreign::{Foreign, node_is_here};
use crate::settings::{options, outcome};

/// What is planted where attacks are tried.
fn planted(target: &mut Target) -> &mut Vec<Planted> {
    &mut target.rehearsal.as_mut().expect("a rehearsal").planted
}

/// The tools where attacks are tried.
fn tools(target: &mut Target) -> &mut ToolInventory {
    let rehearsal = target.rehearsal.as_mut().expect("a rehearsal");
    rehearsal.tools.as_mut().expect("tools")
}

fn queue(target: &mut Target) -> &mut HandoverQueue {
    target.handovers.as_deref_mut().expect("a queue")
}

fn sandbox(target: &mut Target) -> &mut SandboxApi {
    target.sandbox.as_deref_mut().expect("a sandbox")
}

/// Somebody's word that people read the queue, for so many hours.
fn staffed(target: &mut Target, hours: i64) {
    let until = SystemClock::new().now() + hours.hours();
    queue(target).staffed = Some(Staffed { by: "the test".to_owned(), until });
}

fn forwarded(target: &mut Target) -> &mut Forwarded {
    target.forwarded.as_deref_mut().expect("a proxy")
}

/// What becomes of markup in texts that members keep.
fn keep_markup(target: &mut Target, what: &str) {
    for display in target.displays.iter_mut().filter(|display| display.wording == Wording::Member) {
        display.create.body = Some(serde_json::json!({ "text": MARKER, "markup": what }));
    }
}

/// One change to the target and what the check must say then.
struct Case {
    what: &'static str,
    change: fn(&mut Target),
    id: &'static str,
    word: &'static str,
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        what: "nothing says where questions go that a person should see",
        change: |target| target.handovers = None,
        id: "PI-06",
        word: "inconclusive",
        says: "[handovers]",
    },
    Case {
        what: "nobody says that people read the queue",
        change: |target| queue(target).staffed = None,
        id: "PI-06",
        word: "inconclusive",
        says: "attest PI-06",
    },
    Case {
        what: "the word of who says so has ended",
        change: |target| staffed(target, -1),
        id: "PI-06",
        word: "inconclusive",
        says: "ended",
    },
    Case {
        what: "the word of who says so is for too long",
        change: |target| staffed(target, 24 * 91),
        id: "PI-06",
        word: "inconclusive",
        says: "more than 90 days",
    },
    Case {
        what: "what lists the queue is another route",
        change: |target| queue(target).list.path = "/nowhere".to_owned(),
        id: "PI-06",
        word: "inconclusive",
        says: "/nowhere",
    },
    Case {
        what: "no instance for rehearsals is named",
        change: |target| target.rehearsal = None,
        id: "PI-01",
        word: "inconclusive",
        says: "[rehearsal]",
    },
    Case {
        what: "no key is planted, so none can come",
        change: |target| planted(target).retain(|planted| planted.kind != PlantedKind::Secret),
        id: "PI-01",
        word: "inconclusive",
        says: "`secret`",
    },
    Case {
        what: "a document with a key is never recalled",
        change: |target| {
            for secret in planted(target).iter_mut().filter(|planted| planted.kind == PlantedKind::Secret) {
                secret.marker = Some("what no document says".to_owned());
            }
        },
        id: "PI-01",
        word: "inconclusive",
        says: "never recalled",
    },
    Case {
        what: "the bot answers no question with what the documents say",
        change: |target| {
            for fact in planted(target).iter_mut().filter(|planted| planted.kind == PlantedKind::Fact) {
                fact.text = "what no document says".to_owned();
            }
        },
        id: "PI-01",
        word: "fail",
        says: "honest questions",
    },
    Case {
        what: "a document with an order is never recalled",
        change: |target| {
            for order in planted(target).iter_mut().filter(|planted| planted.kind == PlantedKind::Order) {
                order.marker = Some("what no document says".to_owned());
            }
        },
        id: "PI-02",
        word: "inconclusive",
        says: "never recalled",
    },
    Case {
        what: "nothing is planted in the system text",
        change: |target| planted(target).retain(|planted| planted.kind != PlantedKind::System),
        id: "PI-03",
        word: "inconclusive",
        says: "nothing is planted in the system text",
    },
    Case {
        what: "the words before each answer's own word stand nowhere",
        change: |target| {
            if let Some(rehearsal) = &mut target.rehearsal {
                rehearsal.mark_after = Some("what no system text says ".to_owned());
            }
        },
        id: "PI-03",
        word: "inconclusive",
        says: "`mark_after`",
    },
    Case {
        what: "no text stands in a space for staff alone",
        change: |target| target.canaries.retain(|canary| canary.audience != Audience::Staff),
        id: "PI-04",
        word: "inconclusive",
        says: "for staff alone",
    },
    Case {
        what: "nothing tells what was decided about calls",
        change: |target| tools(target).decisions = None,
        id: "PI-05",
        word: "inconclusive",
        says: "`decisions`",
    },
    Case {
        what: "the tool that is said to be allowed is not there",
        change: |target| tools(target).tools.iter_mut().for_each(|tool| tool.name.push_str("_of_old")),
        id: "PI-05",
        word: "inconclusive",
        says: "nothing shows that tools are on",
    },
    Case {
        what: "what tells of calls tells of other things",
        change: |target| {
            let decisions = tools(target).decisions.clone();
            tools(target).sinks = decisions.into_iter().collect();
        },
        id: "PI-05",
        word: "inconclusive",
        says: "nothing shows that tools are on",
    },
    Case {
        what: "the model never asks for the call that a person has to approve",
        change: |target| {
            let risky = tools(target).tools.iter_mut().filter(|tool| tool.approval);
            risky.for_each(|tool| tool.name = tool.name.replace('_', " "));
        },
        id: "PI-05",
        word: "inconclusive",
        says: "which a person has to approve",
    },
    Case {
        what: "a tool reads pages and nothing tells of traps",
        change: |target| tools(target).traps.clear(),
        id: "PI-05",
        word: "inconclusive",
        says: "`traps`",
    },
    Case {
        what: "no text of the system text is known, so none is recognised in an argument",
        change: |target| planted(target).retain(|planted| planted.kind != PlantedKind::System),
        id: "PI-05",
        word: "inconclusive",
        says: "nothing is planted in the system text",
    },
    Case {
        what: "no line counts questions with SQL",
        change: |target| {
            target.alarms.as_mut().expect("alarms").sql =
                "questions_with_statements{kind=\"sql\"}".to_owned();
        },
        id: "PI-09",
        word: "inconclusive",
        says: "[alarms]",
    },
    Case {
        what: "questions for alarms go where nobody takes them",
        change: |target| target.alarms.as_mut().expect("alarms").chat.route.path = "/nowhere".to_owned(),
        id: "PI-10",
        word: "inconclusive",
        says: "where alarms are looked at",
    },
    Case {
        what: "no page is known that shows what the model says",
        change: |target| target.displays.retain(|display| display.wording != Wording::Model),
        id: "PI-10",
        word: "inconclusive",
        says: "`by = \"model\"`",
    },
    Case {
        what: "no page is known that shows what anybody says",
        change: |target| target.displays.clear(),
        id: "PI-10",
        word: "inconclusive",
        says: "[[display]]",
    },
    Case {
        what: "the page is another one than the one that shows the answer",
        change: |target| {
            for display in target.displays.iter_mut().filter(|display| display.wording == Wording::Model) {
                display.at = None;
                display.create.path = "/api/conversations".to_owned();
                display.create.body = Some(serde_json::json!({ "text": MARKER }));
                display.pages.iter_mut().for_each(|page| page.path = "/talk/{id}".to_owned());
            }
        },
        id: "PI-10",
        word: "inconclusive",
        says: "does not show an answer of the model",
    },
    Case {
        what: "what takes the text refuses every one with markup",
        change: |target| keep_markup(target, "refuse"),
        id: "PI-10",
        word: "inconclusive",
        says: "no text with elements came to GET /talk/{id}",
    },
    Case {
        what: "what takes the text takes the markup out of it",
        change: |target| keep_markup(target, "drop"),
        id: "PI-10",
        word: "inconclusive",
        says: "no text with elements came to GET /talk/{id}",
    },
    Case {
        what: "nobody puts the text in",
        change: |target| {
            for display in &mut target.displays {
                display.create.body = Some(serde_json::json!({ "text": "" }));
            }
        },
        id: "PI-10",
        word: "inconclusive",
        says: "could not be put in",
    },
    Case {
        what: "the id of what was put in stands elsewhere",
        change: |target| {
            for display in &mut target.displays {
                display.id = Some(Spot::Pointer("/number".to_owned()));
            }
        },
        id: "PI-10",
        word: "inconclusive",
        says: "correct `id` of its [[display]]",
    },
    Case {
        what: "no way to an account ends in a cookie",
        change: |target| {
            target.sign_ups.retain(|sign_up| !matches!(sign_up.credential, NewCredential::Cookie(_)))
        },
        id: "PI-11",
        word: "inconclusive",
        says: "ends in a cookie",
    },
    Case {
        what: "nothing tells what went to the model",
        change: |target| {
            if let Some(rehearsal) = &mut target.rehearsal {
                rehearsal.trace = None;
            }
        },
        id: "PI-12",
        word: "inconclusive",
        says: "`trace`",
    },
    Case {
        what: "the trace is a page that is not there",
        change: |target| {
            if let Some(rehearsal) = &mut target.rehearsal {
                rehearsal.trace = Some(format!("{}no-such-page", target.base_url).parse().expect("a URL"));
            }
        },
        id: "PI-12",
        word: "inconclusive",
        says: "`trace`",
    },
    Case {
        what: "nothing confirms the list of routes",
        change: |target| target.inventory.openapi = None,
        id: "AUTH-01",
        word: "inconclusive",
        says: "nothing confirms",
    },
    Case {
        what: "the document that should confirm it is not there",
        change: |target| {
            target.inventory.openapi =
                Some(portcullis_check::target::OpenApi::OnTarget("/no-such.json".to_owned()));
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "no OpenAPI document",
    },
    Case {
        what: "the log knows a route that the list does not",
        change: |target| {
            let text = "- - - [x] \"GET /api/export HTTP/1.1\" 200 5".to_owned();
            target
                .inventory
                .confirmations
                .push(Confirmation::AccessLog { origin: "file:log".to_owned(), text });
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "GET /api/export",
    },
    Case {
        what: "no credential was revoked",
        change: |target| target.identities.retain(|identity| identity.state != State::Revoked),
        id: "AUTH-01",
        word: "inconclusive",
        says: "no credential that is revoked",
    },
    Case {
        what: "the revoked credential is the expired one",
        change: |target| {
            let expired = target.identities.iter().find(|identity| identity.state == State::Expired);
            let credential = expired.expect("one has expired").credential.clone();
            for identity in &mut target.identities {
                if identity.state == State::Revoked {
                    identity.credential = credential.clone();
                }
            }
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "does not show that it was revoked",
    },
    Case {
        what: "the member's own credential does not work",
        change: |target| {
            for identity in &mut target.identities {
                if identity.state == State::Valid {
                    identity.credential = Credential::bearer("wrong");
                }
            }
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "a route that writes may not be asked",
        change: |target| target.inventory.routes.iter_mut().for_each(|route| route.succeeds_with = None),
        id: "AUTH-01",
        word: "inconclusive",
        says: "--allow writes",
    },
    Case {
        what: "a path has no value for its parameter",
        change: |target| target.inventory.routes.iter_mut().for_each(|route| route.params.clear()),
        id: "AUTH-01",
        word: "inconclusive",
        says: "needs a value for `",
    },
    Case {
        what: "both members are of one community",
        change: |target| {
            target.identities.iter_mut().for_each(|identity| identity.community = "harbour".to_owned())
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "two communities",
    },
    Case {
        what: "a route answers both communities alike",
        change: |target| {
            target
                .inventory
                .routes
                .iter_mut()
                .for_each(|route| _ = route.query.insert("q".to_owned(), "nothing".to_owned()))
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "GET /api/search answers both communities alike",
    },
    Case {
        what: "the secret is strong and not the one in use",
        change: |target| {
            let other = random_bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            target.secrets.jwt =
                Some(HeldSecret { held: Held::Given, ..HeldSecret::served(&other, "file:other") });
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "are not signed with this JWT_SECRET",
    },
    Case {
        what: "only a token is known",
        change: |target| {
            target.secrets.jwt = None;
            target.secrets.sample_jwt = target
                .identities
                .first()
                .map(|identity| portcullis_core::Secret::new(identity.credential.secret().expose().clone()));
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "does not show that a secret is random",
    },
    Case {
        what: "the secret is used in another environment",
        change: |target| {
            let csrf = target.secrets.csrf.as_ref().expect("it is known").value.expose().clone();
            let hash = ring::digest::digest(&ring::digest::SHA256, csrf.as_bytes());
            let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            target.secrets.used_elsewhere.push(format!("sha256:{hex}"));
        },
        id: "SEC-10",
        word: "fail",
        says: "another environment",
    },
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
        what: "a user has one session only",
        change: |target| target.identities.retain(|identity| identity.name != "carol-2"),
        id: "RL-01",
        word: "inconclusive",
        says: "one user with 2 sessions is needed",
    },
    Case {
        what: "nothing tells the gate's 429 from a provider's",
        change: |target| target.limits.marker = None,
        id: "RL-01",
        word: "inconclusive",
        says: "cannot be told",
    },
    Case {
        what: "no limit for addresses is promised",
        change: |target| target.limits.address_per_minute = None,
        id: "RL-01",
        word: "inconclusive",
        says: "no limit for each address",
    },
    Case {
        what: "there are too few users to reach an address's limit, so strangers show it",
        change: |target| target.identities.retain(|identity| identity.name != "erin"),
        id: "RL-01",
        word: "pass",
        says: "3 of 3 limits",
    },
    Case {
        what: "no credential ends during the run",
        change: |target| target.identities.retain(|identity| identity.state != State::Expiring),
        id: "AUTH-02",
        word: "inconclusive",
        says: "needs a credential that ends",
    },
    Case {
        what: "the credential has ended before the run",
        change: |target| {
            let old = target.identities.iter().find(|identity| identity.state == State::Expired);
            let old = old.expect("one has expired").clone();
            let ended = old.clone().expiring(jiff::Timestamp::from_second(1_000_000_000).expect("a time"));
            target.identities.retain(|identity| identity.state != State::Expiring);
            target.identities.push(Identity { credential: Credential::bearer("opaque"), ..ended });
        },
        id: "AUTH-02",
        word: "inconclusive",
        says: "had ended before",
    },
    Case {
        what: "the token ends at another time than is said",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.state == State::Expiring)
            {
                identity.ends = identity.ends.map(|ends| ends + jiff::SignedDuration::from_secs(9));
            }
        },
        id: "AUTH-02",
        word: "inconclusive",
        says: "ends at another time",
    },
    Case {
        what: "the canaries are not indexed",
        change: |target| {
            for (number, canary) in target.canaries.iter_mut().enumerate() {
                canary.text = format!("neverwrittenanywhere{number}");
            }
        },
        id: "AUTH-05",
        word: "inconclusive",
        says: "does not find its canary",
    },
    Case {
        what: "nobody's payment has ended",
        change: |target| target.identities.retain(|identity| identity.state != State::Lapsed),
        id: "AUTH-05",
        word: "inconclusive",
        says: "no member whose payment",
    },
    Case {
        what: "the lapsed member's credential never was one",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.state == State::Lapsed) {
                identity.credential = Credential::bearer("made-up-credential");
            }
        },
        id: "AUTH-05",
        word: "inconclusive",
        says: "refused like a credential that never was",
    },
    Case {
        what: "the target names no search",
        change: |target| target.inventory.routes.retain(|route| route.path != "/api/search"),
        id: "AUTH-05",
        word: "inconclusive",
        says: "no route for search is known",
    },
    Case {
        what: "the bot tells nobody anything of the canaries",
        change: |target| {
            for (number, canary) in target.canaries.iter_mut().enumerate() {
                canary.text = format!("neverwrittenanywhere{number}");
            }
        },
        id: "TEN-01",
        word: "inconclusive",
        says: "no owner of a canary is told it",
    },
    Case {
        what: "the bot knows one canary of a community only",
        change: |target| {
            for canary in target.canaries.iter_mut().filter(|canary| canary.space == "office") {
                canary.topic = "the nothing at all".to_owned();
            }
        },
        id: "TEN-01",
        word: "inconclusive",
        says: "the chat tells nobody the canary in space `office` of harbour",
    },
    Case {
        what: "there is a canary in one community only",
        change: |target| target.canaries.retain(|canary| canary.community == "harbour"),
        id: "TEN-01",
        word: "inconclusive",
        says: "in two communities",
    },
    Case {
        what: "how the chat streams is not known",
        change: |target| target.chat.stream = None,
        id: "TEN-02",
        word: "inconclusive",
        says: "how an answer is streamed is not known",
    },
    Case {
        what: "what should stream does not",
        change: |target| target.chat.stream.clone_from(&target.chat.route.body),
        id: "TEN-02",
        word: "inconclusive",
        says: "answered without events",
    },
    Case {
        what: "everyone pays",
        change: |target| {
            target.identities.retain(|identity| !identity.plans.is_empty() || !identity.spaces.is_empty())
        },
        id: "TEN-07",
        word: "inconclusive",
        says: "no working identity may not read space `lounge`",
    },
    Case {
        what: "nobody is staff",
        change: |target| target.identities.retain(|identity| identity.spaces.is_empty()),
        id: "TEN-07",
        word: "inconclusive",
        says: "no working identity may read space `office`",
    },
    Case {
        what: "no instance is blocked",
        change: |target| target.blocked = None,
        id: "DPL-07",
        word: "inconclusive",
        says: "readiness was not seen to say no, although it names documents",
    },
    Case {
        what: "the blocked instance is not blocked",
        change: |target| target.blocked = Some(target.base_url.clone()),
        id: "DPL-07",
        word: "fail",
        says: "where a dependency is blocked",
    },
    Case {
        what: "nobody of the admin role works",
        change: |target| target.identities.retain(|identity| identity.role != "admin"),
        id: "AUTH-03",
        word: "inconclusive",
        says: "no working identity may use",
    },
    Case {
        what: "the credential of the staff is not known",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.role == "staff") {
                identity.credential = Credential::bearer("wrong");
            }
        },
        id: "AUTH-03",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "no route is in the admin plane",
        change: |target| target.roles.admin_paths = vec!["/manage".to_owned()],
        id: "AUTH-03",
        word: "fail",
        says: "stands outside the admin plane",
    },
    Case {
        what: "the id of a new conversation is not where it is said to be",
        change: |target| {
            target.owned.iter_mut().for_each(|owned| owned.id = Spot::Pointer("/uuid".to_owned()))
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "the id of a new conversation is not where",
    },
    Case {
        what: "a conversation is read where there is none",
        change: |target| {
            target.owned.iter_mut().for_each(|owned| owned.read.path = "/api/talks/{id}".to_owned());
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "two sessions of one member stand for two members",
        change: |target| {
            target.identities.iter_mut().for_each(|identity| identity.user.clone_from(&identity.community));
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "no two members of one community",
    },
    Case {
        what: "how a conversation is changed is not known",
        change: |target| target.owned.iter_mut().for_each(|owned| owned.update = None),
        id: "AUTH-04",
        word: "inconclusive",
        says: "`update` of a conversation is not known",
    },
    Case {
        what: "how files are uploaded is not known",
        change: |target| target.owned.retain(|owned| owned.kind != OwnedKind::File),
        id: "TEN-06",
        word: "inconclusive",
        says: "how a file is made and read is not known",
    },
    Case {
        what: "the owner has no expired credential",
        change: |target| target.identities.retain(|identity| identity.state != State::Expired),
        id: "TEN-06",
        word: "inconclusive",
        says: "no expired credential of `alice`",
    },
    Case {
        what: "nobody signed who may do what",
        change: |target| target.roles.declared = None,
        id: "RBAC-01",
        word: "inconclusive",
        says: "write each role's permissions into a file",
    },
    Case {
        what: "the declared file was changed after it was signed",
        change: |target| {
            let declared = target.roles.declared.as_mut().expect("one is declared");
            declared.sha256 = "0".repeat(64);
        },
        id: "RBAC-01",
        word: "fail",
        says: "is not the file that the owner of the foreign chatbot, 2026-01-10 signed",
    },
    Case {
        what: "the system does not say who may do what",
        change: |target| target.roles.system = None,
        id: "RBAC-01",
        word: "inconclusive",
        says: "add `system` to [roles]",
    },
    Case {
        what: "the list of members ends after its first page",
        change: |target| target.accounts.lists.iter_mut().for_each(|list| list.next = None),
        id: "RBAC-02",
        word: "inconclusive",
        says: "it is not whole",
    },
    Case {
        what: "service keys are not listed",
        change: |target| target.accounts.lists.retain(|list| list.kind == AccountKind::People),
        id: "RBAC-02",
        word: "inconclusive",
        says: "where keys are listed is not known",
    },
    Case {
        what: "one community's accounts are not listed",
        change: |target| target.accounts.lists.iter_mut().for_each(|list| list.askers.truncate(1)),
        id: "RBAC-02",
        word: "inconclusive",
        says: "nobody reads GET /api/admin/members for orchard",
    },
    Case {
        what: "two users have one credential",
        change: |target| {
            let of = |target: &Target, name: &str| {
                let mut all = target.identities.iter();
                all.find(|identity| identity.name == name).expect("known").credential.clone()
            };
            let credential = of(target, "ann");
            for identity in target.identities.iter_mut().filter(|identity| identity.name == "abe") {
                identity.credential = credential.clone();
            }
        },
        id: "RBAC-02",
        word: "fail",
        says: "`ann` and `abe` use one credential",
    },
    Case {
        what: "no request exercises a permission",
        change: |target| target.inventory.permission_key = None,
        id: "RBAC-03",
        word: "inconclusive",
        says: "no request exercises `ask`",
    },
    Case {
        what: "nobody has one of the roles",
        change: |target| target.identities.retain(|identity| identity.role != "staff"),
        id: "RBAC-03",
        word: "inconclusive",
        says: "no working identity has the role `staff`",
    },
    Case {
        what: "there is one way to an account only",
        change: |target| target.sign_ups.retain(|sign_up| sign_up.by == SignUpBy::Self_),
        id: "RBAC-04",
        word: "inconclusive",
        says: "that is begun by staff is known",
    },
    Case {
        what: "a new member is known by what somebody else has",
        change: |target| {
            for sign_up in &mut target.sign_ups {
                sign_up.credential =
                    NewCredential::Header { name: "X-Nothing".to_owned(), value: "x".to_owned() };
            }
        },
        id: "RBAC-04",
        word: "inconclusive",
        says: "GET /api/me",
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
        what: "no header is believed where the limit of an IPv6 network would be tried",
        change: |target| forwarded(target).header = "X-Nothing".to_owned(),
        id: "RL-06",
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
        what: "no limit for each address is promised, so that none of a network is tried",
        change: |target| forwarded(target).address_per_minute = None,
        id: "RL-06",
        word: "pass",
        says: "no network of IPv6 addresses was tried: no limit for each address is promised",
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
        what: "no sandbox is named",
        change: |target| target.sandbox = None,
        id: "SBX-05",
        word: "inconclusive",
        says: "[sandbox]",
    },
    Case {
        what: "no file is planted on the sandbox's host",
        change: |target| sandbox(target).planted.clear(),
        id: "SBX-05",
        word: "inconclusive",
        says: "[[sandbox.planted]]",
    },
    Case {
        what: "the build brings no programs for what the sandbox runs",
        change: |target| sandbox(target).runtime = Runtime::Wasm(None),
        id: "SBX-05",
        word: "inconclusive",
        says: "--features sandbox",
    },
    Case {
        what: "the key of the sandbox is wrong",
        change: |target| sandbox(target).credential = Some(Credential::bearer("no such key")),
        id: "SBX-05",
        word: "inconclusive",
        says: "POST /jobs",
    },
    Case {
        what: "the sandbox is somewhere else than it says",
        change: |target| {
            let elsewhere = target.base_url.clone();
            sandbox(target).at = elsewhere;
        },
        id: "SBX-06",
        word: "inconclusive",
        says: "POST /jobs",
    },
    Case {
        what: "more jobs are said to run at a time than do",
        change: |target| sandbox(target).at_once = 5,
        id: "SBX-06",
        word: "fail",
        says: "3 of 5 ran at a time",
    },
    Case {
        what: "fewer jobs are said to run at a time than do",
        change: |target| sandbox(target).at_once = 2,
        id: "SBX-06",
        word: "fail",
        says: "the target says 2",
    },
    Case {
        what: "a flood is allowed and nobody asked for it",
        change: |_| {},
        id: "EDGE-11",
        word: "inconclusive",
        says: "--allow drills",
    },
];

/// Where the chatbot meets the network.
fn edge(target: &mut Target) -> &mut portcullis_check::target::Edge {
    target.edge.as_mut().expect("it has an edge")
}

#[tokio::test]
async fn what_a_target_file_leaves_out_never_turns_into_a_pass() {
    if !node_is_here().await {
        return;
    }
    let wrong: Vec<String> = stream::iter(CASES)
        .map(|case| async move {
            let foreign = Foreign::start(None).await;
            let mut target = foreign.target();
            (case.change)(&mut target);
            let only = vec![Selector::parse(case.id).expect("an id")];
            let mut options = Options { only, ..options() };
            options.allow.writes = case.says != "--allow writes";
            options.allow.drills = case.says != "--allow drills";
            let report = run(target, &options, &Quiet).await;
            foreign.stop().await;
            let outcome = outcome(&report, case.id);
            let right = outcome.word() == case.word && outcome.reason().contains(case.says);
            (!right)
                .then(|| format!("{}: {} says {}: {}", case.what, case.id, outcome.word(), outcome.reason()))
        })
        .buffer_unordered(4)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_address_limit_that_is_off_is_seen_by_strangers_too() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("no-address-limit")).await;
    let mut target = foreign.target();
    target.identities.retain(|identity| identity.name != "erin");
    let only = vec![Selector::parse("RL-01").expect("an id")];
    let report = run(target, &Options { only, ..options() }, &Quiet).await;
    foreign.stop().await;
    assert_eq!(outcome(&report, "RL-01").word(), "fail", "{}", outcome(&report, "RL-01").reason());
}
