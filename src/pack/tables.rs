//! The tables a pack may hold, as serde reads them. A wrong key stops at once, with file and line.
//!
//! `transforms/README.md` explains them to authors of packs; the two change together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::serve::{Proof, Serve, TestTable};
use super::template::Template;

/// Who can supply a value. Ordered: the most exposed first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
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
#[derive(Debug, Clone, Default, Deserialize)]
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
    /// What a client does so that a step gives what was meant: by name, or `.name` of a method.
    #[serde(default)]
    pub encodings: BTreeMap<String, Encoding>,
    /// How an application of it is run, to send it requests.
    #[serde(default, rename = "serve")]
    pub serves: Vec<Serve>,
    /// How its applications are tested.
    pub test: Option<TestTable>,
    /// Functions whose result can carry no payload.
    #[serde(default)]
    pub stops: Vec<String>,
    /// Functions that never return.
    #[serde(default)]
    pub exits: Vec<String>,
    /// Methods that settle what one turn of a loop has taken: no `continue` may pass them over.
    #[serde(default)]
    pub settles: Vec<String>,
    /// Calls that carry what they are given to a client or a server.
    #[serde(default, rename = "carrier")]
    pub carriers: Vec<Carrier>,
    /// Which queue, topic or channel messages go by.
    #[serde(default, rename = "queue")]
    pub queues: Vec<Queue>,
    /// Base classes of rows of a database, whose attributes are columns.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Methods of what a database found that find some of it, or more.
    #[serde(default)]
    pub queries: Vec<String>,
    /// Packages that give binary columns as `memoryview`, which only some calls read.
    #[serde(default)]
    pub buffers: Vec<String>,
    /// Signature checks.
    #[serde(default, rename = "guard")]
    pub guards: Vec<Guard>,
    /// Calls that call a function they are given.
    #[serde(default, rename = "apply")]
    pub applies: Vec<Apply>,
    /// Where a program keeps values under keys, to read them again later.
    #[serde(default, rename = "store")]
    pub stores: Vec<Store>,
    /// Decorators and dependencies that let only known users through. They never make data harmless; they are told.
    #[serde(default)]
    pub auth: Vec<String>,
    /// Methods, whatever the receiver, whose result can carry no payload.
    #[serde(default)]
    pub stop_methods: Vec<String>,
    /// Methods that hand what they are given to a task, or to all that are connected to a signal.
    #[serde(default)]
    pub hands_over: Vec<String>,
    /// Attributes, whatever the owner, that can carry no payload.
    #[serde(default)]
    pub stop_attributes: Vec<String>,
    /// Constants that mean 400.
    #[serde(default)]
    pub bad_request: Vec<String>,
    /// Loggers that a handler always has, by the attribute that is one; preferred to a new one.
    #[serde(default)]
    pub loggers: Vec<String>,
    /// Calls that make a logger with a method `warning`.
    #[serde(default)]
    pub logger_makers: Vec<String>,
}

/// `[[source]]`: a name that is untrusted when read or called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Qualified names: `builtins.input`, `sys.argv`; `*.recv_multipart` is a method of a receiver that nothing is
    /// known of, in files that import the package.
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
    /// It is a part of the request that is being answered: who reads it can answer by raising.
    #[serde(default)]
    pub of_request: bool,
}

/// `[[object]]`: a type with untrusted members.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// Attribute or method name to what it gives; `[]` is an element, by subscript or iteration.
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
    /// The object itself is untrusted data of this form too: an open file that is passed on.
    #[serde(rename = "self")]
    pub whole: Option<Whole>,
}

/// What an object is when it is passed on itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Whole(pub Data);

impl TryFrom<String> for Whole {
    type Error = String;

    fn try_from(text: String) -> Result<Whole, String> {
        Data::try_from(text).map(Whole)
    }
}

/// One member: `"cookie mapping KeyError"`: the channel, then the form, then what a missing key raises; or
/// `"is socket.socket"`: an object of that type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Member {
    /// Untrusted data.
    Data(Data),
    /// An object of a modelled type.
    Is(String),
}

