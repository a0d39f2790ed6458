//! What is known of reply topics, and for how long; pure.
//!
//! A topic that is there is used for as long as nobody says otherwise, and looked at again now and then while it is used. One
//! that is not there is remembered for a moment only: it may be created. At most [`MOST`] are kept for use, and the one that has
//! not been used for longest makes room for the next, unless an answer to it is under way.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use crate::broker::replies::{Found, ReplyTopic};

/// The most topics that are kept for use: each costs memory of the client, for every partition, and is looked at now and then.
pub const MOST: usize = 1000;

/// The most topics that are remembered not to be there.
const MOST_ABSENT: usize = 10_000;

/// How long a topic that is there needs no second look.
const FRESH: Duration = Duration::from_secs(60);

/// How long a topic that is not there, or lacks a partition, is not looked at again.
const SHORT: Duration = Duration::from_secs(2);

/// How long a second look is tried for; nobody waits for it.
const IN_PASSING: Duration = Duration::from_secs(5);

/// What is known, and what somebody wants to know.
#[derive(Default)]
pub struct Book {
    there: HashMap<Arc<str>, There>,
    absent: HashMap<Arc<str>, Absent>,
    /// Topics to look at, and until when somebody waits for that.
    wanted: HashMap<Arc<str>, Instant>,
    /// Who holds the index of each place for a topic.
    places: Vec<Weak<ReplyTopic>>,
}

struct There {
    topic: Arc<ReplyTopic>,
    looked: Instant,
    used: Instant,
}

struct Absent {
    why: String,
    looked: Instant,
}

/// What a look at a topic tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is there, with so many partitions.
    There(i32),
    /// It is not there, or cannot be used.
    Absent(String),
}

/// What is to be done about a look.
#[derive(Debug)]
pub enum Noted {
    /// Nothing.
    Done,
    /// This topic, known before, has so many partitions now.
    Counted { place: usize, partitions: i32 },
    /// It is new, and has this place.
    Placed { topic: Arc<ReplyTopic>, place: usize },
}

impl Book {
    /// What is known of a topic, of which `partition` is to be used; `None` if it must be looked at, which is wanted from now
    /// on until `until`.
    pub fn find(&mut self, name: &Arc<str>, partition: i32, now: Instant, until: Instant) -> Option<Found> {
        if let Some(there) = self.there.get_mut(name) {
            there.used = now;
            let age = now.saturating_duration_since(there.looked);
            if partition < there.topic.partitions() || age < SHORT {
                let found = Arc::clone(&there.topic);
                if age >= FRESH {
                    self.want(name, now + IN_PASSING);
                }
                return Some(Ok(found));
            }
        } else if let Some(absent) = self.absent.get(name)
            && now.saturating_duration_since(absent.looked) < SHORT
        {
            return Some(Err(absent.why.clone()));
        }
        self.want(name, until);
        None
    }

    /// Has a topic looked at, for somebody who waits until `until`.
    pub fn want(&mut self, name: &Arc<str>, until: Instant) {
        let wanted = self.wanted.entry(Arc::clone(name)).or_insert(until);
        *wanted = until.max(*wanted);
    }

    /// The topics that somebody wants to be looked at still.
    pub fn wanted(&mut self, now: Instant) -> Vec<Arc<str>> {
        self.wanted.retain(|_, until| *until > now);
        self.wanted.keys().cloned().collect()
    }

    /// Takes note of what a look has told. `first` is the index of the first place.
    pub fn note(&mut self, name: &Arc<str>, look: Look, first: usize, now: Instant) -> Noted {
        self.wanted.remove(name);
        match look {
            Look::Absent(why) => {
                self.close(name, &why, now);
                Noted::Done
            }
            Look::There(partitions) => self.note_there(name, partitions, first, now),
        }
    }

    fn note_there(&mut self, name: &Arc<str>, partitions: i32, first: usize, now: Instant) -> Noted {
        self.absent.remove(name);
        if let Some(there) = self.there.get_mut(name) {
            there.looked = now;
            there.topic.set_partitions(partitions);
            return Noted::Counted { place: there.topic.index - first, partitions };
        }
        let Some(place) = self.vacancy() else {
            let why = format!("cannot be used now: this worker answers on {MOST} reply topics already");
            self.remember_absent(name, why, now);
            return Noted::Done;
        };
        let topic = Arc::new(ReplyTopic::new(first + place, Arc::clone(name), partitions));
        match self.places.get_mut(place) {
            Some(holder) => *holder = Arc::downgrade(&topic),
            None => self.places.push(Arc::downgrade(&topic)),
        }
        self.there.insert(Arc::clone(name), There { topic: Arc::clone(&topic), looked: now, used: now });
        Noted::Placed { topic, place }
    }

    /// A place that nobody holds.
    fn vacancy(&mut self) -> Option<usize> {
        if let Some(place) = self.places.iter().position(|holder| holder.strong_count() == 0) {
            return Some(place);
        }
        if self.places.len() < MOST {
            return Some(self.places.len());
        }
        // Whoever holds one beside this book has an answer for it under way.
        let idle = self.there.iter().filter(|(_, there)| Arc::strong_count(&there.topic) == 1);
        let name = Arc::clone(idle.min_by_key(|(_, there)| there.used)?.0);
        self.there.remove(&name);
        self.places.iter().position(|holder| holder.strong_count() == 0)
    }

    /// A topic that was there takes no answers any more; it is looked at again before it is used again.
    pub fn close(&mut self, name: &Arc<str>, why: &str, now: Instant) {
        if let Some(there) = self.there.remove(name) {
            there.topic.close(why);
        }
        self.remember_absent(name, why.to_owned(), now);
    }

    /// The topic at a place, if anybody holds it.
    pub fn at(&self, place: usize) -> Option<Arc<ReplyTopic>> {
        self.places.get(place)?.upgrade()
    }

