//! The layouts themselves: reproducible, checked, and refused when something is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use sandbox::WorkDir;
use serde_json::Value;

use crate::built::{binary, blob, build, config, json, manifest, must, script, stripped};

const NOTHING: (&str, &str) = ("FW_IMAGE_ANY_BINARY", "");
const IMAGES: [&str; 2] = ["extension", "container"];

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_binary_gives_the_same_bits_which_pass_the_check() {
    let Some(binary) = binary() else {
        return;
    };
    let dir = WorkDir::new().unwrap();
    let binary = stripped(&binary, dir.path());
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    build(&binary, &one);
    // What the caller's files and shell are like does not matter.
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).unwrap();
    build(&binary, &two);
    let diff = Command::new("diff").arg("-r").args([&one, &two]).output();
    let diff = diff.unwrap();
    assert!(
        diff.status.success(),
        "{}",
        String::from_utf8_lossy(&diff.stdout)
    );
    for name in IMAGES {
        let layout = one.join(name);
        must("image-check.sh", &[&layout], NOTHING);
        // Read without the scripts, too.
        let index = json(&layout.join("index.json"));
        let platform = &index["manifests"][0]["platform"];
        assert_eq!(platform["os"], "linux");
        assert_eq!(platform["architecture"], config(&layout)["architecture"]);
        let manifest = manifest(&layout);
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let layer = blob(&layout, &manifest["layers"][0]);
        assert_eq!(
            manifest["layers"][0]["size"].as_u64().unwrap(),
            fs::metadata(layer).unwrap().len()
        );
        assert_eq!(
            config(&layout)["rootfs"]["diff_ids"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert!(one.join(format!("{name}.tar")).is_file());
    }
    damaged(&one.join("container"), dir.path());
}

/// What the check must see, each on a copy.
fn damaged(layout: &Path, scratch: &Path) {
    let copy = scratch.join("damaged");
    let refused = |what: &str, damage: &dyn Fn(&Path), because: &str| {
        let _ = fs::remove_dir_all(&copy);
        let status = Command::new("cp").arg("-r").args([layout, &copy]).status();
        assert!(status.unwrap().success());
        damage(&copy);
        let output = script("image-check.sh", &[&copy], NOTHING);
        assert_eq!(output.status.code(), Some(1), "{what} is not seen");
        assert!(said(&output).contains(because), "{what}: {}", said(&output));
        // What does not pass is not unpacked.
        let to = scratch.join("nowhere");
        let output = script("image-unpack.sh", &[&copy, &to], NOTHING);
        assert!(!output.status.success() && !to.exists(), "{what}");
    };
    let layer = |layout: &Path| blob(layout, &manifest(layout)["layers"][0]);
    let append = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
    };
    refused(
        "a byte more in the layer",
        &|copy| append(&layer(copy)),
        "the layer has another size",
    );
    refused(
        "a lost layer",
        &|copy| fs::remove_file(layer(copy)).unwrap(),
        "is not among the blobs",
    );
    refused(
        "a blob that nobody names",
        &|copy| fs::write(copy.join("blobs/sha256/left-over"), "").unwrap(),
        "blobs that nothing names",
    );
    let edit = |path: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    refused(
        "another version of the layout",
        &|copy| edit(&copy.join("oci-layout"), "1.0.0", "2.0.0"),
        "not of version 1.0.0",
    );
    refused(
        "no platform",
        &|copy| edit(&copy.join("index.json"), "\"linux\"", "\"plan9\""),
        "names no platform",
    );
}

/// SHA-256 of a file, in hexadecimal.
fn sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// Puts a file into the blobs; digest and size as a descriptor has them.
fn put(layout: &Path, file: &Path) -> String {
    let (digest, size) = (sum(file), fs::metadata(file).unwrap().len());
    fs::rename(file, layout.join("blobs/sha256").join(&digest)).unwrap();
    format!("\"digest\":\"sha256:{digest}\",\"size\":{size}")
}

/// Replaces the blob of a descriptor by one of this text, or file.
fn swap(layout: &Path, text: &str, descriptor: &Value, file: &Path) -> String {
    let old = format!(
        "\"digest\":{},\"size\":{}",
        descriptor["digest"], descriptor["size"]
    );
    assert!(text.contains(&old), "{text}");
    fs::remove_file(blob(layout, descriptor)).unwrap();
    text.replace(&old, &put(layout, file))
}

/// Gives a layout another layer, with all digests right: a tar that is made with these
/// arguments.
fn relayer(layout: &Path, arguments: &[&str]) {
    let file = |name: &str| layout.with_extension(name);
    let tar = file("layer");
    let mut make = Command::new("tar");
    make.args(["--create", "--format=ustar", "--mtime=@0", "--file"])
        .arg(&tar)
        .args(arguments);
    assert!(make.status().unwrap().success());
    let (old, manifest) = (config(layout), manifest(layout));
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    let text = |descriptor: &Value| fs::read_to_string(blob(layout, descriptor)).unwrap();
    let diff = old["rootfs"]["diff_ids"][0].as_str().unwrap();
    let config = text(&manifest["config"]).replace(diff, &format!("sha256:{}", sum(&tar)));
    fs::write(file("config"), config).unwrap();
    assert!(
        Command::new("gzip")
            .arg("-n")
            .arg(&tar)
            .status()
            .unwrap()
            .success()
    );
    let described = json(&layout.join("index.json"))["manifests"][0].clone();
    let mut changed = text(&described);
    changed = swap(layout, &changed, &manifest["config"], &file("config"));
    changed = swap(layout, &changed, &manifest["layers"][0], &file("layer.gz"));
    fs::write(file("manifest"), changed).unwrap();
    let index = swap(layout, &index, &described, &file("manifest"));
    fs::write(layout.join("index.json"), index).unwrap();
}