/// Untrusted data that a member or a parameter gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
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
        if let ("is", Some(name)) = (channel, words.clone().next()) {
            return Ok(Member::Is(name.to_owned()));
        }
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
        Ok(Member::Data(Data {
            channel: channel.to_owned(),
            shape,
            on_missing: words.next().map(str::to_owned),
        }))
    }
}

impl TryFrom<String> for Data {
    type Error = String;

    fn try_from(text: String) -> Result<Data, String> {
        match Member::try_from(text)? {
            Member::Data(data) => Ok(data),
            Member::Is(name) => Err(format!(
                "`is {name}` does not fit here: write a channel and a form"
            )),
        }
    }
}

/// `[[returns]]`: calling one of `names` gives an object of a modelled type, or a tuple of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Returns {
    /// Qualified names; methods as `module.Class.method`.
    pub names: Vec<String>,
    /// One type, or one for each position of a tuple (`""` for positions of no interest).
    pub types: Vec<String>,
}

/// `[[handler]]`: how to tell the functions that a framework calls, and what it passes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Handler {
    /// Decorators: `flask.Flask.route`; `*.route` for a receiver that cannot be resolved, in files that import the package.
    #[serde(default)]
    pub decorators: Vec<String>,
    /// Functions to which handlers are passed: `django.urls.path`.
    #[serde(default)]
    pub registered: Vec<Registration>,
    /// Base classes whose `methods` are handlers; `*Servicer` is any class, of the project too, whose name ends so.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Names of the methods that handle requests, for `bases`; `on_*` is every method whose name starts so.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Top-level functions, methods and `__call__` with exactly these parameters (after `self`), in files that import
    /// the package or, where `packages` is empty, in any file: `["environ", "start_response"]`.
    #[serde(default)]
    pub signature: Vec<String>,
    /// What each parameter is, by position after `self`: a modelled type, `clean`, or data (`"body bytes"`).
    /// Parameters beyond are what `parameters` says.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Who supplies the parameters that are untrusted; `http` when absent.
    pub trust: Option<Trust>,
    /// Where they travel; `parameter` when absent.
    pub channel: Option<String>,
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
    /// How it can answer.
    #[serde(default)]
    pub answers: Answers,
}

/// How a handler can answer a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    /// By what it returns, and by raising.
    #[default]
    Any,
    /// By raising: what it returns is something else, or not used.
    Raise,
    /// Not at all.
    None,
}

/// What a handler's parameter is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Argument {
    /// Of no interest.
    Clean,
    /// Untrusted data.
    Data(Data),
    /// An object of a modelled type.
    Is(String),
}

impl TryFrom<String> for Argument {
    type Error = String;

    fn try_from(text: String) -> Result<Argument, String> {
        let word = text.split_whitespace().next().unwrap_or_default();
        Ok(match word {
            "clean" | "" => Argument::Clean,
            // A type has a module.
            word if word.contains('.') => Argument::Is(word.to_owned()),
            _ => match Member::try_from(text)? {
                Member::Data(data) => Argument::Data(data),
                Member::Is(name) => Argument::Is(name),
            },
        })
    }
}

/// Where a handler stands among the arguments of a registering call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registration {
    /// The function that is called; `*.add_url_rule` for a receiver that cannot be resolved, in files that import the
    /// package.
    pub call: String,
    /// 0-based position.
    pub argument: usize,
    /// Keyword.
    pub keyword: String,
}

/// What a handler's parameters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reply {
    /// `return` in the handler itself, `raise` from anywhere below it.
    pub style: ReplyStyle,
    /// Statements, one a line.
    pub code: Template,
    /// Statements by which a file says 4xx in this way already: there it is preferred, and said as it is said there.
    /// `...` stands for anything, `400` for every such status, `""` for any text.
    #[serde(default)]
    pub like: Vec<Template>,
    /// Names that a handler which would say it so uses.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Calls that begin another answer: after them it is too late.
    #[serde(default)]
    pub unless: Vec<Template>,
    /// Only in handlers that call a method of this name.
    pub calls: Option<String>,
}

