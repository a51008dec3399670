//! The node that the containers are run on, and who is there to connect to it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::probe::{self, Outcome};
use sandbox::{Container, Family, Lab, Servers, Status, inventory, tcp};

/// For a daemon until it answers: a debug build is slow to start.
const START: Duration = Duration::from_mins(2);
/// `terminationGracePeriodSeconds`
const STOP: Duration = Duration::from_secs(15);

/// A node with servers, and directories of its own in place of the machine's. Fields are
/// dropped in order: the servers before the lab.
pub struct Node {
    _servers: Servers,
    pub lab: Lab,
}

impl Node {
    /// With servers on these ports.
    pub fn new(ports: &[u16]) -> Self {
        let lab = Lab::new().expect("the lab can be built");
        let services: Vec<_> = ports.iter().map(|port| tcp(*port)).collect();
        Self {
            _servers: Servers::start(&lab.node, &services).unwrap(),
            lab,
        }
    }

    /// Where a path of the host is here. The BPF file system of the lab is where it always
    /// is; everything else is the lab's, and made as Talos and kubelets do.
    pub fn host(&self, path: &str) -> PathBuf {
        if path == "/sys/fs/bpf" {
            return path.into();
        }
        let here = self.lab.dir.path().join("host").join(&path[1..]);
        fs::create_dir_all(&here).unwrap();
        here
    }

    /// Writes files as a kubelet writes those of a `ConfigMap`: links to what lies in a
    /// directory that is replaced as a whole. Returns the directory.
    pub fn config_map(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let directory = self.lab.dir.path().join("volumes").join(name);
        fs::create_dir_all(&directory).unwrap();
        let version = (0..1_000)
            .map(|number| format!("..2026_11_23_00_00_00.{number}"))
            .find(|version| !directory.join(version).exists())
            .unwrap();
        let data = directory.join(&version);
        fs::create_dir(&data).unwrap();
        for (file, content) in files {
            fs::write(data.join(file), content).unwrap();
            let link = directory.join(file);
            if !link.exists() {
                symlink(Path::new("..data").join(file), link).unwrap();
            }
        }
        symlink(version, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        directory
    }

    /// Starts the daemon and waits until what is in force is what is declared.
    pub fn start<S: AsRef<str>>(&self, container: &Container, line: &[S]) -> Daemon {
        let log = self.lab.dir.path().join("daemon.log");
        let line: Vec<&str> = line.iter().map(AsRef::as_ref).collect();
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap()
        };
        let mut command = container.command(&line);
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        let mut daemon = Daemon(command.spawn().unwrap());
        let end = Instant::now() + START;
        loop {
            let status = Self::status(container);
            if let Ok(status) = &status
                && !status.is_degraded()
            {
                // It knows what is attached, although the kernel tells it little of programs.
                let programs = status.datapath["programs"].as_array().unwrap();
                assert_eq!(programs.len(), 2, "{status:?}");
                return daemon;
            }
            let ended = daemon.0.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "the daemon does not serve: {ended:?}, {status:?}\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a program of the container to its end: exit code, stdout, stderr.
    pub fn run<S: AsRef<str>>(container: &Container, line: &[S]) -> (i32, String, String) {
        let line: Vec<&str> = line.iter().map(AsRef::as_ref).collect();
        let mut command = container.command(&line);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// What `fw-ctl status` says inside; else why it says nothing.
    pub fn status(container: &Container) -> Result<Status, String> {
        let line = ["/usr/sbin/fw-ctl", "status", "-o", "json"];
        let (code, stdout, stderr) = Self::run(container, &line);
        serde_json::from_str(&stdout).map_err(|error| format!("{error}: {code}, {stderr}"))
    }

    /// A stranger connects, in both families.
    pub fn expect(&self, port: u16, outcome: Outcome, when: &str) {
        let from = &self.lab.stranger.namespace;
        for family in Family::BOTH {
            let found = probe::tcp(from, None, self.lab.node.socket(family, port));
            assert_eq!(found, outcome, "{port} by {family}, {when}");
        }
    }

    /// The inventory of the lab.
    pub fn inventory(&self) -> String {
        inventory::rke2(&self.lab)
    }
}

/// A policy that allows one port to everybody, and restricts the rest.
pub fn allowing(name: &str, port: u16) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{name: {name}}}\nspec:\n  nodeSelector: {{}}\n  \
         ingress: [{{toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}]}}]}}]\n"
    )
}

/// A daemon in a container; dropping it kills it.
pub struct Daemon(Child);

impl Daemon {
    /// SIGKILL: no chance to clean up.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, and as long as a kubelet waits.
    pub fn stop(&mut self) -> ExitStatus {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).unwrap();
        let end = Instant::now() + STOP;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it goes on after SIGTERM");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the kernel says that it may: effective capabilities, those that it could ever get,
    /// and whether it is kept from getting any.
    pub fn rights(&self) -> [String; 3] {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        ["CapEff", "CapBnd", "NoNewPrivs"].map(|name| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = lines.find(|(key, _)| *key == name).unwrap();
            value.trim().to_owned()
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
