//! How a verb of the port reaches the connections of its role. An adapter says what these are (`Store::fact`, `beat`, ...) and
//! which verbs need a transaction. All that a leader decides goes through `Store::fenced`, whose transaction begins with
//! the look at the epoch; what several roles read goes through `Store::read`, on the connections of whoever holds the store.

/// Hands a verb to the connections of a role. The arguments are owned by the operation, which may be executed on
/// another task and, after a deadlock, once more.
macro_rules! call {
    ($store:ident.$role:ident($($arg:ident),*), |$conn:ident, $now:ident| $verb:expr) => {{
        $(let $arg = ::std::sync::Arc::new($arg.to_owned());)*
        $store.$role(move |$conn, $now| {
            $(let $arg = ::std::sync::Arc::clone(&$arg);)*
            Box::pin(async move { $verb.await })
        }).await
    }};
    ($store:ident.fenced[$epoch:ident]($($arg:ident),*), |$conn:ident, $now:ident| $verb:expr) => {{
        $(let $arg = ::std::sync::Arc::new($arg.to_owned());)*
        $store.fenced($epoch, move |$conn, $now| {
            $(let $arg = ::std::sync::Arc::clone(&$arg);)*
            Box::pin(async move { $verb.await })
        }).await
    }};
}
