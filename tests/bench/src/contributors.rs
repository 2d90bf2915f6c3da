//! What a binary consists of: its functions by who has written them, and its other sections,
//! as binutils tell it of the binary before it was stripped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::contender::FUNCTIONS;
use crate::measure::Results;

const PROJECT: &str = "this project";
const STANDARD: &str = "the standard library, and its generics for others";
const REST: &str = "all else";

/// Crates by their names or, with a star, how these begin, and what the table calls
/// them; the first that fits.
const CRATES: &[(&[&str], &str)] = &[
    (&["aws_calls"], PROJECT),
    (&["put", "read", "apply", "park", "rules", "tables", "queues", "world"], PROJECT),
    (&["lambda_shell"], PROJECT),
    (&["core", "alloc", "std", "hashbrown", "compiler_builtins", "gimli", "addr2line"], STANDARD),
    (&["miniz_oxide", "rustc_demangle", "object"], STANDARD),
    (&["aws_sdk_dynamodb"], "aws-sdk-dynamodb"),
    (&["aws_sdk_sqs"], "aws-sdk-sqs"),
    (&["aws_lambda_events", "lambda_*"], "lambda_runtime, lambda_http, aws_lambda_events"),
    (&["aws_*"], "the runtime of the SDKs"),
    (&["rustls*", "webpki"], "rustls"),
    (&["ring"], "ring"),
    (&["hyper*", "http*", "tower*"], "hyper, http, tower"),
    (&["tokio*", "mio", "futures*"], "tokio, futures"),
    (&["serde*", "jiter", "itoa", "ryu"], "serde, jiter"),
    (&["tracing*"], "tracing"),
];

/// Sections other than the code, and what the table calls them.
const SECTIONS: &[(&[&str], &str)] = &[
    (&[".eh_frame", ".eh_frame_hdr", ".gcc_except_table"], "tables for unwinding"),
    (&[".rodata"], "constants"),
    (&[".data.rel.ro", ".rela.dyn", ".relr.dyn", ".got"], "pointers and their relocations"),
];

/// Adds what is in the binaries that a folder has with their symbols.
pub fn measure(symbols: &Path, results: &mut Results) {
    for name in FUNCTIONS {
        let path = symbols.join(name);
        let mut parts: Vec<_> = of(&path).into_iter().collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        for (part, bytes) in parts {
            results.add_exact(SECTION, part, name, "kB", (bytes as f64 / 1e3).round());
        }
    }
}

/// Where it stands.
pub const SECTION: &str = "The biggest contributors to the binaries";

/// Bytes by contributor.
fn of(path: &Path) -> BTreeMap<&'static str, u64> {
    let mut parts = BTreeMap::new();
    for line in lines("nm", &["--demangle", "--print-size", "--defined-only"], path) {
        // Address, size, kind, name.
        let mut words = line.splitn(4, ' ').skip(1);
        let (size, kind, name) = (words.next(), words.next(), words.next());
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
        if let (Some(size), Some("t" | "T" | "w" | "W"), Some(name)) = (size, kind, name) {
            *parts.entry(contributor(name)).or_default() += size;
        }
    }
    for line in lines("size", &["--format=sysv", "--radix=10"], path) {
        let mut words = line.split_whitespace();
        let (name, size) = (words.next().unwrap_or_default(), words.next());
        let part = SECTIONS.iter().find(|(names, _)| names.contains(&name));
        if let (Some((_, part)), Some(size)) =
            (part, size.and_then(|size| size.parse::<u64>().ok()))
        {
            *parts.entry(part).or_insert(0) += size;
        }
    }
    parts
}

fn lines(program: &str, arguments: &[&str], path: &Path) -> Vec<String> {
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("{program}, of binutils: {error}"));
    assert!(output.status.success(), "{program} {path:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Who has written a function: the crate of its type, or the one that its path begins with.
fn contributor(name: &str) -> &'static str {
    let name = name.strip_prefix("core::ptr::drop_in_place").unwrap_or(name);
    let mut name = name.trim_start_matches(|c: char| "<&*[(".contains(c));
    for word in ["const ", "mut ", "dyn ", "impl "] {
        name = name.strip_prefix(word).unwrap_or(name);
    }
    let Some((first, _)) = name.split_once("::") else {
        // C and assembly.
        return if name.contains("ring_core") || name.contains("nistz256") { "ring" } else { REST };
    };
    let known = CRATES.iter().find(|(names, _)| {
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => first.starts_with(beginning),
            None => first == *name,
        })
    });
    known.map_or(REST, |(_, called)| called)
}
