//! The suite's cases about people under test: each store that is wrong on purpose fails the case written against it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::{Clock, CommunityId, Tasks};
use portcullis_store::Stores;
use portcullis_store::conformance::wrong_people::Flaw;
use portcullis_store::conformance::{
    Harness, World, approvals, conversations, handovers, invitations, memories, sealed, sessions, sign_in,
    subjects, withheld,
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
        Flaw::ReusableLinks => Box::pin(sign_in::a_link_signs_its_member_in_once(world)),
        Flaw::RacingLinks => Box::pin(sign_in::one_of_many_at_once_uses_a_link_up(world)),
        Flaw::AnyBrowser | Flaw::BurningLinks => {
            Box::pin(sign_in::another_browser_is_refused_and_uses_nothing_up(world))
        }
        Flaw::LateLinks => Box::pin(sign_in::a_link_ends_exactly_when_it_expires(world)),
        Flaw::WanderingLinks => Box::pin(sign_in::a_link_counts_in_its_own_community_only(world)),
        Flaw::OutlivingLinks => Box::pin(sign_in::a_suspended_member_gets_neither_link_nor_session(world)),
        Flaw::TypedAddresses | Flaw::FoldedAddresses => {
            Box::pin(sign_in::a_link_goes_to_the_address_that_is_kept(world))
        }
        Flaw::OpenDoor => Box::pin(sign_in::a_stranger_joins_only_where_strangers_may(world)),
        Flaw::UncountedInvitations => Box::pin(invitations::uses_are_counted_however_many_try_at_once(world)),
        Flaw::LooseInvitations => {
            Box::pin(invitations::an_invitation_for_an_address_is_for_nobody_else(world))
        }
        Flaw::LastingInvitations => {
            Box::pin(invitations::an_ended_or_withdrawn_invitation_lets_nobody_in(world))
        }
        Flaw::RaisingInvitations => {
            Box::pin(invitations::only_admins_invite_and_only_owners_invite_staff(world))
        }
        Flaw::LevellingInvitations => {
            Box::pin(invitations::nobody_withdraws_what_they_could_not_have_made(world))
        }
        Flaw::NamelessInvitations | Flaw::WanderingInvitations => {
            Box::pin(invitations::invitations_are_listed_with_who_made_them(world))
        }
        Flaw::WanderingSessions => Box::pin(sessions::a_session_tells_who_acts(world)),
        Flaw::EndlessSessions => Box::pin(sessions::a_session_ends_exactly_at_its_end(world)),
        Flaw::TirelessSessions => Box::pin(sessions::an_unused_session_ends_exactly_when_idle(world)),
        Flaw::UnusedSessions => Box::pin(sessions::use_keeps_a_session_alive(world)),
        Flaw::ForgetfulEnd => Box::pin(sessions::an_ended_session_is_refused_at_once(world)),
        Flaw::StaleSessions => Box::pin(sessions::a_session_opens_what_its_member_may_read_now(world)),
        Flaw::ResurrectedSessions => Box::pin(sessions::a_suspension_ends_sessions_for_good(world)),
        Flaw::ForgottenLapses | Flaw::MadeUpLapses | Flaw::WanderingLapses => {
            Box::pin(sessions::a_session_that_has_ended_is_told_from_one_that_never_was(world))
        }
        Flaw::EndsAnybodys => Box::pin(sessions::only_its_member_sees_and_ends_a_session(world)),
        Flaw::EndsEverybodys => Box::pin(sessions::others_sessions_end_as_members_are_changed(world)),
        Flaw::LooseSubjects => Box::pin(subjects::a_linked_subject_is_its_member(world)),
        Flaw::MovingSubjects => Box::pin(subjects::a_subject_of_another_member_is_a_conflict(world)),
        Flaw::DoubleProvision => Box::pin(subjects::one_of_many_at_once_makes_the_member(world)),
        Flaw::RaisingLinks => Box::pin(subjects::members_are_linked_by_who_may_change_them(world)),
        Flaw::LeakyConversations | Flaw::CuriousStaff => {
            Box::pin(conversations::nobody_else_reaches_a_conversation(world))
        }
        Flaw::DoubleAppend => Box::pin(conversations::what_is_sent_twice_is_kept_once(world)),
        Flaw::PartialAppend => Box::pin(conversations::an_append_is_all_or_nothing(world)),
        Flaw::BackwardMessages => Box::pin(conversations::messages_keep_their_order(world)),
        Flaw::SkippingLists => Box::pin(conversations::a_list_goes_on_where_it_stopped(world)),
        Flaw::LingeringConversations => Box::pin(conversations::a_removed_conversation_is_gone(world)),
        Flaw::ForgetfulWithhold => Box::pin(withheld::an_answer_is_withheld_once_the_plan_lapses(world)),
        Flaw::FirstSourceOnly => Box::pin(withheld::one_unreadable_source_is_enough(world)),
        Flaw::GoneIsFine => Box::pin(withheld::an_answer_is_withheld_once_a_source_is_gone(world)),
        Flaw::TellingSources => Box::pin(withheld::sources_that_may_not_be_read_are_not_named(world)),
        Flaw::LeakyMemories => Box::pin(memories::nobody_else_reaches_a_memory(world)),
        Flaw::OverwritingMemories => Box::pin(memories::what_is_added_twice_is_kept_once(world)),
        Flaw::OpenHandovers => Box::pin(handovers::nobody_below_reads_the_queue(world)),
        Flaw::WanderingHandovers => {
            Box::pin(handovers::the_queue_of_another_community_is_out_of_reach(world))
        }
        Flaw::ForgetfulHandovers => Box::pin(handovers::moderators_read_the_queue_and_take_note_once(world)),
        Flaw::EndlessHandovers | Flaw::CrowdedHandovers => {
            Box::pin(handovers::the_queue_is_bounded_for_one_and_for_all(world))
        }
        Flaw::LastingHandovers | Flaw::LateHandovers => {
            Box::pin(handovers::what_is_too_old_is_removed(world))
        }
        Flaw::DoubleHandovers => Box::pin(handovers::a_question_is_kept_once_and_not_too_long(world)),
        Flaw::OpenApprovals | Flaw::SelfApproval => {
            Box::pin(approvals::nobody_decides_on_their_own_call_or_below_moderator(world))
        }
        Flaw::WanderingApprovals => {
            Box::pin(approvals::the_calls_of_another_community_are_out_of_reach(world))
        }
        Flaw::TellingApprovals | Flaw::BegunUnapproved => {
            Box::pin(approvals::a_call_is_approved_begun_and_ended(world))
        }
        Flaw::LastDecision => Box::pin(approvals::one_decision_counts(world)),
        Flaw::BegunAgain => Box::pin(approvals::a_call_is_begun_once(world)),
        Flaw::AnybodyBegins => Box::pin(approvals::only_who_asked_goes_on(world)),
        Flaw::LeaversBegin => Box::pin(approvals::who_has_left_begins_nothing(world)),
        Flaw::TimelessApprovals => Box::pin(approvals::what_is_not_done_in_time_is_not_done(world)),
        Flaw::EndlessApprovals | Flaw::CrowdedApprovals => {
            Box::pin(approvals::what_waits_is_bounded_for_one_and_for_all(world))
        }
        Flaw::LastingApprovals => Box::pin(approvals::what_was_asked_too_long_ago_is_removed(world)),
        Flaw::FleetingApprovals => {
            Box::pin(approvals::what_has_been_over_longest_is_removed_and_nothing_under_way(world))
        }
        Flaw::LooseApprovals => {
            Box::pin(conversations::the_calls_of_a_removed_conversation_go_with_it(world))
        }
        Flaw::OrphanedApprovals => Box::pin(approvals::no_call_waits_in_a_conversation_that_is_gone(world)),
        Flaw::DoubleApprovals => Box::pin(approvals::a_call_waits_once_and_whole(world)),
        Flaw::PlainMemories | Flaw::PlainMessages | Flaw::PlainHandovers | Flaw::PlainApprovals => {
            Box::pin(sealed::nothing_of_a_member_is_readable_without_their_key(world))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_store_fails_the_case_written_against_it() {
    for flaw in Flaw::ALL {
        // Two at once meet in the wrong place most of the time, and on a busy machine not every time.
        let tries = if flaw == Flaw::RacingLinks { 20 } else { 1 };
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
