//! A raw key in two pieces: the front mostly names the metric, and the rest is mostly labels that
//! other keys of the same sender have too.

use memchr::{memchr, memchr2};

/// Shorter rests are not worth a place of their own.
const REST_MIN: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawKey<'a> {
    pub front: &'a [u8],
    pub rest: &'a [u8],
}

impl<'a> RawKey<'a> {
    /// Cuts a key behind the byte 0xFF, which formats put between the parts of a key, else behind
    /// the first comma or brace that does not begin it. Equal keys are cut alike.
    pub fn cut(key: &'a [u8]) -> RawKey<'a> {
        let end = memchr(0xFF, key).map(|at| at + 1);
        let end = end.or_else(|| Some(memchr2(b',', b'{', key.get(1..)?)? + 2));
        let end = end.filter(|end| key.len() - end >= REST_MIN).unwrap_or(key.len());
        let (front, rest) = key.split_at(end);
        RawKey { front, rest }
    }

    pub fn is(&self, key: &[u8]) -> bool {
        key.len() == self.length() && self.past(key).is_some()
    }

    pub fn length(&self) -> usize {
        self.front.len() + self.rest.len()
    }

    pub fn to_vec(self) -> Vec<u8> {
        [self.front, self.rest].concat()
    }

    /// What follows on the key in a text that begins with it.
    #[inline(always)]
    pub fn past<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        past_piece(past_piece(text, self.front)?, self.rest)
    }
}

/// What follows on a piece. Pieces are compared here and not by the library's call, which costs as
/// much as a comparison of so few bytes.
#[inline(always)]
fn past_piece<'t>(text: &'t [u8], piece: &[u8]) -> Option<&'t [u8]> {
    let (met, after) = text.split_at_checked(piece.len())?;
    let same = if piece.len() >= 16 {
        same_by::<16>(met, piece)
    } else if piece.len() >= 4 {
        same_by::<4>(met, piece)
    } else {
        met.iter().eq(piece)
    };
    same.then_some(after)
}

/// Compares as many bytes at a time, of pieces that are no shorter.
#[inline(always)]
fn same_by<const WIDE: usize>(met: &[u8], piece: &[u8]) -> bool {
    let (chunks, _) = piece.as_chunks::<WIDE>();
    let (others, _) = met.as_chunks::<WIDE>();
    for (chunk, other) in chunks.iter().zip(others) {
        if chunk != other {
            return false;
        }
    }
    // The last bytes are compared as one chunk, of which a part was compared before.
    met.last_chunk::<WIDE>() == piece.last_chunk::<WIDE>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_cut_behind_what_parts_it() {
        let labels = r#""labels":{"host":"a","dc":"x"},"#;
        for (key, front) in [
            (format!("{{\"name\":\"cpu\",{labels}"), r#"{"name":"cpu","#),
            (format!("cpu,{labels} value"), "cpu,"),
            (format!("cpu{{{labels}}}"), "cpu{"),
            ("cpu,host=a".to_owned(), "cpu,host=a"),
            ("cpu".to_owned(), "cpu"),
            (",".to_owned(), ","),
            (String::new(), ""),
        ] {
            let cut = RawKey::cut(key.as_bytes());
            assert_eq!((cut.front, cut.to_vec()), (front.as_bytes(), key.clone().into_bytes()));
        }
        let statsd = [b"a,b\xFF".as_slice(), labels.as_bytes()].concat();
        assert_eq!(RawKey::cut(&statsd).front, b"a,b\xFF");
    }

    proptest! {
        /// Lengths around those that are compared in chunks, and one byte that may differ.
        #[test]
        fn a_text_begins_with_its_key_and_no_other(
            front in prop::collection::vec(any::<u8>(), 0..40),
            rest in prop::collection::vec(any::<u8>(), 0..70),
            behind in prop::collection::vec(any::<u8>(), 0..5),
            changed in any::<prop::sample::Index>(),
            by in 1..=255u8,
            short in any::<prop::sample::Index>(),
        ) {
            let key = RawKey { front: &front, rest: &rest };
            let mut text = [&front[..], &rest, &behind].concat();
            prop_assert_eq!(key.past(&text), Some(&behind[..]));
            prop_assert_eq!(key.is(&text), behind.is_empty());
            if key.length() > 0 {
                prop_assert_eq!(key.past(&text[..short.index(key.length())]), None);
                text[changed.index(key.length())] ^= by;
                prop_assert_eq!(key.past(&text), None);
            }
        }
    }
}
