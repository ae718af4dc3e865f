//! The tools that the model may ask for, from the configuration to the registry.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use portcullis_config::{Config, ToolApproval, ToolWay};
use portcullis_core::SystemClock;
use portcullis_egress::AddressPolicy;
use portcullis_guard::{Approving, ToolLimits};
use portcullis_sandbox::{Queue, Sandbox};
use portcullis_tools::{ApprovalRule, Egress, Pin, Program, Registry, Settings, Way, WebMethod};

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
        let (at_once, waiting) = (count(tools.programs_at_once), count(tools.programs_most_waiting));
        let queue = Queue::new(sandbox()?, Arc::new(SystemClock::new()), at_once, waiting);
        Ok(Arc::clone(self.queue.insert(Arc::new(queue))))
    }
}

#[cfg(feature = "sandbox")]
fn sandbox() -> Result<Arc<dyn Sandbox>> {
    Ok(Arc::new(portcullis_sandbox_wasm::Wasm::new()?))
}

/// The configuration refuses such a tool before this.
#[cfg(not(feature = "sandbox"))]
fn sandbox() -> Result<Arc<dyn Sandbox>> {
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
/// of the others.
pub(crate) async fn watch(registry: Arc<Registry>, closing: impl Future<Output = ()>) {
    if registry.is_empty() {
        return;
    }
    let asking = async {
        let mut ticks = tokio::time::interval(EVERY);
        let mut told = BTreeMap::new();
        loop {
            ticks.tick().await;
            for tool in registry.all() {
                let now = tool.verify().await.err();
                let before = told.insert(tool.name().clone(), now.clone());
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
    };
    tokio::select! {
        () = asking => {}
        () = closing => {}
    }
}
