//! `fw-ctl capture`: dropped packets, with their bytes, in a file for tshark.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::args::ClientArgs;
use super::observe::FilterArgs;
use super::output::{Outcome, say};
use crate::capture::file::{Target, failed};
use crate::capture::pcapng::Writer;
use crate::capture::{CaptureQuery, MAX_SNAPLEN, SNAPLEN};
use crate::control::client::{Replies, hung_up, send};
use crate::control::protocol::{Failure, Reply, Request};
use crate::exit;
use crate::moment;
use crate::observe::LostSource;
use crate::signals::Signals;
use crate::why::why;

/// Replies that wait to be written; then the daemon is not read any more, and says how much was
/// missed.
const BACKLOG: usize = 64;
/// How long a signal or the end may wait to be seen.
const TURN: Duration = Duration::from_millis(100);

/// Arguments of `capture`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Capture what is dropped; in audit mode, what would be
    #[arg(long, required = true)]
    dropped: bool,
    /// The file, in the format pcapng; - for stdout
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// End after so many packets
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time: 30s, 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Bytes of each packet at most
    #[arg(short, long, value_name = "BYTES", default_value_t = SNAPLEN,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SNAPLEN)))]
    snaplen: u32,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    client: ClientArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    moment::parse_span(text).map(Duration::from_secs)
}

/// What was captured, and what was not.
#[derive(Default)]
struct Sum {
    captured: u64,
    /// The kernel has not handed them out.
    unreported: u64,
    /// This program was too slow for them.
    missed: u64,
}

/// Captures until there is enough, a signal, or the end of the daemon.
///
/// # Errors
/// When the daemon does not answer, or ends; when the file cannot be written.
pub fn run(args: &Args) -> Outcome {
    let query = CaptureQuery {
        snaplen: args.snaplen,
        filters: args.filters.0.clone(),
    };
    // Before any thread: it is the way to end a capture, not a failure.
    let unstartable = |error: std::io::Error| {
        let message = format!("the capture cannot begin: {}", why(&error));
        Failure::new(exit::UNREACHABLE, message)
    };
    let signals = Signals::listen(|| {}).map_err(unstartable)?;
    let mut replies = send(&args.client.socket(), &Request::Capture(query))?;
    match replies.next() {
        Some(Ok(Reply::Done(_))) => {}
        Some(Ok(Reply::Failed(failure)) | Err(failure)) => return Err(failure),
        _ => return Err(hung_up()),
    }
    let (tell, told) = sync_channel(BACKLOG);
    let reader = thread::Builder::new().name("packets".into());
    reader
        .spawn(move || read(replies, &tell))
        .map_err(unstartable)?;
    let target = Target::open(&args.write)?;
    let mut sum = Sum::default();
    let ended = write(args, target, &told, &signals, &mut sum);
    say(&sum.text());
    ended.map(|()| exit::OK)
}

/// Until nobody listens any more.
fn read(replies: Replies, tell: &SyncSender<Result<Reply, Failure>>) {
    for reply in replies {
        if tell.send(reply).is_err() {
            return;
        }
    }
}

fn write(
    args: &Args,
    target: Target,
    told: &Receiver<Result<Reply, Failure>>,
    signals: &Signals,
    sum: &mut Sum,
) -> Result<(), Failure> {
    let end = args.duration.map(|duration| Instant::now() + duration);
    let written = |outcome: std::io::Result<()>| match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(failed(&args.write, &error)),
    };
    let mut writer = match Writer::new(target, args.snaplen) {
        Ok(writer) => writer,
        Err(error) => return written(Err(error)).map(drop),
    };
    say("Capturing dropped packets\nPress Ctrl-C to end");
    loop {
        let left = end.map_or(TURN, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() || signals.code().is_some() {
            return Ok(());
        }
        match told.recv_timeout(left.min(TURN)) {
            Ok(Ok(Reply::Packet(packet))) => {
                if !written(writer.packet(&packet))? {
                    return Ok(());
                }
                sum.captured += 1;
                if args.count == Some(sum.captured) {
                    return Ok(());
                }
            }
            Ok(Ok(Reply::Lost(lost))) => match lost.source {
                LostSource::Kernel => sum.unreported += lost.count,
                LostSource::Listener => sum.missed += lost.count,
            },
            Ok(Ok(Reply::Failed(failure)) | Err(failure)) => return Err(failure),
            Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(hung_up()),
        }
    }
}

impl Sum {
    fn text(&self) -> String {
        let mut text = match self.captured {
            1 => "1 packet captured".to_owned(),
            count => format!("{count} packets captured"),
        };
        if self.unreported > 0 {
            let count = self.unreported;
            text.push_str(&format!("\n{count} not captured: too many at once"));
        }
        if self.missed > 0 {
            let count = self.missed;
            text.push_str(&format!(
                "\n{count} not written: this was too slow for them"
            ));
        }
        text
    }
}
