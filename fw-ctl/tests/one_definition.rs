//! Help, man pages and the completions of three shells are made of one definition: each
//! command has the same flags and subcommands in all of them, and none has more.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Flags and subcommands by command: `""` is fw-ctl itself, `"ban add"` one of two words.
type Tree = BTreeMap<String, Said>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    flags: BTreeSet<String>,
    commands: BTreeSet<String>,
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The flags of `-o, --output <FORMAT>  How to print`, which everything begins with that
/// explains a flag.
fn flags(line: &str) -> impl Iterator<Item = String> + '_ {
    let parts = line.trim().split(", ");
    let flags = parts.take_while(|part| part.starts_with('-'));
    flags.map(|part| {
        let end = part.find([' ', '=', '[', '.']).unwrap_or(part.len());
        part[..end].to_owned()
    })
}

/// Without clap's own `help`, which has a man page nowhere.
fn add_command(said: &mut Said, name: &str) {
    if name != "help" {
        said.commands.insert(name.to_owned());
    }
}

/// What `--help` says of a command and of all below it.
fn help(path: &str, tree: &mut Tree) {
    let words = path.split_whitespace().chain(["--help"]);
    let text = run(&words.collect::<Vec<_>>());
    let mut said = Said::default();
    let mut section = "";
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match (indent, section) {
            (0, _) => section = line,
            (2, "Commands:") => {
                add_command(&mut said, line.split_whitespace().next().unwrap());
            }
            (2..=6, _) => said.flags.extend(flags(line)),
            _ => {}
        }
    }
    for name in &said.commands {
        help(format!("{path} {name}").trim_start(), tree);
    }
    tree.insert(path.to_owned(), said);
}

/// What the man pages say: one for each command.
fn man() -> Tree {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-definition");
    let _ = std::fs::remove_dir_all(&dir);
    run(&["man", "--out", dir.to_str().unwrap()]);
    let mut tree = Tree::new();
    let mut names = BTreeMap::new();
    for file in std::fs::read_dir(&dir).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let text = text.replace("\\-", "-");
        let text = ["\\fB", "\\fI", "\\fR"]
            .iter()
            .fold(text, |text, font| text.replace(font, ""));
        let mut said = Said::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let (".TP", Some(term)) = (line, lines.peek()) {
                match term.strip_suffix("(1)") {
                    Some(page) => {
                        said.commands.insert(page.to_owned());
                    }
                    None => said.flags.extend(flags(term)),
                }
            }
        }
        // The command in words, which the name of its file does not tell.
        let synopsis = text.split(".SH SYNOPSIS\n").nth(1).unwrap();
        let words = synopsis.split([' ', '\n']).skip(1);
        let words =
            words.take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
        let path = words.collect::<Vec<_>>().join(" ");
        let page = file.file_name().into_string().unwrap();
        names.insert(page.trim_end_matches(".1").to_owned(), path.clone());
        assert_eq!(
            tree.insert(path.clone(), said),
            None,
            "{path} has two pages"
        );
    }
    for said in tree.values_mut() {
        let pages = std::mem::take(&mut said.commands);
        for page in pages.iter().filter(|page| !page.ends_with("-help")) {
            let path = names.get(page).unwrap_or_else(|| panic!("no page {page}"));
            add_command(said, path.split(' ').next_back().unwrap());
        }
    }
    tree
}

/// What bash itself offers behind each command: the script is sourced, and the function
/// that it registers is called as bash calls it.
fn bash(known: &Tree) -> Tree {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-definition.bash");
    std::fs::write(&file, run(&["completions", "bash"])).unwrap();
    let mut tree = Tree::new();
    bash_below("", &file, known, &mut tree);
    tree
}

fn bash_below(path: &str, file: &Path, known: &Tree, tree: &mut Tree) {
    const ASK: &str = r#"
        source "$1"
        function=$(complete -p fw-ctl | sed 's/.* -F \([^ ]*\) .*/\1/')
        COMP_WORDS=(fw-ctl "${@:2}" "")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        "$function" fw-ctl "" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let asked = Command::new("bash")
        .args(["--norc", "-c", ASK, "bash"])
        .arg(file)
        .args(path.split_whitespace())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{path}: {asked:?}");
    let has_commands = !known[path].commands.is_empty();
    let mut said = Said::default();
    for word in String::from_utf8(asked.stdout).unwrap().lines() {
        match word.chars().next() {
            Some('-') => said.flags.extend(flags(word)),
            // Not `<PATH>` or `[ADDRESS]`; where there are no commands, words are values.
            Some('a'..='z') if has_commands => add_command(&mut said, word),
            _ => {}
        }
    }
    // One that help does not know is told by the comparison.
    for name in said.commands.intersection(&known[path].commands) {
        bash_below(format!("{path} {name}").trim_start(), file, known, tree);
    }
    tree.insert(path.to_owned(), said);
}

