//! What the library warns of, on standard error once nothing else is drawn there.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && metadata.target().split("::").next() == Some("ffwd")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
    }

    fn flush(&self) {}
}

/// Collects them from now on.
pub fn collect() {
    // Fails where there is a logger already, which is as good.
    if log::set_logger(&WARNINGS).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Prints each once.
pub fn print() {
    for warning in WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // Where not even this can be written, there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}
