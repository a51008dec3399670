//! `fw-ctl policy validate` as a program sees it: what is printed, and the exit code.

use std::fs;
use std::path::{Path, PathBuf};

use fw_ctl::cli::validate::{Output, ValidateArgs, run_to};
use fw_ctl::policy::load;
use serde_json::{Value, json};
use tempfile::TempDir;

const GOOD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: good}
spec: {nodeSelector: {}, ingress: [{}]}
";
const BAD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: bad}
spec:
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - port: 22
";

/// A directory with files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("is made");
        fs::write(path, text).expect("is written");
    }
    directory
}

struct Ran {
    code: u8,
    stdout: String,
    stderr: String,
}

fn validate(paths: &[PathBuf], output: Output) -> Ran {
    let args = ValidateArgs {
        paths: paths.to_vec(),
        output,
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (code, written) = run_to(&args, &mut stdout, &mut stderr);
    written.expect("memory can be written to");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code,
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

fn one_file(text: &str) -> (TempDir, PathBuf) {
    let directory = directory(&[("a.yaml", text)]);
    let path = directory.path().join("a.yaml");
    (directory, path)
}

#[test]
fn json_is_one_object_a_document() {
    let text =
        format!("{GOOD}---\n{BAD}---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n");
    let (_directory, path) = one_file(&text);
    let ran = validate(std::slice::from_ref(&path), Output::Json);
    let file = path.display().to_string();
    let expected = [
        json!({"file": file, "document": 0, "kind": "CiliumClusterwideNetworkPolicy", "name": "good",
               "result": "accept", "errors": [], "warnings": []}),
        json!({"file": file, "document": 1, "kind": "CiliumClusterwideNetworkPolicy", "name": "bad",
               "result": "reject", "warnings": [], "errors": [{
                   "line": 14, "column": 15, "path": "spec.ingress[0].toPorts[0].ports[0].port",
                   "message": "must be a string, not a number"}]}),
        json!({"file": file, "document": 2, "kind": "Service", "name": "s",
               "result": "skip", "errors": [], "warnings": []}),
    ];
    assert_eq!(lines(&ran), expected);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""));
}

#[test]
fn items_of_a_list_say_which_they_are() {
    let item = |text: &str| text.trim_end().replace('\n', "\n  ");
    let text = format!(
        "{GOOD}---\nkind: List\napiVersion: v1\nitems:\n- {}\n- {}\n",
        item(GOOD).replace("name: good", "name: other"),
        item(BAD)
    );
    let (_directory, path) = one_file(&text);
    let ran = validate(&[path], Output::Json);
    let places: Vec<[Value; 3]> = lines(&ran)
        .iter()
        .map(|line| ["document", "item", "name"].map(|key| line[key].clone()))
        .collect();
    assert_eq!(
        places,
        [
            [json!(0), Value::Null, json!("good")],
            [json!(1), json!("items[0]"), json!("other")],
            [json!(1), json!("items[1]"), json!("bad")],
        ]
    );
    assert!(lines(&ran)[0].get("item").is_none());
}

#[test]
fn exit_codes() {
    let code = |text: &str| {
        let (_directory, path) = one_file(text);
        validate(&[path], Output::Table).code
    };
    assert_eq!(code(GOOD), 0);
    assert_eq!(code(BAD), 3);
    assert_eq!(code("apiVersion: v1\nkind: Service\n"), 0);
    assert_eq!(code(""), 0);
    assert_eq!(code("a: [\n"), 3);
    for list in ["items: []", "items:", "metadata: {}"] {
        let (_directory, path) = one_file(&format!("kind: List\n{list}\n"));
        let ran = validate(&[path], Output::Json);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{list}");
    }
    assert_eq!(code("kind: List\nitmes: []\n"), 3);
    assert_eq!(code("kind: List\nitems: {}\n"), 3);
    assert_eq!(code("kind: AllowList\nentries: []\n"), 0);
}

#[test]
fn a_text_that_is_no_yaml_is_one_object() {
    let (_directory, path) = one_file(&format!("{GOOD}---\nkind: x: y\n"));
    let ran = validate(&[path], Output::Json);
    let found = lines(&ran);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["kind"], &found[0]["name"], &found[0]["result"]),
        (&json!(""), &json!(""), &json!("reject"))
    );
    assert_eq!(found[0]["errors"][0]["line"], 6);
    assert_eq!(ran.code, 3);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let directory = directory(&[("good.yaml", GOOD)]);
    fs::write(directory.path().join("latin1.yaml"), b"name: \xe9\n").expect("is written");
    let missing = directory.path().join("missing.yaml");
    let ran = validate(&[missing, directory.path().to_owned()], Output::Json);
    let found = lines(&ran);
    let message = |n: usize| {
        found[n]["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        message(0).contains("there is no such file"),
        "{}",
        ran.stdout
    );
    assert_eq!(found[1]["result"], "accept");
    assert!(message(2).contains("UTF-8"), "{}", ran.stdout);
    assert!(ran.stderr.contains("missing.yaml"), "{}", ran.stderr);
    assert_eq!(ran.code, 3);
}

