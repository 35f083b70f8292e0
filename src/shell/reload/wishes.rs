//! What makes us look at the folders, and several such causes as one look.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use crate::shell::api::{ReloadReport, ReloadTrigger};

pub enum Wish {
    Look(ReloadTrigger, Option<Sender<ReloadReport>>),
    AcceptEmpty(Sender<ReloadReport>),
    Stop,
}

/// One look, for all who wished it.
#[derive(Debug)]
pub struct Gathered {
    /// The most telling of all causes.
    pub trigger: ReloadTrigger,
    pub waiting: Vec<Sender<ReloadReport>>,
    pub accept: bool,
    pub stop: bool,
}

impl Gathered {
    pub fn of(trigger: ReloadTrigger) -> Gathered {
        Gathered { trigger, waiting: Vec::new(), accept: false, stop: false }
    }

    fn add(&mut self, wish: Wish) {
        let (trigger, answer) = match wish {
            Wish::Look(trigger, answer) => (trigger, answer),
            Wish::AcceptEmpty(answer) => {
                self.accept = true;
                (ReloadTrigger::Command, Some(answer))
            }
            Wish::Stop => {
                self.stop = true;
                return;
            }
        };
        self.trigger = self.trigger.max(trigger);
        self.waiting.extend(answer);
    }

    /// Notices come in bursts: waits until none came for a while. Those who ask meanwhile get the
    /// same answer. A stop waits for nothing.
    pub fn until_quiet(first: Wish, wished: &Receiver<Wish>, quiet: Duration) -> Gathered {
        let mut gathered = Gathered::of(ReloadTrigger::Poll);
        gathered.add(first);
        // A folder that is never quiet is looked at all the same.
        let end = Instant::now() + quiet * 20;
        while !gathered.stop && Instant::now() < end {
            match wished.recv_timeout(quiet) {
                Ok(wish) => gathered.add(wish),
                Err(_) => break,
            }
        }
        gathered
    }
}

/// Asks for a look at the folders; after the stop nothing is reloaded.
pub fn look_at(wishes: &Sender<Wish>, trigger: ReloadTrigger) -> impl Fn() + Send + Sync + 'static {
    let wishes = wishes.clone();
    move || drop(wishes.send(Wish::Look(trigger, None)))
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{bounded, unbounded};

    use super::*;

    /// All of them, from a closed channel: nobody waits.
    fn gathered(first: Wish, others: impl IntoIterator<Item = Wish>) -> Gathered {
        let (wishes, wished) = unbounded();
        others.into_iter().for_each(|wish| wishes.send(wish).expect("it is read below"));
        drop(wishes);
        Gathered::until_quiet(first, &wished, Duration::from_secs(60))
    }

    fn look(trigger: ReloadTrigger) -> Wish {
        Wish::Look(trigger, None)
    }

    #[test]
    fn the_most_telling_cause_is_reported_whenever_it_came() {
        use ReloadTrigger::{Command, Death, Signal, Watch};
        for (first, then, told) in [
            (Watch, vec![], Watch),
            (Watch, vec![Watch, Watch], Watch),
            (Watch, vec![Death, Watch], Death),
            (Death, vec![Watch], Death),
            (Watch, vec![Signal], Signal),
            (Signal, vec![Command, Watch], Command),
            (Command, vec![Death], Death),
        ] {
            let all = gathered(look(first), then.iter().copied().map(look));
            assert_eq!(all.trigger, told, "{first:?} and then {then:?}");
            assert!(!all.stop && !all.accept && all.waiting.is_empty());
        }
    }

    #[test]
    fn all_who_ask_are_answered_and_the_empty_folder_is_accepted_once_for_all() {
        let (answer, _answers) = bounded(1);
        let asked = || Wish::Look(ReloadTrigger::Command, Some(answer.clone()));
        let all = gathered(asked(), [asked(), Wish::AcceptEmpty(answer.clone())]);
        assert_eq!((all.waiting.len(), all.accept), (3, true));
        let all = gathered(Wish::AcceptEmpty(answer.clone()), []);
        assert_eq!((all.waiting.len(), all.accept), (1, true));
        assert_eq!(all.trigger, ReloadTrigger::Command);
    }

    #[test]
    fn a_stop_waits_for_nothing() {
        let (_wishes, wished) = unbounded();
        assert!(Gathered::until_quiet(Wish::Stop, &wished, Duration::from_secs(600)).stop);
        let all = gathered(look(ReloadTrigger::Watch), [Wish::Stop, look(ReloadTrigger::Death)]);
        assert!(all.stop);
        assert_eq!(all.trigger, ReloadTrigger::Watch, "what came after the stop is not read");
    }
}
