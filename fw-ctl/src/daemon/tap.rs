//! The datapath as it is tapped while somebody captures: packets get the names of that moment,
//! and go to those who listen.

use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Names;
use crate::capture::{Caught, Open, Opened, Packet, Tapped};
use crate::control::protocol::Failure;
use crate::datapath::capture::{self, TapBuffer, TapGate, TapPoint};
use crate::observe::{Clock, Lost, LostSource, now};
use crate::why::why;

/// How the datapath is tapped at this point. To be called within the runtime.
pub fn opener(point: TapPoint, names: watch::Receiver<Arc<Names>>) -> Open {
    Box::new(move |tapped| {
        let (gate, buffers) = point.open()?;
        let readers = buffers.into_iter();
        let readers =
            readers.map(|buffer| tokio::spawn(read(buffer, names.clone(), tapped.clone())));
        Ok(Box::new(Tap {
            gate,
            readers: readers.collect(),
        }))
    })
}

struct Tap {
    gate: TapGate,
    readers: Vec<JoinHandle<()>>,
}

impl Opened for Tap {
    fn set_snaplen(&mut self, snaplen: u32) -> Result<(), Failure> {
        Ok(self.gate.set(snaplen)?)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// Until it is aborted.
async fn read(buffer: TapBuffer, names: watch::Receiver<Arc<Names>>, tapped: Tapped) {
    // SAFETY: the buffer owns its descriptor, returns the same one every time, and closes it
    // only when it is dropped, which is after the AsyncFd has let go of it.
    let mut fd = match unsafe { AsyncFd::register(buffer) } {
        Ok(fd) => fd,
        Err(error) => {
            tracing::error!("packets cannot be captured: {}", why(&error.into()));
            return;
        }
    };
    loop {
        let mut ready = match fd.readable_mut().await {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!("packets to capture cannot be waited for: {}", why(&error));
                return;
            }
        };
        // Before it is looked at: what comes meanwhile wakes again.
        ready.clear_ready();
        let clock = Clock::now();
        let names = Arc::clone(&names.borrow());
        ready.get_inner_mut().drain(|what| {
            let caught = match what {
                capture::Tapped::Caught(caught) => Caught::Packet(Arc::new(Packet {
                    record: Arc::new(names.record(&caught.event, clock)),
                    link: caught.link,
                    length: caught.length,
                    bytes: caught.bytes,
                })),
                capture::Tapped::Lost(count) => Caught::Lost(Lost {
                    time: now(),
                    node: Arc::clone(&names.node),
                    source: LostSource::Kernel,
                    count,
                    cpu: None,
                    of: Vec::new(),
                }),
            };
            // Whoever captured may be gone by now.
            let _ = tapped.send(caught);
        });
        tokio::task::yield_now().await;
    }
}
