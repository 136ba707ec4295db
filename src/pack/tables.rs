//! The tables a pack may hold, as serde reads them. A wrong key stops at once, with file and line.
//!
//! `transforms/README.md` explains them to authors of packs; the two change together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who can supply a value. Ordered: the most exposed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Any client of a web server.
    Http,
    /// A peer on a socket, a queue, a remote download.
    Network,
    /// A database, cache or object store.
    Stored,
    /// Files, arguments, environment.
    File,
    /// A parameter that nobody in the project supplies.
    Unknown,
    /// A constant, or pickled by this very program.
    Trusted,
}

impl Trust {
    /// All levels, most exposed first.
    pub const ALL: [Trust; 6] = [
        Trust::Http,
        Trust::Network,
        Trust::Stored,
        Trust::File,
        Trust::Unknown,
        Trust::Trusted,
    ];

    /// The word used on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Http => "http",
            Trust::Network => "network",
            Trust::Stored => "stored",
            Trust::File => "file",
            Trust::Unknown => "unknown",
            Trust::Trusted => "trusted",
        }
    }
}

/// What is known of a value's form, which decides what can go wrong when it is parsed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Bytes or text, never missing.
    Bytes,
    /// A file-like object.
    Stream,
    /// A mapping from names to values that may be missing.
    Mapping,
    /// A mapping from names to file-like objects.
    Files,
    /// May be anything, `None` too.
    #[default]
    Any,
}

/// `frameworks/<id>/model.toml`: how data enters through one framework or library, and how it says 400.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Framework {
    /// The folder's name.
    #[serde(skip)]
    pub id: String,
    /// Name for people.
    pub title: String,
    /// Import names whose presence says that a file uses it.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Values and functions that are untrusted themselves.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// Types whose members are untrusted.
    #[serde(default, rename = "object")]
    pub objects: Vec<Object>,
    /// Calls that give modelled objects.
    #[serde(default)]
    pub returns: Vec<Returns>,
    /// Functions that the framework calls with a client's data.
    #[serde(default, rename = "handler")]
    pub handlers: Vec<Handler>,
    /// How a handler says 400; the first that fits is used.
    #[serde(default, rename = "reply")]
    pub replies: Vec<Reply>,
    /// Functions and methods that pass data on.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// Functions whose result can carry no payload.
    #[serde(default)]
    pub stops: Vec<String>,
    /// Functions that never return.
    #[serde(default)]
    pub exits: Vec<String>,
    /// Calls that carry what they are given to a client or a server.
    #[serde(default, rename = "carrier")]
    pub carriers: Vec<Carrier>,
    /// Signature checks.
    #[serde(default, rename = "guard")]
    pub guards: Vec<Guard>,
}

/// `[[source]]`: a name that is untrusted when read or called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Qualified names: `builtins.input`, `sys.argv`.
    pub names: Vec<String>,
    /// Who supplies it; absent when `is` says it by the type's members.
    pub trust: Option<Trust>,
    /// Where in a request or elsewhere it travels: `body`, `cookie`, `file`, ...
    #[serde(default)]
    pub channel: String,
    /// Its form.
    #[serde(default)]
    pub shape: Shape,
    /// The value is an object of this type instead.
    pub is: Option<String>,
}

/// `[[object]]`: a type with untrusted members.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Object {
    /// Qualified name of the class.
    #[serde(rename = "type")]
    pub name: String,
    /// Other names of the same class.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Who supplies its members.
    pub trust: Trust,
    /// Attribute or method name to what it gives.
    pub members: BTreeMap<String, Member>,
    /// The object itself is untrusted data of this form too: an open file that is passed on.
    #[serde(rename = "self")]
    pub whole: Option<Member>,
}

/// One member: `"cookie mapping KeyError"`: the channel, then the form, then what a missing key raises.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Member {
    /// Where the value travels.
    pub channel: String,
    /// Its form.
    pub shape: Shape,
    /// What reading a key that is missing raises, where the framework does not answer 400 to that itself.
    pub on_missing: Option<String>,
}

impl TryFrom<String> for Member {
    type Error = String;

    fn try_from(text: String) -> Result<Member, String> {
        let mut words = text.split_whitespace();
        let channel = words.next().unwrap_or_default();
        let shape = match words.next().unwrap_or("any") {
            "bytes" => Shape::Bytes,
            "stream" => Shape::Stream,
            "mapping" => Shape::Mapping,
            "files" => Shape::Files,
            "any" => Shape::Any,
            other => {
                return Err(format!(
                    "unknown form `{other}`: write bytes, stream, mapping, files or any"
                ));
            }
        };
        Ok(Member {
            channel: channel.to_owned(),
            shape,
            on_missing: words.next().map(str::to_owned),
        })
    }
}

/// `[[returns]]`: calling one of `names` gives an object of a modelled type, or a tuple of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Returns {
    /// Qualified names; methods as `module.Class.method`.
    pub names: Vec<String>,
    /// One type, or one for each position of a tuple (`""` for positions of no interest).
    pub types: Vec<String>,
}

