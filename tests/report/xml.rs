//! A small check that a text is well-formed XML, and the tree it makes.

/// An element; the texts between its children are elements without a name.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    own: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// It and every element in it, in the order of the text.
    pub fn everything(&self) -> Vec<&Element> {
        let children = self.children.iter().filter(|child| !child.name.is_empty());
        std::iter::once(self).chain(children.flat_map(Element::everything)).collect()
    }

    /// Every element of that name.
    pub fn all(&self, name: &str) -> Vec<&Element> {
        self.everything().into_iter().filter(|element| element.name == name).collect()
    }

    /// All text in it.
    pub fn text(&self) -> String {
        self.own.clone() + &self.children.iter().map(Element::text).collect::<String>()
    }
}

/// The only element of a text.
pub fn parse(text: &str) -> Result<Element, String> {
    let mut open = vec![Element::default()];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        say(&mut open, &rest[..at])?;
        let end = rest[at..].find('>').ok_or("a tag without an end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let done = open.pop().ok_or("too many ends")?;
            if done.name != name {
                return Err(format!("</{name}> where <{}> is open", done.name));
            }
            open.last_mut().ok_or("an end after the end")?.children.push(done);
        } else {
            let (tag, leaf) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let element = start(tag)?;
            if leaf {
                open.last_mut().ok_or("an element after the end")?.children.push(element);
            } else {
                open.push(element);
            }
        }
    }
    say(&mut open, rest)?;
    let [root] = &mut open[..] else { return Err(format!("{} elements are still open", open.len() - 1)) };
    root.children.retain(|child| !child.name.is_empty() || !child.own.trim().is_empty());
    match root.children.len() {
        1 if !root.children[0].name.is_empty() => Ok(root.children.remove(0)),
        n => Err(format!("{n} things at the top")),
    }
}

fn say(open: &mut [Element], text: &str) -> Result<(), String> {
    if !text.is_empty() {
        let own = plain(text)?;
        open.last_mut().ok_or("text after the end")?.children.push(Element { own, ..Element::default() });
    }
    Ok(())
}

fn start(tag: &str) -> Result<Element, String> {
    let name = tag.split(' ').next().unwrap_or_default();
    let letters = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !letters(name) {
        return Err(format!("<{tag}> has no good name"));
    }
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    let mut rest = &tag[name.len()..];
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix(' ').and_then(|rest| rest.split_once("=\"")).ok_or(format!("<{tag}>: {rest:?}"))?;
        let (value, after) = after.split_once('"').ok_or(format!("<{tag}>: {key} has no end"))?;
        if !letters(key) || element.attribute(key).is_some() {
            return Err(format!("<{tag}>: the attribute {key:?}"));
        }
        element.attributes.push((key.to_owned(), plain(value)?));
        rest = after;
    }
    Ok(element)
}

/// A text without its references, of which the few that we write are known.
fn plain(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, after) = part.split_once(';').ok_or(format!("a bare & before {part:?}"))?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => return Err(format!("the reference &{name};")),
        });
        plain += after;
    }
    match plain.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t') {
        Some(c) => Err(format!("the control character {c:?}")),
        None => Ok(plain),
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    assert_eq!(parse("<a b=\"1\"><c/>x &amp; y</a>\n").unwrap().text(), "x & y");
    for bad in
        ["<a>", "<a></b>", "<a/><b/>", "<a b=1/>", "<a b=\"1\" b=\"2\"/>", "<a>&</a>", "<a>&nbsp;</a>", "</a>", "<a>\u{1}</a>", "<a", "x"]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
