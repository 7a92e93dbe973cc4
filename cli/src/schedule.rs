//! `rota schedule`: what a schedule means.

mod clock;

use chrono::{DateTime, FixedOffset, Utc};
use clap::Subcommand;
use rota_backend::SystemClock;
use rota_core::port::Clock;
use rota_core::schedule::{Part, Schedule, ScheduleError, Spec, Zone, parse_schedule_text};
use serde_json::{Value, json};

use crate::failure::{CommandResult, Failure, Outcome};
use crate::output::{Format, FormatArg, Table, print_json};
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
  rota schedule next every 15m
  rota schedule next @daily -o json | jq -r '.[].slot'

An expression is one quoted argument, or several bare ones (with `set -f`: the
shell replaces a bare * by the names of files). Soonest first; what a change of
the clock does to a time is noted beside it.";

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
    #[arg(value_name = "EXPR", required = true)]
    expr: Vec<String>,
    /// The IANA time zone that the expression is meant in
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = time::parse_zone)]
    timezone: Zone,
    /// Fire times after this: RFC 3339, or a local time or date in the time zone [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    #[command(flatten)]
    format: FormatArg,
}

/// Carries out a `rota schedule` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::Next(args) => next(&args),
    }
}

fn next(args: &NextArgs) -> CommandResult {
    let expr = args.expr.join(" ");
    let schedule = compile(args, &expr)?;
    let from = from(args)?;
    let Some(schedule) = schedule else {
        return Err(Failure::failed("`@manual` never fires by itself").at("EXPR").into());
    };
    let slots = schedule.upcoming(from, args.count as usize);
    if slots.is_empty() {
        return Err(Failure::failed(format!("`{expr}` does not fire after {}", time::instant(from)))
            .help("choose an earlier --from")
            .into());
    }
    let before = std::iter::once(from).chain(slots.iter().copied());
    let lines: Vec<SlotLine> =
        before.zip(&slots).map(|(before, slot)| SlotLine::new(before, *slot, &args.timezone)).collect();
    match args.format.format {
        Format::Json => print_json(&lines.iter().map(SlotLine::json).collect::<Value>())?,
        Format::Table => table(lines).print("no slots")?,
    }
    Ok(Outcome::Done)
}

/// A column of local times where they differ from UTC, and one of notes where there is any.
fn table(lines: Vec<SlotLine>) -> Table {
    let has_local = lines.iter().any(|line| line.local.offset().local_minus_utc() != 0);
    let has_notes = lines.iter().any(|line| line.note.is_some());
    let columns = [(has_local, "LOCAL"), (true, "UTC"), (has_notes, "CLOCK")];
    let headings: Vec<&str> =
        columns.iter().filter(|(is_shown, _)| *is_shown).map(|(_, heading)| *heading).collect();
    let mut table = Table::new(&headings);
    for line in lines {
        let local = line.local.format("%a %Y-%m-%d %H:%M:%S %:z").to_string();
        let cells = [local, time::instant(line.slot), line.note.unwrap_or_default()];
        let shown = columns.iter().zip(cells).filter(|((is_shown, _), _)| *is_shown);
        table.row(shown.map(|(_, cell)| cell).collect());
    }
    table
}

/// A slot, as it is told.
struct SlotLine {
    slot: DateTime<Utc>,
    local: DateTime<FixedOffset>,
    note: Option<String>,
}

impl SlotLine {
    fn new(before: DateTime<Utc>, slot: DateTime<Utc>, zone: &Zone) -> Self {
        Self { slot, local: slot.with_timezone(zone).fixed_offset(), note: clock::note(before, slot, zone) }
    }

    fn json(&self) -> Value {
        json!({"slot": time::instant(self.slot), "local": self.local.to_rfc3339(), "note": self.note})
    }
}

/// The schedule, checked as a DAG file's would be; `None` for `@manual`.
fn compile(args: &NextArgs, expr: &str) -> anyhow::Result<Option<Schedule>> {
    let refused = |error: ScheduleError| {
        let place = match error.part {
            Part::Rule { offset, .. } => {
                format!("EXPR, character {}", expr.get(..offset).map_or(0, |text| text.chars().count()) + 1)
            }
            Part::Rules | Part::End => "EXPR".to_owned(),
        };
        Failure::usage(error.message)
            .at(place)
            .help("quote the expression for the shell: rota schedule next '0 6 * * 1-5'")
    };
    let Some(rules) = parse_schedule_text(expr).map_err(refused)? else { return Ok(None) };
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
