//! The data of `transforms/`, read and validated into one [`Model`].
//!
//! Invariant: every name in a `Model` resolves and no pack says one twice, or there is no `Model`. Frameworks and
//! transforms never name each other: knowledge grows as N + M.

mod assemble;
mod guide;
mod index;
mod mistake;
mod needles;
mod serve;
mod tables;
mod template;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use rustc_hash::FxHashSet;

pub use assemble::{Pack, Redefined, Rows};
pub use guide::{Example, SECTIONS};
pub use mistake::{PackError, instead};
pub use needles::Needles;
pub use serve::{Location, Proof, Sent, Serve, TestTable};
pub use tables::*;
pub use template::{Name, Piece, Template, Wording};

use assemble::Assembly;
use index::{Index, Row};

static TRANSFORMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/transforms");

/// What depickle's own comments begin with.
pub const OWN: &str = "depickle:";

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
    index: Index,
    redefined: Vec<Redefined>,
    /// Made when they are first asked for; once, however many projects are searched.
    needles: OnceLock<Needles>,
}

impl Model {
    /// The packs that are built in.
    ///
    /// # Errors
    /// The first bad file, with its line.
    pub fn builtin() -> Result<Model, PackError> {
        Model::with(&[], &[])
    }

    /// These and then `packs`, without the transforms that are `off`.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn with(packs: &[Pack], off: &[String]) -> Result<Model, PackError> {
        let mut files = BTreeMap::new();
        collect(&TRANSFORMS, &mut files);
        let built_in = Pack::Files("transforms/".to_owned(), files);
        let mut assembly = Assembly::default();
        for (n, pack) in std::iter::once(&built_in).chain(packs).enumerate() {
            assembly.add(pack, n)?;
        }
        assembly.model(off)
    }

    /// A model of TOML files by their path below `transforms/`, and of nothing else.
    ///
    /// # Errors
    /// As [`Model::with`].
    pub fn from_files(files: &BTreeMap<String, String>) -> Result<Model, PackError> {
        let mut assembly = Assembly::default();
        assembly.add(&Pack::Files("transforms/".to_owned(), files.clone()), 0)?;
        assembly.model(&[])
    }

    /// What packs from outside say anew.
    pub fn redefined(&self) -> &[Redefined] {
        &self.redefined
    }

    /// The sink called `name`.
    pub fn sink(&self, name: &str) -> Option<SinkId> {
        self.index.sinks.get(name).copied()
    }

    /// Names of the sinks directly in `module`.
    pub fn sinks_of(&self, module: &str) -> impl Iterator<Item = &str> {
        let sinks = self.index.sinks.keys();
        let mut names: Vec<&str> = sinks
            .filter_map(|name| name.strip_prefix(module)?.strip_prefix('.'))
            .filter(|last| !last.contains('.'))
            .collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The last parts of the names of sinks: `loads`.
    pub fn sink_lasts(&self) -> Vec<&str> {
        let sinks = self.index.sinks.keys();
        let lasts = sinks.filter_map(|name| name.rsplit('.').next());
        lasts
            .filter(|last| last.contains("load") || last.contains("pickle"))
            .collect()
    }

    /// Whether something is known of `full`, a member of `class`, or of the class as a sink.
    pub fn knows(&self, class: &str, full: &str) -> bool {
        let index = &self.index;
        index.sinks.contains_key(class)
            || index.sinks.contains_key(full)
            || !index.sources.exact(full).is_empty()
            || index.steps.contains_key(full)
            || index.returns.contains_key(full)
            || index.stops.contains(full)
            || index.verifies.contains(full)
            || !index.store_reads.exact(full).is_empty()
            || !index.store_writes.exact(full).is_empty()
            || !index.registrations.exact(full).is_empty()
            || !index.decorators.exact(full).is_empty()
    }

    /// Whether methods of the class `name` are sinks.
    pub fn has_sinks(&self, name: &str) -> bool {
        self.index.sink_classes.contains(name)
    }

    /// The sink that is a method called `last` of a receiver that nothing is known of.
    pub fn open_sink(&self, last: &str) -> Option<SinkId> {
        self.index.sinks.get(&format!("*.{last}")).copied()
    }

    /// All settings that choose a dangerous format.
    pub fn settings(&self) -> impl Iterator<Item = (SinkId, &Setting)> {
        let transforms = self.transforms.iter().enumerate();
        transforms.flat_map(|(n, transform)| {
            let sinks = transform.sinks.iter().enumerate();
            sinks.filter_map(move |(m, sink)| {
                let id = SinkId {
                    transform: n,
                    sink: m,
                };
                Some((id, sink.setting.as_ref()?))
            })
        })
    }

    /// Transforms that can come in place of the one called `id`.
    pub fn instead_of<'m>(&'m self, id: &'m str) -> impl Iterator<Item = &'m Transform> {
        let transforms = self.transforms.iter();
        transforms.filter(move |t| t.instead_of.as_deref() == Some(id))
    }

    /// The sink's row and its transform.
    pub fn sink_row(&self, id: SinkId) -> Option<(&Transform, &Sink)> {
        let transform = self.transforms.get(id.transform)?;
        Some((transform, transform.sinks.get(id.sink)?))
    }

    /// Whether `name` serialises what a sink reads.
    pub fn is_writer(&self, name: &str) -> bool {
        self.index.writers.contains_key(name)
    }

    /// What serialises what a sink reads, by name.
    pub fn writer(&self, name: &str) -> Option<&Writer> {
        self.writer_row(name).map(|(_, writer)| writer)
    }

    /// The same with its transform.
    pub fn writer_row(&self, name: &str) -> Option<(&Transform, &Writer)> {
        let (transform, row) = self.index.writers.get(name)?;
        let transform = self.transforms.get(*transform)?;
        Some((transform, transform.writers.get(*row)?))
    }

    fn row<'m, T>(&'m self, rows: fn(&'m Framework) -> &'m [T], row: Row) -> Option<&'m T> {
        rows(self.frameworks.get(row.0.0)?).get(row.1)
    }

    /// The carriers among functions called `names` and methods called `method`.
    pub fn carriers<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        method: Option<&str>,
    ) -> Vec<&Carrier> {
        let methods = method.map_or(&[][..], |m| self.index.carrier_methods.exact(m));
        let by_name = names.flat_map(|name| self.index.carriers.exact(name));
        methods
            .iter()
            .chain(by_name)
            .filter_map(|row| self.row(|f| &f.carriers, *row))
            .collect()
    }

    /// The carriers that are a method called `last` of a receiver that nothing is known of.
    pub fn open_carriers(&self, last: &str) -> impl Iterator<Item = (FrameworkId, &Carrier)> {
        let rows = self.index.carriers.open(last).iter();
        rows.filter_map(|row| Some((row.0, self.row(|f| &f.carriers, *row)?)))
    }

    /// What is known of the queue that calling `name` is about.
    pub fn queue(&self, name: &str) -> Option<(FrameworkId, &Queue)> {
        let row = self.index.queues.exact(name).first()?;
        Some((row.0, self.row(|f| &f.queues, *row)?))
    }

    /// The same of a method called `last` of any receiver.
    pub fn open_queues(&self, last: &str) -> impl Iterator<Item = (FrameworkId, &Queue)> {
        let rows = self.index.queues.open(last).iter();
        rows.filter_map(|row| Some((row.0, self.row(|f| &f.queues, *row)?)))
    }

    /// The framework that knows the modelled type `name`.
    pub fn object_home(&self, name: &str) -> Option<FrameworkId> {
        self.index.objects.get(name).map(|row| row.0)
    }

    /// Whether a method called `name`, of what a database found, finds some of it or more.
    pub fn is_query(&self, name: &str) -> bool {
        self.index.queries.contains(name)
    }

    /// Whether instances of classes derived from `base` are rows of a database.
    pub fn is_table(&self, base: &str) -> bool {
        self.index.tables.contains(base)
    }

    /// The source called `name`.
    pub fn source(&self, name: &str) -> Option<&Source> {
        let row = self.index.sources.exact(name).first()?;
        self.row(|f| &f.sources, *row)
    }

    /// Sources that are a method or attribute called `last` of a receiver that nothing is known of.
    pub fn open_sources(&self, last: &str) -> impl Iterator<Item = (FrameworkId, &Source)> {
        let rows = self.index.sources.open(last).iter();
        rows.filter_map(|row| Some((row.0, self.row(|f| &f.sources, *row)?)))
    }

    /// The modelled type called `name`, aliases included.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.row(|f| &f.objects, *self.index.objects.get(name)?)
    }

    /// What calling `name` gives, where that is a modelled object.
    pub fn returns(&self, name: &str) -> Option<&Returns> {
        self.row(|f| &f.returns, *self.index.returns.get(name)?)
    }

    /// What a client does so that the step `name` (or `.name`, of a method) gives what was meant.
    pub fn encoding(&self, name: &str) -> Option<Encoding> {
        self.index.encodings.get(name).copied()
    }

    /// The propagating function called `name`.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.row(|f| &f.steps, *self.index.steps.get(name)?)
    }

    /// The propagating method called `name`, whatever its receiver.
    pub fn method_step(&self, name: &str) -> Option<&Step> {
        self.row(|f| &f.steps, *self.index.step_methods.get(name)?)
    }

    /// How calling `name`, or a method `last`, calls a function it is given.
    pub fn apply(&self, name: &str, last: &str) -> Option<&Apply> {
        let rows = self.index.applies.exact(name);
        let row = rows
            .first()
            .or(self.index.apply_methods.exact(last).first())?;
        self.row(|f| &f.applies, *row)
    }

    /// The store that calling `name` reads.
    pub fn store_read(&self, name: &str) -> Option<&Store> {
        self.row(|f| &f.stores, *self.index.store_reads.exact(name).first()?)
    }

    /// The store that calling `name` writes.
    pub fn store_write(&self, name: &str) -> Option<&Store> {
        self.row(|f| &f.stores, *self.index.store_writes.exact(name).first()?)
    }

    /// The store that `name` is, by subscript.
    pub fn store_subscript(&self, name: &str) -> Option<&Store> {
        self.row(
            |f| &f.stores,
            *self.index.store_subscripts.exact(name).first()?,
        )
    }

    /// Whether what `name` returns can carry no payload.
    pub fn stops(&self, name: &str) -> bool {
        self.index.stops.contains(name)
    }

    /// Whether what a method called `name` returns can carry no payload.
    pub fn stops_method(&self, name: &str) -> bool {
        self.index.stop_methods.contains(name)
    }

    /// Whether a method called `name` hands what it is given to code that runs elsewhere.
    pub fn hands_over(&self, name: &str) -> bool {
        self.index.hands_over.contains(name)
    }

    /// Whether an attribute called `name` can carry no payload.
    pub fn stops_attribute(&self, name: &str) -> bool {
        self.index.stop_attributes.contains(name)
    }

    /// Whether `name` never returns.
    pub fn exits(&self, name: &str) -> bool {
        self.index.exits.contains(name)
    }

    /// Whether `name` lets only known users through.
    pub fn authenticates(&self, name: &str) -> bool {
        self.index.auth.contains(name)
    }

    /// Whether `name` makes a keyed digest: key first, data second.
    pub fn makes_digest(&self, name: &str) -> bool {
        self.index.digests.contains(name)
    }

    /// Whether `name` compares digests.
    pub fn compares_digests(&self, name: &str) -> bool {
        self.index.compares.contains(name)
    }

    /// Whether `name` gives back only what carries a valid signature.
    pub fn verifies(&self, name: &str) -> bool {
        self.index.verifies.contains(name)
    }

    /// Whether calling `name` makes an object with a method that verifies signatures; its first argument is the key.
    pub fn makes_verifier(&self, name: &str) -> bool {
        self.index.verifiers.contains(name)
    }

    /// Whether `name` is true only of a first argument that is harmless.
    pub fn tests_harmless(&self, name: &str) -> bool {
        self.index.tests.contains(name)
    }

    /// Whether from a call of `name` on every load refuses what is not harmless.
    pub fn hooks_loads(&self, name: &str) -> bool {
        self.index.hooks.contains(name)
    }

    /// `[[handler]]` rows for the decorator `name`.
    pub fn decorated(&self, name: &str) -> &[(FrameworkId, usize)] {
        self.index.decorators.exact(name)
    }

    /// `[[handler]]` rows for a decorator `last` of a receiver that nothing is known of.
    pub fn decorated_open(&self, last: &str) -> &[(FrameworkId, usize)] {
        self.index.decorators.open(last)
    }

    /// `[[handler]]` rows for handlers passed to `name`.
    pub fn registered(&self, name: &str) -> &[(FrameworkId, usize)] {
        self.index.registrations.exact(name)
    }

    /// `[[handler]]` rows for handlers passed to a method `last` of a receiver that nothing is known of.
    pub fn registered_open(&self, last: &str) -> &[(FrameworkId, usize)] {
        self.index.registrations.open(last)
    }

    /// `[[handler]]` rows for methods of subclasses of `base`.
    pub fn based(&self, base: &str) -> &[(FrameworkId, usize)] {
        self.index.bases.exact(base)
    }

    /// `[[handler]]` rows for methods of subclasses of a class whose name is `base`, by its ending.
    pub fn based_ending(&self, base: &str) -> impl Iterator<Item = (FrameworkId, usize)> {
        let rows = self.index.base_endings.iter();
        let is =
            move |ending: &String| base.len() > ending.len() && base.ends_with(ending.as_str());
        rows.filter(move |(ending, _)| is(ending))
            .map(|(_, row)| *row)
    }

    /// `[[handler]]` rows for functions with certain parameters.
    pub fn signatures(&self) -> &[(FrameworkId, usize)] {
        &self.index.signatures
    }

    /// `[[handler]]` rows for functions whose first parameter is `name`.
    pub fn first_named(&self, name: &str) -> &[(FrameworkId, usize)] {
        self.index.first_named.get(name).map_or(&[], Vec::as_slice)
    }

    /// A `[[handler]]` row.
    pub fn handler(&self, framework: FrameworkId, row: usize) -> Option<&Handler> {
        self.row(|f| &f.handlers, (framework, row))
    }

    /// Frameworks that a file uses which imports these (`flask`, `google.cloud`).
    pub fn used<'n>(&self, imports: impl Iterator<Item = &'n str>) -> FxHashSet<FrameworkId> {
        let mut used: FxHashSet<FrameworkId> = self.index.everywhere.iter().copied().collect();
        for import in imports {
            let ends = import.match_indices('.').map(|(at, _)| at);
            for end in ends.chain([import.len()]) {
                let package = import.get(..end).unwrap_or(import);
                used.extend(self.index.packages.get(package).into_iter().flatten());
            }
        }
        used
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

    /// What to look for in the bytes of files.
    pub fn needles(&self) -> &Needles {
        self.needles.get_or_init(|| Needles::of(self))
    }

    /// Modules that are about pickles alone: they both read and write them, and may be handed on as a whole.
    pub fn pickle_modules(&self) -> Vec<String> {
        let writers = self.index.writers.keys();
        let mut modules: Vec<String> = writers
            .filter_map(|name| name.rsplit_once('.'))
            .map(|(module, _)| module.to_owned())
            .collect();
        modules.sort();
        modules.dedup();
        modules
    }

    /// Top-level modules of the sinks.
    pub fn sink_modules(&self) -> Vec<String> {
        let names = self.index.sinks.keys();
        let mut tops: Vec<String> = names
            .filter_map(|name| name.split('.').next())
            .filter(|top| *top != "*")
            .map(str::to_owned)
            .collect();
        tops.sort();
        tops.dedup();
        tops
    }
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
