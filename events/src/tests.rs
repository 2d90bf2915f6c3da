//! The samples in the repository, and every route, are those of the resource.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use resource::Served;
use rules::Resource;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

use crate::{Time, events, files};

#[test]
fn the_samples_are_those_of_the_resource() {
    let read = |name: &str| fs::read_to_string(events().join(name)).unwrap_or_default();
    let known: Value = serde_json::from_str(&read("resource.json")).unwrap_or_default();
    let seconds = known["secondsOfOperations"].as_u64().unwrap_or_default();
    for (name, text) in files(Time(Duration::from_secs(seconds))).unwrap() {
        assert!(read(&name) == text, "events/{name} is not what the crate says: make events");
    }
}

/// The files with routes, and the routes in them.
fn routes() -> [(&'static str, BTreeSet<String>); 4] {
    let read = |name: &str| fs::read_to_string(events().join("..").join(name)).unwrap();
    let [template, openapi, manifest] =
        ["template.yaml", "docs/openapi.yaml", "Cargo.toml"].map(read);
    let paths = |text: &str, at: &[&str]| -> BTreeSet<String> {
        let document = Yaml::load_from_str(text).unwrap().remove(0);
        let paths = at.iter().fold(&document, |node, name| &node[*name]);
        paths.as_mapping().unwrap().keys().map(|path| path.as_str().unwrap().to_owned()).collect()
    };
    let in_body = paths(&template, &["Resources", "Api", "Properties", "DefinitionBody", "paths"]);
    let quoted = |line: &str| Some(line.split('"').nth(1)?.to_owned());
    let events = template.lines().filter(|line| line.contains("ApiId: !Ref Api"));
    let watched = manifest.lines().filter(|line| line.starts_with("\"/"));
    [
        ("the API's body in template.yaml", in_body),
        ("the functions' events in template.yaml", events.filter_map(quoted).collect()),
        ("docs/openapi.yaml", paths(&openapi, &["paths"])),
        ("the watch routes at the end of Cargo.toml", watched.filter_map(quoted).collect()),
    ]
}

#[test]
fn every_route_is_one_that_the_resource_knows() {
    let known = BTreeSet::from([
        Served::PATH.to_owned(),
        format!("{}/operations/{{receipt}}", Served::PATH),
    ]);
    for (place, routes) in routes() {
        if let Some(route) = routes.difference(&known).next() {
            panic!(
                "{route} in {place} is no route of the resource in crates/resource; write one of {known:?}"
            );
        }
        if let Some(route) = known.difference(&routes).next() {
            panic!("{place} lacks the route {route} of the resource in crates/resource; add it");
        }
    }
}
