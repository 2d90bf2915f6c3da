//! The machine that measures.

use std::fs::read_to_string;

/// The machine and its load, in a sentence.
pub fn describe(rounds: usize) -> String {
    let read = |path| read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = processor.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let (kernel, load) = (kernel.trim(), load.split(' ').next().unwrap_or_default());
    let architecture = std::env::consts::ARCH;
    format!(
        "On {cores} cores ({processor}, {architecture}), Linux {kernel}; {rounds} rounds; a load of {load} before."
    )
}