#[test]
fn directories_are_read_whole_and_in_order() {
    let directory = directory(&[
        ("b.yml", GOOD),
        ("a.json", "{}"),
        ("sub/deep/c.yaml", GOOD),
        ("README.md", "no policy"),
        (".hidden.yaml", "no: [policy"),
        ("..data/x.yaml", "no: [policy"),
    ]);
    std::os::unix::fs::symlink(directory.path(), directory.path().join("sub/up"))
        .expect("is linked");
    let outside = self::directory(&[("d.yaml", GOOD)]);
    std::os::unix::fs::symlink(outside.path(), directory.path().join("z")).expect("is linked");
    let files = load::files(&[directory.path().to_owned()]);
    let root = format!("{}/", directory.path().display());
    let names: Vec<&str> = files
        .iter()
        .map(|file| file.source.name.strip_prefix(&root).expect("lies in it"))
        .collect();
    assert_eq!(names, ["a.json", "b.yml", "sub/deep/c.yaml", "z/d.yaml"]);
}

#[test]
fn a_link_that_leads_nowhere_or_in_a_circle_is_named() {
    let directory = directory(&[("a.yaml", GOOD)]);
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, directory.path().join(name)).expect("is linked");
    };
    link(Path::new("nowhere"), "b.yaml");
    link(Path::new("c.yaml"), "c.yaml");
    let loaded = load::load(&[directory.path().to_owned()]);
    assert_eq!(loaded.documents.len(), 1);
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(
        said[0].contains("b.yaml") && said[0].contains("no such file"),
        "{said:?}"
    );
    assert!(
        said[1].contains("c.yaml") && said[1].contains("circle"),
        "{said:?}"
    );
}

#[test]
fn two_of_one_name_are_an_error_on_loading_and_a_warning_here() {
    let directory = directory(&[("a.yaml", GOOD), ("b.yaml", GOOD)]);
    let paths = [directory.path().to_owned()];
    let loaded = load::load(&paths);
    assert!(loaded.has_errors());
    let found = &loaded.diagnostics[0];
    assert!(found.source.name.ends_with("b.yaml"));
    assert!(
        found
            .label
            .as_deref()
            .is_some_and(|label| label.ends_with("a.yaml:1")),
        "{found:?}"
    );

    let ran = validate(&paths, Output::Json);
    assert_eq!(ran.code, 0);
    assert_eq!(lines(&ran)[1]["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn lists_are_checked_beside_policies() {
    let dir = directory(&[
        ("p.yaml", GOOD),
        ("lists/drop.netset", "# good\n192.0.2.0/24\n"),
        (
            "lists/sub/bad.cidr",
            "192.0.2.0/24\n 192.0.2.0/33 ; too long\n",
        ),
        ("lists/Bad_Name.ipset", ""),
    ]);
    let ran = validate(&[dir.path().to_owned()], Output::Json);
    assert_eq!(ran.code, 3);
    let found: Vec<Value> = lines(&ran)
        .iter()
        .map(|row| {
            json!([
                row["kind"],
                row["name"],
                row["result"],
                row["errors"][0]["line"]
            ])
        })
        .collect();
    assert_eq!(
        found,
        [
            json!(["CiliumClusterwideNetworkPolicy", "good", "accept", null]),
            json!(["list", "", "reject", 1]),
            json!(["list", "drop", "skip", null]),
            json!(["list", "", "reject", 2]),
        ]
    );
    assert_eq!(lines(&ran)[3]["errors"][0]["column"], 2);
    let file = dir.path().join("lists/drop.netset");
    let one = validate(&[file], Output::Table);
    assert_eq!(one.code, 0);
    assert!(
        one.stdout.contains("0 accepted, 0 rejected, 1 skipped"),
        "{}",
        one.stdout
    );
}

#[test]
fn the_table_is_for_people() {
    let (_directory, path) = one_file(&format!("{GOOD}---\n{BAD}"));
    let ran = validate(&[path], Output::Table);
    let table: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        table[1].contains("accept") && table[1].contains("good"),
        "{}",
        ran.stdout
    );
    assert!(
        table[2].contains("reject") && table[2].contains("a.yaml:6"),
        "{}",
        ran.stdout
    );
    assert_eq!(table[3], "1 accepted, 1 rejected, 0 skipped");
    assert!(ran.stderr.contains("must be a string"), "{}", ran.stderr);
}
