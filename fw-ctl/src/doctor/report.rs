//! What is said: findings in groups, as text, as JSON and as an exit code.

use serde::Serialize;

use crate::exit;

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What the kernel has.
    Kernel,
    /// What this process may.
    Rights,
    /// Programs and tables.
    Datapath,
    /// The interfaces.
    Interfaces,
    /// The daemon and its configuration.
    Daemon,
}

impl Group {
    /// As a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Kernel => "Kernel",
            Self::Rights => "Rights",
            Self::Datapath => "Datapath",
            Self::Interfaces => "Interfaces",
            Self::Daemon => "Daemon",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know; nothing is wrong.
    Note,
    /// It works, slower than it could.
    Slow,
    /// It does not work, or does not protect.
    Missing,
}

impl Level {
    /// As the JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Slow => "slow",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub group: Group,
    /// What was looked at: `BPF JIT`, `eth0`.
    pub subject: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why it is so, or why it matters.
    pub why: Option<String>,
    /// What to do.
    #[serde(rename = "try")]
    pub advice: Option<String>,
}

impl Finding {
    /// A finding without reason or advice.
    pub fn new(
        group: Group,
        subject: impl Into<String>,
        level: Level,
        what: impl Into<String>,
    ) -> Self {
        Self {
            group,
            subject: subject.into(),
            level,
            what: what.into(),
            why: None,
            advice: None,
        }
    }

    /// With a reason.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A message of another part of fw-ctl, taken apart: these say `why:` and `try:` on lines of
    /// their own, or `try:` at the end of one, in brackets or behind a semicolon.
    pub fn told(group: Group, subject: impl Into<String>, level: Level, message: &str) -> Self {
        let mut finding = Self::new(group, subject, level, "");
        let mut current = &mut finding.what;
        for line in message.lines() {
            let line = line.trim();
            let mut rest = line;
            if let Some(why) = line.strip_prefix("why: ") {
                current = finding.why.get_or_insert_default();
                rest = why;
            }
            let (before, advice) = match rest.split_once("try: ") {
                Some((before, advice)) => (before, Some(advice)),
                None => (rest, None),
            };
            let bracketed = before.trim_end().ends_with('(');
            append(
                current,
                before.trim_end().trim_end_matches(['(', ';']).trim_end(),
            );
            if let Some(advice) = advice {
                let advice = match bracketed {
                    true => advice.strip_suffix(')').unwrap_or(advice),
                    false => advice,
                };
                current = finding.advice.get_or_insert_default();
                append(current, advice);
            }
        }
        finding
    }
}

/// Adds a line.
fn append(text: &mut String, line: &str) {
    if !text.is_empty() && !line.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// By group.
    pub findings: Vec<Finding>,
    #[serde(skip)]
    supported: bool,
}

impl Report {
    /// `supported`: whether fw-ctl can run on this kernel at all.
    #[must_use]
    pub fn new(findings: Vec<Finding>, supported: bool) -> Self {
        Self {
            schema: SCHEMA,
            findings,
            supported,
        }
    }

    /// 0: nothing is wrong; 1: something is slow or missing; 5: the kernel is not supported.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let worst = self.findings.iter().map(|finding| finding.level).max();
        match worst {
            _ if !self.supported => exit::UNREACHABLE,
            Some(Level::Slow | Level::Missing) => exit::NEGATIVE,
            Some(Level::Ok | Level::Note) | None => exit::OK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(levels: &[Level], supported: bool) -> Report {
        let finding = |level: &Level| Finding::new(Group::Kernel, "x", *level, "y");
        Report::new(levels.iter().map(finding).collect(), supported)
    }

    #[test]
    fn notes_are_no_failure() {
        use Level::{Missing, Note, Ok, Slow};
        for (levels, supported, code) in [
            (&[][..], true, 0),
            (&[Ok, Note], true, 0),
            (&[Slow, Ok], true, 1),
            (&[Missing, Note], true, 1),
            (&[Ok], false, 5),
        ] {
            assert_eq!(report(levels, supported).exit_code(), code, "{levels:?}");
        }
    }

    #[test]
    fn the_json_has_the_fields_that_are_promised() {
        let finding = Finding::new(Group::Interfaces, "eth0", Level::Slow, "what")
            .why("because")
            .advice("do it");
        let json = serde_json::to_value(Report::new(vec![finding], true)).unwrap();
        let expected = serde_json::json!({"schema": 1, "findings": [{
            "group": "interfaces", "subject": "eth0", "level": "slow",
            "what": "what", "why": "because", "try": "do it",
        }]});
        assert_eq!(json, expected);
        for level in [Level::Ok, Level::Note, Level::Slow, Level::Missing] {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
    }

    #[test]
    fn messages_of_other_parts_are_taken_apart() {
        let parts = |message: &str| {
            let finding = Finding::told(Group::Daemon, "daemon", Level::Missing, message);
            (finding.what, finding.why, finding.advice)
        };
        let some = |text: &str| Some(text.to_owned());
        for (message, what, why, advice) in [
            ("it is so", "it is so", None, None),
            ("a\ntry: b", "a", None, some("b")),
            ("a; try: b", "a", None, some("b")),
            ("a (try: b (c))", "a", None, some("b (c)")),
            ("a\nwhy: b\nc\ntry: d", "a", some("b\nc"), some("d")),
        ] {
            assert_eq!(parts(message), (what.to_owned(), why, advice), "{message}");
        }
    }
}
