//! What a check is, and the two macros that a check's file is written with.
//!
//! `check!` captures the file's documentation, so the page, the report and the code cannot disagree. `cases!` names the
//! fixtures on which the check must pass, fail and be inconclusive; with fewer than three single-fault mutants, or
//! without the macro, the crate does not compile.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::BoxFuture;

use crate::outcome::{Inconclusive, Severity, Verdict};
use crate::probe::Probe;
use crate::target::{Canary, RouteKind, State, Target};

/// One executable control.
#[derive(Clone, Copy)]
pub struct Check {
    /// The control's id, `AREA-NN`.
    pub id: &'static str,
    /// A claim that is true when the check passes.
    pub title: &'static str,
    /// The part of the catalogue it belongs to.
    pub area: Area,
    /// How much harm its failure allows.
    pub severity: Severity,
    /// The version that brought it.
    pub since: &'static str,
    /// What the target file must hold.
    pub needs: &'static [Need],
    /// What it does to the target.
    pub touches: Touches,
    /// Entries of public lists that it bears on.
    pub maps: &'static [&'static str],
    /// The documentation of its file.
    pub docs: &'static str,
    /// Its file.
    pub file: &'static str,
    /// The fixtures that prove it.
    pub cases: Cases,
    pub(crate) run: for<'p> fn(&'p mut Probe) -> BoxFuture<'p, Result<Verdict, Inconclusive>>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.id)
    }
}

/// The fixtures of a check. `foreign` is the unbroken foreign chatbot, other names are its single faults or hostile
/// servers.
#[derive(Debug, Clone, Copy)]
pub struct Cases {
    /// It must pass here.
    pub passes_on: &'static [&'static str],
    /// It must fail here; inconclusive is not enough.
    pub fails_on: &'static [&'static str],
    /// It must be inconclusive here.
    pub inconclusive_on: &'static [&'static str],
}

/// The areas of the catalogue that have checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Who may ask.
    Auth,
    /// Transport, headers, what stands in front.
    Edge,
    /// What the bot can be talked into.
    Injection,
    /// How much may be asked.
    Limits,
    /// Deploying and running.
    Operations,
    /// Roles and what they may do.
    Roles,
    /// Code that nobody trusts.
    Sandbox,
    /// Keys and secrets.
    Secrets,
    /// Communities kept apart.
    Tenancy,
}

impl Area {
    /// All areas.
    pub const ALL: [Self; 9] = [
        Self::Auth,
        Self::Edge,
        Self::Injection,
        Self::Limits,
        Self::Operations,
        Self::Roles,
        Self::Sandbox,
        Self::Secrets,
        Self::Tenancy,
    ];

    /// The folder of its checks, and the word for `--only`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Edge => "edge",
            Self::Injection => "injection",
            Self::Limits => "limits",
            Self::Operations => "operations",
            Self::Roles => "roles",
            Self::Sandbox => "sandbox",
            Self::Secrets => "secrets",
            Self::Tenancy => "tenancy",
        }
    }
}

/// What a check does to the target beside reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touches {
    /// Nothing that stays.
    Nothing,
    /// It writes.
    Writes,
    /// It sends many requests.
    Load,
    /// It changes how the deployment runs.
    Drills,
}

impl Touches {
    /// Which checks come first: what disturbs most comes last.
    pub(crate) const fn order(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Writes => 1,
            Self::Load => 2,
            Self::Drills => 3,
        }
    }

    /// The word after `--allow`; none when nothing needs allowing.
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Writes => Some("writes"),
            Self::Load => Some("load"),
            Self::Drills => Some("drills"),
        }
    }
}

/// What a check needs from the target file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A working identity.
    Identity,
    /// Working identities in two communities.
    TwoCommunities,
    /// A list of routes.
    Routes,
    /// Declared limits.
    Limits,
    /// The secret that signs tokens, or a token.
    JwtSecret,
    /// The key that encrypts data.
    EncryptionKey,
    /// The secret that protects forms.
    CsrfSecret,
    /// Text that stands in one space only, in two communities.
    Canaries,
    /// Text that stands in one space only, in a space that is closed to some members.
    ClosedCanary,
    /// A credential that ends during the run.
    Expiring,
    /// Routes that say whether the service runs and is ready.
    Health,
    /// A place where TLS can be looked at.
    Edge,
    /// The roles in their order, and where the admin plane is.
    Roles,
    /// A matrix of roles and permissions that somebody signed.
    DeclaredRoles,
    /// Where accounts are listed.
    Accounts,
    /// What belongs to one member, and two of one community beside one of another.
    Owned,
    /// Where pages show what somebody wrote, or made the model write.
    Displays,
    /// Where attacks on the model are tried, with texts planted.
    Rehearsal,
    /// Where questions go that a person should see.
    Handovers,
    /// Ways to a new account, and where somebody is told what they are.
    SignUp,
    /// The tools of the bot, and what tells who called them.
    Tools,
    /// Where addresses are blocked by hand.
    Blocklist,
    /// When addresses are blocked for what they do.
    AutoBlock,
    /// Consent to a flood, and how large it may be.
    Load,
    /// Where it is written down what was asked.
    Sinks,
    /// Budgets that may be used up.
    Caps,
    /// Communities of each tier where the clock may be moved.
    Tiers,
    /// Where questions are screened.
    Screen,
    /// Where code is run that nobody trusts.
    Sandbox,
}

