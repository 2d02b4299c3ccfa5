//! Ctrl-C, as a flag that is looked at between two pieces of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{CliError, message};

/// What a process that was interrupted exits with.
pub const EXIT_CODE: u8 = 130;

/// What a second Ctrl-C does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// It ends the process on the spot.
    Ends,
    /// Nothing: pieces of work are short, and on the spot a temporary file would stay.
    IsIgnored,
}

/// A flag that Ctrl-C raises.
pub fn flag(second: Second) -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    let handler = move || {
        if raised.swap(true, Ordering::SeqCst) && second == Second::Ends {
            std::process::exit(EXIT_CODE.into());
        }
    };
    match ctrlc::set_handler(handler) {
        Ok(()) => Ok(stop),
        Err(error) => message(format!("cannot listen for Ctrl-C: {error}")),
    }
}
