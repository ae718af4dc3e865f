//! The controls that the product answers for, whether a check judges them yet or not.
//!
//! The list makes silence visible: a report shows every selected control, and one without a check is inconclusive.
//! [`controls`] is the data; this module only names its words.

mod controls;

pub use controls::CONTROLS;

use crate::outcome::Severity;

/// One control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// `AREA-NN`, never reused.
    pub id: &'static str,
    /// How much harm its failure allows.
    pub severity: Severity,
    /// The checklist that asks for it.
    pub seed: Seed,
    /// Who can judge it.
    pub kind: Kind,
    /// How often it is due.
    pub cadences: &'static [Cadence],
    /// A claim that is true when the control is in place.
    pub title: &'static str,
}

/// The checklist that asks for a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// The launch-ready checklist.
    LaunchReady,
    /// The deployment checklist.
    Deployment,
    /// Both.
    Both,
    /// Neither by name; both need it.
    Derived,
}

/// Who can judge a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A machine alone.
    Auto,
    /// A machine with a person's answer.
    Shared,
    /// A person, by a signed and expiring answer.
    Attested,
}

/// How often a control is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
    /// Every quarter.
    Quarterly,
    /// Every year.
    Annual,
    /// With every deploy.
    PerDeploy,
    /// With every release.
    PerRelease,
    /// When something was found.
    OnFinding,
}

impl Cadence {
    /// All cadences.
    pub const ALL: &[Self] = &[
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Quarterly,
        Self::Annual,
        Self::PerDeploy,
        Self::PerRelease,
        Self::OnFinding,
    ];

    /// The word for `--cadence` and in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::Annual => "annual",
            Self::PerDeploy => "per-deploy",
            Self::PerRelease => "per-release",
            Self::OnFinding => "on-finding",
        }
    }
}

/// The control with this id, in any case of letters.
pub fn find(id: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|control| control.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::CONTROLS;

    #[test]
    fn ids_and_titles_are_unique_and_ids_are_sorted() {
        assert_eq!(CONTROLS.len(), 206);
        assert!(CONTROLS.windows(2).all(|pair| pair[0].id < pair[1].id));
        let mut titles: Vec<_> = CONTROLS.iter().map(|control| control.title).collect();
        titles.sort_unstable();
        assert!(titles.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(
            CONTROLS.iter().all(|control| control.title.chars().count() <= 52),
            "titles fit a scorecard's column"
        );
    }
}
