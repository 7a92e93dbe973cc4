//! Reads what a process prints. Costs next to nothing for a process that prints nothing: the buffer belongs to the
//! thread, not to the attempt.

use std::cell::RefCell;
use std::io::{self, PipeReader, PipeWriter};
use std::time::Duration;

use rota_core::port::Clock;
use rustix::fd::OwnedFd;
use tokio::net::unix::pipe::Receiver;

use crate::log::{LineSink, Splitter, Stream};

/// Read at a time: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// Taken from the pipes after the end, beyond what two full pipes hold: whoever still writes then is a stray.
const LEFTOVER_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// Both pipes of a process.
pub(super) struct Pipes {
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
}

/// The ends of the pipes that a process writes to.
pub(super) struct ProcessEnds {
    pub(super) stdout: PipeWriter,
    pub(super) stderr: PipeWriter,
}

struct Pipe {
    receiver: Receiver,
    lines: Splitter,
}

/// Where lines go, and when they came.
pub(super) struct Tap<'a, S> {
    pub(super) sink: &'a mut S,
    pub(super) clock: &'a dyn Clock,
}

impl Pipes {
    /// Opens both, and the ends that the process is to have.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn open() -> io::Result<(Self, ProcessEnds)> {
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        let pipes = Self {
            stdout: Some(Pipe::adopt(out, Stream::Out)?),
            stderr: Some(Pipe::adopt(err, Stream::Err)?),
        };
        Ok((pipes, ProcessEnds { stdout, stderr }))
    }

    /// Whether all that was printed has been read.
    pub(super) fn are_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Waits for output and passes on what is there; waits for ever once both pipes are closed. May be dropped at any
    /// time without loss.
    pub(super) async fn pass_on<S: LineSink>(&mut self, tap: &mut Tap<'_, S>) {
        tap.sink.ready().await;
        self.read(tap).await;
    }

    /// Reads what is left after the end, at most for `patience`. Does not wait for the sink: what is left is bounded.
    pub(super) async fn drain<S: LineSink>(&mut self, tap: &mut Tap<'_, S>, patience: Duration) {
        let mut taken = 0;
        let everything = async {
            while !self.are_closed() && taken < LEFTOVER_BYTES_MAX {
                taken += self.read(tap).await;
            }
        };
        // Whether it was everything is answered by `are_closed`.
        let _ = tokio::time::timeout(patience, everything).await;
    }

    /// Passes on lines that never got their end.
    pub(super) fn flush<S: LineSink>(&mut self, tap: &mut Tap<'_, S>) {
        for pipe in [self.stdout.take(), self.stderr.take()].into_iter().flatten() {
            pipe.finish(tap);
        }
    }

    async fn read<S: LineSink>(&mut self, tap: &mut Tap<'_, S>) -> usize {
        let slot = tokio::select! {
            () = readable(self.stdout.as_ref()) => &mut self.stdout,
            () = readable(self.stderr.as_ref()) => &mut self.stderr,
        };
        let Some(pipe) = slot else { return 0 };
        let (taken, is_closed) = pipe.take(tap);
        if is_closed && let Some(pipe) = slot.take() {
            pipe.finish(tap);
        }
        taken
    }
}

impl Pipe {
    fn adopt(reader: PipeReader, stream: Stream) -> io::Result<Self> {
        let receiver = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok(Self { receiver, lines: Splitter::new(stream) })
    }

    /// Takes what is there: how many bytes, and whether the pipe is closed.
    fn take<S: LineSink>(&mut self, tap: &mut Tap<'_, S>) -> (usize, bool) {
        BUFFER.with_borrow_mut(|buffer| match self.receiver.try_read(buffer) {
            Ok(0) => (0, true),
            Ok(count) => {
                self.lines.feed(&buffer[..count], tap.clock.now(), tap.sink);
                (count, false)
            }
            Err(error) => (0, error.kind() != io::ErrorKind::WouldBlock),
        })
    }

    fn finish<S: LineSink>(mut self, tap: &mut Tap<'_, S>) {
        if self.lines.has_partial() {
            self.lines.finish(tap.clock.now(), tap.sink);
        }
    }
}

async fn readable(pipe: Option<&Pipe>) {
    match pipe {
        // An error is met again, and handled, by the read.
        Some(pipe) => drop(pipe.receiver.readable().await),
        None => std::future::pending().await,
    }
}
