//! Training where a thread may block.

use super::records::{Evaluation, Record};
use super::trainer::Trainer;
use crate::error::Error;
use crate::gpu::block_on;
use crate::weights::HostTensor;

impl Trainer {
    /// [`Trainer::step_async`], blocking this thread.
    ///
    /// # Errors
    /// As there.
    pub fn step(&mut self) -> Result<(), Error> {
        block_on(self.step_async())
    }

    /// [`Trainer::records_async`], blocking this thread.
    ///
    /// # Errors
    /// As there.
    pub fn records(&mut self) -> Result<Vec<Record>, Error> {
        block_on(self.records_async())
    }

    /// [`Trainer::evaluate_async`], blocking this thread.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate(&mut self) -> Result<Evaluation, Error> {
        block_on(self.evaluate_async())
    }

    /// [`Trainer::checkpoint_async`], blocking this thread.
    ///
    /// # Errors
    /// As there.
    pub fn checkpoint(&self) -> Result<Vec<(String, HostTensor)>, Error> {
        block_on(self.checkpoint_async())
    }
}
