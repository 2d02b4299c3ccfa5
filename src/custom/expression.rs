//! Checking a user's WGSL expression before it is linked into anything.

/// Checks that `text` is one expression of type f32 in `x` and the named parameters: nothing declared, bound
/// or left open.
///
/// # Errors
/// The reason, for the user to read.
pub fn check_expression<'a>(text: &str, parameters: impl Iterator<Item = &'a str>) -> Result<(), String> {
    // Statements, blocks, attributes and comments cannot be part of an expression.
    if let Some(c) = text.chars().find(|c| matches!(c, ';' | '{' | '}' | '@' | '\0')) {
        return Err(format!("`{c}` cannot be part of an expression"));
    }
    if text.contains("//") || text.contains("/*") {
        return Err("comments cannot be part of an expression".into());
    }
    let parameters: Vec<&str> = parameters.collect();
    for (k, name) in parameters.iter().enumerate() {
        if !is_identifier(name) {
            return Err(format!("parameter name `{name}` is no identifier"));
        }
        if *name == "x" || parameters[..k].contains(name) {
            return Err(format!("parameter name `{name}` is taken"));
        }
    }
    let source = expression_function("custom_value", text, &parameters);
    let module = naga::front::wgsl::parse_str(&source).map_err(|error| error.message().to_owned())?;
    if module.functions.len() != 1 || !module.global_variables.is_empty() || !module.entry_points.is_empty() {
        return Err("it declares something".into());
    }
    let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    validator.validate(&module).map(|_| ()).map_err(|error| error.into_inner().to_string())
}

/// The function that is checked is the one that is linked: nothing but x and the parameters is in its scope.
pub(crate) fn expression_function(name: &str, text: &str, parameters: &[&str]) -> String {
    let parameters: String = parameters.iter().map(|name| format!(", {name}: f32")).collect();
    format!("fn {name}(x: f32{parameters}) -> f32 {{\n    return {text};\n}}\n")
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_stay_in_their_place() {
        let parameters = || ["a"].into_iter();
        for good in ["x", "a * x", "select(0.0, x, x > a)", "exp(-x * x)", "1.0"] {
            assert_eq!(check_expression(good, parameters()), Ok(()), "{good}");
        }
        for bad in [
            "",
            "x; return 1.0",
            "x) + (1.0; } fn g() {",
            "vec2<f32>(x, x)",
            "b * x",
            "x // no",
            "i32(x)",
            "params.fence",
            "x)) + ((x",
            "x) + (x",
            "m",
            "e",
        ] {
            assert!(check_expression(bad, parameters()).is_err(), "{bad}");
        }
        assert!(check_expression("x", ["1a"].into_iter()).is_err());
        assert!(check_expression("x", ["x"].into_iter()).is_err());
        assert!(check_expression("x", ["a", "a"].into_iter()).is_err());
        // Names of ours and of WGSL's functions may be parameters.
        assert_eq!(check_expression("m + is_nan + select", ["m", "is_nan", "select"].into_iter()), Ok(()));
    }
}
