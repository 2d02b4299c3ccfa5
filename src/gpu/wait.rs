//! Waiting for the device: on a thread natively, in turns of the event loop in a browser.
//!
//! Every function that waits is `async` and, where a thread may block, has a twin without. Natively the future does its
//! waiting when it is first polled, so that both cost the same and no executor is needed.

use futures_channel::oneshot;

use super::device::{Gpu, gpu_error};
use crate::error::Error;

/// Runs a future to its end on this thread.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// What error scopes have yet to tell.
#[cfg(target_arch = "wasm32")]
#[derive(Default)]
pub(super) struct Untold(std::cell::RefCell<Vec<std::pin::Pin<Box<dyn Future<Output = Option<Error>>>>>>);

#[cfg(target_arch = "wasm32")]
impl std::fmt::Debug for Untold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Untold").finish_non_exhaustive()
    }
}

impl Gpu {
    /// Closes a scope whose error, if it caught one, is `told`. A browser says what was caught later: there the error comes
    /// from the next wait.
    pub(super) fn close(&self, scope: wgpu::ErrorScopeGuard, told: impl FnOnce(&wgpu::Error) -> Error + 'static) -> Result<(), Error> {
        let caught = scope.pop();
        #[cfg(not(target_arch = "wasm32"))]
        return block_on(caught).map_or(Ok(()), |error| Err(told(&error)));
        #[cfg(target_arch = "wasm32")]
        {
            self.untold().0.borrow_mut().push(Box::pin(async move { caught.await.map(|error| told(&error)) }));
            Ok(())
        }
    }

    /// The first error that a closed scope caught and nobody has heard of.
    pub(super) async fn told(&self) -> Result<(), Error> {
        #[cfg(target_arch = "wasm32")]
        {
            let untold = self.untold().0.take();
            let mut first = None;
            for scope in untold {
                let caught = scope.await;
                first = first.or(caught);
            }
            if let Some(error) = first {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost; in a browser also what the device refused since the last wait.
    pub async fn wait_async(&self) -> Result<(), Error> {
        self.told().await?;
        let (sender, done) = oneshot::channel();
        self.queue().on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        self.drive()?;
        done.await.map_err(|error| gpu_error("waiting for the device", &error))
    }

    /// The same, blocking this thread.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self) -> Result<(), Error> {
        self.drive()
    }

    /// Maps a buffer for reading.
    pub(super) async fn map(&self, buffer: &wgpu::Buffer, what: &str) -> Result<(), Error> {
        let (sender, mapped) = oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
        self.drive()?;
        match mapped.await {
            Ok(result) => result.map_err(|error| gpu_error(what, &error)),
            Err(error) => Err(gpu_error(what, &error)),
        }
    }

    /// Natively nothing happens unless the device is polled; a browser does so itself.
    fn drive(&self) -> Result<(), Error> {
        #[cfg(not(target_arch = "wasm32"))]
        self.device().poll(wgpu::PollType::wait_indefinitely()).map_err(|error| gpu_error("waiting for the device", &error))?;
        Ok(())
    }
}
