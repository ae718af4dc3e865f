//! Which guards are on. All of them, always, but in builds made to prove that a missing guard is noticed.
//!
//! Such a build can also tell where a guard makes a difference: what never meets one is the same with it and without.

#[cfg(feature = "guard-off")]
use std::{fmt, sync::Arc};

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
    "model-allowed",
    "attack-patterns",
    "hand-over",
    "secrets-in",
    "injection",
    "quarantine",
    "community-file",
    "recall-scope",
    "token-budget",
    "cost-budget",
    "tool-allow-list",
    "tool-arguments",
    "tool-leaks",
    "tool-approval",
    "tool-addresses",
    "tool-results",
    "citation-fence",
    "canary",
    "secrets-out",
    "link-fence",
    "personal-data",
    "system-echo",
    "security-headers",
    "quiet-errors",
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
    #[cfg(feature = "guard-off")]
    listener: Option<Listener>,
}

/// Whom it is told to that a guard made a difference.
#[cfg(feature = "guard-off")]
#[derive(Clone)]
struct Listener(Arc<dyn Fn(&str) + Send + Sync>);

#[cfg(feature = "guard-off")]
impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(..)")
    }
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
            return Ok(Self { off: SWITCHABLE.to_vec(), listener: None });
        }
        let known = |name: &&str| {
            let found = SWITCHABLE.iter().copied().find(|guard| guard == name);
            found.ok_or_else(|| UnknownGuard((*name).to_owned()))
        };
        Ok(Self { off: names.iter().map(known).collect::<Result<_, _>>()?, listener: None })
    }

    /// The same, which tell the listener the name of a guard each time that it makes a difference.
    #[cfg(feature = "guard-off")]
    #[must_use]
    pub fn told_to(self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }

    /// Whether the guard is on. Whoever asks is taken to do something else where it is off.
    #[cfg(feature = "guard-off")]
    pub fn on(&self, guard: &str) -> bool {
        self.felt(guard);
        self.on_unfelt(guard)
    }

    /// Whether the guard is on: always, in this build.
    #[cfg(not(feature = "guard-off"))]
    pub const fn on(&self, _guard: &str) -> bool {
        true
    }

    /// Whether the guard is on, asked by who says with [`Self::felt`] when that made a difference.
    #[cfg(feature = "guard-off")]
    pub fn on_unfelt(&self, guard: &str) -> bool {
        debug_assert!(SWITCHABLE.contains(&guard), "{guard} is not listed");
        !self.off.contains(&guard)
    }

    /// Whether the guard is on: always, in this build.
    #[cfg(not(feature = "guard-off"))]
    pub const fn on_unfelt(&self, _guard: &str) -> bool {
        true
    }

    /// Says that a guard has made a difference, or would have where it is off: to an answer, or to anything that is kept or
    /// counted.
    #[cfg(feature = "guard-off")]
    pub fn felt(&self, guard: &str) {
        if let Some(Listener(tell)) = self.listener.as_ref().filter(|_| SWITCHABLE.contains(&guard)) {
            tell(guard);
        }
    }

    /// Tells nobody, in this build.
    #[cfg(not(feature = "guard-off"))]
    pub const fn felt(&self, _guard: &str) {}
}

#[cfg(all(test, feature = "guard-off"))]
mod tests {
    use std::sync::{Arc, Mutex};

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

    #[test]
    fn who_listens_is_told_of_guards_that_make_a_difference_and_of_no_others() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let switches = Switches::all_on().told_to(move |guard| told.lock().unwrap().push(guard.to_owned()));
        assert!(switches.on("csrf"));
        assert!(switches.on_unfelt("canary"));
        switches.clone().felt("injection");
        switches.felt("tool-pin");
        assert_eq!(*heard.lock().unwrap(), ["csrf", "injection"]);
    }
}
