//! Lists on their way into a statement. A list goes to the database as one JSON text, so that a verb is a fixed number of
//! statements however long its list is. The statement sees a table, `item`, whose columns go by their names.
//!
//! In the text itself a row is a list of values, because names in each row would cost half as much again on SQLite (measured:
//! the end of an attempt 23 us instead of 15). So each value has a place, and this file alone knows it: `rowset!` gives
//! both the order in which Rust writes a row and the places that the table's columns are read from.

use rota_core::id::{AttemptKey, ClaimToken, QueueName, RunId, TaskKey, TaskName, TaskNo};
use rota_core::port::QueuedTask;
use serde::Serialize;

use super::micros;

/// Says once what a row of a list holds: its struct, which is sent as JSON ([`json`]), and a macro (named after `in`) that
/// stands for the table `item` in the `from` of a statement. The list is always the statement's first parameter.
///
/// Each column has its Rust type and the type that the database gives it.
macro_rules! rowset {
    (
        $(#[$about:meta])*
        $row:ident $(<$life:lifetime>)? in $table:ident { $($column:ident: $rust:ty as $sql:ident),+ $(,)? }
    ) => {
        $(#[$about])*
        pub(crate) struct $row $(<$life>)? {
            $(pub(crate) $column: $rust,)+
        }

        impl $(<$life>)? serde::Serialize for $row $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&($(&self.$column,)+), serializer)
            }
        }

        macro_rules! $table {
            () => {
                concat!(
                    "(select ",
                    item_columns!([0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] $($column $sql),+),
                    " from ",
                    each!(),
                    ") as item"
                )
            };
        }
    };
}

/// The columns of `item`, each from the next place of a row.
macro_rules! item_columns {
    ([$place:literal $($places:literal)*] $column:ident $type:ident) => {
        item_column!($place $column $type)
    };
    ([$place:literal $($places:literal)*] $column:ident $type:ident, $($more:ident $types:ident),+) => {
        concat!(item_column!($place $column $type), ", ", item_columns!([$($places)*] $($more $types),+))
    };
}

macro_rules! item_column {
    ($place:literal $column:ident text) => {
        concat!("value ->> ", $place, " as ", stringify!($column))
    };
    ($place:literal $column:ident bigint) => {
        concat!("cast(value ->> ", $place, " as bigint) as ", stringify!($column))
    };
}

rowset! {
    /// A number that names something: a run, a task's place in its DAG.
    Id in ids { id: i64 as bigint }
}

rowset! {
    /// A word: a DAG, a queue, a state, a path.
    Name<'a> in names { name: &'a str as text }
}

rowset! {
    /// An attempt of a task.
    AttemptItem in attempts {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
    }
}

rowset! {
    /// A claimed attempt.
    ClaimItem in claims {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        claim_token: ClaimToken as bigint,
    }
}

rowset! {
    /// An attempt that may be claimed.
    QueuedItem<'a> in queued {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        name: &'a TaskName as text,
        queue: &'a QueueName as text,
        priority: i32 as bigint,
        queued_at: i64 as bigint,
    }
}

/// The list as the database takes it.
pub(crate) fn json<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    let rows: Vec<T> = rows.into_iter().collect();
    json_of(&rows)
}

/// Any value as JSON text.
pub(crate) fn json_of<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("ids, numbers and texts always have a JSON form")
}

/// A list of numbers, for `ids!`.
pub(crate) fn ids_json(ids: impl IntoIterator<Item = i64>) -> String {
    json(ids.into_iter().map(|id| Id { id }))
}

/// A list of words, for `names!`.
pub(crate) fn names_json<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    json(names.into_iter().map(|name| Name { name }))
}

/// A list of attempts, for `attempts!`.
pub(crate) fn attempts_json(keys: &[AttemptKey]) -> String {
    json(keys.iter().map(|AttemptKey { task, attempt }| AttemptItem {
        run: task.run,
        task_no: task.task,
        map_index: task.index,
        attempt: *attempt,
    }))
}

/// A list of claimed attempts with the tokens of their claims, for `claims!`.
pub(crate) fn claims_json(claims: impl IntoIterator<Item = (AttemptKey, ClaimToken)>) -> String {
    json(claims.into_iter().map(|(AttemptKey { task, attempt }, claim_token)| ClaimItem {
        run: task.run,
        task_no: task.task,
        map_index: task.index,
        attempt,
        claim_token,
    }))
}

/// A list of attempts that may be claimed, for `queued!`.
pub(crate) fn queued_json(tasks: &[QueuedTask]) -> String {
    json(tasks.iter().map(|task| {
        let AttemptKey { task: TaskKey { run, task: task_no, index: map_index }, attempt } = task.key;
        let (name, queue, queued_at) = (&task.name, &task.queue, micros(task.at));
        QueuedItem { run, task_no, map_index, attempt, name, queue, priority: task.priority, queued_at }
    }))
}
