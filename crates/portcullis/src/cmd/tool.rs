//! `tool list|show`: how each tool stands, and what the model would be told of it, with every character that a reader would not see.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use portcullis_core::unseen::visible;
use portcullis_tools::{ApprovalRule, Standing, Tool, Way};

use crate::args::{Configured, ToolCommand};
use crate::{instance, out, tools};

pub(super) async fn run(configured: &Configured, command: ToolCommand) -> Result<ExitCode> {
    let registry = tools::registry(&instance::configuration(configured)?)?;
    match command {
        ToolCommand::List => {
            if registry.is_empty() {
                out::line("there are no tools: no `[[tool]]` stands in the configuration");
            }
            for tool in registry.all() {
                out::line(format_args!(
                    "{}\n  for {}\n  {}",
                    tool.name(),
                    audience(tool),
                    standing(tool).await
                ));
            }
        }
        ToolCommand::Show { name } => {
            let tool = registry
                .find(&name)
                .ok_or_else(|| anyhow!("there is no tool `{name}` in the configuration"))?;
            // First, so that how it stands is told of these words and of no others that the server says a moment later.
            let told = tool.told().await;
            out::line(format_args!("{}\n  for {}\n  {}", tool.name(), audience(tool), standing(tool).await));
            let (description, schema) = told.map_err(|stop| anyhow!("the tool `{name}`: {stop}"))?;
            // Somebody approves what they read here: no character of it acts on the terminal, and none is hidden.
            out::line(format_args!("\n{}\n\n{}", visible(&description), visible(&format!("{schema:#}"))));
            if let Way::Program(program) = &tool.settings().way {
                out::line(format_args!("\nprogram, sha256 {}", program.digest()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn standing(tool: &Tool) -> String {
    // The answer is what it stands as after it was asked.
    let _ = tool.verify().await;
    match tool.standing() {
        Standing::Ready(_) => "stands as it was approved".to_owned(),
        Standing::Stopped(stop) => format!("stopped: {stop}"),
        Standing::Unknown => "stopped: its server was not asked".to_owned(),
    }
}

fn audience(tool: &Tool) -> String {
    let settings = tool.settings();
    let communities: Vec<&str> = settings.communities.iter().map(String::as_str).collect();
    let roles: Vec<&str> = settings.roles.iter().map(|role| role.name()).collect();
    let approval = match settings.approval {
        ApprovalRule::None => "",
        ApprovalRule::Human => "; a person approves each call",
    };
    format!("{} in {}{approval}", roles.join(", "), communities.join(", "))
}