impl Need {
    /// What is missing and where it goes; none when it is there.
    pub fn unmet(self, target: &Target) -> Option<&'static str> {
        let secrets = &target.secrets;
        let limits = &target.limits;
        let (met, missing) = match self {
            Self::Identity => {
                (!target.valid().is_empty(), "needs a working identity: add [[identity]] to target.toml")
            }
            Self::TwoCommunities => (
                target.two_communities().is_some(),
                "needs working identities in two communities: add [[identity]] tables with different `community` to \
                 target.toml",
            ),
            Self::Routes => (
                !target.inventory.routes.is_empty(),
                "needs the list of routes: add [inventory] openapi or [[route]] to target.toml",
            ),
            Self::Limits => (
                limits.user_per_minute.or(limits.address_per_minute).or(limits.session_per_minute).is_some(),
                "needs the promised limits: add [limits] to target.toml",
            ),
            Self::JwtSecret => (
                secrets.jwt.is_some() || secrets.sample_jwt.is_some(),
                "needs the secret that signs tokens: add [secrets] jwt_secret or sample_jwt to target.toml",
            ),
            Self::EncryptionKey => (
                secrets.encryption.is_some(),
                "needs the key that encrypts data: add [secrets] encryption_key to target.toml",
            ),
            Self::CsrfSecret => (
                secrets.csrf.is_some(),
                "needs the secret that protects forms: add [secrets] csrf_secret to target.toml",
            ),
            Self::Canaries => {
                let guarded: BTreeSet<&str> = target
                    .canaries
                    .iter()
                    .filter(|canary| target.valid().iter().any(|identity| canary.opens_to(identity)))
                    .map(|canary| canary.community.as_str())
                    .collect();
                (
                    guarded.len() >= 2,
                    "needs text that stands in one space only, in two communities, each with a member who may read it: \
                     add [[canary]] to target.toml",
                )
            }
            Self::ClosedCanary => (
                target.canaries.iter().any(Canary::is_closed),
                "needs text in a space that is closed to some members: add [[canary]] with `plans` or `staff = true` to \
                 target.toml",
            ),
            Self::Expiring => (
                target.identities.iter().any(|identity| identity.state == State::Expiring),
                "needs a credential that ends during the run: add an [[identity]] with `expiring = true` to target.toml",
            ),
            Self::Edge => (
                !target.is_plain_on_loopback(),
                "served on loopback without TLS: set [tls] and check the public address, or name it in [edge] of \
                 target.toml",
            ),
            Self::Health => {
                let kinds = [RouteKind::Live, RouteKind::Ready];
                (
                    kinds.iter().all(|kind| target.routes().iter().any(|route| route.kind == *kind)),
                    "needs the routes that say whether it runs and is ready: add [[route]] with `kind = \"live\"` and \
                     `kind = \"ready\"` to target.toml",
                )
            }
            Self::Roles => (
                !target.roles.order.is_empty() && !target.roles.admin_paths.is_empty(),
                "needs the roles and the admin plane: add [roles] with `order` and `admin_paths` to target.toml",
            ),
            Self::DeclaredRoles => (
                target.roles.declared.is_some(),
                "needs who may do what as somebody signed it: write each role's permissions into a file, let its owner \
                 check it, and name it as `declared` with `sha256` and `signed_by` in [roles] of target.toml",
            ),
            Self::Accounts => (
                !target.accounts.lists.is_empty(),
                "needs where accounts are listed: add [[accounts.list]] to target.toml",
            ),
            Self::Owned => {
                (!target.owned.is_empty(), "needs what belongs to one member: add [[owned]] to target.toml")
            }
            Self::Displays => (
                !target.displays.is_empty(),
                "needs where pages show what somebody wrote or made the model write: add [[display]] to target.toml, or declare \
                 the control lacking where nothing is shown by pages",
            ),
            Self::Rehearsal => (
                target.rehearsal.as_ref().is_some_and(|rehearsal| !rehearsal.askers.is_empty()),
                "needs where attacks on the model may be tried: plant texts there and add [rehearsal] and [[planted]] to \
                 target.toml",
            ),
            Self::Tools => (
                target.rehearsal.as_ref().is_some_and(|rehearsal| {
                    let tools = rehearsal.tools.as_ref();
                    tools.is_some_and(|tools| tools.allowed().is_some() && tools.forbidden().next().is_some())
                }),
                "needs the tools of the bot, one that members may use and one that they may not, and where calls are told: \
                 add [rehearsal.tools] to target.toml",
            ),
            Self::Handovers => (
                target.handovers.is_some(),
                "needs where questions go that a person should see: add [handovers] to target.toml",
            ),
            Self::Sandbox => (
                target.sandbox.is_some(),
                "needs where code is run: add [sandbox] to target.toml; an instance that judges itself needs a build with \
                 the feature `sandbox`, which releases have",
            ),
            Self::Screen => (
                target.screen.is_some(),
                "needs where questions are screened: add [screen] and [[screened]] to target.toml",
            ),
            Self::Tiers => (
                !target.tiers.is_empty(),
                "needs a community of each tier in a deployment for tests, whose clock may be moved: add [[tier]] to \
                 target.toml",
            ),
            Self::Caps => {
                (!target.caps.is_empty(), "needs budgets that may be used up: add [[cap]] to target.toml")
            }
            Self::Sinks => (
                !target.logs.sinks.is_empty(),
                "needs every place where requests are written down: add [[sink]] to target.toml",
            ),
            Self::SignUp => (
                !target.sign_ups.is_empty() && target.roles.own.is_some(),
                "needs the ways to a new account and where somebody is told what they are: add [sign_up.NAME] and \
                 [roles] own to target.toml; an instance that judges itself needs `kind = \"outbox\"` in [mail], since \
                 a link that went to a mailbox cannot be followed",
            ),
            Self::Blocklist => (
                target.blocklist.is_some(),
                "needs where addresses are blocked: add [blocklist] to target.toml; an instance that judges itself needs \
                 `secrets.operator_token`",
            ),
            Self::AutoBlock => (
                target.auto_block.is_some(),
                "needs when addresses are blocked for what they do: add [auto_block] to target.toml; an instance that judges \
                 itself needs `blocklist.automatic`",
            ),
            Self::Load => (
                target.load.is_some(),
                "needs the written consent to a flood and how large it may be: add [load] to target.toml",
            ),
        };
        (!met).then_some(missing)
    }
}

