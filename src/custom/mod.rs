//! A user's own activation: a WGSL expression and its derivative.

mod expression;

use thiserror::Error;

pub use expression::check_expression;
pub(crate) use expression::expression_function;

/// Most parameters (with derived constants) that an activation can have: as many as fit the kernels' uniform block.
pub const MAX_PARAMETERS: usize = 10;

/// A custom activation; make one with [`Custom::new`] and wrap it with [`Custom::into_activation`].
#[derive(Debug, Clone, PartialEq)]
pub struct Custom {
    name: String,
    value: String,
    derivative: String,
    parameters: Vec<(String, f64)>,
}

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("custom activation `{name}`: {part}: {reason}")]
pub struct CustomError {
    /// The activation's name.
    pub name: String,
    /// Which of its texts is at fault.
    pub part: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Custom {
    /// An activation from two WGSL expressions in `x: f32`: its value and its derivative.
    ///
    /// Both may use WGSL's built-in functions and the named `parameters` (as `f32`).
    ///
    /// ```
    /// # use ffwd::Custom;
    /// let snake = Custom::new("snake", "x + sin(a * x) * sin(a * x) / a", "1.0 + sin(2.0 * a * x)", &[("a", 0.5)])?;
    /// # Ok::<(), ffwd::CustomError>(())
    /// ```
    ///
    /// # Errors
    /// [`CustomError`] where a text is not one expression of type `f32`, or a name is no WGSL identifier.
    pub fn new(name: &str, value: &str, derivative: &str, parameters: &[(&str, f64)]) -> Result<Self, CustomError> {
        let fail = |part, reason: String| CustomError { name: name.to_owned(), part, reason };
        let parameters: Vec<(String, f64)> = parameters.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        if parameters.len() > MAX_PARAMETERS {
            return Err(fail("parameters", format!("{} given, {} allowed", parameters.len(), MAX_PARAMETERS)));
        }
        let custom = Self { name: name.to_owned(), value: value.to_owned(), derivative: derivative.to_owned(), parameters };
        for (part, text) in [("value", value), ("derivative", derivative)] {
            check_expression(text, custom.parameters.iter().map(|(n, _)| n.as_str())).map_err(|reason| fail(part, reason))?;
        }
        Ok(custom)
    }

    /// As an [`Activation`](crate::Activation), usable wherever a built-in one is.
    pub fn into_activation(self) -> crate::Activation {
        crate::Activation::Custom(std::sync::Arc::new(self))
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// WGSL expression of the value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// WGSL expression of the derivative.
    pub fn derivative(&self) -> &str {
        &self.derivative
    }

    /// Names and values of the parameters.
    pub fn parameters(&self) -> &[(String, f64)] {
        &self.parameters
    }

    /// Sets one parameter; false where there is none of that name.
    pub(crate) fn set(&mut self, name: &str, value: f64) -> bool {
        match self.parameters.iter_mut().find(|(n, _)| n == name) {
            Some(parameter) => {
                parameter.1 = value;
                true
            }
            None => false,
        }
    }
}
