//! The data of `transforms/`, read and validated into one [`Model`].
//!
//! Invariant: every name in a `Model` resolves and none is said twice, or there is no `Model`. Frameworks and
//! transforms never name each other: knowledge grows as N + M.

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use include_dir::{Dir, include_dir};
use serde::de::DeserializeOwned;

pub use tables::*;

static TRANSFORMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/transforms");

/// A pack that cannot be used: which file, which line, what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file is not valid TOML or has a wrong key.
    #[error("{file}: {message}")]
    Syntax {
        /// Path below `transforms/`.
        file: String,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A name is defined twice.
    #[error("{file}: `{name}` is already defined as a {kind} by {other}; keep one of them")]
    Duplicate {
        /// The later file.
        file: String,
        /// The name.
        name: String,
        /// `sink`, `source`, ...
        kind: &'static str,
        /// The earlier file.
        other: String,
    },
    /// A type is used that no `[[object]]` defines.
    #[error("{file}: no [[object]] defines the type `{name}`; add one, or correct the name")]
    UnknownType {
        /// The file.
        file: String,
        /// The type.
        name: String,
    },
}

/// A name of a modelled thing, and which framework it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameworkId(pub usize);

/// A sink and the transform that treats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId {
    /// Index into [`Model::transforms`].
    pub transform: usize,
    /// Index into that transform's sinks.
    pub sink: usize,
}

/// Everything that is known about libraries, frameworks and rewrites.
#[derive(Debug)]
pub struct Model {
    /// Transforms in the order of their ids.
    pub transforms: Vec<Transform>,
    /// Frameworks in the order of their ids.
    pub frameworks: Vec<Framework>,
    sinks: HashMap<String, SinkId>,
    writers: HashSet<String>,
    sources: HashMap<String, (FrameworkId, usize)>,
    objects: HashMap<String, (FrameworkId, usize)>,
    returns: HashMap<String, (FrameworkId, usize)>,
    steps: HashMap<String, (FrameworkId, usize)>,
    methods: HashMap<String, (FrameworkId, usize)>,
    stops: HashSet<String>,
    exits: HashSet<String>,
    digests: HashSet<String>,
    compares: HashSet<String>,
    verifies: HashSet<String>,
}

impl Model {
    /// The packs that are built in.
    ///
    /// # Errors
    /// The first bad file, with its line.
    pub fn builtin() -> Result<Model, PackError> {
        let mut files = BTreeMap::new();
        collect(&TRANSFORMS, &mut files);
        Model::from_files(&files)
    }

    /// A model of TOML files by their path below `transforms/`.
    ///
    /// # Errors
    /// As [`Model::builtin`].
    pub fn from_files(files: &BTreeMap<String, String>) -> Result<Model, PackError> {
        let mut model = Model {
            transforms: Vec::new(),
            frameworks: Vec::new(),
            sinks: HashMap::new(),
            writers: HashSet::new(),
            sources: HashMap::new(),
            objects: HashMap::new(),
            returns: HashMap::new(),
            steps: HashMap::new(),
            methods: HashMap::new(),
            stops: HashSet::new(),
            exits: HashSet::new(),
            digests: HashSet::new(),
            compares: HashSet::new(),
            verifies: HashSet::new(),
        };
        let mut claims = Claims::default();
        for (path, text) in files {
            match path.split('/').collect::<Vec<_>>().as_slice() {
                [id, "transform.toml"] => {
                    let mut transform: Transform = parse(path, text)?;
                    transform.id = (*id).to_owned();
                    transform.readme = readme(files, path);
                    model.add_transform(transform, path, &mut claims)?;
                }
                ["frameworks", id, "model.toml"] => {
                    let mut framework: Framework = parse(path, text)?;
                    framework.id = (*id).to_owned();
                    model.add_framework(framework, path, &mut claims)?;
                }
                _ => {}
            }
        }
        model.check_types()?;
        Ok(model)
    }

