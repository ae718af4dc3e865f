//! Text that stands in one space only, so that whoever shows it has read that space.

use super::Identity;

/// The fewest letters and digits of a canary: fewer could come about by chance.
pub const SHORTEST_CANARY: usize = 12;

/// Who may read the space that a canary stands in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Every member of the community.
    Members,
    /// Members who pay for any of these plans, and whoever names the space among their own.
    Plans(Vec<String>),
    /// Only those who name the space among their own.
    Staff,
}

/// A random text in one document of one space.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The community.
    pub community: String,
    /// The space, in the target's words.
    pub space: String,
    /// Who may read the space.
    pub audience: Audience,
    /// The text: random, at least [`SHORTEST_CANARY`] letters and digits, nowhere else.
    pub text: String,
    /// What to ask for; words that stand in the document and nowhere else.
    pub topic: String,
    /// More questions that the text answers.
    pub asks: Vec<String>,
    /// The document's id, as citations name it.
    pub document: Option<String>,
    /// The document's title. It must not stand in the topic, or a question would hold it.
    pub title: Option<String>,
}

impl Canary {
    /// A canary in a space that every member may read.
    pub fn new(community: &str, space: &str, topic: &str, text: &str) -> Self {
        Self {
            community: community.to_owned(),
            space: space.to_owned(),
            audience: Audience::Members,
            text: text.to_owned(),
            topic: topic.to_owned(),
            asks: Vec::new(),
            document: None,
            title: None,
        }
    }

    /// It stands in a space for these.
    #[must_use]
    pub fn for_audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// It stands in this document.
    #[must_use]
    pub fn in_document(mut self, id: &str, title: &str) -> Self {
        self.document = Some(id.to_owned());
        self.title = Some(title.to_owned());
        self
    }

    /// Whether some members of the community may not read it.
    pub fn is_closed(&self) -> bool {
        self.audience != Audience::Members
    }

    /// Whether this member may read it.
    pub fn opens_to(&self, identity: &Identity) -> bool {
        let opens = match &self.audience {
            Audience::Members => true,
            Audience::Plans(plans) => plans.iter().any(|plan| identity.plans.contains(plan)),
            Audience::Staff => false,
        };
        identity.community == self.community && (opens || identity.spaces.contains(&self.space))
    }

    /// Where it stands, for messages: ``space `lounge` of harbour``.
    pub fn place(&self) -> String {
        format!("space `{}` of {}", self.space, self.community)
    }
}

#[cfg(test)]
mod tests {
    use super::{Audience, Canary};
    use crate::target::{Credential, Identity};

    #[test]
    fn a_space_opens_by_plan_or_by_name_and_never_across_communities() {
        let canary = |audience| Canary::new("harbour", "lounge", "t", "x").for_audience(audience);
        let member = Identity::new("m", "harbour", Credential::bearer("x"));
        let payer = member.clone().plans(&["plus"]);
        let staff = member.clone().spaces(&["lounge"]);
        let stranger =
            Identity::new("s", "orchard", Credential::bearer("x")).plans(&["plus"]).spaces(&["lounge"]);
        let opens = |audience: Audience| {
            [&member, &payer, &staff, &stranger].map(|who| canary(audience.clone()).opens_to(who))
        };
        assert_eq!(opens(Audience::Members), [true, true, true, false]);
        assert_eq!(opens(Audience::Plans(vec!["plus".to_owned()])), [false, true, true, false]);
        assert_eq!(opens(Audience::Staff), [false, false, true, false]);
    }
}
