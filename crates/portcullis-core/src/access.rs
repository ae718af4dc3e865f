//! Who may do what: roles × actions as one table, and what an API key may be used for.
//!
//! Every route names the [`Action`] it needs; a route without one does not exist (`portcullis-http`'s route table).
//! The table is printed by `portcullis explain roles` and pinned by a snapshot.

use serde::{Deserialize, Serialize};

/// A member's standing in a community, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What everyone who joins becomes: reads what their plans open, owns their own conversations.
    #[default]
    Member,
    /// Staff who read every space and handle reports.
    Moderator,
    /// Staff who manage members, plans, spaces and content.
    Admin,
    /// The community's owner: an admin who may also appoint admins and remove the community.
    Owner,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [Self::Member, Self::Moderator, Self::Admin, Self::Owner];

    /// The role's name in configuration, storage and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Staff read every space, mapped or not.
    pub fn is_staff(self) -> bool {
        self >= Self::Moderator
    }

    /// Whether the role may do the action: the one table everything asks.
    pub const fn allows(self, action: Action) -> bool {
        let lowest = match action {
            Action::Ask
            | Action::ListModels
            | Action::Search
            | Action::ReadDocument
            | Action::ReadOwnConversations
            | Action::WriteOwnConversations
            | Action::ReadOwnMemories
            | Action::WriteOwnMemories
            | Action::ReadSelf
            | Action::WriteSelf
            | Action::OwnRequest => Self::Member,
            Action::ReadMembers | Action::ReadSpaces | Action::HandleHandovers | Action::DecideApprovals => {
                Self::Moderator
            }
            Action::WriteMembers | Action::WriteSpaces | Action::WriteContent | Action::WriteKeys => {
                Self::Admin
            }
            Action::WriteStaff => Self::Owner,
        };
        self as u8 >= lowest as u8
    }
}

/// Something a route or a command does on behalf of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ask a question and get an answer.
    Ask,
    /// Send `system`, `developer`, `assistant` and `tool` turns, tools, and `n` above 1.
    OwnRequest,
    /// List the models that can be asked.
    ListModels,
    /// Search content.
    Search,
    /// Read one document by id.
    ReadDocument,
    /// Read one's own conversations.
    ReadOwnConversations,
    /// Rename or delete one's own conversations.
    WriteOwnConversations,
    /// Read one's own memories.
    ReadOwnMemories,
    /// Add, change or delete one's own memories.
    WriteOwnMemories,
    /// Read one's own account, plans and limits.
    ReadSelf,
    /// Change one's own account, sign out.
    WriteSelf,
    /// List the community's members.
    ReadMembers,
    /// Invite, suspend or remove members, change their plans.
    WriteMembers,
    /// Make or remove moderators and admins.
    WriteStaff,
    /// Read the questions that were handed to a person, and acknowledge them.
    HandleHandovers,
    /// Read the calls of tools that wait for a person, and approve or deny those of others.
    DecideApprovals,
    /// List spaces and what opens them.
    ReadSpaces,
    /// Create spaces and change what opens them.
    WriteSpaces,
    /// Import and remove content.
    WriteContent,
    /// Create and revoke API keys.
    WriteKeys,
}

impl Action {
    /// Whether it is done to manage the community, and not for oneself.
    pub const fn manages(self) -> bool {
        matches!(KeyAbility::covering(self), KeyAbility::Manage)
    }

    /// Every action, in the order of the printed table.
    pub const ALL: [Self; 20] = [
        Self::Ask,
        Self::OwnRequest,
        Self::ListModels,
        Self::Search,
        Self::ReadDocument,
        Self::ReadOwnConversations,
        Self::WriteOwnConversations,
        Self::ReadOwnMemories,
        Self::WriteOwnMemories,
        Self::ReadSelf,
        Self::WriteSelf,
        Self::ReadMembers,
        Self::WriteMembers,
        Self::WriteStaff,
        Self::HandleHandovers,
        Self::DecideApprovals,
        Self::ReadSpaces,
        Self::WriteSpaces,
        Self::WriteContent,
        Self::WriteKeys,
    ];

    /// The action's name in the printed table, in errors and in the audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::OwnRequest => "own-request",
            Self::ListModels => "list-models",
            Self::Search => "search",
            Self::ReadDocument => "read-document",
            Self::ReadOwnConversations => "read-own-conversations",
            Self::WriteOwnConversations => "write-own-conversations",
            Self::ReadOwnMemories => "read-own-memories",
            Self::WriteOwnMemories => "write-own-memories",
            Self::ReadSelf => "read-self",
            Self::WriteSelf => "write-self",
            Self::ReadMembers => "read-members",
            Self::WriteMembers => "write-members",
            Self::WriteStaff => "write-staff",
            Self::HandleHandovers => "handle-handovers",
            Self::DecideApprovals => "decide-approvals",
            Self::ReadSpaces => "read-spaces",
            Self::WriteSpaces => "write-spaces",
            Self::WriteContent => "write-content",
            Self::WriteKeys => "write-keys",
        }
    }
}

