//! How often plugins died of late, and who is to be told.
//!
//! A death is a trap or a missed deadline. Three of them in a minute, or two on one batch, are
//! enough for a plugin to be taken out of service for a while; one within the first hundred batches
//! of a new version is enough to put the version before it back. What is done about it is decided
//! by those who ask.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// So many deaths ..
const STRIKES_MAX: usize = 3;
/// .. in so much time are too many.
const SPAN: Duration = Duration::from_secs(60);

/// Batches within which a version is new.
pub const NEW_BATCHES: u64 = 100;

/// The deaths of all plugins of one host.
#[derive(Default)]
pub struct Strikes {
    book: Mutex<Book>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Book {
    /// By plugin; only those that died in the last minute.
    deaths: BTreeMap<Arc<str>, VecDeque<Instant>>,
    /// Plugins that had enough of them, until somebody asks.
    out: BTreeSet<Arc<str>>,
}

impl Strikes {
    /// Sets who is told that a new version died.
    pub fn on_new_version_died(&self, wake: impl Fn() + Send + Sync + 'static) {
        // The first to ask is the one that runs the plugins.
        let _ = self.wake.set(Box::new(wake));
    }

    /// A plugin died. `new` says that its version is within its first batches.
    pub fn died(&self, plugin: &Arc<str>, now: Instant, new: bool) {
        let mut book = self.book();
        let deaths = book.deaths.entry(plugin.clone()).or_default();
        deaths.push_back(now);
        forget_old(deaths, now);
        if deaths.len() >= STRIKES_MAX {
            book.out.insert(plugin.clone());
        }
        drop(book);
        if new && let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// It died a second time of the same batch, in a new instance.
    pub fn died_again(&self, plugin: &Arc<str>) {
        self.book().out.insert(plugin.clone());
    }

    /// Deaths in the last minute.
    pub fn count(&self, plugin: &str, now: Instant) -> usize {
        let mut book = self.book();
        let Some(deaths) = book.deaths.get_mut(plugin) else { return 0 };
        forget_old(deaths, now);
        let count = deaths.len();
        if count == 0 {
            book.deaths.remove(plugin);
        }
        count
    }

    /// Plugins that are to be taken out of service; each is named once for each time that it had
    /// enough strikes.
    pub fn take_out(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.book().out)
    }

    /// Another version begins without a record.
    pub fn forgive(&self, plugin: &str) {
        let mut book = self.book();
        book.deaths.remove(plugin);
        book.out.remove(plugin);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_old(deaths: &mut VecDeque<Instant>, now: Instant) {
    while deaths.front().is_some_and(|death| now.duration_since(*death) >= SPAN) {
        deaths.pop_front();
    }
    // More than the bound tell nothing more.
    while deaths.len() > STRIKES_MAX {
        deaths.pop_front();
    }
}

impl fmt::Debug for Strikes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Strikes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn the_third_death_in_a_minute_is_one_too_many() {
        let (plugin, start) = (Arc::<str>::from("p"), Instant::now());
        let almost = SPAN - Duration::from_nanos(1);
        for (deaths, out) in [
            (vec![], false),
            (vec![0, 1], false),
            (vec![0, 1, 2], true),
            (vec![0, 1, almost.as_nanos() as u64], true),
            (vec![0, 1, SPAN.as_nanos() as u64], false),
        ] {
            let strikes = Strikes::default();
            for after in &deaths {
                strikes.died(&plugin, start + Duration::from_nanos(*after), false);
            }
            assert_eq!(strikes.take_out().contains(&plugin), out, "{deaths:?}");
            assert!(strikes.take_out().is_empty(), "told once");
        }
    }

    #[test]
    fn two_deaths_of_one_batch_are_enough_and_another_version_begins_anew() {
        let (plugin, now) = (Arc::<str>::from("p"), Instant::now());
        let strikes = Strikes::default();
        strikes.died(&plugin, now, false);
        strikes.died(&plugin, now, false);
        assert_eq!((strikes.count("p", now), strikes.count("p", now + SPAN)), (2, 0));
        strikes.died_again(&plugin);
        assert!(strikes.take_out().contains(&plugin));
        strikes.died_again(&plugin);
        strikes.forgive(&plugin);
        assert!(strikes.take_out().is_empty());
    }

    #[test]
    fn the_death_of_a_new_version_is_told_at_once() {
        let (strikes, told) = (Strikes::default(), Arc::new(AtomicU32::new(0)));
        let heard = told.clone();
        strikes.on_new_version_died(move || {
            heard.fetch_add(1, Relaxed);
        });
        strikes.died(&"p".into(), Instant::now(), false);
        assert_eq!(told.load(Relaxed), 0);
        strikes.died(&"p".into(), Instant::now(), true);
        assert_eq!(told.load(Relaxed), 1);
    }
}
