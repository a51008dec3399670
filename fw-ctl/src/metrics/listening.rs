//! Whether the port is served: what the server knows and `fw-ctl status` tells.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared by both.
#[derive(Clone, Debug, Default)]
pub struct Listening(Arc<Mutex<Option<String>>>);

impl Listening {
    /// Why nothing is served, in a line; `None` if it is, or need not be.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on. Returns whether that is news.
    pub fn set(&self, trouble: Option<String>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != trouble;
        *known = trouble;
        is_new
    }
}
