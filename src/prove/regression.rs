//! Tests that fail before a change and pass after it, as somebody who works in the repository would write them.
//!
//! Invariant: a test sends nothing but pickles that make an empty file. What cannot be written is an [`Untested`].

use std::collections::{BTreeMap, BTreeSet};

use super::application::{App, application};
use super::delivery::{Channel, Delivery};
use super::style::{Runner, Style, has_fixture, style};
use crate::pack::{Encoding, Model, TestTable};
use crate::project::Project;

/// As long as lines are in most repositories.
const WIDTH: usize = 88;

/// One request that a test makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// How it brings a pickle to a load, with the path as it was found to be.
    pub delivery: Delivery,
    /// What it is answered with after the change.
    pub status: u64,
}

/// Why no test is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untested {
    /// Nothing says how its framework is tested.
    NoTemplate(String),
    /// The application has no name that a test could import.
    NoApplication,
    /// A pickle cannot travel so.
    NotSendable(&'static str),
}

impl Untested {
    /// In words.
    pub fn message(&self) -> String {
        match self {
            Untested::NoTemplate(framework) => {
                format!("there is no test template for {framework}")
            }
            Untested::NoApplication => {
                "no module binds its application, or a function that makes it without arguments"
                    .to_owned()
            }
            Untested::NotSendable(channel) => {
                format!("a test client sends no pickle as it is by {channel}")
            }
        }
    }
}

/// A test module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regression {
    /// Relative to the project; nothing is there.
    pub path: String,
    /// The module.
    pub text: String,
    /// With what it is run.
    pub runner: Runner,
}

/// How tests of one framework are written in one project.
#[derive(Debug)]
pub struct Tests<'a> {
    project: &'a Project,
    table: &'a TestTable,
    style: Style,
    app: Option<App>,
}

impl<'a> Tests<'a> {
    /// For what `delivery` reaches. `configs` are the files of [`super::CONFIGS`] that there are.
    ///
    /// # Errors
    /// [`Untested::NoTemplate`], [`Untested::NoApplication`].
    pub fn of(
        project: &'a Project,
        model: &'a Model,
        configs: &BTreeMap<String, String>,
        delivery: &Delivery,
    ) -> Result<Tests<'a>, Untested> {
        let framework = model.frameworks.iter().find(|f| f.id == delivery.framework);
        let none =
            || Untested::NoTemplate(framework.map_or(&delivery.framework, |f| &f.title).clone());
        let framework = framework.ok_or_else(none)?;
        let table = framework.test.as_ref().ok_or_else(none)?;
        let own_cases = table.case.is_some();
        let style = style(
            project,
            configs,
            &delivery.file,
            (own_cases, table.plugin.as_deref()),
        );
        let app = match table.client.contains("{app}") {
            true => Some(
                application(project, framework, &delivery.file).ok_or(Untested::NoApplication)?,
            ),
            false => None,
        };
        Ok(Tests {
            project,
            table,
            style,
            app,
        })
    }

    /// The module with a test for each of `endpoints`, at the first path that `is_free`.
    ///
    /// # Errors
    /// [`Untested::NotSendable`].
    pub fn module(
        &self,
        endpoints: &[Endpoint],
        is_free: &dyn Fn(&str) -> bool,
    ) -> Result<Regression, Untested> {
        let mut module = Module {
            tests: self,
            imports: BTreeSet::from(["import pickle".to_owned()]),
            names: BTreeSet::new(),
        };
        let mut tests = String::new();
        for endpoint in endpoints {
            tests.push_str(&module.test(endpoint)?);
        }
        let frame = module.frame();
        Ok(Regression {
            path: self.free(is_free),
            text: format!("{}{frame}{tests}", module.head()),
            runner: self.style.runner,
        })
    }

    /// Where the module goes.
    fn free(&self, is_free: &dyn Fn(&str) -> bool) -> String {
        let names = (1..).map(|n| match n {
            1 => "pickle_refused".to_owned(),
            n => format!("pickle_refused_{n}"),
        });
        let style = &self.style;
        let mut paths =
            names.map(|name| format!("{}{}", style.folder, style.pattern.replace('*', &name)));
        let free = paths.find(|path| is_free(path));
        free.unwrap_or_default()
    }

    /// Whether a fixture gives the client.
    fn client_is_given(&self) -> bool {
        let word = self.table.client.split('(').next().unwrap_or_default();
        let word = word.rsplit('.').next().unwrap_or(word);
        self.table.plugin.is_some() || has_fixture(self.project, &self.style, "client", word)
    }

    fn client(&self) -> String {
        let app = self.app.as_ref().map(App::expression).unwrap_or_default();
        self.table.client.replace("{app}", &app)
    }
}

