//! What a browser's parser makes of a text: the elements that it makes, with their attributes and their own text.
//!
//! Where an element stands does not matter here, so no tree is kept: an element that the parser moved or dropped again
//! was in the document for a moment, and counts.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{Attribute, ExpandedName, LocalName, ParseOpts, QualName, ns, parse_document};

/// An element as it was parsed.
#[derive(Debug)]
pub(super) struct Element {
    /// In lower case, whatever namespace it is of.
    pub(super) name: String,
    /// Names in lower case, values with their references resolved.
    pub(super) attributes: Vec<(String, String)>,
    /// The text that stands directly in it.
    pub(super) text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// How a browser comes to parse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripting {
    /// As a page.
    On,
    /// As a piece that a script of the page parses.
    Off,
}

/// Parses a text as HTML.
pub(super) fn parse(text: &str, scripting: Scripting) -> Vec<Element> {
    let tree_builder =
        TreeBuilderOpts { scripting_enabled: scripting == Scripting::On, ..TreeBuilderOpts::default() };
    let options = ParseOpts { tree_builder, ..ParseOpts::default() };
    parse_document(Elements::new(), options).one(text)
}

#[derive(Debug)]
struct Node {
    name: QualName,
    attributes: RefCell<Vec<Attribute>>,
    text: RefCell<String>,
    placed: Cell<bool>,
    /// What stands in a template.
    contents: RefCell<Option<Rc<Node>>>,
    integrates_html: bool,
}

impl Node {
    fn new(name: QualName, attributes: Vec<Attribute>) -> Self {
        Self {
            name,
            attributes: RefCell::new(attributes),
            text: RefCell::default(),
            placed: Cell::new(false),
            contents: RefCell::default(),
            integrates_html: false,
        }
    }

    /// The document, a comment, what stands in a template: nothing that has a name.
    fn nameless() -> Rc<Self> {
        Rc::new(Self::new(QualName::new(None, ns!(), LocalName::from("")), Vec::new()))
    }

    fn take(&self, child: NodeOrText<Rc<Self>>) {
        match child {
            NodeOrText::AppendNode(node) => node.placed.set(true),
            NodeOrText::AppendText(text) => self.text.borrow_mut().push_str(&text),
        }
    }
}

struct Elements {
    document: Rc<Node>,
    made: RefCell<Vec<Rc<Node>>>,
}

impl Elements {
    fn new() -> Self {
        Self { document: Node::nameless(), made: RefCell::default() }
    }
}

impl TreeSink for Elements {
    type Handle = Rc<Node>;
    type Output = Vec<Element>;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Vec<Element> {
        let made = self.made.into_inner();
        let read = made.into_iter().map(|node| Element {
            name: node.name.local.to_lowercase(),
            attributes: node
                .attributes
                .borrow()
                .iter()
                // `xlink:href` is told apart by its namespace alone.
                .map(|attribute| (attribute.name.local.to_lowercase(), attribute.value.to_string()))
                .collect(),
            text: match node.contents.borrow().as_ref() {
                Some(contents) => contents.text.borrow().clone(),
                None => node.text.borrow().clone(),
            },
        });
        let document = Element {
            name: String::new(),
            attributes: Vec::new(),
            text: self.document.text.borrow().clone(),
        };
        std::iter::once(document).chain(read).collect()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Rc<Node> {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Node>) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Rc<Node> {
        let mut node = Node::new(name, attributes);
        node.integrates_html = flags.mathml_annotation_xml_integration_point;
        if flags.template {
            node.contents = RefCell::new(Some(Node::nameless()));
        }
        let node = Rc::new(node);
        self.made.borrow_mut().push(Rc::clone(&node));
        node
    }

    fn create_comment(&self, _: StrTendril) -> Rc<Node> {
        Node::nameless()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<Node> {
        Node::nameless()
    }

    fn append(&self, parent: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        parent.take(child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Rc<Node>,
        previous: &Rc<Node>,
        child: NodeOrText<Rc<Node>>,
    ) {
        // What is put before an element is text of whatever holds it; the document stands for all of these.
        if element.placed.get() { self.document.take(child) } else { previous.take(child) }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Rc<Node>) -> Rc<Node> {
        target.contents.borrow().as_ref().map_or_else(|| Rc::clone(target), Rc::clone)
    }

    fn same_node(&self, one: &Rc<Node>, other: &Rc<Node>) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, _: &Rc<Node>, new: NodeOrText<Rc<Node>>) {
        self.document.take(new);
    }

    fn add_attrs_if_missing(&self, target: &Rc<Node>, attributes: Vec<Attribute>) {
        let mut known = target.attributes.borrow_mut();
        for attribute in attributes {
            if !known.iter().any(|one| one.name == attribute.name) {
                known.push(attribute);
            }
        }
    }

    fn remove_from_parent(&self, target: &Rc<Node>) {
        target.placed.set(false);
    }

    fn reparent_children(&self, _: &Rc<Node>, _: &Rc<Node>) {}

    fn is_mathml_annotation_xml_integration_point(&self, node: &Rc<Node>) -> bool {
        node.integrates_html
    }
}

#[cfg(test)]
mod tests {
    use super::{Scripting, parse};

    #[test]
    fn elements_are_those_that_a_browser_makes() {
        let names = |text: &str, scripting| -> Vec<String> {
            parse(text, scripting).into_iter().map(|element| element.name).collect()
        };
        let title =
            "<title><b>x</b></title><textarea><i></textarea><!-- <u> --><template><s>in</s></template>";
        let found = names(title, Scripting::On);
        assert_eq!(found, ["", "html", "head", "title", "body", "textarea", "template", "s"]);
        let hidden = "<noscript><p title=\"</noscript><img src=x onerror=a()>\"></noscript>";
        assert!(names(hidden, Scripting::On).contains(&"img".to_owned()));
        assert!(!names(hidden, Scripting::Off).contains(&"img".to_owned()));
    }

    #[test]
    fn references_are_resolved_and_the_text_is_the_elements_own() {
        let page = parse("<p ID=a&amp;b>one<b>two</b>three<script>x<y</script>", Scripting::On);
        let of = |name: &str| page.iter().find(|element| element.name == name).unwrap();
        assert_eq!(of("p").attribute("id"), Some("a&b"));
        assert_eq!((of("p").text.as_str(), of("b").text.as_str()), ("onethree", "two"));
        assert_eq!(of("script").text, "x<y");
    }

    #[test]
    fn what_is_put_into_a_table_is_not_lost() {
        let page = parse("<table><tr>loose<td>cell</table>", Scripting::On);
        let all: String = page.iter().map(|element| element.text.as_str()).collect();
        assert!(all.contains("loose") && all.contains("cell"), "{all}");
    }
}
