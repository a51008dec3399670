//! What a guest finds when it starts: the root of its file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::archive::Archive;
use super::tool;
use crate::{Error, Result, shared_objects};

/// On the console as soon as the kernel has done its part.
pub const READY: &str = "guest: the script begins";
/// In the results: the exit status of the script.
pub const STATUS: &str = "status";

/// The first process. Results go through the second serial line, which must not take
/// a byte for a line break.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
ln -s /proc/self/fd /dev/fd
for module in $(cat /modules/order); do
    insmod "/modules/$module" || echo "guest: module $module was not loaded"
done
ip link set lo up
stty -F /dev/ttyS1 raw -echo
echo READY
sh /script </dev/null
echo $? >/status
tar -C / -cf /dev/ttyS1 status out
poweroff -f
"#;

/// The first process of a guest with a disk: makes way for the systemd that is there. What
/// came along is in `/run`, which systemd leaves as it is.
const INIT_OF_DISK: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do
    insmod "/modules/$module" || echo "guest: module $module was not loaded"
done
mount -t ext4 /dev/vda /sysroot
mount -t tmpfs -o mode=755 run /sysroot/run
mkdir -p /sysroot/run/guest/out /sysroot/run/bin
cp -a /run/. /sysroot/run/
cp /script /sysroot/run/guest/
cp /bin/busybox $(cat /programs) /sysroot/run/bin/
umount /proc /sys
mount --move /dev /sysroot/dev
echo READY >/sysroot/dev/console
exec switch_root /sysroot /lib/systemd/systemd
"#;

/// Runs the script when the boot is over, sends the results, and reboots: QEMU ends then.
const UNIT_OF_DISK: &str = r"[Unit]
Description=The script of the guest
After=multi-user.target

[Service]
Type=exec
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/bin HOME=/root
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh /run/guest/run
";

/// What that service does.
const RUN_ON_DISK: &str = r"
stty -F /dev/ttyS1 raw -echo
sh /run/guest/script </dev/null
echo $? >/run/guest/STATUS
busybox tar -C /run/guest -cf /dev/ttyS1 STATUS out
systemctl --no-block reboot
";

/// Where systemd looks for units that are gone after a reboot.
const UNITS: &str = "/run/systemd/system";

/// The file system while it is put together.
pub struct Initramfs {
    archive: Archive,
    /// Paths of those in `/bin` that are no part of busybox.
    programs: String,
}

impl Initramfs {
    /// With busybox, and the directories that programs expect.
    pub fn new() -> Result<Self> {
        let mut archive = Archive::default();
        for directory in [
            "dev", "etc", "out", "proc", "run", "sys", "sysroot", "tmp", "var",
        ] {
            archive.directory(Path::new(directory));
        }
        let busybox = read(&tool::find("busybox", "busybox-static")?)?;
        archive.file(Path::new("/bin/busybox"), true, &busybox);
        let mut made = Self {
            archive,
            programs: String::new(),
        };
        // Debian has a busybox that needs its C library, too.
        made.shared_objects(&tool::find("busybox", "busybox-static")?)?;
        Ok(made)
    }

    /// Adds a program to `/bin`; `scratch` is a directory for what is made of it.
    pub fn program(&mut self, program: &Path, scratch: &Path) -> Result<()> {
        let found = match program.to_str() {
            Some(name) if !name.contains('/') => tool::find(name, name)?,
            _ => program.to_owned(),
        };
        let name = found.file_name().unwrap_or(found.as_os_str());
        // A debug build is nearly all debug information.
        let stripped = scratch.join("stripped");
        let arguments = [Path::new("-g"), Path::new("-o"), &stripped, &found];
        let strip = tool::find("strip", "binutils")?;
        tool::output(&strip, &arguments)?;
        let path = Path::new("/bin").join(name);
        self.archive.file(&path, true, &read(&stripped)?);
        self.programs += &format!("{}\n", path.display());
        self.shared_objects(&found)
    }

    /// Adds a file or all of a directory.
    pub fn copy(&mut self, host: &Path, guest: &Path) -> Result<()> {
        let what = || Error::io(format!("read {}", host.display()));
        let metadata = fs::metadata(host).map_err(what())?;
        if metadata.is_dir() {
            self.archive.directory(guest);
            for entry in fs::read_dir(host).map_err(what())? {
                let name = entry.map_err(what())?.file_name();
                self.copy(&host.join(&name), &guest.join(&name))?;
            }
            return Ok(());
        }
        let executable = metadata.permissions().mode() & 0o111 != 0;
        self.archive.file(guest, executable, &read(host)?);
        Ok(())
    }

    /// Adds modules, to be loaded in this order: name and content.
    pub fn modules(&mut self, modules: &[(String, Vec<u8>)]) {
        let mut order = String::new();
        for (name, content) in modules {
            let path = Path::new("/modules").join(name);
            self.archive.file(&path, false, content);
            order += &format!("{name}\n");
        }
        let path = Path::new("/modules/order");
        self.archive.file(path, false, order.as_bytes());
    }

    /// The archive, which will run `script`.
    pub fn finish(self, script: &str) -> Vec<u8> {
        self.finish_with(INIT, script)
    }

    /// The archive, which will boot what is on the disk, where `script` runs then.
    pub fn finish_for_disk(mut self, script: &str) -> Vec<u8> {
        let run = RUN_ON_DISK.replace("STATUS", STATUS);
        let path = Path::new("/run/guest/run");
        self.archive.file(path, false, run.as_bytes());
        let path = Path::new(UNITS).join("guest.service");
        self.archive.file(&path, false, UNIT_OF_DISK.as_bytes());
        let wants = Path::new(UNITS).join("multi-user.target.d/guest.conf");
        self.archive
            .file(&wants, false, b"[Unit]\nWants=guest.service\n");
        let programs = std::mem::take(&mut self.programs);
        let path = Path::new("/programs");
        self.archive.file(path, false, programs.as_bytes());
        self.finish_with(INIT_OF_DISK, script)
    }

    fn finish_with(mut self, init: &str, script: &str) -> Vec<u8> {
        let init = init.replace("READY", READY);
        self.archive.file(Path::new("/init"), true, init.as_bytes());
        let path = Path::new("/script");
        self.archive.file(path, false, script.as_bytes());
        self.archive.finish()
    }

    fn shared_objects(&mut self, program: &Path) -> Result<()> {
        for object in shared_objects(program)? {
            self.archive.file(&object, true, &read(&object)?);
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(format!("read {}", path.display())))
}
