"""The sentences about what to teach next, the dashboard and offered trainings, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # What to teach next, and the dashboard
    "command.assistant.teach-next": "没有人答好的问题，以及接下来该教什么",
    "studio.teach-next": "接下来教什么",
    "studio.lead.teach-next": "最近 90 天里被拒绝或点了踩的问题，相似的放在一起。写一次回答，它们就都从列表中消失；之后有模型答出其中一个时也一样。",
    "unanswered.title": "接下来教什么",
    "unanswered.empty": "最近 90 天的问题都得到了回答，至少没有人说不好。",
    "unanswered.here": "只列出在这个频道里问的问题。",
    "unanswered.count": "问过",
    "unanswered.asked": "问过 {count} 次",
    "unanswered.refused": "{count} 次没有回答",
    "unanswered.disliked": "{count} 个 👎",
    "unanswered.last": "最近一次 {at}",
    "unanswered.elsewhere": "在 {channel} 里问的，请在那里回答",
    "unanswered.dismissed": "{count} 个问题已从列表中移除。",
    "unanswered.evaluated": "评估 {id} 中的“接下来教什么”",
    "unanswered.answered": "现在答出来了：{answer}",
    "unanswered.declined": "仍然没有回答：{answer}",
    "unanswered.other": "回答了，但不像教过的回答，或与被点踩的回答相似：{answer}",
    "unanswered.missing": "没有得到回答。",
    "button.write_answer": "写回答",
    "button.dismiss": "放到一边",
    "dashboard.title": "最近四周",
    "dashboard.empty": "还没有人提问。",
    "dashboard.answered": "已回答",
    "dashboard.liked": "喜欢 👍",
    "dashboard.disliked": "不喜欢 👎",
    "dashboard.refused": "拒绝",
    "dashboard.share": "由 {model} 回答",
    "dashboard.cost": "回答的费用",
    "dashboard.tokens": "{tokens} 个词元，{price}",
    "dashboard.days": "距今天数",
    "dashboard.note": "每天一个点，最右边是今天。每个比例后面是它的 95 % 区间。",
    # Trainings that are offered
    "option.offer_after_examples": "有多少条新示例时主动提出训练；0 表示从不",
    "option.offer_after_preferences": "有多少条新偏好时主动提出训练；0 表示从不",
    "assistant.offer_after_examples": "多少条新示例后提出训练",
    "assistant.offer_after_preferences": "多少条新偏好后提出训练",
    "offer.title": "{assistant} 有新东西可学",
    "offer.new.supervised": "上次训练以来有 {count} 条新示例。",
    "offer.new.dpo": "上次训练以来有 {count} 条新偏好。",
    "offer.cost": "用 {rows} 行训练，一遍 {tokens} 个词元。价格：{price}。",
    "offer.then": "之后会提出在新模型上再用 {count} 条偏好训练。",
    "offer.on_top": "它从最新的微调模型继续。",
    "button.train": "训练",
}
