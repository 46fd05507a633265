//! What a process has used, from `/proc`.

use std::fs;

use anyhow::{Context as _, anyhow};

/// Ticks of a second in `/proc/PID/stat`: fixed at 100 for programs, whatever the kernel's own timer.
const TICKS_PER_S: u64 = 100;

/// Returns the CPU time that a process has used in all its threads, in µs; exact to 10 ms.
///
/// # Errors
/// Where there is no such process.
pub fn cpu_us(pid: u32) -> anyhow::Result<u64> {
    let stat = read(pid, "stat")?;
    cpu_us_of(&stat).ok_or_else(|| anyhow!("failed to read the CPU time of process {pid}"))
}

/// Returns the CPU time that this process has used, in µs.
///
/// # Errors
/// Where `/proc` is not there.
pub fn own_cpu_us() -> anyhow::Result<u64> {
    cpu_us(std::process::id())
}

/// Returns the memory that a process has resident, in KiB. Kernel memory of sockets is not in it.
///
/// # Errors
/// Where there is no such process.
pub fn rss_kib(pid: u32) -> anyhow::Result<u64> {
    status_kib(pid, "VmRSS")
}

/// Returns the most memory that a process ever had resident, in KiB.
///
/// # Errors
/// Where there is no such process.
pub fn rss_peak_kib(pid: u32) -> anyhow::Result<u64> {
    status_kib(pid, "VmHWM")
}

fn status_kib(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = read(pid, "status")?;
    kib_of(&status, field).ok_or_else(|| anyhow!("failed to read {field} of process {pid}"))
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
}

/// Adds `utime` and `stime`, the 14th and 15th fields. The second field may have spaces and parentheses of its own.
fn cpu_us_of(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(total * (1_000_000 / TICKS_PER_S))
}

fn kib_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "4242 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_us_of(stat), Some(3_000_000));
        assert_eq!(cpu_us_of("4242 (cut"), None);
    }

    #[test]
    fn memory_is_found_by_its_whole_name() {
        let status = "Name:\trollcall\nVmHWM:\t   9000 kB\nVmRSS:\t   8192 kB\nRssAnon:\t 1 kB\n";
        assert_eq!((kib_of(status, "VmRSS"), kib_of(status, "VmHWM")), (Some(8192), Some(9000)));
        assert_eq!(kib_of(status, "VmR"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(rss_kib(std::process::id()).unwrap() > 100);
        let until = own_cpu_us().unwrap() + 20_000;
        while own_cpu_us().unwrap() < until {}
    }
}
