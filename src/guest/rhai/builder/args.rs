//! One call of a builder's word: its arguments, read with errors that say what to write instead.

use std::sync::Arc;

use rhai::{Dynamic, Engine, FnPtr, Position};

use super::super::ast::Script;
use super::super::call::{Closure, Environment};
use crate::kernel::model::Duration;

/// A value with the place of the call that gave it.
#[derive(Clone, Debug)]
pub struct Said<T> {
    pub value: T,
    pub at: Position,
}

/// What is wrong with a call, and what to write instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub what: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Problem {
        Problem { what: what.into(), help: None }
    }

    /// From an error that says what is wrong and, after a semicolon, what to do.
    pub fn of(words: String) -> Problem {
        match words.split_once("; ") {
            Some((what, help)) => Problem::new(what).help(help),
            None => Problem::new(words),
        }
    }

    pub fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }
}

/// A call `.name(arguments)`.
pub struct Call<'a> {
    pub name: &'static str,
    pub at: Position,
    pub args: Vec<Dynamic>,
    pub script: &'a Arc<Script>,
    /// Runs the closures that are handed over.
    pub engine: &'a Arc<Engine>,
    pub environment: Environment,
}

impl Call<'_> {
    /// Checks how many arguments there are; `form` shows a right call.
    pub fn takes(
        &self,
        counts: std::ops::RangeInclusive<usize>,
        form: &str,
    ) -> Result<(), Problem> {
        if counts.contains(&self.args.len()) {
            return Ok(());
        }
        let given = self.args.len();
        let plural = if given == 1 { "" } else { "s" };
        Err(Problem::new(format!("`{}` does not take {given} argument{plural}", self.name))
            .help(format!("write {form}")))
    }

    pub fn said<T>(&self, value: T) -> Said<T> {
        Said { value, at: self.at }
    }

    /// Sets what a rule can say only once.
    pub fn once<T>(&self, slot: &mut Option<Said<T>>, value: T) -> Result<(), Problem> {
        if slot.is_some() {
            return Err(Problem::new(format!("`{}` is there twice", self.name)));
        }
        *slot = Some(self.said(value));
        Ok(())
    }

    pub fn text(&self, index: usize) -> Result<String, Problem> {
        self.args[index].clone().into_string().map_err(|_| {
            Problem::new(format!("`{}` takes a string, not {}", self.name, kind(&self.args[index])))
        })
    }

    /// A string that is not empty.
    pub fn name(&self, index: usize) -> Result<Arc<str>, Problem> {
        let name = self.text(index)?;
        if name.trim().is_empty() {
            return Err(Problem::new(format!("`{}` takes a name, not an empty string", self.name)));
        }
        Ok(name.into())
    }

    /// Names as several arguments or as one array.
    pub fn names(&self, from: usize) -> Result<Vec<Arc<str>>, Problem> {
        let rest = &self.args[from.min(self.args.len())..];
        let spread = match rest {
            [only] if only.is_array() => only.clone().into_array().unwrap_or_default(),
            several => several.to_vec(),
        };
        let mut names: Vec<Arc<str>> = Vec::new();
        for value in spread {
            let given = kind(&value);
            let name = value.into_string().map_err(|_| {
                Problem::new(format!("`{}` takes names as strings, not {given}", self.name))
            })?;
            if name.is_empty() {
                return Err(Problem::new(format!("`{}` has an empty name", self.name)));
            }
            if names.iter().any(|known| **known == name) {
                return Err(Problem::new(format!("`{}` names `{name}` twice", self.name)));
            }
            names.push(name.into());
        }
        Ok(names)
    }

    pub fn whole(&self, index: usize) -> Result<i64, Problem> {
        self.args[index].as_int().map_err(|_| {
            let given = kind(&self.args[index]);
            Problem::new(format!("`{}` takes a whole number, not {given}", self.name))
        })
    }

    /// A whole number or a float.
    pub fn number(&self, index: usize) -> Result<f64, Problem> {
        let value = &self.args[index];
        let number = value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64));
        number.map_err(|_| {
            Problem::new(format!("`{}` takes a number, not {}", self.name, kind(value)))
        })
    }

    pub fn duration(&self, index: usize) -> Result<Duration, Problem> {
        let value = &self.args[index];
        let Ok(text) = value.clone().into_string() else {
            let example =
                if value.is_int() || value.is_float() { value.to_string() } else { "90".into() };
            let what = format!("`{}` takes a duration, not {}", self.name, kind(value));
            return Err(Problem::new(what).help(format!("durations are strings: \"{example}s\"")));
        };
        Duration::parse(&text).map_err(Problem::of)
    }

    pub fn positive_duration(&self, index: usize) -> Result<Duration, Problem> {
        let length = self.duration(index)?;
        if length.is_zero() {
            return Err(Problem::new(format!("`{}` needs more than no time", self.name)));
        }
        Ok(length)
    }

    pub fn is_closure(&self, index: usize) -> bool {
        self.args[index].is_fnptr()
    }

    /// A closure that is called with one value, which it may leave out.
    pub fn closure_of_one(&self, index: usize, form: &str) -> Result<Arc<Closure>, Problem> {
        let closure = self.closure(index, form)?;
        match closure.params().len() {
            0 | 1 => Ok(closure),
            given => {
                let what = format!("`{}` calls its closure with one value, not {given}", self.name);
                Err(Problem::new(what).help(format!("write {form}")))
            }
        }
    }

    pub fn closure(&self, index: usize, form: &str) -> Result<Arc<Closure>, Problem> {
        let value = &self.args[index];
        let Some(pointer) = value.read_lock::<FnPtr>() else {
            let what = format!("`{}` takes a closure, not {}", self.name, kind(value));
            return Err(Problem::new(what).help(format!("write {form}")));
        };
        Closure::new(self.script, self.engine, &pointer, self.environment.clone())
            .map(Arc::new)
            .ok_or_else(|| {
                Problem::new(format!("`{}` is no function of this file", pointer.fn_name()))
                    .help("hand over a closure or the name of a function that is written here")
            })
    }
}

/// A value's kind as authors call it.
pub fn kind(value: &Dynamic) -> String {
    let name = match value.type_name() {
        "i64" | "f64" => return format!("the number {value}"),
        "bool" => return format!("`{value}`"),
        "()" => "nothing",
        "string" => "a string",
        "array" => "an array",
        "map" => "a map",
        "Fn" => "a closure",
        other => other,
    };
    name.to_owned()
}
