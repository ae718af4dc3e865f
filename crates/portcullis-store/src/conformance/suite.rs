//! The list of all cases, as the macro that makes each a test.

/// Makes every case of the suite a test of its own, in a module a port.
///
/// `$harness` gives a fresh [`Harness`](crate::conformance::Harness) each time; name what it uses by paths from
/// `crate`. The crate needs `tokio` with `macros` and `rt-multi-thread`.
///
/// ```text
/// portcullis_store::conformance!(crate::harness::fresh());
/// ```
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance_cases! { $harness;
            directory {
                a_community_is_found_by_every_one_of_its_names
                an_unknown_name_finds_nothing
                a_name_in_use_is_a_conflict_and_leaves_nothing_behind
                malformed_names_are_invalid
                a_tier_changes_for_one_community_only
                communities_are_listed_by_slug
                one_of_many_at_once_gets_a_slug
                what_is_kept_for_a_time_goes
                what_is_over_by_itself_goes_alone
            }
            identity {
                an_unknown_credential_is_nobody
                a_credential_counts_in_its_own_community_only
                role_and_plans_decide_what_is_read
                an_entitlement_ends_exactly_at_its_moment
                answers_are_right_for_any_moment
                a_change_of_plans_holds_for_the_next_call
                a_suspended_member_is_nobody_until_restored
                a_change_of_role_holds_for_the_next_call
                a_key_never_rises_above_its_ceiling
                a_change_of_access_holds_for_the_next_call
                a_new_space_is_closed_to_all_but_staff
                a_key_tells_who_acts
                a_key_ends_exactly_when_it_expires
                a_revoked_key_is_refused_at_once
                a_backend_key_reads_what_its_plans_and_role_open
            }
            members {
                a_new_member_has_the_lowest_role
                an_address_is_unique_and_found_without_regard_to_case
                the_same_address_may_join_two_communities
                malformed_names_and_addresses_are_invalid
                a_member_may_read_themselves_and_nobody_else
                only_admins_change_members
                only_owners_touch_staff
                a_change_tells_what_was_before
                the_last_active_owner_stays
                owners_who_remove_each_other_at_once_leave_one
                ids_of_another_community_reach_nobody
                plans_are_given_replaced_and_ended
                members_are_listed_oldest_first
            }
            spaces {
                short_names_are_unique_in_their_community
                malformed_short_names_are_invalid
                an_unknown_plan_is_invalid_and_changes_nothing
                spaces_and_plans_read_back
                members_list_only_what_they_may_read
                only_admins_change_spaces_and_plans
                ids_of_another_community_change_nothing
            }
            keys {
                keys_are_listed_newest_first
                keys_are_listed_with_who_made_them
                a_hash_in_use_is_a_conflict
                an_unknown_actor_is_invalid_and_nothing_is_kept
                a_key_never_acts_above_its_maker
                nobody_makes_a_key_that_is_another_member
                a_key_makes_none_stronger_or_longer_lived
                revoking_twice_keeps_the_first_time
                nobody_revokes_a_key_above_them
                only_admins_handle_keys
                ids_of_another_community_revoke_nothing
            }
            content {
                a_member_without_the_plan_never_gets_its_passages
                a_member_without_the_plan_never_gets_its_document
                a_lapsed_member_gets_nothing_of_the_plan
                staff_get_everything
                nothing_of_another_community_is_ever_returned
                a_hidden_document_looks_like_a_missing_one
                an_empty_list_of_spaces_gives_nothing
                a_change_of_access_holds_for_the_next_scope
                titles_are_those_of_what_the_scope_reaches
                a_document_reads_back_whole
                an_unchanged_document_is_not_written_again
                a_changed_document_loses_its_old_words
                a_document_that_moves_changes_its_readers
                a_put_is_all_or_nothing
                a_removed_document_leaves_no_trace
                ids_of_another_community_remove_nothing
                only_admins_write_content
                a_scope_reaches_what_it_lists_and_no_more
            }
            search {
                hostile_questions_are_only_words
                at_most_two_passages_come_of_one_document
                a_limit_is_kept
                a_passage_is_what_its_document_says
                the_best_answer_comes_first
                words_are_found_however_they_are_written
                equal_searches_give_equal_lists
                what_is_hidden_does_not_move_what_is_seen
                random_scopes_get_what_a_plain_filter_gives
            }
            sign_in {
                a_link_signs_its_member_in_once
                one_of_many_at_once_uses_a_link_up
                another_browser_is_refused_and_uses_nothing_up
                a_link_ends_exactly_when_it_expires
                a_link_counts_in_its_own_community_only
                a_stranger_joins_only_where_strangers_may
                a_suspended_member_gets_neither_link_nor_session
                a_link_goes_to_the_address_that_is_kept
                an_address_is_one_whatever_its_case
                malformed_addresses_and_tokens_in_use_are_refused
                one_address_at_once_is_one_member
                a_session_that_cannot_begin_changes_nothing
                a_token_counts_as_its_own_kind_only
            }
            invitations {
                an_invitation_gives_its_role_and_plans
                uses_are_counted_however_many_try_at_once
                an_invitation_for_an_address_is_for_nobody_else
                an_ended_or_withdrawn_invitation_lets_nobody_in
                an_invitation_changes_nothing_for_a_member
                only_admins_invite_and_only_owners_invite_staff
                nobody_withdraws_what_they_could_not_have_made
                invitations_are_listed_with_who_made_them
                malformed_invitations_are_refused_and_not_kept
                an_invitation_counts_in_its_own_community_only
            }
            sessions {
                a_session_tells_who_acts
                a_session_ends_exactly_at_its_end
                an_unused_session_ends_exactly_when_idle
                use_keeps_a_session_alive
                a_use_shows_within_a_minute
                an_ended_session_is_refused_at_once
                only_its_member_sees_and_ends_a_session
                all_sessions_of_a_member_end_together
                others_sessions_end_as_members_are_changed
                a_suspension_ends_sessions_for_good
                a_session_opens_what_its_member_may_read_now
                own_sessions_are_listed_newest_first
                an_end_elsewhere_holds_for_the_next_call
                no_call_after_the_end_lets_the_session_in
                a_session_that_has_ended_is_told_from_one_that_never_was
            }
            subjects {
                a_linked_subject_is_its_member
                a_subject_of_another_member_is_a_conflict
                members_are_linked_by_who_may_change_them
                a_subject_is_provisioned_once
                one_of_many_at_once_makes_the_member
                a_suspended_member_is_nobody_by_their_subject
                malformed_subjects_are_invalid
            }
            conversations {
                a_conversation_reads_back
                nobody_else_reaches_a_conversation
                an_id_in_use_by_another_member_is_free
                calls_need_their_ability
                what_is_sent_twice_is_kept_once
                an_append_is_all_or_nothing
                messages_keep_their_order
                a_list_goes_on_where_it_stopped
                malformed_titles_are_invalid
                a_removed_conversation_is_gone
                the_calls_of_a_removed_conversation_go_with_it
                appends_at_once_lose_nothing
            }
            withheld {
                an_answer_is_withheld_once_the_plan_lapses
                an_answer_is_withheld_once_a_source_is_gone
                an_answer_follows_its_source_through_spaces
                an_answer_is_withheld_once_its_space_is_closed
                one_unreadable_source_is_enough
                sources_that_may_not_be_read_are_not_named
                an_unknown_source_counts_as_gone
                only_what_relied_on_it_is_withheld
            }
            memories {
                a_memory_reads_back
                nobody_else_reaches_a_memory
                calls_need_their_ability
                what_is_added_twice_is_kept_once
                memories_are_few_and_short
            }
            handovers {
                moderators_read_the_queue_and_take_note_once
                nobody_below_reads_the_queue
                the_queue_of_another_community_is_out_of_reach
                the_queue_is_bounded_for_one_and_for_all
                what_is_too_old_is_removed
                a_question_is_kept_once_and_not_too_long
            }
            approvals {
                a_call_is_approved_begun_and_ended
                one_decision_counts
                a_call_is_begun_once
                nobody_decides_on_their_own_call_or_below_moderator
                only_who_asked_goes_on
                who_has_left_begins_nothing
                the_calls_of_another_community_are_out_of_reach
                what_is_not_done_in_time_is_not_done
                what_waits_is_bounded_for_one_and_for_all
                what_was_asked_too_long_ago_is_removed
                what_has_been_over_longest_is_removed_and_nothing_under_way
                a_call_waits_once_and_whole
                no_call_waits_in_a_conversation_that_is_gone
            }
            sealed {
                nothing_of_a_member_is_readable_without_their_key
            }
            together {
                readers_and_writers_at_once_lose_nothing
                a_failing_write_takes_no_other_with_it
                no_call_after_a_revocation_lets_the_key_in
            }
            instances {
                reopening_keeps_everything
                a_change_elsewhere_holds_for_the_next_call
                a_community_created_elsewhere_is_found
                content_changed_elsewhere_is_searched_as_it_is
            }
        }
    };
}

