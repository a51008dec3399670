//! Who may ask the daemon, who may change anything, and that nobody keeps root waiting.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, INGRESS_NOTHING};

/// A user and a group that nobody has.
const USER: u32 = 64_123;
const GROUP: u32 = 64_124;

/// Runs `work` in a thread that is `user` of `group`, and of no other. Only the thread:
/// to the kernel each has credentials of its own, and the C library is not asked.
fn as_user<T: Send + 'static>(
    user: u32,
    group: u32,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        // SAFETY: calls with numbers, and an empty list, that change nothing but the
        // credentials of this thread.
        let done = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>())
                | libc::syscall(libc::SYS_setresgid, group, group, group)
                | libc::syscall(libc::SYS_setresuid, user, user, user)
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        work()
    });
    thread.join().unwrap()
}

/// Gives the socket to [`GROUP`], and lets everybody come as far as to it.
fn open_up(fixture: &Fixture) -> PathBuf {
    let socket = fixture.fw_ctl.files().run.join("control.sock");
    chown(&socket, None, Some(GROUP)).unwrap();
    let base = fixture.lab.dir.path();
    for directory in socket
        .ancestors()
        .skip(1)
        .take_while(|at| at.starts_with(base))
    {
        std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    }
    socket
}

fn asks(socket: &Path, line: &str) -> std::io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(line.as_bytes())?;
    Ok(stream)
}

fn answer(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut answer = String::new();
    BufReader::new(asks(socket, line)?).read_line(&mut answer)?;
    Ok(answer)
}

#[test]
fn members_of_the_group_ask_and_root_changes() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    let socket = fixture.fw_ctl.files().run.join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    let socket = open_up(&fixture);
    let at = socket.clone();
    let stranger = as_user(USER, USER, move || answer(&at, "{\"verb\":\"status\"}\n"));
    assert_eq!(stranger.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let before = fixture.fw_ctl.status().unwrap();
    let at = socket.clone();
    let answers = as_user(USER, GROUP, move || {
        [
            "{\"verb\":\"status\"}\n",
            "{\"verb\":\"capture\",\"snaplen\":64}\n",
            "{\"verb\":\"reload\"}\n",
            "{\"verb\":\"detach\"}\n",
            "{\"verb\":\"confirm\"}\n",
            "{\"verb\":\"rollback\",\"to\":null,\"change\":{\"force\":true}}\n",
            "{\"verb\":\"mode\",\"set\":\"audit\"}\n",
            "{\"verb\":\"unban\",\"addresses\":null}\n",
            "{\"verb\":\"ban\",\"addresses\":[\"192.0.2.1\"],\"until\":null,\"reason\":\"\",\
             \"force\":true,\"asker\":null}\n",
        ]
        .map(|line| answer(&at, line).unwrap())
    });
    assert!(answers[0].starts_with("{\"done\":"), "{}", answers[0]);
    let told = answers[1].contains("only root may capture packets");
    assert!(
        answers[1].starts_with("{\"failed\":") && told,
        "{}",
        answers[1]
    );
    for refused in &answers[2..] {
        let told = refused.contains("only root may change the firewall");
        assert!(refused.starts_with("{\"failed\":") && told, "{refused}");
    }
    let after = fixture.fw_ctl.status().unwrap();
    assert_eq!(after.mode, "enforce");
    assert_eq!(after.generation, before.generation);
    fixture.reload();
    let log = fixture.fw_ctl.log();
    assert!(
        log.contains(&format!("detach: refused to uid {USER}, pid ")),
        "{log}"
    );
    assert!(log.contains("reload: asked for by uid 0, pid "), "{log}");
}

#[test]
fn members_of_the_group_do_not_keep_root_waiting() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    let socket = open_up(&fixture);
    let at = socket.clone();
    // More of each than there are places, and none of them reads.
    let clients = as_user(USER, GROUP, move || {
        let mut clients = Vec::new();
        for _ in 0..60 {
            for line in [
                "",
                "{\"verb\":\"rules\"}\n",
                "{\"verb\":\"monitor\"}\n",
                "{\"verb\":",
            ] {
                clients.push(asks(&at, line).unwrap());
            }
        }
        clients
    });
    let begun = Instant::now();
    fixture.reload();
    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    fixture.fw_ctl.must(&["ban", "add", "192.0.2.1"]).unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    drop(clients);
    assert_eq!(fixture.fw_ctl.status().unwrap().mode, "audit");
}

#[test]
fn who_vanishes_in_the_middle_of_a_reload_changes_nothing_of_it() {
    let Some(fixture) = Fixture::start("off", "enforce", &[]) else {
        return;
    };
    let before = fixture.fw_ctl.status().unwrap().generation;
    fixture.write_policy("in", INGRESS_NOTHING);
    let socket = fixture.fw_ctl.files().run.join("control.sock");
    drop(asks(&socket, "{\"verb\":\"reload\"}\n").unwrap());
    let begun = Instant::now();
    while fixture.fw_ctl.status().unwrap().generation == before {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{}",
            fixture.fw_ctl.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    // And nobody is waited for: the socket still answers.
    let mut end = Vec::new();
    let mut stream = asks(&socket, "{\"verb\":\"nonsense\"}\n").unwrap();
    stream.read_to_end(&mut end).unwrap();
    assert!(String::from_utf8(end).unwrap().contains("knows no request"));
}
