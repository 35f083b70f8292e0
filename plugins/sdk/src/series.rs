//! State by series or group: found by the host's number, saved by its own name.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::{Label, Series};

const NO_SLOT: u32 = u32::MAX;

/// Of a series' saved name, and of its value: about.
const NAME_BYTES: usize = 64;
const VALUE_BYTES: usize = 40;

/// What the host gives a number and announces once: a series, or a group of a rule.
#[doc(hidden)]
pub trait Announced {
    fn id(&self) -> u32;

    fn name(&self) -> &str;

    fn labels(&self) -> &[Label];
}

impl Announced for Series {
    fn id(&self) -> u32 {
        self.id
    }

    fn name(&self) -> &str {
        &self.metric
    }

    fn labels(&self) -> &[Label] {
        &self.labels
    }
}

/// One value for each announced series.
pub type SeriesTable<T> = Table<Series, T>;

/// One value for each thing that was announced.
///
/// The host's numbers are dense over all series it has, of which one instance sees a share: so the
/// numbers index a thin table of slots, and the values lie together, without the names that only
/// saving and restoring look at.
#[derive(Debug)]
pub struct Table<S, T> {
    slots: Vec<u32>,
    values: Vec<T>,
    /// By slot, as the values are.
    series: Vec<S>,
    /// What `save` writes of the series, from the first time until their number changes: states
    /// are saved more often than series come and go.
    names: OnceCell<Vec<u8>>,
}

impl<S, T> Default for Table<S, T> {
    fn default() -> Table<S, T> {
        let (slots, values, series) = (Vec::new(), Vec::new(), Vec::new());
        Table { slots, values, series, names: OnceCell::new() }
    }
}

impl<S: Announced, T: Default> Table<S, T> {
    /// Takes what the host announced; a series that is there already keeps its value.
    pub fn intern(&mut self, added: Vec<S>) {
        self.names.take();
        for series in added {
            let id = series.id() as usize;
            if self.slots.len() <= id {
                self.slots.resize(id + 1, NO_SLOT);
            }
            if self.slots[id] == NO_SLOT {
                self.slots[id] = self.values.len() as u32;
                self.values.push(T::default());
                self.series.push(series);
            }
        }
    }

    pub fn forget(&mut self, removed: &[u32]) {
        self.names.take();
        for id in removed {
            let Some(slot) = self.slot(*id) else { continue };
            self.slots[*id as usize] = NO_SLOT;
            self.values.swap_remove(slot);
            self.series.swap_remove(slot);
            if let Some(moved) = self.series.get(slot) {
                self.slots[moved.id() as usize] = slot as u32;
            }
        }
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        // A number without a slot has one past all values.
        let slot = *self.slots.get(id as usize)?;
        self.values.get_mut(slot as usize)
    }

    pub fn series(&self, id: u32) -> Option<&S> {
        self.slot(id).map(|slot| &self.series[slot])
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Writes every value under its series' name, for a snapshot that outlives the numbers.
    /// `write` appends a value's bytes.
    pub fn save(&self, write: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
        let names = self.names.get_or_init(|| {
            let mut names = Vec::with_capacity(NAME_BYTES * self.series.len());
            for series in &self.series {
                put(&mut names, |names| identity(series, names));
            }
            names
        });
        let mut data = Vec::with_capacity(names.len() + VALUE_BYTES * self.values.len() + 4);
        put(&mut data, |data| data.extend_from_slice(names));
        for value in &self.values {
            put(&mut data, |data| write(value, data));
        }
        data
    }

    /// Reads what [`Table::save`] wrote into the series that are announced; others are left
    /// out. `None` when the bytes are not what `save` writes.
    pub fn restore(&mut self, data: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<()> {
        let mut saved = BTreeMap::new();
        let mut rest = data;
        let mut names = take(&mut rest)?;
        while !names.is_empty() {
            let name = take(&mut names)?;
            saved.insert(name.to_vec(), read(take(&mut rest)?)?);
        }
        if !rest.is_empty() {
            return None;
        }
        let mut name = Vec::new();
        for (series, own) in self.series.iter().zip(&mut self.values) {
            name.clear();
            identity(series, &mut name);
            if let Some(value) = saved.remove(name.as_slice()) {
                *own = value;
            }
        }
        Some(())
    }

    fn slot(&self, id: u32) -> Option<usize> {
        let slot = *self.slots.get(id as usize)?;
        (slot != NO_SLOT).then_some(slot as usize)
    }
}

/// Appends metric and labels, set apart by a byte that no text contains.
fn identity(series: &impl Announced, out: &mut Vec<u8>) {
    out.extend_from_slice(series.name().as_bytes());
    for label in series.labels() {
        for field in [&label.name, &label.value] {
            out.push(0xFF);
            out.extend_from_slice(field.as_bytes());
        }
    }
}

/// Appends what `write` writes with its length before it.
pub fn put(data: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = data.len();
    data.extend_from_slice(&[0; 4]);
    write(data);
    let length = (data.len() - start - 4) as u32;
    data[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

pub fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let bytes = tail.get(..length)?;
    *rest = &tail[length..];
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(id: u32, metric: &str) -> Series {
        Series { id, metric: metric.to_owned(), labels: Vec::new() }
    }

    #[test]
    fn a_forgotten_series_leaves_the_others_in_place() {
        let mut table = SeriesTable::<u32>::default();
        table.intern(vec![series(7, "a"), series(2, "b"), series(9, "c")]);
        for id in [7, 2, 9] {
            *table.get_mut(id).expect("announced") = id;
        }
        table.forget(&[7, 100]);
        assert_eq!(table.get_mut(7), None);
        assert_eq!((*table.get_mut(2).unwrap(), *table.get_mut(9).unwrap()), (2, 9));
    }

    #[test]
    fn values_are_found_again_by_name_under_other_numbers() {
        let mut table = SeriesTable::<u32>::default();
        table.intern(vec![series(0, "a"), series(1, "b")]);
        *table.get_mut(1).expect("announced") = 5;
        let data = table.save(|value, out| out.extend_from_slice(&value.to_le_bytes()));
        let read = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));

        let mut other = SeriesTable::<u32>::default();
        other.intern(vec![series(40, "b")]);
        assert_eq!(other.restore(&data, read), Some(()));
        assert_eq!(other.get_mut(40), Some(&mut 5));
        assert_eq!(other.restore(&data[..data.len() - 1], read), None);
    }
}
