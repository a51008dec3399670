//! Too many at once: a second daemon, many clients, clients that are no good.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread::{self, sleep};
use std::time::Duration;

use sandbox::{Error, FwCtl, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("a second daemon", second),
    Kind::new("8 clients at once", parallel),
    Kind::new("clients that hang or talk nonsense", bad_clients),
];

const CLIENTS: usize = 8;

/// It is refused, and the first one goes on.
fn second(world: &mut World) -> Result<()> {
    world.write_plan()?;
    let reload = world.begin_reload(&[])?;
    let second = world.fw_ctl.spawn()?;
    let status = second.wait(Duration::from_secs(20))?;
    world.require(status.code() == Some(4), || {
        format!("a second daemon ends with {status}")
    });
    let output = reload
        .wait_with_output()
        .map_err(Error::io("wait for fw-ctl reload"))?;
    world.require(output.status.success(), || {
        format!("the reload ended with {}", output.status)
    });
    Ok(())
}

/// Some ask for the change, the others for what is.
fn parallel(world: &mut World) -> Result<()> {
    let new = world.write_plan()?;
    world.in_doubt(Some(new));
    let fw_ctl = world.fw_ctl.clone();
    let codes = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let fw_ctl: &FwCtl = &fw_ctl;
                scope.spawn(move || {
                    let command: &[&str] = match client % 2 {
                        0 => &["reload", "--force"],
                        _ => &["status"],
                    };
                    fw_ctl.ask(command).map(|answer| (command[0], answer.code))
                })
            })
            .collect();
        let joined = clients.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    for answer in codes {
        let Ok(answer) = answer else {
            return Err(Error::Unexpected("a client panicked".into()));
        };
        let (command, code) = answer?;
        // Before the first reload the files are not what is in force.
        let right = code == 0 || command == "status" && code == 1;
        world.require(right, || format!("{command} exits with {code}"));
    }
    world.settle(new);
    Ok(())
}

fn bad_clients(world: &mut World) -> Result<()> {
    let socket = world.storage.run.join("control.sock");
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let mut client =
            UnixStream::connect(&socket).map_err(Error::io("connect to the control socket"))?;
        let words: Vec<u8> = match world.dice.below(4) {
            0 => Vec::new(),
            1 => b"{\"reload\":".to_vec(),
            2 => b"\"monitor\"\n".to_vec(),
            _ => (0..3_000).map(|_| world.dice.throw() as u8).collect(),
        };
        // It may have hung up already.
        let _ = client.write_all(&words);
        open.push(client);
    }
    world.write_plan()?;
    world.reload(&[], Expect::Reference)?;
    sleep(Duration::from_millis(100));
    Ok(())
}