/// A module that is being written.
struct Module<'t, 'a> {
    tests: &'t Tests<'a>,
    imports: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Module<'_, '_> {
    fn is_pytest(&self) -> bool {
        self.tests.style.runner == Runner::Pytest
    }

    /// Everything above the classes and functions.
    fn head(&self) -> String {
        let standard = |line: &&String| {
            let module = line.split_whitespace().nth(1).unwrap_or_default();
            let top = module.split('.').next().unwrap_or(module);
            STANDARD.contains(&top)
        };
        let own = self.own_import();
        let (standard, others): (Vec<&String>, Vec<&String>) =
            self.imports.iter().partition(standard);
        // As isort has it: `import` before `from`.
        let block = |mut lines: Vec<&String>| {
            lines.sort_by_key(|line| (line.starts_with("from "), line.to_lowercase()));
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        let blocks = [block(standard), block(others), block(own.iter().collect())];
        let blocks: Vec<String> = blocks
            .into_iter()
            .filter(|block| !block.is_empty())
            .collect();
        format!(
            "\"\"\"Pickles are refused wherever a client can send them.\"\"\"\n\n{}",
            blocks.join("\n")
        )
    }

    /// The import of the application.
    fn own_import(&self) -> Option<String> {
        let given = self.is_pytest() && self.tests.client_is_given();
        let app = self.tests.app.as_ref().filter(|_| !given)?;
        Some(format!("from {} import {}", app.module, app.name))
    }

    /// The payload, and what gives each test its client.
    fn frame(&mut self) -> String {
        let mut text = PAYLOAD.to_owned();
        let table = self.tests.table;
        if !self.is_pytest() {
            self.imports.insert("import tempfile".to_owned());
            self.imports.insert("from pathlib import Path".to_owned());
            let (case, import) = match &table.case {
                Some(case) => {
                    let (module, name) = case.rsplit_once('.').unwrap_or(("", case));
                    (name.to_owned(), format!("from {module} import {name}"))
                }
                None => ("unittest.TestCase".to_owned(), "import unittest".to_owned()),
            };
            self.imports.insert(import);
            text.push_str(&format!(
                "\n\nclass PickleRefusedTests({case}):\n    def setUp(self):\n"
            ));
            if table.case.is_none() {
                self.client_imports();
                text.push_str(&format!("        self.client = {}\n", self.tests.client()));
            }
            text.push_str(FOLDER);
            return text;
        }
        if let Some(mark) = &table.mark {
            self.imports.insert("import pytest".to_owned());
            text = format!("\npytestmark = pytest.mark.{mark}\n{text}");
        }
        if !self.tests.client_is_given() {
            self.imports.insert("import pytest".to_owned());
            self.client_imports();
            let client = self.tests.client();
            text.push_str(&format!(
                "\n\n@pytest.fixture\ndef client():\n    return {client}\n"
            ));
        }
        text
    }

    fn client_imports(&mut self) {
        self.imports
            .extend(self.tests.table.imports.iter().cloned());
    }

    /// The test of `endpoint`.
    fn test(&mut self, endpoint: &Endpoint) -> Result<String, Untested> {
        let delivery = &endpoint.delivery;
        let channel = delivery.channel;
        let table = self.tests.table;
        let pytest = self.is_pytest();
        let (client, marker) = match pytest {
            true => ("client", "marker"),
            false => ("self.client", "self.marker"),
        };
        let data = self.data(delivery, marker)?;
        let key = delivery.name.as_deref().unwrap_or_default();
        let Some(sent) = table.send.get(channel.word()) else {
            return Err(Untested::NotSendable(channel.word()));
        };
        self.imports.extend(sent.imports.iter().cloned());
        let filled = |text: &str| {
            let text = text.replace("{client}", client).replace("{data}", "data");
            let header = key.to_uppercase().replace('-', "_");
            text.replace("{name}", &escaped(key))
                .replace("{NAME}", &header)
        };
        let before = sent.before.as_deref().map(filled);
        let arguments = sent.arguments.as_deref().map(filled);
        let path = match channel {
            Channel::Path => {
                self.imports
                    .insert("from urllib.parse import quote".to_owned());
                format!(
                    "f\"{}{{quote(data, safe='')}}\"",
                    escaped(&delivery.path).replace('{', "{{")
                )
            }
            _ => format!("\"{}\"", escaped(&delivery.path)),
        };
        let method = delivery.method.to_lowercase();
        let arguments = arguments.map(|arguments| format!(", {arguments}"));
        let call = format!(
            "response = {client}.{method}({path}{})",
            arguments.unwrap_or_default()
        );
        let mut body: Vec<String> = Vec::new();
        if pytest {
            body.push("marker = tmp_path / \"marker\"".to_owned());
        }
        body.extend(data);
        body.extend(before);
        body.push(String::new());
        body.push(call);
        body.push(String::new());
        let status = endpoint.status;
        match pytest {
            true => body.extend([
                "assert not marker.exists()".to_owned(),
                format!("assert response.status_code == {status}"),
            ]),
            false => body.extend([
                "self.assertFalse(self.marker.exists())".to_owned(),
                format!("self.assertEqual(response.status_code, {status})"),
            ]),
        }
        let name = self.name(&delivery.handler);
        let (head, margin) = match pytest {
            true => (format!("\n\ndef {name}(client, tmp_path):\n"), "    "),
            false => (format!("\n    def {name}(self):\n"), "        "),
        };
        let lines = body.iter().map(|line| match line.is_empty() {
            true => "\n".to_owned(),
            false => format!("{}\n", fitted(margin, line)),
        });
        Ok(lines.fold(head, |text, line| text + &line))
    }

    /// Lines that bind `data`.
    fn data(&mut self, delivery: &Delivery, marker: &str) -> Result<Vec<String>, Untested> {
        let text = !matches!(delivery.channel, Channel::Body | Channel::File);
        let plain = format!("pickle.dumps(Payload({marker}))");
        let wrapped: Vec<_> = delivery.wrapping.iter().filter_map(encoder).collect();
        if wrapped.is_empty() {
            // Protocol 0 is text; but it has line ends, which no header takes.
            let line = matches!(delivery.channel, Channel::Cookie | Channel::Header);
            return match (text, line) {
                (false, _) => Ok(vec![format!("data = {plain}")]),
                (true, true) => Err(Untested::NotSendable(delivery.channel.word())),
                (true, false) => Ok(vec![format!(
                    "data = pickle.dumps(Payload({marker}), protocol=0).decode()"
                )]),
            };
        }
        let mut value = plain;
        for (call, module) in wrapped {
            self.imports.insert(format!("import {module}"));
            value = format!("{call}({value})");
        }
        let text = if text { ".decode()" } else { "" };
        Ok(vec![format!("data = {value}{text}")])
    }

    /// `test_save_cart_refuses_a_pickle`, once.
    fn name(&mut self, handler: &str) -> String {
        let mut words = String::new();
        for c in handler.trim_matches('_').chars() {
            match c {
                '.' | '_' => words.push('_'),
                c if c.is_uppercase() && words.ends_with(|last: char| last.is_lowercase()) => {
                    words.push('_');
                    words.extend(c.to_lowercase());
                }
                c => words.extend(c.to_lowercase()),
            }
        }
        let mut name = format!("test_{words}_refuses_a_pickle");
        let mut n = 2;
        while !self.names.insert(name.clone()) {
            name = format!("test_{words}_refuses_a_pickle_{n}");
            n += 1;
        }
        name
    }
}

const PAYLOAD: &str = "

class Payload:
    \"\"\"Makes an empty file when it is unpickled: no harm, but proof that it ran.\"\"\"

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), \"w\")
";

const FOLDER: &str = "        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.marker = Path(folder.name) / \"marker\"
";

/// Modules of Python's own that a test may import.
const STANDARD: [&str; 12] = [
    "base64", "binascii", "bz2", "gzip", "io", "lzma", "pathlib", "pickle", "tempfile", "unittest",
    "urllib", "zlib",
];

/// What a client does so that `encoding` is undone, and where it is.
fn encoder(encoding: &Encoding) -> Option<(&'static str, &'static str)> {
    Some(match encoding {
        Encoding::None | Encoding::Json => return None,
        Encoding::Base64 => ("base64.b64encode", "base64"),
        Encoding::UrlsafeBase64 => ("base64.urlsafe_b64encode", "base64"),
        Encoding::Base32 => ("base64.b32encode", "base64"),
        Encoding::Base16 => ("base64.b16encode", "base64"),
        Encoding::Ascii85 => ("base64.a85encode", "base64"),
        Encoding::Base85 => ("base64.b85encode", "base64"),
        Encoding::Hex => ("binascii.hexlify", "binascii"),
        Encoding::Zlib => ("zlib.compress", "zlib"),
        Encoding::Gzip => ("gzip.compress", "gzip"),
        Encoding::Bz2 => ("bz2.compress", "bz2"),
        Encoding::Lzma => ("lzma.compress", "lzma"),
    })
}

/// `line` with its margin; a call that is too long has its arguments on a line of their own.
fn fitted(margin: &str, line: &str) -> String {
    let whole = format!("{margin}{line}");
    if whole.chars().count() <= WIDTH {
        return whole;
    }
    let call = line.find(['(']).zip(line.strip_suffix(')'));
    match call {
        Some((at, inner)) => {
            let (head, arguments) = inner.split_at(at + 1);
            format!("{margin}{head}\n{margin}    {arguments}\n{margin})")
        }
        None => whole,
    }
}

/// `text` within a string literal of double quotes.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(char::escape_default)
        .collect::<String>()
        .replace("\\'", "'")
}
