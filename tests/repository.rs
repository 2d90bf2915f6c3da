//! Rules about the repository itself: what ARCHITECTURE.md says is absent, is absent.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Names of all packages that `package` links, without those only for tests.
fn linked_by(package: &str) -> HashSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--offline",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: HashMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut linked = HashSet::new();
    let mut open: Vec<&str> =
        names.iter().filter(|(_, name)| **name == package).map(|(id, _)| *id).collect();
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let is_linked = dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().unwrap();
            if is_linked && linked.insert(names[id].to_owned()) {
                open.push(id);
            }
        }
    }
    linked
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
    for function in ["put", "read", "apply"] {
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
