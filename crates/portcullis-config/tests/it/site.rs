//! A folder with a configuration and fresh keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use portcullis_config::{Code, Diagnostics, Environment, Flags, Loaded, init, load};
use tempfile::TempDir;

pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// A folder as `init` leaves it, with another configuration file.
    pub(crate) fn with(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        init(dir.path()).expect("an empty folder is initialised");
        fs::write(dir.path().join("portcullis.toml"), text).expect("the file is written");
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file with a mode.
    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(&path, text).expect("the file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the mode is set");
    }

    pub(crate) fn load(&self, environment: &Environment, flags: &Flags) -> Result<Loaded, Diagnostics> {
        load(&self.path("portcullis.toml"), environment, flags)
    }

    pub(crate) fn loaded(&self) -> Loaded {
        self.load(&Environment::default(), &Flags::none()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(crate) fn problems(&self) -> Diagnostics {
        self.load(&Environment::default(), &Flags::none()).expect_err("the configuration is refused")
    }

    /// The text of the problems without the temporary folder's name.
    pub(crate) fn told(&self, problems: &Diagnostics) -> String {
        problems.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// The problems of a configuration, as printed.
pub(crate) fn problems(text: &str) -> String {
    let site = Site::with(text);
    site.told(&site.problems())
}

/// The codes of the problems, in order.
pub(crate) fn codes(problems: &Diagnostics) -> Vec<Code> {
    problems.iter().map(|problem| problem.code).collect()
}
