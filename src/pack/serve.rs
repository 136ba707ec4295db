//! How applications are run, reached and tested: what `verify --execute` and `stage --with-tests` need to know.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[[serve]]`: how an application is found and run, and where its handlers answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Serve {
    /// A way of `prove/frameworks.py`.
    pub run: String,
    /// Types of which an application is an object.
    #[serde(default)]
    pub types: Vec<String>,
    /// The handler itself, or its class, is the application, whatever the path; with `types`, if no object of them is found.
    #[serde(default)]
    pub handler: bool,
    /// Functions that make an application, besides those that are common; what they require is empty.
    #[serde(default)]
    pub factories: Vec<String>,
    /// Where parameters of handlers travel under their own names, unless they say otherwise: `query`, or `fields` of a
    /// form and of the query alike.
    pub parameters: Option<String>,
    /// Where the fields of a body travel that some parser has read: `form`.
    pub fields: Option<String>,
    /// Of what a handler is called with: where the part under each key travels.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// What reads a handler's arguments from the request.
    pub location: Option<Location>,
    /// Calls that put a handler, or what is named, under a path which may not begin with a slash.
    #[serde(default)]
    pub routes: Vec<String>,
    /// The keyword by which a handler is put under the path that a call of `routes` has named.
    pub route_name: Option<String>,
    /// The attribute of a handler's class that is its path, or comes before it.
    pub class_path: Option<String>,
    /// A handler's path is its own name.
    #[serde(default)]
    pub own_name: bool,
    /// A handler's path is the name of its class's base, without this ending, and its own.
    pub service: Option<String>,
}

/// `[serve.location]`: decorators that read arguments, and the keyword that says from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Location {
    /// The last parts of their names.
    pub decorators: Vec<String>,
    /// The keyword.
    pub keyword: String,
    /// What it says when it is absent.
    pub default: String,
    /// The channel that each word means.
    pub words: BTreeMap<String, String>,
}

/// `[test]`: how a test sends a request to an application, as its own documentation has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TestTable {
    /// An expression that gives a client, of the application `{app}`.
    #[serde(default)]
    pub client: String,
    /// Imports that it needs.
    #[serde(default)]
    pub imports: Vec<String>,
    /// A test case that has a `client` of its own.
    pub case: Option<String>,
    /// Its method that gives the application: tests are methods of such a case, whatever runs them.
    pub make: Option<String>,
    /// Its methods are coroutines.
    #[serde(default)]
    pub coroutines: bool,
    /// How it sends a request, of `{client}`, `{method}` or `{METHOD}`, `{path}` and `{arguments}`.
    pub call: Option<String>,
    /// What it wants besides where a method has a body and the request none.
    pub bodiless: Option<String>,
    /// The attribute of what answers that is the status; `status_code` when absent.
    pub status: Option<String>,
    /// A plugin without which pytest cannot test it, and which has a fixture `client`.
    pub plugin: Option<String>,
    /// A mark that tests then bear.
    pub mark: Option<String>,
    /// By channel, how data is sent.
    pub send: BTreeMap<String, Sent>,
}

/// `[test.send]`: how a test client sends `{data}` under `{name}`, or `{NAME}` as environments spell it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sent {
    /// Arguments after the path.
    pub arguments: Option<String>,
    /// An expression in the place of the path, which it has as `{route}`.
    pub path: Option<String>,
    /// A statement before.
    pub before: Option<String>,
    /// Imports that it needs.
    #[serde(default)]
    pub imports: Vec<String>,
}

/// `[proof]`: what is sent to an application to show that the change holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proof {
    /// A kind of `prove/payloads.py`.
    pub attack: String,
    /// The format of plain data before: `pickle` or `json`.
    pub before: String,
    /// And after.
    pub after: String,
}
