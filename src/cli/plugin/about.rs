//! What a plugin says about itself: `plugin.toml` in its folder, the section `watchfire:manifest`
//! in the component.

use serde::Deserialize;

use super::Kind;

/// As much as building and showing it needs; what it asks for is for the host to read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct About {
    pub kind: Kind,
    pub name: String,
    pub version: String,
}

impl About {
    pub fn parse(bytes: &[u8]) -> Result<About, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }
}
