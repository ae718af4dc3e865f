//! The closed loop: `wrk` asks again on each connection as soon as it was answered.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::program::bounded;
use super::runs::{COUNTED, Target};
use crate::process;

/// What `wrk` counted.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Tally {
    /// Answers that were complete.
    pub(super) requests: u64,
    /// How long it took, in microseconds.
    pub(super) duration_us: f64,
    /// Connections, reads, writes, statuses and time-outs that went wrong.
    errors: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// The line that our script prints, among what `wrk` prints itself.
const MARK: &str = "portcullis-bench ";

/// Puts load on the target and fails unless every request was answered well.
pub(super) fn run(folder: &Path, target: &Target, connections: u32, time: Duration) -> Result<Tally> {
    let file = folder.join("wrk.lua");
    fs::write(&file, script(target)?).with_context(|| format!("`{}` cannot be written", file.display()))?;
    let seconds = format!("{}s", time.as_secs());
    let printed = process::capture(
        bounded("wrk")
            .args(["--threads", "1", "--connections", &connections.to_string()])
            .args(["--duration", &seconds, "--timeout", "20s", "--script"])
            .arg(&file)
            .arg(format!("http://{}", target.address)),
    )?;
    let tally = parse(&printed)?;
    if tally.errors > 0 || tally.requests == 0 {
        bail!(
            "{} of {} requests of the flow `{}` went wrong, wanted none; `wrk` printed:\n{printed}",
            tally.errors,
            tally.requests,
            target.flow.name()
        );
    }
    Ok(tally)
}

fn parse(printed: &str) -> Result<Tally> {
    let line = printed.lines().find_map(|line| line.strip_prefix(MARK));
    let line = line.with_context(|| format!("`wrk` printed no result:\n{printed}"))?;
    serde_json::from_str(line).with_context(|| format!("`wrk` printed an unknown result: {line}"))
}

/// Prepares every request once and sends them in turn, with a number of their own where there is a place for one.
fn script(target: &Target) -> Result<String> {
    let mut script = String::from("local bodies = {\n");
    for body in &target.bodies {
        if body.contains("]==]") {
            bail!("a request body holds what ends a long string of Lua");
        }
        writeln!(script, "  [==[{body}]==],")?;
    }
    write!(
        script,
        r#"}}
local headers = {{ ["Content-Type"] = "application/json", ["Authorization"] = "Bearer {key}" }}
local requests, at, counted = {{}}, 0, "{COUNTED}"
-- Runs of the next quarter of an hour have other numbers.
local sent = os.time() % 900 * 100000
init = function(args)
  for index, body in ipairs(bodies) do
    local whole = wrk.format("POST", "{path}", headers, body)
    local from, to = whole:find(counted, 1, true)
    requests[index] = from and {{ whole:sub(1, from), whole:sub(to + 1) }} or whole
  end
end
request = function()
  at, sent = at % #requests + 1, sent + 1
  local ask = requests[at]
  if type(ask) == "string" then return ask end
  return ask[1] .. string.format("%08d", sent) .. ask[2]
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{MARK}{{"requests":%d,"duration_us":%d,"errors":%d,"p50_us":%.1f,"p99_us":%.1f}}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#,
        key = target.key,
        path = target.path,
    )?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_found_among_what_wrk_prints_itself() {
        let printed = "Running 1s test @ http://127.0.0.1:9\n  1 threads and 4 connections\n\
            portcullis-bench {\"requests\":12,\"duration_us\":1000,\"errors\":2,\"p50_us\":1.5,\"p99_us\":9.0}\n";
        let tally = Tally { requests: 12, duration_us: 1000.0, errors: 2, p50_us: 1.5, p99_us: 9.0 };
        assert_eq!(parse(printed).unwrap(), tally);
    }

    #[test]
    fn no_result_is_an_error_and_not_zero() {
        assert!(parse("unable to connect to 127.0.0.1:9 Connection refused\n").is_err());
        assert!(parse("portcullis-bench {\"requests\":12}\n").is_err());
        assert!(parse("portcullis-bench nan\n").is_err());
    }
}
