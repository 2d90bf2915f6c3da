//! Rules about the repository itself: what ARCHITECTURE.md says is absent, is absent.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Names of all packages that `package` links, without those only for tests.
fn linked_by(package: &str) -> HashSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges=normal", "--prefix=none", "--format={p}", "--package"])
        .arg(package)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn rules_link_nothing_that_reaches_outside() {
    let linked = linked_by("rules");
    assert!(linked.contains("jiter"), "the walk found no dependencies: {linked:?}");
    let reaching =
        ["aws", "tokio", "hyper", "reqwest", "lambda", "mio", "rand", "getrandom", "tracing"];
    let found: Vec<_> = linked
        .iter()
        .filter(|name| reaching.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn rules_read_no_clock_environment_file_or_socket() {
    for (path, text) in sources(&root().join("crates/rules/src")) {
        for word in [
            "SystemTime",
            "Instant",
            "now_utc",
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
        ] {
            assert!(!text.contains(word), "{} in {}", word, path.display());
        }
    }
}

#[test]
fn one_http_and_one_tls_stack_are_linked() {
    for function in ["put", "read", "apply", "bury"] {
        let linked = linked_by(function);
        assert!(linked.contains("rustls"), "{function}");
        for other in ["aws-lc-rs", "native-tls", "openssl", "aws-config", "h2-0-3", "webpki-roots"]
        {
            assert!(!linked.contains(other), "{function} links {other}");
        }
    }
}

#[test]
fn packages_inherit_the_lints() {
    for directory in ["crates", "functions"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            let text = fs::read_to_string(&manifest).unwrap();
            assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
        }
    }
}
