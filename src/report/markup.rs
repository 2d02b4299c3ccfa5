//! Markup that is well formed by construction: tags and names of attributes are literals, everything else is escaped.

/// A page, or a part of one, as it grows.
#[derive(Debug, Default)]
pub struct Markup(String);

impl Markup {
    /// Appends an element with what `inside` puts into it.
    pub fn element(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], inside: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
        if matches!(tag, "tr" | "g" | "p" | "li" | "table" | "section" | "svg") {
            self.0.push('\n');
        }
    }

    /// Appends an element that holds a text.
    pub fn say(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.element(tag, attributes, |markup| markup.text(text));
    }

    /// Appends an element that can hold nothing.
    pub fn leaf(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(tag, attributes);
        self.0.push_str("/>");
    }

    /// Appends a text, escaped.
    pub fn text(&mut self, text: &str) {
        self.0.extend(text.chars().flat_map(Escaped::new));
    }

    /// Appends a style sheet of our own; none may hold `<` or `&`.
    pub fn style(&mut self, attributes: &[(&'static str, &str)], sheet: &'static str) {
        self.element("style", attributes, |markup| markup.0.push_str(sheet));
    }

    /// The page as an HTML document.
    pub fn into_document(self) -> String {
        format!("<!DOCTYPE html>\n{}\n", self.0)
    }

    fn open(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }
}

/// The characters that a character of a text becomes.
enum Escaped {
    Reference(std::str::Chars<'static>),
    Plain(Option<char>),
}

impl Escaped {
    fn new(c: char) -> Self {
        match c {
            '&' => Self::Reference("&amp;".chars()),
            '<' => Self::Reference("&lt;".chars()),
            '>' => Self::Reference("&gt;".chars()),
            '"' => Self::Reference("&quot;".chars()),
            '\'' => Self::Reference("&#39;".chars()),
            // Controls have no place in markup, and those of direction could make a text read as another.
            '\u{0}'..='\u{1f}' if !matches!(c, '\t' | '\n') => Self::Plain(Some(char::REPLACEMENT_CHARACTER)),
            '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                Self::Plain(Some(char::REPLACEMENT_CHARACTER))
            }
            c => Self::Plain(Some(c)),
        }
    }
}

impl Iterator for Escaped {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Self::Reference(chars) => chars.next(),
            Self::Plain(c) => c.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_escaped() {
        let mut markup = Markup::default();
        markup.element("p", &[("title", "\" onclick='x' <&>")], |p| p.text("</p><script>&\u{1b}\u{202e}\u{0}é"));
        assert_eq!(
            markup.0,
            "<p title=\"&quot; onclick=&#39;x&#39; &lt;&amp;&gt;\">&lt;/p&gt;&lt;script&gt;&amp;\u{fffd}\u{fffd}\u{fffd}é</p>\n"
        );
    }

    #[test]
    fn sheets_close_no_element() {
        for sheet in [include_str!("style.css"), include_str!("cards.css")] {
            assert!(!sheet.contains(['<', '&']));
        }
    }
}
