//! Reloads on their way: who waits for which look at the files.
//!
//! One look is taken at a time. Who asks meanwhile waits for the next one, because
//! the present one may have read the files before they were changed.

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Firewall, Kernel, Look, Sources};
use crate::control::protocol::Failure;
use crate::exit;

type Value = Result<serde_json::Value, Failure>;

/// Who wants a reload.
pub enum Asker {
    /// The start of the daemon, or SIGHUP: nobody waits.
    Signal,
    /// A client of the control socket.
    Client(oneshot::Sender<Value>),
}

impl Asker {
    /// Answers. A client that did not wait for its answer needs none.
    pub fn tell(self, value: Value) {
        if let Self::Client(answer) = self {
            let _ = answer.send(value);
        }
    }
}

/// Those who wait, and the look that is being taken.
#[derive(Default)]
pub struct Reloads {
    look: Option<JoinHandle<Look>>,
    asked: Vec<Asker>,
    /// For the look after this one.
    later: Vec<Asker>,
    /// The node was opened after the look, or the later one, was asked for.
    opened: bool,
    opened_later: bool,
}

impl Reloads {
    /// Somebody wants a reload.
    pub fn ask<K: Kernel, S: Sources + Clone + Send + 'static>(
        &mut self,
        firewall: &Firewall<K, S>,
        asker: Asker,
    ) {
        self.later.push(asker);
        self.opened_later = false;
        if self.look.is_none() {
            self.next(firewall);
        }
    }

    /// Begins the next look, if somebody wants one.
    pub fn next<K: Kernel, S: Sources + Clone + Send + 'static>(
        &mut self,
        firewall: &Firewall<K, S>,
    ) {
        if self.later.is_empty() {
            return;
        }
        self.asked = std::mem::take(&mut self.later);
        self.opened = std::mem::take(&mut self.opened_later);
        let (sources, refusal) = (firewall.sources().clone(), firewall.refusal());
        self.look = Some(spawn_blocking(move || {
            Look::take(&sources, refusal.as_ref())
        }));
    }

    /// The node is opened: what was asked for before must not close it again.
    pub fn leave_open(&mut self) {
        self.opened = true;
        self.opened_later = true;
    }

    /// Waits for the look; for ever while none is taken. May be dropped and called again.
    pub async fn look(&mut self) -> Result<Look, Failure> {
        let Some(look) = &mut self.look else {
            return std::future::pending().await;
        };
        let look = look.await;
        self.look = None;
        look.map_err(|_| {
            Failure::new(
                exit::UNREACHABLE,
                "reading the files ended without a result; nothing has changed",
            )
            .help("report this as a bug, with the journal of fw-ctl")
        })
    }

    /// Those who waited for the look that has ended, and whether a node that was
    /// opened is closed by it.
    pub fn take(&mut self) -> (Vec<Asker>, bool) {
        let attach = !std::mem::take(&mut self.opened);
        (std::mem::take(&mut self.asked), attach)
    }
}
