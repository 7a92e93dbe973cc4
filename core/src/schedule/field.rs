//! One field of a crontab line: from `1-5,*/15` to the set of values it names.

use super::error::{ScheduleFault, clip, did_you_mean};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Which field, in crontab's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

/// What a field says. Sets are bit masks: bit `n` is the value `n`; weekdays are 0 (Sunday) to 6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// The field starts with `*` (or is `?`), which crontab calls unrestricted.
    pub(super) star: bool,
    /// Plain values.
    pub(super) set: u64,
    /// `L` in day-of-month.
    pub(super) last_day: bool,
    /// `5L` in day-of-week: weekdays that match on their last occurrence in a month.
    pub(super) last_weekdays: u64,
    /// `5#2` in day-of-week: weekdays that match on their first (at 0) to fifth occurrence in a month.
    pub(super) nth_weekdays: [u64; 5],
}

impl Field {
    /// As error messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        }
    }

    /// Smallest and largest number that may be written.
    fn bounds(self) -> (u32, u32) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    /// The largest value that `*` and `5/10` reach; Sunday is 0 there.
    fn open_end(self) -> u32 {
        if self == Self::DayOfWeek { 6 } else { self.bounds().1 }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => "0-59, `*`, a range `5-50`, a step `*/15` or a list of these",
            Self::Hour => "0-23, `*`, a range `8-17`, a step `*/2` or a list of these",
            Self::DayOfMonth => {
                "1-31, `L` (the last day), `*`, a range `1-7`, a step `*/2` or a list of these"
            }
            Self::Month => "1-12, jan-dec, `*`, a range `4-9`, a step `*/3` or a list of these",
            Self::DayOfWeek => {
                "0-7 (0 and 7 are sunday), sun-sat, `*`, a range `1-5`, `5#2` (the second friday), \
                 `5L` (the last friday) or a list of these"
            }
        }
    }

    /// Reads the field's text, which stands at `offset` within its line.
    pub(super) fn parse(self, text: &str, offset: usize) -> Result<Values, ScheduleFault> {
        let mut values = Values { star: text.starts_with('*'), ..Values::default() };
        if text == "?" && matches!(self, Self::DayOfMonth | Self::DayOfWeek) {
            values.star = true;
            values.set = span(self.bounds().0, self.open_end(), 1);
            return Ok(values);
        }
        let mut item_offset = offset;
        for item in text.split(',') {
            Item { field: self, text: item, offset: item_offset }.parse(&mut values)?;
            item_offset += item.len() + 1;
        }
        if self == Self::DayOfWeek && values.set & (1 << 7) != 0 {
            values.set = values.set & !(1 << 7) | 1;
        }
        Ok(values)
    }
}

/// One item of a field's list.
#[derive(Clone, Copy)]
struct Item<'a> {
    field: Field,
    text: &'a str,
    offset: usize,
}

