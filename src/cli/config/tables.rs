//! What a configuration may hold, as serde reads it. `depickle config --schema` is made of these very types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cli::args::{To, TrustArg};
use crate::cli::commit::Split;
use crate::pack::{
    Apply, Carrier, Framework, Guard, Handler, Object, Queue, Reply, Returns, Sink, Source, Step,
    Store, Writer,
};

/// depickle.toml, or [tool.depickle] of pyproject.toml: defaults for options, and rows in the tables of packs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "depickle.toml")]
pub(super) struct Config {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    /// Only files that match one of these globs.
    pub include: Vec<String>,
    /// Not files that match.
    pub exclude: Vec<String>,
    /// Text of the 400 answer.
    pub message: Option<String>,
    /// What pickle loads become; json is tried first by default.
    pub to: Option<To>,
    /// Log each refused request.
    pub log_rejects: bool,
    /// Transforms by id: false turns one off, so that its loads are not looked for.
    pub transforms: BTreeMap<String, bool>,

    /// Whose data counts, and may be rewritten. Not in a repository's own file.
    pub trust: Vec<TrustArg>,
    /// Count and treat test code, examples and documentation too. Not in a repository's own file.
    pub include_tests: bool,
    /// Read files that .gitignore names, too. Not in a repository's own file.
    pub no_ignore: bool,
    /// Read what was pickled before, too. Not in a repository's own file.
    pub dual_read: bool,
    /// Write what is only suggested, too. Not in a repository's own file.
    pub suggestions: bool,
    /// Folders of packs, from this file's folder. Not in a repository's own file.
    pub pack: Vec<PathBuf>,
    /// Do not read the configuration of repositories. Not in a repository's own file.
    pub no_repo_config: bool,
    /// Projects worked on at once. Not in a repository's own file.
    pub jobs: Option<usize>,
    /// What to print. Not in a repository's own file.
    pub format: Option<String>,
    /// Name of new branches. Not in a repository's own file.
    pub branch: Option<String>,
    /// One commit for each of these. Not in a repository's own file.
    pub split: Option<Split>,
    /// Say by a Signed-off-by that the change may be given. Not in a repository's own file.
    pub signoff: bool,
    /// Where clones of URLs are kept, and how many. Not in a repository's own file.
    pub cache: Option<CacheTable>,
    /// Options of scan. Not in a repository's own file.
    pub scan: Option<ScanTable>,
    /// Repositories that are meant when none is named. Not in a repository's own file.
    pub repo: Vec<RepoTable>,

    /// Names that are untrusted when read or called.
    pub source: Vec<Source>,
    /// Types with untrusted members.
    pub object: Vec<Object>,
    /// Calls that give objects of modelled types.
    pub returns: Vec<Returns>,
    /// How to tell the functions that a framework calls, and what it passes.
    pub handler: Vec<Handler>,
    /// How these handlers say 400; the first that fits is used.
    pub reply: Vec<Reply>,
    /// Functions and methods that pass data on.
    pub step: Vec<Step>,
    /// Signature checks, and checks of what is harmless.
    pub guard: Vec<Guard>,
    /// Where a program keeps values under keys.
    pub store: Vec<Store>,
    /// Calls that carry what they are given to a client or a server.
    pub carrier: Vec<Carrier>,
    /// Which queue, topic or channel messages go by.
    pub queue: Vec<Queue>,
    /// Calls that call a function they are given.
    pub apply: Vec<Apply>,
    /// Functions whose result can carry no payload.
    pub stops: Vec<String>,
    /// Methods, whatever the receiver, whose result can carry no payload.
    pub stop_methods: Vec<String>,
    /// Attributes, whatever the owner, that can carry no payload.
    pub stop_attributes: Vec<String>,
    /// Functions that never return.
    pub exits: Vec<String>,
    /// Decorators that let only known users through.
    pub auth: Vec<String>,
    /// Dangerous calls.
    pub sink: Vec<Sink>,
    /// Calls that write what sinks read.
    pub writer: Vec<Writer>,
}

impl Config {
    /// Keys that a repository's own file may set; and those of rows.
    pub const OWN: [&str; 26] = [
        "$schema",
        "include",
        "exclude",
        "message",
        "to",
        "log-rejects",
        "transforms",
        "source",
        "object",
        "returns",
        "handler",
        "reply",
        "step",
        "guard",
        "store",
        "carrier",
        "queue",
        "apply",
        "stops",
        "stop-methods",
        "stop-attributes",
        "exits",
        "auth",
        "sink",
        "writer",
        "tool",
    ];

    /// Its rows as a framework that any file may use.
    pub fn framework(&self) -> Framework {
        Framework {
            id: "configuration".to_owned(),
            title: "a configuration".to_owned(),
            sources: self.source.clone(),
            objects: self.object.clone(),
            returns: self.returns.clone(),
            handlers: self.handler.clone(),
            replies: self.reply.clone(),
            steps: self.step.clone(),
            guards: self.guard.clone(),
            stores: self.store.clone(),
            carriers: self.carrier.clone(),
            queues: self.queue.clone(),
            applies: self.apply.clone(),
            stops: self.stops.clone(),
            stop_methods: self.stop_methods.clone(),
            stop_attributes: self.stop_attributes.clone(),
            exits: self.exits.clone(),
            auth: self.auth.clone(),
            ..Framework::default()
        }
    }
}

/// Clones of URLs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct CacheTable {
    /// Where they are kept; only in a file named by --config, or in the user's folder for configurations.
    pub dir: Option<PathBuf>,
    /// As 500M or 20G.
    pub max_size: Option<String>,
    /// As 12h or 30d.
    pub max_age: Option<String>,
}

/// Options of scan.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ScanTable {
    /// Count only what this file does not name.
    pub baseline: Option<PathBuf>,
}

/// A repository: path or url, and what of it is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RepoTable {
    /// From this file's folder.
    pub path: Option<PathBuf>,
    /// Or where it is cloned from.
    pub url: Option<String>,
    /// A branch, tag or commit.
    pub base: Option<String>,
    /// Only this folder or file of it.
    pub within: Option<String>,
}
