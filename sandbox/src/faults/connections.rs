//! Connections that were there before any fault, and move data all the time. Every plan
//! allows them: none may be cut, and none may hang.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sandbox::{Error, Family, Host, Lab, Result, probe};

use super::stream::hurry;

/// The service that every plan allows, in both directions.
pub const PORT: u16 = 80;
/// Of one peer, family and direction.
const ALIKE: usize = 2;
/// Between two words of a connection.
const PAUSE: Duration = Duration::from_millis(40);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// One that hangs for so long is as good as cut, whatever has happened.
const DEAD: Duration = Duration::from_secs(30);
/// Bytes of a word.
const WORD: usize = 1_500;
/// How long one may take to begin with.
const BEGIN: Duration = Duration::from_secs(5);

/// All of them; they end when it is dropped.
#[derive(Debug)]
pub struct Connections {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    talks: Mutex<Vec<Talk>>,
}

/// What became of them since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Words that came back.
    pub words: u64,
    /// The longest that one has waited for its word, and which.
    pub longest: (Duration, String),
    /// Those that were cut: who, and why.
    pub cut: Vec<String>,
}

/// A word that is on its way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When it was sent.
    since: Instant,
    /// How much of it is still to come back.
    left: usize,
    /// The way was cut meanwhile.
    excused: bool,
}

#[derive(Debug)]
struct Talk {
    name: String,
    stream: TcpStream,
    asked: Option<Asked>,
    next: Instant,
    /// The next three are since they were last asked for.
    words: u64,
    longest: Duration,
    cut: Option<String>,
    over: bool,
}

impl Connections {
    /// Opens them between the node and each peer, in both directions and families. Both
    /// sides have servers on [`PORT`].
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(lab: &Lab) -> Result<Self> {
        let mut talks = Vec::new();
        for peer in lab.peers() {
            for family in Family::BOTH {
                for (from, to) in [(peer, &lab.node), (&lab.node, peer)] {
                    for _ in 0..ALIKE {
                        talks.push(Talk::open(from, to, family)?);
                    }
                }
            }
        }
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            talks: Mutex::new(talks),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                hurry();
                shared.go_on();
            }
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The way was cut until now: how long a word takes that is on its way says nothing.
    pub fn excuse(&self) {
        for talk in self.shared.talks().iter_mut() {
            if let Some(asked) = &mut talk.asked {
                asked.excused = true;
            }
        }
    }

    /// What became of them since the last time.
    #[must_use]
    pub fn take(&self) -> State {
        let mut all = State::default();
        for talk in self.shared.talks().iter_mut() {
            let waits = talk.asked.filter(|asked| !asked.excused);
            let waits = waits.map(|asked| asked.since.elapsed());
            let longest = std::mem::take(&mut talk.longest).max(waits.unwrap_or_default());
            if longest > all.longest.0 {
                all.longest = (longest, talk.name.clone());
            }
            all.words += std::mem::take(&mut talk.words);
            all.cut.extend(talk.cut.take());
        }
        all
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn talks(&self) -> MutexGuard<'_, Vec<Talk>> {
        self.talks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_on(&self) {
        let word = vec![b'x'; WORD];
        let mut buffer = vec![0; WORD];
        while !self.stop.load(Ordering::Relaxed) {
            for talk in self.talks().iter_mut().filter(|talk| !talk.over) {
                if let Err(error) = talk.go_on(&word, &mut buffer) {
                    talk.cut = Some(format!("{}: {error}", talk.name));
                    talk.over = true;
                }
            }
            thread::sleep(LOOK);
        }
    }
}

impl Talk {
    fn open(from: &Host, to: &Host, family: Family) -> Result<Self> {
        let name = format!("{} -> {} {family}", from.name, to.name);
        let failed = || Error::io(format!("connect {name}, which every plan allows"));
        let to = to.socket(family, PORT);
        let mut stream = probe::connect(BEGIN, &from.namespace, None, to).map_err(failed())?;
        stream.set_read_timeout(Some(BEGIN)).map_err(failed())?;
        // The greeting of the server is a line.
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).map_err(failed())?;
        }
        stream.set_nonblocking(true).map_err(failed())?;
        Ok(Self {
            name,
            stream,
            asked: None,
            next: Instant::now(),
            words: 0,
            longest: Duration::ZERO,
            cut: None,
            over: false,
        })
    }

    fn go_on(&mut self, word: &[u8], buffer: &mut [u8]) -> std::io::Result<()> {
        let now = Instant::now();
        let Some(asked) = &mut self.asked else {
            if now >= self.next {
                // An empty buffer of a connection that waits for nothing has room.
                self.stream.write_all(word)?;
                self.asked = Some(Asked {
                    since: now,
                    left: word.len(),
                    excused: false,
                });
            }
            return Ok(());
        };
        let waited = now.duration_since(asked.since);
        if waited > DEAD {
            return Err(ErrorKind::TimedOut.into());
        }
        let got = match self.stream.read(&mut buffer[..asked.left]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        asked.left -= got;
        if asked.left == 0 {
            self.words += 1;
            if !asked.excused {
                self.longest = self.longest.max(waited);
            }
            self.asked = None;
            self.next = now + PAUSE;
        }
        Ok(())
    }
}
