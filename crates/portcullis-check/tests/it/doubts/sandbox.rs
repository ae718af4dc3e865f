//! About the sandbox.

use portcullis_check::Target;
use portcullis_check::target::{Credential, Runtime, SandboxApi};

use super::{Case, judged};
use crate::foreign::{Foreign, node_is_here};
use crate::settings::options;

fn sandbox(target: &mut Target) -> &mut SandboxApi {
    target.sandbox.as_deref_mut().expect("a sandbox")
}

pub(super) const CASES: &[Case] = &[
    Case {
        what: "no sandbox is named",
        change: |target| target.sandbox = None,
        id: "SBX-05",
        word: "inconclusive",
        says: "[sandbox]",
    },
    Case {
        what: "no file is planted on the sandbox's host",
        change: |target| sandbox(target).planted.clear(),
        id: "SBX-05",
        word: "inconclusive",
        says: "[[sandbox.planted]]",
    },
    Case {
        what: "the build brings no programs for what the sandbox runs",
        change: |target| sandbox(target).runtime = Runtime::Wasm(None),
        id: "SBX-05",
        word: "inconclusive",
        says: "--features sandbox",
    },
    Case {
        what: "the key of the sandbox is wrong",
        change: |target| sandbox(target).credential = Some(Credential::bearer("no such key")),
        id: "SBX-05",
        word: "inconclusive",
        says: "POST /jobs",
    },
    Case {
        what: "the sandbox is somewhere else than it says",
        change: |target| {
            let elsewhere = target.base_url.clone();
            sandbox(target).at = elsewhere;
        },
        id: "SBX-06",
        word: "inconclusive",
        says: "POST /jobs",
    },
    Case {
        what: "more jobs are said to run at a time than do",
        change: |target| sandbox(target).at_once = 5,
        id: "SBX-06",
        word: "fail",
        says: "3 of 5 ran at a time",
    },
    Case {
        what: "fewer jobs are said to run at a time than do",
        change: |target| sandbox(target).at_once = 2,
        id: "SBX-06",
        word: "fail",
        says: "the target says 2",
    },
];

#[tokio::test]
async fn a_job_that_gets_out_by_ipv6_is_heard() {
    if !node_is_here().await {
        return;
    }
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("SKIPPED ipv6: this machine has no ::1");
        return;
    }
    let foreign = Foreign::deployed(None, &["--sandbox-has-ipv6"]).await;
    let target = foreign.target();
    let (word, reason) = judged(foreign, target, "SBX-05", options()).await;
    assert_eq!(word, "fail", "{reason}");
    assert!(reason.contains("its word came to this machine"), "{reason}");
}
