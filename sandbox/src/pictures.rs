//! `sandbox pictures`: the pictures of the README, each of a real run.
//!
//! A lab with the policies for RKE2 in force, real connections of those who may, and a scan by
//! those who may not; then each command as somebody would type it, on a terminal. The node has
//! an `/etc` of its own, so that paths in the pictures are those of an installed node, and its
//! clock shows UTC.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sandbox::frame::{FrameSocket, ethernet, tcp_syn};
use sandbox::picture::{PICTURES, Picture, svg};
use sandbox::{
    Daemon, DaemonFiles, Error, Family, FwCtl, Host, Lab, Protocol, Pty, Result, Servers, Service,
    Settings, inventory, probe, tcp, udp,
};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the traffic may do before the first picture.
const WARM_UP: Duration = Duration::from_secs(3);
/// Size of the terminal. Lines that are longer are broken, as on a real one.
const COLUMNS: u16 = 140;
const ROWS: u16 = 70;
/// Of a terminal that a program fills.
const LIVE: (u16, u16) = (112, 32);

/// Arguments of `pictures`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where they are written
    #[arg(long, value_name = "DIR", default_value = "docs/pictures")]
    out: PathBuf,
}

/// Makes them all.
///
/// # Errors
/// When a command does not do what it should, or a file cannot be written.
pub fn run(arguments: &Arguments, fw_ctl: PathBuf, policies: PathBuf) -> Result<bool> {
    fs::create_dir_all(&arguments.out)
        .map_err(Error::io(format!("make {}", arguments.out.display())))?;
    for mode in ["enforce", "audit"] {
        let pictures = PICTURES.iter().filter(|picture| picture.mode == mode);
        in_mode(mode, pictures, arguments, (&fw_ctl, &policies))?;
    }
    Ok(true)
}

fn in_mode<'a>(
    mode: &'static str,
    pictures: impl Iterator<Item = &'a Picture>,
    arguments: &Arguments,
    (fw_ctl, policies): (&Path, &Path),
) -> Result<()> {
    let lab = Lab::new()?;
    let fw_ctl = install(&lab, mode, fw_ctl, policies)?;
    let _servers = [
        Servers::start(&lab.node, &SERVED)?,
        Servers::start(&lab.node2, &SERVED)?,
    ];
    let _daemon: Daemon = fw_ctl.start()?;
    let _traffic = Traffic::start(&lab)?;
    thread::sleep(WARM_UP);
    for picture in pictures {
        let image = take(&fw_ctl, picture)?;
        let path = arguments.out.join(picture.file);
        fs::write(&path, image).map_err(Error::io(format!("write {}", path.display())))?;
        anstream::println!("{}: {}", path.display(), picture.command);
    }
    Ok(())
}

/// Types a command, and takes what it shows.
fn take(fw_ctl: &FwCtl, picture: &Picture) -> Result<String> {
    let mut words = picture.command.split(' ');
    // The first one is the program.
    words.next();
    let words: Vec<_> = words.collect();
    let command = fw_ctl.offline_command(&words);
    let Some(shown) = picture.live else {
        let mut terminal = Pty::start(command, COLUMNS, ROWS)?;
        let (status, screen) = terminal.end(PATIENCE)?;
        if status.code() != Some(picture.exit) {
            return Err(Error::Unexpected(format!(
                "`{}` ended with {status}:\n{}",
                picture.command,
                screen.text()
            )));
        }
        return Ok(svg(picture.title, picture.command, screen.rows()));
    };
    let mut terminal = Pty::start(command, LIVE.0, LIVE.1)?;
    let screen = terminal.wait_for_text(PATIENCE, shown)?;
    let image = svg(picture.title, picture.command, screen.rows());
    terminal.press("q")?;
    terminal.end(PATIENCE)?;
    Ok(image)
}

