//! What must not leave, and beside each the nearest that must.

use portcullis_leak::{Action, Class, Kind, Policy};

use crate::support::{Dice, SEED, canary, run, same_for_every_split, stopping, strict, vault};

/// A text, and what leaves of it.
const SECRETS: &[(&str, &str)] = &[
    ("key sk-proj-Ab12Cd34Ef56Gh78Ij90 end", "key {secret withheld} end"),
    ("key sk-Ab12Cd34Ef56Gh78Ij90Kl12Mn34.", "key {secret withheld}."),
    ("sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "{secret withheld}"),
    ("xsk-Ab12Cd34Ef56Gh78Ij90Kl12Mn34", "x{secret withheld}"),
    ("id AKIAIOSFODNN7EXAMPLE, yes", "id {secret withheld}, yes"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a\nnext", "{secret withheld}\nnext"),
    ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz", "{secret withheld}"),
    ("use glpat-abcdefghij0123456789 now", "use {secret withheld} now"),
    ("xoxb-123456789012-abcdefGHIJKL", "{secret withheld}"),
    ("https://hooks.slack.com/services/T0000/B0000/XXXX ok", "{link removed} ok"),
    ("(sk_live_4eC39HqLyjWDarjtT1zdp7dc)", "({secret withheld})"),
    ("AIzaSyA1234567890abcdefghijklmnopqrstuv!", "{secret withheld}!"),
    ("SK0123456789abcdef0123456789abcdef", "{secret withheld}"),
    ("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.", "{secret withheld}."),
    ("npm_abcdefghijklmnopqrstuvwxyz0123456789", "{secret withheld}"),
    ("pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw", "{secret withheld}"),
    ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "{secret withheld}"),
    ("Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2ln.", "Bearer {secret withheld}."),
    ("pcl_0123456789ab_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk", "{secret withheld}"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB+/=\nabc\n-----END RSA PRIVATE KEY-----\nafter",
        "{secret withheld}\nafter",
    ),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA", "{secret withheld}"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----.", "{secret withheld}."),
    ("postgres://app:hunter2@db.internal:5432/app is it", "{secret withheld} is it"),
    ("mongodb+srv://u:p%40ss@c.example.net/?w=1", "{secret withheld}"),
    ("0redis://:secret@cache:6379", "0{secret withheld}"),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa://u:pw@h",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{secret withheld}",
    ),
    ("https://ada:secret@chat.example.org/x", "{secret withheld}"),
    ("Server=db;Password=hunter22;Encrypt=1", "Server=db;{secret withheld};Encrypt=1"),
    ("DB_PASSWORD=\"hunter22\" done", "DB_{secret withheld}\" done"),
    ("AccountKey=abcdefghijkl==;x", "{secret withheld};x"),
];

const NO_SECRETS: &[&str] = &[
    "a task-force for risk-averse desk-workers, sk-learn, sk-something-long-and-lower-case",
    "key-value stores, the ghp_ prefix, AKIA and Asia, AIza",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "--- a rule\n----- another\n-----BEGIN",
    "postgres://db.internal:5432/app has no password",
    "The password is kept by the operator. Password: ask. password= ",
    "the eye, keyJsonSerializerFactoryBuilder, eyJ",
    "see the xoxb- family and npm_config",
    "special social association of physicians and musicians",
];

const PERSONAL: &[(&str, &str)] = &[
    ("write to paul@example.org.", "write to {mail address withheld}."),
    ("Paul.O-Neil+x@mail.example.co.uk, or", "{mail address withheld}, or"),
    ("<mia@example.org>", "<{mail address withheld}>"),
    ("jürgen@example.org", "{mail address withheld}"),
    ("mailto:mia@example.org", "mailto:{mail address withheld}"),
    ("call +49 30 1234567 today", "call {phone number withheld} today"),
    ("call +1 (555) 010-9999.", "call {phone number withheld}."),
    ("0049 30 12345678", "{phone number withheld}"),
    ("(030) 1234567 is it", "{phone number withheld} is it"),
    ("0171-1234567", "{phone number withheld}"),
    ("555-123-4567!", "{phone number withheld}!"),
    ("card 4111 1111 1111 1111 ok", "card {card number withheld} ok"),
    ("5500000000000004", "{card number withheld}"),
    ("9 4111-1111-1111-1111", "9 {card number withheld}"),
    ("card:378282246310005.", "card:{card number withheld}."),
    ("to DE89 3704 0044 0532 0130 00 please", "to {account number withheld} please"),
    ("GB82WEST12345698765432", "{account number withheld}"),
    ("xde89370400440532013000", "x{account number withheld}"),
    ("ssn 078-05-1120.", "ssn {social security number withheld}."),
];

