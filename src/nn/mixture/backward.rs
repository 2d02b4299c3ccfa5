//! Gradients of a mixture of experts.
/// Placeholder.
#[derive(Debug)]
pub struct MixtureBackward;