/// Declares the file's check. The doc comment has the headings `What it checks`, `Why it matters`, `How to fix` and
/// `Limits`.
macro_rules! check {
    (
        $(#[doc = $doc:literal])+
        id: $id:literal, title: $title:literal,
        area: $area:ident, severity: $severity:ident, since: $since:literal,
        needs: [$($need:ident),* $(,)?], touches: $touches:ident, maps: [$($map:literal),* $(,)?],
        $run:ident $(,)?
    ) => {
        /// The check of this file.
        pub(crate) const CHECK: crate::check::Check = crate::check::Check {
            id: $id,
            title: $title,
            area: crate::check::Area::$area,
            severity: crate::outcome::Severity::$severity,
            since: $since,
            needs: &[$(crate::check::Need::$need),*],
            touches: crate::check::Touches::$touches,
            maps: &[$($map),*],
            docs: concat!($($doc, "\n"),+),
            file: file!(),
            cases: CASES,
            run: start,
        };

        fn start(
            probe: &mut crate::probe::Probe,
        ) -> futures_util::future::BoxFuture<'_, Result<crate::outcome::Verdict, crate::outcome::Inconclusive>> {
            Box::pin($run(probe))
        }
    };
}

/// Names the fixtures that prove the file's check: at least one on which it passes, and at least three single faults on
/// which it fails.
macro_rules! cases {
    (
        passes_on: [$($pass:literal),+ $(,)?],
        fails_on: [$first:literal, $second:literal, $third:literal $(, $more:literal)* $(,)?],
        inconclusive_on: [$($unsure:literal),+ $(,)?] $(,)?
    ) => {
        const CASES: crate::check::Cases = crate::check::Cases {
            passes_on: &[$($pass),+],
            fails_on: &[$first, $second, $third $(, $more)*],
            inconclusive_on: &[$($unsure),+],
        };
    };
}

pub(crate) use {cases, check};
