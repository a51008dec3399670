//! What the scripts of one boot wrote down.

use std::str::FromStr;
use std::time::Duration;

use sandbox::guest::Output;

/// A boot that is over. Times are seconds of the guest's monotonic clock.
pub struct Boot {
    output: Output,
    steps: Vec<(String, f64)>,
    arrived: Vec<Datagram>,
}

#[derive(Clone, Copy)]
struct Datagram {
    port: u16,
    number: u64,
    sent: f64,
    /// Somebody has read it, on an emulated machine maybe much later.
    at: f64,
}

/// What arrived in a time.
#[derive(Debug, Default, PartialEq)]
pub struct Arrived {
    /// At the port that policy allows.
    pub allowed: usize,
    /// Of these, numbers that are left out between the first and the last.
    pub missing: usize,
    /// At the port that it denies.
    pub denied: usize,
}

/// An interface of the node, by the ports that are used there: allowed and denied.
#[derive(Clone, Copy)]
pub enum Nic {
    First,
    Late,
}

impl Nic {
    fn ports(self) -> (u16, u16) {
        match self {
            Self::First => (7001, 7002),
            Self::Late => (7003, 7004),
        }
    }
}

impl Boot {
    /// Reads it.
    pub fn of(output: Output) -> Self {
        let read = |name: &str| output.file(name).unwrap();
        let steps = read("steps").lines().map(two).collect();
        let arrived = read("arrived").lines().map(datagram).collect();
        Self {
            output,
            steps,
            arrived,
        }
    }

    /// What a file says, without the line's end.
    pub fn text(&self, name: &str) -> String {
        self.output.file(name).unwrap().trim_end().to_owned()
    }

    /// What somebody outside got, at the port that is allowed and at the other one.
    pub fn asked(&self, step: &str) -> [String; 2] {
        let text = self.text(&format!("{step}.asked"));
        let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
        [first.to_owned(), second.to_owned()]
    }

    /// How a command that was kept ended.
    pub fn status(&self, name: &str) -> i32 {
        number(&self.text(&format!("{name}.status")))
    }

    /// How long it took.
    pub fn took(&self, name: &str) -> Duration {
        let (before, after) = self.times(name);
        Duration::from_secs_f64(after - before)
    }

    fn times(&self, name: &str) -> (f64, f64) {
        let text = self.text(&format!("{name}.times"));
        let (before, after) = text.split_once(' ').unwrap();
        (number(before), number(after))
    }

    /// What `systemctl show` said: `file` as it was written, one property.
    pub fn property(&self, file: &str, name: &str) -> String {
        let text = self.text(file);
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(key, _)| *key == name);
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    }

    /// A moment that systemd gives, `…TimestampMonotonic`, in microseconds there.
    pub fn moment(&self, file: &str, name: &str) -> f64 {
        number::<f64>(&self.property(file, &format!("{name}TimestampMonotonic"))) / 1e6
    }

    /// What arrived of all that was sent in a step; from its beginning, or from when the kept
    /// command `after` was done.
    pub fn during(&self, step: &str, after: Option<&str>, nic: Nic) -> Arrived {
        let index = self.step(step);
        let from = match after {
            Some(name) => self.times(&format!("{step}.{name}")).1,
            None => self.steps[index].1,
        };
        let to = self.steps.get(index + 1).map_or(f64::MAX, |(_, at)| *at);
        self.between(from, to, nic)
    }

    /// What arrived from the first packet of the boot to the end of a step.
    pub fn until(&self, step: &str, nic: Nic) -> Arrived {
        let next = self.steps.get(self.step(step) + 1);
        self.between(0.0, next.map_or(f64::MAX, |(_, at)| *at), nic)
    }

    /// When the first datagram arrived.
    pub fn first(&self, nic: Nic) -> f64 {
        let of = |datagram: &&Datagram| datagram.port == nic.ports().0;
        self.arrived.iter().find(of).unwrap().at
    }

    /// How long after the first datagram of a step the last denied one arrived.
    pub fn open_for(&self, step: &str, nic: Nic) -> f64 {
        let index = self.step(step);
        let from = self.steps[index].1;
        let to = self.steps.get(index + 1).map_or(f64::MAX, |(_, at)| *at);
        let (allowed, denied) = nic.ports();
        let here = |d: &&Datagram| (from..to).contains(&d.at);
        let mut all = self.arrived.iter().filter(here);
        let first = all.clone().find(|d| [allowed, denied].contains(&d.port));
        let last = all.rfind(|d| d.port == denied);
        match (first, last) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => 0.0,
        }
    }

    fn step(&self, name: &str) -> usize {
        let index = self.steps.iter().position(|(step, _)| step == name);
        index.unwrap_or_else(|| panic!("no step `{name}` in {:?}", self.steps))
    }

    fn between(&self, from: f64, to: f64, nic: Nic) -> Arrived {
        let (allowed, denied) = nic.ports();
        let of = |port: u16| {
            let here = move |d: &&Datagram| d.port == port && (from..to).contains(&d.sent);
            self.arrived
                .iter()
                .filter(here)
                .map(|datagram| datagram.number)
        };
        let numbers: Vec<_> = of(allowed).collect();
        let sent = match (numbers.iter().min(), numbers.iter().max()) {
            (Some(first), Some(last)) => usize::try_from(last - first).unwrap() + 1,
            _ => 0,
        };
        Arrived {
            allowed: numbers.len(),
            missing: sent - numbers.len(),
            denied: of(denied).count(),
        }
    }
}

fn two(line: &str) -> (String, f64) {
    let (name, at) = line.split_once(' ').unwrap();
    (name.to_owned(), number(at))
}

fn datagram(line: &str) -> Datagram {
    let words: Vec<_> = line.split(' ').collect();
    let [port, count, sent, at] = words[..] else {
        panic!("`{line}` is no datagram");
    };
    Datagram {
        port: number(port),
        number: number(count),
        sent: number::<f64>(sent) / 1e6,
        at: number::<f64>(at) / 1e6,
    }
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no number"))
}
