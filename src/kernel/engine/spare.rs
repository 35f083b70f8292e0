//! A part of a group that few groups have: it takes one word until it says something.

use std::ops::{Deref, DerefMut};

/// What a part is before anything happened to it.
pub trait Plain: Clone + PartialEq + 'static {
    const PLAIN: &'static Self;
}

/// Read like the part itself; the first write makes room for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spare<T>(Option<Box<T>>);

impl<T> Spare<T> {
    pub const NOTHING: Spare<T> = Spare(None);
}

impl<T: Plain> Spare<T> {
    pub fn new(part: T) -> Spare<T> {
        Spare((part != *T::PLAIN).then(|| Box::new(part)))
    }

    /// Forgets what the part says.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Gives back the room of a part that says nothing any more.
    pub fn tidy(&mut self) {
        if self.0.as_deref() == Some(T::PLAIN) {
            self.0 = None;
        }
    }
}

impl<T: Plain> Default for Spare<T> {
    fn default() -> Spare<T> {
        Spare(None)
    }
}

impl<T: Plain> Deref for Spare<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::PLAIN)
    }
}

impl<T: Plain> DerefMut for Spare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::PLAIN.clone()))
    }
}
