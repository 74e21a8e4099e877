"""Reads chat exports of Slack and Discord and finds exchanges of question and answer in them."""

from bot.chat_exports.chat_export import (
    ChatExport,
    ExportedChannel,
    ExportedMessage,
    ExportedPerson,
)
from bot.chat_exports.detection import open_chat_export
from bot.chat_exports.exchanges import FoundExchange, exchange_row, find_exchanges
from bot.chat_exports.message_index import MessageIndex

__all__ = [
    "ChatExport",
    "ExportedChannel",
    "ExportedMessage",
    "ExportedPerson",
    "FoundExchange",
    "MessageIndex",
    "exchange_row",
    "find_exchanges",
    "open_chat_export",
]