impl Item<'_> {
    fn fault(&self, message: impl AsRef<str>) -> ScheduleFault {
        let Self { field, text, offset } = *self;
        ScheduleFault::new(offset, format!("{} `{}`: {}", field.name(), clip(text), message.as_ref()))
    }

    /// Adds what the item names to `values`.
    fn parse(self, values: &mut Values) -> Result<(), ScheduleFault> {
        if self.text.is_empty() {
            return Err(self.fault("an item of the list is empty"));
        }
        if self.parse_special(values)? {
            return Ok(());
        }
        let (range, step) = match self.text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (self.text, None),
        };
        let (first, last) = if range == "*" {
            (self.field.bounds().0, self.field.open_end())
        } else if let Some((first, last)) = range.split_once('-') {
            self.range(first, last)?
        } else {
            let mut value = self.value(range)?;
            if self.field == Field::DayOfWeek && step.is_some() {
                // 7 is 0 here as everywhere: `7/2` counts from the week's first day.
                value %= 7;
            }
            (value, if step.is_some() { self.field.open_end().max(value) } else { value })
        };
        values.set |= span(first, last, step.unwrap_or(1));
        Ok(())
    }

    /// `L`, `5L` and `5#2`, where the field has them.
    fn parse_special(&self, values: &mut Values) -> Result<bool, ScheduleFault> {
        let text = self.text.to_ascii_lowercase();
        if self.field == Field::DayOfMonth {
            values.last_day |= text == "l";
            return Ok(text == "l");
        }
        if self.field != Field::DayOfWeek {
            return Ok(false);
        }
        if let Some((day, nth)) = text.split_once('#') {
            let place = match nth {
                "1" | "2" | "3" | "4" | "5" => usize::from(nth.as_bytes()[0] - b'1'),
                _ => return Err(self.fault("after `#` expected 1 to 5, as in `5#2` for the second friday")),
            };
            values.nth_weekdays[place] |= 1 << (self.value(day)? % 7);
            return Ok(true);
        }
        let Some(day) = text.strip_suffix('l') else { return Ok(false) };
        if day.is_empty() {
            return Err(self.fault("`L` needs a weekday before it, as in `5L` for the last friday"));
        }
        values.last_weekdays |= 1 << (self.value(day)? % 7);
        Ok(true)
    }

    fn range(&self, first: &str, last: &str) -> Result<(u32, u32), ScheduleFault> {
        let low = self.value(first)?;
        let mut high = self.value(last)?;
        let ends_on_sunday = self.field == Field::DayOfWeek && last.starts_with(['s', 'S']) && high == 0;
        if ends_on_sunday && low > 0 {
            high = 7;
        }
        if low <= high {
            return Ok((low, high));
        }
        let (min, max) = (self.field.bounds().0, self.field.open_end());
        let part = |low, high| if low == high { format!("{low}") } else { format!("{low}-{high}") };
        let wrapped = format!("{},{}", part(low, max), part(min, high));
        Err(self.fault(format!("the range runs backwards; to go past the end write it in two: `{wrapped}`")))
    }

    fn step(&self, text: &str) -> Result<u32, ScheduleFault> {
        let max = self.field.bounds().1;
        let step = number(text).ok_or_else(|| self.fault("after `/` expected a number, as in `*/15`"))?;
        if (1..=max).contains(&step) {
            return Ok(step);
        }
        let name = self.field.name();
        let hint = match self.field {
            _ if step == 0 => "",
            Field::Second => "; for longer intervals use `every: 90s`",
            Field::Minute => "; for longer intervals use `every: 90m`",
            Field::Hour => "; for longer intervals use `every: 36h`",
            _ => "",
        };
        Err(self.fault(format!("the step of {name} must be 1 to {max}{hint}")))
    }

    /// A number or a name.
    fn value(&self, text: &str) -> Result<u32, ScheduleFault> {
        let (min, max) = self.field.bounds();
        if let Some(value) = number(text) {
            let in_bounds = (min..=max).contains(&value);
            return in_bounds.then_some(value).ok_or_else(|| self.unexpected(""));
        }
        let given = text.to_ascii_lowercase();
        let names = self.field.names();
        let is_name = |name: &str| given == name || given == name[..3];
        if let Some(place) = names.iter().position(|name| is_name(name)) {
            let place = u32::try_from(place).unwrap_or(0);
            return Ok(place + min);
        }
        Err(match text {
            "" => self.unexpected(""),
            _ if text.contains(['~', 'h', 'H']) && names.is_empty() => {
                self.unexpected("; for a time spread at random use `jitter:`")
            }
            _ if self.field == Field::DayOfMonth && text.to_ascii_uppercase().contains(['W', 'L']) => {
                self.unexpected("; nearest weekdays and days before the last are not supported")
            }
            _ => {
                let short: Vec<&str> = names.iter().map(|name| &name[..3]).collect();
                self.unexpected(&did_you_mean(&given, if given.len() > 4 { names } else { &short }))
            }
        })
    }

    fn unexpected(&self, hint: &str) -> ScheduleFault {
        self.fault(format!("expected {}{hint}", self.field.expected()))
    }
}

/// The values from `first` to `last`, every `step`th, as a mask.
pub(super) fn span(first: u32, last: u32, step: u32) -> u64 {
    (first..=last).step_by(step.max(1) as usize).fold(0, |set, value| set | 1 << value)
}

