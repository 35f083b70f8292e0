//! What to do about a request that was refused while a guest ran: whose turn it is, and the lines.

use super::hosts::HostPattern;
use super::{Granted, Request, files};

impl Granted {
    /// How the operator grants what was just refused, in words with the very lines for
    /// `grants.toml`. A grant alone does not help a guest that never asked, so then its author is
    /// told first what to ask for.
    pub fn cure(&self, refused: &Request) -> String {
        let lines = self.lines(refused);
        if self.asked_for(refused) {
            return format!("grant it in grants.toml: {lines}");
        }
        format!("the guest must ask for `{refused}` in its `needs`; then grant it: {lines}")
    }

    /// That something is not granted, and the cure.
    pub fn refusal(&self, refused: &Request) -> String {
        let what = match refused {
            Request::Http(_) => "host",
            Request::Secret(_) => "secret",
            Request::File(_) => "file",
        };
        format!("the {what} is not granted; {}", self.cure(refused))
    }

    /// How the operator lets a guest connect to private addresses.
    pub fn cure_of_private(&self) -> String {
        format!("grant the address itself, or set `private_addresses = true` {}", self.table())
    }

    fn lines(&self, refused: &Request) -> String {
        let table = self.table();
        match refused {
            Request::Http(host) => format!("`http = [\"{host}\"]` {table}"),
            Request::File(name) => format!("`files = [\"{name}\"]` {table}"),
            Request::Secret(name) => format!(
                "`secrets = [\"{name}\"]` {table}, and `{name} = {{ env = \"{name}\" }}` under \
                 `[secrets]`"
            ),
        }
    }

    /// Where the lines go.
    fn table(&self) -> String {
        let guest = if self.guest.is_empty() { "NAME".to_owned() } else { super::key(&self.guest) };
        format!("under `[grants.{guest}]`")
    }

    fn asked_for(&self, refused: &Request) -> bool {
        self.asked.iter().any(|asked| match (asked, refused) {
            (Request::Http(asked), Request::Http(refused)) => {
                let patterns = (HostPattern::parse(asked), HostPattern::parse(refused));
                matches!(patterns, (Ok(asked), Ok(refused)) if asked.contains(&refused))
            }
            (Request::Secret(asked), Request::Secret(refused)) => asked == refused,
            (Request::File(asked), Request::File(refused)) => files::takes(asked, refused),
            (Request::Http(_) | Request::Secret(_) | Request::File(_), _) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_names_the_table_and_who_has_to_act_first() {
        let asked = ["http:*", "secret:URL"].map(|text| Request::parse(text).expect(text));
        let granted =
            Granted { guest: "ops chat".into(), asked: asked.to_vec(), ..Granted::default() };
        for (refused, cure) in [
            (
                "http:https://b.org",
                "grant it in grants.toml: `http = [\"https://b.org\"]` under \
                 `[grants.\"ops chat\"]`",
            ),
            (
                "http:https://b.org:8443",
                "the guest must ask for `http:https://b.org:8443` in its `needs`; then grant it: \
                 `http = [\"https://b.org:8443\"]` under `[grants.\"ops chat\"]`",
            ),
            (
                "secret:TOKEN",
                "the guest must ask for `secret:TOKEN` in its `needs`; then grant it: \
                 `secrets = [\"TOKEN\"]` under `[grants.\"ops chat\"]`, and \
                 `TOKEN = { env = \"TOKEN\" }` under `[secrets]`",
            ),
            (
                "file:a.txt",
                "the guest must ask for `file:a.txt` in its `needs`; then grant it: \
                 `files = [\"a.txt\"]` under `[grants.\"ops chat\"]`",
            ),
        ] {
            assert_eq!(granted.cure(&Request::parse(refused).expect(refused)), cure);
        }
        let nobody = Granted::default().cure_of_private();
        assert!(nobody.ends_with("`private_addresses = true` under `[grants.NAME]`"), "{nobody}");
    }
}
