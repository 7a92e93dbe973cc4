//! Who is signed in: the admin token, server-side sessions, one-time login codes and the limit on failed attempts.
//! Secrets are kept as SHA-256 only; comparisons take the same time whatever they find.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::hex::hex;
use rota_core::sync::lock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

/// A session ends after so long without a request.
const IDLE_MAX: TimeDelta = TimeDelta::hours(12);
/// A session ends after so long in any case.
const AGE_MAX: TimeDelta = TimeDelta::days(7);
/// Most sessions; the one idle for longest makes room.
const SESSIONS_MAX: usize = 1000;
/// A login link works for so long, once.
const CODE_AGE_MAX: TimeDelta = TimeDelta::minutes(30);
/// Most login links at a time.
const CODES_MAX: usize = 16;
/// Failed attempts from one address within [`FAILURES_WINDOW`] until it has to wait.
const FAILURES_MAX: u32 = 10;
/// Failures are counted over this time; it is also the wait.
const FAILURES_WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Addresses whose failures are remembered.
const ADDRESSES_MAX: usize = 4096;

type Hash = [u8; 32];

/// All that decides whether a request is signed in.
pub(crate) struct Sessions {
    admin: Hash,
    state: Mutex<SessionState>,
}

#[derive(Default)]
struct SessionState {
    sessions: HashMap<Hash, Session>,
    codes: HashMap<Hash, DateTime<Utc>>,
    failures: HashMap<Option<IpAddr>, Failures>,
}

struct Session {
    csrf: String,
    created_at: DateTime<Utc>,
    used_at: DateTime<Utc>,
    /// Cancelled when it ends.
    closed: CancellationToken,
}

struct Failures {
    count: u32,
    since: DateTime<Utc>,
}

/// A session's secrets: the cookie's value and the form token.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// For the cookie.
    pub(crate) id: String,
}

impl Sessions {
    /// With one account, known by its token.
    pub(crate) fn new(admin_token: &str) -> Self {
        Self { admin: hash(admin_token), state: Mutex::default() }
    }

    /// Whether this is the admin token.
    pub(crate) fn token_matches(&self, token: &str) -> bool {
        hash(token).ct_eq(&self.admin).into()
    }

    /// Makes a one-time login code.
    pub(crate) fn code_issue(&self, now: DateTime<Utc>) -> String {
        let code = random_hex();
        let mut state = self.lock();
        state.codes.retain(|_, issued_at| now - *issued_at < CODE_AGE_MAX);
        if state.codes.len() >= CODES_MAX {
            let oldest = state.codes.iter().min_by_key(|(_, issued_at)| **issued_at).map(|(hash, _)| *hash);
            oldest.map(|hash| state.codes.remove(&hash));
        }
        state.codes.insert(hash(&code), now);
        code
    }

    /// Uses a login code up. True if it was good.
    pub(crate) fn code_take(&self, code: &str, now: DateTime<Utc>) -> bool {
        let issued_at = self.lock().codes.remove(&hash(code));
        issued_at.is_some_and(|issued_at| now - issued_at < CODE_AGE_MAX)
    }

