//! A queue that always knows the merge of all it holds, without ever taking a value back out.
//!
//! Two stacks, as in the classic queue made of two stacks: items come in at the back; when the
//! front runs empty the back is turned over, and each item becomes the merge of itself with all
//! newer ones. Each item is merged at most three times in its life, so a window costs O(1) merges
//! per pane however long it is, and since nothing is subtracted no rounding error can creep.

use serde::{Deserialize, Serialize};

/// A summary that can take in another one, which covers newer samples.
pub trait Merge: Clone {
    fn merge(&mut self, newer: &Self);
}

/// Invariants: `front[i]` is the merge of the front's `i + 1` newest items, so its last element
/// covers all of the front; `newest` is the merge of `back` and is there when `back` has items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwoStacks<T> {
    front: Vec<T>,
    back: Vec<T>,
    newest: Option<T>,
}

impl<T> Default for TwoStacks<T> {
    fn default() -> TwoStacks<T> {
        TwoStacks { front: Vec::new(), back: Vec::new(), newest: None }
    }
}

impl<T: Merge> TwoStacks<T> {
    pub fn len(&self) -> usize {
        self.front.len() + self.back.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The older and the newer part of the whole; their merge covers every item.
    pub fn halves(&self) -> (Option<&T>, Option<&T>) {
        (self.front.last(), self.newest.as_ref())
    }

    /// The merge of all items; `None` when there are none.
    pub fn total(&self) -> Option<T> {
        match self.halves() {
            (Some(older), Some(newer)) => {
                let mut total = older.clone();
                total.merge(newer);
                Some(total)
            }
            (older, newer) => older.or(newer).cloned(),
        }
    }

    /// Adds an item that is newer than all others.
    pub fn push(&mut self, item: T) {
        self.insert(self.len(), item);
    }

    /// Removes the oldest item.
    pub fn pop(&mut self) {
        if self.front.is_empty() {
            self.turn();
        }
        self.front.pop();
    }

    /// Adds an item that has `older` items before it: O(1) at the new end, else O(items).
    pub fn insert(&mut self, older: usize, item: T) {
        assert!(older <= self.len());
        if older >= self.front.len() {
            match &mut self.newest {
                Some(newest) => newest.merge(&item),
                None => self.newest = Some(item.clone()),
            }
            self.back.insert(older - self.front.len(), item);
            return;
        }
        let at = self.front.len() - older;
        self.front[at..].iter_mut().for_each(|suffix| suffix.merge(&item));
        let mut suffix = item;
        if let Some(newer) = at.checked_sub(1) {
            suffix.merge(&self.front[newer]);
        }
        self.front.insert(at, suffix);
    }

    /// Changes the item that has `older` items before it, in every merge that covers it. The
    /// change must be one that commutes with a merge, as folding in one more sample does.
    pub fn update(&mut self, older: usize, change: impl Fn(&mut T)) {
        assert!(older < self.len());
        if let Some(at) = older.checked_sub(self.front.len()) {
            change(&mut self.back[at]);
            self.newest.iter_mut().for_each(change);
        } else {
            let at = self.front.len() - 1 - older;
            self.front[at..].iter_mut().for_each(change);
        }
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.front, &mut self.back);
        self.newest = None;
        self.front.reverse();
        for at in 1..self.front.len() {
            let (newer, older) = self.front.split_at_mut(at);
            older[0].merge(&newer[at - 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keeps order visible: a merge appends.
    impl Merge for String {
        fn merge(&mut self, newer: &String) {
            self.push_str(newer);
        }
    }

    fn sorted(text: &str) -> Vec<char> {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort();
        letters
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push,
        Pop,
        Insert(usize),
        Update(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => Just(Act::Push),
            3 => Just(Act::Pop),
            1 => (0..20usize).prop_map(Act::Insert),
            1 => (0..20usize).prop_map(Act::Update),
        ];
        proptest::collection::vec(act, 0..80)
    }

    proptest! {
        #[test]
        fn the_total_is_that_of_a_plain_queue(acts in acts()) {
            let (mut stacks, mut queue) = (TwoStacks::default(), Vec::<String>::new());
            for (turn, act) in acts.into_iter().enumerate() {
                let item = char::from(b'a' + (turn % 26) as u8).to_string();
                match act {
                    Act::Push => {
                        stacks.push(item.clone());
                        queue.push(item);
                    }
                    Act::Pop if queue.is_empty() => {}
                    Act::Pop => {
                        stacks.pop();
                        queue.remove(0);
                    }
                    Act::Insert(older) => {
                        let older = older % (queue.len() + 1);
                        stacks.insert(older, item.clone());
                        queue.insert(older, item);
                    }
                    Act::Update(_) if queue.is_empty() => {}
                    Act::Update(older) => {
                        let older = older % queue.len();
                        stacks.update(older, |text| text.push_str(&item));
                        queue[older].push_str(&item);
                    }
                }
                prop_assert_eq!(stacks.len(), queue.len());
                let total = stacks.total().unwrap_or_default();
                prop_assert_eq!(sorted(&total), sorted(&queue.concat()));
            }
        }
    }
}
