//! The file named by `$ROTA_OUTPUT`: what a task hands on to the tasks after it.

use serde_json::{Map, Value};

use super::error::{cut, nearest_hint};
use super::params::is_storable;

/// Most bytes of a task's outputs.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Deepest nesting of an output's value.
pub const OUTPUT_DEPTH_MAX: usize = 16;

/// Most characters of an output's key.
pub const OUTPUT_KEY_CHARS_MAX: usize = 64;

/// Why a task's outputs were refused; its attempt has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// More than [`OUTPUT_BYTES_MAX`].
    #[error(
        "the outputs have {bytes} bytes, at most {OUTPUT_BYTES_MAX} are taken; write large data to a file and hand on its name"
    )]
    TooLarge {
        /// The size of the file.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the outputs are not UTF-8 text (byte {at})")]
    NotText {
        /// The place of the first wrong byte, from 0.
        at: usize,
    },
    /// A line without `=`.
    #[error("line {line} of the outputs, `{text}`: expected `key=value`, or the whole file one JSON object")]
    NoPair {
        /// From 1.
        line: usize,
        /// The line, cut.
        text: String,
    },
    /// Starts with `{` and is not one JSON object.
    #[error("the outputs are not one JSON object: {reason}")]
    NotJson {
        /// What the JSON reader says.
        reason: String,
    },
    /// A key that templates could not name.
    #[error("output key `{key}`: expected a letter or `_`, then up to 63 letters, digits or `_`")]
    BadKey {
        /// The key, cut.
        key: String,
    },
    /// A value that cannot be stored.
    #[error("output `{key}` holds a NUL character, or is nested deeper than {OUTPUT_DEPTH_MAX} levels")]
    BadValue {
        /// Its key.
        key: String,
    },
    /// A key that `outputs:` promises is not there.
    #[error("the task promised the output `{key}` and did not write it{hint}")]
    Missing {
        /// The promised key.
        key: String,
        /// The nearest key that was written.
        hint: String,
    },
}

/// Reads the outputs: `key=value` lines (each value a text; the last of a key counts; empty lines are skipped), or
/// one JSON object. Every key in `promised` must be there; more may be.
///
/// # Errors
/// See [`OutputError`].
pub fn parse_outputs(bytes: &[u8], promised: &[String]) -> Result<Map<String, Value>, OutputError> {
    if bytes.len() > OUTPUT_BYTES_MAX {
        return Err(OutputError::TooLarge { bytes: bytes.len() });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| OutputError::NotText { at: error.valid_up_to() })?;
    let outputs = if text.trim_start().starts_with('{') { object(text)? } else { lines(text)? };
    for (key, value) in &outputs {
        if !is_output_key(key) {
            return Err(OutputError::BadKey { key: cut(key) });
        }
        if !is_storable(value, OUTPUT_DEPTH_MAX) {
            return Err(OutputError::BadValue { key: key.clone() });
        }
    }
    match promised.iter().find(|key| !outputs.contains_key(*key)) {
        Some(key) => {
            let hint = nearest_hint(key, outputs.keys().map(String::as_str));
            let hint =
                hint.map(|hint| format!("; {}", hint.replace("expected", "it wrote"))).unwrap_or_default();
            Err(OutputError::Missing { key: key.clone(), hint })
        }
        None => Ok(outputs),
    }
}

/// Whether an output may have that key: `[A-Za-z_][A-Za-z0-9_]{0,63}`, so that templates can say
/// `tasks.load.outputs.key`.
pub fn is_output_key(key: &str) -> bool {
    key.len() <= OUTPUT_KEY_CHARS_MAX && super::read::is_env_name(key)
}

fn object(text: &str) -> Result<Map<String, Value>, OutputError> {
    if let Some(reason) = super::read::too_wide(text) {
        return Err(OutputError::NotJson { reason });
    }
    serde_json::from_str(text).map_err(|error| OutputError::NotJson { reason: error.to_string() })
}

fn lines(text: &str) -> Result<Map<String, Value>, OutputError> {
    let mut outputs = Map::new();
    for (no, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (key, value) =
            line.split_once('=').ok_or_else(|| OutputError::NoPair { line: no + 1, text: cut(line) })?;
        outputs.insert(key.trim().to_owned(), Value::String(value.to_owned()));
    }
    Ok(outputs)
}
