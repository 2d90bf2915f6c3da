//! The size of the packages, unpacked and as a zip.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::DeflateEncoder;

use crate::contender::{Contender, Contenders, FUNCTIONS};
use crate::measure::Results;

pub fn measure(contenders: &Contenders, results: &mut Results) {
    let ours = FUNCTIONS.into_iter().chain(["bare-http", "bare-events", "bare-calls"]);
    let ours: Vec<_> = ours.map(|name| contenders.function(name)).collect();
    for Contender { name, package, .. } in ours.iter().chain(&contenders.peers) {
        let sizes: Vec<_> = files(package).iter().map(|file| sizes(file)).collect();
        let unpacked: u64 = sizes.iter().map(|(file, _)| file).sum();
        let zip: u64 = sizes.iter().map(|(_, zip)| zip).sum();
        results.add_exact("Size", "zip", name, "MB", zip as f64 / 1e6);
        results.add_exact("Size", "unpacked", name, "MB", unpacked as f64 / 1e6);
    }
}

/// The files of a package, without Python's bytecode, which packages do not contain.
fn files(package: &Path) -> Vec<PathBuf> {
    if !package.is_dir() {
        return vec![package.to_owned()];
    }
    let entries = package.read_dir().expect("a folder").map(|entry| entry.expect("a name").path());
    let entries = entries.filter(|path| !path.ends_with("__pycache__") && !path.is_symlink());
    entries.flat_map(|path| files(&path)).collect()
}

/// The bytes of a file, unpacked and in a zip. The zip's directory, some hundred bytes, is not
/// counted.
fn sizes(path: &Path) -> (u64, u64) {
    let open = || File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let binary = open().metadata().expect("a file").len();
    let mut zipped = DeflateEncoder::new(open(), Compression::default());
    (binary, io::copy(&mut zipped, &mut io::sink()).expect("a readable file"))
}
