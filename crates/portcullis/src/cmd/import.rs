//! `import`: content into spaces.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_audit::{Event, Use};
use portcullis_import::{
    ImportPlan, Limits, MapFile, MassRemoval, Phase, Ports, Progress, Report, Source, SpaceFrom, SpaceMap,
    Step,
};
use portcullis_store::Community;

use crate::args::{Configured, Format, ImportArgs, ImportCommand};
use crate::instance::{self, Kept};
use crate::out;

pub(super) async fn run(config: &Configured, command: ImportCommand) -> Result<ExitCode> {
    let (args, source) = match command {
        ImportCommand::Discourse(args) => {
            let source = Source::Discourse { name: args.name.clone(), base_url: args.base_url.clone() };
            (args, source)
        }
        ImportCommand::Folder(args) => {
            let space_from = if args.by_category { SpaceFrom::Category } else { SpaceFrom::Folder };
            let source = Source::Folder { name: args.name.clone(), space_from };
            (args, source)
        }
    };
    let ImportArgs { at, dir, space_map, open, allow_mass_removal, format, .. } = args;
    let spaces = match space_map {
        Some(file) => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("the space map {} cannot be read", file.display()))?;
            let map = MapFile::parse(&text)
                .with_context(|| format!("the space map {} cannot be used", file.display()))?;
            SpaceMap::File(map)
        }
        None if open => SpaceMap::Open,
        None => SpaceMap::Closed,
    };
    let removal = if allow_mass_removal { MassRemoval::Allow } else { MassRemoval::Refuse };
    let kept = Kept::open(&instance::configuration(config)?, Use::Administering)?;
    let community = kept.community(&at.community).await?;
    let plan = ImportPlan { dir, source, limits: Limits::default(), spaces, removal };
    let report = bring_in(&kept, &community, plan, &Bar::shown(format)).await?;
    kept.close().await?;
    match format {
        Format::Human => out::line(&report),
        Format::Json => out::line(serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Imports a folder into spaces that exist already, as the demo does.
pub(super) async fn into_community(kept: &Kept, community: &Community, dir: &Path) -> Result<Report> {
    let plan = ImportPlan {
        dir: dir.to_owned(),
        source: Source::Folder { name: None, space_from: SpaceFrom::Folder },
        limits: Limits::default(),
        spaces: SpaceMap::Closed,
        removal: MassRemoval::Refuse,
    };
    bring_in(kept, community, plan, &Bar(ProgressBar::hidden())).await
}

async fn bring_in(kept: &Kept, community: &Community, plan: ImportPlan, progress: &Bar) -> Result<Report> {
    let scope = Kept::operator(community);
    let ports = Ports::of(&kept.stores, &*kept.clock);
    let report = portcullis_import::run(plan, ports, &scope, progress).await;
    progress.0.finish_and_clear();
    let report = report?;
    let event = Event::ContentImported {
        added: report.added,
        changed: report.changed,
        removed: report.removed,
        rejected: report.rejected.len() as u64,
    };
    kept.note(community, event).await?;
    Ok(report)
}

/// How far an import is, on standard error.
struct Bar(ProgressBar);

impl Bar {
    fn shown(format: Format) -> Self {
        if format == Format::Json || !out::watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0).with_style(
            ProgressStyle::with_template("{msg:<8} {wide_bar} {pos}/{len}  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Progress for Bar {
    fn step(&self, step: Step) {
        self.0.set_message(match step.phase {
            Phase::Reading => "reading",
            Phase::Writing => "writing",
        });
        self.0.set_length(step.total);
        self.0.set_position(step.done);
    }
}
