"""The sentences about private text and about checking examples, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "finding.secret": "密钥或密码",
    "finding.card": "银行卡号",
    "finding.bank": "银行账户",
    "finding.tax": "税号或证件号",
    "finding.phone": "电话号码",
    "finding.email": "邮箱地址",
    "finding.address": "机器地址",
    "review.warning": "这里面好像有{what}：{texts}",
    "command.check": "查看示例里训练前需要处理的问题",
    "check.private": "需要处理的隐私文字",
    "check.private.none": "没有示例含有还没处理的隐私文字。",
    "button.mask": "遮盖",
    "button.keep_private": "保留",
    "private.masked": "示例 {id} 已遮盖。",
    "private.kept": "示例 {id} 保留找到的内容。",
    "private.none": "示例 {id} 里没有隐私文字。",
    "private.must_mask": "这个工作区要求遮盖，隐私文字不能保留。请遮盖，或不通过这条示例。",
    "import.private": "有 {count} 条示例含有还没处理的隐私文字，用 /tune check 查看。",
    "sources.mask": "遮盖所有示例里的隐私文字",
    "sources.mask_set": "从现在起遮盖隐私文字；还含有隐私文字的示例不会用来训练。",
    "start.private": "有 {count} 条已通过的示例含有还没处理的隐私文字，这次不用。用 /tune check 查看。",
}
