//! What becomes of data on its way to a load: steps, stores, carriers, queues, guards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Shape, Trust};

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
