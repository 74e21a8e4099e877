"""The sentences about blind votes in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "command.vote": "让频道在两个模型的回答之间盲选",
    "option.hours": "多少小时后自动结束",
    "noun.vote": "投票",
    "button.vote": "提问并投票",
    "button.end_vote": "结束投票",
    "button.vote.a": "A",
    "button.vote.b": "B",
    "button.vote.neither": "都不好",
    "button.vote.both": "都好",
    "vote.title": "对 {model} 进行盲投？",
    "vote.how": "之后每个问题连同两个回答会发到这里，顺序随机，不写名字。{count} 小时后自动结束，也可以用按钮结束。",
    "vote.confirmed": "{name} 已确认盲投。",
    "vote.answers": "盲投 {id}：准备回答",
    "vote.unfinished": "没有投票：回答被停止或无法得到。",
    "vote.name": "盲投 {id}：{model}",
    "vote.cards": "{count} 个问题，每个有两个回答。",
    "vote.open": "哪个回答更好？结束之前没有人能看到您的选择，也看不到谁写了哪个。用按钮结束，或在 {until}自动结束。",
    "vote.closed": "投票已结束。卡片上现在写明了作者。",
    "vote.ballots": "{count} 票，{people} 人。",
    "vote.card": "问题 {number}/{count}",
    "vote.a": "A",
    "vote.b": "B",
    "vote.counted": "您的选择：{choice}。结束之前可以用其他按钮更改。",
    "vote.kept": "您的票已计入。结束之前可以用其他按钮更改。",
    "vote.over": "盲投 {id} 未在进行。",
    "vote.ending": "盲投 {id} 正在结束。",
    "vote.votes": "{count} 票",
    "vote.others": "都不好：{neither}。都好：{both}。",
    "vote.nobody": "没有人投票。",
    "vote.nothing": "没有可投票的内容：两个模型的回答相同，或没有回答。",
    "vote.verdict.better": "频道更喜欢{model}，而不是{against}（{count} 个问题）。",
    "vote.verdict.worse": "频道更喜欢{against}，而不是{model}（{count} 个问题）。",
    "vote.verdict.undecided": "无法判定：{count} 个问题不足以区分{model}与{against}。",
    "vote.wins": "{model}得票更多的问题：{wins}；{against}：{losses}；持平：{ties}。",
    "vote.share": "在不持平的问题中，{model}胜出 {low} 到 {high}（95 % 区间；符号检验 p {p}）。",
    "vote.too_few": "少于 {least} 个问题不能判定任何结果。",
    "vote.needed": "要看出一个模型十题赢七题，大约需要 {count} 个不持平的问题。",
    "vote.preferences": "保留了 {count} 个偏好用于训练。",
    "vote.proposed": "{count} 个偏好等待审核。",
}
