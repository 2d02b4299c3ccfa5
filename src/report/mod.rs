//! Reports: files that `ffwd bench --json` wrote, side by side on a page that any browser shows.
//!
//! Nothing here knows a GPU. [`Run::read`] checks a file, [`page`] makes the HTML; text from files is escaped in both
//! the page and the errors.

mod axis;
mod compare;
mod error;
mod facts;
mod field;
mod marks;
mod markup;
mod numbers;
mod page;
mod roofline;
mod room;
mod run;
mod tables;
mod workload;

pub use error::{ReportError, Result};
pub use page::page;
pub use run::{Ceilings, Host, Limits, Run, SCHEMA};
pub use workload::{Seconds, Skipped, Workload};
