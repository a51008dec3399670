//! Packages of this machine's Debian, and of other releases of it.
//!
//! Nothing is installed. Another release is asked through a configuration of apt beside
//! the machine's: with sources, lists and caches of its own, and the mirror that the
//! machine uses itself.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::tool;
use crate::{Error, Result, WorkDir};

/// Keys of all releases, from the package that every Debian has (debian-archive-keyring).
/// Where it is not, apt takes the keys that it trusts anyway.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What apt is asked for packages.
#[derive(Debug)]
pub struct Apt {
    /// For every command of it.
    options: Vec<String>,
    /// Lists and packages of another release, as long as they are needed.
    private: Option<WorkDir>,
}

impl Apt {
    /// As it is configured, with the lists that it has.
    pub fn of_this_machine() -> Self {
        Self {
            options: Vec::new(),
            private: None,
        }
    }

    /// With the packages of another release, "sid", and no others. Gets its lists.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no apt, no mirror of Debian in its configuration,
    /// or this mirror cannot be reached or has no such release.
    pub fn of_release(release: &str) -> Result<Self> {
        let private = WorkDir::new()?;
        let trust = match Path::new(KEYRING).is_file() {
            true => format!("[signed-by={KEYRING}] "),
            false => String::new(),
        };
        let source = format!("deb {trust}{} {release} main\n", mirror()?);
        let sources = private.write("sources.list", &source)?;
        for directory in ["state/lists/partial", "cache/archives/partial"] {
            let path = private.path().join(directory);
            fs::create_dir_all(&path).map_err(Error::io(format!("make {}", path.display())))?;
        }
        let apt = Self {
            options: [
                format!("Dir::Etc::SourceList={}", sources.display()),
                "Dir::Etc::SourceParts=-".to_owned(),
                // What the administrator prefers is not about this release.
                "Dir::Etc::Preferences=-".to_owned(),
                "Dir::Etc::PreferencesParts=-".to_owned(),
                format!("Dir::State={}", private.path().join("state").display()),
                "Dir::State::Status=/dev/null".to_owned(),
                format!("Dir::Cache={}", private.path().join("cache").display()),
                // The user for downloads may not write there.
                "APT::Sandbox::User=root".to_owned(),
                "Acquire::Languages=none".to_owned(),
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
                "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
            ]
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect(),
            private: Some(private),
        };
        // Else it counts as success that no list was got.
        let arguments = ["update", "-q", "--error-on=any"];
        tool::finish(&mut apt.command("apt-get", &arguments)?).map_err(|error| Error::Missing {
            what: format!("there are no packages of Debian {release}"),
            why: error.to_string(),
            advice: "see whether the mirror that apt uses can be reached and has it".to_owned(),
        })?;
        Ok(apt)
    }

