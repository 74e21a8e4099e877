"""The catalogue of all commands and actions, collected from the modules that register them."""

from __future__ import annotations

from collections.abc import Mapping

from bot import (
    answer_actions,
    answer_threads,
    app_home,
    assistants,
    audit_log,
    budget_command,
    built_in_tools,
    chat,
    comparison,
    consent,
    dashboard,
    engine_installation,
    export_command,
    fallback_notices,
    feedback,
    guests,
    hosts_page,
    import_command,
    learning_sources,
    model_name_form,
    models_in_use,
    overview_page,
    personal_data,
    private_replies,
    retention,
    roles,
    undo,
    workspace_removal,
    workspaces,
)
from bot.canary import cards as canary_cards
from bot.canary import command as canary_command
from bot.canary import notices as canary_notices
from bot.commands import Catalogue, Handlers, Option
from bot.domain import ChannelKind, Role
from bot.evaluation import cards as evaluation_cards
from bot.evaluation import command as evaluation_command
from bot.evaluation import evaluations_page as evaluation_pages
from bot.evaluation import export as evaluation_export
from bot.evaluation import gap_answers, label_metrics_form
from bot.evaluation import notices as evaluation_notices
from bot.example_checks import command as checking
from bot.example_checks import merge_duplicates
from bot.examples import (
    ask_admins_for_permission as ask_admins,
)
from bot.examples import (
    bulk_changes,
    decisions,
    deleted_source_messages,
    edit_form,
    example_cards,
    example_details,
    mask_private_text,
    must_answer_tag,
    review_assignment,
    review_queue,
    save_as_example_form,
    save_several_messages_form,
    search_command,
    teach_form,
    teaching_reactions,
)
from bot.examples.state_changes import EXAMPLE_CARD_NOTICE
from bot.help import render_help
from bot.judging import command as judge_command
from bot.outbox import NoticeRenderer
from bot.ports.dependencies import Dependencies
from bot.ports.surface import CanSwitchWorkspace
from bot.replies import Reply
from bot.request import Request
from bot.synthetic import command as synthetic
from bot.teach_next import command as teach_next
from bot.tuning import cards as job_cards
from bot.tuning import (
    data_changes,
    host_resources,
    job_details,
    lineage,
    model_expiry,
    notices,
    paid_deployments,
    remote_cleanup,
    start,
    state_machine,
    training_offers,
)
from bot.votes import cards as vote_cards
from bot.votes import command as votes_command
from bot.votes import notices as vote_notices

handlers = Handlers()


@handlers.command("help", Role.STRANGER, Option.text("topic", takes_rest=True))
async def show_help(request: Request, deps: Dependencies) -> Reply:
    """Shows the commands; in a direct message preceded by the workspace that answers there."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    note = None
    if isinstance(surface, CanSwitchWorkspace) and request.place.kind is ChannelKind.DIRECT:
        note = await surface.workspace_note(request.event)
    return render_help(request, CATALOGUE.commands, note)


HANDLERS_OF_MODULES = (
    private_replies.handlers,
    teach_form.handlers,
    review_queue.handlers,
    decisions.handlers,
    review_assignment.handlers,
    edit_form.handlers,
    search_command.handlers,
    bulk_changes.handlers,
    example_details.handlers,
    mask_private_text.handlers,
    checking.handlers,
    merge_duplicates.handlers,
    synthetic.handlers,
    must_answer_tag.handlers,
    teaching_reactions.handlers,
    save_as_example_form.handlers,
    save_several_messages_form.handlers,
    import_command.handlers,
    export_command.handlers,
    start.handlers,
    training_offers.handlers,
    job_cards.handlers,
    state_machine.handlers,
    job_details.handlers,
    lineage.handlers,
    data_changes.handlers,
    host_resources.handlers,
    models_in_use.handlers,
    model_name_form.handlers,
    evaluation_command.handlers,
    evaluation_cards.handlers,
    evaluation_export.handlers,
    label_metrics_form.handlers,
    gap_answers.handlers,
    evaluation_pages.handlers,
    judge_command.handlers,
    votes_command.handlers,
    canary_command.handlers,
    chat.handlers,
    answer_actions.handlers,
    feedback.handlers,
    comparison.handlers,
    assistants.handlers,
    roles.handlers,
    budget_command.handlers,
    audit_log.handlers,
    hosts_page.handlers,
    guests.handlers,
    engine_installation.handlers,
    consent.handlers,
    personal_data.handlers,
    deleted_source_messages.handlers,
    learning_sources.handlers,
    retention.handlers,
    undo.handlers,
    overview_page.handlers,
    teach_next.handlers,
    dashboard.handlers,
    app_home.handlers,
    workspaces.handlers,
    workspace_removal.handlers,
)

CATALOGUE = Catalogue.from_modules(handlers, *HANDLERS_OF_MODULES)

NOTICE_RENDERERS: Mapping[str, NoticeRenderer] = {
    remote_cleanup.DELETION_REFUSED_NOTICE: remote_cleanup.render_deletion_refused_notice,
    notices.STATUS_NOTICE: job_cards.render_status_notice,
    notices.ENDED_NOTICE: job_cards.render_ended_notice,
    notices.LATE_NOTICE: job_cards.render_late_notice,
    notices.ACTION_REFUSED_NOTICE: job_cards.render_action_refused_notice,
    evaluation_notices.STATUS_NOTICE: evaluation_cards.render_status_notice,
    evaluation_notices.ENDED_NOTICE: evaluation_cards.render_ended_notice,
    canary_notices.STATUS_NOTICE: canary_cards.render_status_notice,
    canary_notices.LIKED_NOTICE: canary_cards.render_liked_notice,
    canary_notices.ENDED_NOTICE: canary_cards.render_ended_notice,
    vote_notices.STATUS_NOTICE: vote_cards.render_status_notice,
    vote_notices.QUESTION_NOTICE: vote_cards.render_question_notice,
    vote_notices.ENDED_NOTICE: vote_cards.render_ended_notice,
    model_expiry.MODEL_EXPIRY_NOTICE: model_expiry.render_model_expiry_notice,
    paid_deployments.HOURLY_COST_NOTICE: paid_deployments.render_hourly_cost_notice,
    training_offers.TRAINING_OFFER_NOTICE: training_offers.render_training_offer_notice,
    judge_command.STATUS_NOTICE: judge_command.render_status_notice,
    synthetic.SYNTHETIC_STATUS_NOTICE: synthetic.render_status_notice,
    fallback_notices.FALLBACK_NOTICE: fallback_notices.render_fallback_notice,
    answer_threads.MISSING_PERMISSION_NOTICE: answer_threads.render_missing_permission_notice,
    built_in_tools.HANDOVER_NOTICE: built_in_tools.render_handover_notice,
    workspace_removal.REMOVAL_NOTICE: workspace_removal.render_removal_notice,
    EXAMPLE_CARD_NOTICE: example_cards.render_changed_examples_notice,
    review_assignment.AUTHOR_QUESTION_NOTICE: review_assignment.render_author_question_notice,
    consent.CONSENT_REQUEST_NOTICE: consent.render_consent_request_notice,
    ask_admins.MARKS_WAITING_NOTICE: ask_admins.render_marks_waiting_notice,
    ask_admins.MARKS_ALLOWED_NOTICE: ask_admins.render_marks_allowed_notice,
}
