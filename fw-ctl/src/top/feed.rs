//! Asks the daemon, in threads of their own: whoever draws waits for nobody.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::state::{DROPS, News, Reading};
use crate::control::client::{ask, send};
use crate::control::protocol::{Failure, Reply, Request};
use crate::daemon::status::Rules;
use crate::moment;
use crate::observe::{LostSource, Query, Span};

/// News that wait to be taken; then the daemon is not read any more, and says how much was missed.
const BACKLOG: usize = 4_096;
/// Until a daemon that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks the daemon behind `socket` for counters every `delay`, and follows its flows.
///
/// # Errors
/// When there can be no more threads.
pub fn start(socket: PathBuf, delay: Duration) -> io::Result<Receiver<News>> {
    let (tell, told) = sync_channel(BACKLOG);
    let (ready, is_ready) = sync_channel(1);
    let (place, teller) = (socket.clone(), tell.clone());
    let thread = |name: &str| thread::Builder::new().name(name.into());
    thread("flows").spawn(move || follow(&place, &teller, &ready))?;
    thread("counters").spawn(move || {
        // Flows of the first interval are whole if somebody listens before it begins.
        let _ = is_ready.recv_timeout(AGAIN);
        read(&socket, delay, &tell);
    })?;
    Ok(told)
}

/// Until nobody listens any more.
fn read(socket: &Path, delay: Duration, tell: &SyncSender<News>) {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = ask::<Rules>(socket, &Request::Rules);
        let (news, delay) = match answer {
            Ok(rules) => {
                let reading = Reading {
                    // The daemon reads counters last, and answers at once.
                    at: began.elapsed(),
                    time: moment::now(),
                    rules,
                };
                (News::Reading(Box::new(reading)), delay)
            }
            Err(failure) => (News::Unanswered(failure), delay.min(AGAIN)),
        };
        if tell.send(news).is_err() {
            return;
        }
        thread::sleep(delay.saturating_sub(asked.elapsed()));
    }
}

/// Until nobody listens any more.
fn follow(socket: &Path, tell: &SyncSender<News>, ready: &SyncSender<()>) {
    let mut past = DROPS as u64;
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let Some(failure) = follow_once(socket, past, now, (tell, ready)) else {
            return;
        };
        // What is remembered of it was told already, as far as it was there.
        past = 0;
        if tell.send(News::Deaf(failure)).is_err() {
            return;
        }
        let _ = ready.try_send(());
        thread::sleep(AGAIN);
    }
}

/// Why no flows are told any more; `None`: nobody listens. Says when it is `ready`. Replies of
/// who follows end with a failure.
fn follow_once(
    socket: &Path,
    past: u64,
    now: u64,
    (tell, ready): (&SyncSender<News>, &SyncSender<()>),
) -> Option<Failure> {
    let query = Query::of(Span {
        last: Some(past),
        follow: true,
        ..Span::default()
    });
    let replies = match send(socket, &Request::Observe(query)) {
        Ok(replies) => replies,
        Err(failure) => return Some(failure),
    };
    for reply in replies {
        let news = match reply {
            Ok(Reply::Done(_)) => News::Heard,
            Ok(Reply::Flow(flow)) => News::Flow {
                is_past: flow.record.time < now,
                flow,
            },
            Ok(Reply::Lost(lost)) if lost.source == LostSource::Listener => {
                News::Missed(lost.count)
            }
            // What the kernel has not reported is told with the counters.
            Ok(Reply::Lost(_) | Reply::Record(_) | Reply::Packet(_) | Reply::AgentEvent(_)) => {
                continue;
            }
            Ok(Reply::Failed(failure)) | Err(failure) => return Some(failure),
        };
        let is_heard = matches!(news, News::Heard);
        tell.send(news).ok()?;
        if is_heard {
            // Whoever waited is told once, and nobody waits after that.
            let _ = ready.try_send(());
        }
    }
    None
}