    fn add_transform(
        &mut self,
        transform: Transform,
        file: &str,
        claims: &mut Claims,
    ) -> Result<(), PackError> {
        let index = self.transforms.len();
        for (n, sink) in transform.sinks.iter().enumerate() {
            for name in &sink.names {
                claims.claim("sink", name, file)?;
                let id = SinkId {
                    transform: index,
                    sink: n,
                };
                self.sinks.insert(name.clone(), id);
            }
        }
        for writer in &transform.writers {
            for name in &writer.names {
                claims.claim("writer", name, file)?;
                self.writers.insert(name.clone());
            }
        }
        self.transforms.push(transform);
        Ok(())
    }

    fn add_framework(
        &mut self,
        framework: Framework,
        file: &str,
        claims: &mut Claims,
    ) -> Result<(), PackError> {
        let id = FrameworkId(self.frameworks.len());
        for (n, source) in framework.sources.iter().enumerate() {
            for name in &source.names {
                claims.claim("source", name, file)?;
                self.sources.insert(name.clone(), (id, n));
            }
        }
        for (n, object) in framework.objects.iter().enumerate() {
            for name in std::iter::once(&object.name).chain(&object.aliases) {
                claims.claim("object", name, file)?;
                self.objects.insert(name.clone(), (id, n));
            }
        }
        for (n, returns) in framework.returns.iter().enumerate() {
            for name in &returns.names {
                claims.claim("returns", name, file)?;
                self.returns.insert(name.clone(), (id, n));
            }
        }
        for (n, step) in framework.steps.iter().enumerate() {
            for name in &step.names {
                claims.claim("step", name, file)?;
                self.steps.insert(name.clone(), (id, n));
            }
            for name in &step.methods {
                claims.claim("method step", name, file)?;
                self.methods.insert(name.clone(), (id, n));
            }
        }
        self.stops.extend(framework.stops.iter().cloned());
        self.exits.extend(framework.exits.iter().cloned());
        for guard in &framework.guards {
            self.digests.extend(guard.digests.iter().cloned());
            self.compares.extend(guard.compares.iter().cloned());
            self.verifies.extend(guard.verifies.iter().cloned());
        }
        self.frameworks.push(framework);
        Ok(())
    }