const NO_PERSONAL: &[&str] = &[
    "Ask @paul, or a@b, or paul@localhost, or 3 @ 5.",
    "your own ada@members.example is here, Ada@Members.Example",
    "In 2024 there were 15 people, 1,234,567 loaves and 3.14159 pies on 2024-11-28 at 10:30.",
    "4111 1111 1111 1112 fails its check, 1234567890123456 too, ISBN 9783161484100",
    "GB83 WEST 1234 5698 7654 32 fails its check; so does de12.",
    "version 10.0.2.15, 192.168.100.200, 1-2-3, 12-34-56, 000-12-3456",
    "call 112 or 007 or 0800",
    "x + 1 = +2, +3 %",
];

const LINKS: &[(&str, &str)] = &[
    ("[here](https://evil.example/?q=abc) now", "[here] now"),
    ("![x](https://evil.example/p.png)", "![x]"),
    ("![x](https://forum.example.org/p.png)!", "![x]!"),
    ("[a ![b](https://evil.example/b) c](https://forum.example.org/x)", "[a ![b] c]"),
    ("[x](  \n https://evil.example/a(b)c \"t\") y", "[x] y"),
    ("[x](<https://evil.example/a b>) y", "[x] y"),
    ("[x](//evil.example/) y", "[x] y"),
    ("[x](/\\evil.example/) y", "[x] y"),
    ("[x](\\\\evil.example) y", "[x] y"),
    ("[x](https:evil.example) y", "[x] y"),
    ("[x](HTTPS://EVIL.example/) y", "[x] y"),
    ("[x](https://forum.example.org.evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org\\@evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org%2eevil.example/) y", "[x] y"),
    ("[x](https://forum.example.org@evil.example/) y", "[x] y"),
    ("[x](javascript:alert(1)) y", "[x] y"),
    ("[x](&#106;avascript:alert(1)) y", "[x] y"),
    ("[x](data:text/html,hi) y", "[x] y"),
    ("[x](mailto:a) y", "[x] y"),
    ("[x][r]\n\n[r]: https://evil.example/q 't'\n", "[x][r]\n\n[r] 't'\n"),
    ("[r]: <javascript:alert(1)>\n", "[r]\n"),
    ("![x][r]\n\n[r]: https://forum.example.org/p.png", "![x][r]\n\n[r]"),
    ("see https://evil.example/a?b=c, or www.evil.example.", "see {link removed}, or {link removed}."),
    ("<https://evil.example/a>", "<{link removed}>"),
    ("ftp://chat.example.org/", "{link removed}"),
    ("javascript:alert(1)", "{link removed})"),
    ("<img src=\"https://evil.example/p\">", "< img src=\"{link removed}\">"),
    ("<img/src=x onerror=alert(1)>", "< img/src=x onerror=alert(1)>"),
    ("<ScRiPt>fetch(1)</sCrIpT>", "< ScRiPt>fetch(1)< /sCrIpT>"),
    ("<!-- x --><?y?>", "< !-- x -->< ?y?>"),
    ("<svg><style>", "< svg>< style>"),
    ("text <", "text <"),
    // Behind a host of the list stands what makes it the name of a user, or a part of another host.
    ("![x](https://chat.example.org,@evil.example/p.png?d=abc) y", "![x] y"),
    ("[x](https://forum.example.org'@evil.example/?q=abc) y", "[x] y"),
    ("[x](https://forum.example.org!.evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org\"@evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org,&commat;evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org,\\@evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org @evil.example/) y", "[x] y"),
    ("[x](https://forum.example.org\n.evil.example/) y", "[x]\n.evil.example/) y"),
    ("[x](//forum.example.org;@evil.example/) y", "[x] y"),
    ("[x](<https://forum.example.org)@evil.example/>) y", "[x]@evil.example/>) y"),
    ("[x](<https://forum.example.org @evil.example/>) y", "[x] y"),
    ("[x](<https://forum.example.org\t.evil.example/>) y", "[x] y"),
    ("[r]: https://forum.example.org)@evil.example/\n", "[r]\n"),
    ("[r]: https://forum.example.org @evil.example\n", "[r] @evil.example\n"),
    ("https://forum.example.org!@evil.example/?q=abc y", "{link removed} y"),
    ("**https://forum.example.org**.evil.example/ y", "**{link removed}**.evil.example/ y"),
    ("https://forum.example.org,\u{3002}evil.example/ y", "{link removed} y"),
    ("www.example.org\u{3000}@evil.example/ y", "{link removed}\u{3000}@evil.example/ y"),
    ("www.example.org,@evil.example/ y", "{link removed} y"),
    ("<https://forum.example.org,@evil.example/> y", "<{link removed}> y"),
    ("https://forum.example.org>@evil.example/ y", "{link removed}>@evil.example/ y"),
    ("> ![x](\n> //evil.example/p.png?d=abc)\n", "> ![x]\n"),
    ("> [x](\n> javascript&colon;alert(1))\n", "> [x]\n"),
    ("![x][r]\n\n> [r]:\n> //evil.example/p.png\n", "![x][r]\n\n> [r]\n"),
    ("![x](https://chat.example.org\u{a0}\"@evil.example/p.png) y", "![x] y"),
    ("![x](https://chat.example.org\u{3000}(@evil.example/p.png)) y", "![x] y"),
    ("[r]: https://chat.example.org\u{2003}\"@evil.example/p\n", "[r]\u{2003}\"@evil.example/p\n"),
    ("https://forum.example.org\u{a0}@evil.example/?q=abc y", "{link removed}\u{a0}@evil.example/?q=abc y"),
    ("https://forum.example.org,\u{3002}\u{ad}evil.example/ y", "{link removed} y"),
    ("[x](https://forum.example.org (@evil.example/?q=abc)) y", "[x] y"),
    ("[x](https://forum.example.org '@evil.example/?q=abc) y", "[x] y"),
    ("[x](https://forum.example.org (a@evil.example/)) y", "[x] y"),
    ("![x](https\n://evil.example/p.png) y", "![x]\n://evil.example/p.png) y"),
    ("[x](java\nscript:alert(1)) y", "[x]\nscript:alert(1)) y"),
    ("> [x](java\n> script:alert(1)) y", "> [x]\n> script:alert(1)) y"),
    ("[r]: javascript:\u{a0}alert(1)\n", "[r]:\u{a0}alert(1)\n"),
    ("![x](<https://chat.example.org>@evil.example/p.png?d=S>) y", "![x] y"),
    ("[x](<https://forum.example.org> @evil.example/?q=abc>) y", "[x] y"),
    (
        "![x][r]\n\n[r]: <https://chat.example.org> @evil.example/p.png>\n",
        "![x][r]\n\n[r] @evil.example/p.png>\n",
    ),
    ("\\<https://forum.example.org>@evil.example/?q=abc y", "\\<{link removed}>@evil.example/?q=abc y"),
    ("![a\nhttps://evil.example/\nb](https://forum.example.org/p.png?d=S)", "![a\n{link removed}\nb]"),
    ("![a\n\u{a0}\nb](https://forum.example.org/p.png?d=S)", "![a\n\u{a0}\nb]"),
    ("www.-x.evil.example/?q=abc y", "{link removed} y"),
    ("www._x.evil.example/?q=abc y", "{link removed} y"),
    ("www.\u{ad}evil.example/?q=abc y", "{link removed} y"),
    ("www.\u{1f480}.evil.example/ y", "{link removed} y"),
    ("[x](java\n\tscript:alert(1)) y", "[x]\n\tscript:alert(1)) y"),
    // What is an address to one renderer and an element that acts to another.
    ("<http: tabindex=1 autofocus onfocus=alert(1)>", "< http: tabindex=1 autofocus onfocus=alert(1)>"),
    ("<https: style=background:url(//evil.example/)>", "< https: style=background:url(//evil.example/)>"),
    (
        "<https://chat.example.org/autofocus/onfocus=alert(1)>",
        "< https://chat.example.org/autofocus/onfocus=alert(1)>",
    ),
    ("<http:evil.example/?q=abc>", "< http:evil.example/?q=abc>"),
    ("<mailto:a/onfocus=alert(1)>", "< mailto:a/onfocus=alert(1)>"),
    ("<https://chat.example.org/\nonfocus=alert(1)>", "< https://chat.example.org/\nonfocus=alert(1)>"),
    ("<https://chat.example.org/", "< https://chat.example.org/"),
];

