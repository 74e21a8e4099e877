"""The sentences of conversations in Chinese: answers, attached files and tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "chat.empty": "在呢，把问题写在我的名字后面吧。",
    "chat.warming": "模型正在加载，准备好后回答会出现在这里。",
    "chat.file": "文件 {name}：\n```\n{text}\n```",
    "chat.file_cut": "{name} 我只读了前 {count} 个字符。",
    "chat.file_unread": "我读不了 {name}：我能读的文件有文本、PDF、Word（.docx）和图片（PNG、JPEG、GIF、WebP）。",
    "chat.file_no_room": "{name} 我没有读：其他文件已经占满了篇幅。",
    "chat.file_large": "{name} 我没有读：它超过了 {size} MB。",
    "chat.file_locked": "我读不了 {name}：它设了密码。",
    "chat.file_no_text": "我在 {name} 里没有找到文字。扫描件请把页面作为图片发来。",
    "chat.file_pages": "{name} 我读了前 {count} 页，共 {total} 页。",
    "chat.pictures_many": "{name} 我没有看：一次最多看 {count} 张图片。",
    "chat.picture": "（图片 {name}）",
    "chat.only_pictures": "{model} 看不了图片，旁边也没有文字。请写下你想知道什么。",
    "chat.no_pictures": "{model} 看不了图片，所以只读了文字。",
    "chat.only_last": "这段对话我只读了最后 {count} 条消息。",
    "chat.summarised": "更早的内容以摘要的形式带入。",
    "chat.summary": "这段对话此前的内容摘要：\n{text}",
    "chat.summarise": "请为接着谈的人总结下面的对话。保留名字、数字、决定和未解决的问题。最多 200 字，只写摘要。\n\n{text}",
    "option.tools": "search_examples、today、hand_over，用逗号隔开；或 all、off",
    "assistant.tools": "工具",
    "tool.search_examples": "在已批准的示例里查找了“{argument}”。",
    "tool.today": "查询了今天的日期。",
    "tool.hand_over": "请人来接手：{argument}",
    "tool.handed_over": "{name} 需要真人帮忙（{where}）。助手说：{reason}",
    "chat.end.length": "回答到这里被截断：已达到 token 上限。",
    "chat.end.content_filter": "回答到这里结束：被模型服务的内容过滤器拦下了。",
    "chat.called": "模型想调用工具“{name}”，参数为 {arguments}。这里没有接入这个工具。",
    "chat.go_on_asked": "请从刚才停下的地方接着写，不要重复。",
    "button.go_on": "继续",
    "chat.no_threads": "我先在频道里回答：开讨论串需要这项权限：{permissions}。服务器管理员可以把它给我的身份组，或用 /tune assistant edit threads:False 关掉讨论串。",
    "chat.fell_back": "{model} 没能回答，改由基础模型回答了。{why}",
    "command.assistant.new-conversation": "本讨论串此前的内容不再带入之后的回答",
    "button.again": "重试",
    "button.new_conversation": "新对话",
    "chat.new_conversation": "新对话从这里开始，之前的内容不再带入。",
    "chat.new_already": "在讨论串之外，每个问题都是新对话，除非它回复某条消息。在讨论串里请写：@Attune tune assistant new-conversation。",
}
