use super::{Headings, extract};
use crate::chunk::Block;

fn show(html: &str) -> String {
    let page = extract(html, Headings::Sections, 100);
    let blocks = page.blocks.into_iter().map(|block| match block {
        Block::Heading { level, text } => format!("{} {text}", "#".repeat(level.into())),
        Block::Text(text) => text,
        Block::Code(text) => format!("```\n{text}\n```"),
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// Each of these hides SECRET from a browser's reader.
#[test]
fn what_a_browser_hides_is_not_text() {
    for html in [
        "<p>a</p><p hidden>SECRET</p><p>b</p>",
        "a<div style='display: none'><p>SECRET</p><div>SECRET</div>SECRET</div>b",
        "a<!-- SECRET -->b",
        "a<script>SECRET</script>b",
        "a<style>SECRET</style>b",
        "a<template><p>SECRET</p></template>b",
        "a<noscript><!-- </noscript>b<!-- SECRET --></p>",
        "a<svg><text>SECRET</text></svg>b",
        "a<iframe>SECRET</iframe>b",
        "a<textarea>SECRET</textarea>b",
        "a<select><option>SECRET</select>b",
        "a<dialog>SECRET</dialog>b",
        "a<object><p>SECRET</p></object>b",
        "a<video><p>SECRET</p></video>b",
        // End tags that do not end it.
        "a<div hidden></span></p></table></li>SECRET</div>b",
        "a<div hidden><table><tr><td></div>SECRET</td></tr></table></div>b",
        "a<div hidden><button></p>SECRET</button></div>b",
        "a<span hidden><div></span>SECRET</div></span>b",
        "a<p><b hidden>SECRET<p>SECRET</b>b",
        "a<p><i hidden>SECRET</p>SECRET<p>SECRET</i>b",
        "a<b><div hidden>SECRET</b>SECRET</div>b",
        "a<div hidden><b></div hidden>b<!--",
        "a<DIV HIDDEN>SECRET</DIV>b",
        "a<div\nhidden\n>SECRET</div >b",
        "a<div title='>' hidden>SECRET</div>b",
        "a<div hidden/>SECRET</div>b",
        "ab<plaintext hidden>SECRET</plaintext></div>SECRET",
        "ab<!-- never closed SECRET",
        "ab<div title=\"never closed SECRET",
    ] {
        let shown = show(html);
        assert!(!shown.contains("SECRET"), "{html}\n{shown}");
        assert!(shown.contains('a') && shown.contains('b'), "{html}\n{shown}");
    }
}

/// None of these hides what follows.
#[test]
fn what_a_browser_shows_is_text() {
    for html in [
        "<p hidden>x<p>SHOWN",
        "<ul><li hidden>x<li>SHOWN</ul>",
        "<table><tr><td hidden>x<td>SHOWN</table>",
        "<table><tr hidden><td>x<tr><td>SHOWN</table>",
        "<p hidden>x<div>SHOWN</div>",
        "<b hidden>x</b>SHOWN",
        "<p><b hidden>x</b></p>SHOWN",
        "<div hidden><p>x</div>SHOWN",
        "<div hidden><b><i>x</div>SHOWN",
        "<img hidden>SHOWN",
        "<br hidden>SHOWN",
        "<svg hidden/>SHOWN",
        "<dl><dt hidden>x<dd>SHOWN</dl>",
        "1 < 2 SHOWN",
        "&lt;script>SHOWN",
        "<details><summary>s</summary>SHOWN</details>",
        "<dialog open>SHOWN</dialog>",
        "<xmp><b>SHOWN</b></xmp>",
    ] {
        assert!(show(html).contains("SHOWN"), "{html}\n{}", show(html));
    }
}

#[test]
fn blocks_lists_quotes_and_code_are_kept_apart() {
    let html = "<h2>Head <em>ing</em></h2><p>one\n two<br>three</p><ul><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ul>\
        <ol start=3><li>x<li>y</ol><blockquote><p>q</p><blockquote>deep<pre>code\n  in</pre></blockquote></blockquote>\
        <pre><code>fn x() {\n    1 &lt; 2\n}\n</code></pre>tail<table><thead><tr><th>h<th>i</thead><tr><td>1<td>2</table>";
    insta::assert_snapshot!(show(html), @r#"
    ## Head ing

    one two
    three

    - a
      - b
    - c

    d

    3. x
    4. y

    > q

    > > deep

    ```
    > > code
    > >   in
    ```

    ```
    fn x() {
        1 < 2
    }
    ```

    tail

    h | i
    1 | 2
    "#);
}

#[test]
fn a_preview_of_a_linked_page_keeps_its_lines() {
    let html = "<aside class=\"onebox githubblob\"><header class=\"source\"><a href=\"https://github.com/x\">github.com</a></header>\
        <article class=\"onebox-body\"><h4><a href=\"https://github.com/x\">x/y.kt</a></h4>\n<pre class=\"onebox\"><code class=\"lang-kt\">\
        <ol class=\"start lines\" start=\"20\">\n<li>one</li>\n<li>  two</li>\n</ol></code></pre></article></aside>\
        <div class=\"lazyYT\" data-youtube-id=\"a_b-1\" data-youtube-title=\"A film\"></div>\
        <div class=\"lightbox-wrapper\"><a class=\"lightbox\" href=\"https://i.example/x.jpg\"><img alt=\"pic\"><div class=\"meta\">\
        <span class=\"informations\">1279x743</span></div></a></div>";
    insta::assert_snapshot!(show(html), @r#"
    github.com

    x/y.kt

    ```
    one
      two
    ```

    [video: A film]

    [image: pic]
    "#);
    assert_eq!(
        extract(html, Headings::Lines, 100).links,
        ["https://github.com/x", "https://github.com/x", "https://www.youtube.com/watch?v=a_b-1"]
    );
}