/// See [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyStyle {
    /// Only the handler itself can say it.
    Return,
    /// An exception that the framework turns into the answer.
    Raise,
    /// There is nobody to answer: the handler refuses the message. Only suggested. `{0}` is its first parameter after `self`.
    Drop,
}

/// `[[step]]`: what passes data on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// 0-based position of the argument that also receives the data: `shutil.copyfileobj(source, target)`.
    pub into: Option<usize>,
    /// 0-based position of the argument the data comes from; 0 when absent.
    #[serde(default)]
    pub from: usize,
}

/// What undoes a step: `base64` for `base64.b64decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Nothing is to be done: it reads, or makes text of bytes.
    None,
    /// RFC 4648.
    Base64,
    /// With `-` and `_`.
    UrlsafeBase64,
    /// RFC 4648.
    Base32,
    /// In capitals.
    Base16,
    /// As Python's `base64.a85encode`.
    Ascii85,
    /// As Python's `base64.b85encode`.
    Base85,
    /// Of any case.
    Hex,
    /// RFC 1950.
    Zlib,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bz2,
    /// xz.
    Lzma,
    /// It is text in a field of a JSON object.
    Json,
    /// It is a field of a form, or of a query in the same words.
    Form,
}

/// `[[apply]]`: a call that calls a function it is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Apply {
    /// Qualified names of functions, methods and classes.
    #[serde(default)]
    pub names: Vec<String>,
    /// Method names, whatever the receiver.
    #[serde(default)]
    pub methods: Vec<String>,
    /// 0-based position of the function.
    pub position: usize,
    /// Its keyword.
    #[serde(default)]
    pub keyword: String,
    /// What it is called with.
    pub given: Given,
    /// Keyword of the tuple of arguments (of `given = "tuple"`); its position follows the function's.
    #[serde(default)]
    pub arguments: String,
    /// The function runs only when `start` or `run` of what the call gives is called.
    #[serde(default)]
    pub started: bool,
}

/// What the function of an [`Apply`] is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Given {
    /// The arguments after it: `executor.submit(f, x)`.
    Rest,
    /// A tuple: `Thread(target=f, args=(x,))`.
    Tuple,
    /// Each element of each argument after it: `map(f, xs)`.
    Elements,
}

/// `[[store]]`: where a program keeps values under keys, to read them again later, perhaps in another handler.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Word for it in paths: `cache`, `session`.
    pub channel: String,
    /// Who supplies what is read where the project does not write it; `trusted` when only the program can.
    pub trust: Trust,
    /// Calls that write: key, then value.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Calls that read what is under a key.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Objects that are such a store by subscript: `flask.session["x"]`.
    #[serde(default)]
    pub subscripts: Vec<String>,
    /// Form of what is read.
    #[serde(default)]
    pub shape: Shape,
    /// Where the key is that seals what is kept with clients: `flask.Flask.secret_key`, `flask.Flask.config[SECRET_KEY]`.
    /// When it is a literal, anybody can write the store.
    #[serde(default)]
    pub sealed_by: Vec<String>,
    /// 0-based position of the key.
    #[serde(default)]
    pub key: usize,
    /// 0-based position of the value.
    #[serde(default = "one")]
    pub value: usize,
}

fn one() -> usize {
    1
}

/// `[[carrier]]`: a call that sends a value where a load may read it: `response.set_cookie(key, value)`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// Keyword of the argument that says where a request goes; its position is 0.
    pub address: Option<String>,
    /// The queue that a message goes to, with `{argument}`; `receiver`: that which the receiver was made for.
    pub queue: Option<String>,
    /// Names of the positional arguments, where `queue` has any.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Only then the queue is that one: otherwise nobody knows where the message goes.
    pub when: Option<Condition>,
    /// 0-based position of the value.
    pub position: Option<usize>,
    /// Keyword of the value.
    pub value: Option<String>,
}

