//! How a command ends when it does not end well: an exit code and one line on standard error.

use std::io::{self, Write};
use std::process::ExitCode;

use super::client::ClientError;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The answer is no: absent, refused, not possible. Exit code 1.
    #[error("{0}")]
    No(String),
    /// What was typed can't be meant. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The node did not answer, or could not say. Exit code 3.
    #[error("{0}")]
    CouldNotTell(String),
    /// The output could not be written. A reader that closed early (`| head`) had enough, and that is well.
    #[error("could not write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Says it on standard error and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        if self.is_reader_gone() {
            return ExitCode::SUCCESS;
        }
        eprintln!("lattice: {self}");
        ExitCode::from(self.code())
    }

    /// The same failure with more to say.
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::No(text) => Self::No(format!("{text}; {more}")),
            Self::Usage(text) => Self::Usage(format!("{text}; {more}")),
            Self::CouldNotTell(text) => Self::CouldNotTell(format!("{text}; {more}")),
            Self::Output(error) => Self::Output(error),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Output(_) if self.is_reader_gone() => 0,
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            // A full disk behind standard output says nothing about what was asked.
            Self::CouldNotTell(_) | Self::Output(_) => 3,
        }
    }

    /// Whether all that failed is that nobody reads the output any more.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Prints what a command came to, and gives its exit code. A reader that has gone takes no verdict back.
///
/// # Errors
///
/// [`Failure::Output`] if the output could not be written and somebody would have read it.
pub fn conclude(text: &str, code: u8) -> Result<ExitCode, Failure> {
    let written = io::stdout().write_all(text.as_bytes()).map_err(Failure::from);
    match written {
        Err(failure) if !failure.is_reader_gone() => Err(failure),
        Ok(()) | Err(_) => Ok(ExitCode::from(code)),
    }
}

/// A usage error with the words of `error`.
pub fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::NoNode(_) | ClientError::Unreachable(_) | ClientError::BadAnswer(_) => {
                Self::CouldNotTell(text)
            }
            ClientError::BadTarget(_) => Self::Usage(text),
            ClientError::Refused { status, .. } => match status {
                403 | 404 | 409 | 412 => Self::No(text),
                400..=499 => Self::Usage(text),
                _ => Self::CouldNotTell(text),
            },
        }
    }
}