    fn remember_absent(&mut self, name: &Arc<str>, why: String, now: Instant) {
        if self.absent.len() >= MOST_ABSENT {
            self.absent.retain(|_, absent| now.saturating_duration_since(absent.looked) < SHORT);
        }
        if self.absent.len() < MOST_ABSENT {
            self.absent.insert(Arc::clone(name), Absent { why, looked: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: usize = 3;

    struct Desk {
        book: Book,
        now: Instant,
    }

    impl Desk {
        fn new() -> Self {
            Self { book: Book::default(), now: Instant::now() }
        }

        fn find(&mut self, name: &str, partition: i32) -> Option<Result<usize, String>> {
            let found = self.book.find(&name.into(), partition, self.now, self.now + SHORT)?;
            Some(found.map(|topic| topic.index))
        }

        fn note(&mut self, name: &str, look: Look) -> Noted {
            self.book.note(&name.into(), look, FIRST, self.now)
        }

        fn wanted(&mut self) -> Vec<String> {
            let mut wanted: Vec<_> = self.book.wanted(self.now).iter().map(ToString::to_string).collect();
            wanted.sort();
            wanted
        }
    }

    #[test]
    fn a_topic_is_looked_at_once_and_then_used_with_a_look_in_passing_now_and_then() {
        let mut desk = Desk::new();
        assert_eq!((desk.find("a", 0), desk.find("a", 2), desk.wanted()), (None, None, vec!["a".to_owned()]));
        assert!(matches!(desk.note("a", Look::There(2)), Noted::Placed { place: 0, .. }));
        assert_eq!((desk.find("a", 1), desk.wanted()), (Some(Ok(FIRST)), vec![]));
        desk.now += FRESH;
        assert_eq!((desk.find("a", 1), desk.wanted()), (Some(Ok(FIRST)), vec!["a".to_owned()]));
        assert!(matches!(desk.note("a", Look::There(4)), Noted::Counted { place: 0, partitions: 4 }));
        assert_eq!((desk.find("a", 3), desk.wanted()), (Some(Ok(FIRST)), vec![]));
    }

    #[test]
    fn a_missing_topic_is_remembered_for_a_moment_and_may_be_created_then() {
        let mut desk = Desk::new();
        assert_eq!(desk.find("a", 0), None);
        desk.note("a", Look::Absent("does not exist".to_owned()));
        assert_eq!((desk.find("a", 0), desk.wanted()), (Some(Err("does not exist".to_owned())), vec![]));
        desk.now += SHORT;
        assert_eq!((desk.find("a", 0), desk.wanted()), (None, vec!["a".to_owned()]));
        desk.note("a", Look::There(1));
        assert_eq!(desk.find("a", 0), Some(Ok(FIRST)));
    }

    #[test]
    fn a_partition_that_a_topic_lacks_is_looked_for_again_when_the_look_is_not_of_this_moment() {
        let mut desk = Desk::new();
        desk.find("a", 7);
        desk.note("a", Look::There(2));
        assert_eq!(desk.find("a", 7), Some(Ok(FIRST)), "it is known to lack it");
        desk.now += SHORT;
        assert_eq!((desk.find("a", 1), desk.find("a", 7)), (Some(Ok(FIRST)), None));
    }

    #[test]
    fn nobody_looks_for_what_nobody_waits_for_any_more() {
        let mut desk = Desk::new();
        desk.find("a", 0);
        desk.now += SHORT;
        assert_eq!(desk.wanted(), Vec::<String>::new());
    }

    #[test]
    fn a_topic_that_goes_is_told_to_those_who_hold_it_and_its_place_is_free_when_they_are_done() {
        let mut desk = Desk::new();
        let Noted::Placed { topic, place: 0 } = desk.note("a", Look::There(1)) else { panic!("the first place") };
        let replies = { topic };
        desk.book.close(&"a".into(), "was deleted", desk.now);
        assert_eq!(desk.find("a", 0), Some(Err("was deleted".to_owned())));
        assert!(matches!(desk.note("b", Look::There(1)), Noted::Placed { place: 1, .. }), "`a` is still held");
        assert_eq!(desk.book.at(0).map(|topic| topic.name.to_string()), Some("a".to_owned()));
        drop(replies);
        assert!(matches!(desk.note("c", Look::There(1)), Noted::Placed { place: 0, .. }));
    }

    #[test]
    fn however_many_topics_are_asked_for_a_bounded_number_is_kept_and_none_that_is_in_use_goes() {
        let mut desk = Desk::new();
        let mut in_use = Vec::new();
        for index in 0..MOST {
            let Noted::Placed { topic, .. } = desk.note(&format!("t-{index}"), Look::There(1)) else {
                panic!("{index}")
            };
            in_use.push(topic);
        }
        assert!(matches!(desk.note("more", Look::There(1)), Noted::Done));
        assert!(desk.find("more", 0).unwrap().unwrap_err().contains("1000 reply topics"));
        in_use.truncate(MOST - 2);
        desk.now += SHORT;
        // Of the two that nobody uses, the other one was asked for a moment ago.
        desk.find(&format!("t-{}", MOST - 2), 0);
        let Noted::Placed { place, .. } = desk.note("more", Look::There(1)) else { panic!("there is room") };
        assert_eq!(place, MOST - 1);
        assert_eq!((desk.find(&format!("t-{}", MOST - 1), 0), desk.find("t-0", 0)), (None, Some(Ok(FIRST))));
        for index in 0..2 * MOST_ABSENT {
            desk.note(&format!("n-{index}"), Look::Absent(String::new()));
        }
        assert_eq!((desk.book.places.len(), desk.book.absent.len()), (MOST, MOST_ABSENT));
    }
}
