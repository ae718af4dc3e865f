//! What a member keeps for themselves: whose it is, and the key that seals it.
//!
//! Everything here starts from the scope's own member, so there is no way to name another.

use std::sync::Arc;

use portcullis_core::seal::SealKey;
use portcullis_core::{Action, MemberId, Scope};
use portcullis_store::Kind;

use crate::communities::Community;
use crate::fault::Fault;
use crate::keystore::MemberKey;
use crate::stores::{Engine, allow};

/// The member who acts, in their community.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) community: Arc<Community>,
    pub(crate) member: MemberId,
}

/// Seals and opens what belongs to one member.
#[derive(Debug)]
pub(crate) struct OwnKey {
    key: SealKey,
    place: [u8; 32],
}

impl Engine {
    /// The scope's own member, if the scope acts for one and may do `action`.
    pub(crate) async fn own(&self, scope: &Scope, action: Action) -> Result<Own, Fault> {
        allow(scope, action)?;
        let member =
            scope.member().ok_or_else(|| Fault::because(Kind::Forbidden, "the scope acts for no member"))?;
        Ok(Own { community: self.communities.of_scope(scope.community()).await?, member })
    }

    /// The member's own key; `None` once it is destroyed. Who has none is no member.
    pub(crate) async fn own_key(&self, own: &Own) -> Result<Option<OwnKey>, Fault> {
        let mut keys = self.keys.members(own.community.id, vec![own.member]).await?;
        match keys.remove(&own.member) {
            Some(MemberKey::Key(key)) => {
                let mut place = [0; 32];
                let ids = own.community.id.as_bytes().iter().chain(own.member.as_bytes());
                place.iter_mut().zip(ids).for_each(|(slot, byte)| *slot = *byte);
                Ok(Some(OwnKey { key, place }))
            }
            Some(MemberKey::Destroyed) => Ok(None),
            None => Err(Fault::new(Kind::NotFound)),
        }
    }

    /// The key for something new: it is refused once the key is destroyed.
    pub(crate) async fn own_key_to_begin(&self, own: &Own) -> Result<OwnKey, Fault> {
        self.own_key(own).await?.ok_or_else(|| {
            Fault::because(Kind::Forbidden, "the member's key is destroyed: nothing more is kept for them")
        })
    }

    /// The key for something that is there: it is there no more once the key is destroyed.
    pub(crate) async fn own_key_to_go_on(&self, own: &Own) -> Result<OwnKey, Fault> {
        self.own_key(own).await?.ok_or(Fault::new(Kind::NotFound))
    }
}

impl OwnKey {
    /// Seals a text for a field of the records that `ids` name.
    pub(crate) fn seal(&self, field: &'static str, ids: &[&[u8; 16]], text: &str) -> Vec<u8> {
        self.key.seal(&self.bound(field, ids), text.as_bytes())
    }

    /// Opens a text where it was sealed for.
    pub(crate) fn open(
        &self,
        field: &'static str,
        ids: &[&[u8; 16]],
        sealed: &[u8],
    ) -> Result<String, Fault> {
        self.key
            .open(&self.bound(field, ids), sealed)
            .ok()
            .and_then(|plain| String::from_utf8(plain).ok())
            .ok_or_else(|| Fault::because(Kind::Corrupt, format!("`{field}` of a member does not open")))
    }

    /// What a sealed text is bound to: field, community, member and record. No field is the beginning of another, and
    /// ids have one length, so no two places read the same.
    fn bound(&self, field: &'static str, ids: &[&[u8; 16]]) -> Vec<u8> {
        let mut place = [field.as_bytes(), &self.place].concat();
        ids.iter().for_each(|id| place.extend_from_slice(id.as_slice()));
        place
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::seal::SealKey;
    use portcullis_store::Kind;

    use super::OwnKey;

    #[test]
    fn a_text_opens_for_its_own_record_and_member_only() {
        let key = SealKey::random();
        let own = OwnKey { key: key.clone(), place: [1; 32] };
        let sealed = own.seal("memories.text", &[&[7; 16]], "likes moonwicks");
        assert_eq!(own.open("memories.text", &[&[7; 16]], &sealed).expect("it opens"), "likes moonwicks");
        let refused = [
            own.open("memories.text", &[&[8; 16]], &sealed),
            own.open("memories.text", &[&[7; 16], &[7; 16]], &sealed),
            own.open("messages.text", &[&[7; 16]], &sealed),
            OwnKey { key, place: [2; 32] }.open("memories.text", &[&[7; 16]], &sealed),
            OwnKey { key: SealKey::random(), place: [1; 32] }.open("memories.text", &[&[7; 16]], &sealed),
        ];
        for opened in refused {
            assert_eq!(opened.expect_err("it is bound to its place").kind(), Kind::Corrupt);
        }
    }
}
