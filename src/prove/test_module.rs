//! The text of a test module, as a person would write it.

use std::collections::BTreeSet;

use super::application::App;
use super::delivery::{Channel, Delivery};
use super::regression::{Endpoint, Tests, Untested};
use super::style::Runner;
use crate::pack::Encoding;

/// As long as lines are in most repositories.
const WIDTH: usize = 88;

/// A module that is being written.
pub(super) struct Module<'t, 'a> {
    tests: &'t Tests<'a>,
    imports: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl<'t, 'a> Module<'t, 'a> {
    pub(super) fn new(tests: &'t Tests<'a>) -> Module<'t, 'a> {
        Module {
            tests,
            imports: BTreeSet::from(["import pickle".to_owned()]),
            names: BTreeSet::new(),
        }
    }

    /// Whether tests are functions; what starts the application itself needs a class, with pytest, too.
    fn is_pytest(&self) -> bool {
        self.tests.style.runner == Runner::Pytest && self.tests.table.make.is_none()
    }

    /// Everything above the classes and functions.
    pub(super) fn head(&self) -> String {
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
    pub(super) fn frame(&mut self) -> String {
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
            text.push_str(&format!("\n\nclass PickleRefusedTests({case}):\n"));
            if let Some(make) = &table.make {
                let app = self
                    .tests
                    .app
                    .as_ref()
                    .map(App::expression)
                    .unwrap_or_default();
                let head = self.def(&format!("{make}(self)"));
                text.push_str(&format!("    {head}\n        return {app}\n\n"));
            }
            text.push_str("    def setUp(self):\n");
            if table.case.is_none() {
                self.client_imports();
                text.push_str(&format!("        self.client = {}\n", self.tests.client()));
            }
            if table.make.is_some() {
                text.push_str("        super().setUp()\n");
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

    /// `def name(self):`, of a coroutine where the framework has them.
    fn def(&self, name: &str) -> String {
        let is = if self.tests.table.coroutines {
            "async "
        } else {
            ""
        };
        format!("{is}def {name}:")
    }

    fn client_imports(&mut self) {
        self.imports
            .extend(self.tests.table.imports.iter().cloned());
    }

    /// The test of `endpoint`.
    pub(super) fn test(&mut self, endpoint: &Endpoint) -> Result<String, Untested> {
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
        let path = match &sent.path {
            Some(template) => filled(&template.replace("{route}", &escaped(&delivery.path))),
            None => path,
        };
        let bodiless = !channel.has_body() && delivery.method != "GET";
        let more = table.bodiless.iter().filter(|_| bodiless);
        let arguments = arguments.iter().chain(more);
        let arguments: String = arguments.map(|one| format!(", {one}")).collect();
        let call = table.call.as_deref().unwrap_or(CALL);
        let call = call
            .replace("{client}", client)
            .replace("{method}", &delivery.method.to_lowercase())
            .replace("{METHOD}", &delivery.method)
            .replace("{path}", &path)
            .replace("{arguments}", &arguments);
        let waits = if table.coroutines { "await " } else { "" };
        let call = format!("response = {waits}{call}");
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
        let answered = table.status.as_deref().unwrap_or("status_code");
        match pytest {
            true => body.extend([
                "assert not marker.exists()".to_owned(),
                format!("assert response.{answered} == {status}"),
            ]),
            false => body.extend([
                "self.assertFalse(self.marker.exists())".to_owned(),
                format!("self.assertEqual(response.{answered}, {status})"),
            ]),
        }
        let name = self.name(&delivery.handler);
        let (head, margin) = match pytest {
            true => (format!("\n\ndef {name}(client, tmp_path):\n"), "    "),
            false => {
                let head = self.def(&format!("{name}(self)"));
                (format!("\n    {head}\n"), "        ")
            }
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

/// How most clients are asked.
const CALL: &str = "{client}.{method}({path}{arguments})";

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
        Encoding::None | Encoding::Json | Encoding::Form => return None,
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
