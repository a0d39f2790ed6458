//! How the journal's entries stand in its file.
//!
//! ```text
//! header   magic, version, number of entries, how the life ended, 0, 0, 0, 0
//! entry    seal, topic, first, next, timestamp, company << 32 | partition, condemned << 48 | alone << 32 | deaths << 16 | kind, since
//! ```
//!
//! Each is eight words of 64 bits, in the machine's own order: the file never leaves it. An entry counts from the moment at which its
//! seal, made of its other words, is written, which is last; a seal of 0 is an entry that is free. So a process that dies while
//! it writes leaves nothing half-written; only the machine's own death can, and then the seal does not fit.

use crate::broker::suspects::{InFlight, Place, Stretch, Suspect};

/// Words of the header and of each entry: a cache line.
pub const WORDS: usize = 8;

/// Bytes of the same.
pub const LINE: usize = WORDS * size_of::<u64>();

/// The first word: `mmjrnl` and two bytes that show in which order the machine writes them.
pub const MAGIC: u64 = u64::from_le_bytes(*b"mmjrnl\x01\x02");

/// The second.
pub const VERSION: u64 = 1;

/// The places of words in the header.
pub const ENTRIES: usize = 2;
pub const END: usize = 3;

const IN_FLIGHT: u64 = 1;
const SUSPECT: u64 = 2;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    InFlight(InFlight),
    Suspect(Suspect),
}

impl Entry {
    /// Its words, the seal first.
    pub fn words(&self) -> [u64; WORDS] {
        let (stretch, company, flags, timestamp, since) = match self {
            Self::InFlight(InFlight { stretch, messages, timestamp }) => (stretch, *messages, IN_FLIGHT, *timestamp, 0),
            Self::Suspect(suspect) => {
                let Suspect { stretch, company, deaths, alone, condemned, timestamp, since } = suspect;
                let flags = SUSPECT | u64::from(*deaths) << 16 | u64::from(*alone) << 32 | u64::from(*condemned) << 48;
                (stretch, *company, flags, *timestamp, *since)
            }
        };
        let Stretch { place: Place { topic, partition }, first, next } = *stretch;
        let partition = u64::from(partition.cast_unsigned());
        let mut words = [
            0,
            topic,
            first.cast_unsigned(),
            next.cast_unsigned(),
            timestamp.cast_unsigned(),
            u64::from(company) << 32 | partition,
            flags,
            since.cast_unsigned(),
        ];
        words[0] = seal(&words);
        words
    }

    /// What words say: nothing, an entry, or what no journal writes.
    pub fn read(words: &[u64; WORDS]) -> Result<Option<Self>, Torn> {
        let [sealed, topic, first, next, timestamp, place, flags, since] = *words;
        if sealed == 0 {
            return Ok(None);
        }
        let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).expect("it was cut to 32 bits");
        let count = |word: u64| u16::try_from(word & u64::from(u16::MAX)).expect("it was cut to 16 bits");
        let place_of = Place { topic, partition: low(place).cast_signed() };
        let stretch = Stretch { place: place_of, first: first.cast_signed(), next: next.cast_signed() };
        if sealed != seal(words) || stretch.first >= stretch.next {
            return Err(Torn);
        }
        let (company, timestamp) = (low(place >> 32), timestamp.cast_signed());
        match flags & u64::from(u16::MAX) {
            IN_FLIGHT => Ok(Some(Self::InFlight(InFlight { stretch, messages: company, timestamp }))),
            SUSPECT => Ok(Some(Self::Suspect(Suspect {
                stretch,
                company,
                deaths: count(flags >> 16),
                alone: count(flags >> 32),
                condemned: flags >> 48 != 0,
                timestamp,
                since: since.cast_signed(),
            }))),
            _ => Err(Torn),
        }
    }
}

/// An entry that nobody wrote like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn;

/// What is made of all words but the first; never 0. (FNV-1a over words: against chance, not against malice.)
fn seal(words: &[u64; WORDS]) -> u64 {
    let mixed = words[1..].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| {
        (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    });
    mixed | 1
}

/// A hash that is the same in every life (FNV-1a): of a topic's name, or of whose file it is.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stretch() -> impl Strategy<Value = Stretch> {
        (any::<u64>(), any::<i32>(), 0..i64::MAX / 2, 1_i64..1000).prop_map(|(topic, partition, first, length)| {
            Stretch { place: Place { topic, partition }, first, next: first + length }
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let in_flight = (stretch(), any::<u32>(), any::<i64>())
            .prop_map(|(stretch, messages, timestamp)| Entry::InFlight(InFlight { stretch, messages, timestamp }));
        let suspect = (stretch(), any::<(u32, u16, u16, bool, i64, i64)>()).prop_map(
            |(stretch, (company, deaths, alone, condemned, timestamp, since))| {
                Entry::Suspect(Suspect { stretch, company, deaths, alone, condemned, timestamp, since })
            },
        );
        prop_oneof![in_flight, suspect]
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was_written(entry in entry()) {
            prop_assert_eq!(Entry::read(&entry.words()), Ok(Some(entry)));
        }

        #[test]
        fn an_entry_of_which_a_bit_has_changed_is_torn(entry in entry(), word in 0..WORDS, bit in 0..64) {
            let mut words = entry.words();
            words[word] ^= 1_u64 << bit;
            prop_assume!(words[0] != 0);
            prop_assert_eq!(Entry::read(&words), Err(Torn));
        }
    }

    #[test]
    fn an_entry_without_a_seal_is_free() {
        assert_eq!(Entry::read(&[0, 1, 2, 3, 4, 5, 6, 7]), Ok(None));
    }
}
