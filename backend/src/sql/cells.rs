//! What a row of the database holds, cell by cell.

use chrono::{DateTime, Utc};
use rota_core::id::{RunId, TaskKey, TaskNo};
use rota_core::port::{StoreError, StoreResult};
use serde::de::DeserializeOwned;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use super::{Db, Row, failed, unavailable};

/// Reads the cells of a row from left to right.
pub(crate) struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell.
    pub(crate) fn take<T>(&mut self) -> StoreResult<T>
    where
        T: Decode<'r, Db> + Type<Db>,
        usize: ColumnIndex<Row>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(failed)
    }

    pub(crate) fn at(&mut self) -> StoreResult<DateTime<Utc>> {
        instant(self.take()?)
    }

    pub(crate) fn at_opt(&mut self) -> StoreResult<Option<DateTime<Utc>>> {
        self.take::<Option<i64>>()?.map(instant).transpose()
    }

    /// A number that fits a smaller type.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> StoreResult<T> {
        let value: i64 = self.take()?;
        T::try_from(value).map_err(|_| strange("number", &value.to_string()))
    }

    pub(crate) fn number_opt<T: TryFrom<i64>>(&mut self) -> StoreResult<Option<T>> {
        let value: Option<i64> = self.take()?;
        value.map(|value| T::try_from(value).map_err(|_| strange("number", &value.to_string()))).transpose()
    }

    /// A word of a state machine.
    pub(crate) fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
        let word: &str = self.take()?;
        parse(word).ok_or_else(|| strange("word", word))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> StoreResult<T> {
        parse_json(self.take()?)
    }

    pub(crate) fn json_opt<T: DeserializeOwned>(&mut self) -> StoreResult<Option<T>> {
        self.take::<Option<&str>>()?.map(parse_json).transpose()
    }

    pub(crate) fn text<T>(&mut self, make: impl Fn(&'r str) -> T) -> StoreResult<T> {
        Ok(make(self.take::<&'r str>()?))
    }

    pub(crate) fn task_key(&mut self) -> StoreResult<TaskKey> {
        Ok(TaskKey { run: RunId(self.take()?), task: TaskNo(self.number()?), index: self.number()? })
    }
}

pub(crate) fn strange(what: &str, value: &str) -> StoreError {
    unavailable(format!("the store holds a {what} that this version of rota does not know: {value}"))
}

fn instant(micros: i64) -> StoreResult<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| strange("instant", &micros.to_string()))
}

fn parse_json<T: DeserializeOwned>(text: &str) -> StoreResult<T> {
    serde_json::from_str(text).map_err(|error| strange("JSON text", &error.to_string()))
}

/// Decodes all rows.
pub(crate) fn decode<T>(rows: &[Row], one: impl Fn(&mut Cells<'_>) -> StoreResult<T>) -> StoreResult<Vec<T>> {
    rows.iter().map(|row| one(&mut Cells::of(row))).collect()
}

/// Decodes one row, if there is one.
pub(crate) fn decode_opt<T>(
    row: Option<&Row>,
    one: impl Fn(&mut Cells<'_>) -> StoreResult<T>,
) -> StoreResult<Option<T>> {
    row.map(|row| one(&mut Cells::of(row))).transpose()
}
