use super::read;
use crate::chunk::Block;
use crate::links::Links;

fn show(text: &str) -> String {
    let blocks = read(text, 100).blocks.into_iter().map(|block| match block {
        Block::Heading { level, text } => format!("{} {text}", "#".repeat(level.into())),
        Block::Text(text) => text,
        Block::Code(text) => format!("```\n{text}\n```"),
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

fn each_once(links: Vec<String>) -> Vec<String> {
    let mut once = Links::new(100);
    for link in links {
        once.add(link);
    }
    once.into_list()
}

#[test]
fn a_proposals_header_becomes_its_fields() {
    let content = read(
        "PEP: 8\nTitle: Style\nAuthor: Ann <ann at example.org>,\n        Bob <bob@example.org>\nDiscussions-To: `list <https://example.org/a@b/c>`__\nCreated: 05-Jul-2001\n\nText.\n",
        100,
    );
    assert_eq!(content.fields.first(&["author"]), Some("Ann, Bob"));
    assert_eq!(content.about.as_deref(), Some("PEP: 8\nDiscussions-To: list"));
    assert_eq!(each_once(content.links), ["https://example.org/a@b/c"]);
    assert_eq!(content.blocks, [Block::Text("Text.".into())]);
}

#[test]
fn sections_nest_by_the_order_of_their_adornments() {
    let text = "=====\nTitle\n=====\n\n:Author: Ann\n\nPart\n====\n\nDeep\n----\n\ntext\n\nPart two\n========\n\n----\n\nDeep two\n--------\nend\n";
    insta::assert_snapshot!(show(text), @r#"
    # Title

    ## Part

    ### Deep

    text

    ## Part two

    ### Deep two

    end
    "#);
}

#[test]
fn inline_markup_is_taken_off() {
    let text = "A *b* **c** ``d *e*`` :mod:`f.g` :class:`~h.I` `j <https://example.org/j>`_ and `k`_ or l_ not m_n.\n\
        An \\*escaped\\* star, a footnote [1]_ and [#x]_, |sub|, :rfc:`2119`, :pep:`named <8>`, 2 * 3 * 4, *args and\n\
        **kwargs, __init__ and `unclosed.\n\n.. _k: https://example.org/k\n.. _l:\n   https://example.org/l\n.. |sub| replace:: *substituted*\n";
    insta::assert_snapshot!(show(text), @r#"
    A b c d *e* f.g h.I j and k or l not m_n. An *escaped* star, a footnote [1] and [x], substituted, RFC 2119, named, 2 * 3 * 4, *args and **kwargs, __init__ and `unclosed.
    "#);
    assert_eq!(
        each_once(read(text, 100).links),
        [
            "https://example.org/j",
            "https://example.org/k",
            "https://example.org/l",
            "https://www.rfc-editor.org/rfc/rfc2119",
            "pep:8"
        ]
    );
}

#[test]
fn code_keeps_its_lines_and_lists_their_items() {
    let text = "Example::\n\n    if x:\n        y()\n\n    z()\n\nBack. Also: ::\n\n> quoted\n> literal\n\n>>> 1 + 1\n2\n\n\
        * one\n  more\n* two::\n\n      code in item\n\n  after\n\n  - deep\n\n1. first\n2. second\n\n#. auto\n\n\
        .. code-block:: python\n   :caption: no\n\n   def f():\n       pass\n\nterm\n    meaning of it\n";
    insta::assert_snapshot!(show(text), @r#"
    Example:

    ```
    if x:
        y()

    z()
    ```

    Back. Also:

    ```
    > quoted
    > literal
    ```

    ```
    >>> 1 + 1
    2
    ```

    - one more
    - two:

    ```
    code in item
    ```

    after

      - deep
    1. first
    2. second
    - auto

    ```
    def f():
        pass
    ```

    term

    meaning of it
    "#);
}

#[test]
fn directives_show_what_a_reader_sees_and_read_no_files() {
    let text = ".. note:: Be careful\n   here.\n\n   More.\n\n.. warning::\n\n   Alone.\n\n.. versionadded:: 3.9\n   New thing.\n\n\
        .. image:: x.png\n   :alt: a chart\n\n.. figure:: y.png\n\n   The caption.\n\n.. include:: /etc/passwd\n\n.. literalinclude:: /etc/shadow\n   :lines: 1\n\n\
        .. raw:: html\n\n   <b>hidden</b>\n\n.. a comment that\n   nobody sees\n\n..\n   nor this\n\n.. c:function:: int f(void)\n\n   Does it.\n\n\
        .. [1] A footnote\n   of two lines.\n.. [#x] Another.\n\n.. custom:: argument\n\nEnd.\n";
    insta::assert_snapshot!(show(text), @r#"
    Note: Be careful here.

    More.

    Warning: Alone.

    New in version 3.9: New thing.

    [image: a chart]

    The caption.

    int f(void)

    Does it.

    [1] A footnote of two lines.
    [x] Another.

    custom: argument

    End.
    "#);
}

#[test]
fn tables_become_rows() {
    let text = "+-----+-------+\n| a   | b     |\n+=====+=======+\n| 1   | two   |\n|     | lines |\n+-----+-------+\n\n\
        ===== =====  ===\nName  Value  x\n===== =====  ===\none   1      a\n      more\ntwo          b\n===== =====  ===\n\n\
        .. list-table:: Title\n   :header-rows: 1\n\n   * - H1\n     - H2\n   * - v1\n       more\n     - *v2*\n\n\
        .. csv-table::\n   :header: \"a\", \"b\"\n\n   1, 2\n\nEnd.\n";
    insta::assert_snapshot!(show(text), @r#"
    a | b
    1 | two lines

    Name | Value | x
    one | 1 | a more
    two | b

    Title
    H1 | H2
    v1 more | v2

    "a", "b"
    1, 2

    End.
    "#);
}

#[test]
fn what_only_looks_like_markup_stays_text() {
    for text in [
        "+", "==", "..", ".. [", ":", "::", ":a", "`", "a_", "* ", "|", "\\", "__ ", ">>>", "====\n", "1.",
        "(a",
    ] {
        let _ = read(text, 10);
    }
    assert_eq!(show("a::b and c: d"), "a::b and c: d");
    assert_eq!(show("| line\n| block"), "line\nblock");
    assert_eq!(show("=====\nnot closed"), "===== not closed");
}
