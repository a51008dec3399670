//! The control socket: what the daemon is asked, and what a client is told.

use std::cell::OnceCell;
use std::time::Duration;

use super::files::compiled;
use super::packets::{INVENTORY, POLICY};
use crate::audit::Answer;
use crate::capture::MAX_SNAPLEN;
use crate::capture::pcapng::Writer;
use crate::control::client;
use crate::control::protocol::{MAX_REQUEST, Reply, Request};
use crate::daemon::Compiled;
use crate::daemon::status::{
    Banned, Bans, Confirmation, Detached, JournalStatus, ModeStatus, Reloaded, Rules, Status,
    Unbanned,
};
use crate::netlink::LocalAddresses;
use crate::observe::lines::{self, Style};
use crate::observe::local::Layout;
use crate::observe::{agent_lines, json, lost_lines, text};
use crate::trace::{Trace, trace};

thread_local! {
    static PLAN: OnceCell<Compiled> = const { OnceCell::new() };
}

/// The line of a client: it is understood or refused in words, and means the same
/// when it is written again. What asks for a trace gets one.
pub(super) fn requests(bytes: &[u8]) {
    let line = &bytes[..bytes.len().min(MAX_REQUEST)];
    let request = match Request::read(line) {
        Ok(request) => request,
        Err(failure) => return assert!(!failure.message.is_empty() && failure.exit != 0),
    };
    let written = serde_json::to_vec(&request).expect("it can be written");
    assert_eq!(Request::read(&written), Ok(request.clone()));
    if let Request::Trace(flow) = request {
        PLAN.with(|plan| {
            let plan = plan.get_or_init(|| {
                compiled(POLICY, INVENTORY, Vec::new()).expect("the policy compiles")
            });
            let local = ["10.0.0.1", "fd00::1"].map(|text| text.parse().expect("an address"));
            let local = LocalAddresses::from(local);
            let found = trace(plan.context(&local), flow);
            assert_eq!(found.flow, flow);
        });
    }
}

/// What a daemon, or whoever listens in its place, answers: the client understands it
/// or says that it does not, and what it shows can be shown.
pub(super) fn replies(mut bytes: &[u8]) {
    while let Some(reply) = client::next(&mut bytes, Duration::ZERO, "") {
        match reply {
            Ok(Reply::Done(value)) => done(&value),
            Ok(Reply::Record(record)) => {
                let verdict = |numeric| text::policy_verdict(&record, numeric);
                let dropped = |numeric| text::drop_line(&record, numeric);
                for line in [verdict(true), verdict(false), dropped(true), dropped(false)] {
                    assert!(!line.is_empty());
                }
                assert!(!text::summary(&record).is_empty());
                assert!(!text::explanation(&record).is_empty());
            }
            Ok(Reply::Flow(flow)) => {
                assert!(!lines::compact(&flow, Style::default()).is_empty());
                assert!(!lines::dict(&flow, Style::default()).is_empty());
                assert!(json::flow(&flow.record, flow.message).is_object());
            }
            Ok(Reply::Packet(packet)) => {
                let mut file = Vec::new();
                let mut writer = Writer::new(&mut file, MAX_SNAPLEN).expect("into memory");
                writer.packet(&packet).expect("into memory");
                assert!(file.len().is_multiple_of(4));
            }
            Ok(Reply::AgentEvent(event)) => {
                assert!(!agent_lines::details(&event, Layout::default()).is_empty());
            }
            Ok(Reply::Failed(failure)) => drop(failure.line()),
            Ok(Reply::Lost(lost)) => {
                assert!(!lost_lines::compact(&lost).is_empty());
                assert!(!lost_lines::dict(&lost, Style::default()).is_empty());
                assert!(json::lost(&lost).is_object());
            }
            Err(failure) => assert!(!failure.message.is_empty()),
        }
    }
}

/// As every answer that it may be.
fn done(value: &serde_json::Value) {
    macro_rules! read {
        ($($kind:ty),*) => {
            $(if let Ok(read) = serde_json::from_value::<$kind>(value.clone()) {
                let written = serde_json::to_value(&read).expect("it can be written");
                let again: $kind = serde_json::from_value(written).expect("and read again");
                assert_eq!(format!("{again:?}"), format!("{read:?}"));
            })*
        };
    }
    read!(
        Status,
        Reloaded,
        Confirmation,
        JournalStatus,
        ModeStatus,
        Rules,
        Detached,
        Trace,
        Banned,
        Unbanned,
        Bans,
        Answer
    );
}
