//! Bytes that many places share, behind one word each.
//!
//! A pointer to `Arc<[u8]>` takes two words, since it holds the length. A million series are
//! pointed at from eight places and more, so here the length lies with the bytes.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use triomphe::ThinArc;

#[derive(Clone, Debug)]
pub struct SharedText(ThinArc<(), u8>);

impl From<&[u8]> for SharedText {
    fn from(bytes: &[u8]) -> SharedText {
        SharedText(ThinArc::from_header_and_slice((), bytes))
    }
}

impl Deref for SharedText {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0.slice
    }
}

impl PartialEq for SharedText {
    fn eq(&self, other: &SharedText) -> bool {
        **self == **other
    }
}

impl Eq for SharedText {}

/// By bytes; the shared pointer's own order begins with the length.
impl Ord for SharedText {
    fn cmp(&self, other: &SharedText) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl PartialOrd for SharedText {
    fn partial_cmp(&self, other: &SharedText) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SharedText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_bytes_and_a_pointer_takes_one_word() {
        let text = |text: &str| SharedText::from(text.as_bytes());
        assert!(text("b") > text("ab") && text("ab") > text("a") && text("") < text("a"));
        assert!(text("ab") == text("ab") && text("ab") != text("a"));
        assert_eq!(size_of::<Option<SharedText>>(), size_of::<usize>());
    }
}
