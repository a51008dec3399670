//! `fw-ctl init`: the first configuration of a host.

mod answer;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use ipnet::IpNet;

use super::args::{self, OutputArgs};
use super::output::{Format, Outcome, plain, print, print_json, say, warn};
use super::ssh;
use crate::config::{DEFAULT_FILE, Policy};
use crate::control::protocol::Failure;
use crate::exit;
use crate::init::{Draft, Profile, Root, Wish, conflict, draft, write};

/// Arguments of `init`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// What kind of host it is
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Profile,
    /// Find and write below this directory, as for an image; what this machine listens on and
    /// its addresses are left out then
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
    /// The configuration [default: /etc/fw-ctl/fw-ctl.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of policies [default: /etc/fw-ctl/policies]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The directory of the inventory [default: /etc/fw-ctl/inventory]
    #[arg(long, value_name = "DIR")]
    inventory: Option<PathBuf>,
    /// Name of this node [default: what RKE2, k3s or the kubelet call it, else the hostname]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// A network that administrators come from, or an address; several times for several
    /// [default: the other end of your SSH session]
    #[arg(long, value_name = "CIDR", value_parser = network)]
    admin: Vec<IpNet>,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace files that say something else; each is kept with .bak behind its name
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Finds, writes, and shows.
///
/// # Errors
/// The host's own files are wrong, the result would be refused, or a file is in the way.
pub fn run(args: &Args) -> Outcome {
    let wish = wish(args)?;
    let draft = draft(&wish)?;
    let conflict = conflict(&draft.files, args.force);
    let kept = match (&conflict, args.dry_run) {
        (_, true) => None,
        (None, false) => Some(write(&draft.files)?),
        (Some(failure), false) => return Err(failure.clone()),
    };
    let answer = answer::Answer {
        wish: &wish,
        draft: &draft,
        kept: kept.as_deref(),
    };
    match args.output.format {
        Format::Json => print_json(&answer.to_json())?,
        Format::Table => print(&answer.text())?,
    }
    tell(&wish, &draft, args);
    match conflict {
        Some(failure) => Err(failure),
        None => Ok(exit::OK),
    }
}

fn wish(args: &Args) -> Result<Wish, Failure> {
    let root = Root::new(&args.root);
    let usual = Policy::default();
    let or = |path: &Option<PathBuf>, usual: &[PathBuf]| {
        let usual = usual.first().cloned().unwrap_or_default();
        root.absolute(&path.clone().unwrap_or(usual))
    };
    let named = [&args.config, &args.policies, &args.inventory];
    if args.profile == Profile::Talos && root.is_here() && named.iter().any(|path| path.is_none()) {
        let message = "the profile talos writes files for another machine, and not into the \
                       configuration of this one";
        return Err(Failure::new(exit::USAGE, message)
            .help("--root DIR, or all of --config, --policies and --inventory"));
    }
    if !args.root.is_dir() {
        let message = format!("--root: {} is no directory", args.root.display());
        return Err(Failure::new(exit::USAGE, message).help("make it first"));
    }
    Ok(Wish {
        profile: args.profile,
        config: or(&args.config, &[DEFAULT_FILE.into()]),
        policies: or(&args.policies, &usual.dirs),
        inventory: or(&args.inventory, &usual.inventory),
        root,
        node: args.node.clone(),
        admin: args.admin.clone(),
        ssh_client: ssh::peer(),
        environment: args::environment().collect(),
    })
}

/// A prefix, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let prefix = text.parse::<IpNet>();
    let prefix =
        prefix.map_err(|_| "expected a prefix as 192.0.2.0/24, or an address".to_owned())?;
    if prefix != prefix.trunc() {
        let (all, one) = (prefix.trunc(), IpNet::from(prefix.addr()));
        return Err(format!(
            "it has bits behind its length: write {all}, or {one}"
        ));
    }
    Ok(prefix)
}

/// What is doubtful, and what comes next.
fn tell(wish: &Wish, draft: &Draft, args: &Args) {
    for note in &draft.found.notes {
        say(&format!("note: {note}"));
    }
    for warning in &draft.judged.warnings {
        warn(&plain(warning));
    }
    if args.dry_run {
        return;
    }
    let mut next = Vec::new();
    let inventory = wish.root.join(&wish.inventory);
    if wish.profile.is_kubernetes() {
        next.push(format!(
            "kubectl get nodes,namespaces,pods,endpointslices,ciliumcidrgroups -A -o yaml > {}",
            inventory.join("cluster.yaml").display()
        ));
    }
    // What has no systemd, or does not run, has nothing to start.
    if wish.is_of_this_machine() {
        let start = match draft.judged.control_socket.exists() {
            true => "fw-ctl reload",
            false => "systemctl enable --now fw-ctl",
        };
        next.extend([start, "fw-ctl audit report", "fw-ctl mode enforce"].map(str::to_owned));
    }
    for (number, step) in next.iter().enumerate() {
        let lead = if number == 0 { "  try: " } else { "       " };
        say(&format!("{lead}{step}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_administrators_are_prefixes_or_addresses() {
        for (text, expected) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ] {
            assert_eq!(
                network(text).map(|one| one.to_string()),
                Ok(expected.into())
            );
        }
        let wrong = network("192.0.2.7/24").unwrap_err();
        assert!(
            wrong.ends_with("write 192.0.2.0/24, or 192.0.2.7/32"),
            "{wrong}"
        );
        for text in ["", "office", "192.0.2.0/33", "192.0.2"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
