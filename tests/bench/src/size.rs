//! The size of each function, as a binary and as the zip that is deployed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::DeflateEncoder;

use crate::contender::{Contenders, FUNCTIONS};
use crate::measure::Results;

pub fn measure(contenders: &Contenders, results: &mut Results) {
    let functions = FUNCTIONS.map(|name| contenders.function(name));
    let bare = ["bare-http", "bare-events", "bare-calls"].map(|name| contenders.bare(name, ""));
    // The gate builds none of these.
    let bare = bare.iter().filter(|contender| contender.command[0].exists());
    for contender in functions.iter().chain(bare) {
        let (binary, zip) = sizes(&contender.command[0]);
        let (section, name) = ("Size", &contender.name);
        results.add_exact(section, "zip", name, "MB", zip as f64 / 1e6);
        results.add_exact(section, "binary", name, "MB", binary as f64 / 1e6);
    }
    for peer in &contenders.peers {
        let files = files(&peer.package);
        let (unpacked, zip) = files
            .iter()
            .map(|file| sizes(file))
            .fold((0, 0), |sum, sizes| (sum.0 + sizes.0, sum.1 + sizes.1));
        let name = peer.contender().name;
        results.add_exact("Size", "zip", &name, "MB", zip as f64 / 1e6);
        results.add_exact("Size", "unpacked", &name, "MB", unpacked as f64 / 1e6);
    }
}

/// The files of a package, without Python's bytecode, which is left out of packages.
fn files(package: &Path) -> Vec<PathBuf> {
    if !package.is_dir() {
        return vec![package.to_owned()];
    }
    let entries = package.read_dir().expect("a folder").map(|entry| entry.expect("a name").path());
    let entries = entries.filter(|path| !path.ends_with("__pycache__") && !path.is_symlink());
    entries.flat_map(|path| files(&path)).collect()
}

/// Bytes of a file, and what a zip of it has, less some hundred bytes for its directory.
fn sizes(path: &Path) -> (u64, u64) {
    let open = || File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let binary = open().metadata().expect("a file").len();
    let mut zipped = DeflateEncoder::new(open(), Compression::default());
    (binary, io::copy(&mut zipped, &mut io::sink()).expect("a readable file"))
}
