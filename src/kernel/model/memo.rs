//! Texts that were met lately, so that equal ones are kept once.
//!
//! Senders tell what one host has to say at a stretch, so whoever looks back a little finds most
//! texts that can be shared. What is found never matters but for memory: equal texts are equal.

use xxhash_rust::xxh3::xxh3_64;

use super::shared_text::SharedText;

/// A power of two: 128 KiB of pointers.
const PLACES: usize = 1 << 14;

/// A table of one text for each place, the last that fell there.
#[derive(Debug, Default)]
pub struct Memo {
    /// Filled with the first text, since many memos never meet one.
    texts: Vec<Option<SharedText>>,
    places: usize,
}

impl Memo {
    pub fn new() -> Memo {
        Memo { texts: Vec::new(), places: PLACES }
    }

    /// For texts that nobody will share.
    pub fn of_nothing() -> Memo {
        Memo::default()
    }

    /// The text of these bytes: one that was met before, or a new one.
    pub fn text(&mut self, bytes: &[u8]) -> SharedText {
        if self.texts.len() < self.places {
            self.texts.resize(self.places, None);
        }
        if self.places == 0 {
            return SharedText::from(bytes);
        }
        let place = &mut self.texts[xxh3_64(bytes) as usize % PLACES];
        match place {
            Some(known) if **known == *bytes => known.clone(),
            Some(_) | None => place.insert(SharedText::from(bytes)).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_become_one_and_others_stay_what_they_are() {
        let (mut memo, mut last) = (Memo::new(), SharedText::from(&[][..]));
        // Far more than there are places, so that texts push one another out.
        for turn in 0..4 * PLACES as u32 {
            let bytes = (turn / 2).to_le_bytes();
            let text = memo.text(&bytes);
            assert_eq!((&*text, text.as_ptr() == last.as_ptr()), (&bytes[..], turn % 2 == 1));
            last = text;
        }
        assert_eq!(&*Memo::of_nothing().text(b"a"), b"a");
    }
}
