//! How many clients are served at one time, with places that only root may take.
//!
//! Whoever may open the socket could otherwise keep root from `fw-ctl mode audit`
//! by holding every place.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places of one kind.
#[derive(Clone)]
pub struct Places {
    all: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    count: usize,
    reserved: usize,
}

/// Given back when dropped.
pub type Place = OwnedSemaphorePermit;

impl Places {
    /// `count` for everybody, and `reserve` more for root.
    pub fn new(count: usize, reserve: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            reserve: Arc::new(Semaphore::new(reserve)),
            count,
            reserved: reserve,
        }
    }

    /// A place, if one is free for this client.
    pub fn take(&self, root: bool) -> Option<Place> {
        let place = Arc::clone(&self.all).try_acquire_owned().ok();
        if root {
            place.or_else(|| Arc::clone(&self.reserve).try_acquire_owned().ok())
        } else {
            place
        }
    }

    /// Places for everybody.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Places for root alone.
    pub fn reserve(&self) -> usize {
        self.reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_roots_and_a_place_comes_back() {
        let places = Places::new(2, 1);
        let first = places.take(false).unwrap();
        let _second = places.take(true).unwrap();
        assert!(places.take(false).is_none());
        let reserved = places.take(true).unwrap();
        assert!(places.take(true).is_none());
        drop(reserved);
        assert!(places.take(false).is_none(), "it was root's");
        drop(first);
        assert!(places.take(false).is_some());
    }
}
