//! How a lock is taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, also one under which a thread panicked. That is for locks under which each step leaves the value whole: then
/// one part that broke down is no reason for another to.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_under_which_a_thread_panicked_is_taken_all_the_same() {
        let mutex = Mutex::new(7);
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _held = lock(&mutex);
                    panic!("under the lock");
                })
                .join()
        });
        assert!(panicked.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 7);
    }
}
