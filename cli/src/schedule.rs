//! `rota schedule`: what a schedule means.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;
use rota_backend::SystemClock;
use rota_core::port::Clock;
use rota_core::schedule::{Part, Schedule, ScheduleError, Spec, parse_schedule_text};

use crate::failure::{CommandResult, Failure, Outcome};
use crate::output::print_line;
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota schedule next '0 6 * * 1-5'  the next ten weekdays at 06:00 UTC";

const NEXT_EXAMPLES: &str = "\
Examples:
  rota schedule next '0 6 * * 1-5' --timezone Europe/Berlin
  rota schedule next '30 2 * * *' --timezone Europe/Berlin --from 2026-03-28 --count 3
      what a clock change does to it
  rota schedule next '*/10 * * * * *' --count 3
      six fields: seconds first
  rota schedule next 'every 15m'
  rota schedule next @daily

Prints one RFC 3339 UTC instant per line, soonest first.";

/// Schedules: see when an expression fires
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Next(NextArgs),
}

/// Print when a schedule fires next
#[derive(Debug, clap::Args)]
#[command(after_help = NEXT_EXAMPLES)]
pub(crate) struct NextArgs {
    /// What a DAG file's `schedule:` says: a crontab expression, @daily and its sisters, or `every 15m`
    #[arg(value_name = "EXPR")]
    expr: String,
    /// The IANA time zone that the expression is meant in
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = time::parse_zone)]
    timezone: Tz,
    /// Fire times after this: RFC 3339, or a local time or date in the time zone [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
}

/// Carries out a `rota schedule` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::Next(args) => next(&args),
    }
}

fn next(args: &NextArgs) -> CommandResult {
    let schedule = compile(args)?;
    let from = from(args)?;
    let Some(schedule) = schedule else {
        return Err(Failure::failed("`@manual` never fires by itself").at("EXPR").into());
    };
    let slots = schedule.upcoming(from, args.count as usize);
    if slots.is_empty() {
        return Err(Failure::failed(format!("`{}` does not fire after {}", args.expr, time::instant(from)))
            .help("choose an earlier --from")
            .into());
    }
    for slot in slots {
        print_line(&time::instant(slot))?;
    }
    Ok(Outcome::Done)
}

/// The schedule, checked as a DAG file's would be; `None` for `@manual`.
fn compile(args: &NextArgs) -> anyhow::Result<Option<Schedule>> {
    let refused = |error: ScheduleError| {
        let place = match error.part {
            Part::Rule { offset, .. } => {
                format!(
                    "EXPR, character {}",
                    args.expr.get(..offset).map_or(0, |text| text.chars().count()) + 1
                )
            }
            Part::Rules | Part::End => "EXPR".to_owned(),
        };
        Failure::usage(error.message)
            .at(place)
            .help("quote the expression for the shell: rota schedule next '0 6 * * 1-5'")
    };
    let Some(rules) = parse_schedule_text(&args.expr).map_err(refused)? else { return Ok(None) };
    let spec = Spec { timezone: args.timezone, ..Spec::new(rules) };
    Ok(Some(Schedule::compile(spec, "").map_err(refused)?))
}

fn from(args: &NextArgs) -> anyhow::Result<DateTime<Utc>> {
    match &args.from {
        Some(text) => {
            let refused = |error| Failure::usage(error).at("--from").expected(time::INSTANT_FORMS);
            Ok(time::parse_instant(text, args.timezone).map_err(refused)?)
        }
        None => Ok(SystemClock.now()),
    }
}
