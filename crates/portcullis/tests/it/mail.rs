//! `mail`, as an operator tries it.

use crate::program::{Program, text};

#[test]
fn one_message_shows_whether_mail_works() {
    let program = Program::new();
    let none = program.run(&["mail", "member@example.org"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("there is no `[mail]`"), "{}", text(&none.stderr));

    let set = |value: &'static str| ["--set", value];
    let outbox =
        [set("mail.kind=outbox"), set("mail.from=no-reply@example.org"), set("mail.outbox=out")].concat();
    program.ok(&[&["mail", "member@example.org"], outbox.as_slice()].concat());
    let file = std::fs::read_dir(program.path().join("out")).expect("a folder").next().expect("a message");
    let message = std::fs::read_to_string(file.expect("a file").path()).expect("text");
    assert!(message.contains("To: member@example.org\r\n") && message.contains("can send mail"), "{message}");

    let refused = program.run(&[&["mail", "no address"], outbox.as_slice()].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!text(&refused.stderr).contains("no address"), "an address that cannot be used is not repeated");

    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let server = format!("mail.port={port}");
    let args = [
        "mail",
        "member@example.org",
        "--set",
        "mail.kind=smtp",
        "--set",
        "mail.from=a@example.org",
        "--set",
    ];
    let gone = program.run(&[&args[..], &["mail.host=127.0.0.1", "--set", &server]].concat());
    assert_eq!(gone.status.code(), Some(2));
    let told = text(&gone.stderr);
    assert!(told.contains("cannot be reached") && !told.contains("member"), "{told}");
}
