//! What is expected of a step, as rows of the table.

use crate::evidence::{Arrived, Boot, Nic};
use crate::table::Table;

/// How long an emulated machine may take, beside other tests, for what takes milliseconds
/// elsewhere: some twenty times what it takes.
const SOON: f64 = 60.0;

/// One boot and the table that it adds to.
pub struct Rows<'a> {
    pub boot: &'a Boot,
    pub table: &'a mut Table,
}

/// What the node does with packets.
#[derive(Clone, Copy, PartialEq)]
pub enum State {
    Open,
    Filtered,
}

impl Rows<'_> {
    /// What came through in a step, by datagrams and by connections; `after`: from when the
    /// kept command of this name was done.
    pub fn judged(&mut self, step: &str, after: Option<&str>, nic: Nic, state: State) {
        let arrived = self.boot.during(step, after, nic);
        let [first, second] = self.boot.asked(step);
        let (expected, answer) = match state {
            State::Open => ("open: everything answers", "answered"),
            State::Filtered => ("no denied packet arrives, no other is lost", "no answer"),
        };
        let is_so = arrived.allowed > 0
            && arrived.missing == 0
            && (arrived.denied > 0) == (state == State::Open)
            && (first.as_str(), second.as_str()) == ("answered", answer);
        let seen = format!("{}; connections: {first}, {second}", words(&arrived));
        self.row(&format!("{step}: packets"), expected, &seen, is_so);
    }

    /// What came through to an address that the node never had: until the kernel has told the
    /// daemon of it, everything does.
    pub fn judged_soon(&mut self, step: &str, nic: Nic) {
        let arrived = self.boot.during(step, None, nic);
        let open = self.boot.open_for(step, nic);
        let [first, second] = self.boot.asked(step);
        let is_so = arrived.allowed > 0
            && arrived.missing == 0
            && open < SOON
            && (first.as_str(), second.as_str()) == ("answered", "no answer");
        let expected = format!("no denied packet after {SOON} s of an emulated machine");
        let seen = format!(
            "{}, the last after {open:.1} s; connections: {first}, {second}",
            words(&arrived)
        );
        self.row(
            &format!("{step}: packets to a new address"),
            &expected,
            &seen,
            is_so,
        );
    }

    /// What came through the first interface, from the first packet of the boot to the end of a
    /// step.
    pub fn judged_until(&mut self, what: &str, last: &str) {
        let arrived = self.boot.until(last, Nic::First);
        let Arrived {
            allowed,
            missing,
            denied,
        } = arrived;
        let is_so = allowed > 0 && missing == 0 && denied == 0;
        let expected = "no denied packet arrives, no other is lost";
        let step = format!("{what}: packets from the first one on");
        self.row(&step, expected, &words(&arrived), is_so);
    }

    /// A command that was kept.
    pub fn succeeds(&mut self, name: &str, what: &str) {
        self.command(name, what, true);
    }

    /// A command that was kept, and must fail.
    pub fn fails(&mut self, name: &str, what: &str) {
        self.command(name, what, false);
    }

    fn command(&mut self, name: &str, what: &str, succeeds: bool) {
        let (status, took) = (self.boot.status(name), self.boot.took(name));
        let expected = if succeeds {
            "exit 0"
        } else {
            "another exit code than 0"
        };
        let seen = format!("exit {status} after {:.1} s", took.as_secs_f64());
        self.row(what, expected, &seen, (status == 0) == succeeds);
    }

    /// What `systemctl status` begins with.
    pub fn told(&mut self, step: &str, state: &str, words: &str) {
        let file = format!("{step}.show");
        let [active, status] =
            ["ActiveState", "StatusText"].map(|name| self.boot.property(&file, name));
        self.row(
            &format!("{step}: systemctl status"),
            &format!("{state}: {words}"),
            &format!("{active}: {status}"),
            active == state && status.contains(words),
        );
    }

    /// How often systemd started it again.
    pub fn restarted(&mut self, step: &str, times: u32) {
        let seen = self.boot.property(&format!("{step}.show"), "NRestarts");
        let is_so = seen.parse::<u32>().unwrap() >= times;
        let expected = format!("at least {times}");
        self.row(&format!("{step}: restarts"), &expected, &seen, is_so);
    }

    /// Words in what was kept.
    pub fn says(&mut self, what: &str, file: &str, words: &str) {
        let text = self.boot.text(file);
        let line = text.lines().find(|line| line.contains(words));
        let shown = line.or(text.lines().next()).unwrap_or_default();
        self.row(what, words, shown, line.is_some());
    }

    /// A connection that the node has had since it was filtered.
    pub fn conversed(&mut self) {
        let talk = self.boot.text("talk");
        let words = talk.lines().count();
        self.row(
            "a connection of the node since it is filtered",
            "never cut",
            &format!("{words} words, all came back"),
            words > 100 && !talk.contains("cut"),
        );
    }

    /// The plan was in force before anybody brought the network up, and from the first packet on.
    pub fn filtered_from_the_beginning(&mut self, which: &str, last: &str) {
        let boot = self.boot;
        let began = boot.moment("booted.show", "ExecMainStart");
        let ready = boot.moment("booted.show", "ActiveEnter");
        let target = boot.moment("booted.before-network", "ActiveEnter");
        let network = boot.moment("booted.network", "ExecMainStart");
        let packet = boot.first(Nic::First);
        self.row(
            &format!("reboot, {which}: order"),
            "READY, network-pre.target, networkd, first packet",
            &format!(
                "{ready:.2} s ({:.1} s after its start), {target:.2}, {network:.2}, {packet:.2}",
                ready - began
            ),
            0.0 < ready && ready <= target && target <= network && network < packet,
        );
        self.judged_until(&format!("reboot, {which}"), last);
    }

    /// How exposed the service is, as `systemd-analyze security` said in a command that was kept.
    pub fn secure(&mut self, name: &str) {
        let security = self.boot.text(name);
        let (_, level) = security.rsplit_once(": ").unwrap();
        let number: f64 = level.split(' ').next().unwrap().parse().unwrap();
        let expected = "at most 2.5";
        self.row("systemd-analyze security", expected, level, number <= 2.5);
    }

    /// A row.
    pub fn row(&mut self, step: &str, expected: &str, seen: &str, is_so: bool) {
        self.table.row(step, expected, seen, is_so);
    }
}

fn words(arrived: &Arrived) -> String {
    let Arrived {
        allowed,
        missing,
        denied,
    } = arrived;
    format!("{allowed} allowed, {missing} lost, {denied} denied arrived")
}
