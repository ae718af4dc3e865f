//! A page as a browser's parser sees it.

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// An element with what is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// Sorted by name.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// The text of the element and of all in it.
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split(' ').any(|it| it == class))
    }

    /// This element and all in it, in the order of the document.
    pub(crate) fn all(&self) -> Vec<&Element> {
        let mut found = vec![self];
        found.extend(self.children.iter().flat_map(Element::all));
        found
    }

    /// What the template decides: elements and the names of their attributes. The inside of an answer is left out, and
    /// so is how often the same follows itself, because the number of paragraphs is the text's own.
    pub(crate) fn shape(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.add_shape(&mut found);
        found.dedup();
        found
    }

    fn add_shape(&self, found: &mut Vec<String>) {
        // Which link is the current one is for the view to say.
        let names = self.attributes.iter().map(|(name, _)| name.as_str()).filter(|it| *it != "aria-current");
        let names: Vec<&str> = names.collect();
        found.push(format!("{}[{}]", self.name, names.join(" ")));
        if !self.has_class("prose") {
            self.children.iter().for_each(|child| child.add_shape(found));
        }
    }
}

/// Parses a whole document. A template that the parser must mend is a defect, and so is text that it must mend.
pub(crate) fn parse(page: &str) -> Element {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    assert_eq!(*dom.errors.borrow(), Vec::<String>::new(), "{page}");
    element(&dom.document)
}

/// Parses what stands inside of a page, and gives its elements.
pub(crate) fn fragment(html: &str) -> Vec<Element> {
    let page = parse(&format!("<!doctype html><title>.</title><main>{html}</main>"));
    let body = page.children.into_iter().flat_map(|html| html.children).find(|it| it.name == "body").unwrap();
    body.children.into_iter().flat_map(|main| main.children).collect()
}

fn element(handle: &Handle) -> Element {
    let mut made = Element::default();
    if let NodeData::Element { name, attrs, .. } = &handle.data {
        made.name = name.local.to_string();
        made.attributes =
            attrs.borrow().iter().map(|it| (it.name.local.to_string(), it.value.to_string())).collect();
        made.attributes.sort();
    }
    for child in handle.children.borrow().iter() {
        match &child.data {
            NodeData::Text { contents } => made.text.push_str(&contents.borrow()),
            // Templates have none, so that this is an element too many.
            NodeData::Comment { .. } => {
                made.children.push(Element { name: "#comment".to_owned(), ..Element::default() });
            }
            NodeData::Element { .. } => {
                let inner = element(child);
                made.text.push_str(&inner.text);
                made.children.push(inner);
            }
            _ => {}
        }
    }
    made
}
