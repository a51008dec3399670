//! Ctrl-C in the middle of `sandbox` leaves nothing behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::WorkDir;

/// Stands for a `fw-ctl` that takes its time.
const SLOW: &str = "#!/bin/sh\necho $$ > \"$SLOW_PID\"\nexec sleep 1000\n";

fn within(patience: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if reached() {
            return true;
        }
        sleep(Duration::from_millis(20));
    }
    reached()
}

#[test]
fn ctrl_c_removes_files_and_children() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("FW_KERNEL_TESTS").as_deref() != Ok("require"));
        eprintln!("skipped: namespaces need root");
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let dir = WorkDir::new().unwrap();
        let slow = dir.write("slow", SLOW).unwrap();
        std::fs::set_permissions(&slow, PermissionsExt::from_mode(0o755)).unwrap();
        let pid_file = dir.path().join("pid");
        let mut sandbox = Command::new(env!("CARGO_BIN_EXE_sandbox"))
            .arg("--fw-ctl")
            .arg(&slow)
            .arg("--policies")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/policies/rke2"))
            .env("SLOW_PID", &pid_file)
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = None;
        within(Duration::from_secs(10), || {
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            child = text.trim().parse::<i32>().ok();
            child.is_some()
        });
        let child = child.expect("the stand-in for fw-ctl runs");
        let lab = dir.path().join(format!("fw-ctl-lab-{}-0", sandbox.id()));
        assert!(lab.is_dir(), "{}", lab.display());

        kill(Pid::from_raw(sandbox.id() as i32), signal).unwrap();
        let mut code = None;
        assert!(within(Duration::from_secs(5), || {
            code = sandbox.try_wait().unwrap();
            code.is_some()
        }));
        let code = code.and_then(|status| status.code());
        assert_eq!(code, Some(128 + signal as i32), "{signal}");
        assert!(!lab.exists(), "{signal}: {} is left", lab.display());
        let process = format!("/proc/{child}/stat");
        let gone = || match std::fs::read_to_string(&process) {
            // A dead process stays as a zombie until its new parent looks.
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        assert!(
            within(Duration::from_secs(5), gone),
            "{signal}: fw-ctl is left"
        );
    }
}
