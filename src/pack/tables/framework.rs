//! How data enters through one framework or library, and how it answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Apply, Carrier, Encoding, Guard, Queue, Shape, Step, Store, Trust};
use crate::pack::serve::{Serve, TestTable};
use crate::pack::template::Template;

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
    /// They take whatever a handler may return, and make an answer of it.
    #[serde(default)]
    pub of_answers: bool,
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
