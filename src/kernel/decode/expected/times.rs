//! Times of lines: all lines of one scrape mostly bear the same, which is then compared and not
//! read.

use super::super::number::TimeUnit;
use crate::kernel::model::EventTime;

/// Bytes that are compared at once: nanoseconds have 19 digits.
const WIDE: usize = 24;
const WORDS: usize = WIDE / 8;

/// How times are read, and the one that was read last.
pub struct Times {
    unit: Option<TimeUnit>,
    at: EventTime,
    /// Its text without the byte that ended it; 0 before there was one.
    len: usize,
    words: [u64; WORDS],
    /// Over the text and the byte that ended it.
    masks: [u64; WORDS],
}

impl Times {
    pub fn new(unit: Option<TimeUnit>) -> Times {
        Times { unit, at: EventTime::MIN, len: 0, words: [0; WORDS], masks: [0; WORDS] }
    }

    /// The time that the text begins with, and the text after it. `read` reads a time, given the
    /// unit that was set, and must look at nothing past the byte that ends it.
    #[inline(always)]
    pub fn read<'a>(
        &mut self,
        text: &'a [u8],
        read: impl FnOnce(&'a [u8], Option<TimeUnit>) -> Option<(EventTime, &'a [u8])>,
    ) -> Option<(EventTime, &'a [u8])> {
        if let Some(front) = text.first_chunk::<WIDE>()
            && self.is_last(words(front))
        {
            return Some((self.at, &text[self.len..]));
        }
        let (at, rest) = read(text, self.unit)?;
        self.keep(text, text.len() - rest.len(), at);
        Some((at, rest))
    }

    #[inline(always)]
    fn is_last(&self, front: [u64; WORDS]) -> bool {
        let differs = |word: usize| (front[word] ^ self.words[word]) & self.masks[word];
        self.len > 0 && differs(0) | differs(1) | differs(2) == 0
    }

    fn keep(&mut self, text: &[u8], len: usize, at: EventTime) {
        let Some(front) = text.first_chunk::<WIDE>().filter(|_| len < WIDE) else { return };
        let mut mask = [0; WIDE];
        mask[..=len].fill(0xFF);
        (self.at, self.len, self.masks) = (at, len, words(&mask));
        let known = words(front);
        self.words = std::array::from_fn(|word| known[word] & self.masks[word]);
    }
}

#[inline(always)]
fn words(bytes: &[u8; WIDE]) -> [u64; WORDS] {
    let (chunks, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|word| u64::from_le_bytes(chunks[word]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits up to the first other byte, as nanoseconds; counts how often it was asked.
    fn read_all(texts: &[&str]) -> (Vec<Option<(i64, String)>>, usize) {
        let (mut times, mut asked) = (Times::new(None), 0);
        let mut all = Vec::new();
        for text in texts {
            let read = times.read(text.as_bytes(), |text, _| {
                asked += 1;
                let len = text.iter().position(|byte| !byte.is_ascii_digit())?;
                let digits = std::str::from_utf8(&text[..len]).ok()?;
                Some((EventTime::from_nanos(digits.parse().ok()?), &text[len..]))
            });
            let rest = |rest: &[u8]| String::from_utf8_lossy(rest).into_owned();
            all.push(read.map(|(at, after)| (at.nanos(), rest(after))));
        }
        (all, asked)
    }

    #[test]
    fn a_time_is_read_again_unless_it_is_the_last_one_to_its_end() {
        let long = ",\"value\":1.5}\n{\"name\":\"cpu\"";
        let line = |time: &str| format!("{time}{long}");
        let lines: Vec<String> = ["17", "17", "171", "17", "1", "17"].map(line).to_vec();
        let mut texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        // Too close to the end of the text, and no time at all.
        texts.extend(["17,", "17}", "x"]);
        let (all, asked) = read_all(&texts);
        let expected = [17, 17, 171, 17, 1, 17].map(|time| Some((time, long.to_owned())));
        assert_eq!(all[..6], expected);
        assert_eq!(all[6..], [Some((17, ",".into())), Some((17, "}".into())), None]);
        assert_eq!(asked, 8);
    }

    #[test]
    fn another_end_is_another_time() {
        let tail = "-----------------------------";
        let texts = [format!("1700,{tail}"), format!("1700}}{tail}"), format!("1700}}{tail}")];
        let (all, asked) = read_all(&texts.each_ref().map(String::as_str));
        assert_eq!(asked, 2);
        assert!(all.iter().all(|read| read.as_ref().is_some_and(|(time, _)| *time == 1_700)));
    }

    #[test]
    fn a_time_of_any_length_is_read() {
        for digits in 1..=19 {
            let time = "1".repeat(digits);
            let text = format!("{time} {}", "x".repeat(30));
            let (all, asked) = read_all(&[&text, &text]);
            assert_eq!((asked, all[0] == all[1]), (1, true), "{digits}");
        }
    }
}
