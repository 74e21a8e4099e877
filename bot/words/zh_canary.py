"""The sentences about canaries in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "option.share": "只让它回答一部分问题，例如 20%，其余由正在使用的模型回答",
    "noun.canary": "试用",
    "button.promote": "全部启用",
    "canary.begun": "从现在起 {model} 回答 {share} 的问题。有一条消息显示大家的评价。",
    "canary.share": "份额在 1% 到 99% 之间，例如 share:20%。",
    "canary.another": "{model} 已在试用。请先停止那次试用。",
    "canary.title": "{model} 试用，{share} 的问题",
    "canary.how": "它回答 {share} 的人，其余由正在使用的模型回答；一个讨论串始终用同一个模型。若它出错过多或明显不受欢迎，会自动停止。",
    "canary.own": "试用",
    "canary.other": "正在使用",
    "canary.received": "回答：{answers} · 👍 {liked} 👎 {disliked}（{share}）· 失败：{failed}",
    "canary.liked": "已有结论：它明显比正在使用的模型更受欢迎。",
    "canary.promoted": "{name} 已让 {model} 回答所有问题。",
    "canary.promoting": "{model} 现在回答所有问题。",
    "canary.stopping": "{model} 不再回答问题。",
    "canary.stopped.by_hand": "由 {name} 停止。所有问题由正在使用的模型回答。",
    "canary.stopped.failing": "已自动停止：失败过多。所有问题由正在使用的模型回答。",
    "canary.stopped.disliked": "已自动停止：明显不如正在使用的模型受欢迎。所有问题由正在使用的模型回答。",
    "canary.stopped.replaced": "已结束：启用了另一个模型。",
    "canary.stopped.deleted": "已结束：模型已被删除。",
    "canary.history": "试用 {share}，由 {by}",
    "canary.history.running": "进行中",
    "canary.history.promoted": "已全部启用",
    "canary.history.by_hand": "由 {name} 停止",
    "canary.history.failing": "已停止：失败过多",
    "canary.history.disliked": "已停止：不受欢迎",
    "canary.history.replaced": "已结束：启用了另一个模型",
    "canary.history.deleted": "已结束：已删除",
    "chat.fell_back_to": "{model} 没能回答，改由 {instead} 回答了。{why}",
    "fact.votes": "评价",
    "model.votes": "👍 {liked} 👎 {disliked}",
}
