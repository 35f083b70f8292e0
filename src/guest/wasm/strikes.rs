//! How often plugins died of late, who is out of service for it, and who is to be told.
//!
//! A death is a trap or a missed deadline. Three of them in a minute, or two on one batch, are
//! enough for a plugin to be taken out of service for a while; one within the first hundred batches
//! of a new version is enough to put the version before it back. Rules go out of service at a
//! position of the stream, so about them whoever keeps the sequence decides and says so here; all
//! other plugins are held here, and are not opened while they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::guest::changes::{self, Changes, PluginChange};
use crate::kernel::model::{Duration as Length, Now};

/// So many deaths ..
const STRIKES_MAX: usize = 3;
/// .. in so much time are too many.
const SPAN: Duration = Duration::from_secs(60);

/// Batches within which a version is new.
pub const NEW_BATCHES: u64 = 100;

/// How long a plugin is held the first time; each further time twice as long ..
pub const BACKOFF_MIN: Length = Length::from_secs(1);
/// .. and never longer.
pub const BACKOFF_MAX: Length = Length::from_secs(300);

/// The deaths of all plugins of one host.
#[derive(Default)]
pub struct Strikes {
    changes: Arc<Changes>,
    book: Mutex<Book>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Book {
    /// By plugin; only those that died in the last minute.
    deaths: BTreeMap<Arc<str>, VecDeque<Instant>>,
    /// Plugins with rules that had enough of them, until somebody asks.
    out: BTreeSet<Arc<str>>,
    held: BTreeMap<Arc<str>, Held>,
    /// Plugins all of whose rules are out of service.
    suspended: BTreeSet<Arc<str>>,
}

/// How a plugin stands that was out of service.
#[derive(Clone, Copy, Debug)]
struct Held {
    backoff: Length,
    until: Now,
    /// When it went back into service; `None` while it is out.
    released: Option<Instant>,
}

/// Until when a plugin is out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    pub until: Now,
    pub backoff: Length,
}

/// One instance's end.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    pub plugin: &'a Arc<str>,
    /// Whether it judges, so that the stream's keeper decides what becomes of it.
    pub judges: bool,
    /// What ended it, in one word.
    pub trap: &'a str,
    pub report: &'a str,
    /// Its version is within its first batches.
    pub new: bool,
}

impl Strikes {
    /// Where everything that happens to plugins is told.
    pub fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Sets who is told that a new version died.
    pub fn on_new_version_died(&self, wake: impl Fn() + Send + Sync + 'static) {
        // The first to ask is the one that runs the plugins.
        let _ = self.wake.set(Box::new(wake));
    }

    /// A plugin died. Gives whether that was told: one that is out of service already may die some
    /// more, of what was on its way to it, and then its counters tell.
    pub fn died(&self, death: &Death<'_>, now: Instant) -> bool {
        let mut book = self.book();
        let deaths = book.deaths.entry(death.plugin.clone()).or_default();
        deaths.push_back(now);
        forget_old(deaths, now);
        let strikes = deaths.len();
        let is_out = book.is_out(death.plugin);
        if !is_out {
            let (trap, why) = (death.trap.to_owned(), death.report.to_owned());
            self.changes.publish(death.plugin, PluginChange::Struck { trap, strikes, why });
            if strikes >= STRIKES_MAX && death.judges {
                book.out.insert(death.plugin.clone());
            } else if strikes >= STRIKES_MAX {
                let (backoff, until) = book.hold(death.plugin, now);
                let why = "it died too often".to_owned();
                let change = PluginChange::Quarantined { why, until, backoff, rules: Vec::new() };
                self.changes.publish(death.plugin, change);
            }
        }
        drop(book);
        if death.new
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
        !is_out
    }

    /// It died a second time of the same batch, in a new instance.
    pub fn died_again(&self, plugin: &Arc<str>) {
        let mut book = self.book();
        if !book.is_out(plugin) {
            book.out.insert(plugin.clone());
        }
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

    /// Plugins whose rules are to be taken out of service; each is named once for each time that it
    /// had enough strikes.
    pub fn take_out(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.book().out)
    }

    /// All rules of a plugin are out of service: what was on its way to them may kill it still.
    pub fn suspend(&self, plugin: &Arc<str>) {
        self.book().suspended.insert(plugin.clone());
    }

    /// Rules of a plugin are back in service.
    pub fn resume(&self, plugin: &str) {
        self.book().suspended.remove(plugin);
    }

    /// Why a plugin may not be opened now, and until when; releases it when its time has come.
    pub fn may_open(&self, plugin: &str, now: Now) -> Result<(), Quarantine> {
        self.release_due(now);
        self.quarantine(plugin).map_or(Ok(()), Err)
    }

    /// Lets those go back into service whose time has come.
    pub fn release_due(&self, now: Now) {
        let mut book = self.book();
        let is_due = |held: &&mut Held| held.released.is_none() && held.until <= now;
        let mut due = Vec::new();
        for (plugin, held) in &mut book.held {
            if let Some(held) = Some(held).filter(is_due) {
                held.released = Some(Instant::now());
                due.push(plugin.clone());
            }
        }
        for plugin in due {
            self.tell_released(&plugin, "its time is over, and it is tried again");
        }
    }

    /// Until when a plugin is held that has no rules.
    pub fn quarantine(&self, plugin: &str) -> Option<Quarantine> {
        let book = self.book();
        let held = book.held.get(plugin).filter(|held| held.released.is_none())?;
        Some(Quarantine { until: held.until, backoff: held.backoff })
    }

    /// Another version is tried: what the one before did is not held against it.
    pub fn forgive(&self, plugin: &str) {
        let mut book = self.book();
        book.deaths.remove(plugin);
        book.out.remove(plugin);
    }