/// Expands the list of [`conformance!`](crate::conformance!).
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    // One port at a time, so that the harness can be repeated with each of its cases.
    ($harness:expr;) => {};
    ($harness:expr; $port:ident { $($case:ident)+ } $($rest:tt)*) => {
        mod $port {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = $crate::conformance::World::new($harness).await;
                    $crate::conformance::$port::$case(&world).await;
                }
            )+
        }
        $crate::conformance_cases! { $harness; $($rest)* }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("suite.rs");
        let files = [
            ("directory", include_str!("directory.rs")),
            ("identity", include_str!("identity.rs")),
            ("members", include_str!("members.rs")),
            ("spaces", include_str!("spaces.rs")),
            ("keys", include_str!("keys.rs")),
            ("content", include_str!("content.rs")),
            ("search", include_str!("search.rs")),
            ("sign_in", include_str!("sign_in.rs")),
            ("invitations", include_str!("invitations.rs")),
            ("sessions", include_str!("sessions.rs")),
            ("subjects", include_str!("subjects.rs")),
            ("conversations", include_str!("conversations.rs")),
            ("withheld", include_str!("withheld.rs")),
            ("memories", include_str!("memories.rs")),
            ("handovers", include_str!("handovers.rs")),
            ("approvals", include_str!("approvals.rs")),
            ("sealed", include_str!("sealed.rs")),
            ("together", include_str!("together.rs")),
            ("instances", include_str!("instances.rs")),
        ];
        for (port, source) in files {
            let section =
                list.split_once(&format!("            {port} {{")).expect("the port is in the list").1;
            let section = section.split_once('}').expect("the section ends").0;
            let listed: Vec<&str> = section.split_whitespace().collect();
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
                .collect();
            assert_eq!(listed, written, "{port}");
        }
    }
}
