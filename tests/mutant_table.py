"""The lines that `tests.mutants` breaks: what money, privacy and delivery depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A text of a file, what stands there instead, and the tests of which one must fail then."""

    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.text.strip()!r} → {self.replacement.strip()!r}"


MUTANTS = (
    # Money
    Mutant(
        "storage/jobs.py",
        "counts = or_(jobs.c.host_job.is_not(None), jobs.c.phase.in_(OPEN_PHASES))",
        "counts = jobs.c.phase.in_(OPEN_PHASES)",
        (
            "tests/contracts/test_store.py::TestJobs::test_the_months_money_is_that_of_every_job_which_reached_a_host",
        ),
    ),
    Mutant(
        "storage/jobs.py",
        "jobs.c.confirmed_at >= since",
        "jobs.c.confirmed_at.is_not(None)",
        (
            "tests/contracts/test_store.py::TestJobs::test_the_months_money_is_that_of_every_job_which_reached_a_host",
        ),
    ),
    Mutant(
        "storage/jobs.py",
        "update(jobs).where(condition, jobs.c.phase == Phase.ESTIMATED)",
        "update(jobs).where(condition)",
        (
            "tests/contracts/test_store.py::TestJobs::test_only_what_is_confirmed_gets_the_next_number",
        ),
    ),
    Mutant(
        "bot/monthly_budget.py",
        "if spent + price > cap:",
        "if price > cap:",
        ("tests/test_profiles.py::test_a_budget_for_training_is_kept_to",),
    ),
    Mutant(
        "bot/monthly_budget.py",
        "if request.role < Role.ADMIN:",
        "if False:",
        ("tests/test_profiles.py::test_under_a_budget_only_an_admin_confirms_an_unknown_price",),
    ),
    Mutant(
        "bot/tuning/start.py",
        "if host is not None and not is_sure:",
        "if False:",
        ("tests/test_profiles.py::test_an_unknown_price_takes_a_second_yes",),
    ),
    Mutant(
        "bot/daily_token_budget.py",
        "whole >= workspace.workspace_cap",
        "whole > workspace.workspace_cap",
        ("tests/test_token_caps.py::test_whoever_has_spent_exactly_the_cap_has_nothing_left",),
    ),
    Mutant(
        "bot/daily_token_budget.py",
        "person >= workspace.person_cap",
        "person > workspace.person_cap",
        ("tests/test_token_caps.py::test_whoever_has_spent_exactly_the_cap_has_nothing_left",),
    ),
    Mutant(
        "bot/ports/model_hosts.py",
        "return self.prompt_tokens + self.completion_tokens",
        "return self.completion_tokens",
        ("tests/test_dispatch.py::test_a_person_past_the_cap_is_not_answered",),
    ),
    Mutant(
        "storage/daily_tokens.py",
        '"tokens": spending.c.tokens + insert.excluded.tokens',
        '"tokens": insert.excluded.tokens',
        ("tests/contracts/test_store.py::TestTransactions::test_writers_wait_for_one_another",),
    ),
    Mutant(
        "bot/tuning/estimate.py",
        "price * tokens * epochs / 1_000_000",
        "price * tokens / 1_000_000",
        ("tests/test_tuning_start.py",),
    ),
    # Outbox and inbox
    Mutant(
        "bot/outbox.py",
        "return await _delay(notice, timedelta(minutes=5), store=store, clock=clock)",
        "return await _drop(notice, store=store)",
        ("tests/test_outbox.py",),
    ),
    Mutant(
        "bot/outbox.py",
        'key=f"{key}.again"',
        "key=key",
        ("tests/test_outbox.py",),
    ),
    Mutant(
        "bot/outbox.py",
        "if notice.details.get(ONLY_EDITS_MESSAGE):",
        "if False:",
        ("tests/test_outbox.py",),
    ),
    Mutant(
        "storage/outbox.py",
        '"version": notices.c.version + 1,',
        '"version": notices.c.version,',
        ("tests/contracts/test_store.py::TestOutbox",),
    ),
    Mutant(
        "storage/outbox.py",
        "notices.c.workspace.not_in(CLOSED_WORKSPACES)",
        "notices.c.id > 0",
        ("tests/test_outbox.py",),
    ),
    Mutant(
        "storage/outbox.py",
        "not_(IS_UNDELIVERED), not_(about_open)",
        "not_(about_open)",
        ("tests/test_retention.py::test_only_what_is_old_and_closed_goes",),
    ),
    Mutant(
        "storage/inbox.py",
        'undone = (inbox.c.key == key) & (inbox.c.state != "done")',
        "undone = inbox.c.key == key",
        (
            "tests/contracts/test_store.py::TestInbox::test_an_event_that_is_done_does_not_begin_again",
        ),
    ),
    Mutant(
        "storage/inbox.py",
        'values(state="done", payload="")',
        'values(state="done")',
        ("tests/test_dispatch.py::test_the_payload_is_erased_at_done",),
    ),
    Mutant(
        "bot/dispatch.py",
        "row.attempts >= _MAX_ATTEMPTS or (is_stale",
        "(is_stale",
        ("tests/test_dispatch.py::test_an_event_that_kills_the_process_each_time_is_given_up",),
    ),
    # Access
    Mutant(
        "bot/access.py",
        "(user.is_platform_admin and not is_guest_or_external(user))",
        "user.is_platform_admin",
        (
            "tests/test_strangers.py::test_nobody_of_another_organisation_is_an_admin_by_the_platforms_word",
        ),
    ),
    Mutant(
        "bot/access.py",
        "    require_role(request.role, entry.role, request.words)\n",
        "",
        ("tests/test_dispatch.py::test_a_member_may_not_confirm_what_a_trainer_priced",),
    ),
    Mutant(
        "bot/access.py",
        "    if role < needed:\n",
        "    if role < needed - 1:\n",
        ("tests/test_dispatch.py::test_the_role_below_may_not_command_it_either",),
    ),
    Mutant(
        "bot/access.py",
        "if entry.is_for_pages and not request.is_page:",
        "if False:",
        ("tests/test_access.py::test_what_the_studio_alone_offers_is_refused_from_a_chat",),
    ),
    Mutant(
        "bot/access.py",
        "if not is_here and estimate.asked_by != request.user_id:",
        "if False:",
        ("tests/test_access.py::test_a_price_is_answered_where_it_was_told",),
    ),
    Mutant(
        "bot/answer_actions.py",
        "if answer.asker != request.user_id and request.role < Role.CURATOR:",
        "if False:",
        ("tests/test_dispatch.py::test_a_stranger_does_not_stop_an_answer",),
    ),
    Mutant(
        "bot/dispatch.py",
        "            await stored.wait()",
        "            pass",
        ("tests/test_dispatch.py::test_a_vote_that_comes_before_the_answer_is_stored_is_not_lost",),
    ),
    Mutant(
        "adapters/slack/workspace_of_payload.py",
        "return not must_say",
        "return True",
        ("tests/test_slack_signed.py::test_by_http_a_payload_that_names_no_team_does_nothing",),
    ),
    # Privacy
    Mutant(
        "storage/trainable_conditions.py",
        "not_(_has_author(_consent(given=False))),",
        "",
        ("tests/test_storage_permission.py::test_each_single_reason_forbids_training",),
    ),
    Mutant(
        "storage/trainable_conditions.py",
        "                _has_consent(),\n                _has_author(),\n",
        "                _has_consent(),\n",
        ("tests/test_storage_permission.py::test_each_single_reason_forbids_training",),
    ),
    Mutant(
        "storage/trainable_conditions.py",
        "exclusions.bitwise_and(workspaces.c.allowed) == exclusions",
        "exclusions >= 0",
        ("tests/test_storage_permission.py::test_each_single_reason_forbids_training",),
    ),
    Mutant(
        "bot/tuning/job_steps.py",
        "    if forbidden:\n",
        "    if False:\n",
        ("tests/test_invariants.py::test_permission_revoked_between_yes_and_upload_sends_nothing",),
    ),
    Mutant(
        "storage/snapshots.py",
        "or_(not_(is_trainable()), text.is_(None), and_(must_mask(), not_(_IN_FORCE)))",
        "text.is_(None)",
        ("tests/test_storage_permission.py::test_each_single_reason_forbids_training",),
    ),
    Mutant(
        "bot/private_text/id_numbers.py",
        "and passes_luhn_check(compact[:length]):",
        ":",
        ("tests/test_private_text.py",),
    ),
    Mutant(
        "storage/trainable_conditions.py",
        "may_stay = or_(examples.c.keeps_private_text.is_(True), not_(has_secret))",
        "may_stay = or_(examples.c.keeps_private_text.is_(True), has_secret)",
        ("tests/test_private_text.py",),
    ),
    # Retries
    Mutant(
        "bot/tuning/retries.py",
        "return max(asked, poll_seconds)",
        "return poll_seconds",
        ("tests/test_retries.py",),
    ),
    Mutant(
        "bot/tuning/retries.py",
        "if asked and asked <= MAX_RETRY_AFTER_SECONDS:",
        "if asked:",
        ("tests/test_retries.py",),
    ),
    Mutant(
        "bot/tuning/retries.py",
        "return job.attempted_at is None or is_often",
        "return True",
        ("tests/test_retries.py",),
    ),
    Mutant(
        "bot/tuning/retries.py",
        "return self.unreachable_before_job if is_away else self.before_job",
        "return self.before_job",
        ("tests/test_retries.py",),
    ),
    Mutant(
        "bot/tuning/state_machine.py",
        "except (HostRefused, HostBusy, HostUnreachable):",
        "except HostRefused:",
        ("tests/test_retries.py",),
    ),
    Mutant(
        "adapters/openai/errors.py",
        "return milliseconds / 1000",
        "return milliseconds",
        ("tests/test_openai_errors.py",),
    ),
    Mutant(
        "adapters/openai/errors.py",
        "if error.code in _INSUFFICIENT_FUNDS:",
        "if False:",
        ("tests/test_openai_errors.py",),
    ),
    Mutant(
        "adapters/openai/errors.py",
        "    httpx2.ConnectTimeout,\n",
        "",
        ("tests/test_openai_errors.py",),
    ),
    # Tuner
    Mutant(
        "tuner/job_runner.py",
        "os.killpg(self.process.pid, signal.SIGKILL)",
        "self.process.kill()",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/job_folder.py",
        'lines = data[: data.rfind(b"\\n") + 1]',
        "lines = data",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/job_folder.py",
        'file.truncate(file.read().rfind(b"\\n") + 1)',
        "file.read()",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/store/files.py",
        "expired = and_(_file.expires_at <= int(time.time()), ~in_use.exists())",
        "expired = _file.expires_at <= int(time.time())",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/store/files.py",
        "and_(job.status.in_(UNFINISHED_STATUSES), named)",
        "named",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/api/middleware.py",
        "while self._has_body and not self._is_waiting and remaining > 0:",
        "while False:",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/api/multipart.py",
        "if self._parts > MAX_PARTS:",
        "if self._parts > MAX_PARTS + 1:",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/api/multipart.py",
        "if self._size > MAX_FILE_BYTES:",
        "if self._size > MAX_FILE_BYTES + 1:",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/api/multipart.py",
        "if not self._is_ended:",
        "if False:",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/store/progress.py",
        "deaths = 1 if job.progress > job.progress_at_death else job.deaths + 1",
        "deaths = job.deaths + 1",
        ("tests/test_tuner_parts.py",),
    ),
    Mutant(
        "tuner/store/progress.py",
        "if job.status is not Status.RUNNING:\n                return\n            draft",
        "if job.status.is_final:\n                return\n            draft",
        ("tests/test_tuner_parts.py",),
    ),
    # Streaming
    Mutant(
        "adapters/streamed_answer.py",
        "            self._pending = pending + self._pending\n            raise",
        "            raise",
        (
            "tests/contracts/test_streamed_answer.py::test_whichever_call_fails_nothing_is_lost_or_doubled",
        ),
    ),
    Mutant(
        "adapters/message_splitting.py",
        'return f"{fence}\\n{rest}" if fence else rest.lstrip("\\n")',
        'return rest.lstrip("\\n")',
        ("tests/test_slack_texts.py::test_code_goes_on_in_the_next_message",),
    ),
    Mutant(
        "adapters/streamed_answer.py",
        "            unfinished = await self._writer.find_posted(number)\n",
        "            unfinished = None\n",
        (
            "tests/contracts/test_streamed_answer.py::test_killed_after_any_call_it_is_written_anew_in_its_own_messages",
        ),
    ),
    Mutant(
        "adapters/streamed_answer.py",
        "message, close_code_block(text, self._writer.longest), buttons\n",
        "message, text, buttons\n",
        (
            "tests/contracts/test_streamed_answer.py::test_stopped_at_any_call_what_is_shown_is_a_beginning_and_closed",
        ),
    ),
    Mutant(
        "bot/chat.py",
        "if turn is not None and turn.state is TurnState.DONE:",
        "if False:",
        (
            "tests/test_dispatch.py::test_an_answer_that_was_whole_is_not_written_anew",
            "tests/test_dispatch.py::test_an_answer_that_never_stood_is_said_in_the_words_that_were_paid_for",
        ),
    ),
    # Signatures and sessions
    Mutant(
        "adapters/slack/request_signature.py",
        "if not secret or not signature or not _is_recent(timestamp):",
        "if not secret or not signature:",
        ("tests/test_slack_signed.py::test_an_old_or_a_future_signature_is_refused",),
    ),
    Mutant(
        "adapters/slack/request_signature.py",
        "return abs(time.time() - int(timestamp)) <= _OLDEST_SECONDS",
        "return time.time() - int(timestamp) <= _OLDEST_SECONDS",
        ("tests/test_slack_signed.py::test_an_old_or_a_future_signature_is_refused",),
    ),
    Mutant(
        "adapters/slack/request_signature.py",
        "if length.isdecimal() and int(length) > MAX_BODY_BYTES:",
        "if False:",
        ("tests/test_slack_signed.py::test_a_body_that_names_too_great_a_length_is_not_read",),
    ),
    Mutant(
        "adapters/studio/login_sessions.py",
        "return min(self.seen + IDLE_LIFETIME, self.begun + MAX_LIFETIME)",
        "return self.seen + IDLE_LIFETIME",
        ("tests/test_studio_door.py::test_no_session_outlives_its_longest_time",),
    ),
    Mutant(
        "adapters/studio/access_guard.py",
        'return headers.get("sec-fetch-site") == "same-origin"',
        "return True",
        ("tests/test_studio_door.py::test_another_site_cannot_post",),
    ),
    # Erasing
    Mutant(
        "storage/free_pages.py",
        'connection.execute("VACUUM")',
        "pass",
        ("tests/test_storage_erasing.py::test_no_byte_stays_where_pages_were_moved",),
    ),
    Mutant(
        "storage/table_rewriting.py",
        'statements = {"insert": insert, "update": delete + insert, "delete": delete}',
        'statements = {"insert": insert, "update": delete + insert, "delete": ""}',
        (
            "tests/test_storage_erasing.py::test_what_is_written_while_a_table_is_rewritten_is_all_there",
        ),
    ),
    Mutant(
        "storage/workspaces.py",
        "_ERASED = [*_OWNED, workspaces]",
        "_ERASED = [*_OWNED[:-3], workspaces]",
        (
            "tests/contracts/test_store.py::TestWorkspaces::test_erasing_takes_everything_but_other_workspaces",
        ),
    ),
    Mutant(
        "bot/workspace_removal.py",
        "if (workspace.closed_at or now) + self._erase_after <= now:",
        "if True:",
        (
            "tests/test_workspace_removal.py::test_it_is_erased_when_the_period_is_over_and_not_before",
        ),
    ),
    Mutant(
        "bot/workspace_removal.py",
        "return None if workspace.closed_at is None else False",
        "return False",
        ("tests/test_workspace_removal.py::test_a_platform_that_is_off_confirms_no_removal",),
    ),
    Mutant(
        "bot/tuning/remote_cleanup.py",
        "files = {*cleanup.files, *await _uploaded_files(cleanup.idempotency_key, host)}",
        "files = {*cleanup.files}",
        ("tests/test_tuning_leaving.py::test_a_file_that_was_being_sent_is_found_by_its_name",),
    ),
    Mutant(
        "storage/turns.py",
        "turns.c.state != TurnState.STREAMING, ~waiting",
        "turns.c.state != TurnState.STREAMING",
        ("tests/test_retention.py::test_only_what_is_old_and_closed_goes",),
    ),
    Mutant(
        "storage/jobs.py",
        "update(jobs).where(condition, jobs.c.phase.in_(final))",
        "update(jobs).where(condition)",
        ("tests/contracts/test_store.py::TestJobs::test_only_finished_jobs_forget_their_files",),
    ),
)