    /// Names of packages that begin like this.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no apt.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let known = tool::finish(&mut self.command("apt-cache", &["pkgnames", prefix])?)?;
        let known = String::from_utf8_lossy(&known);
        Ok(known.lines().map(str::to_owned).collect())
    }

    /// Gets packages and unpacks them into a directory.
    ///
    /// # Errors
    /// [`Error::Missing`] if they cannot be got; another one if `to` cannot be written.
    pub fn unpack(&self, packages: &[String], to: &Path) -> Result<()> {
        let mut arguments = vec!["download", "-q"];
        arguments.extend(packages.iter().map(String::as_str));
        let mut download = self.command("apt-get", &arguments)?;
        tool::finish(download.current_dir(to)).map_err(|error| Error::Missing {
            what: "a package cannot be got".to_owned(),
            why: error.to_string(),
            advice: "apt-get update".to_owned(),
        })?;
        let dpkg = tool::find("dpkg-deb", "dpkg")?;
        let what = || Error::io(format!("list {}", to.display()));
        for entry in fs::read_dir(to).map_err(what())? {
            let path = entry.map_err(what())?.path();
            if path.extension().is_some_and(|end| end == "deb") {
                tool::output(&dpkg, &[Path::new("-x"), &path, to])?;
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    /// Unpacks packages of another release, with all that they depend on, into a directory
    /// as onto an empty disk. Their scripts are not run.
    ///
    /// # Errors
    /// As for [`Self::unpack`].
    ///
    /// # Panics
    /// If this is not another release: what this machine has installed would be left out.
    pub fn unpack_system(&self, packages: &[&str], to: &Path) -> Result<()> {
        let private = self
            .private
            .as_ref()
            .expect("only another release knows all packages");
        let mut arguments = vec!["install", "-q", "-y", "--download-only"];
        arguments.push("--no-install-recommends");
        arguments.extend(packages);
        tool::finish(&mut self.command("apt-get", &arguments)?).map_err(|error| {
            Error::Missing {
                what: "packages of a system cannot be got".to_owned(),
                why: error.to_string(),
                advice: "see whether the mirror that apt uses can be reached".to_owned(),
            }
        })?;
        let archives = private.path().join("cache/archives");
        let what = || Error::io(format!("list {}", archives.display()));
        let mut entries = fs::read_dir(&archives)
            .map_err(what())?
            .collect::<io::Result<Vec<_>>>()
            .map_err(what())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for package in entries.iter().map(fs::DirEntry::path) {
            if package.extension().is_some_and(|end| end == "deb") {
                unpack_merged(&package, to)?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(tool::find(program, "apt")?);
        command
            .args(&self.options)
            .args(arguments)
            .stdin(Stdio::null());
        Ok(command)
    }
}

/// Unpacks one package where `/bin` and its like are links, as `dpkg-deb -x` does not. What
/// only people read is left out.
fn unpack_merged(package: &Path, to: &Path) -> Result<()> {
    let mut content = Command::new(tool::find("dpkg-deb", "dpkg")?)
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io("run `dpkg-deb`"))?;
    let tar = content.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unread = ["doc", "info", "locale", "man", "perl"];
    let unread = unread.map(|directory| format!("--exclude=./usr/share/{directory}/*"));
    let unpacked = tool::finish(
        Command::new(tool::find("tar", "tar")?)
            .args(["-x", "-p", "--keep-directory-symlink", "-C"])
            .arg(to)
            .args(unread)
            .stdin(tar),
    );
    let ended = content.wait().map_err(Error::io("wait for `dpkg-deb`"))?;
    unpacked?;
    match ended.success() {
        true => Ok(()),
        false => Err(Error::Unexpected(format!(
            "{} cannot be unpacked: `dpkg-deb` ended with {ended}",
            package.display()
        ))),
    }
}

/// Where this machine gets Debian from: an address that apt understands.
fn mirror() -> Result<String> {
    // apt says it itself, whatever its sources look like.
    let format = "$(ORIGIN)\t$(LABEL)\t$(COMPONENT)\t$(REPO_URI)";
    let arguments = ["indextargets", "--format", format, "Created-By: Packages"];
    let targets = tool::output(&tool::find("apt-get", "apt")?, &arguments)?;
    main_archive(&String::from_utf8_lossy(&targets)).ok_or_else(|| Error::Missing {
        what: "there are no packages of other releases of Debian".to_owned(),
        why: "apt has lists of no mirror of Debian".to_owned(),
        advice: "apt-get update".to_owned(),
    })
}

/// The address of the first list that is Debian's own: security updates and backports
/// are of the same origin, with labels of their own.
fn main_archive(targets: &str) -> Option<String> {
    targets
        .lines()
        .find_map(|line| line.strip_prefix("Debian\tDebian\tmain\t"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_of_debian_itself() {
        let targets = "Acme\tAcme\tmain\thttps://acme.example/\n\
                       Debian\tDebian-Security\tmain\thttps://mirror.example/security/\n\
                       Debian\tDebian\tcontrib\thttps://mirror.example/more/\n\
                       Debian\tDebian\tmain\thttps://mirror.example/debian/\n";
        assert_eq!(
            main_archive(targets).as_deref(),
            Some("https://mirror.example/debian/")
        );
        assert_eq!(
            main_archive("Ubuntu\tUbuntu\tmain\thttps://u.example/\n"),
            None
        );
    }
}
