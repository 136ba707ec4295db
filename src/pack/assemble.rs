//! Packs to one [`Model`]: those that are built in, folders of `--pack`, and the rows of configurations.
//!
//! Invariant: what comes later may add, and say anew what an earlier pack says; then it holds, and that is told
//! ([`Redefined`]). Within one pack no name is said twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;

use super::guide;
use super::index::Index;
use super::mistake::{PackError, instead};
use super::tables::*;
use super::{FrameworkId, Model, SinkId};

/// The transform that treats sinks of a configuration which name none.
const DEFAULT: &str = "pickle-to-json";

/// Knowledge from one place.
#[derive(Debug, Clone)]
pub enum Pack {
    /// A folder laid out like `transforms/`: what its paths begin with in messages, and its files by path below it.
    Files(String, BTreeMap<String, String>),
    /// The rows of a configuration.
    Rows(Box<Rows>),
}

/// What a configuration says in the tables of packs.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The file, for messages.
    pub file: String,
    /// All of it.
    pub text: String,
    /// Tables of a `model.toml`.
    pub framework: Framework,
    /// Sinks, each with the transform that treats it.
    pub sinks: Vec<Sink>,
    /// Writers, likewise.
    pub writers: Vec<Writer>,
}

/// A name that two packs say something of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redefined {
    /// `sink`, `source`, ...
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The file that holds.
    pub by: String,
    /// The file that said it before.
    pub before: String,
}

impl Redefined {
    /// One sentence.
    pub fn sentence(&self) -> String {
        let Redefined { kind, name, by, .. } = self;
        let before = &self.before;
        format!("{by} says anew what the {kind} `{name}` of {before} is, and holds")
    }
}

/// A file that was read, for messages about what is in it.
struct Read {
    pack: usize,
    file: String,
    text: String,
}

/// Packs, put together.
#[derive(Default)]
pub(super) struct Assembly {
    transforms: Vec<Transform>,
    frameworks: Vec<Framework>,
    read: Vec<Read>,
    /// Which file said what first, as an index of `read`.
    seen: HashMap<(&'static str, String), usize>,
    redefined: Vec<Redefined>,
}

impl Assembly {
    /// Adds `pack`, which comes after those that were added.
    pub(super) fn add(&mut self, pack: &Pack, number: usize) -> Result<(), PackError> {
        match pack {
            Pack::Files(name, files) => self.add_files(name, files, number),
            Pack::Rows(rows) => {
                let at = self.reads(number, rows.file.clone(), rows.text.clone());
                self.add_rows(rows, at)
            }
        }
    }

    fn reads(&mut self, pack: usize, file: String, text: String) -> usize {
        self.read.push(Read { pack, file, text });
        self.read.len() - 1
    }

    fn add_files(
        &mut self,
        name: &str,
        files: &BTreeMap<String, String>,
        pack: usize,
    ) -> Result<(), PackError> {
        let mut any = false;
        for (path, text) in files {
            let file = format!("{name}{path}");
            let parts: Vec<&str> = path.split('/').collect();
            let (["frameworks", id, "model.toml"] | [id, "transform.toml"]) = parts.as_slice()
            else {
                if pack > 0 && path.ends_with(".toml") {
                    let message = "a pack holds ID/transform.toml and frameworks/ID/model.toml; \
                                   move it, or rename it";
                    return Err(PackError::new(&file, text, 0..0, message.to_owned()));
                }
                continue;
            };
            any = true;
            if path.ends_with("model.toml") {
                let mut framework: Framework = parse(&file, text)?;
                framework.id = (*id).to_owned();
                let at = self.reads(pack, file, text.clone());
                self.add_framework(framework, at)?;
            } else {
                let mut transform: Transform = parse(&file, text)?;
                transform.id = (*id).to_owned();
                let beside = path.replace("transform.toml", "README.md");
                let readme = files.get(&beside).map_or("", String::as_str);
                transform.readme = guide::with_cases(readme, id, files);
                let settings: Vec<Sink> = transform.settings.iter().map(Setting::row).collect();
                transform.sinks.extend(settings);
                let at = self.reads(pack, file, text.clone());
                self.add_transform(transform, at)?;
            }
        }
        match any || pack == 0 {
            true => Ok(()),
            false => Err(PackError::new(
                name,
                "",
                0..0,
                "holds no pack; a pack holds ID/transform.toml or frameworks/ID/model.toml"
                    .to_owned(),
            )),
        }
    }

