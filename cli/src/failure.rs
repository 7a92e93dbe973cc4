//! How a command ends, and what a person is told when it did not work: what, where, what was expected, what to do.

use std::fmt;
use std::process::ExitCode;

use crate::output::ReaderGone;

/// The end of a command that could be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked: exit code 0.
    Done,
    /// The thing that was asked about failed (an invalid file, a failed run), and that has been printed: exit code 1.
    Failed,
}

/// Result of a command.
pub(crate) type CommandResult = anyhow::Result<Outcome>;

/// Why a command could not be carried out, for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    what: String,
    place: Option<String>,
    expected: Option<String>,
    help: Option<String>,
    is_missing: bool,
}

impl Failure {
    /// The thing failed: exit code 1.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self { code: 1, what: what.into(), place: None, expected: None, help: None, is_missing: false }
    }

    /// The command line asks for something that cannot be: exit code 2.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(what) }
    }

    /// The same, because the thing named does not exist.
    pub(crate) fn missing(mut self) -> Self {
        self.is_missing = true;
        self
    }

    /// Whether it is because the thing named does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// Where: a file, an address, an argument.
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// What would have been right.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What to do next.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let lines = [("at", &self.place), ("expected", &self.expected), ("help", &self.help)];
        for (label, text) in lines {
            if let Some(text) = text {
                write!(f, "\n  {label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Prints `error` to stderr and picks the exit code. A reader that went away (`rota run logs 7 x --follow | head`) is no
/// error.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    let (code, text) = match error.downcast_ref::<Failure>() {
        Some(failure) => (failure.code, failure.to_string()),
        None => (1, format!("{error:#}")),
    };
    crate::output::note(&format!("error: {}", crate::text::clean_block(&text)));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_where_expected_and_what_to_do() {
        let failure =
            Failure::usage("no such zone").at("--timezone").expected("an IANA name").help("try UTC");
        let text = "no such zone\n  at: --timezone\n  expected: an IANA name\n  help: try UTC";
        assert_eq!(failure.to_string(), text);
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let code = |error| format!("{:?}", report(&error));
        assert_eq!(code(anyhow::Error::from(ReaderGone)), format!("{:?}", ExitCode::SUCCESS));
        // A connection to the server that breaks is one.
        let broken = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(code(broken.context("asking the server")), format!("{:?}", ExitCode::FAILURE));
    }
}