/// What an API key was issued for. A key never does more than its owner's role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAbility {
    /// Ask questions and list models.
    Chat,
    /// Own the whole request: `system` turns, tools, `n` above 1 (the builder's pass-through).
    OwnRequest,
    /// Search and read documents.
    Search,
    /// Read and write the acting member's own conversations, memories and account.
    Personal,
    /// Manage the community, as far as the role goes.
    Manage,
}

impl KeyAbility {
    /// Every ability.
    pub const ALL: [Self; 5] = [Self::Chat, Self::OwnRequest, Self::Search, Self::Personal, Self::Manage];

    /// The ability's name on the command line, in storage and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::OwnRequest => "own-request",
            Self::Search => "search",
            Self::Personal => "personal",
            Self::Manage => "manage",
        }
    }

    /// The ability of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ability| ability.name() == name)
    }

    const fn covering(action: Action) -> Self {
        match action {
            Action::Ask | Action::ListModels => Self::Chat,
            Action::OwnRequest => Self::OwnRequest,
            Action::Search | Action::ReadDocument => Self::Search,
            Action::ReadOwnConversations
            | Action::WriteOwnConversations
            | Action::ReadOwnMemories
            | Action::WriteOwnMemories
            | Action::ReadSelf
            | Action::WriteSelf => Self::Personal,
            Action::ReadMembers
            | Action::WriteMembers
            | Action::WriteStaff
            | Action::HandleHandovers
            | Action::DecideApprovals
            | Action::ReadSpaces
            | Action::WriteSpaces
            | Action::WriteContent
            | Action::WriteKeys => Self::Manage,
        }
    }
}

/// A set of [`KeyAbility`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AbilitySet(u8);

impl AbilitySet {
    /// No ability at all.
    pub const NONE: Self = Self(0);

    /// What a signed-in member's own session covers: everything but owning the whole request, which needs a key.
    pub const SESSION: Self = Self(
        1 << KeyAbility::Chat as u8
            | 1 << KeyAbility::Search as u8
            | 1 << KeyAbility::Personal as u8
            | 1 << KeyAbility::Manage as u8,
    );

    /// This set with one more ability.
    #[must_use]
    pub const fn with(self, ability: KeyAbility) -> Self {
        Self(self.0 | 1 << ability as u8)
    }

    /// Whether the ability is in the set.
    pub const fn has(self, ability: KeyAbility) -> bool {
        self.0 & (1 << ability as u8) != 0
    }

    /// Whether the other set has every ability of this one.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether the set covers the action.
    pub const fn covers(self, action: Action) -> bool {
        self.has(KeyAbility::covering(action))
    }

    /// The abilities in the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = KeyAbility> {
        KeyAbility::ALL.into_iter().filter(move |ability| self.has(*ability))
    }
}

impl FromIterator<KeyAbility> for AbilitySet {
    fn from_iter<I: IntoIterator<Item = KeyAbility>>(abilities: I) -> Self {
        abilities.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::{AbilitySet, Action, KeyAbility, Role};

    #[test]
    fn every_action_is_listed_once_and_a_higher_role_never_loses_one() {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
        for action in Action::ALL {
            let allowed: Vec<bool> = Role::ALL.iter().map(|role| role.allows(action)).collect();
            assert!(allowed.is_sorted(), "{} is lost by a higher role", action.name());
        }
    }

    #[test]
    fn a_member_can_do_nothing_to_others() {
        let privileged =
            Action::ALL.into_iter().filter(|action| KeyAbility::Manage == KeyAbility::covering(*action));
        for action in privileged {
            assert!(!Role::Member.allows(action), "{}", action.name());
        }
    }

    #[test]
    fn a_session_never_owns_the_whole_request() {
        assert!(!AbilitySet::SESSION.covers(Action::OwnRequest));
        assert!(AbilitySet::SESSION.covers(Action::Ask));
        assert!(!AbilitySet::NONE.covers(Action::Ask));
    }

    #[test]
    fn a_set_is_within_another_only_with_every_ability() {
        let chat = AbilitySet::NONE.with(KeyAbility::Chat);
        let both = chat.with(KeyAbility::Search);
        for (within, other) in
            [(AbilitySet::NONE, chat), (chat, chat), (chat, both), (both, AbilitySet::SESSION)]
        {
            assert!(within.is_within(other), "{within:?} {other:?}");
        }
        for ability in KeyAbility::ALL {
            assert!(!both.with(ability).is_within(chat));
        }
        assert!(!chat.with(KeyAbility::OwnRequest).is_within(AbilitySet::SESSION));
    }
}
