//! The suite itself under test: each store that is wrong on purpose fails the case that was written against it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::{Clock, CommunityId, Tasks};
use portcullis_store::Stores;
use portcullis_store::conformance::wrong::Flaw;
use portcullis_store::conformance::{
    Harness, World, content, directory, identity, instances, keys, members, search,
};

use crate::harness::Folder;

struct Flawed(Folder, Flaw);

#[async_trait]
impl Harness for Flawed {
    async fn open(&self, clock: Arc<dyn Clock>) -> Stores {
        self.1.into_stores(self.0.open(clock).await)
    }

    async fn at_rest(&self, community: CommunityId) -> Vec<u8> {
        self.0.at_rest(community).await
    }
}

/// The case that catches a flaw.
fn catching<'w>(flaw: Flaw, world: &'w World) -> Pin<Box<dyn Future<Output = ()> + Send + 'w>> {
    match flaw {
        Flaw::LeakySearch => Box::pin(content::a_member_without_the_plan_never_gets_its_passages(world)),
        Flaw::LeakyDocument => Box::pin(content::a_member_without_the_plan_never_gets_its_document(world)),
        Flaw::LeakyTitles => Box::pin(content::titles_are_those_of_what_the_scope_reaches(world)),
        Flaw::TellingErrors => Box::pin(content::a_hidden_document_looks_like_a_missing_one(world)),
        Flaw::EmptyMeansAll => Box::pin(content::an_empty_list_of_spaces_gives_nothing(world)),
        Flaw::LeakyCommunity => Box::pin(content::nothing_of_another_community_is_ever_returned(world)),
        Flaw::PartialPut => Box::pin(content::a_put_is_all_or_nothing(world)),
        Flaw::DoublePut => Box::pin(content::an_unchanged_document_is_not_written_again(world)),
        Flaw::LingeringRemoval => Box::pin(content::a_removed_document_leaves_no_trace(world)),
        Flaw::OpenWriting => Box::pin(content::only_admins_write_content(world)),
        Flaw::FragileSearch => Box::pin(search::hostile_questions_are_only_words(world)),
        Flaw::ChattySearch => Box::pin(search::at_most_two_passages_come_of_one_document(world)),
        Flaw::ForgetfulKeys => Box::pin(identity::a_revoked_key_is_refused_at_once(world)),
        Flaw::RaisingKeys => Box::pin(keys::a_key_never_acts_above_its_maker(world)),
        Flaw::BorrowedKeys => Box::pin(keys::nobody_makes_a_key_that_is_another_member(world)),
        Flaw::BreedingKeys => Box::pin(keys::a_key_makes_none_stronger_or_longer_lived(world)),
        Flaw::RisingKeys => Box::pin(identity::a_key_never_rises_above_its_ceiling(world)),
        Flaw::LevellingKeys => Box::pin(keys::nobody_revokes_a_key_above_them(world)),
        Flaw::WanderingKeys => Box::pin(identity::a_credential_counts_in_its_own_community_only(world)),
        Flaw::StaleIdentity => Box::pin(instances::a_change_elsewhere_holds_for_the_next_call(world)),
        Flaw::LateEnd => Box::pin(identity::an_entitlement_ends_exactly_at_its_moment(world)),
        Flaw::LenientSuspension => Box::pin(identity::a_suspended_member_is_nobody_until_restored(world)),
        Flaw::RaisingMembers => Box::pin(members::only_owners_touch_staff(world)),
        Flaw::ForgetfulChanges => Box::pin(members::a_change_tells_what_was_before(world)),
        Flaw::OwnerlessCommunities => Box::pin(members::the_last_active_owner_stays(world)),
        Flaw::RacingOwners => Box::pin(members::owners_who_remove_each_other_at_once_leave_one(world)),
        Flaw::CaseSensitiveAddresses => {
            Box::pin(members::an_address_is_unique_and_found_without_regard_to_case(world))
        }
        Flaw::SharedSlugs => {
            Box::pin(directory::a_name_in_use_is_a_conflict_and_leaves_nothing_behind(world))
        }
        Flaw::LastingCommunities | Flaw::SilentCommunities => {
            Box::pin(directory::what_is_kept_for_a_time_goes(world))
        }
        Flaw::HoardingCommunities => Box::pin(directory::what_is_over_by_itself_goes_alone(world)),
        Flaw::NamelessKeys => Box::pin(keys::keys_are_listed_with_who_made_them(world)),
        Flaw::StubbornDirectory => Box::pin(instances::a_community_created_elsewhere_is_found(world)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_store_fails_the_case_written_against_it() {
    for flaw in Flaw::ALL {
        // Two at once meet in the wrong place most of the time, and on a busy machine not every time.
        let tries = if flaw == Flaw::RacingOwners { 20 } else { 1 };
        let mut caught = false;
        for _ in 0..tries {
            // The world is made first: a store so wrong that nothing works would prove nothing.
            let world = World::new(Flawed(Folder::fresh(), flaw)).await;
            let outcome = Tasks::new().spawn(async move { catching(flaw, &world).await }).await;
            caught = outcome.is_err_and(|error| error.is_panic());
            if caught {
                break;
            }
        }
        assert!(caught, "{flaw:?} was not caught");
    }
}
