//! The bytes of pieces of keys, in pages.
//!
//! A piece that is taken out leaves a gap. When gaps make up a quarter of the pages, a new page is
//! made of what is left in the page with the most gaps, so the arena stays within 4/3 of the
//! bytes in use and a few pages.

const PAGE_BYTES: usize = 64 << 10;
/// A record is its owner's number, the piece's length and the piece; the number [`NONE`] marks a
/// gap.
const HEAD_BYTES: usize = 8;
const NONE: u32 = u32::MAX;

#[derive(Default)]
pub struct Arena {
    /// Of [`PAGE_BYTES`], or for a piece that is larger than that, of its size.
    pages: Vec<Page>,
    /// Pages without bytes.
    vacant: Vec<u32>,
    /// The page that records are added to.
    open: Option<u32>,
    used: usize,
    gaps: usize,
}

#[derive(Default)]
struct Page {
    records: Vec<u8>,
    gaps: usize,
}

/// Where a piece lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub page: u32,
    /// Of the record.
    pub start: u16,
}

impl Arena {
    /// Stores a piece, and tells where others went if some had to move.
    pub fn put(&mut self, owner: u32, piece: &[u8], mut moved: impl FnMut(u32, Place)) -> Place {
        let size = HEAD_BYTES + piece.len();
        if size > PAGE_BYTES {
            let page = self.new_page(size);
            return self.append(page, owner, piece);
        }
        if let Some(page) = self.open.filter(|page| self.has_room(*page, size)) {
            return self.append(page, owner, piece);
        }
        if self.gaps * 4 > self.used {
            self.compact(&mut moved);
        }
        let page = match self.open.filter(|page| self.has_room(*page, size)) {
            Some(page) => page,
            None => self.open_page(),
        };
        self.append(page, owner, piece)
    }

    #[inline(always)]
    pub fn get(&self, place: Place) -> &[u8] {
        let record = &self.pages[place.page as usize].records[usize::from(place.start)..];
        let (head, rest) = record.split_at(HEAD_BYTES);
        &rest[..length(head)]
    }

    /// The piece at a place, of which the length is known.
    #[inline(always)]
    pub fn get_short(&self, place: Place, len: u16) -> &[u8] {
        let start = usize::from(place.start) + HEAD_BYTES;
        &self.pages[place.page as usize].records[start..start + usize::from(len)]
    }

    pub fn remove(&mut self, place: Place) {
        let page = &mut self.pages[place.page as usize];
        let record = &mut page.records[usize::from(place.start)..];
        record[..4].copy_from_slice(&NONE.to_le_bytes());
        let size = HEAD_BYTES + length(record);
        page.gaps += size;
        self.gaps += size;
        if page.gaps == page.records.len() {
            self.vacate(place.page);
        }
    }

    fn has_room(&self, page: u32, size: usize) -> bool {
        self.pages[page as usize].records.len() + size <= PAGE_BYTES
    }

    fn append(&mut self, page: u32, owner: u32, piece: &[u8]) -> Place {
        let records = &mut self.pages[page as usize].records;
        let start = u16::try_from(records.len()).expect("a page with room is no longer than this");
        let len = u32::try_from(piece.len()).expect("a piece is part of a line, which is bounded");
        records.extend_from_slice(&owner.to_le_bytes());
        records.extend_from_slice(&len.to_le_bytes());
        records.extend_from_slice(piece);
        self.used += HEAD_BYTES + piece.len();
        Place { page, start }
    }

    fn open_page(&mut self) -> u32 {
        let page = self.new_page(PAGE_BYTES);
        self.open = Some(page);
        page
    }

    fn new_page(&mut self, size: usize) -> u32 {
        let page = self.vacant.pop().unwrap_or_else(|| {
            self.pages.push(Page::default());
            u32::try_from(self.pages.len() - 1).expect("fewer pages than pieces")
        });
        self.pages[page as usize].records.reserve_exact(size);
        page
    }

    /// Makes a new page of what is left in the page with the most gaps.
    fn compact(&mut self, moved: &mut impl FnMut(u32, Place)) {
        let full = 0..self.pages.len() as u32;
        let Some(worst) = full.max_by_key(|page| self.pages[*page as usize].gaps) else { return };
        let records = std::mem::take(&mut self.pages[worst as usize].records);
        self.used -= records.len();
        self.gaps -= std::mem::take(&mut self.pages[worst as usize].gaps);
        let page = self.new_page(PAGE_BYTES);
        let mut rest = &records[..];
        while !rest.is_empty() {
            let (head, after) = rest.split_at(HEAD_BYTES);
            let (piece, next) = after.split_at(length(head));
            let owner = number(&head[..4]);
            if owner != NONE {
                moved(owner, self.append(page, owner, piece));
            }
            rest = next;
        }
        self.vacant.push(worst);
        self.open = Some(page);
    }

    fn vacate(&mut self, page: u32) {
        let Page { records, gaps } = std::mem::take(&mut self.pages[page as usize]);
        self.used -= records.len();
        self.gaps -= gaps;
        if self.open == Some(page) {
            self.open = None;
        }
        self.vacant.push(page);
    }
}

/// The length of the piece, from a record's head.
fn length(head: &[u8]) -> usize {
    number(&head[4..8]) as usize
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn keys_stay_whole_and_gaps_few(
            steps in prop::collection::vec((any::<bool>(), 0..60u32, 0..20_000usize), 0..200),
        ) {
            let (mut arena, mut places) = (Arena::default(), BTreeMap::new());
            let key = |slot: u32, len: usize| -> Vec<u8> {
                slot.to_le_bytes().into_iter().cycle().take(len * len / 5_000).collect()
            };
            for (puts, slot, len) in steps {
                match places.remove(&slot) {
                    Some((place, _)) => arena.remove(place),
                    None if puts => {
                        let mut moves = Vec::new();
                        let place =
                            arena.put(slot, &key(slot, len), |slot, to| moves.push((slot, to)));
                        for (slot, to) in moves {
                            places.get_mut(&slot).expect("only what is there moves").0 = to;
                        }
                        places.insert(slot, (place, len));
                    }
                    None => {}
                }
                let size = |(_, len): &(Place, usize)| {
                    HEAD_BYTES + len * len / 5_000
                };
                let live: usize = places.values().map(size).sum();
                prop_assert_eq!(arena.used - arena.gaps, live);
                let held: usize = arena.pages.iter().map(|page| page.records.len()).sum();
                prop_assert_eq!(arena.used, held);
            }
            for (slot, (place, len)) in &places {
                prop_assert_eq!(arena.get(*place), &key(*slot, *len)[..]);
            }
        }
    }

    #[test]
    fn the_bytes_held_are_bounded_by_the_bytes_in_use() {
        let (mut arena, mut places) = (Arena::default(), Vec::new());
        let live_max = 1_000;
        for turn in 0..200_000u32 {
            // One key in eight stays, so that no page ever becomes vacant by itself.
            let slot = turn % live_max;
            if turn >= live_max {
                if slot % 8 == 0 {
                    continue;
                }
                arena.remove(places[slot as usize]);
            } else {
                places.push(Place::default());
            }
            let place = arena.put(slot, &[7; 900], |slot, to| places[slot as usize] = to);
            places[slot as usize] = place;
            let held: usize = arena.pages.iter().map(|page| page.records.capacity()).sum();
            assert!(held <= 1_000 * 908 * 4 / 3 + 3 * PAGE_BYTES, "{held} bytes");
        }
    }
}