/// Up to 4 ASCII digits.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(field: Field, text: &str) -> Vec<u32> {
        let values = field.parse(text, 0).unwrap();
        (0..64).filter(|value| values.set & (1 << value) != 0).collect()
    }

    fn refusal(field: Field, text: &str) -> String {
        field.parse(text, 0).unwrap_err().message
    }

    #[test]
    fn values_ranges_steps_and_lists_name_their_values() {
        assert_eq!(set(Field::Minute, "*/15"), [0, 15, 30, 45]);
        assert_eq!(set(Field::Minute, "5-50/7"), [5, 12, 19, 26, 33, 40, 47]);
        assert_eq!(set(Field::Minute, "5/10"), [5, 15, 25, 35, 45, 55]);
        assert_eq!(set(Field::Minute, "1,2,40-42"), [1, 2, 40, 41, 42]);
        assert_eq!(set(Field::Hour, "*").len(), 24);
        assert_eq!(set(Field::DayOfMonth, "*/10"), [1, 11, 21, 31]);
        assert_eq!(set(Field::Month, "jan-MAR,December"), [1, 2, 3, 12]);
    }

    #[test]
    fn sunday_is_0_and_7_and_ends_a_named_range() {
        assert_eq!(set(Field::DayOfWeek, "0"), [0]);
        assert_eq!(set(Field::DayOfWeek, "7"), [0]);
        assert_eq!(set(Field::DayOfWeek, "5-7"), [0, 5, 6]);
        assert_eq!(set(Field::DayOfWeek, "fri-sun"), [0, 5, 6]);
        assert_eq!(set(Field::DayOfWeek, "sun-tue"), [0, 1, 2]);
        assert_eq!(set(Field::DayOfWeek, "sun-sun"), [0]);
        assert_eq!(set(Field::DayOfWeek, "0-7").len(), 7);
        assert_eq!(set(Field::DayOfWeek, "*/2"), [0, 2, 4, 6]);
        assert_eq!(set(Field::DayOfWeek, "*/7"), [0]);
        assert_eq!(set(Field::DayOfWeek, "5/2"), [5]);
        assert_eq!(set(Field::DayOfWeek, "7/2"), [0, 2, 4, 6]);
        assert_eq!(set(Field::DayOfWeek, "0/2"), [0, 2, 4, 6]);
        assert_eq!(set(Field::DayOfWeek, "sun/3"), [0, 3, 6]);
        assert_eq!(set(Field::DayOfWeek, "5-7/2"), [0, 5]);
    }

    #[test]
    fn last_and_nth_days_are_kept_apart_from_plain_ones() {
        let days = Field::DayOfMonth.parse("15,L", 0).unwrap();
        assert!(days.last_day && days.set == 1 << 15 && !days.star);
        let weekdays = Field::DayOfWeek.parse("1,friL,2#1,Wed#5", 0).unwrap();
        assert_eq!((weekdays.set, weekdays.last_weekdays), (1 << 1, 1 << 5));
        assert_eq!(weekdays.nth_weekdays, [1 << 2, 0, 0, 0, 1 << 3]);
    }

    #[test]
    fn a_leading_star_or_a_question_mark_is_unrestricted() {
        for (text, star) in
            [("*", true), ("*/2", true), ("*,5", true), ("5,*", false), ("1-31", false), ("?", true)]
        {
            assert_eq!(Field::DayOfMonth.parse(text, 0).unwrap().star, star, "{text}");
        }
        assert!(refusal(Field::Minute, "?").contains("expected 0-59"));
    }

    #[test]
    fn a_backward_range_is_told_how_to_wrap() {
        assert!(refusal(Field::Hour, "22-2").contains("`22-23,0-2`"));
        assert!(refusal(Field::DayOfWeek, "5-1").contains("`5-6,0-1`"));
        assert!(refusal(Field::Month, "nov-feb").contains("`11-12,1-2`"));
    }

    #[test]
    fn refusals_name_the_field_the_item_and_the_nearest_name() {
        assert!(refusal(Field::Minute, "5,61").starts_with("minute `61`: expected 0-59"));
        assert!(refusal(Field::DayOfWeek, "mun").contains("did you mean `mon`?"));
        assert!(refusal(Field::Month, "febuary").contains("did you mean `february`?"));
        assert!(refusal(Field::Minute, "*/0").contains("must be 1 to 59"));
        assert!(refusal(Field::Minute, "*/90").contains("every: 90m"));
        assert!(refusal(Field::Minute, "1,,2").contains("empty"));
        assert!(refusal(Field::DayOfWeek, "5#6").contains("1 to 5"));
        assert!(refusal(Field::DayOfWeek, "L").contains("`5L`"));
        assert!(refusal(Field::DayOfMonth, "15W").contains("not supported"));
        assert!(refusal(Field::DayOfMonth, "0").contains("expected 1-31"));
        assert!(refusal(Field::Minute, "H").contains("jitter"));
        for odd in ["-", "/", "*-5", "1-", "-1", "1-2-3", "*/", "1/2/3", "**", "#", "ü", "5#", "99999999999"]
        {
            refusal(Field::DayOfWeek, odd);
        }
        assert_eq!(Field::Hour.parse("1,25", 3).unwrap_err().offset, 5);
    }
}
