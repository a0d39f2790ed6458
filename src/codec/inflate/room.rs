//! The memory that all chunks share for what was compressed.
//!
//! A part of a chunk asks for as much as it may become, and gives back what it did not need once it is decoded. It gives back
//! the rest when the models have had its columns, before its answers wait for those of other chunks; and who waits for a
//! schema waits beside it. So nobody who holds space waits for somebody who wants some.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Space for a few parts.
#[derive(Clone, Debug)]
pub struct Room {
    most: usize,
    units: u32,
    free: Arc<Semaphore>,
}

/// The space of one part; given back on drop.
#[derive(Debug)]
pub struct Space(OwnedSemaphorePermit);

/// Space is counted in KiB.
const UNIT: usize = 1 << 10;
/// How many parts may be as large as they can be: while one is decoded, others are with their models.
const PARTS: usize = 4;

impl Room {
    /// Room for a few parts of at most `most` bytes each.
    pub fn new(most: usize) -> Self {
        let units = u32::try_from(most.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self { most, units, free: Arc::new(Semaphore::new(units as usize * PARTS)) }
    }

    /// The most bytes of one part.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Space for one part, if there is some now.
    pub fn try_enter(&self) -> Option<Space> {
        Arc::clone(&self.free).try_acquire_many_owned(self.units).ok().map(Space)
    }

    /// Space for one part, after those who asked before.
    pub async fn enter(&self) -> Space {
        let space = Arc::clone(&self.free).acquire_many_owned(self.units).await;
        Space(space.expect("nobody closes the room"))
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new(super::Inflater::DEFAULT_MOST)
    }
}

impl Space {
    /// Gives back all but `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let unused = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.0.split(unused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_a_few_parts_and_what_they_do_not_need_is_others() {
        let room = Room::new(100 * UNIT);
        let mut spaces: Vec<_> = (0..PARTS).map(|_| room.try_enter().unwrap()).collect();
        assert!(room.try_enter().is_none());
        spaces[0].shrink(40 * UNIT);
        spaces[1].shrink(60 * UNIT - 1);
        let again = room.try_enter().expect("60 and 40 are 100");
        assert!(room.try_enter().is_none());
        drop((again, spaces));
        assert_eq!(room.free.available_permits(), PARTS * 100);
    }

    #[test]
    fn a_part_that_became_nothing_leaves_nothing_behind() {
        let room = Room::new(1);
        let mut space = room.try_enter().unwrap();
        space.shrink(0);
        assert_eq!(room.free.available_permits(), PARTS);
        drop(space);
        assert_eq!(room.free.available_permits(), PARTS);
    }
}
