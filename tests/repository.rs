//! Rules about the repository itself: nothing is present that the documents say is absent.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FUNCTIONS: [&str; 4] = ["put", "read", "apply", "park"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of all packages that `package` links on the template's default architecture, on any
/// machine, without those only for tests.
fn linked_by(package: &str) -> HashSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges=normal,no-proc-macro", "--prefix=none"])
        .arg("--target=aarch64-unknown-linux-gnu")
        .args(["--format={p}", "--package"])
        .arg(package)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The crate of the resource may link more than the functions do: the dependencies of its update.
fn linked_for_the_update() -> HashSet<String> {
    let manifest = fs::read_to_string(root().join("crates/resource/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap().lines();
    let names = dependencies.filter_map(|line| line.split(['.', ' ', '=']).next());
    let own = names.filter(|name| !matches!(*name, "" | "lambda-shell" | "rules"));
    own.flat_map(linked_by).collect()
}

fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
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
    let outside = "SystemTime Instant now_utc std::env std::fs std::net std::process std::thread";
    for (path, text) in sources(&root().join("crates/rules/src")) {
        for word in outside.split(' ') {
            assert!(!text.contains(word), "{} in {}", word, path.display());
        }
    }
}

/// Any module may use the words at the root. Each room uses only those before it.
#[test]
fn the_rooms_of_rules_have_one_direction() {
    let root = root().join("crates/rules/src");
    let rooms = ["request", "order", "work", "reply"];
    for (path, text) in sources(&root) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let of = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_str().unwrap();
        let own = rooms.iter().position(|room| *room == of);
        if of == "lib.rs" {
            continue;
        }
        for (number, room) in rooms.iter().enumerate() {
            let uses = code.lines().any(|line| {
                !line.trim_start().starts_with("//") && line.contains(&format!("crate::{room}::"))
            });
            let is_before = own.is_some_and(|own| number <= own);
            assert!(!uses || is_before, "{} uses {room}", path.display());
        }
    }
}

/// An adopter replaces only `crates/resource`, so nothing else may contain the name of its
/// resource.
#[test]
fn only_the_crate_of_the_resource_names_users() {
    let foreign = ["connectorerror::user", "userarn", "user_arn", "userinfo", ":user/"];
    let mut found = Vec::new();
    for (path, text) in ["crates", "functions"].iter().flat_map(|part| sources(&root().join(part)))
    {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if name.starts_with("crates/resource/") || name.contains("tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap().to_lowercase();
        let code = foreign.iter().fold(code, |code, word| code.replace(word, ""));
        found.extend(
            code.lines().filter(|line| line.contains("user")).map(|line| format!("{name}: {line}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Start-up and size depend on what is linked, and one feature of a dependency can add ten
/// packages.
#[test]
fn each_function_links_what_is_listed_and_nothing_else() {
    let mut linked: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for function in FUNCTIONS {
        for package in linked_by(function) {
            linked.entry(package).or_default().push(function);
        }
    }
    let lines = linked.iter().map(|(package, by)| format!("{package}: {}\n", by.join(" ")));
    let (lines, path) = (lines.collect::<String>(), root().join("tests/linked.txt"));
    if std::env::var_os("UPDATE_LINKED").is_some() {
        fs::write(&path, &lines).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap();
    let for_the_update = linked_for_the_update();
    let without = |some: &str, others: &str| -> Vec<String> {
        let others: HashSet<_> = others.lines().collect();
        let some = some.lines().filter(|line| !others.contains(line));
        let is_ours = |line: &&str| !for_the_update.contains(line.split(':').next().unwrap());
        some.filter(is_ours).map(str::to_owned).collect()
    };
    let (added, gone) = (without(&lines, &listed), without(&listed, &lines));
    assert!(
        added.is_empty() && gone.is_empty(),
        "linked but not listed in tests/linked.txt: {added:?}; listed but not linked: {gone:?}. \
        If it is worth its size, UPDATE_LINKED=1 cargo test -p tests --test repository lists it."
    );
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

/// `apply` itself does not compile without unwinding.
#[test]
fn every_function_but_apply_ends_with_a_panic() {
    for function in FUNCTIONS {
        let manifest = root().join("functions").join(function).join("Cargo.toml");
        let text = fs::read_to_string(manifest).unwrap();
        let aborts = text.contains(r#"config = ['profile.release.panic = "abort"']"#);
        assert_eq!(aborts, function != "apply", "{function}");
    }
}

/// SQS counts receives across all queues. A message that reaches the dead letters with the most
/// receives that the updates queue allows must still reach `park` before it is moved on.
#[test]
fn the_dead_letters_allow_far_more_receives_than_the_updates() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    let most_receives = |queue: &str| -> u32 {
        let resource = template.split(&format!("\n  {queue}:\n")).nth(1).unwrap();
        let resource = resource.split("\n\n").next().unwrap();
        let count = resource.split("maxReceiveCount: ").nth(1).unwrap();
        count.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(most_receives("DeadLettersQueue") >= 2 * most_receives("UpdatesQueue"));
}

/// The rows of docs/limits.md: name | value | text in the file | file.
#[test]
fn every_limit_stands_where_the_page_says() {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let mut rows = 0;
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, _, _, text, file, _] = cells[..] else { continue };
        let (Some(text), Some(file)) = (code(text), code(file)) else { continue };
        let source = fs::read_to_string(root().join(file)).unwrap();
        assert!(source.contains(text), "{file} does not contain {text}");
        rows += 1;
    }
    assert!(rows > 30, "{rows}");
}

/// Everything that the pages cite is in the tree. Names of three words and more are tests.
#[test]
fn every_test_that_is_cited_exists() {
    let page = |path| fs::read_to_string(root().join(path)).unwrap();
    let page = page("docs/guarantees.md") + &page("ARCHITECTURE.md");
    let mut tree = String::new();
    for directory in ["crates", "functions", "tests"] {
        for (_, text) in sources(&root().join(directory)) {
            tree.push_str(&text);
        }
    }
    let names = page.split('`').skip(1).step_by(2).filter(|text| {
        let is_name =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        is_name && text.matches('_').count() >= 2
    });
    let missing: Vec<_> = names
        .filter(|name| {
            !tree.contains(&format!("fn {name}(")) && !tree.contains(&format!("def {name}("))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The text between backquotes.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}
