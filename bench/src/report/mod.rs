//! What a run says, at a glance: one Markdown file with plots beside it.

mod emulated;
mod markdown;
mod plot;
pub mod summary;

use std::fs;
use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::sample;
use crate::{Error, Result};
use summary::Scenario;

/// A written report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The Markdown file.
    pub path: PathBuf,
    /// Ratios above their limit, one sentence each.
    pub over_budget: Vec<String>,
}

/// Writes report and plots beside the raw data.
///
/// # Errors
/// The raw data cannot be read, or the report not be written.
pub fn write(raw: &Path) -> Result<Report> {
    let text = fs::read_to_string(raw).map_err(Error::file(format!("read {}", raw.display())))?;
    let lines = sample::lines(&text)
        .map_err(|error| Error::Unfit(format!("{} is no raw data: {error}", raw.display())))?;
    let scenarios = summary::scenarios(&lines);
    let ping_pongs = summary::ping_pongs(&lines);
    let stem = raw
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let path = raw.with_extension("md");
    if emulated::is_of(&lines) {
        put(&path, &emulated::render(&lines, &stem))?;
        return Ok(Report {
            path,
            over_budget: Vec::new(),
        });
    }
    let mut plots = Vec::new();
    for (name, title, svg) in plot::all(&scenarios, &ping_pongs)? {
        let file = format!("{stem}-{name}.svg");
        put(&raw.with_file_name(&file), &svg)?;
        plots.push((title, file));
    }
    let over_budget = over_budget(&scenarios, &Budget::read()?);
    put(
        &path,
        &markdown::render(&lines, &scenarios, &ping_pongs, &plots, &over_budget, &stem),
    )?;
    Ok(Report { path, over_budget })
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file(format!("write {}", path.display())))
}

/// Sentences about the ratios of `fw-ctl (XDP)` that are above their limits.
#[must_use]
pub fn over_budget(scenarios: &[Scenario], budget: &Budget) -> Vec<String> {
    let ratio = |name: &str| {
        scenarios
            .iter()
            .find(|scenario| scenario.name == name)?
            .rows
            .iter()
            .find(|row| row.peer == "fw-ctl (XDP)")?
            .ratio
    };
    budget
        .ratio_to_drop
        .iter()
        .filter_map(|(name, limit)| {
            let ratio = ratio(name)?.median;
            (ratio > *limit).then(|| {
                format!("{name}: {ratio:.2} times a bare drop, at most {limit} is allowed")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Summary;
    use summary::Row;

    #[test]
    fn only_what_is_above_its_limit_is_over_budget() {
        let row = |ratio: f64| Row {
            peer: "fw-ctl (XDP)".into(),
            receive: Summary::of([60.0]).unwrap(),
            ratio: Summary::of([ratio]),
            above_nothing: None,
            fault: None,
        };
        let scenarios = ["a", "b", "c"].map(|name| Scenario {
            name: name.into(),
            rows: vec![row(3.0)],
        });
        let budget: Budget = toml_edit::de::from_str(
            "[ratio_to_drop]\na = 3.2\nb = 2.5\nnot-measured = 1.0\n[stack]\n[kernel]\n",
        )
        .unwrap();
        let over = over_budget(&scenarios, &budget);
        assert_eq!(over, ["b: 3.00 times a bare drop, at most 2.5 is allowed"]);
    }
}
