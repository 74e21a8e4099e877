"""The sentences about results in Chinese: evaluations, what was asked, liked and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # 评估页面
    "studio.evaluations": "评估",
    "studio.lead.evaluations": "几个模型回答同样的问题。这里可以看到各自说了什么、差别在哪里、分数有多可靠。",
    "studio.evaluate": "评估",
    "studio.which_evaluation": "哪次评估",
    "studio.order": "顺序",
    "studio.order.apart": "差别最大的在前",
    "studio.order.worse": "新模型较差的在前",
    "studio.order.better": "新模型较好的在前",
    "studio.order.number": "按编号",
    "studio.answers_csv": "回答（CSV）",
    "studio.answers_jsonl": "回答（JSON 行）",
    "studio.evaluations.empty": "还没有评估",
    "studio.evaluations.empty.note": "每次训练后，只要留出了八个或更多示例，就会比较各个模型；也可以随时点“评估”。",
    "studio.scores": "每个模型的平均分和 95 % 区间",
    "studio.score_of": "{name}：{mean}（{low} 到 {high}）",
    "studio.differs": "教过的回答里没有",
    "studio.marked": "标出的是教过的回答里没有的词。",
    "evaluations.title": "评估",
    "evaluations.empty": "还没有评估过模型。",
    "evaluations.note": "{count} 个问题，{state}",
    "evaluations.confirmed": "正在选问题",
    "evaluations.running": "正在提问",
    "evaluations.stopping": "正在停止",
    "evaluations.done": "完成",
    "evaluations.stopped": "已停止",
    "evaluations.failed": "没有完成",
    "evaluations.history": "各个模型的分数",
    "evaluations.history.note": "每次评估问的是当时留出的问题，所以请比较同一次的各条线，不要比较不同的次数。",
    "evaluations.new": "新模型",
    "evaluations.in_use": "使用中的模型",
    "evaluations.base": "基础模型",
    "evaluations.examples": "基础模型加示例",
    "evaluation.no_questions": "还没有问过问题。",
    "verdict.better": "更好",
    "verdict.worse": "更差",
    "verdict.undecided": "分不出",
    "mark.must_answer": "绝不再犯",
    "mark.always_trained": "总是用于训练",
    "button.teach_this": "教它这个",
    "must.taught": "从现在起，每次训练都会学示例 {id}。它不再留出，也不再拿去问模型。",
    "must.cannot_teach": "示例 {id} 没有批准，训练不会用它。",
    "audit.example.taught": "把留出的示例移入训练",
}
