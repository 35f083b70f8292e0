//! `this`: between the kernel's [`State`] and Rhai's values, within limits.

use rhai::Dynamic;

use crate::kernel::rule::State;

/// Levels of lists and maps within each other.
pub const DEPTH_MAX: usize = 4;
/// Bytes of all texts and keys, and eight for any other value.
pub const BYTES_MAX: usize = 4 * 1024;

pub fn to_dynamic(state: &State) -> Dynamic {
    match state {
        State::Unit => Dynamic::UNIT,
        State::Bool(value) => (*value).into(),
        State::Int(value) => (*value).into(),
        State::Float(value) => (*value).into(),
        State::Text(value) => value.as_str().into(),
        State::List(items) => Dynamic::from_array(items.iter().map(to_dynamic).collect()),
        State::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.into(), to_dynamic(value)));
            Dynamic::from_map(entries.collect())
        }
    }
}

/// The error says in words what cannot be kept.
pub fn from_dynamic(value: &Dynamic) -> Result<State, String> {
    let mut bytes = 0;
    let state = convert(value, 1, &mut bytes)?;
    if bytes > BYTES_MAX {
        return Err(format!("`this` holds {bytes} bytes; it may hold {BYTES_MAX}"));
    }
    Ok(state)
}

fn convert(value: &Dynamic, depth: usize, bytes: &mut usize) -> Result<State, String> {
    *bytes += 8;
    if let Ok(flag) = value.as_bool() {
        return Ok(State::Bool(flag));
    }
    if let Ok(number) = value.as_int() {
        return Ok(State::Int(number));
    }
    if let Ok(number) = value.as_float() {
        return Ok(State::Float(number));
    }
    if value.is_unit() {
        return Ok(State::Unit);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        *bytes += text.len();
        return Ok(State::Text(text.to_string()));
    }
    if depth > DEPTH_MAX {
        return Err(format!("`this` is more than {DEPTH_MAX} levels deep"));
    }
    if let Ok(items) = value.as_array_ref() {
        let items = items.iter().map(|item| convert(item, depth + 1, bytes));
        return Ok(State::List(items.collect::<Result<_, _>>()?));
    }
    if let Ok(entries) = value.as_map_ref() {
        let entries = entries.iter().map(|(key, value)| {
            *bytes += key.len();
            Ok((key.to_string(), convert(value, depth + 1, bytes)?))
        });
        return Ok(State::Map(entries.collect::<Result<_, String>>()?));
    }
    Err(format!("`this` cannot keep a value of type {}", value.type_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_both_ways() {
        let state = State::Map(vec![
            ("a".into(), State::List(vec![State::Int(1), State::Unit, State::Bool(true)])),
            ("b".into(), State::Map(vec![("c".into(), State::Float(0.5))])),
            ("d".into(), State::Text("x".into())),
        ]);
        assert_eq!(from_dynamic(&to_dynamic(&state)), Ok(state));
    }

    #[test]
    fn depth_and_bytes_are_limited() {
        let nest = |levels: usize| {
            (1..levels).fold(State::List(Vec::new()), |inner, _| State::List(vec![inner]))
        };
        assert!(from_dynamic(&to_dynamic(&nest(DEPTH_MAX))).is_ok());
        assert!(from_dynamic(&to_dynamic(&nest(DEPTH_MAX + 1))).is_err());
        let text = |bytes: usize| Dynamic::from("x".repeat(bytes));
        assert!(from_dynamic(&text(BYTES_MAX - 8)).is_ok());
        assert!(from_dynamic(&text(BYTES_MAX - 7)).is_err());
        assert!(from_dynamic(&Dynamic::from('x')).is_err());
    }
}
