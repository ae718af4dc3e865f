//! Four real exports served as four communities: two members of each, one with the plan that opens its paid spaces and
//! one without, ask through the official OpenAI clients and are answered in streams with citations.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use http::{Method, StatusCode};
use portcullis_model::upstream::{Answer, Behaviour, Heard, Reply, Slow, Upstream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clients::{skip, variable};
use crate::exports::{EXPORTS, Export, Form, PLAN, Question, Questions, unpacked};
use crate::program::{Program, Serving, text};

/// Lines of a document that are as long as this are nobody's commonplaces.
const TELLING: usize = 60;
/// Characters of one piece of the model's stream.
const PIECE: usize = 200;

const PYTHON: &str = r#"
import json, sys
from openai import OpenAI
url, jobs = sys.argv[1:]
for job in json.load(open(jobs)):
    client = OpenAI(base_url=url + "/v1", api_key=job["key"], max_retries=0)
    parts, citations = [], []
    for chunk in client.chat.completions.create(
            model="librarian", messages=[{"role": "user", "content": job["ask"]}], stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            parts.append(chunk.choices[0].delta.content)
        citations += (chunk.model_extra or {}).get("citations", [])
    print(json.dumps({"text": "".join(parts), "parts": len(parts), "citations": citations}))
"#;

const NODE: &str = r#"
const OpenAI = require("openai");
const [url, jobs] = process.argv.slice(2);
(async () => {
  for (const job of JSON.parse(require("fs").readFileSync(jobs, "utf8"))) {
    const client = new OpenAI({ baseURL: url + "/v1", apiKey: job.key, maxRetries: 0 });
    let text = "", parts = 0;
    const citations = [];
    for await (const chunk of await client.chat.completions.create({
      model: "librarian", messages: [{ role: "user", content: job.ask }], stream: true })) {
      const said = chunk.choices[0]?.delta?.content;
      if (said) { text += said; parts += 1; }
      citations.push(...(chunk.citations ?? []));
    }
    console.log(JSON.stringify({ text, parts, citations }));
  }
})().catch((error) => { console.error(error); process.exit(1); });
"#;

/// A model that reads out all that it was given to answer from, each passage with its mark.
#[derive(Debug)]
struct Librarian;

impl Behaviour for Librarian {
    fn name(&self) -> &'static str {
        "librarian"
    }

    fn answer(&self, heard: &Heard) -> Reply {
        let request = heard.json();
        let messages = request["messages"].as_array().into_iter().flatten();
        let lines = messages.filter_map(|message| message["content"].as_str()).flat_map(str::lines);
        let passages = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let said = passages.filter_map(|passage| {
            Some(format!("{}\n[{}]\n\n", passage["text"].as_str()?, passage["passage"].as_u64()?))
        });
        Answer::text(&said.collect::<String>(), PIECE).reply_to(heard)
    }
}

#[derive(Serialize)]
struct Job<'a> {
    key: &'a str,
    ask: &'a str,
}

/// What a client was told.
#[derive(Deserialize)]
struct Told {
    text: String,
    parts: usize,
    citations: Vec<Citation>,
}

#[derive(Deserialize)]
struct Citation {
    document: String,
}

/// A community with the keys of its two members.
struct Circle {
    name: &'static str,
    questions: Vec<Question>,
    supporter: String,
    other: String,
}

fn open_circle(program: &Program, export: &Export) -> Circle {
    let name = export.name;
    let questions = Questions::of(export);
    program.ok(&["community", "create", name, "--tier", "dedicated"]);
    program.ok(&["plan", "create", "--community", name, PLAN]);
    let map = program.path().join(format!("{name}.toml"));
    std::fs::write(&map, questions.space_map()).expect("a space map");
    let form = match export.form {
        Form::Discourse => "discourse",
        Form::Folder => "folder",
    };
    let map = map.to_str().expect("text");
    program.ok(&["import", form, name, "--community", name, "--space-map", map]);
    let key = |who: &str, plan: &[&str]| {
        let added = program.ok(&[&["member", "add", "--community", name, who], plan].concat());
        let member = added.split_whitespace().nth(1).expect("an id").to_owned();
        let create = ["key", "create", "--community", name, who, "--member", &member];
        program.ok(&[&create[..], &["--ability", "chat,search"]].concat()).trim().to_owned()
    };
    let supporter = key("Petra", &["--plan", PLAN]);
    Circle { name, questions: questions.question, supporter, other: key("Noah", &[]) }
}

