//! What was tried, what was to be expected, what came: one line each, with tabs between
//! the columns, so that a person can read it and a program too.
//!
//! `ok` and `WRONG` are checks; `data` is a measurement that proves nothing by itself.

use std::fmt::Display;

/// The lines of one scenario, written as they come.
#[derive(Debug)]
pub struct Report {
    scenario: String,
    checks: usize,
    wrong: usize,
}

impl Report {
    /// Nothing tried so far.
    #[must_use]
    pub fn of(scenario: impl Into<String>) -> Self {
        Self {
            scenario: scenario.into(),
            checks: 0,
            wrong: 0,
        }
    }

    /// A check: good if both are written alike.
    pub fn check(&mut self, tried: impl Display, expected: impl Display, got: impl Display) {
        let (expected, got) = (expected.to_string(), got.to_string());
        let good = expected == got;
        self.judged(tried, &expected, &got, good);
    }

    /// A check that a number is no more than `most`.
    pub fn at_most(&mut self, tried: impl Display, most: u64, got: u64) {
        let expected = format!("at most {most}");
        self.judged(tried, &expected, &got.to_string(), got <= most);
    }

    /// A check that a number is no less than `least`.
    pub fn at_least(&mut self, tried: impl Display, least: u64, got: u64) {
        let expected = format!("at least {least}");
        self.judged(tried, &expected, &got.to_string(), got >= least);
    }

    /// A measurement.
    pub fn data(&self, what: impl Display, value: impl Display) {
        anstream::println!("data\t{}\t{what}\t{value}", self.scenario);
    }

    /// Something that could not be tried counts as wrong.
    pub fn failed(&mut self, error: &sandbox::Error) {
        let text = error.to_string().replace('\n', " | ");
        self.judged("to run the scenario", "no error", &text, false);
    }

    /// How many checks there were, and how many of them were not as expected.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        (self.checks, self.wrong)
    }

    fn judged(&mut self, tried: impl Display, expected: &str, got: &str, good: bool) {
        self.checks += 1;
        self.wrong += usize::from(!good);
        let verdict = if good { "ok" } else { "WRONG" };
        let scenario = &self.scenario;
        anstream::println!("{verdict}\t{scenario}\t{tried}\t{expected}\t{got}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_wrong() {
        let mut report = Report::of("scenario");
        report.check("words", "tc", "tc");
        report.check("words", "tc", "xdp-native");
        report.at_most("few", 3, 3);
        report.at_most("few", 3, 4);
        report.at_least("many", 3, 3);
        report.at_least("many", 3, 2);
        report.data("a number", 7);
        assert_eq!(report.totals(), (6, 3));
        report.failed(&sandbox::Error::Unexpected("a\nb".into()));
        assert_eq!(report.totals(), (7, 4));
    }
}
