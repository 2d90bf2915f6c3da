//! Compares docs/openapi.yaml and docs/http.md with the problem types of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use resource::Served;
use rules::{ProblemType, Resource};
use saphyr::{LoadableYamlNode, Yaml};

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(file)).unwrap()
}

fn document() -> Yaml<'static> {
    let text: &'static str = read("docs/openapi.yaml").leak();
    Yaml::load_from_str(text).unwrap().remove(0)
}

/// A problem type in a document: type, status, title.
type Shown = (String, i64, String);

fn in_the_code() -> BTreeMap<String, Shown> {
    let shown = |problem_type: ProblemType| {
        (problem_type.uri(), problem_type.status().as_u16().into(), problem_type.title().to_owned())
    };
    ProblemType::ALL.into_iter().map(|kind| (kind.slug().to_owned(), shown(kind))).collect()
}

fn text(node: &Yaml<'_>) -> String {
    node.as_str().unwrap().to_owned()
}

fn shown(problem: &Yaml<'_>) -> Shown {
    (text(&problem["type"]), problem["status"].as_integer().unwrap(), text(&problem["title"]))
}

fn members<'a>(node: &'a Yaml<'a>) -> impl Iterator<Item = (String, &'a Yaml<'a>)> {
    node.as_mapping().unwrap().iter().map(|(name, value)| (text(name), value))
}

/// The node that a `$ref` refers to, or the node itself.
fn resolved<'a>(document: &'a Yaml<'a>, node: &'a Yaml<'a>) -> &'a Yaml<'a> {
    let Some(reference) = node.as_mapping_get("$ref") else { return node };
    let path = reference.as_str().unwrap().strip_prefix("#/").unwrap();
    path.split('/').fold(document, |node, name| &node[name])
}

#[test]
fn the_problem_schema_lists_every_type() {
    let document = document();
    let listed = document["components"]["schemas"]["Problem"]["properties"]["type"]["examples"]
        .as_sequence()
        .unwrap();
    let uris: Vec<_> = ProblemType::ALL.into_iter().map(ProblemType::uri).collect();
    assert_eq!(listed.iter().map(text).collect::<Vec<_>>(), uris);
}

#[test]
fn every_type_has_an_example() {
    let document = document();
    let mut found = BTreeMap::new();
    for (name, example) in members(&document["components"]["examples"]) {
        let value = &example["value"];
        if value.as_mapping_get("type").is_some() {
            found.insert(name, shown(value));
        } else if let Some(error) = value.as_mapping_get("error") {
            let error = shown(error);
            found.insert(error.0.rsplit(':').next().unwrap().to_owned(), error);
        }
    }
    assert_eq!(found, in_the_code());
}

/// Each example is under the response with its status. Each type is under some response, or in a
/// status document if only status documents contain it.
#[test]
fn responses_show_the_types_of_their_status() {
    let document = document();
    let mut seen = BTreeSet::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods).filter(|(name, _)| name != "parameters") {
            for (status, response) in members(&operation["responses"]) {
                let response = resolved(&document, response);
                let Some(content) = response.as_mapping_get("content") else { continue };
                for (media_type, content) in members(content) {
                    let Some(examples) = content.as_mapping_get("examples") else { continue };
                    for (name, example) in members(examples) {
                        let value = &resolved(&document, example)["value"];
                        let at = format!("{method} {path} {status}: {name}");
                        if media_type == "application/problem+json" {
                            let (uri, of_problem, _) = shown(value);
                            assert_eq!(
                                (of_problem.to_string(), uri.rsplit(':').next()),
                                (status.clone(), Some(&*name)),
                                "{at}"
                            );
                            seen.insert(uri);
                        } else if let Some(error) = value.as_mapping_get("error") {
                            seen.insert(shown(error).0);
                        }
                    }
                }
            }
        }
    }
    let all: BTreeSet<_> = ProblemType::ALL.into_iter().map(ProblemType::uri).collect();
    assert_eq!(seen, all);
}

/// The rows of the table of problem types: | `slug` | status | title | …
#[test]
fn the_page_for_client_authors_explains_every_type() {
    let page = read("docs/http.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, slug, status, title, meaning, next, operator, _] = cells[..] else { return None };
        let slug = slug.strip_prefix('`')?.strip_suffix('`')?;
        assert!(!meaning.is_empty() && !next.is_empty() && !operator.is_empty(), "{line}");
        let uri = format!("tag:async-put.example,2026:{slug}");
        Some((slug.to_owned(), (uri, status.parse().ok()?, title.to_owned())))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), in_the_code());
}

/// The tables of answers have a row for each status of the document.
#[test]
fn the_page_for_client_authors_explains_every_status() {
    let (document, page) = (document(), read("docs/http.md"));
    let listed = |heading: &str| -> BTreeSet<String> {
        let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        let first_cells = section.lines().filter_map(|line| line.split('|').nth(1));
        first_cells.map(|cell| cell.trim().trim_matches('`').to_owned()).skip(2).collect()
    };
    let answers = |path: &str, method: &str| -> BTreeSet<String> {
        let statuses = members(&document["paths"][path][method]["responses"]);
        statuses.map(|(status, _)| status).filter(|status| status != "default").collect()
    };
    let resource = <Served as Resource>::PATH;
    let operation = &*format!("{resource}/operations/{{receipt}}");
    let writes = [(resource, "put"), (resource, "delete")];
    let reads = [(resource, "get"), (resource, "head"), (operation, "get"), (operation, "head")];
    for (heading, requests) in [
        ("Responses to a PUT or DELETE", &writes[..]),
        ("Cancelling", &[(operation, "delete")]),
        ("Responses to a GET or HEAD", &reads),
    ] {
        let all = requests.iter().flat_map(|(path, method)| answers(path, method));
        assert_eq!(listed(heading), all.collect(), "{heading}");
    }
    let states =
        &document["components"]["schemas"]["Operation"]["properties"]["status"]["examples"];
    let states =
        states.as_sequence().unwrap().iter().map(|state| state.as_str().unwrap().to_owned());
    assert_eq!(listed("The status of an operation"), states.collect());
}
