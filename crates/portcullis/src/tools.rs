//! The tools that the model may ask for, from the configuration to the registry.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures_util::future::join_all;
use portcullis_config::{Config, ToolApproval, ToolWay};
use portcullis_core::SystemClock;
use portcullis_egress::AddressPolicy;
use portcullis_guard::{Approving, ToolLimits};
use portcullis_sandbox::Queue;
#[cfg(not(feature = "sandbox"))]
use portcullis_sandbox::Sandbox;
use portcullis_tools::{ApprovalRule, Egress, Pin, Program, Registry, Settings, Tool, Way, WebMethod};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

#[cfg(feature = "sandbox")]
use crate::sandbox::walls::sandbox;

/// How many tools are asked about at a time, at most.
const AT_ONCE: usize = 32;
/// How often the servers of tools are asked, and files of programs looked at, whether tools are still what was approved.
const EVERY: Duration = Duration::from_secs(60);

/// How much one turn may make of tools.
pub(crate) fn limits(config: &Config) -> ToolLimits {
    let tools = &config.tools;
    ToolLimits {
        rounds: tools.rounds.get(),
        calls: tools.calls.get(),
        approving: Approving {
            wait: tools.approval,
            keep: tools.approvals_keep,
            open: count(tools.approvals_most_open),
            of_one: count(tools.approvals_most_of_one),
        },
    }
}

/// Every tool of the configuration. Nothing is connected to yet, and nothing run.
pub(crate) fn registry(config: &Config) -> Result<Registry> {
    let mut yard = Yard { config, queue: None };
    let settings = config.tools.list.iter().map(|tool| settings(tool, &mut yard));
    let settings = settings.collect::<Result<Vec<_>>>()?;
    let open = config.danger.guards_off.iter().any(|guard| guard.as_str() == "tool-addresses");
    let policy = if open { AddressPolicy::Any } else { AddressPolicy::Public };
    Ok(Registry::new(settings, &Egress { policy, resolver: None })?)
}

/// The one sandbox of all tools that are programs, made when there is one.
struct Yard<'c> {
    config: &'c Config,
    queue: Option<Arc<Queue>>,
}

impl Yard<'_> {
    fn queue(&mut self) -> Result<Arc<Queue>> {
        if let Some(queue) = &self.queue {
            return Ok(Arc::clone(queue));
        }
        let tools = &self.config.tools;
        let (sandbox, at_once) = sandbox(self.config, count(tools.programs_at_once))?;
        let waiting = count(tools.programs_most_waiting);
        let queue = Queue::new(sandbox, Arc::new(SystemClock::new()), at_once, waiting);
        Ok(Arc::clone(self.queue.insert(Arc::new(queue))))
    }
}

/// The configuration refuses such a tool before this.
#[cfg(not(feature = "sandbox"))]
fn sandbox(_: &Config, _: usize) -> Result<(Arc<dyn Sandbox>, usize)> {
    anyhow::bail!("this build has no sandbox; take a release, or build with `--features sandbox`")
}

fn count(number: NonZeroU32) -> usize {
    usize::try_from(number.get()).unwrap_or(usize::MAX)
}

fn settings(tool: &portcullis_config::Tool, yard: &mut Yard<'_>) -> Result<Settings> {
    let name = tool.name.as_str();
    let way = match &tool.way {
        ToolWay::Post { url, key } => {
            Way::Http { url: url.as_str().to_owned(), method: WebMethod::Post, key: key.clone() }
        }
        ToolWay::Get { url, key } => {
            Way::Http { url: url.as_str().to_owned(), method: WebMethod::Get, key: key.clone() }
        }
        ToolWay::Fetch { hosts } => Way::Fetch { hosts: hosts.iter().cloned().collect() },
        ToolWay::Mcp { url, key, remote } => Way::Mcp {
            url: url.as_str().to_owned(),
            key: key.clone(),
            remote: remote.as_ref().unwrap_or(&tool.name).as_str().to_owned(),
        },
        ToolWay::Program { program, memory_bytes, output_bytes } => Way::Program(Program {
            bytes: Arc::clone(&program.bytes),
            path: program.path.clone(),
            memory_bytes: *memory_bytes,
            output_bytes: *output_bytes,
            queue: yard.queue()?,
        }),
    };
    let pin = tool.pin.as_ref().map(|pin| pin.as_str().parse::<Pin>());
    let schema = tool.schema.as_ref().map(|text| serde_json::from_str(text));
    Ok(Settings {
        name: name.parse().map_err(|problem| anyhow!("the tool `{name}`: its name {problem}"))?,
        description: tool.description.clone().unwrap_or_default(),
        schema: schema.transpose().with_context(|| format!("the tool `{name}`: its schema is no JSON"))?,
        way,
        communities: tool.communities.iter().map(|slug| slug.as_str().to_owned()).collect(),
        roles: tool.roles.iter().copied().collect(),
        pin: pin.transpose().map_err(|problem| anyhow!("the tool `{name}`: `pin` {problem}"))?,
        approval: match tool.approval {
            ToolApproval::None => ApprovalRule::None,
            ToolApproval::Human => ApprovalRule::Human,
        },
        networks: tool.networks.iter().map(|network| network.network()).collect(),
        per_turn: tool.per_turn.get(),
        per_hour: tool.per_hour,
        per_day: tool.per_day,
        timeout: tool.timeout,
        result_bytes: tool.result_bytes,
    })
}

