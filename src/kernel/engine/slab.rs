//! Numbered places that are used again: a dense table for groups and members.

#[derive(Clone, Debug)]
pub struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.places[at as usize] = Some(value);
                at
            }
            None => {
                self.places.push(Some(value));
                self.places.len() as u32 - 1
            }
        }
    }

    pub fn remove(&mut self, at: u32) -> T {
        self.free.push(at);
        self.places[at as usize].take().expect("only a place in use is freed")
    }

    pub fn get(&self, at: u32) -> Option<&T> {
        self.places.get(at as usize).and_then(Option::as_ref)
    }

    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.places.get_mut(at as usize).and_then(Option::as_mut)
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Places in use, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(at, place)| place.as_ref().map(|value| (at as u32, value)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().filter_map(Option::as_mut)
    }

    /// The numbers in use; for walks that change what they visit.
    pub fn numbers(&self) -> Vec<u32> {
        self.iter().map(|(at, _)| at).collect()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, at: u32) -> &T {
        self.places[at as usize].as_ref().expect("the place is in use")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.places[at as usize].as_mut().expect("the place is in use")
    }
}
