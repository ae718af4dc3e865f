//! Tools that are programs: run once for each call, in the sandbox, with the arguments as their input and nothing else.
//!
//! The very bytes that were read with the configuration are run, never what stands in the file later. The file is looked at all
//! the same: one that changed under a running instance is a sign that somebody means it to, and stops the tool.

use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_sandbox::{End, Error, Job, Limits, Queue};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::call::{Fault, FaultKind, Permit, Returned};
use crate::pin::Pin;
use crate::registry::{Settings, Stop};

/// The most bytes of its files, which are in memory and gone when it ends.
const FILES: usize = 16 << 20;

/// A program that is a tool.
#[derive(Clone)]
pub struct Program {
    /// The program, as it was read with the configuration.
    pub bytes: Arc<[u8]>,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The most bytes of memory that a call of it has.
    pub memory_bytes: usize,
    /// The most bytes that a call of it says, of which no more than `result_bytes` are read.
    pub output_bytes: usize,
    /// Where it runs.
    pub queue: Arc<Queue>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Program {
    /// The hash of its bytes, as `sha256sum` prints it.
    pub fn digest(&self) -> String {
        let hash = sum(&self.bytes);
        hash.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing into a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Why its file says that it may not run, if it does.
    pub(crate) async fn differs(&self, settings: &Settings) -> Option<Stop> {
        let path = self.path.clone();
        // One byte more than there is to compare with tells a longer file.
        let most = self.bytes.len() as u64 + 1;
        let read = tokio::task::spawn_blocking(move || read(&path, most)).await;
        match read {
            Ok(Ok(now)) if now.as_slice() == &*self.bytes => None,
            Ok(Ok(_)) => Some(Stop::Replaced),
            Ok(Err(error)) => {
                tracing::debug!(tool = settings.name.as_str(), %error, "the program of a tool cannot be read");
                Some(Stop::Missing)
            }
            Err(_) => Some(Stop::Missing),
        }
    }

    /// Gets it ready to run.
    pub(crate) async fn prepare(&self) -> Result<(), Stop> {
        let prepared = self.queue.prepare(Arc::clone(&self.bytes)).await;
        prepared.map_err(|error| match error {
            Error::Refused(_) => Stop::Unrunnable(format!("{error}; build it for `wasm32-wasip1`")),
            failed => Stop::Unrunnable(failed.to_string()),
        })
    }
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn sum(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The hash of what there is of a tool, its program too.
pub(crate) fn pin(name: &str, description: &str, schema: &Value, program: &Program) -> Pin {
    Pin::of_program(name, description, schema, &sum(&program.bytes))
}

/// Runs it once. It waits for a place as long as it may run, and then runs as long as it may.
pub(crate) async fn call(permit: &Permit, program: &Program) -> Result<Returned, Fault> {
    let settings = permit.tool.settings();
    let place = tokio::time::timeout(settings.timeout, program.queue.place_of(&permit.community)).await;
    let place = place.map_err(|_| FaultKind::Busy)?.map_err(|error| fault(&error))?;
    let input = Value::Object(permit.arguments.clone()).to_string();
    let job = Job {
        arguments: vec![settings.name.to_string()],
        input: Arc::from(input.into_bytes()),
        seed: seed(&permit.call),
        limits: Limits {
            time: settings.timeout,
            memory: program.memory_bytes,
            output: program.output_bytes,
            files: FILES,
        },
        ..Job::new(Arc::clone(&program.bytes))
    };
    let ran = place.run(job).await.map_err(|error| fault(&error))?.ran;
    match ran.end {
        End::Exited(0) => {}
        End::Exited(_) => return Err(FaultKind::Failed.into()),
        End::Trapped => return Err(FaultKind::BrokeOff.into()),
        End::Stopped(limit) => return Err(FaultKind::Limit(limit).into()),
    }
    let mut text = String::from_utf8(ran.output).map_err(|_| FaultKind::NotText)?;
    let cut = text.len() > settings.result_bytes;
    text.truncate(text.floor_char_boundary(settings.result_bytes));
    Ok(Returned { text, cut })
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Refused(_) => FaultKind::ProgramRefused.into(),
        Error::Busy => FaultKind::Busy.into(),
        failed => {
            tracing::error!(%failed, "the sandbox failed");
            FaultKind::SandboxFailed.into()
        }
    }
}

/// What the random numbers of a call begin with: others for each call, and secret from nobody.
fn seed(call: &str) -> u64 {
    let hash = sum(call.as_bytes());
    hash.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use portcullis_core::{Role, SystemClock};
    use portcullis_sandbox::{Description, Limit, Ran, Sandbox};
    use serde_json::json;

    use super::*;
    use crate::call::call;
    use crate::registry::{ApprovalRule, Egress, Registry, Standing, Tool, Way};

    /// Does what its programs say: each is a word for how it ends, and any other says its input.
    #[derive(Debug, Default)]
    struct Spoken {
        prepared: AtomicUsize,
        seeds: parking_lot::Mutex<Vec<u64>>,
        limits: parking_lot::Mutex<Vec<Limits>>,
    }

    impl Sandbox for Spoken {
        fn describe(&self) -> Description {
            Description { kind: "spoken", walls: "none" }
        }

        fn prepare(&self, program: &Arc<[u8]>) -> Result<(), Error> {
            self.prepared.fetch_add(1, Ordering::SeqCst);
            if program.starts_with(b"bad") {
                return Err(Error::Refused("it asks for what no job gets".to_owned()));
            }
            Ok(())
        }

        fn run(&self, job: &Job) -> Result<Ran, Error> {
            self.seeds.lock().push(job.seed);
            self.limits.lock().push(job.limits);
            let (end, output) = match &*String::from_utf8_lossy(&job.program) {
                "exit" => (End::Exited(3), b"out".to_vec()),
                "stop" => (End::Stopped(Limit::Memory), b"out".to_vec()),
                "trap" => (End::Trapped, Vec::new()),
                "bytes" => (End::Exited(0), vec![0xff, 0xfe]),
                "refuse" => return Err(Error::Refused("it asks for more than a job gets".to_owned())),
                "fail" => return Err(Error::Failed("it broke".to_owned())),
                _ => (End::Exited(0), job.input.to_vec()),
            };
            Ok(Ran { end, output, errors: b"not told".to_vec() })
        }
    }

    struct Ground {
        sandbox: Arc<Spoken>,
        folder: tempfile::TempDir,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            Self { sandbox: Arc::default(), folder }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("reckon.wasm")
        }

        /// A tool with this program, approved as it is.
        fn tool(&self, text: &str) -> Arc<Tool> {
            std::fs::write(self.file(), text).expect("a file");
            let sandbox = Arc::clone(&self.sandbox) as Arc<dyn Sandbox>;
            let program = Program {
                bytes: Arc::from(text.as_bytes()),
                path: self.file(),
                memory_bytes: 1 << 20,
                output_bytes: 400,
                queue: Arc::new(Queue::new(sandbox, Arc::new(SystemClock::new()), 1, 0)),
            };
            let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
            let settings = Settings {
                name: "reckon".parse().expect("a name"),
                description: "Reckons.".to_owned(),
                pin: Some(pin("reckon", "Reckons.", &schema, &program)),
                schema: Some(schema),
                way: Way::Program(program),
                communities: ["one".to_owned()].into(),
                roles: Role::ALL.into_iter().collect(),
                approval: ApprovalRule::None,
                networks: Vec::new(),
                per_turn: 2,
                per_hour: NonZeroU32::new(1),
                per_day: None,
                timeout: Duration::from_secs(5),
                result_bytes: 300,
            };
            let registry = Registry::new(vec![settings], &Egress::default()).expect("a registry");
            Arc::clone(registry.find("reckon").expect("it is there"))
        }
    }

    fn permit(tool: &Arc<Tool>, id: &str, text: &str) -> Permit {
        let arguments = json!({ "a": text }).as_object().cloned().unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "a test of what comes after it")]
        Permit::grant(Arc::clone(tool), arguments, id.to_owned(), "one".to_owned())
    }