/// Asks the servers of tools and looks at programs now and then, so that the model is told of those that stand, and the operator
/// of the others. Each tool goes by itself: a server that does not answer keeps no other tool waiting.
pub(crate) async fn watch(registry: Arc<Registry>, closing: impl Future<Output = ()>) {
    if registry.is_empty() {
        return;
    }
    let places = Semaphore::new(AT_ONCE);
    let asking = join_all(registry.all().map(|tool| watch_one(tool, &places)));
    tokio::select! {
        _ = asking => {}
        () = closing => {}
    }
}

async fn watch_one(tool: &Tool, places: &Semaphore) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        ticks.tick().await;
        let now = {
            let _place = places.acquire().await;
            tool.verify().await.err()
        };
        let before = told.replace(now.clone());
        // Each change once, and at the start what is stopped.
        match (before, now) {
            (Some(before), now) if before == now => {}
            (None, None) => {}
            (_, None) => {
                tracing::info!(tool = tool.name().as_str(), "the tool stands as it was approved")
            }
            (_, Some(stop)) => {
                tracing::warn!(tool = tool.name().as_str(), why = %stop, "the tool is stopped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use portcullis_core::Role;
    use portcullis_tools::Standing;
    use serde_json::{Value, json};

    use super::*;

    fn mcp(name: &str, server: SocketAddr) -> Settings {
        Settings {
            name: name.parse().expect("a name"),
            description: String::new(),
            schema: None,
            way: Way::Mcp { url: format!("http://{server}/mcp"), key: None, remote: name.to_owned() },
            communities: ["sailors".to_owned()].into(),
            roles: [Role::Member].into(),
            pin: Some(Pin::of(name, "", &json!({ "type": "object" }))),
            approval: ApprovalRule::None,
            networks: vec!["127.0.0.1/32".parse().expect("a network")],
            per_turn: 1,
            per_hour: None,
            per_day: None,
            timeout: Duration::from_secs(120),
            result_bytes: 1_000,
        }
    }

    /// Answers whatever it is asked with a list of that one tool.
    fn answer(mut stream: TcpStream, name: &str) {
        let mut bytes = Vec::new();
        let asked = |bytes: &[u8]| {
            let (_, body) = std::str::from_utf8(bytes).ok()?.split_once("\r\n\r\n")?;
            serde_json::from_str::<Value>(body).ok()
        };
        while asked(&bytes).is_none() {
            let mut piece = [0; 4096];
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
            }
        }
        let tools = json!([{ "name": name, "inputSchema": { "type": "object" } }]);
        let body = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string();
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
        );
    }

    #[tokio::test]
    async fn a_server_that_never_answers_keeps_no_other_tool_from_the_model() {
        // The system takes the connection, and nobody answers on it.
        let slow = TcpListener::bind("127.0.0.1:0").expect("a loopback address");
        let good = TcpListener::bind("127.0.0.1:0").expect("a loopback address");
        let at = |listener: &TcpListener| listener.local_addr().expect("an address");
        let tools = vec![mcp("a_slow", at(&slow)), mcp("b_good", at(&good))];
        std::thread::spawn(move || good.incoming().flatten().for_each(|stream| answer(stream, "b_good")));
        let registry = Arc::new(Registry::new(tools, &Egress::default()).expect("a registry"));
        let standing = |name: &str| registry.find(name).expect("a tool").standing();
        let ready = async {
            while !matches!(standing("b_good"), Standing::Ready(_)) {
                tokio::task::yield_now().await;
            }
        };
        let watching = watch(Arc::clone(&registry), ready);
        tokio::time::timeout(Duration::from_secs(10), watching)
            .await
            .expect("it is ready while the other hangs");
        assert!(matches!(standing("a_slow"), Standing::Unknown));
    }
}
