//! What the kernel says of a process: its processor time and its memory.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

/// How long one tick of `/proc/PID/stat` is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick(Duration);

impl Tick {
    pub(super) fn of_this_machine() -> Result<Self> {
        let text = process::capture(Command::new("getconf").arg("CLK_TCK"))?;
        let per_second: u32 =
            text.trim().parse().with_context(|| format!("`getconf CLK_TCK` printed `{}`", text.trim()))?;
        Duration::from_secs(1).checked_div(per_second).map(Self).context("`getconf CLK_TCK` printed 0")
    }

    /// Processor time that a process has used so far, its threads together, its children apart.
    pub(super) fn spent(self, pid: u32) -> Result<Duration> {
        self.read(&pid.to_string(), Whose::Own)
    }

    /// The same of this process and of every child that it has waited for.
    pub(super) fn spent_here(self) -> Result<Duration> {
        self.read("self", Whose::WithChildren)
    }

    /// Processor time of every process of the machine, and what its host took from it.
    pub(super) fn spent_by_all(self) -> Result<Duration> {
        let text = fs::read_to_string("/proc/stat").context("`/proc/stat` cannot be read")?;
        let ticks = busy_ticks(&text).context("`/proc/stat` has an unknown form")?;
        Ok(self.times(ticks))
    }

    fn read(self, pid: &str, whose: Whose) -> Result<Duration> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("`{path}` cannot be read; did the process end?"))?;
        let ticks = ticks(&text, whose).with_context(|| format!("`{path}` has an unknown form"))?;
        Ok(self.times(ticks))
    }

    fn times(self, ticks: u64) -> Duration {
        self.0.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    WithChildren,
}

/// User and system ticks of a line of `/proc/PID/stat`.
fn ticks(stat: &str, whose: Whose) -> Option<u64> {
    // The second field is the name in brackets, which may itself hold spaces and brackets.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let count = match whose {
        Whose::Own => 2,
        Whose::WithChildren => 4,
    };
    // utime, stime, cutime, cstime are fields 14 to 17 of proc(5); the first one here is field 3.
    let wanted = fields.get(11..)?.get(..count)?;
    wanted.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// Ticks of all processors that were not idle, from `/proc/stat`.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Option<Vec<u64>> = line.split_ascii_whitespace().map(|field| field.parse().ok()).collect();
    let fields = fields?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in `user` already.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = fields.as_slice() else { return None };
    Some([user, nice, system, irq, softirq, steal].into_iter().sum())
}

/// Resident memory of a process, in bytes.
pub(super) fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("`{path}` cannot be read; did the process end?"))?;
    resident_bytes(&text).with_context(|| format!("`{path}` has no `VmRSS` in kB"))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The children of a process whose only thread starts them, such as nginx's workers.
pub(super) fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&path).with_context(|| format!("`{path}` cannot be read"))?;
    text.split_ascii_whitespace()
        .map(|pid| pid.parse().with_context(|| format!("`{path}` holds `{pid}`")))
        .collect()
}

/// The machine in a few words, for the heading of the result.
pub(super) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default();
    let name = if model.is_empty() { "unknown processor" } else { model };
    format!("{cores} cores, {name}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 900 0 0 0 120 30 7 3 20 0 5 0 100 1 2";

    #[test]
    fn ticks_are_read_behind_a_name_with_spaces_and_brackets() {
        assert_eq!(ticks(STAT, Whose::Own), Some(150));
        assert_eq!(ticks(STAT, Whose::WithChildren), Some(160));
        assert_eq!(ticks("4242 (cut) S 1 2", Whose::Own), None);
        assert_eq!(ticks("", Whose::Own), None);
    }

    #[test]
    fn waiting_is_not_work() {
        let stat = "cpu  10 1 5 9000 800 2 3 4 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_ticks(stat), Some(25));
        assert_eq!(busy_ticks("cpu0 1 2 3 4 5 6 7 8"), None);
    }

    #[test]
    fn memory_is_read_with_its_unit() {
        assert_eq!(resident_bytes("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t  1234 kB\n"), Some(1_263_616));
        assert_eq!(resident_bytes("VmRSS:\t12 MB\n"), None);
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let tick = Tick::of_this_machine().unwrap();
        assert!(tick.spent(std::process::id()).is_ok());
        assert!(tick.spent_by_all().unwrap() >= tick.spent_here().unwrap());
        assert!(resident(std::process::id()).unwrap() > 0);
    }
}
