//! The whole way but for the kernel: files of a host in, files of ours out.

use std::fs;
use std::path::Path;

use super::*;
use crate::exit;

/// A root directory with these files.
pub(super) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// With the usual paths and one admin network.
pub(super) fn wish(profile: Profile, root: impl AsRef<Path>) -> Wish {
    Wish {
        profile,
        root: Root::new(root.as_ref()),
        config: "/etc/fw-ctl/fw-ctl.toml".into(),
        policies: "/etc/fw-ctl/policies".into(),
        inventory: "/etc/fw-ctl/inventory".into(),
        node: None,
        admin: vec!["10.0.9.0/24".parse().unwrap()],
        ssh_client: None,
        environment: Vec::new(),
    }
}

const RKE2: (&str, &str) = (
    "etc/rancher/rke2/config.yaml",
    "node-name: Server1\nnode-label: [rack=r1]\n",
);

fn names(draft: &Draft) -> Vec<String> {
    let files = draft.files.iter();
    files.map(|file| file.path.display().to_string()).collect()
}

#[test]
fn an_image_gets_what_its_files_say() {
    let root = root(&[
        RKE2,
        ("etc/hostname", "image\n"),
        ("etc/ssh/sshd_config", "Port 2222\n"),
    ]);
    let wish = wish(Profile::Rke2Server, root.path());
    let draft = draft(&wish).unwrap();
    let found = &draft.found;
    // As it is registered: the name of the configuration is taken as it is.
    assert_eq!(found.node.as_ref().unwrap().value, "Server1");
    assert_eq!(found.ssh_ports, [2222].into());
    assert!(found.addresses.is_empty() && found.listening.is_empty());
    let expected = [
        "/etc/fw-ctl/fw-ctl.toml",
        "/etc/fw-ctl/inventory/site.yaml",
        "/etc/fw-ctl/policies/egress.yaml",
        "/etc/fw-ctl/policies/etcd.yaml",
        "/etc/fw-ctl/policies/every-node.yaml",
        "/etc/fw-ctl/policies/servers.yaml",
        "/etc/fw-ctl/policies/web.yaml",
    ];
    assert_eq!(names(&draft), expected);
    assert!(
        draft.judged.warnings.is_empty(),
        "{:?}",
        draft.judged.warnings
    );
    assert!(conflict(&draft.files, false).is_none());
    assert_eq!(
        fs::read_dir(root.path().join("etc")).unwrap().count(),
        3,
        "nothing is written"
    );
    write(&draft.files).unwrap();
    let text = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
    assert!(text("etc/fw-ctl/fw-ctl.toml").contains("\nname = \"Server1\"\n"));
    assert!(text("etc/fw-ctl/policies/every-node.yaml").contains("- port: \"2222\"\n"));
    // Once more there is nothing to do.
    let again = super::draft(&wish).unwrap();
    assert!(again.files.iter().all(|file| file.there == There::Same));
}

#[test]
fn without_a_name_the_configuration_leaves_it_to_the_hostname() {
    let root = root(&[]);
    let draft = draft(&wish(Profile::Rke2Agent, root.path())).unwrap();
    assert_eq!(draft.found.node, None);
    assert!(draft.files[0].text.contains("\nname = \"\"\n"));
    assert!(
        draft.judged.warnings.is_empty(),
        "{:?}",
        draft.judged.warnings
    );
    let told = draft
        .found
        .notes
        .iter()
        .any(|note| note.contains("the hostname"));
    assert!(told, "{:?}", draft.found.notes);
}

#[test]
fn hostnames_are_as_kubernetes_has_them() {
    let root = root(&[("etc/hostname", "# by hand\n Web1.Example \n")]);
    let name = |profile| {
        let draft = draft(&wish(profile, root.path())).unwrap();
        draft.found.node.unwrap().value
    };
    assert_eq!(name(Profile::Kubeadm), "web1.example");
    assert_eq!(name(Profile::Plain), "Web1.Example");
}