#[test]
fn a_layer_that_leads_elsewhere_or_gives_rights_is_refused() {
    let dir = WorkDir::new().unwrap();
    let (out, files) = (dir.path().join("out"), dir.path().join("files"));
    fs::write(dir.path().join("program"), elf(62, 1)).unwrap();
    must("image.sh", &[&dir.path().join("program"), &out], NOTHING);
    fs::create_dir_all(files.join("etc")).unwrap();
    fs::write(files.join("etc/plain"), "").unwrap();
    for (name, mode) in [("suid", 0o4755), ("open", 0o666), ("manifest.yaml", 0o644)] {
        fs::write(files.join(name), "").unwrap();
        fs::set_permissions(files.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("/etc", files.join("link")).unwrap();
    let directory = files.to_str().unwrap();
    let root = ["--owner=0", "--group=0", "-C", directory];
    let other = ["--owner=7", "--group=0", "-C", directory];
    let up = [&["-P", "--transform=s:^etc:../etc:"][..], &root].concat();
    let absolute = [&["-P", "--transform=s:^etc:/etc:"][..], &root].concat();
    let rootfs = [&["--transform=s:^etc:rootfs/etc:"][..], &root].concat();
    let cases = [
        ("container", &root[..], &["etc"][..], ""),
        ("container", &root, &["suid"], "suid has mode -rwsr-xr-x"),
        ("container", &root, &["open"], "open has mode -rw-rw-rw-"),
        ("container", &root, &["link"], "has mode lrwxrwxrwx"),
        ("container", &other, &["etc"], "belongs to 7/0"),
        ("container", &up, &["etc"], "leads elsewhere"),
        ("container", &absolute, &["etc"], "is absolute"),
        ("container", &root, &["etc", "etc"], "in the layer twice"),
        (
            "extension",
            &rootfs,
            &["manifest.yaml", "etc"],
            "rootfs/etc/plain is not allowed",
        ),
    ];
    let copy = dir.path().join("changed");
    for (image, options, names, because) in cases {
        let _ = fs::remove_dir_all(&copy);
        let mut make = Command::new("cp");
        make.arg("-r").args([&out.join(image), &copy]);
        assert!(make.status().unwrap().success());
        relayer(&copy, &[options, names].concat());
        let output = script("image-check.sh", &[&copy], NOTHING);
        let code = i32::from(!because.is_empty());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{names:?}: {}",
            said(&output)
        );
        assert!(said(&output).contains(because), "{}", said(&output));
    }
}

/// The head of a program for this machine's word size, with one program header of a type.
fn elf(machine: u16, header_type: u32) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    bytes.extend(2_u16.to_le_bytes()); // executable
    bytes.extend(machine.to_le_bytes());
    bytes.resize(32, 0);
    bytes.extend(64_u64.to_le_bytes()); // program headers begin behind this head
    bytes.resize(54, 0);
    bytes.extend(56_u16.to_le_bytes()); // bytes of each
    bytes.extend(1_u16.to_le_bytes()); // how many
    bytes.resize(64, 0);
    bytes.extend(header_type.to_le_bytes());
    bytes.resize(64 + 56, 0);
    bytes
}

#[test]
fn only_a_program_that_needs_no_loader_is_taken() {
    /// `PT_LOAD` and `PT_INTERP`, `EM_X86_64`, `EM_AARCH64` and `EM_386` (elf.h).
    const LOAD: u32 = 1;
    const LOADER: u32 = 3;
    let dir = WorkDir::new().unwrap();
    let (program, out) = (dir.path().join("program"), dir.path().join("out"));
    let build = |bytes: &[u8]| {
        fs::write(&program, bytes).unwrap();
        script("image.sh", &[&program, &out], NOTHING)
    };
    for (machine, name) in [(62, "amd64"), (183, "arm64")] {
        let taken = build(&elf(machine, LOAD));
        assert!(taken.status.success(), "{}", said(&taken));
        assert_eq!(config(&out.join("container"))["architecture"], name);
        for image in IMAGES {
            must("image-check.sh", &[&out.join(image)], NOTHING);
        }
    }
    for (bytes, why) in [
        (elf(62, LOADER), "is dynamically linked"),
        (elf(3, LOAD), "neither amd64 nor arm64"),
        (b"#!/bin/sh\n".to_vec(), "is no program for 64-bit Linux"),
    ] {
        let refused = build(&bytes);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        let said = said(&refused);
        assert!(said.contains(why) && said.contains("\n  try: "), "{said}");
    }
}
