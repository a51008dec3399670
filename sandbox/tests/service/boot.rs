//! One boot of a disk, with what every such test has in its guest: who sends, who serves, and the
//! network between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox::guest::{Debian, Disk, Guest, Kernel, Output, or_skip};

use crate::evidence::Boot;
use crate::rows::Rows;
use crate::table::Table;

/// Which release of Debian, where it is not this machine's.
const SELECTION: &str = "FW_DEBIAN";
/// Releases with the kernel that they come with.
const RELEASES: [(&str, &str); 2] = [("bookworm", "6.1"), ("trixie", "6.12")];
/// For one boot: some six times what it takes, because other programs may run beside it.
const LIMIT: Duration = Duration::from_mins(25);
/// A file of this crate.
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The releases of Debian to boot, each with its kernel.
fn releases() -> Vec<(String, &'static str)> {
    let own = || {
        let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut lines = text.lines();
        let name = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let known = |name: &&str| RELEASES.iter().any(|(release, _)| release == name);
        name.filter(known).unwrap_or(RELEASES[0].0).to_owned()
    };
    let names = std::env::var(SELECTION).unwrap_or_else(|_| own());
    let with_kernel = |name: &str| {
        let known = RELEASES.iter().find(|(release, _)| *release == name);
        let (_, series) = known.unwrap_or_else(|| panic!("{SELECTION} names {name}: unknown"));
        (name.to_owned(), *series)
    };
    names.split_whitespace().map(with_kernel).collect()
}

/// Boots the disk, with a script of `tests/`; `with` adds what else is in the guest.
fn boot<'a>(
    kernel: &'a Kernel,
    disk: &'a Disk,
    script: &str,
    with: impl Fn(Guest<'a>) -> Guest<'a>,
) -> Boot {
    let began = Instant::now();
    let mut guest = Guest::new(kernel)
        .disk(disk)
        .nics(4)
        // For a mount that is made when somebody looks; and, before there was tcx (6.6), for
        // what leaves.
        .module("autofs4")
        .module("sch_ingress")
        .module("cls_bpf")
        // What tells who listens: the kernel fetches it by itself where there are modules.
        .module("tcp_diag")
        .module("udp_diag")
        .program(env!("CARGO_BIN_EXE_traffic"))
        .file(here("tests/service/units"), "/run/systemd/system")
        .file(here("tests/service/network"), "/run/systemd/network");
    for file in ["node", "steps.sh", "outside.sh"] {
        let from = here("tests/service").join(file);
        guest = guest.file(from, Path::new("/run/guest").join(file));
    }
    let script = fs::read_to_string(here(&format!("tests/{script}.sh"))).unwrap();
    let output: Output = with(guest).run(&script, LIMIT).unwrap();
    assert_eq!(output.status, 0, "{}", output.console);
    eprintln!("a boot of {} s", began.elapsed().as_secs());
    Boot::of(output)
}

/// What is expected of one boot.
pub type Expect = fn(&mut Rows<'_>);

/// Boots a disk of each release that is asked for, once with each script, and closes the table
/// of each release. Skipped where a guest cannot be had.
pub fn on_each_release(scripts: &[(&str, Expect)], with: impl for<'a> Fn(Guest<'a>) -> Guest<'a>) {
    for (release, series) in releases() {
        let Some(debian) = or_skip(Debian::named(&release)) else {
            return;
        };
        let Some(kernel) = or_skip(Kernel::of_series(series)) else {
            return;
        };
        let disk = debian.disk().unwrap();
        let mut table = Table::default();
        eprintln!("Debian {release}, Linux {}", kernel.release());
        for (script, expect) in scripts {
            let boot = boot(&kernel, &disk, script, &with);
            let before = table.bad();
            expect(&mut Rows {
                boot: &boot,
                table: &mut table,
            });
            if table.bad() > before || std::env::var_os("FW_GUEST_JOURNAL").is_some() {
                let journal = boot.text("end.journal");
                let of_daemon = journal.lines().filter(|line| line.contains("fw-ctl"));
                of_daemon.for_each(|line| eprintln!("{line}"));
            }
        }
        table.close();
    }
}
