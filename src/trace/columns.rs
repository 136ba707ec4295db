//! Rows of a database and their columns: an attribute of an object whose class the project derives from a table's.
//!
//! Invariant: a column is known only with the class of its row; what is found through a relation is of no known class.

use super::machine::Machine;
use super::taint::{Place, Taint};
use super::value::{Arguments, Atom, Const, Def, Instance, Kind, Value};
use super::writers::Leads;
use crate::pack::{Shape, Trust};

/// Channel of what a database holds.
pub(super) const DATABASE: &str = "database";

/// A column, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// Class of the row.
    pub row: Option<Def>,
    /// Name of the attribute.
    pub name: Option<String>,
}

impl<'a> Machine<'a> {
    /// Whether instances of `class` are rows.
    pub(super) fn is_row(&self, class: Def) -> bool {
        let bases = self.outside_bases(class);
        bases.iter().any(|base| self.model.is_table(base))
    }

    /// What is read at `place` are rows of `class`, if it is a table.
    pub(super) fn rows_of(&mut self, class: Def, place: Place) {
        if self.is_row(class) {
            let known = self.rows.entry(place).or_insert(Some(class));
            if *known != Some(class) {
                *known = None;
            }
        }
    }

    /// What a call found that was given a class: rows of it.
    pub(super) fn rows_by(&mut self, arguments: &Arguments, found: &Value) {
        let taints = found.taints();
        if !taints.iter().any(|taint| *taint.channel == *DATABASE) {
            return;
        }
        let classes = arguments
            .all()
            .flat_map(Value::atoms)
            .filter_map(|atom| match atom {
                Atom::Class(class) => Some(*class),
                _ => None,
            });
        let classes: Vec<Def> = classes.collect();
        let places: Vec<Place> = taints.iter().map(|taint| taint.origin).collect();
        for (class, place) in classes
            .iter()
            .flat_map(|c| places.iter().map(move |p| (*c, *p)))
        {
            self.rows_of(class, place);
        }
    }

    /// The column `name` of an instance, where its class says that it is one.
    pub(super) fn column_value(
        &mut self,
        instance: Instance,
        name: &str,
        place: Place,
    ) -> Option<Value> {
        if !self.is_row(instance.class) {
            return None;
        }
        let line = self.lineage(instance.class);
        let outside =
            |atom: &Atom| matches!(atom, Atom::Made(_) | Atom::External(_) | Atom::Object(_));
        let declared = match self.class_attribute(&line, name) {
            Some((_, value)) => !value.is_empty() && value.atoms().iter().all(outside),
            None => line.iter().any(|class| {
                let info = self.classes.get(class);
                info.is_some_and(|info| info.annotated.iter().any(|field| *field == *name))
            }),
        };
        if !declared {
            return None;
        }
        self.rows_of(instance.class, place);
        let note = self.snippet(place);
        let taint = Taint::enter(Trust::Stored, DATABASE, Shape::Any, place, note);
        Some(
            Atom::Untrusted(Taint {
                part: format!(".{name}").into(),
                ..taint
            })
            .into(),
        )
    }

    /// The column that `taint` was read from.
    pub(super) fn column_of(&self, taint: &Taint) -> Column {
        let (before, name) = taint.part.rsplit_once('.').unwrap_or((&taint.part, ""));
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let named = !name.is_empty() && name.chars().all(is_name);
        let row = self.rows.get(&taint.origin).copied().flatten();
        Column {
            row: row.filter(|_| !before.contains('.')),
            name: named.then(|| name.to_owned()),
        }
    }

    /// An attribute of `row` is set to `value`.
    pub(super) fn sets_column(&mut self, row: Option<Def>, name: &str, value: &Value) {
        let name = Some(name.to_owned());
        self.note_column(Column { row, name }, value);
    }

    /// The same for a row that was found.
    pub(super) fn sets_found(&mut self, row: &Taint, name: &str, value: &Value) {
        if *row.channel == *DATABASE {
            let class = self.rows.get(&row.origin).copied().flatten();
            let class = class.filter(|_| !row.part.contains('.'));
            self.sets_column(class, name, value);
        }
    }

    /// A method of rows that were found is called.
    pub(super) fn sets_by_call(&mut self, rows: &Taint, arguments: &Arguments) {
        if *rows.channel == *DATABASE && arguments.all().any(Value::is_pickled) {
            let class = self.rows.get(&rows.origin).copied().flatten();
            self.sets_columns(class.filter(|_| !rows.part.contains('.')), arguments);
        }
    }

    /// A call that is given columns by their names: `objects.create(data=...)`, `update_or_create(defaults={...})`.
    pub(super) fn sets_columns(&mut self, row: Option<Def>, arguments: &Arguments) {
        for (name, value) in &arguments.named {
            let maps = value.atoms().iter().filter_map(|atom| match atom {
                Atom::Container(map) if map.kind == Kind::Mapping => Some(map),
                _ => None,
            });
            let mut is_map = false;
            for map in maps {
                is_map = true;
                for (key, value) in &map.items {
                    match key {
                        Const::Str(name) => self.sets_column(row, name, value),
                        _ => self.note_column(Column { row, name: None }, value),
                    }
                }
            }
            if !is_map {
                self.sets_column(row, name, value);
            }
        }
    }

    /// Whether what was written to `column` is what `taint` was read from.
    pub(super) fn same_column(&self, taint: &Taint, column: &Column) -> Leads {
        let ours = self.column_of(taint);
        let names = ours.name.is_some() && column.name.is_some();
        if names && ours.name != column.name {
            return Leads::Not;
        }
        let (Some(row), Some(other)) = (ours.row, column.row) else {
            return Leads::Perhaps;
        };
        match row == other {
            true if names => Leads::There,
            true => Leads::Perhaps,
            false => match self.lineage(row).contains(&other) || self.lineage(other).contains(&row)
            {
                true => Leads::Perhaps,
                false => Leads::Not,
            },
        }
    }
}
