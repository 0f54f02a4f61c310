//! What any process tells of itself, by the names that all client libraries of Prometheus have
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use rustix::process::Resource;

use super::text::{Kind, Text};

/// Process times are in ticks of this many a second on Linux (proc_pid_stat(5), `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;

/// What cannot be read is left out.
pub(crate) fn tell(text: &mut Text) {
    text.metric("underpass_build_info", Kind::Gauge, "The version that runs; always 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(fields) {
        let number = |field: usize| stat.get(field - 3).and_then(|text| text.parse::<u64>().ok());
        // proc_pid_stat(5): utime is field 14, stime 15, starttime 22, vsize 23.
        if let (Some(user), Some(system)) = (number(14), number(15)) {
            let help = "User and system CPU time spent, in seconds.";
            text.single("process_cpu_seconds_total", Kind::Counter, help, (user + system) as f64 / TICKS);
        }
        if let (Some(start), Some(boot)) = (number(22), booted()) {
            let help = "When the process was started, in seconds since the epoch.";
            text.single("process_start_time_seconds", Kind::Gauge, help, boot as f64 + start as f64 / TICKS);
        }
        if let Some(size) = number(23) {
            text.single("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory, in bytes.", size);
        }
    }
    if let Some(kilobytes) = resident() {
        let help = "Resident memory, in bytes.";
        text.single("process_resident_memory_bytes", Kind::Gauge, help, kilobytes.saturating_mul(1024));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        let open = open.count().saturating_sub(1);
        text.single("process_open_fds", Kind::Gauge, "File descriptors that are open.", open);
    }
    if let Some(most) = rustix::process::getrlimit(Resource::Nofile).current {
        text.single("process_max_fds", Kind::Gauge, "File descriptors that may be open.", most);
    }
}

/// The fields behind the program's name, which may hold anything: the first is field 3.
fn fields(stat: &str) -> Option<Vec<&str>> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect())
}

/// In KiB, whatever the size of a page is.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// When the machine was started, in seconds since the epoch.
fn booted() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let mut text = Text::default();
        tell(&mut text);
        let text = text.end();
        for name in [
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
            "process_virtual_memory_bytes ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{name}{value}");
        }
        assert_eq!(fields("7 (a) b) S 1"), Some(vec!["S", "1"]));
    }
}