/// `[[handler]]`: how to tell the functions that a framework calls, and what it passes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Handler {
    /// Decorators: `flask.Flask.route`; `*.route` for a receiver that cannot be resolved, in files that import the package.
    #[serde(default)]
    pub decorators: Vec<String>,
    /// Functions to which handlers are passed: `django.urls.path`.
    #[serde(default)]
    pub registered: Vec<Registration>,
    /// Base classes whose `methods` are handlers.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Names of the methods that handle requests, for `bases`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Top-level functions whose first parameter has this name, in files that import the package, are handlers
    /// unless the project itself calls them.
    pub first_named: Option<String>,
    /// Type of the first parameter (after `self`).
    pub first: Option<String>,
    /// What the other parameters are.
    #[serde(default)]
    pub parameters: Parameters,
    /// Annotations whose values can carry no payload.
    #[serde(default)]
    pub clean_annotations: Vec<String>,
    /// Parameters with a default made by one of these calls are not the client's.
    #[serde(default)]
    pub clean_defaults: Vec<String>,
    /// Attributes of `self` in such classes, and their types.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// Where a handler stands among the arguments of a registering call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registration {
    /// The function that is called.
    pub call: String,
    /// 0-based position.
    pub argument: usize,
    /// Keyword.
    pub keyword: String,
}

/// What a handler's parameters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameters {
    /// Of no interest.
    #[default]
    Clean,
    /// All supplied by the client.
    Untrusted,
    /// Those that the route names (`/cart/<name>`), unless a converter makes them numbers.
    Route,
}

/// `[[reply]]`: one way of saying 400.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reply {
    /// `return` in the handler itself, `raise` from anywhere below it.
    pub style: ReplyStyle,
    /// One statement. `{message}` is the message as a string literal; `{module.name}` is that name, imported.
    pub code: String,
}

/// See [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyStyle {
    /// Only the handler itself can say it.
    Return,
    /// An exception that the framework turns into the answer.
    Raise,
}

/// `[[step]]`: what passes data on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Qualified names of functions.
    #[serde(default)]
    pub names: Vec<String>,
    /// Method names, whatever the receiver.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Form of the result.
    #[serde(default)]
    pub shape: Shape,
    /// An exception it raises on bad data that is not a `ValueError`.
    pub raises: Option<String>,
    /// Reading it tells nothing new about the path: leave it out of reports.
    #[serde(default)]
    pub quiet: bool,
}

/// `[[carrier]]`: a call that sends a value where a load may read it: `response.set_cookie(key, value)`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Carrier {
    /// Qualified names of functions.
    #[serde(default)]
    pub names: Vec<String>,
    /// Method names, whatever the receiver.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Where the value then travels, as in `[[object]]` members.
    pub channel: String,
    /// Keyword of the argument that names it; its position is 0.
    pub key: Option<String>,
    /// 0-based position of the value.
    pub position: Option<usize>,
    /// Keyword of the value.
    pub value: Option<String>,
}

/// `[[guard]]`: a signature check.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guard {
    /// Functions that make a keyed digest: key first, data second.
    #[serde(default)]
    pub digests: Vec<String>,
    /// Functions that compare digests.
    #[serde(default)]
    pub compares: Vec<String>,
    /// Methods that return their argument only if its signature holds.
    #[serde(default)]
    pub verifies: Vec<String>,
}

/// `<id>/transform.toml`: sinks and their rewrite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Transform {
    /// The folder's name.
    #[serde(skip)]
    pub id: String,
    /// The README beside it.
    #[serde(skip)]
    pub readme: String,
    /// Name for people.
    pub title: String,
    /// Subject of the commit.
    pub subject: String,
    /// The rewrite.
    pub rewrite: Rewrite,
    /// Dangerous calls.
    #[serde(rename = "sink")]
    pub sinks: Vec<Sink>,
    /// Calls that write what the sinks read.
    #[serde(default, rename = "writer")]
    pub writers: Vec<Writer>,
}

/// How a load is rewritten.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rewrite {
    /// The module that takes over: `json`.
    pub module: String,
    /// What it raises on bad input.
    pub catch: Vec<String>,
    /// What it raises on a value that is missing.
    pub catch_missing: String,
    /// The comment in the handler.
    pub comment: String,
    /// Message of the reply.
    pub message: String,
    /// Exceptions of the old library that the new one never raises.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Keyword arguments of the old call that mean nothing to the new one.
    #[serde(default)]
    pub droppable: Vec<String>,
    /// Methods of the values the new library gives: other uses mean the value was something else.
    #[serde(default)]
    pub value_methods: Vec<String>,
    /// Types of the values the new library gives, for `isinstance`.
    #[serde(default)]
    pub value_types: Vec<String>,
}

/// `[[sink]]`: a dangerous call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sink {
    /// Qualified names.
    pub names: Vec<String>,
    /// `bytes` or `stream`: what arrives.
    pub arrives: Shape,
    /// The safe call.
    pub becomes: String,
    /// What the safe call raises on a value that is missing, if not what the rewrite says.
    pub catch_missing: Option<String>,
    /// The call only makes a reader; this method of it loads.
    pub method: Option<String>,
}

/// `[[writer]]`: what makes the bytes that a sink reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Writer {
    /// Qualified names.
    pub names: Vec<String>,
}
