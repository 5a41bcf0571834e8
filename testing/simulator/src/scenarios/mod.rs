//! The rows of `docs/SCENARIOS.md` as schedules, one file for each group. A row's function bears the row's name.
//!
//! A row is a story that is told once for each way to die in it. Every run is judged by the checker after every step, and at its
//! end, when faults have stopped, by [`World::conclude`]; a row adds what it alone is about. To add a row: a line in the table, a
//! function in its group's file, and a line in [`ALL`].

mod batch;
mod close;
mod deadlines;
mod ev;
mod fw;
mod go;
mod in_;
mod intercept;
mod oc;
mod op;
mod open;
mod parts;
mod quiescence;
mod rb;
mod re;
mod reorgs;
mod st;
mod stage;
mod upgrade;
mod zeroconf;

use crate::{Effort, Report};

#[cfg(doc)]
use crate::World;

/// A row that has a test.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its place in the table.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Runs it. Panics when something does not hold.
    pub run: fn(Effort) -> Report,
}

macro_rules! scenarios {
    ($($id:literal $group:ident $name:ident),* $(,)?) => {
        /// Every row that has a test, in the order of the table.
        pub const ALL: &[Scenario] = &[
            $(Scenario { id: $id, name: stringify!($name), run: $group::$name },)*
        ];

        #[cfg(test)]
        mod tests {
            use super::*;

            $(
                #[test]
                fn $name() {
                    let report = $group::$name(Effort::TEST);
                    println!("{}: {} crash points, {} runs", $id, report.crash_points, report.runs);
                }
            )*
        }
    };
}

