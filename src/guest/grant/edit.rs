//! Writing a grant into the operator's file, with everything else in it left as it was.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use super::Request;

/// Adds `requests` to a guest's table in the text of `grants.toml` and gives the new text. What is
/// there already stays, comments too. A secret without a value gets a line that reads it from the
/// environment.
pub fn add(text: &str, guest: &str, requests: &[Request]) -> Result<String, String> {
    // As when reading, the error's display would quote a line.
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    for request in requests {
        let (field, value) = match request {
            Request::Http(host) => ("http", host),
            Request::Secret(name) => ("secrets", name),
            Request::File(pattern) => ("files", pattern),
        };
        let grants = table(document.as_table_mut(), "grants")?;
        grants.set_implicit(true);
        let own = table(grants, guest)?;
        let list = own.entry(field).or_insert_with(|| Item::Value(Array::new().into()));
        let list = list
            .as_array_mut()
            .ok_or_else(|| format!("`{field}` of [grants.{guest}] is not a list"))?;
        if !list.iter().any(|item| item.as_str() == Some(value.as_ref())) {
            list.push(value.as_ref());
        }
        if let Request::Secret(name) = request {
            let secrets = table(document.as_table_mut(), "secrets")?;
            if !secrets.contains_key(name) {
                let mut from = InlineTable::new();
                from.insert("env", Value::from(name.as_ref()));
                secrets.insert(name, Item::Value(from.into()));
            }
        }
    }
    Ok(document.to_string())
}

fn table<'a>(parent: &'a mut Table, name: &str) -> Result<&'a mut Table, String> {
    parent
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| format!("`{name}` is not a table"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::grant::Grants;

    #[test]
    fn a_grant_is_added_and_the_rest_stays() {
        let text = "# who may do what\n[grants.chat]\nhttp = [\"a.org\"] # the old one\n";
        let requests: Vec<Request> = ["http:a.org", "http:b.org", "secret:TOKEN"]
            .iter()
            .map(|text| Request::parse(text).expect(text))
            .collect();
        let added = add(text, "chat", &requests).expect("well-formed");
        assert_eq!(
            added,
            "# who may do what\n[grants.chat]\nhttp = [\"a.org\", \"b.org\"] # the old one\n\
             secrets = [\"TOKEN\"]\n\n[secrets]\nTOKEN = { env = \"TOKEN\" }\n"
        );
        assert_eq!(add(&added, "chat", &requests).as_deref(), Ok(added.as_str()));
        assert!(Grants::parse(&added).is_ok());
    }

    #[test]
    fn an_empty_file_gets_its_first_grant() {
        let added = add("", "chat", &[Request::Http("a.org".into())]).expect("empty is fine");
        assert_eq!(added, "[grants.chat]\nhttp = [\"a.org\"]\n");
        assert!(add("grants = 1", "chat", &[Request::Http("a.org".into())]).is_err());
    }
}
