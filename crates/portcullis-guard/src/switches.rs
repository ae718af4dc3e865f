//! Which guards are on. All of them, always, but in builds made to prove that a missing guard is noticed.

/// The guards that can be switched off in a build with the `guard-off` feature, by name, in pipeline order.
pub const SWITCHABLE: &[&str] = &[
    "blocklist",
    "auto-block",
    "pre-meter",
    "identify",
    "credential-community",
    "csrf",
    "rate-limit",
    "authorise",
    "request-owner",
    "attack-patterns",
    "hand-over",
    "injection",
    "quarantine",
    "recall-scope",
    "tool-allow-list",
    "tool-arguments",
    "tool-leaks",
    "tool-approval",
    "tool-addresses",
    "citation-fence",
    "canary",
    "secrets-out",
    "link-fence",
    "personal-data",
    "system-echo",
    "security-headers",
    "secret-strength",
    "sandbox-apart",
    "sandbox-places",
];

/// The name that stands for all of [`SWITCHABLE`], to measure what they cost.
pub const ALL: &str = "all";

/// A guard was named that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no guard `{0}` to switch off; the guards are {list}", list = SWITCHABLE.join(", "))]
pub struct UnknownGuard(pub String);

/// Which guards are on.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    #[cfg(feature = "guard-off")]
    off: Vec<&'static str>,
}

impl Switches {
    /// Every guard on.
    pub fn all_on() -> Self {
        Self::default()
    }

    /// Every guard on but these, or none where one of them is [`ALL`].
    #[cfg(feature = "guard-off")]
    pub fn without(names: &[&str]) -> Result<Self, UnknownGuard> {
        if names.contains(&ALL) {
            return Ok(Self { off: SWITCHABLE.to_vec() });
        }
        let known = |name: &&str| {
            let found = SWITCHABLE.iter().copied().find(|guard| guard == name);
            found.ok_or_else(|| UnknownGuard((*name).to_owned()))
        };
        Ok(Self { off: names.iter().map(known).collect::<Result<_, _>>()? })
    }

    /// Whether the guard is on.
    #[cfg(feature = "guard-off")]
    pub fn on(&self, guard: &str) -> bool {
        debug_assert!(SWITCHABLE.contains(&guard), "{guard} is not listed");
        !self.off.contains(&guard)
    }

    /// Whether the guard is on: always, in this build.
    #[cfg(not(feature = "guard-off"))]
    pub const fn on(&self, _guard: &str) -> bool {
        true
    }
}

#[cfg(all(test, feature = "guard-off"))]
mod tests {
    use super::{ALL, SWITCHABLE, Switches};

    #[test]
    fn one_word_switches_every_guard_off_and_a_name_that_one_alone() {
        let none = Switches::without(&[ALL]).unwrap();
        assert!(SWITCHABLE.iter().all(|guard| !none.on(guard)));
        let one = Switches::without(&["csrf"]).unwrap();
        let off: Vec<&str> = SWITCHABLE.iter().copied().filter(|guard| !one.on(guard)).collect();
        assert_eq!(off, ["csrf"]);
        assert!(!SWITCHABLE.contains(&ALL), "the word names no guard");
        assert!(Switches::without(&["crsf"]).is_err());
    }
}
