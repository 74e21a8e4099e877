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
    "job.results": "主机“{host}”给出的数值表。",
    "job.no_results": "主机没有为训练 {id} 留下数值表。",
}
