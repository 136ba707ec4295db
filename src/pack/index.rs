//! Where a name leads: every look-up that the analysis makes, built once.

// Every call that the analysis follows looks names up.
use rustc_hash::{FxHashMap, FxHashSet};

use super::tables::*;
use super::{FrameworkId, SinkId};

/// A row of one of a framework's tables.
pub(super) type Row = (FrameworkId, usize);

/// Rows by the names they are about; `*.name` patterns stand apart, by their last part.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: FxHashMap<String, Vec<Row>>,
    open: FxHashMap<String, Vec<Row>>,
}

impl Names {
    pub fn add(&mut self, name: &str, row: Row) {
        let (map, key) = match name.strip_prefix("*.") {
            Some(last) => (&mut self.open, last),
            None => (&mut self.exact, name),
        };
        map.entry(key.to_owned()).or_default().push(row);
    }

    /// Rows that name exactly `name`.
    pub fn exact(&self, name: &str) -> &[Row] {
        self.exact.get(name).map_or(&[], Vec::as_slice)
    }

    /// Rows with the pattern `*.last`.
    pub fn open(&self, last: &str) -> &[Row] {
        self.open.get(last).map_or(&[], Vec::as_slice)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub sinks: FxHashMap<String, SinkId>,
    /// Classes whose methods are sinks.
    pub sink_classes: FxHashSet<String>,
    pub writers: FxHashMap<String, (usize, usize)>,
    pub sources: Names,
    pub objects: FxHashMap<String, Row>,
    pub returns: FxHashMap<String, Row>,
    pub steps: FxHashMap<String, Row>,
    pub step_methods: FxHashMap<String, Row>,
    pub encodings: FxHashMap<String, Encoding>,
    pub applies: Names,
    pub apply_methods: Names,
    pub carriers: Names,
    pub carrier_methods: Names,
    pub queues: Names,
    pub tables: FxHashSet<String>,
    pub queries: FxHashSet<String>,
    pub store_reads: Names,
    pub store_writes: Names,
    pub store_subscripts: Names,
    pub stops: FxHashSet<String>,
    pub stop_methods: FxHashSet<String>,
    pub hands_over: FxHashSet<String>,
    pub stop_attributes: FxHashSet<String>,
    pub exits: FxHashSet<String>,
    pub auth: FxHashSet<String>,
    pub digests: FxHashSet<String>,
    pub compares: FxHashSet<String>,
    pub verifies: FxHashSet<String>,
    pub verifiers: FxHashSet<String>,
    pub tests: FxHashSet<String>,
    pub hooks: FxHashSet<String>,
    pub decorators: Names,
    pub registrations: Names,
    pub bases: Names,
    /// Rows whose base is a pattern such as `*Servicer`, with the ending.
    pub base_endings: Vec<(String, Row)>,
    pub signatures: Vec<Row>,
    pub first_named: FxHashMap<String, Vec<Row>>,
    /// Frameworks by the packages that say a file uses them.
    pub packages: FxHashMap<String, Vec<FrameworkId>>,
    /// Frameworks that any file may use.
    pub everywhere: Vec<FrameworkId>,
}

impl Index {
    /// Adds the sink called `name`, unless one before it is.
    pub fn add_sink(&mut self, name: &str, id: SinkId) {
        let class = name.rsplit_once('.').map_or("", |(class, _)| class);
        let last = class.rsplit('.').next().unwrap_or("");
        if last.starts_with(char::is_uppercase) {
            self.sink_classes.insert(class.to_owned());
        }
        self.sinks.entry(name.to_owned()).or_insert(id);
    }