    fn check_types(&self) -> Result<(), PackError> {
        for framework in &self.frameworks {
            let handlers = framework.handlers.iter();
            let used = framework
                .sources
                .iter()
                .filter_map(|s| s.is.as_ref())
                .chain(framework.returns.iter().flat_map(|r| &r.types))
                .chain(handlers.clone().filter_map(|h| h.first.as_ref()))
                .chain(handlers.flat_map(|h| h.fields.values()));
            for name in used.filter(|name| !name.is_empty()) {
                if !self.objects.contains_key(name) {
                    return Err(PackError::UnknownType {
                        file: format!("frameworks/{}/model.toml", framework.id),
                        name: name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The sink called `name`.
    pub fn sink(&self, name: &str) -> Option<SinkId> {
        self.sinks.get(name).copied()
    }

    /// The sink's row and its transform.
    pub fn sink_row(&self, id: SinkId) -> Option<(&Transform, &Sink)> {
        let transform = self.transforms.get(id.transform)?;
        Some((transform, transform.sinks.get(id.sink)?))
    }

    /// The carriers among functions called `names` and methods called `method`.
    pub fn carriers<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        method: Option<&str>,
    ) -> Vec<&Carrier> {
        let names: Vec<&str> = names.collect();
        let all = self
            .frameworks
            .iter()
            .flat_map(|framework| &framework.carriers);
        let is = |carrier: &&Carrier| {
            carrier
                .names
                .iter()
                .any(|name| names.contains(&name.as_str()))
                || carrier
                    .methods
                    .iter()
                    .any(|name| Some(name.as_str()) == method)
        };
        all.filter(is).collect()
    }

    /// Whether `name` serialises what a sink reads.
    pub fn is_writer(&self, name: &str) -> bool {
        self.writers.contains(name)
    }

    /// The source called `name`.
    pub fn source(&self, name: &str) -> Option<&Source> {
        let (framework, index) = self.sources.get(name)?;
        self.frameworks.get(framework.0)?.sources.get(*index)
    }

    /// The modelled type called `name`, aliases included.
    pub fn object(&self, name: &str) -> Option<&Object> {
        let (framework, index) = self.objects.get(name)?;
        self.frameworks.get(framework.0)?.objects.get(*index)
    }

    /// What calling `name` gives, where that is a modelled object.
    pub fn returns(&self, name: &str) -> Option<&Returns> {
        let (framework, index) = self.returns.get(name)?;
        self.frameworks.get(framework.0)?.returns.get(*index)
    }

    /// The propagating function called `name`.
    pub fn step(&self, name: &str) -> Option<&Step> {
        let (framework, index) = self.steps.get(name)?;
        self.frameworks.get(framework.0)?.steps.get(*index)
    }

    /// The propagating method called `name`, whatever its receiver.
    pub fn method_step(&self, name: &str) -> Option<&Step> {
        let (framework, index) = self.methods.get(name)?;
        self.frameworks.get(framework.0)?.steps.get(*index)
    }

    /// Whether what `name` returns can carry no payload.
    pub fn stops(&self, name: &str) -> bool {
        self.stops.contains(name)
    }

    /// Whether `name` never returns.
    pub fn exits(&self, name: &str) -> bool {
        self.exits.contains(name)
    }

    /// Whether `name` makes a keyed digest: key first, data second.
    pub fn makes_digest(&self, name: &str) -> bool {
        self.digests.contains(name)
    }

    /// Whether `name` compares digests.
    pub fn compares_digests(&self, name: &str) -> bool {
        self.compares.contains(name)
    }

    /// Whether `name` gives back only what carries a valid signature.
    pub fn verifies(&self, name: &str) -> bool {
        self.verifies.contains(name)
    }

    /// Whether calling `name` makes an object with a method that verifies signatures; its first argument is the key.
    pub fn makes_verifier(&self, name: &str) -> bool {
        let method = |verifies: &String| {
            verifies
                .rsplit_once('.')
                .is_some_and(|(class, _)| class == name)
        };
        self.verifies.iter().any(method)
    }

    /// The framework with that index.
    pub fn framework(&self, id: FrameworkId) -> Option<&Framework> {
        self.frameworks.get(id.0)
    }

    /// All frameworks with their ids.
    pub fn frameworks(&self) -> impl Iterator<Item = (FrameworkId, &Framework)> {
        self.frameworks
            .iter()
            .enumerate()
            .map(|(n, f)| (FrameworkId(n), f))
    }

    /// Module names without which a file cannot name a sink: what a search by bytes looks for.
    pub fn sink_words(&self) -> Vec<String> {
        let mut words: Vec<String> = self
            .sinks
            .keys()
            .filter_map(|name| name.split('.').next().map(str::to_owned))
            .collect();
        words.sort();
        words.dedup();
        words
    }
}

/// Who defined which name first.
#[derive(Default)]
struct Claims {
    seen: HashMap<(&'static str, String), String>,
}

impl Claims {
    fn claim(&mut self, kind: &'static str, name: &str, file: &str) -> Result<(), PackError> {
        match self
            .seen
            .insert((kind, name.to_owned()), format!("transforms/{file}"))
        {
            None => Ok(()),
            Some(other) => Err(PackError::Duplicate {
                file: format!("transforms/{file}"),
                name: name.to_owned(),
                kind,
                other,
            }),
        }
    }
}

fn parse<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, PackError> {
    toml::from_str(text).map_err(|error| PackError::Syntax {
        file: format!("transforms/{path}"),
        message: error.to_string(),
    })
}

/// The README beside a `transform.toml`: what `explain` prints.
fn readme(files: &BTreeMap<String, String>, path: &str) -> String {
    let beside = path.replace("transform.toml", "README.md");
    files.get(&beside).cloned().unwrap_or_default()
}

fn collect(dir: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in dir.files() {
        if let Some(text) = file.contents_utf8() {
            files.insert(file.path().to_string_lossy().into_owned(), text.to_owned());
        }
    }
    for below in dir.dirs() {
        collect(below, files);
    }
}
