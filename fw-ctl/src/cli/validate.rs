//! `fw-ctl policy validate`: are these policies acceptable? Offline, without root.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output;
use super::table::table;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lists::{Found, ListFiles, without_lists};
use crate::policy::decode::{Body, Decoded};
use crate::policy::load::{self, File};

/// Every document is acceptable.
const FINE: u8 = 0;
/// At least one is not.
const INVALID: u8 = 3;

/// Checks policy files against the schema of Cilium's policies.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Files, or directories whose .yaml, .yml and .json files and lists of prefixes (.cidr,
    /// .netset, .ipset) are read; - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// The forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: a line a document; findings with the place in the text on stderr
    Table,
    /// For programs: one JSON object a line and document
    Json,
}

/// The verdict on one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accept,
    Reject,
    Skip,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Skip => "skip",
        }
    }
}

/// One document, or one file that is no YAML, or a list.
struct Row {
    file: String,
    document: usize,
    /// Of an item of a `List`: `items[2]`; else empty.
    item: String,
    line: usize,
    kind: String,
    name: String,
    outcome: Outcome,
    diagnostics: Vec<Diagnostic>,
}

/// Runs the command. Colours only where they are wanted.
///
/// # Errors
/// When stdout cannot be written. Who closes the pipe has read enough: the verdict
/// stands.
pub fn run(args: &ValidateArgs) -> output::Outcome {
    let mut stdout = anstream::stdout().lock();
    let mut stderr = anstream::stderr().lock();
    let (code, printed) = run_to(args, &mut stdout, &mut stderr);
    output::written(printed.and_then(|()| stdout.flush()))?;
    Ok(code)
}

/// Like [`run`], with data to `stdout` and talk, in colour, to `stderr`. Gives the
/// exit code, and whether the data could be written; where talk cannot be, nobody
/// can be told.
pub fn run_to(
    args: &ValidateArgs,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> (u8, io::Result<()>) {
    let mut rows = rows(load::files(&without_lists(&args.paths)));
    rows.extend(ListFiles::default().read(&args.paths).into_iter().map(list));
    let rejected = rows.iter().any(|row| row.outcome == Outcome::Reject);
    let printed = match args.output {
        Output::Json => json_lines(&rows, stdout, stderr),
        Output::Table => tabular(&rows, stdout, stderr),
    };
    (if rejected { INVALID } else { FINE }, printed)
}

/// What is about no place in a text is told on `stderr` as well.
fn json_lines(rows: &[Row], stdout: &mut impl Write, stderr: &mut impl Write) -> io::Result<()> {
    for row in rows {
        for found in row.diagnostics.iter().filter(|found| found.span.is_none()) {
            let _ = writeln!(stderr, "{}", found.render(true));
        }
        writeln!(stdout, "{}", row.to_json())?;
    }
    Ok(())
}

fn rows(files: Vec<File>) -> Vec<Row> {
    let mut duplicates = load::duplicates(&files);
    let mut rows = Vec::new();
    for (n, file) in files.into_iter().enumerate() {
        let name = file.source.name.clone();
        match file.objects {
            Err(failure) => rows.push(Row {
                file: name,
                document: 0,
                item: String::new(),
                line: failure.span.map_or(1, |span| span.line),
                kind: String::new(),
                name: String::new(),
                outcome: Outcome::Reject,
                diagnostics: vec![*failure],
            }),
            Ok(objects) => {
                for object in objects {
                    let here = |d: &(usize, Diagnostic)| d.0 == n && d.1.span == Some(object.span);
                    let doubled = duplicates
                        .extract_if(.., |d| here(d))
                        .map(|(_, found)| found)
                        .collect();
                    rows.push(row(name.clone(), object, doubled));
                }
            }
        }
    }
    rows
}

/// A list is no policy; one that cannot be read is rejected like any other file.
fn list(found: Found) -> Row {
    let (name, outcome, diagnostics) = match found.list {
        Ok(list) => (list.name.clone(), Outcome::Skip, list.warnings.clone()),
        Err(errors) => (String::new(), Outcome::Reject, errors),
    };
    Row {
        file: found.file,
        document: 0,
        item: String::new(),
        line: diagnostics
            .first()
            .and_then(|first| first.span)
            .map_or(1, |span| span.line),
        kind: "list".to_owned(),
        name,
        outcome,
        diagnostics,
    }
}

fn row(file: String, object: Decoded, mut diagnostics: Vec<Diagnostic>) -> Row {
    // Each document is judged alone; that they exclude each other shows on loading.
    for found in &mut diagnostics {
        found.severity = Severity::Warning;
        found.message.push_str(": loading both is refused");
    }
    diagnostics.extend(object.diagnostics);
    let outcome = match object.body {
        _ if diagnostics.iter().any(Diagnostic::is_error) => Outcome::Reject,
        Body::Policy(_) => Outcome::Accept,
        Body::CidrGroup(_) | Body::Other => Outcome::Skip,
        Body::Invalid => Outcome::Reject,
    };
    Row {
        file,
        document: object.index,
        item: object.item,
        line: object.span.line,
        kind: object.kind,
        name: object.name,
        outcome,
        diagnostics,
    }
}

impl Row {
    fn to_json(&self) -> Value {
        let (errors, warnings): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
            self.diagnostics.iter().partition(|found| found.is_error());
        let all = |found: Vec<&Diagnostic>| {
            found
                .into_iter()
                .map(Diagnostic::to_json)
                .collect::<Value>()
        };
        let mut value = json!({
            "file": self.file,
            "document": self.document,
            "kind": self.kind,
            "name": self.name,
            "result": self.outcome.name(),
            "errors": all(errors),
            "warnings": all(warnings),
        });
        // All items of a list are of one document.
        if !self.item.is_empty() {
            value["item"] = json!(self.item);
        }
        value
    }
}

fn tabular(rows: &[Row], stdout: &mut impl Write, stderr: &mut impl Write) -> io::Result<()> {
    for found in rows.iter().flat_map(|row| &row.diagnostics) {
        let _ = writeln!(stderr, "{}\n", found.render(true));
    }
    let cells = rows.iter().map(|row| {
        let warnings = row.diagnostics.iter().filter(|found| !found.is_error());
        let place = if row.line > 1 {
            format!("{}:{}", row.file, row.line)
        } else {
            row.file.clone()
        };
        [
            row.outcome.name().to_owned(),
            warnings.count().to_string(),
            row.kind.clone(),
            row.name.clone(),
            place,
        ]
    });
    let header = ["RESULT", "WARNINGS", "KIND", "NAME", "FILE"];
    if !rows.is_empty() {
        writeln!(stdout, "{}", table(header, cells))?;
    }
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    writeln!(
        stdout,
        "{} accepted, {} rejected, {} skipped",
        count(Outcome::Accept),
        count(Outcome::Reject),
        count(Outcome::Skip)
    )
}