#[test]
fn who_sits_in_front_of_it_is_an_administrator_unless_others_are_named() {
    let root = root(&[]);
    let mut wish = wish(Profile::Plain, root.path());
    wish.ssh_client = Some("2001:db8::7".parse().unwrap());
    let admin = |wish: &Wish| {
        let draft = draft(wish).unwrap();
        let inventory = draft.files[1].text.clone();
        let admin = draft.found.admin.into_iter();
        (
            admin.map(|one| one.value.to_string()).collect::<Vec<_>>(),
            inventory,
        )
    };
    assert_eq!(admin(&wish).0, ["10.0.9.0/24"]);
    wish.admin.clear();
    let (found, inventory) = admin(&wish);
    assert_eq!(found, ["2001:db8::7/128"]);
    assert!(
        inventory.contains("  # your SSH session\n  - \"2001:db8::7/128\"\n"),
        "{inventory}"
    );
    wish.ssh_client = None;
    let nobody = draft(&wish).unwrap();
    assert_eq!(nobody.found.admin, []);
    // It is told once, in words.
    assert!(
        nobody.judged.warnings.is_empty(),
        "{:?}",
        nobody.judged.warnings
    );
    assert!(
        nobody
            .found
            .notes
            .iter()
            .any(|note| note.contains("--admin"))
    );
}

#[test]
fn a_shipped_configuration_is_replaced_and_a_changed_one_is_in_the_way() {
    let root = root(&[("etc/fw-ctl/fw-ctl.toml", SHIPPED)]);
    let wish = wish(Profile::Plain, root.path());
    let there = || draft(&wish).unwrap().files[0].there;
    assert_eq!(there(), There::Shipped);
    let path = root.path().join("etc/fw-ctl/fw-ctl.toml");
    fs::write(&path, SHIPPED.replace("\"audit\"", "\"enforce\"")).unwrap();
    assert_eq!(there(), There::Other);
    let refused = conflict(&draft(&wish).unwrap().files, false).unwrap();
    assert_eq!(refused.exit, exit::REFUSED);
}

#[test]
fn what_is_there_beside_is_part_of_the_result() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
                  metadata: {name: mine}\nspec:\n  nodeSelector: {}\n  ingress:\n  \
                  - fromCIDR: [192.0.2.300/24]\n";
    let root = root(&[("etc/fw-ctl/policies/mine.yaml", policy)]);
    let wish = wish(Profile::Plain, root.path());
    let failure = draft(&wish).unwrap_err();
    assert_eq!(failure.exit, exit::INVALID);
    assert!(
        failure.message.starts_with("nothing was written"),
        "{failure:?}"
    );
    assert!(failure.findings[0].contains("mine.yaml:7:"), "{failure:?}");
    // A policy of the same name as one of ours.
    let path = root.path().join("etc/fw-ctl/policies/mine.yaml");
    fs::write(
        &path,
        policy.replace("mine", "plain-host").replace("300", "0"),
    )
    .unwrap();
    let failure = draft(&wish).unwrap_err();
    assert!(failure.findings[0].contains("two objects"), "{failure:?}");
    // A drop-in that is wrong.
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(root.path().join("etc/fw-ctl/conf.d")).unwrap();
    fs::write(
        root.path().join("etc/fw-ctl/conf.d/x.toml"),
        "[policy]\nmoed = 1\n",
    )
    .unwrap();
    let failure = draft(&wish).unwrap_err();
    assert_eq!(failure.exit, exit::INVALID);
    assert!(
        failure.findings[0].contains("did you mean `mode`?"),
        "{failure:?}"
    );
}

#[test]
fn calico_gets_its_ports() {
    let root = root(&[("etc/cni/net.d/10-calico.conflist", "")]);
    for (profile, file) in [
        (Profile::Rke2Agent, "other-cni.yaml"),
        (Profile::K3s, "calico.yaml"),
        (Profile::Kubeadm, "calico.yaml"),
    ] {
        let draft = draft(&wish(profile, root.path())).unwrap();
        let path = format!("/etc/fw-ctl/policies/{file}");
        assert!(names(&draft).contains(&path), "{:?}", names(&draft));
    }
}

#[test]
fn talos_is_another_machine_s_whatever_the_root() {
    let own = tempfile::tempdir().unwrap();
    let mut wish = wish(Profile::Talos, "/");
    wish.config = own.path().join("fw-ctl.toml");
    wish.policies = own.path().join("policies");
    wish.inventory = own.path().join("inventory");
    let draft = draft(&wish).unwrap();
    let found = &draft.found;
    assert!(found.node.is_none() && found.addresses.is_empty() && found.ssh_ports.is_empty());
    assert!(
        draft
            .files
            .iter()
            .all(|file| file.at.starts_with(own.path()))
    );
    assert!(
        draft.judged.warnings.is_empty(),
        "{:?}",
        draft.judged.warnings
    );
}
