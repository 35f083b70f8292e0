//! What a component says about itself before it runs: TOML in the custom section
//! `watchfire:manifest`.

/// Copies a text into an array, since a custom section holds plain bytes and no pointers.
#[doc(hidden)]
pub const fn bytes_of<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let (mut bytes, mut at) = ([0; LENGTH], 0);
    while at < LENGTH {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}

/// Writes the manifest section. Name and version are the crate's own.
#[doc(hidden)]
#[macro_export]
macro_rules! manifest {
    ($kind:literal, [$($need:literal),*]) => {
        const MANIFEST_TEXT: &str = concat!(
            "kind = \"", $kind, "\"\n",
            "api = \"0.1\"\n",
            "name = \"", env!("CARGO_PKG_NAME"), "\"\n",
            "version = \"", env!("CARGO_PKG_VERSION"), "\"\n",
            "needs = [", $("\"", $need, "\", ",)* "]\n",
        );

        #[used]
        #[unsafe(link_section = "watchfire:manifest")]
        static MANIFEST: [u8; MANIFEST_TEXT.len()] = $crate::manifest_bytes(MANIFEST_TEXT);
    };
}
