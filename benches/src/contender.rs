//! Who is measured: programs and the environment that each needs.

use std::path::{Path, PathBuf};

/// A program, as it is started.
#[derive(Clone, Debug)]
pub struct Contender {
    /// What the table calls it.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<PathBuf>,
    /// What of the environment is its own.
    pub settings: Vec<(&'static str, String)>,
}

impl Contender {
    fn new(name: &str, program: PathBuf) -> Self {
        Self { name: name.to_owned(), command: vec![program], settings: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }
}

/// Where the programs are.
#[derive(Debug)]
pub struct Contenders {
    functions: PathBuf,
    bare: PathBuf,
}

impl Contenders {
    pub fn new(functions: &Path, bare: &Path) -> Self {
        Self { functions: functions.to_owned(), bare: bare.to_owned() }
    }

    /// A function of the project, by its name.
    pub fn function(&self, name: &str) -> Contender {
        Contender::new(name, self.functions.join(name))
    }

    /// A bare program; `what` chooses what it does.
    pub fn bare(&self, program: &str, what: &str) -> Contender {
        let name = if what.is_empty() { program.to_owned() } else { format!("bare {what}") };
        Contender::new(&name, self.bare.join(program)).with("BARE", what)
    }
}