    fn wrong(&self, at: usize, word: &str, message: String) -> PackError {
        match self.read.get(at) {
            Some(read) => PackError::at(&read.file, &read.text, word, message),
            None => PackError::new("", "", 0..0, message),
        }
    }

    /// Takes note that the file `at` says what `name` is.
    fn claim(&mut self, kind: &'static str, name: &str, at: usize) -> Result<(), PackError> {
        let Some(before) = self.seen.insert((kind, name.to_owned()), at) else {
            return Ok(());
        };
        let file = |at: usize| self.read.get(at).map_or("", |read| read.file.as_str());
        let pack = |at: usize| self.read.get(at).map(|read| read.pack);
        if pack(before) == pack(at) {
            let other = file(before);
            let message = format!("`{name}` is already a {kind} by {other}; keep one of them");
            return Err(self.wrong(at, name, message));
        }
        self.redefined.push(Redefined {
            kind,
            name: name.to_owned(),
            by: file(at).to_owned(),
            before: file(before).to_owned(),
        });
        Ok(())
    }

    fn claims(&mut self, sinks: &[Sink], writers: &[Writer], at: usize) -> Result<(), PackError> {
        for name in sinks.iter().flat_map(|sink| &sink.names) {
            self.claim("sink", name, at)?;
        }
        for name in writers.iter().flat_map(|writer| &writer.names) {
            self.claim("writer", name, at)?;
        }
        Ok(())
    }

    fn add_transform(&mut self, transform: Transform, at: usize) -> Result<(), PackError> {
        if self.transforms.iter().any(|t| t.id == transform.id) {
            let id = &transform.id;
            let message = format!(
                "there is a transform `{id}`; give this folder another name, and share its rewrite by `rewrite-like`"
            );
            return Err(self.wrong(at, "title", message));
        }
        let named = transform.sinks.iter().filter_map(|s| s.transform.as_ref());
        let named = named.chain(
            transform
                .writers
                .iter()
                .filter_map(|w| w.transform.as_ref()),
        );
        if let Some(name) = named.clone().next() {
            let message = "in a pack its folder says the transform; take the key out".to_owned();
            return Err(self.wrong(at, name, message));
        }
        self.claims(&transform.sinks, &transform.writers, at)?;
        self.transforms.push(transform);
        Ok(())
    }

    fn add_framework(&mut self, framework: Framework, at: usize) -> Result<(), PackError> {
        for source in &framework.sources {
            for name in &source.names {
                self.claim("source", name, at)?;
            }
            if let (None, None, Some(name)) = (source.trust, &source.is, source.names.first()) {
                let message = "a source needs `trust` (who supplies it) or `is` (the object it is)";
                return Err(self.wrong(at, name, message.to_owned()));
            }
        }
        for object in &framework.objects {
            for name in std::iter::once(&object.name).chain(&object.aliases) {
                self.claim("object", name, at)?;
            }
        }
        for name in framework.returns.iter().flat_map(|row| &row.names) {
            self.claim("returns", name, at)?;
        }
        for step in &framework.steps {
            for name in &step.names {
                self.claim("step", name, at)?;
            }
            for name in &step.methods {
                self.claim("method step", name, at)?;
            }
        }
        let known = self.frameworks.iter_mut().find(|f| f.id == framework.id);
        match known {
            Some(known) => known.put_before(framework),
            // What is found first holds.
            None if self.read.get(at).is_some_and(|read| read.pack > 0) => {
                self.frameworks.insert(0, framework);
            }
            None => self.frameworks.push(framework),
        }
        Ok(())
    }

    fn add_rows(&mut self, rows: &Rows, at: usize) -> Result<(), PackError> {
        self.add_framework(rows.framework.clone(), at)?;
        self.claims(&rows.sinks, &rows.writers, at)?;
        for sink in rows.sinks.iter().rev() {
            let word = sink.names.first().map_or("[[sink]]", String::as_str);
            let home = self.home(sink.transform.as_deref(), word, at)?;
            home.sinks.insert(0, sink.clone());
        }
        for writer in rows.writers.iter().rev() {
            let word = writer.names.first().map_or("[[writer]]", String::as_str);
            let home = self.home(writer.transform.as_deref(), word, at)?;
            home.writers.insert(0, writer.clone());
        }
        Ok(())
    }

