//! Rate limits: the annotation `fw-ctl.io/rate` of a policy.
//!
//! An extension of ours, as an annotation, so that the policy stays one that
//! Kubernetes and Cilium take (Cilium ignores it). The grammar:
//!
//! ```text
//! N/s | N/m | N/h   [per /P4 [/P6]]   [burst B]
//! ```
//!
//! Every ingress allow rule of the policy admits that many new TCP connections, and
//! packets of other protocols, of each peer. Peers are told apart by the prefix of
//! their address; without `per` all of them together are one. `B` may come at once; if
//! it is not said, `N`: of `10/m` ten, and then one every six seconds.

use std::fmt;

use crate::printable::quoted;

/// The key of the annotation.
pub const ANNOTATION: &str = "fw-ctl.io/rate";
/// Prefixes of peers if only `per /32` is said: the part of an address that is one
/// host's in IPv4, one network's in IPv6 (RFC 6177), where a host takes any address.
const HOST: (u8, u8) = (32, 64);
/// More than a CPU judges in a second, so more is no limit.
const MOST: u32 = 10_000_000;
/// Seconds in which a burst must come back: the datapath counts up to there.
const LONGEST: u64 = 7 * 24 * 3_600;

/// What a count is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// `s`.
    Second,
    /// `m`.
    Minute,
    /// `h`.
    Hour,
}

impl Period {
    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
        }
    }
}

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many, 1 to 10,000,000,
    pub count: u32,
    /// in which time.
    pub period: Period,
    /// Bits of the address that tell one peer from another, in IPv4 and in IPv6;
    /// `None`: all peers of both families are one.
    pub prefixes: Option<(u8, u8)>,
    /// How many may come at once, 1 to 10,000,000.
    pub burst: u32,
}

/// Why a text is no rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, RateError> {
    Err(RateError {
        message: message.into(),
        help: help.into(),
    })
}

impl std::str::FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let mut words = text.split_whitespace().peekable();
        let Some(rate) = words.next() else {
            return wrong("the rate is empty", EXAMPLES);
        };
        let (count, period) = count_and_period(rate)?;
        let mut prefixes = None;
        let mut burst = None;
        while let Some(word) = words.next() {
            match word {
                "per" if prefixes.is_none() && burst.is_none() => {
                    let v4 = prefix(words.next(), 32)?;
                    let v6 = match words.next_if(|word| word.starts_with('/')) {
                        Some(word) => prefix(Some(word), 128)?,
                        None if v4 == HOST.0 => HOST.1,
                        None => v4 * 2,
                    };
                    prefixes = Some((v4, v6));
                }
                "burst" if burst.is_none() => {
                    let word = words.next().unwrap_or_default();
                    burst = Some(number(word, "burst")?);
                }
                _ => {
                    return wrong(
                        format!("{} is not expected in a rate", quoted(word)),
                        EXAMPLES,
                    );
                }
            }
        }
        let burst = burst.unwrap_or(count);
        let seconds = u64::from(burst) * period.seconds() / u64::from(count);
        if seconds > LONGEST {
            return wrong(
                format!(
                    "a burst of {burst} takes {} hours to come back at {rate}",
                    seconds / 3_600
                ),
                "at most a week, 168 hours: take a smaller burst or a higher rate",
            );
        }
        Ok(Self {
            count,
            period,
            prefixes,
            burst,
        })
    }
}

const EXAMPLES: &str = "for example `1000/s`, `10/m per /32`, `1000/s per /24 /56 burst 50`";

fn count_and_period(text: &str) -> Result<(u32, Period), RateError> {
    let Some((count, period)) = text.split_once('/') else {
        return wrong(format!("{} is not a rate", quoted(text)), EXAMPLES);
    };
    let period = match period {
        "s" => Period::Second,
        "m" => Period::Minute,
        "h" => Period::Hour,
        _ => {
            return wrong(
                format!("{} is not a time that rates are counted in", quoted(period)),
                "`s`, `m` or `h`: per second, minute or hour",
            );
        }
    };
    Ok((number(count, "rate")?, period))
}

