//! A blocklist beside the inventory: replaced, damaged and expiring while the node is
//! filtered, and nobody asks for a reload.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sandbox::probe::{self, Outcome};
use sandbox::{Family, Host};

use crate::fixture::Fixture;
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_replaced_list_is_in_force_without_a_reload,
    a_list_that_is_not_whole_leaves_the_old_one_in_force,
    an_entry_expires_by_itself,
);

/// Entries of the list that mean none of the machines.
const OTHERS: u32 = 100_000;
/// A change must be in force by then, in a debug build on a busy machine, too.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everybody may use port 80 but those on the list.
const POLICY: &str = "
  nodeSelector: {}
  ingress:
  - toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]
  ingressDeny:
  - fromCIDRSet: [{cidrGroupRef: block.list}]
";

/// The lines of so many addresses of 198.18.0.0/15 (RFC 2544).
fn others(count: u32) -> String {
    let address = |n| std::net::Ipv4Addr::from_bits(0xc612_0000 + n);
    (0..count).map(|n| format!("{}\n", address(n))).collect()
}

/// A list that has both addresses of `host`, too.
fn list_with(host: &Host) -> String {
    let (v4, v6) = (host.v4.0, host.v6.0);
    format!(
        "# made by a test\n{v4}\n{v6}\t; and IPv6\n{}",
        others(OTHERS)
    )
}

struct Lists(Fixture);

impl Lists {
    /// With this list in force.
    fn start(xdp: &'static str, list: impl Fn(&Fixture) -> String) -> Option<Self> {
        let fixture = Fixture::prepare(xdp, "enforce", &[("web", POLICY)])?;
        // What a list loses is to be seen now, not in five minutes.
        let directory = fixture.fw_ctl.files().config.with_file_name("conf.d");
        std::fs::create_dir(&directory).unwrap();
        let drop_in = "[policy]\nshrink_delay = \"off\"\n";
        std::fs::write(directory.join("lists.toml"), drop_in).unwrap();
        let mut lists = Self(fixture);
        lists.replace(&list(&lists.0));
        lists.0.restart_daemon();
        let status = lists.0.fw_ctl.status().unwrap();
        assert!(!status.is_degraded(), "{status:?}");
        Some(lists)
    }

    fn path(&self) -> PathBuf {
        self.0.fw_ctl.files().inventory.join("block.list.netset")
    }

    /// As who fetches lists should do it.
    fn replace(&self, text: &str) {
        let new = self.0.lab.dir.write("list.new", text).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// Whether `host` is let in, in both families.
    fn admits(&self, host: &Host) -> bool {
        let to = |family| self.0.lab.node.socket(family, 80);
        let outcomes = Family::BOTH.map(|family| probe::tcp(&host.namespace, None, to(family)));
        match outcomes {
            [Outcome::Answered, Outcome::Answered] => true,
            [Outcome::Silence, Outcome::Silence] => false,
            other => panic!("{}: {other:?}", host.name),
        }
    }

    fn degraded(&self) -> String {
        self.0.fw_ctl.status().unwrap().degraded.to_string()
    }

    fn generation(&self) -> u64 {
        let status = self.0.fw_ctl.status().unwrap();
        status.generation["number"].as_u64().unwrap()
    }

    fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            let late = Instant::now() > end;
            assert!(
                !late,
                "not {what}: {}\n{}",
                self.degraded(),
                self.0.fw_ctl.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn a_replaced_list_is_in_force_without_a_reload(xdp: &'static str) {
    let Some(lists) = Lists::start(xdp, |fixture| list_with(&fixture.lab.stranger)) else {
        return;
    };
    let (stranger, jump) = (&lists.0.lab.stranger, &lists.0.lab.jump);
    assert!(!lists.admits(stranger) && lists.admits(jump));
    lists.replace(&list_with(jump));
    lists.wait("replaced", |lists| lists.generation() == 2);
    assert!(lists.admits(stranger) && !lists.admits(jump));
    assert_eq!(lists.degraded(), "[]");
    // An edited policy waits for a reload, also when a list changes again.
    lists
        .0
        .write_policy("web", "\n  nodeSelector: {}\n  ingress: [{}]\n");
    lists.replace(&list_with(stranger));
    lists.wait("replaced again", |lists| lists.generation() == 3);
    assert!(!lists.admits(stranger) && lists.admits(jump));
    lists.0.reload();
    assert!(!lists.admits(jump));
}

fn a_list_that_is_not_whole_leaves_the_old_one_in_force(xdp: &'static str) {
    let Some(lists) = Lists::start(xdp, |fixture| list_with(&fixture.lab.stranger)) else {
        return;
    };
    let (stranger, jump) = (&lists.0.lab.stranger, &lists.0.lab.jump);
    let whole = list_with(jump);
    let (half, _) = whole[..whole.len() / 2].rsplit_once('\n').unwrap();
    for (text, why) in [
        (half, "its last line has no end"),
        ("192.0.2.1\n<html>404</html>\n", "block.list.netset:2:1"),
        ("", "of its 100002 entries only 0 are left"),
    ] {
        // In place: whoever reads meanwhile sees a part of it.
        std::fs::write(lists.path(), text).unwrap();
        lists.wait("told", |lists| lists.degraded().contains(why));
        assert_eq!(lists.generation(), 1);
        assert!(!lists.admits(stranger) && lists.admits(jump), "{why}");
    }
    std::fs::write(lists.path(), &whole).unwrap();
    lists.wait("in force", |lists| lists.generation() == 2);
    assert_eq!(lists.degraded(), "[]");
    assert!(lists.admits(stranger) && !lists.admits(jump));
    // Who asks for a reload means it.
    std::fs::write(lists.path(), "").unwrap();
    lists.0.reload();
    assert!(lists.admits(stranger) && lists.admits(jump));
}

fn an_entry_expires_by_itself(xdp: &'static str) {
    let soon = seconds() + 25;
    let date = ["-u", "-d", &format!("@{soon}"), "+%FT%TZ"];
    let date = Command::new("date").args(date).output().unwrap().stdout;
    let date = String::from_utf8(date).unwrap();
    let list = |fixture: &Fixture| {
        let Host { v4, v6, .. } = &fixture.lab.stranger;
        let until = format!("until={}", date.trim());
        format!("{} {until}\n{} {until}\n{}", v4.0, v6.0, others(10))
    };
    let Some(lists) = Lists::start(xdp, list) else {
        return;
    };
    assert!(!lists.admits(&lists.0.lab.stranger));
    lists.wait("expired", |lists| lists.generation() == 2);
    assert!(seconds() >= soon, "it expired too early");
    assert!(lists.admits(&lists.0.lab.stranger));
    assert_eq!(lists.degraded(), "[]");
}

/// Now, in seconds since 1970.
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}
