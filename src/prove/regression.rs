//! Tests that fail before a change and pass after it, as somebody who works in the repository would write them.
//!
//! Invariant: a test sends nothing but pickles that make an empty file. What cannot be written is an [`Untested`].

use std::collections::BTreeMap;

use super::application::{App, application};
use super::delivery::Delivery;
use super::style::{Runner, Style, has_fixture, style};
use super::test_module::Module;
use crate::pack::{Model, TestTable};
use crate::project::Project;

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
    pub(super) table: &'a TestTable,
    pub(super) style: Style,
    pub(super) app: Option<App>,
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
        let app = match table.client.contains("{app}") || table.make.is_some() {
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
        let mut module = Module::new(self);
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
    pub(super) fn client_is_given(&self) -> bool {
        let word = self.table.client.split('(').next().unwrap_or_default();
        let word = word.rsplit('.').next().unwrap_or(word);
        self.table.plugin.is_some() || has_fixture(self.project, &self.style, "client", word)
    }

    pub(super) fn client(&self) -> String {
        let app = self.app.as_ref().map(App::expression).unwrap_or_default();
        self.table.client.replace("{app}", &app)
    }
}