scenarios! {
    "OP-01" op payment_fulfilled_then_manager_rows_stale_or_lost_is_still_sent,
    "OP-02" op payment_fulfilled_and_dance_finished_before_handling_is_still_sent,
    "OP-03" oc payment_handled_is_never_reported_again_nor_failed_by_a_later_close,
    "OP-04" op send_that_never_became_durable_never_happened,
    "OP-05" op durable_send_leaves_once_after_a_crash,
    "OP-06" op pending_payment_is_rebuilt_from_its_channel_and_refused_a_second_time,
    "OP-07" op first_fulfil_stands_whatever_the_peer_sends_later,
    "OP-08" op uncommitted_failure_is_no_outcome,
    "OP-09" op retry_leaves_only_when_the_failed_htlc_is_gone_for_good,
    "OP-10" op failed_payment_with_rows_lost_fails_once_and_does_not_vanish,
    "OP-11" op abandoned_payment_that_is_fulfilled_is_sent,
    "OP-12" op one_id_pays_once_for_ever,
    "OP-13" oc payment_claimed_on_chain_while_down_is_sent,
    "OP-14" oc missing_htlc_fails_only_when_the_close_is_buried,
    "OP-15" op failed_fsync_at_the_fulfil_lets_nothing_out,
    "OP-16" op crash_during_recovery_changes_nothing,
    "OP-17" parts mpp_payment_with_one_part_fulfilled_is_sent,
    "OP-18" parts mpp_retry_after_a_crash_never_sends_more_than_owed,
    "FW-01" fw downstream_fulfil_is_claimed_upstream_at_every_crash_point,
    "FW-02" fw finished_downstream_dance_keeps_the_preimage_until_upstream_is_done,
    "FW-03" fw accepted_htlc_not_yet_forwarded_is_forwarded_once,
    "FW-04" fw forward_already_in_the_downstream_log_is_not_made_again,
    "FW-05" fw settled_forward_ends_upstream_as_its_record_says,
    "FW-06" fw uncommitted_downstream_failure_does_not_fail_upstream,
    "FW-07" fw repeated_downstream_fulfil_claims_once,
    "FW-08" oc preimage_seen_on_chain_downstream_is_claimed_upstream,
    "FW-09" oc forward_missing_on_chain_is_failed_when_buried_unless_fulfilled,
    "FW-10" fw forward_into_its_own_channel_does_not_wait_for_itself,
    "FW-11" fw hanging_disk_holds_back_every_channel_and_loses_nothing,
    "FW-12" deadlines preimage_reaches_a_closed_upstream_channel,
    "FW-13" deadlines node_down_until_the_deadline_claims_first,
    "FW-14" reorgs upstream_is_not_failed_while_downstream_is_open_on_chain,
    "FW-15" parts two_forwards_with_one_hash_keep_their_own_fate,
    "FW-16" intercept intercepted_forward_survives_its_event,
    "IN-01" in_ claim_not_yet_durable_releases_no_preimage,
    "IN-02" in_ durable_claim_is_carried_out_whatever_is_lost,
    "IN-03" in_ payment_claimed_is_rebuilt_until_handled_and_silent_after,
    "IN-04" in_ claimable_payment_is_offered_again_only_while_claimable,
    "IN-05" in_ held_invoice_stays_held_over_restarts,
    "IN-06" in_ settle_and_cancel_exclude_each_other,
    "IN-07" deadlines held_payment_at_its_deadline_is_failed_or_claimed_in_time,
    "IN-08" parts mpp_claim_is_all_or_nothing_at_every_crash_point,
    "IN-09" parts finished_part_keeps_the_preimage_for_the_slow_one,
    "IN-10" parts part_on_a_closed_channel_is_claimed_on_chain,
    "IN-11" parts incomplete_payment_times_out_whole,
    "IN-12" parts many_parts_on_one_channel_do_not_wait_for_each_other,
    "EV-01" ev unhandled_event_comes_again_with_the_same_number_and_content,
    "EV-02" ev confirmed_handling_is_final,
    "EV-03" ev no_event_is_seen_before_its_record,
    "EV-04" ev stuck_handler_stalls_no_channel,
    "EV-05" ev old_event_rows_bring_no_event_back,
    "EV-06" ev lost_event_rows_are_rebuilt_and_no_number_is_reused,
    "EV-07" ev wrong_acknowledgement_does_no_harm,
    "EV-08" ev full_disk_stops_delivery_and_resumes_at_the_last_durable_handling,
    "CH-01" open funding_leaves_only_after_the_channel_is_durable,
    "CH-02" open signed_funding_is_rebroadcast_until_it_confirms,
    "CH-03" open fundee_knows_every_channel_it_signed,
    "CH-04" open ready_follows_a_confirmation_missed_while_down,
    "CH-05" open unfunded_channel_ends_by_height_not_by_uptime,
    "CH-06" batch double_spent_funding_ends_the_open_when_buried,
    "CH-07" batch batch_open_funds_all_or_none,
    "CH-08" zeroconf zero_conf_channel_is_used_only_once_durable,
    "CH-09" close shutdown_is_repeated_and_never_forgotten,
    "CH-10" close any_signed_closing_transaction_is_recognised,
    "CH-11" close closed_channel_still_explains_its_payments,
    "CH-12" close force_close_is_final_once_durable,
    "GO-01" go terms_reach_the_peer_whatever_crashes,
    "GO-02" go announcement_is_agreed_on_whatever_crashes,
    "GO-03" go false_words_are_believed_by_nobody,
    "GO-04" go questions_are_answered_whole_whatever_crashes,
    "RE-01" re unsynced_commitment_is_never_seen,
    "RE-02" re signed_commitment_is_repeated_unchanged,
    "RE-03" re owed_revocation_and_commitment_keep_their_order,
    "RE-04" re both_ends_may_crash_at_once,
    "RE-05" re slow_fsync_and_reconnect_send_once,
    "RE-06" re old_connection_output_dies_with_it,
    "RE-07" re repeated_fulfil_counts_once,
    "RE-08" re failure_after_fulfilment_is_ignored,
    "RE-09" re fulfilment_after_unfinished_failure_is_payment,
    "RE-10" re uncommitted_adds_are_forgotten_by_both,
    "RE-11" re htlc_failure_is_repeated_byte_for_byte,
    "RE-12" re peer_that_fell_behind_meets_our_latest_state,
    "RE-13" re false_claim_that_we_are_behind_harms_nothing,
    "RE-14" quiescence quiescence_dies_with_its_connection,
    "OC-01" oc preimage_on_chain_is_an_outcome,
    "OC-02" oc timeout_is_final_only_when_buried,
    "OC-03" oc htlc_without_output_fails_only_after_burial,
    "OC-04" oc fulfilled_htlc_missing_on_chain_is_paid,
    "OC-05" oc upstream_is_claimed_though_its_channel_closed,
    "OC-06" oc silent_downstream_is_closed_in_time,
    "OC-07" deadlines upstream_is_not_failed_to_save_a_channel,
    "OC-08" oc cheater_is_punished_after_any_crash,
    "OC-09" reorgs second_stage_cheat_is_punished,
    "OC-10" oc locked_claims_resume_after_restart,
    "OC-11" deadlines fee_bump_goes_on_where_it_stood,
    "OC-12" deadlines late_preimages_join_running_claims,
    "OC-13" reorgs equal_htlcs_are_told_apart,
    "OC-14" reorgs preimage_outlives_a_reorg,
    "OC-15" reorgs reorg_swaps_the_commitment,
    "OC-16" oc same_blocks_twice_change_nothing,
    "OC-17" deadlines closed_channel_is_kept_until_its_last_duty,
    "ST-01" st unsynced_batches_let_nothing_out,
    "ST-02" st durable_steps_release_what_they_owe,
    "ST-03" st torn_last_batch_is_dropped_whole,
    "ST-04" st failed_fsync_is_not_retried_into_success,
    "ST-05" st full_disk_stops_and_resumes,
    "ST-06" reorgs full_disk_does_not_save_a_cheater,
    "ST-07" st damaged_record_is_named_not_skipped,
    "ST-08" st read_error_is_not_absence,
    "ST-09" st recovery_survives_its_own_crashes,
    "ST-10" st interrupted_checkpoint_loses_nothing,
    "ST-11" st second_process_is_kept_out,
    "ST-12" st slow_disk_keeps_order,
    "ST-13" st kill_and_clean_stop_end_alike,
    "ST-14" upgrade interrupted_upgrade_is_repeatable,
    "RB-01" rb lost_rows_never_turn_paid_into_failed,
    "RB-02" rb stale_rows_are_corrected_from_the_log,
    "RB-03" rb rebuilt_payment_keeps_its_id,
    "RB-04" rb lost_rows_do_not_forward_twice,
    "RB-05" rb undecided_receive_survives_lost_rows,
    "RB-06" parts decided_claim_is_finished_from_the_logs,
    "RB-07" parts parts_are_gathered_before_they_are_judged,
    "RB-08" rb rebuilt_node_equals_the_live_one,
    "RB-09" rb rows_ahead_of_the_log_are_refused,
    "RB-10" rb old_backup_never_broadcasts,
    "RB-11" batch restored_store_waits_for_its_peers,
}
