//! The import itself: read the export, work out what to do, write it in batches.
//!
//! Nothing is written before the whole export was read and the plan stands. What a batch writes it writes whole. An
//! error in the middle says what is stored; running the import again does the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::{Clock, Scope, SpaceId};
use portcullis_store::{Content, DocumentText, NewDocument, NewSpace, PutOutcome, Space, Spaces, Stores};

use crate::entry::{Entry, Parsed, Reason};
use crate::error::Error;
use crate::folder::SpaceFrom;
use crate::limits::Limits;
use crate::plan::{self, Category, Destination, Kept, MassRemoval, Summary};
use crate::reader::Export;
use crate::report::{Left, Note, Report, SpaceLine};
use crate::space_map::{SpaceMap, words};
use crate::{discourse, folder};

/// Documents of one transaction, and about how many bytes of text.
const BATCH_DOCUMENTS: usize = 200;
const BATCH_BYTES: usize = 4 << 20;
/// Documents removed by one call.
const BATCH_REMOVED: usize = 500;

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    /// The folder.
    pub dir: PathBuf,
    /// What is in it.
    pub source: Source,
    /// How much is taken in at most.
    pub limits: Limits,
    /// Which spaces the documents go to.
    pub spaces: SpaceMap,
    /// Whether most of what was imported before may be removed.
    pub removal: MassRemoval,
}

/// What a folder holds. `name` tells apart two imports of the same kind into one community; an import compares itself
/// with what an earlier one of the same name brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Topics of a Discourse forum; see [`discourse::read`].
    Discourse {
        /// `None`: the forum, of which there is one.
        name: Option<String>,
        /// The forum's own address.
        base_url: Option<String>,
    },
    /// A folder of pages; see [`folder::read`].
    Folder {
        /// `None`: the folder's name.
        name: Option<String>,
        /// What decides the space of a page.
        space_from: SpaceFrom,
    },
}

impl Source {
    fn open(&self, dir: &Path, limits: &Limits) -> Result<Export, Error> {
        match self {
            Self::Discourse { base_url, .. } => discourse::read(dir, limits, base_url.as_deref()),
            Self::Folder { space_from, .. } => folder::read(dir, limits, *space_from),
        }
    }

    /// The source's name in the store.
    fn stored_name(&self, dir: &Path) -> String {
        match self {
            Self::Discourse { name: None, .. } => "discourse".to_owned(),
            Self::Discourse { name: Some(name), .. } => format!("discourse:{name}"),
            Self::Folder { name: Some(name), .. } => format!("folder:{name}"),
            Self::Folder { name: None, .. } => {
                let whole = dir.canonicalize();
                let whole = whole.as_deref().unwrap_or(dir);
                let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
                format!("folder:{}", name.unwrap_or_else(|| "root".to_owned()))
            }
        }
    }
}

/// Where documents and spaces are kept, and the clock that times the work.
#[derive(Debug, Clone, Copy)]
pub struct Ports<'a> {
    /// Documents.
    pub content: &'a dyn Content,
    /// Spaces and plans.
    pub spaces: &'a dyn Spaces,
    /// Measures how long the import takes.
    pub clock: &'a dyn Clock,
}

impl<'a> Ports<'a> {
    /// The ports of an instance's stores.
    pub fn of(stores: &'a Stores, clock: &'a dyn Clock) -> Self {
        Self { content: &*stores.content, spaces: &*stores.spaces, clock }
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub phase: Phase,
    /// Files read, or documents written.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// Bytes of the files behind `done`.
    pub bytes: u64,
}

/// What an import does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It reads files.
    Reading,
    /// It writes documents.
    Writing,
}

/// Is told how far an import is: after every file that was read, after every batch that was written.
pub trait Progress: Send + Sync {
    /// The import has come this far.
    fn step(&self, step: Step);
}

/// Tells nobody.
impl Progress for () {
    fn step(&self, _step: Step) {}
}

/// Imports a folder: [`gather`] and [`Gathered::store`]. It reads files in between awaits, so give it a thread of its
/// own where others wait for theirs.
///
/// # Errors
/// See [`Error`].
pub async fn run(
    plan: ImportPlan,
    ports: Ports<'_>,
    scope: &Scope,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    gather(plan, ports.clock, progress)?.store(ports, scope, progress).await
}

/// An export that was read and is not yet stored.
#[derive(Debug)]
pub struct Gathered {
    plan: ImportPlan,
    export: Export,
    started: Duration,
    found: Vec<Summary>,
    categories: BTreeMap<String, Category>,
    kept: Kept,
    /// Documents that need not be read again, by their place in the export.
    held: HashMap<usize, Box<Parsed>>,
    report: Report,
}

