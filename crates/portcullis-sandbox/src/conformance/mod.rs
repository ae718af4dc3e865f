//! The suite that every backend passes, and sandboxes that are wrong on purpose.
//!
//! [`judge`] tries everything and gives what was wrong; a backend's test wants nothing to be. What runs first is a program that
//! must succeed: in a sandbox in which nothing works every attempt fails, and that proves nothing.
//!
//! It is compiled for tests only, behind the feature `conformance`.

pub mod wrong;

use std::sync::Arc;
use std::time::Duration;

pub use crate::attempts;
use crate::attempts::{Attempt, ESCAPED, Expect, HELD, attempts};
use crate::job::{End, Error, Job, Limit, Limits, Ran, Sandbox};

/// Small enough that a bomb is stopped soon.
pub const TIGHT: Limits =
    Limits { time: Duration::from_millis(300), memory: 4 << 20, output: 64 << 10, files: 256 << 10 };

/// Turns the text form of a program into what the backend runs.
pub type Assemble = dyn Fn(&str) -> Vec<u8>;

/// What a sandbox does wrong, each in a line; nothing where it is right.
pub fn judge(sandbox: &dyn Sandbox, assemble: &Assemble) -> Vec<String> {
    problems(sandbox, assemble).collect()
}

/// The same, found one after the other as they are asked for.
pub fn problems<'a>(sandbox: &'a dyn Sandbox, assemble: &'a Assemble) -> impl Iterator<Item = String> + 'a {
    type Part = fn(&dyn Sandbox, &dyn Fn(&str) -> Job, &mut Vec<String>);
    let job = move |text: &str| Job::new(assemble(text)).within(TIGHT);
    let part = move |part: Part| {
        std::iter::once_with(move || {
            let mut wrong = Vec::new();
            part(sandbox, &job, &mut wrong);
            wrong
        })
        .flatten()
    };
    let tried = attempts().into_iter().filter_map(move |attempt| {
        let why = tried(&attempt, sandbox.run(&job(&attempt.program)))?;
        Some(format!("{}: {why}", attempt.name))
    });
    // Whatever was tried, the next job runs as the first did.
    part(works)
        .chain(part(apart))
        .chain(part(prepared))
        .chain(part(time_is_fixed))
        .chain(tried)
        .chain(part(works))
}

fn said(outcome: &Result<Ran, Error>) -> String {
    outcome.as_ref().map(|ran| String::from_utf8_lossy(&ran.output).into_owned()).unwrap_or_default()
}

/// What must succeed.
fn works(sandbox: &dyn Sandbox, job: &dyn Fn(&str) -> Job, wrong: &mut Vec<String>) {
    let greeted = sandbox.run(&Job { input: Arc::from(*b"world"), ..job(&attempts::hello()) });
    if said(&greeted) != "hello world" || greeted.as_ref().map(|ran| ran.end) != Ok(End::Exited(0)) {
        wrong.push(format!("hello: it said {:?} and was {greeted:?}", said(&greeted)));
    }
    let own = sandbox.run(&job(&attempts::own_files()));
    if said(&own) != "notes.txt" {
        wrong.push(format!("its own files: it said {:?} and was {own:?}", said(&own)));
    }
}

/// What one job wrote no other finds.
fn apart(sandbox: &dyn Sandbox, job: &dyn Fn(&str) -> Job, wrong: &mut Vec<String>) {
    let other = sandbox.run(&job(&attempts::reads_notes()));
    if said(&other).trim() != HELD {
        wrong.push(format!("another job's files: it said {:?} and was {other:?}", said(&other)));
    }
    let given =
        Job { files: vec![("notes.txt".to_owned(), Arc::from(*b"x"))], ..job(&attempts::reads_notes()) };
    let found = sandbox.run(&given);
    if said(&found).trim() != ESCAPED {
        wrong.push(format!("the files it is given: it said {:?} and was {found:?}", said(&found)));
    }
}

/// What was got ready once runs like what was not, as often as it is asked for, and each job of it is as alone as any other.
fn prepared(sandbox: &dyn Sandbox, job: &dyn Fn(&str) -> Job, wrong: &mut Vec<String>) {
    let mut ready = |name: &str, text: &str| {
        let job = job(text);
        if let Err(error) = sandbox.prepare(&job.program) {
            wrong.push(format!("{name}, got ready: {error}"));
        }
        job
    };
    let (hello, writes) =
        (ready("hello", &attempts::hello()), ready("its own files", &attempts::own_files()));
    let looks = ready("another job's file", &attempts::reads_notes());
    let counts = ready("memory of its own", &attempts::counts());
    for name in ["Ada", "Bo"] {
        let greeted = sandbox.run(&Job { input: Arc::from(name.as_bytes()), ..hello.clone() });
        let own = sandbox.run(&writes);
        let other = sandbox.run(&looks);
        let counted = sandbox.run(&counts);
        for (outcome, wanted) in
            [(&greeted, format!("hello {name}")), (&own, "notes.txt".to_owned()), (&other, HELD.to_owned())]
        {
            if said(outcome).trim() != wanted {
                wrong.push(format!("got ready, it said {:?} and not {wanted:?}", said(outcome)));
            }
        }
        if said(&counted) != "run 1" {
            wrong.push(format!("got ready, it found memory of another job: {:?}", said(&counted)));
        }
    }
    let no_program: Arc<[u8]> = Arc::from(*b"no program");
    if sandbox.prepare(&no_program) == Ok(()) && sandbox.run(&Job::new(no_program)).is_ok() {
        wrong.push("what is no program was got ready and ran".to_owned());
    }
}

/// Equal jobs see equal times: nothing of the machine's.
fn time_is_fixed(sandbox: &dyn Sandbox, job: &dyn Fn(&str) -> Job, wrong: &mut Vec<String>) {
    let tell = || sandbox.run(&job(&attempts::tells_time()));
    let (first, second) = (tell(), tell());
    let bytes =
        |outcome: &Result<Ran, Error>| outcome.as_ref().map(|ran| ran.output.clone()).unwrap_or_default();
    if bytes(&first).len() != 8 || bytes(&first) != bytes(&second) {
        wrong.push("the machine's time is seen".to_owned());
    }
}

/// Why the outcome of an attempt is wrong, if it is.
fn tried(attempt: &Attempt, outcome: Result<Ran, Error>) -> Option<String> {
    let said = said(&outcome);
    if said.contains(ESCAPED) {
        return Some("it got out".to_owned());
    }
    let ran = match outcome {
        Err(Error::Refused(_)) if attempt.expect == Expect::Refused => return None,
        Err(error) => return Some(format!("it did not run: {error}")),
        Ok(ran) => ran,
    };
    if ran.output.len().saturating_add(ran.errors.len()) > TIGHT.output {
        return Some(format!("it said {} bytes", ran.output.len()));
    }
    let was_held = said.trim() == HELD && ran.end == End::Exited(0);
    match (attempt.expect, ran.end) {
        (Expect::Held | Expect::Bounded(_), _) if was_held => None,
        (Expect::Bounded(limits), End::Stopped(limit)) if limits.contains(&limit) => None,
        // A loop that breaks off by itself was not stopped.
        (Expect::Bounded(limits), End::Trapped) if !limits.contains(&Limit::Time) => None,
        (Expect::Refused, End::Trapped) => None,
        (_, end) => Some(format!("it said {:?} and ended {end:?}", said.get(..said.len().min(40)))),
    }
}
