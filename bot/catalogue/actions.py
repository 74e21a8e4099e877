"""Buttons, forms, reactions, shortcuts and happenings, once, as tables."""

from __future__ import annotations

from bot import (
    administration,
    assistants,
    chat,
    comparison,
    deployments,
    examples,
    feedback,
    guests,
    home,
    overview,
    privacy,
    removal,
    sharing,
    undoing,
    workspaces,
)
from bot.catalogue import runs
from bot.catalogue.commands import COMMANDS
from bot.commands import Action
from bot.domain import ExampleState, RequestedAction, Role
from bot.tuning import cards, confirmation, curves, history, host_resources, lineage, start

_S, _M, _C = Role.STRANGER, Role.MEMBER, Role.CURATOR
_T, _A, _O = Role.TRAINER, Role.ADMIN, Role.OPERATOR

BUTTONS = (
    Action(
        "example.approve",
        _C,
        lambda ask, deps: runs.judge(ask, deps, ExampleState.APPROVED),
        is_private=True,
    ),
    Action(
        "example.reject",
        _C,
        lambda ask, deps: runs.judge(ask, deps, ExampleState.REJECTED),
        is_private=True,
    ),
    Action("example.skip", _C, runs.skip, is_private=True),
    Action("example.edit", _C, lambda ask, deps: examples.edit_form(ask, store=deps.store)),
    Action("example.drop", _C, runs.withdraw),
    Action("example.write", _M, lambda ask, deps: runs.write(ask, deps)),
    Action(
        "example.write_page", _M, lambda ask, deps: runs.write_page(ask, deps), is_for_pages=True
    ),
    Action("example.undo", _C, runs.restore),
    Action(
        "example.show",
        _M,
        lambda ask, deps: examples.show(ask, store=deps.store),
        is_private=True,
    ),
    Action(
        "example.revisions",
        _C,
        lambda ask, deps: examples.revisions(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "example.similar",
        _C,
        lambda ask, deps: examples.similar(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action("example.context", _C, lambda ask, deps: runs.context(ask, deps), is_for_pages=True),
    Action("save", _M, lambda ask, deps: runs.save_again(ask, deps)),
    Action(
        "examples.more",
        _M,
        lambda ask, deps: examples.listing(ask, store=deps.store),
        is_private=True,
    ),
    Action("tour", _C, lambda ask, deps: runs.tour(ask, deps), is_for_pages=True),
    Action(
        "counts", _C, lambda ask, deps: overview.counts(ask, store=deps.store), is_for_pages=True
    ),
    Action("channel", _C, lambda ask, deps: overview.channel(ask), is_for_pages=True),
    Action(
        "answers",
        _C,
        lambda ask, deps: chat.about_answers(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "workspaces",
        _O,
        lambda ask, deps: workspaces.listing(ask, store=deps.store, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action(
        "workspace.allow",
        _O,
        lambda ask, deps: workspaces.allow(ask, store=deps.store, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action(
        "workspace.disallow",
        _O,
        lambda ask, deps: workspaces.disallow(ask, store=deps.store, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action(
        "hosts",
        _T,
        lambda ask, deps: administration.hosts(ask, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action(
        "host.test",
        _O,
        lambda ask, deps: administration.test_host(ask, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action("starter", _C, lambda ask, deps: runs.starter(ask, deps), is_for_pages=True),
    Action(
        "job.start",
        _T,
        lambda ask, deps: start.start(ask, store=deps.store, hosts=deps.hosts),
        is_for_pages=True,
    ),
    Action("job.confirm", _T, lambda ask, deps: runs.confirm(ask, deps)),
    Action("job.confirm_unpriced", _T, lambda ask, deps: runs.confirm(ask, deps, is_sure=True)),
    Action("job.decline", _T, lambda ask, deps: confirmation.decline(ask, store=deps.store)),
    Action(
        "job.cancel", _T, lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.CANCEL)
    ),
    Action(
        "job.pause", _T, lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.PAUSE)
    ),
    Action(
        "job.resume", _T, lambda ask, deps: runs.requested_action(ask, deps, RequestedAction.RESUME)
    ),
    Action("job.show", _M, lambda ask, deps: cards.status(ask, store=deps.store)),
    Action(
        "job.events", _C, lambda ask, deps: history.events(ask, store=deps.store), is_for_pages=True
    ),
    Action(
        "job.rows", _C, lambda ask, deps: history.rows(ask, store=deps.store), is_for_pages=True
    ),
    Action(
        "job.numbers",
        _M,
        lambda ask, deps: history.numbers(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action("job.accuracy", _M, lambda ask, deps: curves.accuracy(ask, store=deps.store)),
    Action(
        "job.results",
        _C,
        lambda ask, deps: history.results(ask, store=deps.store, hosts=deps.hosts),
    ),
    Action(
        "job.again", _T, lambda ask, deps: history.again(ask, store=deps.store, hosts=deps.hosts)
    ),
    Action("jobs.more", _M, lambda ask, deps: cards.jobs(ask, store=deps.store), is_private=True),
    Action("model.use", _T, lambda ask, deps: deployments.use(ask, ask.argument, store=deps.store)),
    Action("model.lineage", _C, lambda ask, deps: runs.models(ask, deps), is_private=True),
    Action(
        "example.lineage",
        _C,
        lambda ask, deps: lineage.of_example(ask, store=deps.store),
        is_private=True,
    ),
    Action(
        "model.delete", _A, lambda ask, deps: host_resources.ask_delete_model(ask, store=deps.store)
    ),
    Action(
        "model.delete_sure",
        _A,
        runs.delete_model,
    ),
    Action("model.keep", _A, lambda ask, deps: host_resources.keep_model(ask)),
    Action(
        "model.undeploy",
        _A,
        lambda ask, deps: host_resources.undeploy(ask, store=deps.store, hosts=deps.hosts),
    ),
    Action(
        "file.delete",
        _A,
        runs.delete_file,
    ),
    Action(
        "model.history",
        _C,
        lambda ask, deps: deployments.history(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action("model.rollback", _T, lambda ask, deps: deployments.rollback(ask, store=deps.store)),
    Action("feedback.why", _S, lambda ask, deps: feedback.why_form(ask, store=deps.store)),
    Action(
        "feedback.good",
        _S,
        lambda ask, deps: feedback.click(ask, feedback.GOOD, store=deps.store),
    ),
    Action(
        "feedback.bad",
        _S,
        lambda ask, deps: feedback.click(ask, feedback.BAD, store=deps.store),
    ),
    Action(
        "compare.who",
        _C,
        lambda ask, deps: comparison.contenders(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "consents",
        _A,
        lambda ask, deps: privacy.consents(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "bindings",
        _C,
        lambda ask, deps: assistants.bindings(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "consent.on",
        _S,
        lambda ask, deps: privacy.switch_consent(ask, given=True, store=deps.store),
    ),
    Action(
        "consent.off",
        _S,
        lambda ask, deps: privacy.switch_consent(ask, given=False, store=deps.store),
    ),
    Action("privacy.my_data", _S, lambda ask, deps: privacy.my_data(ask, store=deps.store)),
    Action("privacy.ask_forget", _S, lambda ask, deps: privacy.ask_forget(ask)),
    Action("privacy.forget", _S, lambda ask, deps: runs.forget(ask, deps)),
    Action("privacy.keep", _S, lambda ask, deps: privacy.keep(ask)),
    Action("workspace.show", _O, lambda ask, deps: runs.show_closed(ask, deps)),
    Action("workspace.export", _O, lambda ask, deps: removal.export(ask, store=deps.store)),
    Action("workspace.extend", _O, lambda ask, deps: runs.extend(ask, deps)),
    Action("workspace.erase", _O, lambda ask, deps: removal.ask_erase(ask, store=deps.store)),
    Action("workspace.erase_sure", _O, lambda ask, deps: runs.erase_workspace(ask, deps)),
    Action("welcome.try", _M, lambda ask, deps: home.try_me(ask)),
    Action(
        "welcome.approvers", _M, lambda ask, deps: administration.approvers(ask, store=deps.store)
    ),
    Action("undo", _M, lambda ask, deps: undoing.undo(ask, store=deps.store)),
    Action("role.take_back", _A, lambda ask, deps: administration.take_back(ask, store=deps.store)),
    Action(
        "assistant.unbind", _A, lambda ask, deps: assistants.unbind_named(ask, store=deps.store)
    ),
    Action("share", _M, lambda ask, deps: sharing.share(ask, deps, COMMANDS)),
    Action("guests.close", _A, lambda ask, deps: guests.close(ask, store=deps.store)),
    Action("welcome.sources", _A, lambda ask, deps: privacy.sources(ask, store=deps.store)),
)

FORMS = (
    Action("import", _C, lambda ask, deps: runs.import_whole(ask, deps), is_for_pages=True),
    Action("import.file", _C, lambda ask, deps: runs.import_file(ask, deps)),
    Action(
        "examples",
        _C,
        lambda ask, deps: examples.bulk(ask, ask.options, store=deps.store),
        is_for_pages=True,
    ),
    Action("teach", _M, lambda ask, deps: runs.taught(ask, deps)),
    Action(
        "example.edit", _C, lambda ask, deps: examples.edited(ask, ask.options, store=deps.store)
    ),
    Action(
        "audit.export",
        _A,
        lambda ask, deps: administration.export_audit(ask, store=deps.store),
        is_for_pages=True,
    ),
    Action("example.written", _M, lambda ask, deps: runs.written(ask, deps)),
    Action("compare", _C, lambda ask, deps: runs.side_by_side(ask, deps), is_for_pages=True),
    Action("save", _M, lambda ask, deps: runs.saved(ask, deps)),
    Action(
        "prefer",
        _C,
        lambda ask, deps: feedback.prefer(ask, ask.options, store=deps.store),
        is_for_pages=True,
    ),
    Action(
        "feedback",
        _S,
        lambda ask, deps: runs.feedback_given(ask, deps),
    ),
    Action(
        "sources",
        _A,
        lambda ask, deps: privacy.sources_submitted(ask, ask.options, store=deps.store),
    ),
)

REACTIONS = (
    Action(examples.PROPOSED, _M, lambda ask, deps: runs.propose(ask, deps)),
    Action(examples.APPROVED, _C, lambda ask, deps: runs.approve(ask, deps)),
    Action("👍", _S, lambda ask, deps: feedback.vote(ask, feedback.GOOD, store=deps.store)),
    Action("👎", _S, lambda ask, deps: feedback.vote(ask, feedback.BAD, store=deps.store)),
    Action("❌", _S, lambda ask, deps: runs.stop(ask, deps)),
)

UNREACTIONS = (
    Action(
        examples.PROPOSED,
        _M,
        lambda ask, deps: examples.unpropose(ask, runs.marked(ask), store=deps.store),
    ),
    Action("👍", _S, lambda ask, deps: feedback.unvote(ask, feedback.GOOD, store=deps.store)),
    Action("👎", _S, lambda ask, deps: feedback.unvote(ask, feedback.BAD, store=deps.store)),
)

SHORTCUTS = (
    Action("save", _M, lambda ask, deps: runs.save_form(ask, runs.marked(ask), deps)),
    Action(
        "improve",
        _M,
        lambda ask, deps: feedback.improve_form(ask, runs.marked(ask).id, store=deps.store),
    ),
)

HAPPENINGS = (
    Action("spoken", _S, lambda ask, deps: runs.answer(ask, deps)),
    Action("edited", _S, lambda ask, deps: runs.source_edited(ask, deps)),
    Action("deleted", _S, lambda ask, deps: runs.source_deleted(ask, deps)),
    Action("place_deleted", _S, lambda ask, deps: runs.place_deleted(ask, deps)),
    Action("joined", _S, lambda ask, deps: runs.joined(ask, deps)),
    Action("left", _S, lambda ask, deps: runs.left(ask, deps)),
    Action("person_left", _S, lambda ask, deps: administration.person_left(ask, store=deps.store)),
    Action("visited", _S, lambda ask, deps: home.home(ask, store=deps.store)),
)