    /// The transform that a row at `word` names.
    fn home(
        &mut self,
        name: Option<&str>,
        word: &str,
        at: usize,
    ) -> Result<&mut Transform, PackError> {
        let id = name.unwrap_or(DEFAULT);
        match self.transforms.iter().position(|t| t.id == id) {
            Some(n) => Ok(&mut self.transforms[n]),
            None => {
                let known: Vec<&str> = self.transforms.iter().map(|t| t.id.as_str()).collect();
                let message = format!("there is no transform `{id}`; {}", instead(id, &known));
                Err(self.wrong(at, name.unwrap_or(word), message))
            }
        }
    }

    /// Everything as a model, but the sinks of the transforms that are `off`.
    pub(super) fn model(mut self, off: &[String]) -> Result<Model, PackError> {
        self.share_rewrites()?;
        self.check_parts()?;
        for transform in &mut self.transforms {
            if off.contains(&transform.id) {
                transform.sinks.clear();
                transform.writers.clear();
                transform.settings.clear();
                transform.instead_of = None;
            }
        }
        let mut index = Index::default();
        for (n, transform) in self.transforms.iter().enumerate() {
            for (m, sink) in transform.sinks.iter().enumerate() {
                let id = SinkId {
                    transform: n,
                    sink: m,
                };
                for name in &sink.names {
                    index.add_sink(name, id);
                }
            }
            for (m, writer) in transform.writers.iter().enumerate() {
                for name in &writer.names {
                    index.writers.entry(name.clone()).or_insert((n, m));
                }
            }
        }
        for (n, framework) in self.frameworks.iter().enumerate() {
            index.add(FrameworkId(n), framework);
        }
        self.check_types(&index)?;
        Ok(Model {
            transforms: self.transforms,
            frameworks: self.frameworks,
            index,
            redefined: self.redefined,
            needles: OnceLock::new(),
        })
    }

    fn share_rewrites(&mut self) -> Result<(), PackError> {
        let own = |t: &Transform| Some((t.id.clone(), t.rewrite.clone()?));
        let rewrites: HashMap<String, Rewrite> = self.transforms.iter().filter_map(own).collect();
        let mut unknown = None;
        for transform in &mut self.transforms {
            // What comes in another's place and reads another format gives the same kinds of values.
            let other = transform
                .instead_of
                .as_ref()
                .and_then(|id| rewrites.get(id));
            if let (Some(other), Some(own)) = (other, &mut transform.rewrite)
                && !own.same_format
            {
                own.value_methods.clone_from(&other.value_methods);
                own.value_types.clone_from(&other.value_types);
                own.foreign_terms.clone_from(&other.foreign_terms);
                own.foreign_factors.clone_from(&other.foreign_factors);
                own.foreign_keys.clone_from(&other.foreign_keys);
                own.foreign_arguments.clone_from(&other.foreign_arguments);
            }
            let Some(name) = &transform.rewrite_like else {
                continue;
            };
            match rewrites.get(name) {
                Some(shared) => transform.rewrite = Some(shared.clone()),
                None => unknown = Some((transform.id.clone(), name.clone())),
            }
        }
        let Some((id, name)) = unknown else {
            return Ok(());
        };
        let known: Vec<&str> = rewrites.keys().map(String::as_str).collect();
        let message = format!(
            "the transform `{name}` has no [rewrite] to share; {}",
            instead(&name, &known)
        );
        Err(self.wrong(
            self.file_of(&format!("{id}/transform.toml")),
            &name,
            message,
        ))
    }

    /// The file that ends so.
    fn file_of(&self, end: &str) -> usize {
        let found = self.read.iter().position(|read| read.file.ends_with(end));
        found.unwrap_or(usize::MAX)
    }

