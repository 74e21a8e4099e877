"""All repositories of one transaction."""

from __future__ import annotations

from bot.ports import store
from storage.answer_stats import AnswerStats
from storage.assistants import Assistants
from storage.audit import Audit
from storage.blind_votes import BlindVotes
from storage.canaries import Canaries
from storage.connection import Connection
from storage.consents import Consents
from storage.daily_tokens import DailyTokens
from storage.deployments import Deployments
from storage.direct_message_workspaces import DirectMessageWorkspaces
from storage.evaluation_gaps import EvaluationGaps
from storage.evaluations import Evaluations
from storage.example_cards import ExampleCards
from storage.example_messages import ExampleMessages
from storage.examples import Examples
from storage.guest_channels import GuestChannels
from storage.inbox import Inbox
from storage.jobs import Jobs
from storage.judgings import Judgings
from storage.models import Models
from storage.outbox import Outbox
from storage.personal_data import PersonalData
from storage.private_replies import PrivateReplies
from storage.remote_cleanups import RemoteCleanups
from storage.reviews import Reviews
from storage.roles import Roles
from storage.room import Room
from storage.snapshots import Snapshots
from storage.synthetic_runs import SyntheticRuns
from storage.training_offers import TrainingOffers
from storage.turns import Turns
from storage.undoables import Undoables
from storage.workspaces import Workspaces


class Records:
    """The repositories that `writing` and `reading` yield; usable until the transaction ends."""

    def __init__(self, connection: Connection) -> None:
        self.workspaces: store.Workspaces = Workspaces(connection)
        self.roles: store.Roles = Roles(connection)
        self.guest_channels: store.GuestChannels = GuestChannels(connection)
        self.direct_message_workspaces: store.DirectMessageWorkspaces = DirectMessageWorkspaces(
            connection
        )
        self.assistants: store.Assistants = Assistants(connection)
        self.examples: store.Examples = Examples(connection)
        self.example_cards: store.ExampleCards = ExampleCards(connection)
        self.example_messages: store.ExampleMessages = ExampleMessages(connection)
        self.personal_data: store.PersonalData = PersonalData(connection)
        self.reviews: store.Reviews = Reviews(connection)
        self.snapshots: store.Snapshots = Snapshots(connection)
        self.jobs: store.Jobs = Jobs(connection)
        self.evaluations: store.Evaluations = Evaluations(connection)
        self.evaluation_gaps: store.EvaluationGaps = EvaluationGaps(connection)
        self.blind_votes: store.BlindVotes = BlindVotes(connection)
        self.canaries: store.Canaries = Canaries(connection)
        self.remote_cleanups: store.RemoteCleanups = RemoteCleanups(connection)
        self.undoables: store.Undoables = Undoables(connection)
        self.private_replies: store.PrivateReplies = PrivateReplies(connection)
        self.models: store.Models = Models(connection)
        self.deployments: store.Deployments = Deployments(connection)
        self.turns: store.Turns = Turns(connection)
        self.answer_stats: store.AnswerStats = AnswerStats(connection)
        self.judgings: store.Judgings = Judgings(connection)
        self.synthetic_runs: store.SyntheticRuns = SyntheticRuns(connection)
        self.training_offers: store.TrainingOffers = TrainingOffers(connection)
        self.outbox: store.Outbox = Outbox(connection)
        self.inbox: store.Inbox = Inbox(connection)
        self.audit: store.Audit = Audit(connection)
        self.daily_tokens: store.DailyTokens = DailyTokens(connection)
        self.consents: store.Consents = Consents(connection)
        self.room: store.Room = Room(connection)
