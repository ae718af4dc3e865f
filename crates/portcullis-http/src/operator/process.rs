//! What the system says of this process, where it says anything: Linux does, in `/proc/self`.

use std::fs;

/// Numbers of this process.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
}

impl Process {
    /// The numbers now.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib.saturating_mul(1_024)),
            threads: field(&status, "Threads:"),
            // The listing itself holds one.
            open_files: files.and_then(|files| u64::try_from(files.saturating_sub(1)).ok()),
            most_files: field(&limits, "Max open files"),
        }
    }
}

/// The first number of the line that begins so.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, field};

    #[test]
    fn a_number_is_read_from_its_line() {
        let text = "Name:\tx\nVmRSS:\t   10240 kB\nThreads:\t3\n";
        assert_eq!(field(text, "VmRSS:"), Some(10_240));
        assert_eq!(field(text, "Absent:"), None);
        assert_eq!(field("Max open files            unlimited  1 files", "Max open files"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.open_files.is_some_and(|files| files >= 3), "{process:?}");
        assert!(process.threads.is_some_and(|threads| threads >= 1), "{process:?}");
        assert!(process.most_files >= process.open_files, "{process:?}");
    }
}
