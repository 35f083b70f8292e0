//! JSON for sinks: from Rhai's values with secrets among them, and back.

use rhai::{Array, Dynamic, Map};
use serde_json::Value;

use super::cap::Secretive;
use crate::guest::http::Part;

/// Maps and arrays within each other.
const DEPTH_MAX: usize = 64;

/// A value as JSON text on one line; a secret in it is written as `***`.
pub fn text(map: &Map) -> String {
    let mut out = Writer::default();
    // What cannot be written is written as null: an archive line must not be lost for it.
    if out.value(&Dynamic::from_map(map.clone()), 0).is_err() {
        return "null".into();
    }
    out.finish().iter().map(shown).collect()
}

fn shown(part: &Part) -> &str {
    match part {
        Part::Text(text) => text,
        Part::Secret(_) => "***",
    }
}

/// A value as JSON whose secrets are filled in by the gate. They are put between quotes as they
/// are, so a secret that is used here must not need escaping.
pub fn parts(value: &Dynamic) -> Result<Vec<Part>, String> {
    let mut out = Writer::default();
    out.value(value, 0)?;
    Ok(out.finish())
}

pub fn parse(bytes: &[u8]) -> Result<Dynamic, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("the body is no JSON: {error}"))?;
    Ok(to_dynamic(value))
}

#[derive(Default)]
struct Writer {
    text: String,
    parts: Vec<Part>,
}

impl Writer {
    fn finish(mut self) -> Vec<Part> {
        self.cut();
        self.parts
    }

    fn cut(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push_str(&Value::from(text).to_string());
    }

    fn value(&mut self, value: &Dynamic, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("JSON is written at most {DEPTH_MAX} levels deep"));
        }
        if let Some(map) = value.read_lock::<Map>() {
            return self.map(&map, depth);
        }
        if let Some(items) = value.read_lock::<Array>() {
            return self.items(&items, depth);
        }
        if let Some(secretive) = value.read_lock::<Secretive>() {
            self.secretive(&secretive);
            return Ok(());
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            self.string(&text);
        } else if let Ok(number) = value.as_int() {
            self.text.push_str(&number.to_string());
        } else if let Ok(number) = value.as_float() {
            // JSON has no infinities and no NaN: `Value` makes null of them.
            self.text.push_str(&Value::from(number).to_string());
        } else if let Ok(flag) = value.as_bool() {
            self.text.push_str(if flag { "true" } else { "false" });
        } else if value.is_unit() {
            self.text.push_str("null");
        } else if value.is_char() {
            self.string(&value.to_string());
        } else {
            return Err(format!("a value of type {} is not JSON", value.type_name()));
        }
        Ok(())
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), String> {
        self.text.push('{');
        for (at, (name, value)) in map.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.string(name);
            self.text.push(':');
            self.value(value, depth + 1)?;
        }
        self.text.push('}');
        Ok(())
    }

    fn items(&mut self, items: &Array, depth: usize) -> Result<(), String> {
        self.text.push('[');
        for (at, value) in items.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.value(value, depth + 1)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn secretive(&mut self, secretive: &Secretive) {
        self.text.push('"');
        for part in &secretive.0 {
            match part {
                Part::Text(text) => {
                    let quoted = Value::from(text.as_str()).to_string();
                    self.text.push_str(&quoted[1..quoted.len() - 1]);
                }
                Part::Secret(_) => {
                    self.cut();
                    self.parts.push(part.clone());
                }
            }
        }
        self.text.push('"');
    }
}

fn to_dynamic(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().map_or(Dynamic::UNIT, Dynamic::from_float),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => Dynamic::from_array(items.into_iter().map(to_dynamic).collect()),
        Value::Object(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key.into(), to_dynamic(value)));
            Dynamic::from_map(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json_and_come_back() {
        let json = br#"{"a":[1,2.5,null,true],"b":{"c":"x\"\u00fc\n"}}"#;
        let value = parse(json).expect("it is JSON");
        let map = value.clone().try_cast::<Map>().expect("an object is a map");
        assert_eq!(text(&map), "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"x\\\"ü\\n\"}}");
        assert_eq!(parts(&f64::INFINITY.into()), Ok(vec![Part::Text("null".into())]));
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn a_secret_stays_a_part_of_its_own() {
        let secret = Secretive(vec![Part::Text("Bearer \"".into()), Part::Secret("TOKEN".into())]);
        let map: Map = [("auth".into(), Dynamic::from(secret))].into_iter().collect();
        assert_eq!(text(&map), r#"{"auth":"Bearer \"***"}"#);
        assert_eq!(
            parts(&Dynamic::from_map(map)),
            Ok(vec![
                Part::Text(r#"{"auth":"Bearer \""#.into()),
                Part::Secret("TOKEN".into()),
                Part::Text("\"}".into()),
            ])
        );
    }
}