const NO_LINKS: &[&str] = &[
    "[here](https://forum.example.org/t/1?x=1&y=2#p) and [there](http://chat.example.org:8080/x \"t\").",
    "![logo](https://chat.example.org/logo.png) [doc](/documents/1) [top](#top) [next](page.html) [e]()",
    "[r]: https://chat.example.org/x\n[Ada]: note: that is all. [1]: see page 3",
    "https://forum.example.org/t/1, https://forum.example.org.",
    "a < b, x <3, 1<2, <b>bold</b><br/>, <String>, data: four numbers; Javascript: the language",
    "[a](https://forum.example.org) [b](https://forum.example.org \"t\") [c](<https://forum.example.org>) (https://forum.example.org).",
    "[r]: https://chat.example.org\nnext [s]: <https://chat.example.org> 't'\nhttps://forum.example.org! And **https://forum.example.org**, too.",
    "[a](https://forum.example.org 'it\\'s (so)' ) [b](https://forum.example.org (t)) [c](note\nbelow) **https://forum.example.org**—our forum",
    "**https://forum.example.org**。 |https://forum.example.org|München| https://forum.example.org\u{a0}! yes",
    "<https://forum.example.org> <https://forum.example.org/a?b=c/d=e> <http://chat.example.org:8080/x>, \"https://forum.example.org\"; yes",
    "f(x)[i] (a) [b] (c), note: yes, http and https, what? hmm, did javascript win",
];

