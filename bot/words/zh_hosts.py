"""The sentences about hosts, and what they leave, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # What a job leaves
    "accuracy.title": "训练 {id} 的准确率",
    "accuracy.chart": "准确率",
    "accuracy.summary": "猜对的词元：从 {first} 到 {last}。",
    "button.accuracy": "准确率",
    "button.results": "结果文件",
    "job.results": "模型服务“{host}”给出的数值表。",
    "job.no_results": "模型服务没有为训练 {id} 留下数值表。",
    # Before a start
    "start.sure": "“{host}”的价格未知。仍然训练？",
    "start.sure.note": "每轮约训练 {tokens} 个词元，价格只有模型服务知道。运行机器人的人可以把价格写进模型服务文件。",
    "button.confirm_unpriced": "仍然训练",
    "start.setting": "模型服务“{host}”不能选择“{option}”，请去掉它。",
    "start.epochs": "模型服务“{host}”最多训练 {most} 轮。",
    "start.batch_size": "模型服务“{host}”的 batch_size 须在 {least} 到 {most} 之间。",
    "start.suffix_letters": "模型服务“{host}”不接受这个后缀。请用字母、数字和短横线。",
    "start.no_validation": "模型服务“{host}”不能用留出的行检查。请去掉“validation”。",
    "start.no_weight": "它说明了哪些回答不要学，而模型服务“{host}”会全部学",
    "start.no_tools": "它调用了工具，而模型服务“{host}”不能用它训练",
    "start.too_many": "模型服务“{host}”最多接受 {most} 行。",
    "start.too_large": "模型服务“{host}”的文件最大 {most} MB。",
    "start.untried": "注意：Attune 只从文档了解“{profile}”，从未实际试过。请先用少量的行。",
    "start.closes": "模型服务“{host}”从 {date} 起不再接受新的训练。",
    "start.by_hand": "新模型不会自己回答：须先在模型服务上部署（{page}）。",
    "start.hosting": "托管另外计费：模型待命每小时 {price}。",
    "start.hosting_unknown": "托管另外计费：模型待命时模型服务可能按小时收费，这里不知道多少。",
    "start.idle": "{days} 天没有提问，模型服务会撤下部署；模型保留，可以再次部署。",
    "budget.training": "本月训练",
    "budget.bad_money": "“{option}”须是美元数，或 off。",
    "budget.exceeded": "这要花 {price}，而本月训练预算只剩 {left}。管理员可以提高：/tune admin budget training:美元",
    "budget.unpriced": "训练有预算，而没有人知道“{host}”的价格。只有管理员可以确认。",
    "option.training": "每月训练的美元数，或 off",
    "option.as": "有人在模型服务上手动部署之后，模型服务对它的称呼",
    "model.called": "在模型服务上叫 {name}",
    # While it runs, and at its end
    "job.left": "还剩{time}",
    "late.title": "训练 {id}：{state}已{time}，久得不寻常。",
    "late.usual": "以前类似的训练用了{time}。",
    "late.note": "什么也没丢：模型服务还留着它，我们还在看。可以等，也可以取消。",
    "ended.by_hand": "它还不会回答：先在模型服务上部署（{page}）。然后：/tune use as:部署名 {model}",
    "ended.example": "模型服务指的是示例 {id}。",
    "button.show_example": "看看它",
}