/// `[[queue]]`: calls that give, or register a handler for, the messages of one queue, topic or channel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Queue {
    /// Qualified names; `*.basic_get` is a method of any receiver, in files that import the package.
    pub names: Vec<String>,
    /// Names of the positional arguments.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Which it is, with `{argument}`: `amqp:{queue}`. Writers say it likewise.
    pub address: String,
    /// Characters that make the name a pattern.
    #[serde(default)]
    pub wildcards: String,
    /// The receiver's messages come from there as well, from then on.
    #[serde(default)]
    pub subscribes: bool,
}

/// `[[guard]]`: a signature check.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// Functions that are true only of an argument (the first) that is harmless.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Calls after which, or `with` statements in which, every load refuses what is not harmless.
    #[serde(default)]
    pub hooks: Vec<String>,
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
    /// The rewrite; absent where the sinks are reported and not rewritten.
    pub rewrite: Option<Rewrite>,
    /// The transform whose rewrite it shares.
    pub rewrite_like: Option<String>,
    /// The transform in whose place it can come: it treats the same sinks.
    pub instead_of: Option<String>,
    /// Codes of the reasons for which that one refuses and this one is suggested.
    #[serde(default)]
    pub after: Vec<String>,
    /// What the change means to others, for the commit.
    #[serde(default)]
    pub note: String,
    /// Codes by which comments for other tools leave its sinks alone; of Semgrep's rules the last part.
    #[serde(default)]
    pub suppressed_by: Vec<String>,
    /// How what was written in the old format is read for a while beside the new one.
    pub dual_read: Option<DualRead>,
    /// What shows by execution that the change holds.
    pub proof: Option<Proof>,
    /// Settings that choose a dangerous format.
    #[serde(default, rename = "setting")]
    pub settings: Vec<Setting>,
    /// Dangerous calls; the settings are among them when a model is made.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<Sink>,
    /// Calls that write what the sinks read.
    #[serde(default, rename = "writer")]
    pub writers: Vec<Writer>,
}

/// `[dual-read]`: what reads both the new format and, for a while, data that was stored in the old one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DualRead {
    /// The comment in the handler as long as both are read.
    pub comment: String,
    /// Subject of the commit that ends it.
    pub finish_subject: String,
    /// What that means to others.
    pub finish_note: String,
    /// Functions and classes, in the order in which they stand in a module.
    #[serde(rename = "part")]
    pub parts: Vec<DualPart>,
}

/// `[[dual-read.part]]`: a function or class of its own in the module of the load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DualPart {
    /// Its name, where that is free. As long as what it stands for, lines break alike with both.
    pub name: String,
    /// The call of the new format that it stands for; none for what only other parts use.
    #[serde(default)]
    pub stands_for: String,
    /// Names of parts that it uses.
    #[serde(default)]
    pub uses: Vec<String>,
    /// Its code, with `{module.name}`, the names of parts as `{name}`, and `{log}` for a logger of the module.
    pub code: String,
}

