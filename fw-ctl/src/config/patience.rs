//! For how long something waits: `policy.confirm`, for a confirmation; `policy.shrink_delay`,
//! before a list loses what it has lost.

use serde::{Deserialize, Serialize};

use crate::moment;

/// Nobody waits longer before he knows whether he is locked out.
pub const LONGEST: u64 = 24 * 60 * 60;
const OFF: &str = "off";

/// Seconds; 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Patience(u64);

impl Patience {
    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

/// Reads how long a change is on trial, in seconds.
///
/// # Errors
/// What about it is no span of time, or is too long.
pub fn parse(text: &str) -> Result<u64, String> {
    match moment::parse_any_span(text)? {
        seconds @ 1..=LONGEST => Ok(seconds),
        _ => Err(format!("`{text}` is longer than a day")),
    }
}

impl TryFrom<String> for Patience {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(0));
        }
        let seconds = parse(&text).map_err(|why| format!("{why}; or write `{OFF}`"))?;
        Ok(Self(seconds))
    }
}

impl From<Patience> for String {
    fn from(Patience(seconds): Patience) -> Self {
        match seconds {
            0 => OFF.into(),
            seconds => format!("{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_up_to_a_day() {
        for (text, seconds) in [("60s", 60), ("1m30s", 90), ("24h", LONGEST), ("off", 0)] {
            let patience = Patience::try_from(text.to_owned()).unwrap();
            assert_eq!(patience.seconds(), seconds);
            assert_eq!(Patience::try_from(String::from(patience)), Ok(patience));
        }
        for text in ["", "60", "0s", "25h", "never"] {
            let why = Patience::try_from(text.to_owned()).unwrap_err();
            assert!(why.contains("`off`"), "{why}");
        }
    }
}