fn check(cases: &[(&str, &str)], class: Class) {
    println!("seed {SEED:#x}");
    let (mut dice, strict, stopping) = (Dice(SEED), strict(), stopping());
    for (text, wanted) in cases {
        let outcome = same_for_every_split(&strict, text, text, &mut dice);
        assert_eq!(outcome.out, *wanted, "{text}");
        assert_eq!(outcome.stopped, None);
        if wanted.contains('{') {
            assert!(
                outcome.found.iter().any(|(found, _)| *found == class) || class == Class::Secret,
                "{text}"
            );
            let stopped = run(&stopping, [*text]);
            assert!(stopped.stopped.is_some(), "{text}");
            let head = wanted.split('{').next().unwrap();
            assert_eq!(stopped.out, head, "nothing of the match leaves: {text}");
        }
    }
}

fn pass(texts: &[&str]) {
    println!("seed {SEED:#x}");
    let (mut dice, strict, stopping) = (Dice(SEED), strict(), stopping());
    for text in texts {
        let outcome = same_for_every_split(&strict, text, text, &mut dice);
        assert_eq!((outcome.out.as_str(), outcome.found.as_slice()), (*text, [].as_slice()));
        assert_eq!(run(&stopping, [*text]).stopped, None, "{text}");
    }
}

#[test]
fn no_secret_leaves_however_the_text_is_cut() {
    check(SECRETS, Class::Secret);
}

#[test]
fn what_only_resembles_a_secret_leaves() {
    pass(NO_SECRETS);
}

#[test]
fn no_personal_data_of_others_leaves_however_the_text_is_cut() {
    check(PERSONAL, Class::Personal);
}

#[test]
fn ones_own_address_and_plain_numbers_leave() {
    pass(NO_PERSONAL);
}

#[test]
fn no_link_leads_to_a_host_that_is_not_listed_however_the_text_is_cut() {
    check(LINKS, Class::Link);
}

#[test]
fn how_much_space_stands_before_a_word_decides_the_same_however_it_is_cut() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    for spaces in [1, 64, 65, 200] {
        let text = format!("[Ada]:{}note: x", " ".repeat(spaces));
        same_for_every_split(&vault, &text, &text, &mut dice);
    }
    for letters in 30..35 {
        let text = format!("[x](a\n{}:y)", "a".repeat(letters));
        same_for_every_split(&vault, &text, &text, &mut dice);
    }
}

