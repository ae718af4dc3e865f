//! The outside things themselves: how each is found, how it comes here, and whose tests use it.

/// One outside thing. The name is what `--require` takes and what a test's `SKIPPED <name>: <why>` says.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: &'static str,
    pub(super) origin: Origin,
    pub(super) needed: Needed,
}

/// How a component is found, and how it comes here.
#[derive(Debug)]
pub(super) enum Origin {
    /// Present when the command runs; from these Debian packages.
    Debian { probe: (&'static str, &'static [&'static str]), packages: &'static [&'static str] },
    /// A virtual environment with these packages; tests find its interpreter in the variable.
    Python { packages: &'static [&'static str], variable: &'static str },
    /// A folder with these packages; tests find its `node_modules` in the variable.
    Node { packages: &'static [&'static str], variable: &'static str },
    /// A folder with what the lock file of this folder of the workspace names; tests find its `node_modules` in the
    /// variable.
    Locked { folder: &'static str, variable: &'static str },
    /// A folder beside the workspace that is given or not; never made here.
    Beside { folder: &'static str },
}

/// Whose tests use a component.
#[derive(Debug)]
pub(super) enum Needed {
    Always,
    /// Test files, below `crates/*/tests`, whose path holds one of these words.
    By(&'static [&'static str]),
    /// No test: a benchmark asks for it by its name.
    Never,
}

/// In the order in which they are installed: an environment comes after its interpreter.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "data", origin: Origin::Beside { folder: "../shared/data" }, needed: Needed::Always },
    Component {
        name: "zstd",
        origin: Origin::Debian { probe: ("zstd", &["--version"]), packages: &["zstd"] },
        needed: Needed::Always,
    },
    Component {
        name: "tar",
        origin: Origin::Debian { probe: ("tar", &["--version"]), packages: &["tar"] },
        needed: Needed::Always,
    },
    Component {
        name: "node",
        origin: Origin::Debian { probe: ("node", &["--version"]), packages: &["nodejs"] },
        needed: Needed::Always,
    },
    Component {
        name: "npm",
        origin: Origin::Debian { probe: ("npm", &["--version"]), packages: &["npm"] },
        needed: Needed::By(&["client", PAGES]),
    },
    Component {
        name: "python",
        origin: Origin::Debian {
            probe: ("python3", &["-c", "import venv, ensurepip"]),
            packages: &["python3", "python3-venv"],
        },
        needed: Needed::By(&["client", "smtp"]),
    },
    Component {
        name: "openai-python",
        origin: Origin::Python { packages: &["openai==3.54.0"], variable: "PORTCULLIS_TEST_PYTHON" },
        needed: Needed::By(&["client"]),
    },
    Component {
        name: "openai-node",
        origin: Origin::Node { packages: &["openai@6.30.1"], variable: "PORTCULLIS_TEST_NODE_MODULES" },
        needed: Needed::By(&["client"]),
    },
    Component {
        name: "aiosmtpd",
        origin: Origin::Python { packages: &["aiosmtpd==1.4.6"], variable: "PORTCULLIS_TEST_SMTP_PYTHON" },
        needed: Needed::By(&["smtp"]),
    },
    Component {
        name: "openssl",
        origin: Origin::Debian { probe: ("openssl", &["version"]), packages: &["openssl"] },
        needed: Needed::By(&["tls"]),
    },
    Component {
        name: "nginx",
        origin: Origin::Debian { probe: ("nginx", &["-v"]), packages: &["nginx-light"] },
        needed: Needed::By(&["nginx"]),
    },
    Component {
        name: "wrk",
        origin: Origin::Debian { probe: ("which", &["wrk"]), packages: &["wrk"] },
        needed: Needed::Never,
    },
    Component {
        name: "chromium",
        origin: Origin::Debian { probe: ("chromium", &["--version"]), packages: &["chromium"] },
        needed: Needed::By(&[PAGES]),
    },
    Component {
        name: "playwright",
        origin: Origin::Locked { folder: "fixtures/browser", variable: "PORTCULLIS_TEST_BROWSER_MODULES" },
        needed: Needed::By(&[PAGES]),
    },
];

/// The test that needs a browser. The crate of the pages has a file of the same name, which needs none.
pub(super) const PAGES: &str = "portcullis/tests/it/pages";
