//! Four real exports as four communities of one instance: what members find, and what they never see.
//!
//! The exports are test data that is no part of the repository; the questions of `fixtures/questions` were asked of
//! documents drawn from them at random.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::{
    AbilitySet, Actor, Clock, DocumentId, Grant, KeyAbility, Role, Scope, Secret, SpaceId, SystemClock, Tier,
    Token, TokenKind,
};
use portcullis_import::{
    ImportPlan, Limits, MapFile, MassRemoval, Ports, Report, Source, SpaceFrom, SpaceMap,
};
use portcullis_store::{
    Community, Entitlement, KeyActor, Kind, NewCommunity, NewKey, NewMember, Passage, Plan, Query,
    SpaceAccess, Stores,
};
use portcullis_store_sqlite::{Options, SqliteStores};
use serde::Deserialize;
use tempfile::TempDir;

use crate::clients::skip;

/// The plan that opens an export's paid spaces.
pub(crate) const PLAN: &str = "supporter";
/// How many of a hundred questions must be answered by one of the first [`FIRST`] documents.
const WANTED_PERCENT: usize = 85;
const FIRST: usize = 5;
/// Passages asked for: at most two are of one document, so these hold at least [`FIRST`] documents.
const PASSAGES: usize = 2 * FIRST;

/// An export and how an operator would bring it in.
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    folders: Folders,
}

pub(crate) enum Form {
    Discourse,
    Folder,
}

/// Into which folders the files go before the import, so that there are parts for different plans.
enum Folders {
    AsTheyAre,
    /// One a year, from the four digits that every file name begins with.
    ByYear,
    /// One for each value of the header `Type`.
    ByType,
}

pub(crate) const EXPORTS: [Export; 4] = [
    Export { name: "urho3d-forum", form: Form::Discourse, folders: Folders::AsTheyAre },
    Export { name: "slicer-forum", form: Form::Folder, folders: Folders::ByYear },
    Export { name: "rust-guild", form: Form::Folder, folders: Folders::AsTheyAre },
    Export { name: "python-circle", form: Form::Folder, folders: Folders::ByType },
];

/// A file of questions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    paid: Paid,
    pub(crate) question: Vec<Question>,
}

impl Questions {
    pub(crate) fn of(export: &Export) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../fixtures/questions/{}.toml", export.name));
        toml::from_str(&std::fs::read_to_string(file).expect("a file of questions")).expect("questions")
    }

    /// The paid categories and folders for the plan, all others for every member.
    pub(crate) fn space_map(&self) -> String {
        let paid = self.paid.spaces.iter().map(|key| format!("[{key}]\nplans = [\"{PLAN}\"]\n"));
        format!("{}[\"*\"]\naccess = \"members\"\n", paid.collect::<String>())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paid {
    /// Categories and folders that are for [`PLAN`] only.
    spaces: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) ask: String,
    /// The source key of the document that answers.
    thread: Option<String>,
    /// The source keys of documents that answer equally well.
    #[serde(default)]
    threads: Vec<String>,
}

impl Question {
    fn answered_by(&self, key: &str) -> bool {
        self.thread.iter().chain(&self.threads).any(|thread| thread == key)
    }

    fn answers(&self) -> impl Iterator<Item = &str> {
        self.thread.iter().chain(&self.threads).map(String::as_str)
    }
}

/// A document of a community as the test knows it.
struct Known {
    key: String,
    is_paid: bool,
}

/// A community with its content and two members: one with the plan, one without.
struct Circle {
    community: Community,
    questions: Vec<Question>,
    documents: BTreeMap<DocumentId, Known>,
    with_plan: Scope,
    without: Scope,
}

