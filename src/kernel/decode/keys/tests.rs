//! The cache against the plainest one that keeps its promises.

use proptest::prelude::*;

use super::*;

/// A clock over a list of keys, searched from end to end.
struct Model {
    keys_max: usize,
    keys: Vec<Option<(Vec<u8>, bool)>>,
    free: Vec<usize>,
    hand: usize,
    evictions: u64,
}

impl Model {
    fn get(&mut self, raw: &[u8]) -> Option<usize> {
        let is_it = |held: &Option<(Vec<u8>, bool)>| held.as_ref().is_some_and(|key| key.0 == raw);
        let slot = self.keys.iter().position(is_it)?;
        self.keys[slot].as_mut()?.1 = true;
        Some(slot)
    }

    fn insert(&mut self, raw: &[u8]) -> usize {
        let bytes =
            |model: &Model| model.keys.iter().flatten().map(|key| key.0.len()).sum::<usize>();
        let bytes_max = self.keys_max * Keys::BYTES_PER_KEY;
        while bytes(self) > 0
            && (self.keys.iter().flatten().count() >= self.keys_max
                || bytes(self) + raw.len() > bytes_max)
        {
            let slot = self.hand;
            self.hand = (slot + 1) % self.keys.len();
            match &mut self.keys[slot] {
                Some((_, seen @ true)) => *seen = false,
                Some(_) => {
                    self.keys[slot] = None;
                    self.free.push(slot);
                    self.evictions += 1;
                }
                None => {}
            }
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.keys.push(None);
            self.keys.len() - 1
        });
        self.keys[slot] = Some((raw.to_vec(), false));
        slot
    }
}

proptest! {
    /// Runs of neighbours, so that keys are expected, and long keys, so that pages are compacted.
    #[test]
    fn it_gives_the_slots_that_the_model_gives(
        keys_max in 1..12usize,
        seed in any::<u64>(),
        long in prop::sample::select(vec![1, 300, 30_000]),
        runs in prop::collection::vec((0..16usize, 1..9usize), 0..40),
    ) {
        let mut keys = Keys::new(keys_max);
        keys.set_seed(seed);
        let mut model =
            Model { keys_max, keys: Vec::new(), free: Vec::new(), hand: 0, evictions: 0 };
        for number in runs.iter().flat_map(|(start, count)| *start..start + count) {
            let raw = vec![b'a' + number as u8; 1 + number % 3 * long];
            let slot = match model.get(&raw) {
                Some(slot) => {
                    prop_assert_eq!(keys.find(&raw), Some(slot as u32));
                    keys.get(&raw)
                }
                None => {
                    prop_assert_eq!(keys.get(&raw), None);
                    model.insert(&raw);
                    let slot = keys.insert(&raw, None);
                    Some(Ok(slot))
                }
            };
            let held = |slot: usize| model.keys[slot].as_ref().map(|key| &key.0[..]);
            let found = slot.map(|key| key.map(|slot| held(slot.0 as usize)));
            prop_assert_eq!(found, Some(Ok(Some(&raw[..]))));
            prop_assert_eq!(keys.evictions(), model.evictions);
            prop_assert_eq!(keys.len(), model.keys.iter().flatten().count());
            if let Some((slot, key)) = keys.expected() {
                prop_assert_eq!(held(slot as usize), Some(&key.to_vec()[..]));
            }
        }
    }
}

#[test]
fn keys_in_an_order_are_expected_and_keys_in_none_soon_are_not() {
    let mut keys = Keys::new(1_000);
    let mut expected = |name: u32| {
        let raw = name.to_le_bytes();
        let was = keys.expected().map(|(_, key)| key.is(&raw));
        if keys.get(&raw).is_none() {
            keys.insert(&raw, None);
        }
        was
    };
    for name in 0..100 {
        assert_eq!(expected(name), None);
    }
    expected(0);
    for name in (1..100).chain(0..50) {
        assert_eq!(expected(name), Some(true), "{name}");
    }
    // Each key has another neighbour in each round.
    let mut told = 0;
    for turn in 1..=100 {
        for step in 0..100 {
            told += u32::from(expected(step * (2 * turn + 1) * 7 % 101 % 100).is_some());
        }
    }
    assert!(told < 10_000 / 8, "{told}");
    // One round in order is enough to expect the next.
    for name in 0..200 {
        expected(name % 100);
    }
    let hits = (0..100).filter(|name| expected(*name) == Some(true)).count();
    assert!(hits > 90, "{hits}");
}

#[test]
fn keys_that_come_no_more_are_forgotten_and_others_keep_their_slots() {
    let mut keys = Keys::new(100);
    let slots: Vec<Slot> =
        (0..10u32).map(|number| keys.insert(&number.to_le_bytes(), None)).collect();
    let meet = |keys: &mut Keys| {
        for number in (0..10u32).step_by(2) {
            assert_eq!(keys.get(&number.to_le_bytes()), Some(Ok(slots[number as usize])));
        }
    };
    meet(&mut keys);
    keys.forget_unseen();
    assert_eq!((keys.len(), keys.evictions()), (5, 5));
    meet(&mut keys);
    keys.forget_unseen();
    assert_eq!(keys.len(), 5);
    assert_eq!(keys.find(&1u32.to_le_bytes()), None);
    keys.forget_unseen();
    assert_eq!((keys.len(), keys.evictions()), (0, 10));
}
