//! The figures of the process that the kernel keeps, from `/proc`. On other systems there are none.

use std::fs;

/// Ticks of a second in `/proc/self/stat`. It is 100 on every architecture that Linux supports today.
const TICKS: f64 = 100.0;

/// What the kernel says about the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProcessFigures {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_fds: u64,
    /// `None` if there is no limit.
    pub(super) max_fds: Option<u64>,
}

impl ProcessFigures {
    /// Reads the figures; `None` if the system does not have them.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        // Without the descriptor that reads the folder.
        let open_fds = (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1);
        let (cpu_seconds, resident_bytes) = (cpu_seconds(&stat)?, resident_bytes(&status)?);
        Some(Self { cpu_seconds, resident_bytes, open_fds, max_fds: max_fds(&limits) })
    }
}

/// Fields 14 and 15 of `stat`. The name of the program, field 2, is in brackets and may contain spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_kernels_texts() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 3 0 44 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("VmSize:\t 9 kB\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(max_fds("Max open files   unlimited   unlimited   files\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_figures() {
        let figures = ProcessFigures::read().unwrap();
        assert!(
            figures.resident_bytes > 0 && figures.open_fds > 0 && figures.cpu_seconds >= 0.0,
            "{figures:?}"
        );
    }
}