/// Reads an export. Blocks on the disk and the processor; writes nothing.
///
/// # Errors
/// When the folder cannot be listed.
pub fn gather(plan: ImportPlan, clock: &dyn Clock, progress: &dyn Progress) -> Result<Gathered, Error> {
    let started = clock.monotonic();
    let export = plan.source.open(&plan.dir, &plan.limits)?;
    let mut report = Report { source: plan.source.stored_name(&plan.dir), ..Report::default() };
    let mut found = Vec::new();
    let mut categories: BTreeMap<String, Category> = BTreeMap::new();
    let mut kept = Kept::default();
    let mut held = HashMap::new();
    let mut room = plan.limits.held_bytes;
    for (index, entry) in export.entries().enumerate() {
        report.files += 1;
        report.bytes += export.bytes_of(index);
        match entry {
            Entry::Rejected(rejected) => {
                kept.add(&rejected.stored);
                report.rejected.push(Left { path: rejected.path, why: rejected.why });
            }
            Entry::Read(mut parsed) => {
                let category = categories.entry(parsed.space_key.clone()).or_default();
                category.restricted |= parsed.restricted;
                if category.name.is_none() {
                    category.name.clone_from(&parsed.space_name);
                }
                report
                    .notes
                    .extend(parsed.notes.drain(..).map(|what| Note { path: parsed.path.clone(), what }));
                found.push(Summary {
                    index,
                    source_key: parsed.source_key.clone(),
                    fingerprint: parsed.fingerprint(),
                    space_key: parsed.space_key.clone(),
                });
                if let Some(left) = room.checked_sub(parsed.weight()) {
                    room = left;
                    held.insert(index, parsed);
                }
            }
        }
        let total = export.files() as u64;
        progress.step(Step { phase: Phase::Reading, done: report.files, total, bytes: report.bytes });
    }
    Ok(Gathered { plan, export, started, found, categories, kept, held, report })
}

impl Gathered {
    /// What was read so far: files, bytes, rejections and notes.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Works out what to do, and does it.
    ///
    /// # Errors
    /// See [`Error`]; all but [`Error::Interrupted`] leave the store as it was.
    pub async fn store(
        mut self,
        ports: Ports<'_>,
        scope: &Scope,
        progress: &dyn Progress,
    ) -> Result<Report, Error> {
        let stored = ports.content.source(scope, &self.report.source).await.map_err(Error::Store)?;
        if self.found.is_empty() && stored.is_empty() {
            let first = self.report.rejected.first();
            let first = first
                .map(|left| format!("`{}` {}", portcullis_core::unseen::visible_line(&left.path), left.why));
            return Err(Error::Nothing { files: self.export.files(), first });
        }
        let plans = ports.spaces.plans(scope).await.map_err(Error::Store)?;
        let plans: BTreeSet<String> = plans.into_iter().map(|plan| plan.slug).collect();
        let existing = ports.spaces.list(scope).await.map_err(Error::Store)?;
        let destinations = plan::destinations(&self.categories, &self.plan.spaces, &existing, &plans)?;
        let known = destinations
            .iter()
            .map(|(key, destination)| (key.clone(), destination.existing.as_ref().map(|space| space.id)))
            .collect();
        let changes = plan::changes(&stored, &self.found, &known, &self.kept, self.plan.removal)?;
        self.report.unchanged = changes.unchanged;
        self.report.kept = changes.kept;

        let written = self.write(ports, scope, progress, &destinations, &changes).await;
        let elapsed = ports.clock.monotonic().saturating_sub(self.started);
        self.report.seconds = elapsed.as_secs_f64();
        match written {
            Ok(()) => Ok(self.report),
            Err(cause) => {
                let report = self.report;
                let is_begun = report.added + report.changed + report.removed > 0
                    || report.spaces.iter().any(|line| line.created);
                Err(if is_begun {
                    Error::Interrupted { report: Box::new(report), cause }
                } else {
                    Error::Store(cause)
                })
            }
        }
    }

