"""The sentences of conversations in English: answers, attached files and tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "chat.empty": "Yes? Write your question after my name.",
    "chat.warming": "The model is being loaded. The answer comes here as soon as it is ready.",
    "chat.file": "The file {name}:\n```\n{text}\n```",
    "chat.file_cut": "Of {name} I have read the first {count} characters.",
    "chat.file_unread": "I cannot read {name}: of files I read text, PDF, Word (.docx) and pictures (PNG, JPEG, GIF, WebP).",
    "chat.file_no_room": "I have not read {name}: the other files took all the room.",
    "chat.file_large": "I have not read {name}: larger than {size} MB.",
    "chat.file_locked": "I cannot read {name}: locked with a password.",
    "chat.file_no_text": "I found no text in {name}. Send the pages of a scan as pictures.",
    "chat.file_pages": "Of {name} I have read the first {count} of {total} pages.",
    "chat.pictures_many": "I have not looked at {name}: I look at {count} pictures at most.",
    "chat.picture": "(The picture {name})",
    "chat.only_pictures": "{model} sees no pictures, and there are no words beside them. Write what you want to know.",
    "chat.no_pictures": "{model} sees no pictures, so it has read the words alone.",
    "chat.only_last": "Of this conversation I have read the last {count} messages.",
    "chat.summarised": "What was said long before goes along as a summary.",
    "chat.summary": "What was said earlier in this conversation, in short:\n{text}",
    "chat.summarise": "Summarise this conversation for whoever goes on with it. Keep names, numbers, decisions and open questions. At most 200 words, nothing but the summary.\n\n{text}",
    "option.tools": "search_examples, today and hand_over, with commas between; all or off",
    "assistant.tools": "Tools",
    "tool.search_examples": "Looked for “{argument}” in the approved examples.",
    "tool.today": "Asked for today's date.",
    "tool.hand_over": "Asked for a person: {argument}",
    "tool.handed_over": "{name} needs a person ({where}). The assistant says: {reason}",
    "chat.end.length": "The answer is cut off here: it has reached its limit of tokens.",
    "chat.end.content_filter": "The answer ends here: the host's content filter stopped it.",
    "chat.called": "The model asks for the tool “{name}” with {arguments}. No such tool is connected here.",
    "chat.go_on_asked": "Go on exactly where your answer stopped. Repeat nothing.",
    "button.go_on": "Go on",
    "chat.no_threads": "I answer here in the channel: to open threads I need the permission: {permissions}. Whoever manages the server can give it to my role, or turn threads off with /tune assistant edit threads:False.",
    "chat.fell_back": "{model} could not answer, so the base model did. {why}",
    "command.assistant.new-conversation": "leave what was said in this thread so far out of the next answers",
    "button.again": "Try again",
    "button.new_conversation": "New conversation",
    "chat.new_conversation": "A new conversation begins here. Nothing said before goes along.",
    "chat.new_already": "Outside a thread every question begins a new conversation, unless it answers a message. In a thread, write: @Attune tune assistant new-conversation.",
}