    /// Opens a session.
    pub(crate) fn open(&self, now: DateTime<Utc>) -> Opened {
        let id = random_hex();
        let session =
            Session { csrf: random_hex(), created_at: now, used_at: now, closed: CancellationToken::new() };
        let mut state = self.lock();
        state.sessions.retain(|_, session| session.lives(now));
        if state.sessions.len() >= SESSIONS_MAX {
            let idle =
                state.sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(hash, _)| *hash);
            idle.map(|hash| state.sessions.remove(&hash));
        }
        state.sessions.insert(hash(&id), session);
        Opened { id }
    }

    /// The form token of the session with this cookie, if it lives.
    pub(crate) fn touch(&self, id: &str, now: DateTime<Utc>) -> Option<String> {
        let mut state = self.lock();
        let session = state.sessions.get_mut(&hash(id)).filter(|session| session.lives(now))?;
        session.used_at = now;
        Some(session.csrf.clone())
    }

    /// How long the session can last if it is not used again, and a token that is cancelled when something else ends it
    /// earlier. `None`: it is over.
    pub(crate) fn outlook(&self, id: &str, now: DateTime<Utc>) -> Option<(CancellationToken, Duration)> {
        let state = self.lock();
        let session = state.sessions.get(&hash(id)).filter(|session| session.lives(now))?;
        let left = session.ends_at() - now;
        Some((session.closed.clone(), left.to_std().unwrap_or_default()))
    }

    /// Ends a session.
    pub(crate) fn close(&self, id: &str) {
        self.lock().sessions.remove(&hash(id));
    }

    /// A wrong token came from this address: how many seconds the next one has to wait if there were too many. The right one
    /// never waits, or whoever shares an address could lock its owner out.
    pub(crate) fn refuse(&self, address: Option<IpAddr>, now: DateTime<Utc>) -> Option<u64> {
        if let Some(retry_after_s) = self.locked_for(address, now) {
            return Some(retry_after_s);
        }
        self.failed(address, now);
        None
    }

    /// How many seconds this address has to wait before it may try again; `None`: it may now.
    fn locked_for(&self, address: Option<IpAddr>, now: DateTime<Utc>) -> Option<u64> {
        let state = self.lock();
        let failures = state.failures.get(&address).filter(|failures| failures.count >= FAILURES_MAX)?;
        let left = FAILURES_WINDOW - (now - failures.since);
        u64::try_from(left.num_seconds()).ok().filter(|left| *left > 0)
    }

    /// Counts a failed attempt.
    fn failed(&self, address: Option<IpAddr>, now: DateTime<Utc>) {
        let mut state = self.lock();
        state.failures.retain(|_, failures| now - failures.since < FAILURES_WINDOW);
        if state.failures.len() >= ADDRESSES_MAX {
            state.failures.clear();
        }
        let failures = state.failures.entry(address).or_insert(Failures { count: 0, since: now });
        failures.count += 1;
        if failures.count == FAILURES_MAX {
            failures.since = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        // Every change under the lock is a single map operation, so a poisoned map is still whole.
        lock(&self.state)
    }
}

impl Session {
    fn lives(&self, now: DateTime<Utc>) -> bool {
        now < self.ends_at()
    }

    fn ends_at(&self) -> DateTime<Utc> {
        (self.used_at + IDLE_MAX).min(self.created_at + AGE_MAX)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Whether two secrets are equal, without saying where they differ.
pub(crate) fn same_secret(a: &str, b: &str) -> bool {
    hash(a).ct_eq(&hash(b)).into()
}

/// 256 random bits in hex.
///
/// # Panics
/// If the operating system has no randomness: nothing secret can be made then.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex(&bytes)
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn a_login_code_works_once_and_not_for_long() {
        let sessions = Sessions::new("token");
        let code = sessions.code_issue(T0);
        assert!(sessions.code_take(&code, T0));
        assert!(!sessions.code_take(&code, T0));
        let late = sessions.code_issue(T0);
        assert!(!sessions.code_take(&late, T0 + CODE_AGE_MAX));
        assert!(!sessions.code_take("", T0));
    }

    #[test]
    fn sessions_end_by_idleness_by_age_and_by_sign_out() {
        let sessions = Sessions::new("token");
        let opened = sessions.open(T0);
        assert!(sessions.touch(&opened.id, T0 + TimeDelta::hours(11)).is_some());
        assert!(sessions.touch(&opened.id, T0 + TimeDelta::hours(24)).is_none());
        let kept = sessions.open(T0);
        let steps = (1..=AGE_MAX.num_hours() / 6).map(|step| T0 + TimeDelta::hours(6 * step));
        let alive = steps.filter(|at| sessions.touch(&kept.id, *at).is_some()).count();
        assert_eq!(alive as i64, AGE_MAX.num_hours() / 6 - 1);
        let closed = sessions.open(T0);
        sessions.close(&closed.id);
        assert!(sessions.touch(&closed.id, T0).is_none());
    }

    #[test]
    fn sessions_and_codes_are_bounded() {
        let sessions = Sessions::new("token");
        for _ in 0..SESSIONS_MAX + 5 {
            sessions.open(T0);
            sessions.code_issue(T0);
        }
        let state = sessions.lock();
        assert_eq!((state.sessions.len(), state.codes.len()), (SESSIONS_MAX, CODES_MAX));
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let sessions = Sessions::new("token");
        let (bad, good) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        for _ in 0..FAILURES_MAX {
            assert_eq!(sessions.locked_for(bad, T0), None);
            sessions.failed(bad, T0);
        }
        assert_eq!(sessions.locked_for(bad, T0), Some(300));
        assert_eq!(sessions.locked_for(good, T0), None);
        assert_eq!(sessions.locked_for(bad, T0 + FAILURES_WINDOW), None);
    }
}
