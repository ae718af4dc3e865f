//! Jobs and answers as JSON.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_sandbox::{End, Held, Job, Limits};
use serde::Deserialize;
use serde_json::{Value, json};

/// What this sandbox runs, as the API names it.
const RUNTIME: &str = "wasm";
/// The most that a caller may ask for.
const MOST: Limits =
    Limits { time: Duration::from_secs(60), memory: 256 << 20, output: 4 << 20, files: 16 << 20 };

/// A job as it is asked for. Whose it is changes nothing: no two jobs share anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    tenant: String,
    runtime: String,
    program: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    limits: AskedLimits,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedLimits {
    time_ms: Option<u64>,
    memory_bytes: Option<usize>,
    output_bytes: Option<usize>,
    files_bytes: Option<usize>,
}

/// Reads a job.
///
/// # Errors
/// What is wrong with it, in words that repeat nothing of it.
pub(super) fn read(body: &[u8]) -> Result<Job, &'static str> {
    let asked: Asked = serde_json::from_slice(body).map_err(|_| "the body is no job in JSON")?;
    if asked.tenant.is_empty() {
        return Err("`tenant` is empty: name the community whose job it is");
    }
    if asked.runtime != RUNTIME {
        return Err("`runtime` is none that runs here: `wasm` is");
    }
    let bytes = |text: &str| STANDARD.decode(text);
    let program = bytes(&asked.program).map_err(|_| "`program` is not in base64")?;
    let input = bytes(&asked.input).map_err(|_| "`input` is not in base64")?;
    let usual = Limits::default();
    let limits = Limits {
        time: asked.limits.time_ms.map_or(usual.time, Duration::from_millis).min(MOST.time),
        memory: asked.limits.memory_bytes.unwrap_or(usual.memory).min(MOST.memory),
        output: asked.limits.output_bytes.unwrap_or(usual.output).min(MOST.output),
        files: asked.limits.files_bytes.unwrap_or(usual.files).min(MOST.files),
    };
    let arguments = vec!["program".to_owned()];
    Ok(Job { arguments, input: input.into(), ..Job::new(program).within(limits) })
}

/// What became of a job that ran.
pub(super) fn ran(held: &Held) -> Value {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut answer = json!({
        "output": STANDARD.encode(&held.ran.output),
        "errors": STANDARD.encode(&held.ran.errors),
        "asked_ms": ms(held.asked),
        "started_ms": ms(held.began),
        "ended_ms": ms(held.ended),
    });
    let (status, more) = match held.ran.end {
        End::Exited(code) => ("exited", Some(("code", json!(code)))),
        End::Trapped => ("trapped", None),
        End::Stopped(limit) => ("stopped", Some(("limit", json!(limit.name())))),
    };
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("status".to_owned(), json!(status));
        fields.extend(more.map(|(key, value)| (key.to_owned(), value)));
    }
    answer
}

/// A job that was not begun.
pub(super) fn refused(why: &str) -> Value {
    json!({ "status": "refused", "reason": why })
}

#[cfg(test)]
mod tests {
    use super::{MOST, read};

    #[test]
    fn no_caller_gets_more_than_there_is() {
        let body = r#"{"tenant":"a","runtime":"wasm","program":"AGFzbQ==","limits":{"time_ms":99999999,
                       "memory_bytes":99999999999,"output_bytes":99999999999,"files_bytes":99999999999}}"#;
        let job = read(body.as_bytes()).expect("a job");
        assert_eq!(job.limits.files, MOST.files);
        assert_eq!(
            (job.limits.time, job.limits.memory, job.limits.output),
            (MOST.time, MOST.memory, MOST.output)
        );
    }

    #[test]
    fn what_is_no_job_is_told_without_a_word_of_it() {
        for (body, wanted) in [
            ("tamarisk", "JSON"),
            (r#"{"tenant":"a","runtime":"wasm","program":"","more":"tamarisk"}"#, "JSON"),
            (r#"{"tenant":"","runtime":"wasm","program":""}"#, "`tenant`"),
            (r#"{"tenant":"a","runtime":"tamarisk","program":""}"#, "`runtime`"),
            (r#"{"tenant":"a","runtime":"wasm","program":"tamarisk!"}"#, "`program`"),
            (r#"{"tenant":"a","runtime":"wasm","program":"","input":"tamarisk!"}"#, "`input`"),
        ] {
            let why = read(body.as_bytes()).expect_err(body);
            assert!(why.contains(wanted) && !why.contains("tamarisk"), "{body}: {why}");
        }
    }
}