    /// Adds the tables of `framework`; of names that must be unique the first holds.
    pub fn add(&mut self, id: FrameworkId, framework: &Framework) {
        for (n, row) in framework.sources.iter().enumerate() {
            let names = row.names.iter();
            names.for_each(|name| self.sources.add(name, (id, n)));
        }
        for (n, row) in framework.objects.iter().enumerate() {
            for name in std::iter::once(&row.name).chain(&row.aliases) {
                self.objects.entry(name.clone()).or_insert((id, n));
            }
        }
        for (n, row) in framework.returns.iter().enumerate() {
            for name in &row.names {
                self.returns.entry(name.clone()).or_insert((id, n));
            }
        }
        for (n, row) in framework.steps.iter().enumerate() {
            for name in &row.names {
                self.steps.entry(name.clone()).or_insert((id, n));
            }
            for name in &row.methods {
                self.step_methods.entry(name.clone()).or_insert((id, n));
            }
        }
        for (n, row) in framework.applies.iter().enumerate() {
            let names = row.names.iter();
            names.for_each(|name| self.applies.add(name, (id, n)));
            let methods = row.methods.iter();
            methods.for_each(|name| self.apply_methods.add(name, (id, n)));
        }
        for (n, row) in framework.carriers.iter().enumerate() {
            let names = row.names.iter();
            names.for_each(|name| self.carriers.add(name, (id, n)));
            let methods = row.methods.iter();
            methods.for_each(|name| self.carrier_methods.add(name, (id, n)));
        }
        for (n, row) in framework.queues.iter().enumerate() {
            let names = row.names.iter();
            names.for_each(|name| self.queues.add(name, (id, n)));
        }
        for (name, encoding) in &framework.encodings {
            self.encodings.entry(name.clone()).or_insert(*encoding);
        }
        self.tables.extend(framework.tables.iter().cloned());
        self.queries.extend(framework.queries.iter().cloned());
        for (n, row) in framework.stores.iter().enumerate() {
            row.reads
                .iter()
                .for_each(|name| self.store_reads.add(name, (id, n)));
            row.writes
                .iter()
                .for_each(|name| self.store_writes.add(name, (id, n)));
            row.subscripts
                .iter()
                .for_each(|name| self.store_subscripts.add(name, (id, n)));
        }
        for (n, row) in framework.handlers.iter().enumerate() {
            row.decorators
                .iter()
                .for_each(|name| self.decorators.add(name, (id, n)));
            for registration in &row.registered {
                self.registrations.add(&registration.call, (id, n));
            }
            for base in &row.bases {
                match base.strip_prefix('*').filter(|b| !b.starts_with('.')) {
                    Some(ending) => self.base_endings.push((ending.to_owned(), (id, n))),
                    None => self.bases.add(base, (id, n)),
                }
            }
            // Methods of any class are told by their names alone.
            if !row.signature.is_empty() || (!row.methods.is_empty() && row.bases.is_empty()) {
                self.signatures.push((id, n));
            }
            if let Some(first) = &row.first_named {
                self.first_named
                    .entry(first.clone())
                    .or_default()
                    .push((id, n));
            }
        }
        self.stops.extend(framework.stops.iter().cloned());
        self.stop_methods
            .extend(framework.stop_methods.iter().cloned());
        self.hands_over.extend(framework.hands_over.iter().cloned());
        self.stop_attributes
            .extend(framework.stop_attributes.iter().cloned());
        self.exits.extend(framework.exits.iter().cloned());
        self.auth.extend(framework.auth.iter().cloned());
        for guard in &framework.guards {
            self.digests.extend(guard.digests.iter().cloned());
            self.compares.extend(guard.compares.iter().cloned());
            self.tests.extend(guard.tests.iter().cloned());
            self.hooks.extend(guard.hooks.iter().cloned());
            for name in &guard.verifies {
                self.verifies.insert(name.clone());
                if let Some((class, _)) = name.rsplit_once('.') {
                    self.verifiers.insert(class.to_owned());
                }
            }
        }
        for package in &framework.packages {
            self.packages.entry(package.clone()).or_default().push(id);
        }
        if framework.packages.is_empty() {
            self.everywhere.push(id);
        }
    }
}
