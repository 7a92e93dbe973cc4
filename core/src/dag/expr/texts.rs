//! Filters over texts.

use super::datum::Datum;
use super::given::GivenArgs;
use super::items::attribute;
use super::meter::Meter;
use crate::dag::strftime;

type Result<T> = std::result::Result<T, String>;

/// A letter becomes three letters of up to three bytes each, at most.
const CASE_BYTES: usize = 9;

/// The text of a value, charged for as many bytes as a change of letters may make.
fn text(value: &Datum, meter: &mut Meter) -> Result<std::sync::Arc<str>> {
    let text = value.to_text(meter)?;
    meter.bytes(text.len().saturating_mul(if text.is_ascii() { 1 } else { CASE_BYTES }))?;
    Ok(text)
}

pub(super) fn upper(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    Ok(Datum::text(text(value, meter)?.to_uppercase()))
}

pub(super) fn lower(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    Ok(Datum::text(text(value, meter)?.to_lowercase()))
}

/// The text in small letters, for comparisons that do not mind.
pub(super) fn without_case(of: &std::sync::Arc<str>, meter: &mut Meter) -> Result<Datum> {
    lower(&Datum::Text(std::sync::Arc::clone(of)), &mut GivenArgs::default(), meter)
}

pub(super) fn capitalize(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let text = text(value, meter)?;
    let mut signs = text.chars();
    let first = signs.next().into_iter().flat_map(char::to_uppercase);
    Ok(Datum::text(first.chain(signs.as_str().to_lowercase().chars()).collect::<String>()))
}

pub(super) fn title(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let text = text(value, meter)?;
    let mut titled = String::with_capacity(text.len());
    let mut begins = true;
    for sign in text.chars() {
        if begins {
            titled.extend(sign.to_uppercase());
        } else {
            titled.extend(sign.to_lowercase());
        }
        begins = !(sign.is_alphanumeric() || sign == '_');
    }
    Ok(Datum::text(titled))
}

pub(super) fn trim(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let chars = given.text("chars")?;
    let text = text(value, meter)?;
    Ok(Datum::text(match chars {
        None => text.trim(),
        Some(chars) => {
            meter.charge(text.len().saturating_mul(chars.len() / 16 + 1))?;
            text.trim_matches(|sign| chars.contains(sign))
        }
    }))
}

pub(super) fn lines(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let text = text(value, meter)?;
    meter.charge(text.bytes().filter(|byte| *byte == b'\n').count() + 1)?;
    Datum::list(text.lines().map(Datum::text).collect(), meter)
}

/// `replace("from", "to")`; with a third argument, so many times at most.
pub(super) fn replace(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let from = given.need("from")?.to_text(meter)?;
    let to = given.need("to")?.to_text(meter)?;
    let most = given.int("count")?.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    // What is looked for is read as well, however short the text.
    meter.bytes(from.len())?;
    let text = text(value, meter)?;
    let count = text.matches(&*from).count().min(most);
    meter.charge(count)?;
    meter.bytes(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(Datum::text(text.replacen(&*from, &to, count)))
}

/// `split(",")`, `split(",", 1)`: the parts between the texts named; without one, the words.
pub(super) fn split(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let by = given.text("sep")?;
    let most = given.int("maxsplit")?.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let text = text(value, meter)?;
    let mut parts = Vec::new();
    let mut rest = &*text;
    match by.as_deref() {
        Some("") => return Err("`sep` must not be empty".to_owned()),
        Some(by) => {
            meter.bytes(by.len())?;
            while let Some((part, after)) = if parts.len() < most { rest.split_once(by) } else { None } {
                meter.charge(1)?;
                parts.push(Datum::text(part));
                rest = after;
            }
            parts.push(Datum::text(rest));
        }
        None => {
            rest = rest.trim();
            while let Some((part, after)) =
                if parts.len() < most { rest.split_once(char::is_whitespace) } else { None }
            {
                meter.charge(1)?;
                parts.push(Datum::text(part));
                rest = after.trim_start();
            }
            parts.extend((!rest.is_empty()).then(|| Datum::text(rest)));
        }
    }
    Datum::list(parts, meter)
}

/// `join(", ", attribute="name")`: the texts of the items, or of an attribute of each, in one. Of a text, its characters.
pub(super) fn join(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let joiner = given.text("d")?.unwrap_or_default();
    let path = given.text("attribute")?;
    let mut joined = String::new();
    for (no, item) in value.items(meter)?.into_iter().enumerate() {
        if no > 0 {
            meter.bytes(joiner.len())?;
            joined.push_str(&joiner);
        }
        match &path {
            Some(path) => attribute(&item, path, meter)?.write_text(&mut joined, meter)?,
            None => item.write_text(&mut joined, meter)?,
        }
    }
    Ok(Datum::text(joined))
}

/// Most bytes that one sign of a date format becomes.
const DATE_BYTES: usize = 64;

/// `strftime("%Y/%m", "Europe/Berlin")`: a time as text, in UTC or the zone named.
pub(super) fn strftime(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let format = given.need_text("format")?;
    let zone = given.text("zone")?;
    meter.bytes(format.len().saturating_mul(DATE_BYTES))?;
    meter.bytes(zone.as_ref().map_or(0, |zone| zone.len()))?;
    let time = text(value, meter)?;
    strftime::strftime(&time, &format, zone.as_deref()).map(Datum::text)
}