/// Asks every question as both members, the even ones with one client and the odd ones with the other.
async fn ask(serving: &Serving, program: &Program, circle: &Circle, key: &str) -> Option<Vec<Told>> {
    let python = variable("PORTCULLIS_TEST_PYTHON")?;
    let modules = variable("PORTCULLIS_TEST_NODE_MODULES")?;
    let jobs = |remainder: usize| {
        let chosen = circle.questions.iter().enumerate().filter(|(place, _)| place % 2 == remainder);
        let jobs: Vec<_> = chosen.map(|(_, question)| Job { key, ask: &question.ask }).collect();
        let file = program.path().join(format!("jobs-{remainder}.json"));
        std::fs::write(&file, serde_json::to_vec(&jobs).expect("JSON")).expect("a file of jobs");
        (file, jobs.len())
    };
    let (even, odd) = (jobs(0), jobs(1));
    let script = program.path().join("circle.cjs");
    std::fs::write(&script, NODE).expect("a script");
    let mut first = Command::new(python);
    first.args(["-c", PYTHON, &serving.url]).arg(even.0);
    let mut second = Command::new("node");
    second.arg(script).arg(&serving.url).arg(odd.0).env("NODE_PATH", modules);
    let told = |mut command: Command, wanted: usize| {
        tokio::task::spawn_blocking(move || {
            let output = command.output().expect("the client runs");
            let printed = text(&output.stdout);
            let told: Vec<Told> =
                printed.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
            assert_eq!(told.len(), wanted, "the client stopped: {}", text(&output.stderr));
            told
        })
    };
    let (first, second) = tokio::join!(told(first, even.1), told(second, odd.1));
    let (mut first, mut second) = (first.expect("it ran").into_iter(), second.expect("it ran").into_iter());
    let both = std::iter::from_fn(|| {
        let even = first.next()?;
        Some(std::iter::once(even).chain(second.next()))
    });
    Some(both.flatten().collect())
}

/// The lines of a document's text, each with its end.
fn lines(document: &Value) -> impl Iterator<Item = &str> {
    let chunks = document["chunks"].as_array().into_iter().flatten();
    chunks
        .filter_map(|chunk| chunk["text"].as_str())
        .flat_map(|text| text.split_inclusive('\n').chain(["\n"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_real_communities_are_answered_through_the_official_clients() {
    let program = Program::new();
    if !unpacked(program.path()) {
        return;
    }
    let circles: Vec<_> = EXPORTS.iter().map(|export| open_circle(&program, export)).collect();
    // Pieces that come at once leave as one.
    let model = Slow::new(Librarian).between(Duration::from_millis(2));
    let upstream = Upstream::start(model).await.expect("an upstream");
    let model = format!("model.url={}", upstream.url());
    let set = [
        model.as_str(),
        "model.name=librarian",
        "limits.per_address_per_minute=1000000",
        "limits.per_key_per_minute=1000000",
    ];
    let serving = program.serve(&set.map(|value| ["--set", value]).concat()).await;

    // Where each community's documents are cited: none may appear in two.
    let mut cited: BTreeMap<String, &str> = BTreeMap::new();
    for circle in &circles {
        let Some(supporters) = ask(&serving, &program, circle, &circle.supporter).await else {
            return skip("openai-clients", "the official clients for Python and Node are not installed");
        };
        let others = ask(&serving, &program, circle, &circle.other).await.expect("they are installed");

        let mut documents = BTreeSet::new();
        for told in supporters.iter().chain(&others) {
            for citation in &told.citations {
                let owner = cited.insert(citation.document.clone(), circle.name);
                assert!(
                    owner.is_none_or(|owner| owner == circle.name),
                    "{} is {owner:?}'s",
                    citation.document
                );
                documents.insert(citation.document.clone());
            }
        }
        let mut paid: BTreeMap<String, Value> = BTreeMap::new();
        let mut open = String::new();
        for document in &documents {
            let path = format!("/v1/documents/{document}");
            let (status, body) = serving.send(Method::GET, &path, &circle.supporter, None).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            match serving.send(Method::GET, &path, &circle.other, None).await.0 {
                StatusCode::OK => open.extend(lines(&serde_json::from_str(&body).expect("JSON"))),
                StatusCode::NOT_FOUND => {
                    paid.insert(document.clone(), serde_json::from_str(&body).expect("JSON"));
                }
                status => panic!("{path} is {status} for a member without the plan"),
            }
        }
        assert!(paid.len() >= 5, "{}: {} paid documents were cited", circle.name, paid.len());
        let secrets: Vec<&str> =
            paid.values().flat_map(lines).map(str::trim).filter(|line| line.len() >= TELLING).collect();
        assert!(secrets.len() > 20, "{}: the paid documents say something", circle.name);
        // What is quoted in an open document too is no secret.
        let told_secret =
            |told: &Told| secrets.iter().any(|secret| told.text.contains(secret) && !open.contains(secret));
        assert!(
            supporters.iter().any(&told_secret),
            "{}: the supporter is told what is paid for",
            circle.name
        );
        for (question, told) in circle.questions.iter().zip(&others) {
            assert!(!told_secret(told), "`{}` told what is for the plan only", question.ask);
            let closed = told.citations.iter().find(|citation| paid.contains_key(&citation.document));
            assert!(closed.is_none(), "`{}` cited what is for the plan only", question.ask);
        }

        let asked = circle.questions.len();
        let relied = supporters.iter().filter(|told| !told.citations.is_empty()).count();
        let streamed = supporters.iter().filter(|told| told.parts > 1).count();
        println!(
            "{}: {relied}/{asked} answers cite, {streamed} came in several pieces; {} documents were cited, {} of them paid",
            circle.name,
            documents.len(),
            paid.len(),
        );
        assert_eq!(relied, asked, "{}: every answer cites", circle.name);
        // An answer to what the screen finds suspicious leaves in one piece, once it is judged as a whole.
        assert!(streamed * 100 >= 90 * asked, "{}: {streamed} of {asked} were streamed", circle.name);
    }
    assert_eq!(serving.stop(), Some(0));
}
