//! A server that answers as it is told and counts what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_core::Role;
use portcullis_tools::{
    ApprovalRule, Egress, Fault, Permit, Pin, Registry, Returned, Settings, Stop, Tool, Way, WebMethod, call,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Answers = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// It ends with this value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// At that address; `answer` gets the whole request and gives the whole answer.
    pub(crate) async fn at(address: &str, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback address");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen): (Answers, _) = (Arc::new(answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { address, asked, task }
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Answers, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                seen.lock().expect("not poisoned").push(text.clone());
                let _ = stream.write_all(answer(&text).as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

pub(crate) fn answer(status: &str, form: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {form}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn ok(body: &str) -> String {
    answer("200 OK", "text/plain", body)
}

pub(crate) fn to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// The network that tests keep honest tools in; the traps are beside it, on 127.0.0.1.
pub(crate) const OWN: &str = "127.0.0.2/32";

pub(crate) fn http(url: String, method: WebMethod) -> Settings {
    let schema = json!({
        "type": "object",
        "properties": { "place": { "type": "string", "maxLength": 40 }, "days": { "type": "integer" } },
    });
    let description = "Tells the tide.";
    Settings {
        name: "tide".parse().expect("a name"),
        description: description.to_owned(),
        pin: Some(Pin::of("tide", description, &schema)),
        schema: Some(schema),
        way: Way::Http { url, method, key: Some(portcullis_core::Secret::new("KEY-OF-THE-TOOL".to_owned())) },
        communities: ["sailors".to_owned()].into(),
        roles: [Role::Member].into(),
        networks: vec![OWN.parse().expect("a network")],
        approval: ApprovalRule::None,
        per_turn: 3,
        per_hour: None,
        per_day: None,
        timeout: Duration::from_secs(5),
        result_bytes: 1_000,
    }
}

pub(crate) fn fetch(hosts: &[&str]) -> Settings {
    let mut settings = http("http://127.0.0.2/".to_owned(), WebMethod::Get);
    settings.way = Way::Fetch { hosts: hosts.iter().map(|host| (*host).to_owned()).collect() };
    settings.schema = None;
    settings.pin = None;
    // What it takes is built in; its pin is told by what stops it.
    let tool = tool(settings.clone(), &Egress::default());
    if let portcullis_tools::Standing::Stopped(Stop::NotApproved(pin)) = tool.standing() {
        settings.pin = Some(pin);
    }
    settings
}

pub(crate) fn tool(settings: Settings, egress: &Egress) -> Arc<Tool> {
    let registry = Registry::new(vec![settings], egress).expect("a registry");
    Arc::clone(registry.all().next().expect("a tool"))
}

pub(crate) async fn call_with(tool: &Arc<Tool>, arguments: Value) -> Result<Returned, Fault> {
    let arguments: Map<String, Value> = arguments.as_object().expect("an object").clone();
    let permit = Permit::grant(Arc::clone(tool), arguments, "call-1".to_owned(), "sailors".to_owned());
    call(&permit).await
}
