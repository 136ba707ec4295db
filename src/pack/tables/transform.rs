//! What is to be replaced, and by what: sinks, settings, writers, rewrites.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Trust;
use crate::pack::serve::Proof;

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
    /// Methods that give text of text, and else what they are called on: bytes of bytes, dates of dates.
    #[serde(default)]
    pub same_methods: Vec<String>,
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
    pub(in crate::pack) fn row(&self) -> Sink {
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
