"""The sentences about judges, models that compare two answers, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "option.judge_model": "比较回答的模型，off 表示没有",
    "option.judge_host": "评判所在的模型服务；默认为回答用的模型服务",
    "option.judge_criteria": "什么是好回答，用你们自己的话告诉评判",
    "assistant.judge_model": "评判",
    "assistant.judge_host": "评判的模型服务",
    "assistant.judge_criteria": "评判认为好的标准",
    "button.ask_judge": "请评判",
    "button.judge": "评判",
    "judge.none": '没有指定评判。管理员可以指定：/tune assistant edit judge_model:名称 judge_criteria:"什么是好回答"。',
    "judge.no_pairs": "没有两个模型回答不同的问题。",
    "judge.title": "让 {judge} 评判评估 {id}？",
    "judge.of": "{judge} 评判评估 {id}",
    "judge.pairs": "{count} 对回答，每对按两种顺序各看一次。",
    "judge.masked": "隐私文字会像其他地方一样先被遮盖。",
    "judge.confirmed": "{name} 已确认评判。",
    "judge.over": "这次评判已经结束。",
    "judge.stops": "评判正在停止。",
    "judge.progress": "已有 {done}/{total} 个结论",
    "judge.verdict.better": "比 {against} 好，共 {count} 个问题。",
    "judge.verdict.worse": "比 {against} 差，共 {count} 个问题。",
    "judge.verdict.undecided": "分不出：{count} 个问题看不出与 {against} 的差别。",
    "judge.biased.first": "评判偏爱先读到的回答：有 {first} 个问题两种顺序都说 A，{second} 个都说 B。这些问题算平局。",
    "judge.biased.second": "评判偏爱后读到的回答：有 {second} 个问题两种顺序都说 B，{first} 个都说 A。这些问题算平局。",
    "judge.held": "有 {first} 个问题只认第一个位置，{second} 个只认第二个，不管是谁的回答；它们算平局。",
    "judge.missing": "{count} 个问题没有两种顺序的结论。",
    "judge.stopped": "评判已被停止；以下是停止前的结论。",
    "judge.failed": "评判有一个小时没有给出结论，因此不再等待；以下是在此之前的结论。",
    "judge.nothing": "评判对任何问题都没有给出结论，所以看不出模型的好坏。",
    "judge.why": "最近一次的原因：{why}",
    "judge.unreadable": "评判有 {count} 个回答不是 A、B 或 TIE。",
    "judge.kappa": "与你们投票的一致程度：κ {kappa}，共 {count} 个问题。1 是完全一致，0 是碰巧。",
    "judge.no_votes": "评判盲投的回答时，会说明它与你们有多一致。",
}
