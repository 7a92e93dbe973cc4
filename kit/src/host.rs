//! Which machine this is.

/// This machine's name, as the kernel has it.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
