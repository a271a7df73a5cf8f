//! Reads a page back: whether its tags match, what it refers to, the cells of its tables.

/// Elements that have no end.
const VOID: [&str; 5] = ["meta", "link", "img", "br", "!DOCTYPE"];

/// A page that was read.
pub struct Page {
    pub text: String,
    /// Elements with their attributes, in order.
    pub tags: Vec<(String, String)>,
}

impl Page {
    /// # Panics
    /// When a tag has no end, or ends in the wrong place.
    #[track_caller]
    pub fn read(text: String) -> Self {
        assert!(text.starts_with("<!DOCTYPE html>"), "{}", &text[..80.min(text.len())]);
        let (mut open, mut tags): (Vec<String>, Vec<(String, String)>) = (Vec::new(), Vec::new());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('<') {
            let (tag, after) = rest[at + 1..].split_once('>').expect("a tag ends");
            rest = after;
            let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "{tag} closes something else");
                continue;
            }
            let name = name.trim_end_matches('/');
            tags.push((name.to_string(), attributes.to_string()));
            if name == "style" {
                // No tag stands in a style sheet.
                rest = &rest[rest.find("</style").unwrap()..];
            }
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name.to_string());
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
        Page { text, tags }
    }

    /// What the page refers to: the values of `src` and `href` and whatever a style asks for.
    pub fn references(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (_, attributes) in &self.tags {
            for key in ["src=\"", "href=\"", "srcset=\"", "data=\"", "action=\""] {
                let values = attributes.split(key).skip(1).filter_map(|value| value.split('"').next());
                all.extend(values.map(str::to_string));
            }
        }
        all.extend(self.text.split("url(").skip(1).map(|value| value[..20.min(value.len())].to_string()));
        all
    }

    /// The cells of the first table row that begins with `name`.
    #[track_caller]
    pub fn row(&self, name: &str) -> Vec<String> {
        let begins = format!("<tr><th scope=\"row\">{name}</th>");
        let row = self.text.split(&begins).nth(1).unwrap_or_else(|| panic!("no row {name}"));
        let row = row.split("</tr>").next().unwrap();
        let cell = |cell: &str| cell.split_once('>').unwrap().1.split("</td>").next().unwrap().to_string();
        row.split("<td").skip(1).map(cell).collect()
    }

    /// The number that a cell begins with.
    #[track_caller]
    pub fn number(cell: &str) -> f64 {
        cell.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{cell} is no number"))
    }
}
