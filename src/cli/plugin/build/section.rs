//! Custom sections, by which a component says about itself what its code cannot.

/// The component with one more custom section, which every reader that does not know it skips.
pub fn added(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(data.len() + name.len() + 5);
    put_length(&mut payload, name.len());
    payload.extend_from_slice(name.as_bytes());
    payload.extend_from_slice(data);
    component.push(0);
    put_length(&mut component, payload.len());
    component.extend(payload);
    component
}

/// An unsigned number in LEB128: seven bits a byte, the lowest first.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::wasm::inspect::Outside;

    /// The eight bytes that every component begins with.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_manifest_that_was_added_is_read_again() {
        let start = "kind = \"sink\"\napi = \"0.1\"\nname = \"a\"\nversion = \"1\"\n";
        for filling in [0, 60, 200, 16_000] {
            let text = format!("{start}# {}", "x".repeat(filling));
            let bytes = added(EMPTY.to_vec(), "watchfire:manifest", text.as_bytes());
            let manifest =
                Outside::read(&bytes).0.manifest().expect("it is good").expect("it is there");
            assert_eq!(manifest.name, "a", "{filling}");
        }
    }
}
