//! From the ring buffer to the clients that monitor, and into the memory of what was seen
//! lately and the ledger of what was not allowed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Names, SharedRecent, recent};
use crate::capture::Captures;
use crate::datapath::EventReader;
use crate::observe::{Clock, Losses, Observed, Unreported};
use crate::why::why;

/// Events read before other tasks have their turn.
const BATCH: usize = 1_024;
/// The real-time clock drifts and is set: it is looked at again after this.
const CLOCK_AGE: Duration = Duration::from_secs(10);
/// A reader that fails is asked again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// What is to be told waits so long for the names of what is in force: a start takes less, or goes
/// on without a plan.
const START: Duration = Duration::from_secs(30);
/// What was lost is told so often at most.
const LOOK: Duration = Duration::from_secs(1);

/// Reads for ever. Events are read whether anybody monitors or not: a full
/// ring buffer would count them as lost.
pub async fn pump(
    reader: EventReader,
    mut names: watch::Receiver<Arc<Names>>,
    observed: Arc<Observed>,
    captures: Arc<Captures>,
    recent: SharedRecent,
) {
    // SAFETY: the reader owns its descriptor, returns the same one every time, and
    // closes it only when it is dropped, which is after the AsyncFd has let go of it.
    let mut fd = match unsafe { AsyncFd::register(reader) } {
        Ok(fd) => fd,
        Err(error) => {
            tracing::error!("verdicts cannot be read: {}", why(&error.into()));
            return;
        }
    };
    let mut losses = lost(fd.get_ref()).map(Losses::since);
    // Programs that are pinned have gone on while no daemon was there: what they reported is told
    // when rules, peers and interfaces have names again.
    let named = names.wait_for(|names| names.has_plan());
    drop(tokio::time::timeout(START, named).await);
    let (mut clock, mut measured) = (Clock::now(), Instant::now());
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ready = tokio::select! {
            ready = fd.readable_mut() => Some(ready),
            _ = looks.tick() => None,
        };
        let mut ready = match ready {
            Some(Ok(ready)) => ready,
            Some(Err(error)) => {
                tracing::warn!("verdicts cannot be waited for: {}", why(&error));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            None => {
                let Some(totals) = lost(fd.get_ref()) else {
                    continue;
                };
                let lost = match &mut losses {
                    Some(losses) => losses.look(totals),
                    None => {
                        losses = Some(Losses::since(totals));
                        None
                    }
                };
                if let Some(loss) = lost {
                    let denied = loss.denied();
                    if denied > 0 && captures.any() {
                        captures.tell_lost(observed.unreported(denied));
                    }
                    let of = names.borrow().lost_of(&loss);
                    observed.tell_lost(loss.count, loss.cpu, of);
                }
                continue;
            }
        };
        if measured.elapsed() > CLOCK_AGE {
            (clock, measured) = (Clock::now(), Instant::now());
        }
        let mut read = 0;
        while read < BATCH {
            match ready.get_inner_mut().next_event() {
                Ok(Some(event)) => {
                    read += 1;
                    let record = names.borrow().record(&event, clock);
                    recent::note(&recent, &event, &record);
                    observed.tell(record);
                }
                Ok(None) => {
                    ready.clear_ready();
                    break;
                }
                Err(error) => {
                    tracing::warn!("a verdict cannot be read: {}", why(&error));
                    break;
                }
            }
        }
        drop(ready);
        tokio::task::yield_now().await;
    }
}

/// What was ever lost; `None` if the kernel does not tell, which is looked at again.
fn lost(reader: &EventReader) -> Option<Unreported> {
    let lost = reader.unreported();
    lost.inspect_err(|error| tracing::warn!("what was not reported is not known: {error}"))
        .ok()
}
