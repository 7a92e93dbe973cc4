//! What every store must do, verb by verb and guard by guard.

#![expect(missing_docs, reason = "a claim says all in its name")]

mod again;
mod claims;
mod fence;
mod files;
mod intents;
mod ledger;
mod plans;
mod replica_files;
mod tasks;
mod views;
mod workers;
pub mod world;

pub use again::*;
pub use claims::*;
pub use fence::*;
pub use files::*;
pub use intents::*;
pub use ledger::*;
pub use plans::*;
pub use replica_files::*;
pub use tasks::*;
pub use views::*;
pub use workers::*;

/// One test per claim; `open` returns `Opened<dyn Store>` with nothing in it.
#[macro_export]
macro_rules! store_suite {
    ($open:path) => {
        $crate::claims!($open, store: [
            terms_have_growing_epochs_and_name_their_holder,
            a_stale_epoch_commits_nothing,
            a_stale_epoch_puts_no_files,
            a_stale_epoch_reaps_nobody,
            a_stale_epoch_prunes_nothing,
            after_a_takeover_no_old_batch_commits,
            a_fired_slot_has_a_run_and_a_ledger_entry,
            a_slot_fires_once,
            new_runs_get_growing_ids_in_the_order_of_the_batch,
            a_cursor_moves_only_from_where_it_stands,
            a_conflict_rolls_back_everything,
            a_run_moves_only_from_its_state,
            a_restarted_run_forgets_its_end,
            a_run_is_ended_once_and_only_while_it_runs,
            a_range_of_slots_is_one_entry,
            active_runs_come_oldest_first_and_in_pages,
            an_empty_batch_commits,
            the_same_text_is_the_same_version,
            another_text_is_the_next_version,
            a_new_version_keeps_pause_and_cursor,
            an_edit_accounts_for_what_its_old_schedule_left_undecided,
            a_broken_file_keeps_the_last_good_version,
            a_dag_whose_file_is_gone_keeps_its_history_and_can_come_back,
            a_source_that_is_unknown_is_not_found,
            what_a_replica_sees_is_recorded_once,
            a_record_remembers_the_version_that_was_left,
            a_record_remembers_an_absence_that_was_left,
            a_change_is_later_than_what_it_left_whatever_the_clock_did,
            a_dag_says_since_when_it_is_gone_or_back,
            contents_that_were_versions_are_known,
            the_last_turn_and_the_trouble_of_a_replica_are_those_of_its_last_beat,
            replicas_that_are_long_gone_are_forgotten,
            a_task_is_queued_once,
            a_thousand_tasks_are_queued_claimed_and_finished_in_batches,
            a_settled_task_ends_without_an_attempt,
            a_failed_attempt_is_followed_by_another_and_kept,
            a_retry_needs_that_attempt_to_have_failed,
            a_requeue_needs_the_next_number,
            a_cancel_ends_what_waits_and_asks_what_runs,
            unclaimed_attempts_are_listed_oldest_first,
            terminal_tasks_never_change,
            a_cleared_task_waits_and_counts_on,
            a_clear_needs_a_terminal_attempt,
            a_cleared_task_that_is_settled_and_cleared_again_counts_on,
            a_lost_attempt_is_followed_by_another,
            a_late_success_counts_before_the_next_attempt_is_planned,
            a_late_success_counts_until_the_next_attempt_is_claimed,
            a_late_success_does_not_count_once_the_next_attempt_runs,
            a_late_success_does_not_count_for_what_a_person_asked_for,
            an_aborted_attempt_counts_as_a_loss,
            queued_attempts_come_by_priority_then_age,
            a_claim_carries_what_its_attempt_needs,
            one_of_forty_claims_wins,
            a_claim_needs_a_live_lease,
            a_claim_leaves_out_what_is_not_queued,
            a_claim_repeated_with_its_nonce_answers_the_same,
            another_nonce_gets_nothing_of_it,
            claim_tokens_grow,
            a_finish_records_the_outcome,
            a_finish_with_a_wrong_token_is_late,
            a_finish_repeated_is_harmless_and_not_late,
            a_finish_repeated_after_a_retry_was_planned_is_not_late,
            a_second_outcome_is_late_and_changes_nothing,
            what_was_given_back_is_claimed_again_as_the_same_attempt,
            an_attempt_that_is_to_be_ended_stays_with_its_worker,
            a_life_that_was_given_up_gives_nothing_back,
            a_finish_after_the_attempt_was_given_up_is_late,
            a_finish_needs_an_outcome,
            outputs_are_those_of_successes,
            log_chunks_are_read_in_order_and_kept_once,
            a_nul_is_replaced_and_cuts_nothing_off,
            a_new_incarnation_kills_the_one_before,
            a_lease_that_runs_out_is_reaped_and_its_attempts_are_lost_until_dealt_with,
            a_beat_keeps_a_worker_alive_and_brings_its_cancels,
            a_worker_that_left_loses_what_it_ran,
            a_draining_worker_claims_nothing_and_offers_nothing,
            capacity_is_counted_by_queue,
            a_worker_that_cannot_start_tasks_says_why_and_offers_nothing,
            a_trigger_makes_a_queued_run,
            an_idempotency_key_makes_one_run,
            concurrent_triggers_with_one_key_make_one_run,
            a_trigger_of_an_unknown_or_gone_dag_is_refused,
            a_pause_says_whether_it_changed_anything,
            an_intent_waits_until_it_is_done,
            a_pointless_intent_is_refused,
            every_intent_is_audited_with_its_outcome,
            deeds_are_audited_in_their_order_and_an_instant_apart,
            a_new_version_is_audited_with_file_and_hash_and_the_same_text_is_not,
            runs_are_filtered_and_paged_newest_first,
            recent_runs_are_bounded_per_dag,
            ledger_entries_are_filtered_and_bounded,
            ledger_pages_end_among_slots_of_one_instant_and_lose_none,
            ranges_are_listed_and_counted_by_what_lies_in_the_window,
            the_ledger_is_counted_by_dag,
            ranges_that_overlap_until_they_are_decided_are_one_outage,
            fired_slots_are_told_step_by_step,
            active_runs_are_counted_beyond_what_is_listed,
            failed_dags_are_counted_beyond_what_is_listed,
            logs_are_paged,
            logs_are_counted_without_their_text,
            the_audit_log_is_paged_newest_first_and_no_row_is_lost,
            prune_forgets_old_runs_in_bites_and_keeps_the_rest,
        ]);
    };
}