/// How a load is rewritten.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rewrite {
    /// What the load becomes, in words: `a JSON load that answers 400`.
    pub result: String,
    /// What the new call raises on bad input: built-in names, or qualified ones (`yaml.YAMLError`).
    pub catch: Vec<String>,
    /// What it raises on what was dangerous: a handler around the load that catches these stays. All of `catch` when
    /// absent.
    #[serde(default)]
    pub refusal: Vec<String>,
    /// The new call reads what the old one read, less what is dangerous. Writers need not move with it, a stream can be
    /// read on, and code that is no handler meets no new kind of error.
    #[serde(default)]
    pub same_format: bool,
    /// What it raises on a value that is missing.
    pub catch_missing: String,
    /// For a transform that comes in another's place: code of the safe call where bytes arrive, with `{argument}`,
    /// `{module.name}`, and `{class}` for the name of the class.
    #[serde(default)]
    pub bytes: String,
    /// The same where a stream arrives.
    #[serde(default)]
    pub stream: String,
    /// Code of a class that the call needs in its module, with `{class}` and `{allowed}`, the list of classes.
    pub class: Option<String>,
    /// Types whose values name no class in a pickle.
    #[serde(default)]
    pub plain_types: Vec<String>,
    /// Classes that may be on the list.
    #[serde(default)]
    pub plain_classes: Vec<String>,
    /// Decorators that classes of the project may have, to be on the list.
    #[serde(default)]
    pub plain_decorators: Vec<String>,
    /// Base classes that they may have.
    #[serde(default)]
    pub plain_bases: Vec<String>,
    /// Code of the reason for which a person has to decide each time.
    pub suggest: Option<String>,
    /// The comment in the handler.
    pub comment: String,
    /// Message of the reply.
    pub message: String,
    /// What is logged of a refused request, if that is asked for; never what was sent.
    pub log: String,
    /// Exceptions of the old library that the new one never raises.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Others, which not only the old library raises, and the new call never does, though what they tell may still
    /// happen: that nothing was sent.
    #[serde(default)]
    pub lost_errors: Vec<String>,
    /// Keyword arguments of the old call that mean nothing to the new one.
    #[serde(default)]
    pub droppable: Vec<String>,
    /// Methods and attributes of the values the new call gives: other uses mean the value was something else.
    #[serde(default)]
    pub value_methods: Vec<String>,
    /// Types of the values the new call gives, for `isinstance`.
    #[serde(default)]
    pub value_types: Vec<String>,
    /// What no such value is added to or compared with: kinds of values, or calls that give them; `datetime.*` is all of
    /// a module.
    #[serde(default)]
    pub foreign_terms: Vec<String>,
    /// Calls that give what no such value is reckoned with in any way.
    #[serde(default)]
    pub foreign_factors: Vec<String>,
    /// Kinds of keys that no such value has.
    #[serde(default)]
    pub foreign_keys: Vec<String>,
    /// Functions that take no such value.
    #[serde(default)]
    pub foreign_arguments: Vec<String>,
    /// Calls whose results the new format carries as they are.
    #[serde(default)]
    pub plain_calls: Vec<String>,
    /// Methods, of whatever, whose results the new format carries as they are.
    #[serde(default)]
    pub plain_methods: Vec<String>,
    /// Methods, of whatever, whose results it refuses.
    #[serde(default)]
    pub impossible_methods: Vec<String>,
    /// Calls whose results come back as something else.
    #[serde(default)]
    pub lossy_calls: Vec<String>,
    /// Calls whose results it refuses; `datetime.*` is all of a module.
    #[serde(default)]
    pub impossible_calls: Vec<String>,
}

/// `[[sink]]`: a dangerous call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sink {
    /// In a configuration: the transform that treats it, pickle-to-json when absent. In a pack its folder says that.
    pub transform: Option<String>,
    /// Qualified names; `*.recv_pyobj` is a method so called of a receiver that nothing is known of.
    pub names: Vec<String>,
    /// What arrives, and how.
    pub arrives: Arrives,
    /// 0-based position of what arrives.
    #[serde(default)]
    pub argument: usize,
    /// Its keyword, where it may be given by name.
    pub keyword: Option<String>,
    /// For `arrives = "receiver"`: who is at the other end.
    pub trust: Option<Trust>,
    /// For `arrives = "receiver"`: where it travels.
    #[serde(default)]
    pub channel: String,
    /// Arguments that make the call safe: any one of these.
    #[serde(default)]
    pub safe_when: Vec<Condition>,
    /// The safe call, for transforms with a rewrite: a qualified name that takes the old one's place, or code with
    /// `{argument}` and `{module.name}`. Empty: the same name, with other arguments.
    #[serde(default)]
    pub becomes: String,
    /// Names of the positional arguments, where others than the first are treated.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Arguments that mean the same to the safe call.
    #[serde(default)]
    pub keeps: Vec<String>,
    /// Arguments that change or go.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    /// The call gives a generator, which loads where it is iterated.
    #[serde(default)]
    pub lazy: bool,
    /// One sentence: what to use instead.
    #[serde(default)]
    pub advice: String,
    /// What the safe call raises on bad input, if not what the rewrite says.
    #[serde(default)]
    pub catch: Vec<String>,
    /// What the safe call raises on a value that is missing, if not what the rewrite says.
    pub catch_missing: Option<String>,
    /// The call only makes a reader; this method of it loads.
    pub method: Option<String>,
    /// It is no call, but a setting that chooses one.
    #[serde(skip)]
    pub setting: Option<Setting>,
}

