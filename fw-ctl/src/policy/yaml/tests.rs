use super::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: "t.yaml".into(),
        text: text.into(),
    })
}

fn one(text: &str) -> Node {
    let mut documents = parse(&source(text)).expect("valid");
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn failure(text: &str) -> Diagnostic {
    *parse(&source(text)).expect_err(text)
}

/// The text that a node's span covers.
fn covered<'t>(text: &'t str, node: &Node) -> &'t str {
    &text[node.span.start..node.span.end]
}

#[test]
fn spans_cover_what_was_written() {
    let text = "a: x y  # comment\nb:\n  - \"q\"\n  - {c: 1, d: [2, 3]}\né: ü\n";
    let root = one(text);
    assert_eq!(covered(text, root.get("a").unwrap()), "x y");
    let items = root.get("b").unwrap().items().unwrap();
    assert_eq!(covered(text, &items[0]), "\"q\"");
    assert_eq!(items[1].get("c").unwrap().as_int(), Some(1));
    assert_eq!((items[1].span.line, items[1].span.column), (4, 5));
    let (key, value) = &root.entries().unwrap()[2];
    assert_eq!(
        (key.value.as_str(), key.span.line, key.span.column),
        ("é", 5, 1)
    );
    assert_eq!(covered(text, value), "ü");
    assert_eq!((value.span.line, value.span.column), (5, 4));
}

#[test]
fn quoting_block_scalars_and_tags_keep_strings_strings() {
    let root = one(
        "a: 'yes'\nb: \"80\"\nc: |\n  yes\nd: >-\n  no\ne: !!str 80\nf: yes\ng: 0o17\nh: two\n  lines\n",
    );
    let text = |key: &str| root.get(key).unwrap().as_str().map(str::to_owned);
    assert_eq!(text("a").as_deref(), Some("yes"));
    assert_eq!(text("b").as_deref(), Some("80"));
    assert_eq!(text("c").as_deref(), Some("yes\n"));
    assert_eq!(text("d").as_deref(), Some("no"));
    assert_eq!(text("e").as_deref(), Some("80"));
    assert_eq!(root.get("f").unwrap().kind, Kind::Bool(true));
    assert!(root.get("f").unwrap().ambiguous);
    assert_eq!(root.get("g").unwrap().as_int(), Some(15));
    assert_eq!(text("h").as_deref(), Some("two lines"));
}

#[test]
fn null_and_empty_differ() {
    let root = one("a:\nb: null\nc: ~\nd: \"\"\ne: []\nf: {}\n");
    for key in ["a", "b", "c"] {
        assert!(root.get(key).unwrap().is_null(), "{key}");
    }
    assert_eq!(root.get("d").unwrap().as_str(), Some(""));
    assert_eq!(root.get("e").unwrap().items(), Some(&[][..]));
    assert_eq!(root.get("f").unwrap().entries(), Some(&[][..]));
    assert!(root.get("g").is_none());
}

#[test]
fn documents_and_empty_ones() {
    assert_eq!(parse(&source("")).unwrap().len(), 0);
    assert_eq!(parse(&source("# only a comment\n")).unwrap().len(), 0);
    assert_eq!(
        parse(&source("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n"))
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn aliases_and_merges_point_at_the_definition() {
    let text = "base: &b {x: 1}\nuse: *b\nmerged:\n  <<: *b\n  z: 2\n";
    let root = one(text);
    assert_eq!(root.get("use").unwrap().get("x").unwrap().as_int(), Some(1));
    assert_eq!(root.get("use").unwrap().span.line, 1);
    let merged = root.get("merged").unwrap();
    assert_eq!(merged.get("x").unwrap().span.line, 1);
    assert_eq!(merged.get("z").unwrap().as_int(), Some(2));
}

#[test]
fn json_is_read_even_when_indented_with_tabs() {
    let root = one("{\n\t\"a\": [\n\t\t1,\n\t\t{\"b\": \"yes\"}\n\t]\n}\n");
    let items = root.get("a").unwrap().items().unwrap();
    assert_eq!(items[1].get("b").unwrap().as_str(), Some("yes"));
    assert_eq!(items[1].span.line, 4);
}

#[test]
fn keys_are_strings_in_the_reading_of_kubernetes() {
    let root = one("on: 1\n80: 2\n\"no\": 3\n");
    let keys: Vec<&str> = root
        .entries()
        .unwrap()
        .iter()
        .map(|(k, _)| k.value.as_str())
        .collect();
    assert_eq!(keys, ["true", "80", "no"]);
    assert!(failure("[a, b]: 1\n").message.contains("key"));
}

#[test]
fn a_duplicate_key_names_both_places() {
    let found = failure("spec:\n  a:\n    port: 1\n    x: {port: 2}\n  b: 1\n  a:\n    port: 3\n");
    let span = found.span.unwrap();
    assert_eq!((span.line, span.column), (6, 3));
    assert_eq!(found.path, "spec.a");
    assert!(found.message.contains("`a`"), "{}", found.message);
    assert_eq!(found.label.as_deref(), Some("given first in line 2"));
}

#[test]
fn what_is_too_much_is_refused() {
    let depth = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert!(
        failure(&depth).message.contains("64 levels"),
        "{:?}",
        failure(&depth).message
    );
    assert_eq!(
        parse(&source(&format!("{}1{}", "[".repeat(64), "]".repeat(64))))
            .unwrap()
            .len(),
        1
    );

    let mut block = String::new();
    for level in 0..70 {
        block.push_str(&format!("{}a:\n", " ".repeat(level)));
    }
    assert!(
        failure(&block).message.contains("64 levels"),
        "{:?}",
        failure(&block).message
    );

    let nodes = format!("[{}]", "1,".repeat(50_001));
    assert!(
        failure(&nodes).message.contains("50000 values"),
        "{:?}",
        failure(&nodes).message
    );

    let bytes = format!("a: {}", "x".repeat(1 << 20));
    assert!(
        failure(&bytes).message.contains("bytes"),
        "{:?}",
        failure(&bytes).message
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        bomb.push_str(&format!(
            "{name}: &{name} [{}]\n",
            vec![format!("*{of}"); 10].join(", ")
        ));
    }
    assert!(
        failure(&bomb).message.contains("alias"),
        "{:?}",
        failure(&bomb).message
    );
    assert!(
        failure("a: &a [*a]\n").message.contains("alias"),
        "{:?}",
        failure("a: &a [*a]\n").message
    );
}

#[test]
fn syntax_errors_have_a_place_and_a_help() {
    for (text, line, column, part) in [
        ("a: b\n\tc: d\n", 2, 1, "tab"),
        ("a: b: c\n", 1, 5, "not valid YAML"),
        ("a: [1, 2\nb: 3\n", 2, 2, "not valid YAML"),
        ("a: \"x\nb: 1\n", 2, 1, "not valid YAML"),
        ("a: *.example.com\n", 1, 4, "alias"),
        ("a: !secret x\n", 1, 12, "tag"),
        ("a: 1\n b: 2\n", 2, 3, "not valid YAML"),
    ] {
        let found = failure(text);
        let span = found.span.unwrap_or_else(|| panic!("{text}: {found:?}"));
        assert!(found.message.contains(part), "{text}: {}", found.message);
        assert!(found.help.is_some(), "{text}: {}", found.message);
        assert_eq!(
            (span.line, span.column),
            (line, column),
            "{text}: {}",
            found.message
        );
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_key() {
    let text = "\u{feff}kind: x\n";
    let root = one(text);
    assert_eq!(root.get("kind").map(|node| covered(text, node)), Some("x"));
}