    /// Another version is in service, or none.
    pub fn release(&self, plugin: &str) {
        let held = self.book().held.remove(plugin);
        if held.is_some_and(|held| held.released.is_none()) {
            self.tell_released(plugin, "it is another version");
        }
    }

    fn tell_released(&self, plugin: &str, why: &'static str) {
        self.changes.publish(plugin, PluginChange::Released { why, rules: Vec::new() });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Out of service, or about to be.
    fn is_out(&self, plugin: &str) -> bool {
        let is_held = self.held.get(plugin).is_some_and(|held| held.released.is_none());
        is_held || self.out.contains(plugin) || self.suspended.contains(plugin)
    }

    /// Takes a plugin out of service: for how long, and until when.
    fn hold(&mut self, plugin: &Arc<str>, now: Instant) -> (Length, Now) {
        let lived_well = |held: &Held| {
            let patience = SPAN.max(held.backoff.to_std());
            held.released.is_some_and(|since| now.duration_since(since) > patience)
        };
        let before = self.held.get(plugin).filter(|held| !lived_well(held));
        let backoff = before.map_or(BACKOFF_MIN, |held| held.backoff * 2).min(BACKOFF_MAX);
        let until = changes::now() + backoff;
        self.held.insert(plugin.clone(), Held { backoff, until, released: None });
        (backoff, until)
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

    fn death(plugin: &Arc<str>, judges: bool, new: bool) -> Death<'_> {
        Death { plugin, judges, trap: "unreachable", report: "it panicked", new }
    }

    fn told(strikes: &Strikes) -> Vec<&'static str> {
        strikes.changes().after(0).iter().map(|event| event.change.name()).collect()
    }

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
                strikes.died(&death(&plugin, true, false), start + Duration::from_nanos(*after));
            }
            assert_eq!(strikes.take_out().contains(&plugin), out, "{deaths:?}");
            assert!(strikes.take_out().is_empty(), "told once");
            assert_eq!(strikes.quarantine("p"), None, "rules are held by others");
        }
    }

    #[test]
    fn two_deaths_of_one_batch_are_enough_and_another_version_begins_anew() {
        let (plugin, now) = (Arc::<str>::from("p"), Instant::now());
        let strikes = Strikes::default();
        strikes.died(&death(&plugin, true, false), now);
        strikes.died(&death(&plugin, true, false), now);
        assert_eq!((strikes.count("p", now), strikes.count("p", now + SPAN)), (2, 0));
        strikes.died_again(&plugin);
        assert!(!strikes.died(&death(&plugin, true, false), now), "it is out already");
        assert!(strikes.take_out().contains(&plugin));
        assert_eq!(told(&strikes), ["struck", "struck"]);
        strikes.died_again(&plugin);
        strikes.forgive(&plugin);
        assert!(strikes.take_out().is_empty());
        assert_eq!(strikes.count("p", now), 0);
    }

    #[test]
    fn the_death_of_a_new_version_is_told_at_once() {
        let (strikes, told) = (Strikes::default(), Arc::new(AtomicU32::new(0)));
        let heard = told.clone();
        strikes.on_new_version_died(move || {
            heard.fetch_add(1, Relaxed);
        });
        strikes.died(&death(&"p".into(), true, false), Instant::now());
        assert_eq!(told.load(Relaxed), 0);
        strikes.died(&death(&"p".into(), true, true), Instant::now());
        assert_eq!(told.load(Relaxed), 1);
    }

    #[test]
    fn who_has_no_rules_is_held_for_ever_longer() {
        let (plugin, mut now) = (Arc::<str>::from("p"), Instant::now());
        let strikes = Strikes::default();
        for _ in 0..3 {
            assert_eq!(strikes.quarantine("p"), None);
            strikes.died(&death(&plugin, false, false), now);
        }
        for seconds in [1, 2, 4] {
            let held = strikes.quarantine("p").expect("it is out of service");
            assert_eq!(held.backoff, Length::from_secs(seconds));
            assert!(!strikes.died(&death(&plugin, false, false), now), "it is out already");
            let almost = Now::from_nanos(held.until.nanos() - 1);
            assert_eq!(strikes.may_open("p", almost), Err(held));
            assert_eq!(strikes.may_open("p", held.until), Ok(()));
            // Three deaths are not a minute old still: one more is enough.
            strikes.died(&death(&plugin, false, false), now);
        }
        let seconds = |count| vec!["quarantined"; count];
        assert_eq!(told(&strikes)[..3], ["struck"; 3]);
        let quarantines = told(&strikes).into_iter().filter(|name| *name == "quarantined");
        assert_eq!(quarantines.collect::<Vec<_>>(), seconds(4));
        // After two quiet minutes it begins with a second again.
        strikes.release_due(Now::from_nanos(i64::MAX));
        now += 3 * SPAN;
        for _ in 0..3 {
            strikes.died(&death(&plugin, false, false), now);
        }
        let held = strikes.quarantine("p").expect("it is out of service");
        assert_eq!(held.backoff, BACKOFF_MIN);
        strikes.release("p");
        assert_eq!((strikes.quarantine("p"), told(&strikes).last()), (None, Some(&"released")));
        let before = told(&strikes).len();
        strikes.release("p");
        assert_eq!(told(&strikes).len(), before, "told once");
    }

    #[test]
    fn the_wait_has_a_bound() {
        let (plugin, strikes) = (Arc::<str>::from("p"), Strikes::default());
        let mut backoff = Length::ZERO;
        for _ in 0..20 {
            let mut book = strikes.book();
            backoff = book.hold(&plugin, Instant::now()).0;
        }
        assert_eq!(backoff, BACKOFF_MAX);
    }
}