#[tokio::test]
async fn members_find_the_thread_they_ask_for_and_nothing_they_may_not_read() {
    let folder = TempDir::new().expect("a temporary folder");
    if !unpacked(folder.path()) {
        return;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = Options::new(folder.path().join("data"), Secret::new(vec![7; 32]), Arc::clone(&clock));
    let engine = SqliteStores::open(options).expect("the stores open");
    let stores = engine.stores();

    let mut circles = Vec::new();
    for export in &EXPORTS {
        let (circle, report) = open_circle(&stores, &clock, export, &folder.path().join(export.name)).await;
        println!(
            "{}: {} documents ({} for the plan), {} chunks, {:.1} MB in {:.1} s, peak memory so far {}",
            export.name,
            report.added,
            circle.documents.values().filter(|known| known.is_paid).count(),
            report.chunks,
            megabytes(report.bytes),
            report.seconds,
            peak_memory(),
        );
        circles.push(circle);
    }

    let mut failures = Vec::new();
    for (place, circle) in circles.iter().enumerate() {
        failures.extend(ask_all(&stores, circle).await);
        let other = circles.iter().cycle().nth(place + 1).expect("four communities");
        ask_elsewhere(&stores, circle, other).await;
        read_what_is_closed(&stores, circle, other).await;
    }
    engine.close().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Asks every question as both members. Returns what is wrong with the rate of answers.
async fn ask_all(stores: &Stores, circle: &Circle) -> Option<String> {
    let (mut first, mut found, mut misses, mut times) = (0, 0, Vec::new(), Vec::new());
    for question in &circle.questions {
        let asked = Instant::now();
        let passages = search(stores, &circle.with_plan, &question.ask, PASSAGES).await;
        times.push(asked.elapsed());
        let keys = documents(circle, &passages);
        let place = keys.iter().position(|key| question.answered_by(key));
        first += usize::from(place == Some(0));
        match place {
            Some(place) if place < FIRST => found += 1,
            _ => misses.push(format!(
                "  `{}` wants {:?}",
                question.ask,
                question.answers().collect::<Vec<_>>()
            )),
        }

        for passage in search(stores, &circle.without, &question.ask, 50).await {
            let known = circle.documents.get(&passage.document).expect("a document of this community");
            assert!(!known.is_paid, "`{}` showed {} to a member without the plan", question.ask, known.key);
            assert!(circle.without.spaces().contains(&passage.space), "a space outside the scope");
        }
    }
    times.sort_unstable();
    let (asked, name) = (circle.questions.len(), &circle.community.slug);
    println!(
        "{name}: first {first}/{asked}, among the first {FIRST} {found}/{asked}, search p50 {:.1?} p99 {:.1?}",
        percentile(&times, 50),
        percentile(&times, 99),
    );
    let misses = misses.join("\n");
    let too_few = found * 100 < WANTED_PERCENT * asked;
    too_few.then(|| format!("{name}: {found} of {asked}, wanted {WANTED_PERCENT} %; missed:\n{misses}"))
}

/// Asks another community's questions: whatever comes is this community's own.
async fn ask_elsewhere(stores: &Stores, circle: &Circle, other: &Circle) {
    for question in &other.questions {
        for passage in search(stores, &circle.with_plan, &question.ask, PASSAGES).await {
            assert!(circle.documents.contains_key(&passage.document), "a document of another community");
        }
    }
}

/// Opens documents by id that the member may not read, as one who has guessed or kept the id.
async fn read_what_is_closed(stores: &Stores, circle: &Circle, other: &Circle) {
    let paid = circle.documents.iter().filter(|(_, known)| known.is_paid).map(|(id, _)| *id);
    let mut closed = 0;
    for id in paid.take(50) {
        stores.content.document(&circle.with_plan, id).await.expect("the plan opens it");
        assert!(matches!(kind(stores, &circle.without, id).await, Some(Kind::NotFound)));
        closed += 1;
    }
    assert!(closed > 0, "nothing is for the plan only");
    let foreign = *other.documents.keys().next().expect("a document");
    assert!(matches!(kind(stores, &circle.with_plan, foreign).await, Some(Kind::NotFound)));
}

async fn kind(stores: &Stores, scope: &Scope, id: DocumentId) -> Option<Kind> {
    stores.content.document(scope, id).await.err().map(|error| error.kind())
}

async fn search(stores: &Stores, scope: &Scope, ask: &str, limit: usize) -> Vec<Passage> {
    let query = Query { text: ask.to_owned(), limit };
    stores.content.search(scope, &query).await.expect("the search runs")
}

/// The source keys of the documents that the passages are from, best first, each once.
fn documents<'a>(circle: &'a Circle, passages: &[Passage]) -> Vec<&'a str> {
    let mut keys = Vec::new();
    for passage in passages {
        let known = circle.documents.get(&passage.document).expect("a document of this community");
        if !keys.contains(&known.key.as_str()) {
            keys.push(&known.key);
        }
    }
    keys
}

