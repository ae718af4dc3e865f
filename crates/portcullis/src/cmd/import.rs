//! `import`: content into spaces.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_audit::{Change, Event, Use};
use portcullis_import::{
    Error, ImportPlan, Limits, MapFile, MassRemoval, Phase, Ports, Progress, Report, Source, SpaceFrom,
    SpaceMap, Step,
};
use portcullis_store::{Community, Space};

use crate::args::{Configured, Format, ImportArgs, ImportCommand};
use crate::instance::{self, Kept};
use crate::out;

pub(super) async fn run(config: &Configured, command: ImportCommand) -> anyhow::Result<ExitCode> {
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
pub(super) async fn into_community(kept: &Kept, community: &Community, dir: &Path) -> anyhow::Result<Report> {
    let plan = ImportPlan {
        dir: dir.to_owned(),
        source: Source::Folder { name: None, space_from: SpaceFrom::Folder },
        limits: Limits::default(),
        spaces: SpaceMap::Closed,
        removal: MassRemoval::Refuse,
    };
    bring_in(kept, community, plan, &Bar(ProgressBar::hidden())).await
}

async fn bring_in(
    kept: &Kept,
    community: &Community,
    plan: ImportPlan,
    progress: &Bar,
) -> anyhow::Result<Report> {
    let scope = Kept::operator(community);
    let ports = Ports::of(&kept.stores, &*kept.clock);
    let report = portcullis_import::run(plan, ports, &scope, progress).await;
    progress.0.finish_and_clear();
    let mut noted = Ok(());
    for event in stored(&report) {
        noted = kept.note(community, event).await;
        if noted.is_err() {
            break;
        }
    }
    told(report, noted)
}

/// What came of an import and of its records. Where both failed, both are told.
fn told(outcome: Result<Report, Error>, noted: anyhow::Result<()>) -> anyhow::Result<Report> {
    match (outcome, noted) {
        (Ok(report), noted) => noted.map(|()| report),
        (Err(error), Ok(())) => Err(error.into()),
        (Err(error), Err(unnoted)) => Err(anyhow::Error::from(error).context(format!("{unnoted:#}"))),
    }
}

/// What an import stored, whether it came to its end or broke off.
fn stored(outcome: &Result<Report, Error>) -> Vec<Event> {
    let report = match outcome {
        Ok(report) => report,
        Err(Error::Interrupted { report, .. }) => report,
        Err(_) => return Vec::new(),
    };
    let imported = Event::ContentImported {
        added: report.added,
        changed: report.changed,
        removed: report.removed,
        rejected: report.rejected.len() as u64,
    };
    let created = |space: &Space| {
        let change = Change::space_created(space.id, space.access.name(), space.access.plans());
        Event::Administered(change)
    };
    report.created.iter().map(created).chain([imported]).collect()
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

#[cfg(test)]
mod tests {
    use portcullis_core::{SpaceId, SystemClock};
    use portcullis_store::{Kind, SpaceAccess};

    use super::*;

    #[test]
    fn what_an_import_stored_before_it_broke_off_is_recorded_and_every_space_that_it_created() {
        let space = |slug: &str, access| Space {
            id: SpaceId::new(&SystemClock::new()),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            access,
        };
        let created = vec![
            space("open", SpaceAccess::Members),
            space("paid", SpaceAccess::Plans(vec!["plus".to_owned()])),
        ];
        let report = Report { added: 400, created: created.clone(), ..Report::default() };
        let cause = || portcullis_store::Error::new(Kind::Unavailable, "content.put");
        let broken = Error::Interrupted { report: Box::new(report.clone()), cause: cause() };
        let told = stored(&Err(broken));
        assert_eq!(told, stored(&Ok(report)));
        let [Event::Administered(open), Event::Administered(paid), Event::ContentImported { added: 400, .. }] =
            told.as_slice()
        else {
            panic!("two spaces and what was imported: {told:?}")
        };
        for (change, space) in [open, paid].into_iter().zip(&created) {
            assert_eq!((change.action.as_str(), &change.targets), ("space.created", &vec![space.id.into()]));
        }
        assert_eq!(stored(&Err(Error::Store(cause()))), [], "nothing was stored");
    }

    #[test]
    fn an_import_that_fails_is_told_whether_it_was_recorded_or_not() {
        let failed = || Error::Store(portcullis_store::Error::new(Kind::Unavailable, "content.put"));
        let unnoted = || anyhow::anyhow!("the disk is full").context("the journal could not record it");
        let alone = format!("{:#}", told(Err(failed()), Ok(())).expect_err("it failed"));
        let both = format!("{:#}", told(Err(failed()), Err(unnoted())).expect_err("it failed"));
        assert!(both.contains(&alone), "{both}");
        for said in ["the journal could not record it", "the disk is full"] {
            assert!(both.contains(said) && !alone.contains(said), "{both}");
        }
        assert!(told(Ok(Report::default()), Err(unnoted())).is_err());
        assert!(told(Ok(Report::default()), Ok(())).is_ok());
    }
}
