//! What a worker tells its warden: a greeting, then records of 16 bytes. Both are smaller than `PIPE_BUF`, so each
//! write is atomic, and a pipe that breaks never leaves half a record.

use rota_kit::boottime::BootTime;

use super::Marker;

/// Length of the greeting: magic, length of the marker, marker, zeros.
pub(super) const GREETING_BYTES: usize = 256;
/// Length of a record: kind, seven zeros, a little-endian number.
pub(super) const RECORD_BYTES: usize = 16;
/// What the warden answers to the greeting, once it stands on its own feet.
pub(super) const READY: u8 = 0x06;

const MAGIC: &[u8; 8] = b"rotawrd1";
const TEXT_AT: usize = MAGIC.len() + 1;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// A process group was started; its id.
    Started(i32),
    /// A process group has ended and was killed; its id.
    Ended(i32),
    /// From this instant on the worker has no right to run anything.
    Deadline(BootTime),
    /// Forget all groups: the whole list follows.
    Restart,
}

impl Record {
    /// The record's bytes.
    pub(super) fn encode(self) -> [u8; RECORD_BYTES] {
        let (kind, value) = match self {
            Self::Started(group) => (b'+', group.unsigned_abs().into()),
            Self::Ended(group) => (b'-', group.unsigned_abs().into()),
            Self::Deadline(at) => (b'd', at.0),
            Self::Restart => (b'0', 0),
        };
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = kind;
        bytes[8..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    /// The record in these bytes; `None` for a kind that is not known or a group that cannot be.
    pub(super) fn decode(bytes: [u8; RECORD_BYTES]) -> Option<Self> {
        let (_, value) = bytes.split_last_chunk::<8>()?;
        let value = u64::from_le_bytes(*value);
        // Groups 0 and 1 would address the warden's own group or every process there is.
        let group = || i32::try_from(value).ok().filter(|group| *group > 1);
        match bytes[0] {
            b'+' => group().map(Self::Started),
            b'-' => group().map(Self::Ended),
            b'd' => Some(Self::Deadline(BootTime(value))),
            b'0' => Some(Self::Restart),
            _ => None,
        }
    }
}

/// The greeting that names the marker of a worker's processes.
pub(super) fn greeting(marker: &Marker) -> [u8; GREETING_BYTES] {
    let text = marker.entry().as_bytes();
    let length = text.len().min(GREETING_BYTES - TEXT_AT);
    let mut bytes = [0; GREETING_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[MAGIC.len()] = u8::try_from(length).unwrap_or(u8::MAX);
    bytes[TEXT_AT..TEXT_AT + length].copy_from_slice(&text[..length]);
    bytes
}

/// The marker in a greeting; `None` if this is no greeting.
pub(super) fn greeted(bytes: &[u8; GREETING_BYTES]) -> Option<Marker> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, text) = rest.split_first()?;
    Marker::parse(std::str::from_utf8(text.get(..usize::from(*length))?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_pipe() {
        for record in [
            Record::Started(4711),
            Record::Ended(i32::MAX),
            Record::Deadline(BootTime(u64::MAX)),
            Record::Restart,
        ] {
            assert_eq!(Record::decode(record.encode()), Some(record));
        }
    }

    #[test]
    fn groups_that_would_hit_strangers_are_refused() {
        for group in [0, 1] {
            assert_eq!(Record::decode(Record::Started(group).encode()), None);
        }
        let mut wide = Record::Started(7).encode();
        wide[15] = 0xff;
        assert_eq!(Record::decode(wide), None);
    }

    #[test]
    fn greeting_carries_the_marker() {
        let marker = Marker::random(&"w".repeat(128));
        assert_eq!(greeted(&greeting(&marker)), Some(marker));
        assert_eq!(greeted(&[b'x'; GREETING_BYTES]), None);
    }
}
