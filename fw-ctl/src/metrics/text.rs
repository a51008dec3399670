//! The two text formats: Prometheus' own, version 0.0.4, and `OpenMetrics` 1.0.0.
//!
//! They differ in how families are named, and in how the text ends.

use std::fmt::Write;

use super::family::{Family, Kind, Sample};

/// Which format a scraper wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own.
    Prometheus,
    /// `OpenMetrics`.
    OpenMetrics,
}

impl Format {
    /// What the header `Accept` asks for. `OpenMetrics` only if it is named and not weighted 0; a
    /// scraper that names it understands it.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let named = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            let refused = parts.any(|part| {
                let weight = part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
                weight.is_some_and(|weight| weight <= 0.0)
            });
            is_named && !refused
        });
        match named {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Value of the header `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families in a format.
#[must_use]
pub fn render(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families {
        write(&mut text, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write(text: &mut String, family: &Family, format: Format) {
    let definition = family.definition;
    let is_open = format == Format::OpenMetrics;
    let (name, kind) = match definition.kind {
        Kind::Counter if is_open => (without(definition.name, "_total"), "counter"),
        Kind::Info if is_open => (without(definition.name, "_info"), "info"),
        kind => (definition.name, kind.name()),
    };
    let help = escape(definition.help, is_open);
    // Writing into a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    if let Some(unit) = definition.unit.filter(|_| is_open) {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    for sample in &family.samples {
        write_sample(text, definition.name, sample);
    }
}

fn without<'a>(name: &'a str, end: &str) -> &'a str {
    name.strip_suffix(end).unwrap_or(name)
}

fn write_sample(text: &mut String, name: &str, sample: &Sample) {
    let _ = write!(text, "{name}{}", sample.suffix);
    for (index, (label, value)) in sample.labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        let _ = write!(text, "{before}{label}=\"{}\"", escape(value, true));
    }
    let end = if sample.labels.is_empty() { "" } else { "}" };
    let _ = writeln!(text, "{end} {}", sample.value);
}

/// As both formats escape it; `quotes`: in values of labels, and in `OpenMetrics` everywhere.
fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Definition;

    fn define(
        name: &'static str,
        kind: Kind,
        unit: Option<&'static str>,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &'static Definition {
        Box::leak(Box::new(Definition {
            name,
            kind,
            unit,
            labels,
            help,
        }))
    }

    fn families() -> [Family; 3] {
        let bytes = define(
            "fw_bytes_total",
            Kind::Counter,
            Some("bytes"),
            &["policy"],
            "Of \"all\".",
        );
        let labels = &["version", "os"];
        let info = define("fw_build_info", Kind::Info, None, labels, "What it is.");
        let gauge = define("fw_mode", Kind::Gauge, None, &[], "Mode.");
        [
            Family::of(bytes, [(["a\"b\\c\nd".into()], 7)]),
            Family::single(gauge, 1 << 53),
            Family::of(info, [(["1".into(), "linux".into()], 1)]),
        ]
    }

    #[test]
    fn prometheus_text() {
        let expected = r#"# HELP fw_bytes_total Of "all".
# TYPE fw_bytes_total counter
fw_bytes_total{policy="a\"b\\c\nd"} 7
# HELP fw_mode Mode.
# TYPE fw_mode gauge
fw_mode 9007199254740992
# HELP fw_build_info What it is.
# TYPE fw_build_info gauge
fw_build_info{version="1",os="linux"} 1
"#;
        assert_eq!(render(&families(), Format::Prometheus), expected);
    }

    #[test]
    fn openmetrics_text() {
        let expected = r#"# HELP fw_bytes Of \"all\".
# TYPE fw_bytes counter
# UNIT fw_bytes bytes
fw_bytes_total{policy="a\"b\\c\nd"} 7
# HELP fw_mode Mode.
# TYPE fw_mode gauge
fw_mode 9007199254740992
# HELP fw_build What it is.
# TYPE fw_build info
fw_build_info{version="1",os="linux"} 1
# EOF
"#;
        assert_eq!(render(&families(), Format::OpenMetrics), expected);
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain;version=0.0.4;q=0.5", Prometheus),
            (
                "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "text/plain, Application/OpenMetrics-Text; q=0.5",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0", Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