    async fn write(
        &mut self,
        ports: Ports<'_>,
        scope: &Scope,
        progress: &dyn Progress,
        destinations: &BTreeMap<String, Destination>,
        changes: &plan::Changes,
    ) -> Result<(), portcullis_store::Error> {
        let spaces = self.open_spaces(ports, scope, destinations).await?;
        let total = changes.write.len() as u64;
        let (mut batch, mut weight, mut done, mut bytes) = (Vec::new(), 0, 0u64, 0u64);
        for &index in &changes.write {
            done += 1;
            bytes += self.export.bytes_of(index);
            if let Some((parsed, space)) = self.take(index, &spaces) {
                weight += parsed.weight();
                batch.push(document(*parsed, space, &self.report.source));
            }
            if batch.len() >= BATCH_DOCUMENTS || weight >= BATCH_BYTES {
                self.put(ports, scope, std::mem::take(&mut batch)).await?;
                weight = 0;
                progress.step(Step { phase: Phase::Writing, done, total, bytes });
            }
        }
        self.put(ports, scope, batch).await?;
        for removed in changes.remove.chunks(BATCH_REMOVED) {
            self.report.removed += ports.content.remove(scope, removed).await? as u64;
        }
        progress.step(Step { phase: Phase::Writing, done, total, bytes });
        Ok(())
    }

    /// Creates the spaces that are missing, and tells the id of each by space key.
    async fn open_spaces(
        &mut self,
        ports: Ports<'_>,
        scope: &Scope,
        destinations: &BTreeMap<String, Destination>,
    ) -> Result<BTreeMap<String, SpaceId>, portcullis_store::Error> {
        let mut by_slug: BTreeMap<&str, Space> = BTreeMap::new();
        let mut ids = BTreeMap::new();
        let mut documents: BTreeMap<&str, u64> = BTreeMap::new();
        for summary in &self.found {
            if let Some(destination) = destinations.get(&summary.space_key) {
                *documents.entry(&destination.target.slug).or_default() += 1;
            }
        }
        for (key, Destination { target, existing }) in destinations {
            let space = match (by_slug.get(target.slug.as_str()), existing) {
                (Some(space), _) => {
                    ids.insert(key.clone(), space.id);
                    continue;
                }
                (None, Some(space)) => space.clone(),
                (None, None) => {
                    let new = NewSpace {
                        slug: target.slug.clone(),
                        name: target.name.clone(),
                        access: target.access.clone(),
                    };
                    let space = ports.spaces.create(scope, new).await?;
                    self.report.created.push(space.clone());
                    space
                }
            };
            self.report.spaces.push(SpaceLine {
                space: space.slug.clone(),
                readers: words(&space.access),
                created: existing.is_none(),
                documents: documents.get(target.slug.as_str()).copied().unwrap_or(0),
            });
            ids.insert(key.clone(), space.id);
            by_slug.insert(&target.slug, space);
        }
        Ok(ids)
    }

    /// A document and its space: from memory, or read again. One that is no longer what was planned is left out.
    fn take(&mut self, index: usize, spaces: &BTreeMap<String, SpaceId>) -> Option<(Box<Parsed>, SpaceId)> {
        if let Some(parsed) = self.held.remove(&index) {
            return spaces.get(&parsed.space_key).map(|space| (parsed, *space));
        }
        let planned = self.found.binary_search_by_key(&index, |summary| summary.index).ok()?;
        let planned = self.found.get(planned)?;
        let path = match self.export.entry(index)? {
            Entry::Read(parsed)
                if parsed.source_key == planned.source_key && parsed.space_key == planned.space_key =>
            {
                return spaces.get(&parsed.space_key).map(|space| (parsed, *space));
            }
            Entry::Read(parsed) => parsed.path,
            Entry::Rejected(rejected) => rejected.path,
        };
        self.report.rejected.push(Left { path, why: Reason::Changed });
        None
    }

    async fn put(
        &mut self,
        ports: Ports<'_>,
        scope: &Scope,
        batch: Vec<NewDocument>,
    ) -> Result<(), portcullis_store::Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let links: u64 = batch.iter().map(|document| document.links.len() as u64).sum();
        let chunks: u64 = batch.iter().map(|document| document.text.chunks.len() as u64).sum();
        for outcome in ports.content.put(scope, batch).await? {
            match outcome {
                PutOutcome::Added => self.report.added += 1,
                PutOutcome::Changed => self.report.changed += 1,
                PutOutcome::Unchanged => self.report.unchanged += 1,
            }
        }
        self.report.links += links;
        self.report.chunks += chunks;
        Ok(())
    }
}

fn document(parsed: Parsed, space: SpaceId, source: &str) -> NewDocument {
    let fingerprint = parsed.fingerprint();
    NewDocument {
        space,
        source: source.to_owned(),
        source_key: parsed.source_key,
        fingerprint,
        title: parsed.title,
        url: parsed.url,
        author: parsed.author,
        written: parsed.written,
        text: DocumentText { chunks: parsed.chunks },
        links: parsed.links,
    }
}