/// Makes a community of an export: its plan, its content, its two members.
async fn open_circle(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    export: &Export,
    dir: &Path,
) -> (Circle, Report) {
    let asked = Questions::of(export);

    let new =
        NewCommunity { slug: export.name.into(), name: export.name.into(), host: None, tier: Tier::Standard };
    let community = stores.directory.create(new).await.expect("a community");
    let operator = operator(&community);
    let plan = Plan { slug: PLAN.into(), name: "Supporter".into() };
    stores.spaces.create_plan(&operator, plan).await.expect("a plan");
    let plan = ImportPlan {
        dir: dir.to_owned(),
        source: match export.form {
            Form::Discourse => Source::Discourse { name: None, base_url: None },
            Form::Folder => Source::Folder { name: None, space_from: SpaceFrom::Folder },
        },
        limits: Limits::default(),
        spaces: SpaceMap::File(MapFile::parse(&asked.space_map()).expect("a space map")),
        removal: MassRemoval::Refuse,
    };
    let report =
        portcullis_import::run(plan, Ports::of(stores, &**clock), &operator, &()).await.expect("the import");
    assert!(report.rejected.is_empty(), "not taken: {:?}", report.rejected);

    let spaces = stores.spaces.list(&operator).await.expect("spaces");
    let closed: BTreeSet<SpaceId> = spaces
        .iter()
        .filter(|space| matches!(space.access, SpaceAccess::Plans(_)))
        .map(|space| space.id)
        .collect();
    let Questions { paid, question: questions } = asked;
    assert_eq!(closed.len(), paid.spaces.len(), "every paid space of the file is in the export");
    let documents: BTreeMap<DocumentId, Known> = stores
        .content
        .source(&operator, &report.source)
        .await
        .expect("what was imported")
        .into_iter()
        .map(|(key, entry)| (entry.document, Known { key, is_paid: closed.contains(&entry.space) }))
        .collect();
    let keys: BTreeSet<&str> = documents.values().map(|known| known.key.as_str()).collect();
    let unknown: Vec<&str> =
        questions.iter().flat_map(Question::answers).filter(|key| !keys.contains(key)).collect();
    assert!(unknown.is_empty(), "no such documents: {unknown:?}");

    let with_plan = member(stores, clock, &community, &operator, Some(PLAN)).await;
    let without = member(stores, clock, &community, &operator, None).await;
    (Circle { community, questions, documents, with_plan, without }, report)
}

fn operator(community: &Community) -> Scope {
    #[expect(clippy::disallowed_methods, reason = "what the operator's command line makes")]
    Scope::grant(Grant {
        community: community.id,
        actor: Actor::Operator,
        role: Role::Owner,
        abilities: KeyAbility::ALL.into_iter().collect(),
        spaces: Arc::from([]),
        tier: community.tier,
    })
}

/// A member's scope, found by a real key as the identify phase finds it.
async fn member(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    community: &Community,
    operator: &Scope,
    plan: Option<&str>,
) -> Scope {
    let name = plan.unwrap_or("nobody's supporter").to_owned();
    let new = NewMember { name: name.clone(), email: None, role: None };
    let member = stores.members.add(operator, new).await.expect("a member");
    if let Some(plan) = plan {
        let entitlement = Entitlement { plan: plan.to_owned(), until: None };
        stores.members.entitle(operator, member.id, entitlement).await.expect("an entitlement");
    }
    let (_, token) = Token::issue(TokenKind::ApiKey, &community.locator);
    let key = NewKey {
        name,
        actor: KeyActor::Member(member.id),
        ceiling: None,
        abilities: AbilitySet::NONE.with(KeyAbility::Search),
        expires: None,
        hash: token.hash(),
        hint: token.hint(),
    };
    stores.keys.create(operator, key).await.expect("a key");
    let found =
        stores.identity.key(community.id, token.hash(), clock.now()).await.expect("the store answers");
    let found = found.expect("the key is known");
    #[expect(clippy::disallowed_methods, reason = "what the identify phase makes of the same answer")]
    Scope::grant(Grant {
        community: community.id,
        actor: Actor::Member(member.id),
        role: found.standing.role,
        abilities: found.abilities,
        spaces: found.standing.spaces,
        tier: community.tier,
    })
}

/// The four exports, each in its folder beneath `to`; says so when they are not there, and fails when they must be.
pub(crate) fn unpacked(to: &Path) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/communities");
    let archive = |export: &Export| folder.join(format!("{}.tar.zst", export.name));
    let tools = ["tar", "zstd"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !tools || !EXPORTS.iter().all(|export| archive(export).is_file()) {
        skip(
            "data",
            "the four exports, tar or zstd are missing, so no real content is imported and searched",
        );
        return false;
    }
    for export in &EXPORTS {
        unpack(&archive(export), to);
        arrange(export, &to.join(export.name));
    }
    true
}

fn unpack(archive: &Path, to: &Path) {
    let unpacked = Command::new("tar")
        .arg("--zstd")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(to)
        .status()
        .expect("tar runs");
    assert!(unpacked.success(), "{} is not unpacked: {unpacked}", archive.display());
}

/// Sorts the files of an export into folders.
fn arrange(export: &Export, dir: &Path) {
    let folder_of: fn(&str, &str) -> String = match export.folders {
        Folders::AsTheyAre => return,
        Folders::ByYear => |name, _| name.chars().take(4).collect(),
        Folders::ByType => |_, text| {
            let kind = text.lines().find_map(|line| line.strip_prefix("Type:")).expect("a header `Type`");
            kind.trim().to_lowercase().replace(' ', "-")
        },
    };
    let inner =
        std::fs::read_dir(dir).expect("a folder").next().expect("one folder").expect("a folder").path();
    for file in std::fs::read_dir(&inner).expect("files") {
        let file = file.expect("a file").path();
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&file).expect("text");
        let folder = dir.join(folder_of(&name, &text));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::rename(&file, folder.join(name)).expect("it is moved");
    }
    std::fs::remove_dir(inner).expect("it is empty");
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The most memory that the process has held, as Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}
