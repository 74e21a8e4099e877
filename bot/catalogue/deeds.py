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
from bot.commands import Deed
from bot.model import ExampleState, JobWish, Role
from bot.tuning import cards, confirming, curves, hosted, lineage, start, story

_S, _M, _C = Role.STRANGER, Role.MEMBER, Role.CURATOR
_T, _A, _O = Role.TRAINER, Role.ADMIN, Role.OPERATOR

BUTTONS = (
    Deed(
        "example.approve",
        _C,
        lambda ask, world: runs.judge(ask, world, ExampleState.APPROVED),
        is_private=True,
    ),
    Deed(
        "example.reject",
        _C,
        lambda ask, world: runs.judge(ask, world, ExampleState.REJECTED),
        is_private=True,
    ),
    Deed("example.skip", _C, runs.skip, is_private=True),
    Deed("example.edit", _C, lambda ask, world: examples.edit_form(ask, store=world.store)),
    Deed("example.drop", _C, runs.withdraw),
    Deed("example.write", _M, lambda ask, world: runs.write(ask, world)),
    Deed(
        "example.write_page", _M, lambda ask, world: runs.write_page(ask, world), is_for_pages=True
    ),
    Deed("example.undo", _C, runs.restore),
    Deed(
        "example.show",
        _M,
        lambda ask, world: examples.show(ask, store=world.store),
        is_private=True,
    ),
    Deed(
        "example.revisions",
        _C,
        lambda ask, world: examples.revisions(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "example.similar",
        _C,
        lambda ask, world: examples.similar(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed("example.context", _C, lambda ask, world: runs.context(ask, world), is_for_pages=True),
    Deed("save", _M, lambda ask, world: runs.save_again(ask, world)),
    Deed(
        "examples.more",
        _M,
        lambda ask, world: examples.listing(ask, store=world.store),
        is_private=True,
    ),
    Deed("tour", _C, lambda ask, world: runs.tour(ask, world), is_for_pages=True),
    Deed(
        "counts", _C, lambda ask, world: overview.counts(ask, store=world.store), is_for_pages=True
    ),
    Deed("channel", _C, lambda ask, world: overview.channel(ask), is_for_pages=True),
    Deed(
        "answers",
        _C,
        lambda ask, world: chat.about_answers(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "workspaces",
        _O,
        lambda ask, world: workspaces.listing(ask, store=world.store, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed(
        "workspace.allow",
        _O,
        lambda ask, world: workspaces.allow(ask, store=world.store, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed(
        "workspace.disallow",
        _O,
        lambda ask, world: workspaces.disallow(ask, store=world.store, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed(
        "hosts",
        _T,
        lambda ask, world: administration.hosts(ask, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed(
        "host.test",
        _O,
        lambda ask, world: administration.test_host(ask, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed("starter", _C, lambda ask, world: runs.starter(ask, world), is_for_pages=True),
    Deed(
        "job.start",
        _T,
        lambda ask, world: start.start(ask, store=world.store, hosts=world.hosts),
        is_for_pages=True,
    ),
    Deed("job.confirm", _T, lambda ask, world: runs.confirm(ask, world)),
    Deed("job.confirm_unpriced", _T, lambda ask, world: runs.confirm(ask, world, is_sure=True)),
    Deed("job.decline", _T, lambda ask, world: confirming.decline(ask, store=world.store)),
    Deed("job.cancel", _T, lambda ask, world: runs.wish(ask, world, JobWish.CANCEL)),
    Deed("job.pause", _T, lambda ask, world: runs.wish(ask, world, JobWish.PAUSE)),
    Deed("job.resume", _T, lambda ask, world: runs.wish(ask, world, JobWish.RESUME)),
    Deed("job.show", _M, lambda ask, world: cards.status(ask, store=world.store)),
    Deed(
        "job.events", _C, lambda ask, world: story.events(ask, store=world.store), is_for_pages=True
    ),
    Deed("job.rows", _C, lambda ask, world: story.rows(ask, store=world.store), is_for_pages=True),
    Deed(
        "job.numbers",
        _M,
        lambda ask, world: story.numbers(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed("job.accuracy", _M, lambda ask, world: curves.accuracy(ask, store=world.store)),
    Deed(
        "job.results",
        _C,
        lambda ask, world: story.results(ask, store=world.store, hosts=world.hosts),
    ),
    Deed(
        "job.again", _T, lambda ask, world: story.again(ask, store=world.store, hosts=world.hosts)
    ),
    Deed("jobs.more", _M, lambda ask, world: cards.jobs(ask, store=world.store), is_private=True),
    Deed("model.use", _T, lambda ask, world: deployments.use(ask, ask.argument, store=world.store)),
    Deed("model.lineage", _C, lambda ask, world: runs.models(ask, world), is_private=True),
    Deed(
        "example.lineage",
        _C,
        lambda ask, world: lineage.of_example(ask, store=world.store),
        is_private=True,
    ),
    Deed("model.delete", _A, lambda ask, world: hosted.ask_delete_model(ask, store=world.store)),
    Deed(
        "model.delete_sure",
        _A,
        runs.delete_model,
    ),
    Deed("model.keep", _A, lambda ask, world: hosted.keep_model(ask)),
    Deed(
        "model.undeploy",
        _A,
        lambda ask, world: hosted.undeploy(ask, store=world.store, hosts=world.hosts),
    ),
    Deed(
        "file.delete",
        _A,
        runs.delete_file,
    ),
    Deed(
        "model.history",
        _C,
        lambda ask, world: deployments.history(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed("model.rollback", _T, lambda ask, world: deployments.rollback(ask, store=world.store)),
    Deed("feedback.why", _S, lambda ask, world: feedback.why_form(ask, store=world.store)),
    Deed(
        "feedback.good",
        _S,
        lambda ask, world: feedback.click(ask, feedback.GOOD, store=world.store),
    ),
    Deed(
        "feedback.bad",
        _S,
        lambda ask, world: feedback.click(ask, feedback.BAD, store=world.store),
    ),
    Deed(
        "compare.who",
        _C,
        lambda ask, world: comparison.contenders(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "consents",
        _A,
        lambda ask, world: privacy.consents(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "bindings",
        _C,
        lambda ask, world: assistants.bindings(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "consent.on",
        _S,
        lambda ask, world: privacy.switch_consent(ask, given=True, store=world.store),
    ),
    Deed(
        "consent.off",
        _S,
        lambda ask, world: privacy.switch_consent(ask, given=False, store=world.store),
    ),
    Deed("privacy.my_data", _S, lambda ask, world: privacy.my_data(ask, store=world.store)),
    Deed("privacy.ask_forget", _S, lambda ask, world: privacy.ask_forget(ask)),
    Deed("privacy.forget", _S, lambda ask, world: runs.forget(ask, world)),
    Deed("privacy.keep", _S, lambda ask, world: privacy.keep(ask)),
    Deed("workspace.show", _O, lambda ask, world: runs.show_closed(ask, world)),
    Deed("workspace.export", _O, lambda ask, world: removal.export(ask, store=world.store)),
    Deed("workspace.extend", _O, lambda ask, world: runs.extend(ask, world)),
    Deed("workspace.erase", _O, lambda ask, world: removal.ask_erase(ask, store=world.store)),
    Deed("workspace.erase_sure", _O, lambda ask, world: runs.erase_workspace(ask, world)),
    Deed("welcome.try", _M, lambda ask, world: home.try_me(ask)),
    Deed(
        "welcome.approvers", _M, lambda ask, world: administration.approvers(ask, store=world.store)
    ),
    Deed("undo", _M, lambda ask, world: undoing.undo(ask, store=world.store)),
    Deed("role.take_back", _A, lambda ask, world: administration.take_back(ask, store=world.store)),
    Deed(
        "assistant.unbind", _A, lambda ask, world: assistants.unbind_named(ask, store=world.store)
    ),
    Deed("share", _M, lambda ask, world: sharing.share(ask, world, COMMANDS)),
    Deed("guests.close", _A, lambda ask, world: guests.close(ask, store=world.store)),
    Deed("welcome.sources", _A, lambda ask, world: privacy.sources(ask, store=world.store)),
)

FORMS = (
    Deed("import", _C, lambda ask, world: runs.import_whole(ask, world), is_for_pages=True),
    Deed("import.file", _C, lambda ask, world: runs.import_file(ask, world)),
    Deed(
        "examples",
        _C,
        lambda ask, world: examples.bulk(ask, ask.options, store=world.store),
        is_for_pages=True,
    ),
    Deed("teach", _M, lambda ask, world: runs.taught(ask, world)),
    Deed(
        "example.edit", _C, lambda ask, world: examples.edited(ask, ask.options, store=world.store)
    ),
    Deed(
        "audit.export",
        _A,
        lambda ask, world: administration.export_audit(ask, store=world.store),
        is_for_pages=True,
    ),
    Deed("example.written", _M, lambda ask, world: runs.written(ask, world)),
    Deed("compare", _C, lambda ask, world: runs.side_by_side(ask, world), is_for_pages=True),
    Deed("save", _M, lambda ask, world: runs.saved(ask, world)),
    Deed(
        "prefer",
        _C,
        lambda ask, world: feedback.prefer(ask, ask.options, store=world.store),
        is_for_pages=True,
    ),
    Deed(
        "feedback",
        _S,
        lambda ask, world: runs.feedback_given(ask, world),
    ),
    Deed(
        "sources",
        _A,
        lambda ask, world: privacy.sources_submitted(ask, ask.options, store=world.store),
    ),
)

REACTIONS = (
    Deed(examples.PROPOSED, _M, lambda ask, world: runs.propose(ask, world)),
    Deed(examples.APPROVED, _C, lambda ask, world: runs.approve(ask, world)),
    Deed("👍", _S, lambda ask, world: feedback.vote(ask, feedback.GOOD, store=world.store)),
    Deed("👎", _S, lambda ask, world: feedback.vote(ask, feedback.BAD, store=world.store)),
    Deed("❌", _S, lambda ask, world: runs.stop(ask, world)),
)

UNREACTIONS = (
    Deed(
        examples.PROPOSED,
        _M,
        lambda ask, world: examples.unpropose(ask, runs.marked(ask), store=world.store),
    ),
    Deed("👍", _S, lambda ask, world: feedback.unvote(ask, feedback.GOOD, store=world.store)),
    Deed("👎", _S, lambda ask, world: feedback.unvote(ask, feedback.BAD, store=world.store)),
)

SHORTCUTS = (
    Deed("save", _M, lambda ask, world: runs.save_form(ask, runs.marked(ask), world)),
    Deed(
        "improve",
        _M,
        lambda ask, world: feedback.improve_form(ask, runs.marked(ask).id, store=world.store),
    ),
)

HAPPENINGS = (
    Deed("spoken", _S, lambda ask, world: runs.answer(ask, world)),
    Deed("edited", _S, lambda ask, world: runs.source_edited(ask, world)),
    Deed("deleted", _S, lambda ask, world: runs.source_deleted(ask, world)),
    Deed("place_deleted", _S, lambda ask, world: runs.place_deleted(ask, world)),
    Deed("joined", _S, lambda ask, world: runs.joined(ask, world)),
    Deed("left", _S, lambda ask, world: runs.left(ask, world)),
    Deed("person_left", _S, lambda ask, world: administration.person_left(ask, store=world.store)),
    Deed("visited", _S, lambda ask, world: home.home(ask, store=world.store)),
)