/// `[[setting]]`: a value in the configuration that makes a library unpickle.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Setting {
    /// What it is called: a variable, attribute, keyword, or key of a dictionary or mapping.
    pub keys: Vec<String>,
    /// Texts that choose the dangerous format; elements of a list too.
    #[serde(default)]
    pub values: Vec<String>,
    /// Qualified names that do; `()` for one that is called without arguments.
    #[serde(default)]
    pub names: Vec<String>,
    /// Imports without which the name means something else; any file when absent.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The text in place of a text.
    #[serde(default)]
    pub becomes: String,
    /// The qualified name (or module) in place of a name.
    pub name: Option<String>,
    /// Who supplies what is then unpickled.
    pub trust: Trust,
    /// Where it travels.
    pub channel: String,
    /// One sentence: what to use instead.
    #[serde(default)]
    pub advice: String,
}

impl Setting {
    /// The setting as a row among the sinks.
    pub(super) fn row(&self) -> Sink {
        Sink {
            transform: None,
            names: Vec::new(),
            arrives: Arrives::Receiver,
            argument: 0,
            keyword: None,
            trust: Some(self.trust),
            channel: self.channel.clone(),
            safe_when: Vec::new(),
            becomes: String::new(),
            parameters: Vec::new(),
            keeps: Vec::new(),
            changes: Vec::new(),
            lazy: false,
            advice: self.advice.clone(),
            catch: Vec::new(),
            catch_missing: None,
            method: None,
            setting: Some(self.clone()),
        }
    }
}

impl Sink {
    /// Whether a safe call is known.
    pub fn rewritable(&self) -> bool {
        !self.becomes.is_empty() || !self.changes.is_empty()
    }
}

/// `[[sink.change]]`: an argument that changes or goes when the call is made safe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// The argument's keyword.
    pub keyword: String,
    /// Python literals it may have been; any other value refuses.
    #[serde(default)]
    pub values: Vec<String>,
    /// Qualified names it may have been.
    #[serde(default)]
    pub names: Vec<String>,
    /// What it becomes, an expression; it goes when absent.
    pub set: Option<String>,
    /// It is added where it is not given.
    #[serde(default)]
    pub add: bool,
}

/// How the dangerous value arrives at a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrives {
    /// The value itself.
    Bytes,
    /// A file-like object.
    Stream,
    /// The name of a file, or a file-like object.
    Path,
    /// From the peer or store that the receiver stands for.
    Receiver,
}

/// An argument that makes a call safe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Condition {
    /// The argument's keyword.
    pub keyword: String,
    /// Its 0-based position, where it may be given without keyword.
    pub position: Option<usize>,
    /// Python literals: `True`, `None`, `"json"`.
    #[serde(default)]
    pub values: Vec<String>,
    /// Qualified names; subclasses of these count too.
    #[serde(default)]
    pub names: Vec<String>,
    /// Also when it is not given.
    #[serde(default)]
    pub absent: bool,
    /// Whatever it is, as long as it is not a literal: a secret key.
    #[serde(default)]
    pub given: bool,
}

/// `[[writer]]`: what makes the bytes that a sink reads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Writer {
    /// As for sinks.
    pub transform: Option<String>,
    /// Qualified names.
    pub names: Vec<String>,
    /// Keyword of the value; its position is 0.
    #[serde(default = "obj")]
    pub keyword: String,
    /// 0-based position of the file it writes into; it gives bytes when absent. At 0 there is no value yet: a `Pickler`.
    pub into: Option<usize>,
    /// The call only makes a writer; this method of it is given the value.
    pub method: Option<String>,
    /// What it gives, or writes, is text already.
    #[serde(default)]
    pub text: bool,
    /// The name that takes its place, which gives text; the writer cannot be rewritten when absent.
    pub becomes: Option<String>,
    /// Names of the positional arguments after the value.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Arguments that mean nothing to the new call.
    #[serde(default)]
    pub droppable: Vec<String>,
}

fn obj() -> String {
    "obj".to_owned()
}
