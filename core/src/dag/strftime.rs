//! How templates write times.

use std::fmt::Write;

use chrono::DateTime;

use super::error::cut;
use crate::schedule::Zone;

/// `| strftime("%Y/%m", "Europe/Berlin")`: a time as text, in UTC or the zone named.
///
/// # Errors
/// What is no time, no zone or no format.
pub(super) fn strftime(time: &str, format: &str, zone: Option<&str>) -> Result<String, String> {
    let instant = DateTime::parse_from_rfc3339(time)
        .map_err(|_| format!("`{}` is not a time such as 2026-01-31T06:00:00Z", cut(time)))?;
    let zone = zone.map_or(Ok(Zone::UTC), Zone::named).map_err(|error| error.to_string())?;
    let mut text = String::new();
    write!(text, "{}", instant.with_timezone(&zone).format(format))
        .map_err(|_| format!("`{}` is not a date format", cut(format)))?;
    Ok(text)
}