    fn check_parts(&self) -> Result<(), PackError> {
        for transform in &self.transforms {
            let parts = transform.dual_read.iter().flat_map(|dual| &dual.parts);
            let names: Vec<&str> = parts.clone().map(|part| part.name.as_str()).collect();
            let mut used = parts.flat_map(|part| &part.uses);
            if let Some(name) = used.find(|name| !names.contains(&name.as_str())) {
                let at = self.file_of(&format!("{}/transform.toml", transform.id));
                let message =
                    format!("[dual-read] has no part `{name}`; add one, or correct the name");
                return Err(self.wrong(at, name, message));
            }
        }
        Ok(())
    }

    fn check_types(&self, index: &Index) -> Result<(), PackError> {
        let known: Vec<&str> = index.objects.keys().map(String::as_str).collect();
        for framework in &self.frameworks {
            let mut used = framework.types();
            let unknown = used.find(|name| !name.is_empty() && !index.objects.contains_key(*name));
            if let Some(name) = unknown {
                let hint = instead(name, &known);
                let hint = match hint.starts_with("did") {
                    true => hint,
                    false => "add one, or correct the name".to_owned(),
                };
                let message = format!("no [[object]] defines the type `{name}`; {hint}");
                let says = |read: &Read| read.text.contains(name);
                let at = self.read.iter().position(says).unwrap_or(usize::MAX);
                return Err(self.wrong(at, name, message));
            }
        }
        Ok(())
    }
}

impl Framework {
    /// Names of types that rows say something is.
    fn types(&self) -> impl Iterator<Item = &String> {
        let handlers = self.handlers.iter();
        let members = self.objects.iter().flat_map(|o| o.members.values());
        let arguments = handlers.clone().flat_map(|h| &h.arguments);
        self.sources
            .iter()
            .filter_map(|s| s.is.as_ref())
            .chain(self.returns.iter().flat_map(|r| &r.types))
            .chain(handlers.clone().filter_map(|h| h.first.as_ref()))
            .chain(handlers.flat_map(|h| h.fields.values()))
            .chain(members.filter_map(|member| match member {
                Member::Is(name) => Some(name),
                Member::Data(_) => None,
            }))
            .chain(arguments.filter_map(|argument| match argument {
                Argument::Is(name) => Some(name),
                Argument::Clean | Argument::Data(_) => None,
            }))
    }

    /// Puts the rows of `more` before its own: they hold.
    fn put_before(&mut self, more: Framework) {
        fn put<T>(rows: &mut Vec<T>, mut more: Vec<T>) {
            more.append(rows);
            *rows = more;
        }
        let Framework {
            id: _,
            title: _,
            packages,
            sources,
            objects,
            returns,
            handlers,
            replies,
            steps,
            encodings,
            serves,
            test,
            stops,
            exits,
            settles,
            carriers,
            queues,
            tables,
            queries,
            buffers,
            guards,
            applies,
            stores,
            auth,
            stop_methods,
            hands_over,
            stop_attributes,
            bad_request,
            loggers,
            logger_makers,
        } = more;
        put(&mut self.packages, packages);
        put(&mut self.sources, sources);
        put(&mut self.objects, objects);
        put(&mut self.returns, returns);
        put(&mut self.handlers, handlers);
        put(&mut self.replies, replies);
        put(&mut self.steps, steps);
        self.encodings.extend(encodings);
        put(&mut self.serves, serves);
        self.test = test.or(self.test.take());
        put(&mut self.stops, stops);
        put(&mut self.exits, exits);
        put(&mut self.settles, settles);
        put(&mut self.carriers, carriers);
        put(&mut self.queues, queues);
        put(&mut self.tables, tables);
        put(&mut self.queries, queries);
        put(&mut self.buffers, buffers);
        put(&mut self.guards, guards);
        put(&mut self.applies, applies);
        put(&mut self.stores, stores);
        put(&mut self.auth, auth);
        put(&mut self.stop_methods, stop_methods);
        put(&mut self.hands_over, hands_over);
        put(&mut self.stop_attributes, stop_attributes);
        put(&mut self.bad_request, bad_request);
        put(&mut self.loggers, loggers);
        put(&mut self.logger_makers, logger_makers);
    }
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PackError> {
    toml::from_str(text).map_err(|error| PackError::of_toml(file, text, &error))
}