    #[tokio::test]
    async fn it_reads_the_arguments_and_what_it_says_is_the_result_as_far_as_it_is_read() {
        let ground = Ground::new();
        let tool = ground.tool("echo");
        let returned = call(&permit(&tool, "1", "Hull")).await.expect("it ran");
        assert_eq!((returned.text.as_str(), returned.cut), (r#"{"a":"Hull"}"#, false));
        let returned = call(&permit(&tool, "2", &"ä".repeat(300))).await.expect("it ran");
        assert!(returned.cut && returned.text.len() <= 300 && returned.text.len() > 290, "{returned:?}");
        let seeds = ground.sandbox.seeds.lock().clone();
        assert!(seeds[0] != seeds[1], "each call has random numbers of its own");
        let limits = Limits { time: Duration::from_secs(5), memory: 1 << 20, output: 400, files: FILES };
        assert_eq!(ground.sandbox.limits.lock()[0], limits);
    }

    #[tokio::test]
    async fn how_it_ends_otherwise_is_a_fault_with_nothing_of_what_it_said() {
        for (program, kind) in [
            ("exit", FaultKind::Failed),
            ("stop", FaultKind::Limit(Limit::Memory)),
            ("trap", FaultKind::BrokeOff),
            ("bytes", FaultKind::NotText),
            ("refuse", FaultKind::ProgramRefused),
            ("fail", FaultKind::SandboxFailed),
        ] {
            let tool = Ground::new().tool(program);
            assert_eq!(call(&permit(&tool, "1", "Hull")).await, Err(kind.into()), "{program}");
        }
    }

    #[tokio::test]
    async fn a_call_that_finds_no_place_fails_at_once_or_when_it_waited_long_enough() {
        let ground = Ground::new();
        let tool = ground.tool("echo");
        let Way::Program(program) = &tool.settings().way else { panic!("a program") };
        let place = program.queue.place_of("one").await.expect("a place");
        assert_eq!(call(&permit(&tool, "1", "Hull")).await, Err(FaultKind::Busy.into()));
        drop(place);
        assert!(call(&permit(&tool, "1", "Hull")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_or_goes_stops_the_tool_within_a_minute_and_never_runs() {
        let ground = Ground::new();
        let tool = ground.tool("echo");
        assert!(tool.verify().await.is_ok());
        for (now, stop) in [
            (Some("ech0"), Stop::Replaced),
            (Some("echo and more"), Stop::Replaced),
            (Some(""), Stop::Replaced),
            (None, Stop::Missing),
        ] {
            match now {
                Some(text) => std::fs::write(ground.file(), text).expect("a file"),
                None => {
                    std::fs::remove_file(ground.file()).expect("a file");
                    std::fs::create_dir(ground.file()).expect("a folder");
                }
            }
            tokio::time::advance(Duration::from_secs(61)).await;
            assert_eq!(tool.verify().await.err(), Some(stop), "{now:?}");
            assert!(matches!(tool.standing(), Standing::Stopped(_)));
        }
        std::fs::remove_dir(ground.file()).expect("a folder");
        std::fs::write(ground.file(), "echo").expect("a file");
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(tool.verify().await.is_ok(), "the old one is back");
        assert_eq!(ground.sandbox.prepared.load(Ordering::SeqCst), 1, "it is got ready once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_run_here_is_stopped_and_what_nobody_approved_is_not_even_got_ready() {
        let ground = Ground::new();
        let tool = ground.tool("bad");
        for _ in 0..3 {
            let Some(Stop::Unrunnable(why)) = tool.verify().await.err() else { panic!("it stands") };
            assert!(why.contains("it asks for what no job gets"), "{why}");
            tokio::time::advance(Duration::from_secs(61)).await;
        }
        assert_eq!(ground.sandbox.prepared.load(Ordering::SeqCst), 1, "that is tried once");
        let mut settings = tool.settings().clone();
        settings.pin = None;
        let registry = Registry::new(vec![settings], &Egress::default()).expect("a registry");
        let unapproved = registry.find("reckon").expect("it is there");
        assert!(matches!(unapproved.verify().await, Err(Stop::NotApproved(_))));
        assert_eq!(ground.sandbox.prepared.load(Ordering::SeqCst), 1);
    }
}
