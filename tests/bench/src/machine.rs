//! Where it was measured.

use std::process::Command;

/// The machine and how busy it is, in a sentence.
pub fn describe(rounds: usize) -> String {
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = processor.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split(' ').next().unwrap_or_default();
    let rust = Command::new("rustc").arg("--version").output();
    let rust = rust.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!(
        "On {cores} cores ({processor}, {}), Linux {}, {rust}; {rounds} rounds; a load of {load} before.",
        std::env::consts::ARCH,
        kernel.trim(),
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
