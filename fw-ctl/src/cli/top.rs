//! `fw-ctl top`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome};
use crate::control::protocol::Failure;
use crate::exit;
use crate::signals::Signals;
use crate::top::tables::Pane;
use crate::top::{batch, feed, run as screen};
use crate::why::why;

/// Arguments of `top`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Seconds between two readings
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = delay)]
    delay: Duration,
    /// Print tables on stdout, for pipes and scripts, one block for each interval
    #[arg(short, long)]
    batch: bool,
    /// End after so many blocks
    #[arg(short = 'n', long, value_name = "NUMBER", requires = "batch",
          value_parser = clap::value_parser!(u64).range(1..))]
    iterations: Option<u64>,
    /// The same as --batch --iterations 1
    #[arg(long, conflicts_with_all = ["batch", "iterations"])]
    once: bool,
    /// The table that is shown first; with --batch, the tables that are printed
    #[arg(long, value_enum, value_name = "TABLE", value_delimiter = ',')]
    view: Vec<Pane>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// From a tenth of a second to an hour.
fn delay(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is no number of seconds; try: 2, or 0.5".to_owned())?;
    match (0.1..=3_600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("it is not from 0.1 to 3600 seconds".to_owned()),
    }
}

/// Shows or prints rates.
///
/// # Errors
/// When the daemon does not answer, there is no terminal to show them on, or stdout cannot be
/// written.
pub fn run(args: &Args) -> Outcome {
    let is_batch = args.batch || args.once;
    let count = match args.once {
        true => Some(1),
        false => args.iterations,
    };
    match is_batch {
        true => for_programs(args)?,
        false => for_a_terminal(args)?,
    }
    let unstartable = |error: std::io::Error| {
        let message = format!(
            "the daemon cannot be asked beside the screen: {}",
            why(&error)
        );
        Failure::new(exit::UNREACHABLE, message)
    };
    let socket = args.client.socket();
    if is_batch {
        let news = feed::start(socket, args.delay).map_err(unstartable)?;
        let panes = match args.view.as_slice() {
            [] => &Pane::ALL,
            panes => panes,
        };
        batch::run(&news, count, panes, args.output.format)?;
        return Ok(exit::OK);
    }
    let signals = Signals::listen(given_back).map_err(unstartable)?;
    let news = feed::start(socket, args.delay).map_err(unstartable)?;
    let pane = args.view.first().copied().unwrap_or(Pane::Rules);
    let choice = anstream::AutoStream::choice(&std::io::stdout());
    screen::run(
        &news,
        &signals,
        pane,
        choice != anstream::ColorChoice::Never,
    )
}

/// The terminal, unless it is gone: then it cannot be told either.
fn given_back() {
    let _ = ratatui::try_restore();
}

/// What contradicts itself in a batch.
fn for_programs(args: &Args) -> Result<(), Failure> {
    if args.output.format == Format::Json && !args.view.is_empty() {
        let what = "an object of JSON has every table, so --view has no meaning";
        return Err(Failure::new(exit::USAGE, what).help("fw-ctl top --batch -o json"));
    }
    Ok(())
}

/// What is wrong where no terminal can be taken over.
fn for_a_terminal(args: &Args) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::new(exit::USAGE, what).help("fw-ctl top --batch"));
    if args.output.format == Format::Json {
        return refuse("JSON is for programs, and a live view is not");
    }
    if args.view.len() > 1 {
        return refuse("a screen shows one table at a time, and --view names several");
    }
    if !std::io::stdout().is_terminal() {
        return refuse("stdout is no terminal, so there is nothing to draw on");
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return refuse("TERM names no terminal that can be drawn on");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parsed;

    fn args(arguments: &[&str]) -> Option<Args> {
        parsed(arguments).ok()
    }

    #[test]
    fn delays_are_seconds_within_reason() {
        let of = |text: &str| args(&["-d", text]).map(|args| args.delay.as_millis());
        assert_eq!(args(&[]).unwrap().delay, Duration::from_secs(2));
        assert_eq!(of("0.5"), Some(500));
        assert_eq!(of("3600"), Some(3_600_000));
        for wrong in ["0", "-1", "0.09", "3601", "nan", "inf", "soon"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_of_blocks_are_for_batches() {
        assert!(args(&["-n", "3"]).is_none());
        assert!(args(&["-b", "-n", "0"]).is_none());
        assert!(args(&["--once", "-b"]).is_none());
        assert_eq!(args(&["-b", "-n", "3"]).unwrap().iterations, Some(3));
        let views = args(&["--view", "rules,ports"]).unwrap().view;
        assert_eq!(views, [Pane::Rules, Pane::Ports]);
    }

    #[test]
    fn views_that_mean_nothing_are_refused() {
        for (arguments, help) in [
            (
                &["--batch", "-o", "json", "--view", "ports"][..],
                "fw-ctl top --batch -o json",
            ),
            (&["--view", "ports,rules"], "fw-ctl top --batch"),
        ] {
            let failure = run(&args(arguments).unwrap()).unwrap_err();
            assert_eq!(failure.exit, exit::USAGE);
            assert_eq!(failure.help.as_deref(), Some(help));
        }
    }

    #[test]
    fn without_a_terminal_it_says_what_to_do() {
        for arguments in [&[][..], &["-o", "json"]] {
            let args = args(arguments).unwrap();
            // Where tests run under a terminal, the second one is refused all the same.
            if arguments.is_empty() && std::io::stdout().is_terminal() {
                continue;
            }
            let failure = run(&args).unwrap_err();
            assert_eq!(failure.exit, exit::USAGE);
            assert_eq!(failure.help.as_deref(), Some("fw-ctl top --batch"));
        }
    }
}