fn number(text: &str, what: &str) -> Result<u32, RateError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|n| (1..=MOST).contains(n));
    match number {
        Some(number) if digits => Ok(number),
        _ => wrong(
            format!(
                "the {what} {} is not a number between 1 and {MOST}",
                quoted(text)
            ),
            EXAMPLES,
        ),
    }
}

fn prefix(word: Option<&str>, longest: u8) -> Result<u8, RateError> {
    let word = word.unwrap_or_default();
    let length = word
        .strip_prefix('/')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|length| *length <= longest);
    let family = if longest == 32 { "IPv4" } else { "IPv6" };
    match length {
        Some(length) => Ok(length),
        None => wrong(
            format!("{} is not the length of a prefix of {family}", quoted(word)),
            format!(
                "`/0` to `/{longest}`: `per /32` for each address of IPv4 and /64 of IPv6, \
                 `per /24 /56` to choose both"
            ),
        ),
    }
}

/// As it is written, everything said: `1000/s per /32 /64 burst 1000`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.period.letter())?;
        if let Some((v4, v6)) = self.prefixes {
            write!(f, " per /{v4} /{v6}")?;
        }
        write!(f, " burst {}", self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Rate, String> {
        text.parse().map_err(|error: RateError| error.message)
    }

    #[test]
    fn what_is_not_said_is_chosen() {
        let says = |text| parsed(text).unwrap().to_string();
        assert_eq!(says("1000/s"), "1000/s burst 1000");
        assert_eq!(says("1000/s per /32"), "1000/s per /32 /64 burst 1000");
        assert_eq!(says("10/m per /24"), "10/m per /24 /48 burst 10");
        assert_eq!(says("1/h per /0"), "1/h per /0 /0 burst 1");
        assert_eq!(
            says(" 5/h  per /32 /128  burst 2 "),
            "5/h per /32 /128 burst 2"
        );
        assert_eq!(says("7/m burst 3"), "7/m burst 3");
    }

    #[test]
    fn a_text_that_is_printed_is_read_back() {
        for text in ["1000/s per /32", "3/h burst 9", "10000000/s per /8 /17"] {
            let rate = parsed(text).unwrap();
            assert_eq!(parsed(&rate.to_string()).unwrap(), rate);
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (text, says) in [
            ("", "the rate is empty"),
            ("1000", "\"1000\" is not a rate"),
            ("1000/d", "\"d\" is not a time that rates are counted in"),
            (
                "1000/sec",
                "\"sec\" is not a time that rates are counted in",
            ),
            (
                "0/s",
                "the rate \"0\" is not a number between 1 and 10000000",
            ),
            (
                "+5/s",
                "the rate \"+5\" is not a number between 1 and 10000000",
            ),
            (
                "10000001/s",
                "the rate \"10000001\" is not a number between 1 and 10000000",
            ),
            ("1/s per", "\"\" is not the length of a prefix of IPv4"),
            ("1/s per 32", "\"32\" is not the length of a prefix of IPv4"),
            (
                "1/s per /33",
                "\"/33\" is not the length of a prefix of IPv4",
            ),
            (
                "1/s per /32 /129",
                "\"/129\" is not the length of a prefix of IPv6",
            ),
            (
                "1/s burst",
                "the burst \"\" is not a number between 1 and 10000000",
            ),
            ("1/s burst 2 per /32", "\"per\" is not expected in a rate"),
            ("1/s burst 2 burst 3", "\"burst\" is not expected in a rate"),
            ("1/s pro /32", "\"pro\" is not expected in a rate"),
            (
                "1/h burst 169",
                "a burst of 169 takes 169 hours to come back at 1/h",
            ),
        ] {
            assert_eq!(parsed(text), Err(says.to_owned()), "{text:?}");
        }
        assert!(parsed("1/h burst 168").is_ok());
    }
}
