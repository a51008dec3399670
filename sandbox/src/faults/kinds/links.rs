//! The interface goes and comes back, with its addresses; and somebody takes away what
//! keeps the filter on it.

use std::ffi::CString;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::bpf::detach_link;
use sandbox::{Error, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("interface removed and back", removed),
    Kind::new("interface down and up", down),
    Kind::new("cable out and in", carrier),
    Kind::new("address removed and back", address),
    Kind::new("pins of links removed", |world| pins(world, "/links")),
    Kind::new("all pins removed", |world| pins(world, "")),
    Kind::new("program detached", detached),
    Kind::new("ip and tc of others", commands),
];

/// Where the daemon pins what outlives it.
const PINS: &str = "/sys/fs/bpf/fw-ctl";
/// How long the daemon may take to notice.
const PATIENCE: Duration = Duration::from_secs(20);

/// A new one of the same name, as when a driver is loaded again. It is brought up when the
/// daemon, which is told of it by the kernel, has taken it under the filter.
fn removed(world: &mut World) -> Result<()> {
    world.while_severed(|world| {
        world.lab.cut()?;
        pause(world);
        if world.dice.chance(50) {
            // A change in between, without an interface.
            world.write_plan()?;
            world.reload(&[], Expect::Reference)?;
        }
        world.lab.replace_cable()?;
        world.cause_is_over();
        await_filter(world, "the new interface is not filtered")?;
        world.lab.bring_up()
    })
}

fn down(world: &mut World) -> Result<()> {
    world.while_severed(|world| {
        world.lab.node.namespace.ip(["link set eth0 down"])?;
        pause(world);
        // The kernel has taken the addresses of IPv6 and the routes away.
        give_addresses(world)?;
        world.lab.bring_up()
    })
}

fn carrier(world: &mut World) -> Result<()> {
    world.while_severed(|world| {
        world.lab.segment.ip(["link set p-node down"])?;
        pause(world);
        world.lab.segment.ip(["link set p-node up"])
    })
}

fn address(world: &mut World) -> Result<()> {
    let node = &world.lab.node;
    let addresses = [
        format!("{}/{}", node.v4.0, node.v4.1),
        format!("{}/{}", node.v6.0, node.v6.1),
    ];
    let one = world.dice.below(2);
    world.while_severed(|world| {
        let node = &world.lab.node.namespace;
        node.ip([format!("addr del {} dev eth0", addresses[one])])?;
        pause(world);
        world.lab.bring_up()
    })
}

/// On an interface that is down, and before it comes up.
fn give_addresses(world: &World) -> Result<()> {
    let node = &world.lab.node;
    node.namespace.ip([
        format!("addr replace {}/{} dev eth0", node.v4.0, node.v4.1),
        format!("addr replace {}/{} dev eth0 nodad", node.v6.0, node.v6.1),
    ])
}

fn pause(world: &mut World) {
    let time = world
        .dice
        .span(Duration::from_millis(50), Duration::from_millis(600));
    sleep(time);
}

/// A filter must not depend on its pins as long as the daemon has it open.
fn pins(world: &mut World, below: &str) -> Result<()> {
    let path = format!("{}{below}", version(world)?);
    world.lab.node.namespace.run("rm", &["-rf", &path])?;
    world.cause_is_over();
    let told = world.fw_ctl.status()?;
    world.require(told.is_degraded(), || {
        format!("without {path} status says that all is well")
    });
    if world.dice.chance(30) {
        world.write_plan()?;
        world.reload(&[], Expect::Reference)?;
    }
    Ok(())
}

/// Somebody with all rights takes the program off the interface. That cannot be prevented;
/// the daemon notices when it is asked, or by itself.
fn detached(world: &mut World) -> Result<()> {
    let links = format!("{}/links", version(world)?);
    let listed = world.lab.node.namespace.run("ls", &[&links])?;
    let listed: Vec<_> = listed.split_whitespace().collect();
    let link = *world.dice.pick(&listed);
    // The BPF file system of the node, seen from here.
    let pid = world.daemon()?.pid();
    let path = CString::new(format!("/proc/{pid}/root{links}/{link}"))
        .map_err(|error| Error::Unexpected(format!("{link} is no name: {error}")))?;
    world.open(true);
    detach_link(&path).map_err(Error::io(format!("detach {link}")))?;
    world.cause_is_over();
    let told = world.fw_ctl.status()?;
    world.require(told.is_degraded(), || {
        format!("without {link} status says that all is well")
    });
    await_filter(world, "it is not attached again")?;
    world.open(false);
    Ok(())
}

/// What an administrator may try, and what scripts do when they clean up: none of it takes
/// a program away that is attached by a link. (Where the kernel has no links for TC the
/// filter goes by this; there the daemon has to notice.)
#[expect(clippy::unnecessary_wraps, reason = "all kinds of faults look alike")]
fn commands(world: &mut World) -> Result<()> {
    let all: [(&str, &[&str]); 5] = [
        ("ip", &["link", "set", "dev", "eth0", "xdp", "off"]),
        ("ip", &["link", "set", "dev", "eth0", "xdpgeneric", "off"]),
        ("tc", &["filter", "del", "dev", "eth0", "egress"]),
        ("tc", &["filter", "del", "dev", "eth0", "ingress"]),
        ("tc", &["qdisc", "del", "dev", "eth0", "clsact"]),
    ];
    for (program, arguments) in all {
        // That it is refused is as good as that it changes nothing.
        let _ = world.lab.node.namespace.run(program, arguments);
        pause(world);
    }
    Ok(())
}

/// The directory of the one schema that is pinned.
fn version(world: &World) -> Result<String> {
    let listed = world.lab.node.namespace.run("ls", &[PINS])?;
    // Others come and go.
    let versions = listed
        .split_whitespace()
        .filter(|name| name.starts_with('v'));
    match versions.collect::<Vec<_>>()[..] {
        [version] => Ok(format!("{PINS}/{version}")),
        _ => Err(Error::Unexpected(format!("pinned are: {listed}"))),
    }
}

/// Waits until `eth0` is filtered.
fn await_filter(world: &World, otherwise: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = world.fw_ctl.status()?;
        if status.ingress().is_some() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Error::Unexpected(format!(
                "{otherwise}: {}",
                status.degraded
            )));
        }
        sleep(Duration::from_millis(20));
    }
}