/// `complete -c fw-ctl -n "…using_subcommand ban; and …" -s o -l output -d '…'`.
fn fish() -> Tree {
    let text = run(&["completions", "fish"]);
    let mut tree = Tree::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("complete -c fw-ctl -n \"") else {
            continue;
        };
        let (condition, rest) = rest.split_once('"').unwrap();
        let (using, seen) = condition.split_once("; and ").unwrap_or((condition, ""));
        let mut path = match using.strip_prefix("__fish_fw_ctl_using_subcommand ") {
            Some(command) => command.to_owned(),
            None => {
                assert_eq!(using, "__fish_fw_ctl_needs_command");
                String::new()
            }
        };
        if let Some(below) = seen.strip_prefix("__fish_seen_subcommand_from ") {
            path = format!("{path} {below}");
        }
        let said = tree.entry(path).or_default();
        let rest = rest.split(" -d '").next().unwrap();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let mut is_flag = false;
        for pair in words.windows(2) {
            match pair[0] {
                "-s" => said.flags.insert(format!("-{}", pair[1])),
                "-l" => said.flags.insert(format!("--{}", pair[1])),
                _ => continue,
            };
            is_flag = true;
        }
        if let (false, Some((_, command))) = (is_flag, rest.split_once(" -a \"")) {
            add_command(said, command.trim_end().trim_end_matches('"'));
        }
    }
    tree
}

/// Nested `case`s, in which `(ban)` stands before the `_arguments` of a command, and a
/// function for each command that has others below it.
fn zsh() -> Tree {
    let text = run(&["completions", "zsh"]);
    let mut tree = Tree::from([(String::new(), Said::default())]);
    // Words of the command that is read; `None`: a state, which is no word.
    let mut stack: Vec<Option<String>> = Vec::new();
    let mut is_state = false;
    let mut listing: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("_fw-ctl")
            .and_then(|rest| rest.strip_suffix("_commands() {"))
        {
            listing = Some(name.replace("__subcmd__", " ").trim().to_owned());
            continue;
        }
        if let Some(path) = &listing {
            if line == "}" {
                listing = None;
            } else if let Some(entry) = line.trim().strip_prefix('\'')
                && let Some((name, _)) = entry.split_once(':')
            {
                let said = tree.entry(path.clone()).or_default();
                add_command(said, name);
            }
            continue;
        }
        if line.trim_start().starts_with("case ") {
            is_state = line.contains("$state");
        } else if line.trim() == ";;" {
            stack.pop();
        } else if line.trim() == "esac" {
            is_state = false;
        } else if let Some(name) = line
            .trim()
            .strip_prefix('(')
            .and_then(|l| l.strip_suffix(')'))
            && !name.contains(' ')
        {
            stack.push((!is_state).then(|| name.to_owned()));
        } else if line.starts_with("_arguments") || line.starts_with("    _arguments") {
            tree.entry(zsh_path(&stack)).or_default();
        } else if let Some(flag) = line.trim().strip_prefix('\'') {
            // `(-a --all)--all[…`: what it excludes stands before.
            let flag = match flag.strip_prefix('(') {
                Some(rest) => rest.split_once(')').unwrap().1,
                None => flag,
            };
            let flag = flag.trim_start_matches('*');
            if flag.starts_with('-') {
                let end = flag.find(['=', '+', '[']).unwrap();
                let said = tree.entry(zsh_path(&stack)).or_default();
                said.flags.insert(flag[..end].to_owned());
            }
        }
    }
    tree
}

fn zsh_path(stack: &[Option<String>]) -> String {
    let words: Vec<&str> = stack.iter().flatten().map(String::as_str).collect();
    words.join(" ")
}

/// Without clap's own help on commands.
fn without_help(tree: Tree) -> Tree {
    let is_help = |path: &str| path.split(' ').any(|word| word == "help");
    tree.into_iter()
        .filter(|(path, _)| !is_help(path))
        .collect()
}

#[test]
fn help_man_pages_and_completions_have_the_same_commands_and_flags() {
    let mut expected = Tree::new();
    help("", &mut expected);
    // What is compared is there at all.
    assert!(expected[""].commands.contains("daemon"));
    assert!(
        expected["ban add"].flags.contains("--force"),
        "{expected:?}"
    );
    assert!(expected["trace"].flags.contains("-o"), "{expected:?}");
    for (name, found) in [
        ("man", man()),
        ("bash", bash(&expected)),
        ("zsh", zsh()),
        ("fish", fish()),
    ] {
        let found = without_help(found);
        let commands = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(commands(&found), commands(&expected), "{name}");
        for (path, said) in &expected {
            assert_eq!(&found[path], said, "{name}: fw-ctl {path}");
        }
    }
}