#[test]
fn links_to_listed_hosts_and_harmless_markup_leave() {
    pass(NO_LINKS);
}

#[test]
fn every_published_token_is_withheld_and_its_bare_prefix_is_not() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    for (issuer, prefix) in portcullis_leak::published() {
        let upper = "0A1B2C3D4E5F6G7H8J9K0A1B2C3D4E5F6G7H8J9K0A1B2C3D";
        let lower = "0a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0a1b2c3d";
        let text = |body: &str| format!("the key {prefix}{body} of {issuer}");
        let wanted = format!("the key {{secret withheld}} of {issuer}");
        let bodies = [upper, lower].map(text);
        let fits = bodies.iter().find(|text| run(&vault, [text.as_str()]).out == wanted);
        let fits = fits.unwrap_or_else(|| panic!("{issuer} {prefix} leaves"));
        same_for_every_split(&vault, prefix, fits, &mut dice);
        let bare = format!("it begins with {prefix} they say");
        assert_eq!(run(&vault, [bare.as_str()]).found, [], "{prefix}");
    }
}

#[test]
fn the_canary_never_leaves_and_ends_the_answer() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    let word = canary().word().to_owned();
    let outcome = same_for_every_split(&vault, "canary", &format!("It is {word}, yes."), &mut dice);
    assert_eq!((outcome.out.as_str(), outcome.stopped), ("It is ", Some(Class::Canary)));
    let (near, _) = word.split_at(word.len() - 10);
    let outcome = same_for_every_split(&vault, "near", &format!("It is {near}, no."), &mut dice);
    assert_eq!((outcome.out, outcome.stopped), (format!("It is {near}, no."), None));
}

#[test]
fn a_class_that_is_off_is_not_looked_for_and_one_that_is_observed_leaves_and_is_counted() {
    let text = "ask paul@example.org about sk_live_4eC39HqLyjWDarjtT1zdp7dc at [x](https://evil.example/), call +49 30 1234567";
    assert_eq!(run(&vault(Policy::off()), [text]).out, text);
    let observed = run(
        &vault(Policy {
            secrets: Action::Observe,
            personal: Action::Observe,
            links: Action::Observe,
            ..Policy::strict()
        }),
        [text],
    );
    assert_eq!(observed.out, text);
    let classes: Vec<Class> = observed.found.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, [Class::Secret, Class::Personal, Class::Link]);
    let policy = Policy { kinds: [Kind::Phone].into(), ..Policy::strict() };
    assert_eq!(
        run(&vault(policy), ["paul@example.org, +49 30 1234567"]).out,
        "paul@example.org, {phone number withheld}"
    );
}

#[test]
fn taking_out_never_puts_a_match_together() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    for text in [
        "sk-proj-[x](https://evil.example/)Ab12Cd34Ef56Gh78",
        "[a](https://evil.example/)(https://evil.example/b)",
        "paul[x](javascript:1)@example.org",
        "+49 paul@example.org 30 1234567",
    ] {
        let once = same_for_every_split(&vault, text, text, &mut dice);
        let twice = run(&vault, [once.out.as_str()]);
        assert_eq!(
            (twice.out.as_str(), twice.found.as_slice()),
            (once.out.as_str(), [].as_slice()),
            "{text}"
        );
    }
}

#[test]
fn an_endless_token_is_not_kept_in_memory() {
    let vault = strict();
    let (mut leak, mut out) = (portcullis_leak::Leak::new(&vault), String::new());
    for start in [
        "sk-proj-Ab12Cd34Ef56Gh78",
        "\n-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY----- [x](https://evil.example/",
    ] {
        leak.push(start, &mut out);
        for _ in 0..20_000 {
            leak.push("aA0aA0aA0a", &mut out);
            assert!(leak.held() < 600, "{start}");
        }
    }
    assert!(out.len() < 200, "{}", out.len());
}

#[test]
fn the_documented_list_is_the_list() {
    let page = include_str!("../../../../docs/leaks.md");
    let (_, from) = page.split_once("## Secrets").expect("its heading");
    let (table, _) = from.split_once("\nAlso ").expect("what follows the table");
    let listed: std::collections::BTreeSet<&str> = table
        .lines()
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let known = portcullis_leak::published().map(|(_, prefix)| prefix).collect();
    assert_eq!(listed, known);
}