/// Gives the node an `/etc/fw-ctl` that goes with the lab, as docs and man pages name it.
fn install(lab: &Lab, mode: &'static str, fw_ctl: &Path, policies: &Path) -> Result<FwCtl> {
    let settings = Settings {
        node: inventory::NODE,
        mode,
        include: "eth0",
        xdp: "native",
    };
    let files = DaemonFiles::new(lab, &settings)?;
    let dir = lab.dir.path().display();
    let config = format!(
        "[node]\nname = \"{}\"\n[policy]\nmode = \"{}\"\n\
         [interfaces]\ninclude = [\"{}\"]\nxdp = \"{}\"\n[failsafe]\ninbound = []\n\
         [paths]\nrun_dir = {:?}\nstate_dir = {:?}\n",
        settings.node, settings.mode, settings.include, settings.xdp, files.run, files.state,
    );
    lab.dir.write("installed.toml", &config)?;
    lab.dir.write("cluster.yaml", &inventory::rke2(lab))?;
    let policies = policies
        .canonicalize()
        .map_err(Error::io(format!("find {}", policies.display())))?;
    let script = format!(
        "set -e\nmount -t tmpfs tmpfs /etc\nmkdir -p /etc/fw-ctl/policies /etc/fw-ctl/inventory\n\
         cp {dir}/installed.toml /etc/fw-ctl/fw-ctl.toml\n\
         cp {dir}/cluster.yaml /etc/fw-ctl/inventory/\n\
         cp '{}'/*.yaml /etc/fw-ctl/policies/\n",
        policies.display()
    );
    lab.node.namespace.run_with_input("sh", &[], &script)?;
    let installed = DaemonFiles {
        config: "/etc/fw-ctl/fw-ctl.toml".into(),
        policies: "/etc/fw-ctl/policies".into(),
        inventory: "/etc/fw-ctl/inventory".into(),
        ..files
    };
    FwCtl::new(lab, fw_ctl, installed)
}

/// What a server of RKE2 listens on, and some of what people look for.
const SERVED: [Service; 7] = [
    tcp(22),
    tcp(443),
    tcp(2379),
    tcp(6443),
    tcp(9345),
    tcp(10250),
    udp(8472),
];
/// What scanners try first.
const SCANNED: [u16; 6] = [22, 23, 2379, 3389, 6443, 10250];

/// Everybody's packets, until this is dropped.
struct Traffic {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(lab: &Lab) -> Result<Self> {
        let mut traffic = Self {
            is_over: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
        };
        for (from, service, every) in [
            (&lab.jump, tcp(22), 400),
            (&lab.jump, tcp(6443), 120),
            (&lab.node2, tcp(6443), 25),
            (&lab.node2, tcp(2379), 40),
            (&lab.node2, tcp(10250), 200),
            (&lab.node2, udp(8472), 5),
            (&lab.stranger, tcp(443), 60),
        ] {
            traffic.connect(from, &lab.node, service, Duration::from_millis(every));
        }
        traffic.scan(&lab.stranger, &lab.node)?;
        Ok(traffic)
    }

    /// Runs `turn` again and again.
    fn every(&mut self, pause: Duration, mut turn: impl FnMut() + Send + 'static) {
        let is_over = Arc::clone(&self.is_over);
        self.threads.push(thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                turn();
                thread::sleep(pause);
            }
        }));
    }

    /// One real connection after another.
    fn connect(&mut self, from: &Host, to: &Host, service: Service, pause: Duration) {
        let (namespace, to) = (from.namespace.clone(), to.socket(Family::V4, service.port));
        self.every(pause, move || {
            // What becomes of it is in the pictures.
            let _ = match service.protocol {
                Protocol::Tcp => probe::tcp(&namespace, None, to),
                Protocol::Udp => probe::udp(&namespace, None, to),
            };
        });
    }

    /// From some addresses of the stranger's network, to what scanners try first.
    fn scan(&mut self, from: &Host, node: &Host) -> Result<()> {
        let socket = FrameSocket::sender(&from.namespace, "eth0")
            .map_err(Error::io("open a socket for frames"))?;
        let (source_mac, target_mac, target) = (from.mac, node.mac, node.address(Family::V4));
        let mut number = 0_usize;
        self.every(Duration::from_millis(4), move || {
            number += 1;
            // Half of it from one address.
            let last = match number % 2 {
                0 => 66,
                _ => 70 + (number / 2 % 5) as u8,
            };
            let source = IpAddr::from(Ipv4Addr::new(203, 0, 113, last));
            let port = SCANNED[number / 3 % SCANNED.len()];
            let source_port = 32_768 + (number % 28_000) as u16;
            let (kind, packet) = tcp_syn((source, source_port).into(), (target, port).into());
            // One that is lost is one less.
            let _ = socket.send(&ethernet(target_mac, source_mac, &[], kind, &packet));
        });
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
