"""What can be wrong with a training row, in Chinese; the English stands with the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FILE_REASONS = {
    "file_empty": "文件是空的，请选一个有内容的文件",
    "line_too_long": "这一行超过 {limit} MiB，请缩短这条数据，或把这一行拆开",
    "not_utf8": "第 {byte} 个字节不是有效的 UTF-8，请把文件存成 UTF-8",
    "null_byte": "里面有 NUL 字符，请存成不含 NUL 字符的 UTF-8 文本",
    "not_json": "第 {column} 个字符处不是有效的 JSON（{what}），请在那里改正",
    "cut_off": "这条数据没写完就断了，请把整条写在这一行里",
    "extra_text": "这条数据之后，第 {column} 个字符处还有别的文字，请删掉",
    "several_objects": "第 {column} 个字符处又开始了一条数据，请每行只写一条",
    "not_finite": "“{number}”不是 JSON 数字，请写普通数字或 null",
    "number_too_long": "有个数字长达几千位，请缩短，或写成字符串",
    "too_deep": "列表和对象嵌套得太深，请减少层数",
    "broken_character": "有个字符不完整（代理对只有一半），请重新输入",
    "row_unknown": "数据里的键是 {columns}，请改用“messages”，或“prompt”和“completion”",
    "columns_unknown": "列名是 {columns}，请把问题那一列叫作“question”，回答那一列叫作“answer”",
    "columns_numbered": "有好几列同类的内容（{columns}），请说明哪一列是问题，哪一列是答案",
    "table_broken": "表格在这里读不下去（{what}），请改正这一行",
    "cell_too_long": "有个单元格超过 {limit} 个字符，请补上它的引号或缩短内容",
    "cells_too_many": "这一行有 {count} 个单元格，却只有 {expected} 列，含分隔符的单元格请加引号",
    "cell_empty": "“{column}”是空的，请填上或删掉这条数据",
    "cell_missing": "缺少“{column}”，请补上或删掉这条数据",
    "cell_truncated": "数据集浏览器截断了“{column}”，请下载完整的数据集",
    "cell_not_text": "“{column}”是 {kind} 类型，请改成字符串",
    "cell_not_messages": "“{column}”是 {kind} 类型，请在那里写消息列表",
    "column_not_there": "没有“{column}”这一列，可选的有 {columns}",
    "history_unknown": "“{column}”不是以前问答的列表，请写成列表",
    "prompts_differ": "两段对话在最后的回答之前就不一样，请改成一样",
    "label_bad": "“{column}”说这个回答不好，而附近没有同一问题的好回答；请补一个",
    "ticket_unanswered": "工单“{ticket}”里没有得到回答的问题，所以略过",
    "ticket_discarded": "工单“{ticket}”被标为垃圾或已删除，所以略过",
    "row_discarded": "“{column}”标明这是垃圾或已删除的内容，所以略过",
    "cell_automatic": "“{column}”是程序自动写的，所以略过这一行",
    "cell_transcript": "“{column}”里是整段聊天，请把每条消息写成一行",
    "tickets_too_long": "工单超过 {limit} 百万个字符，请拆分文件",
    "encoding_unknown": "不认识编码“{encoding}”，可选的有 {known}",
    "workbook_broken": "工作簿读不了，请重新保存或存成 CSV",
    "parquet_broken": "Parquet 文件在这里损坏了，请重新生成",
    "parquet_unread": "读 Parquet 需要安装 pyarrow，请安装它，或把文件存成 JSON Lines",
    "archive_broken": "压缩包损坏了，请重新打包，或直接选里面的文件",
    "archive_empty": "压缩包里没有带数据的文件",
    "archive_several": "压缩包里有好几个文件（{names}），请单独选其中一个",
    "archive_nested": "压缩包里还有压缩包，请选带数据的文件",
    "archive_too_long": "解压后超过 {limit} MiB，请拆分文件",
    "file_password": "文件有密码，请去掉密码后保存",
    "file_pdf": "这是 PDF，没有数据行，请选表格或 JSON",
    "file_picture": "这是图片，没有数据行，请选表格或 JSON",
    "file_sound": "这是音频，没有数据行，请选表格或 JSON",
    "file_film": "这是视频或音频，没有数据行，请选表格或 JSON",
    "file_database": "这是数据库，请把里面的表导出成 CSV",
    "file_program": "这是程序，没有数据行，请选表格或 JSON",
    "file_archive": "这种压缩包读不了，请选 ZIP，或直接选里面的文件",
    "file_document": "这是文字文档，没有数据行，请把里面的表格存成 XLSX 或 CSV",
    "file_slides": "这是幻灯片，没有数据行，请把问题和答案写成表格",
    "file_apple": "这是 Numbers、Pages 或 Keynote 的文稿，请在那里导出成 XLSX、CSV 或 DOCX",
    "file_numbers": "这是给程序用的数值文件，请把里面的文字存成 CSV 或 JSON Lines",
    "file_pickle": "这是 Python 的 pickle 文件，不会打开；请把数据存成 JSON Lines",
    "file_model": "这是模型的权重，没有数据行，请选择表格或 JSON",
    "file_mail": "这是邮件，没有数据行，请把工单导出成 JSON 或 CSV",
    "file_subtitles": "这是字幕，没有数据行，请把问题和答案写成表格",
    "file_calendar": "这是日历或通讯录，没有数据行，请选择表格或 JSON",
    "file_key": "这是密钥或证书，不是数据文件，请妥善保管",
    "file_link": "这只是一个文档的链接，请打开它并下载成 XLSX 或 CSV",
    "file_notebook": "这是笔记本，没有数据行，请把里面的表格存成 CSV 或 JSON Lines",
    "file_yaml": "YAML 读不了，请存成 JSON",
    "file_discord_text": "这是 DiscordChatExporter 的 CSV 或 HTML，没有说明谁回答了谁；请导出成 JSON",
    "file_arrow": "Arrow 文件读不了，请存成 Parquet 或 JSON Lines",
    "document_without_questions": "这份文档里既没有表格，也没有能分清的问题和答案；"
    "请在前面写“问：”和“答：”，或写成表格",
    "file_chat_export": "这是 {app} 的导出，无法在这里询问发言者是否同意学习；请把问题和回答写成表格",
    "rows_of_tree": "每行是一条消息，并指明它回复哪一条（“{column}”）；"
    "请选择整棵树的文件，或把每段对话写成“messages”",
    "comments_in_cells": "“{column}”里有评论，但没有说明哪些只给同事看；请把工单导出为 JSON",
    "file_xml": "XML 读不了，请存成 CSV 或 JSON",
    "file_chat_text": "这是纯文本的聊天记录，没有说明谁回答谁；请把问题和回答写成表格",
    "file_slack_export": "这只是 Slack 导出中的一天，没有说明谁能看到这个频道；请选择整个压缩包",
}

_ROW_REASONS = {
    "row_not_object": "这条数据是 {kind} 类型，请写成带“messages”的对象",
    "chat_among_preferences": "这是对话数据，却在偏好文件里，请把对话数据单独放一个文件",
    "preference_among_chats": "这是偏好数据，却在对话文件里，请把偏好数据单独放一个文件",
    "messages_missing": "缺少“messages”，请在那里把对话写成消息列表",
    "messages_not_list": "“messages”是 {kind} 类型，请写成消息列表",
    "messages_empty": "“messages”里没有消息，请加上一个问题和一个回答",
    "assistant_missing": "没有助手的消息，请加上要学的回答",
    "last_not_assistant": "最后一条消息来自 {role}，请以助手的回答结尾",
    "nothing_trained": "所有助手消息的权重都是 0，请至少给一条设为 1",
    "too_long": "这条数据约有 {tokens} 个 token，请缩短到 {limit} 个以内，否则会被截断",
    "tools_not_list": "“{field}”是 {kind} 类型，请写成函数列表",
    "tool_twice": "“{field}”的第 {tool} 项与前面一项同名“{name}”，请改名",
    "tool_broken": "“{field}”的第 {tool} 项不是带名称的函数定义",
    "tool_name": "“{field}”的第 {tool} 项名称是“{name}”，只能用字母、数字、_ 和 -（最多 64 个）",
    "tool_schema": "“{field}”的第 {tool} 项的 parameters 不是对象的 JSON Schema，请改正",
    "tool_property": "“{field}”的第 {tool} 项的属性“{name}”不是 JSON Schema，请改正",
    "tool_control_token": "“{field}”里有控制符 {token}，请删掉",
    "parallel_not_boolean": "“parallel_tool_calls”是 {kind} 类型，请写 true 或 false",
    "input_missing": "缺少“input”，请在那里写一个带“messages”的对象",
    "input_bare_list": "“input”直接写成了列表，请按模型服务的要求包成对象：{{“messages”: […]}}",
    "input_not_object": "“input”是 {kind} 类型，请写成带“messages”的对象",
    "input_ends_with_assistant": "输入的最后一条消息来自助手，请以要回答的问题结尾",
    "image_in_preference": "第 {message} 条消息里有图片，偏好数据只能有文字",
    "output_missing": "缺少“{field}”，请在那里写只有一条助手消息的列表",
    "output_not_list": "“{field}”是 {kind} 类型，请写成只有一条助手消息的列表",
    "output_not_single": "“{field}”有 {count} 条消息，请只写一条助手消息",
    "output_not_assistant": "“{field}”来自 {role}，请改成助手消息",
    "output_not_text": "“{field}”调用了工具或拒绝回答，偏好数据只能有文字",
    "outputs_same": "两个回答一样，请让较好的那个有所不同，或删掉这条数据",
}

_MESSAGE_REASONS = {
    "message_not_object": "{place}是 {kind} 类型，请写成带“role”和“content”的对象",
    "key_unknown": "{place}有未知的键“{key}”，请删掉",
    "role_missing": "{place}没有角色，请用 system、developer、user、assistant 或 tool",
    "role_unknown": "{place}的角色是“{role}”，请用 system、developer、user、assistant 或 tool",
    "content_missing": "{place}没有内容，请写上文字",
    "content_empty": "{place}的内容是空的，请写上文字或删掉这条消息",
    "content_not_text": "{place}的内容是 {kind} 类型，请把文字写成字符串",
    "part_broken": "{place}的第 {part} 个内容片段有误，请用 text 类型的片段",
    "part_unknown": "{place}有“{kind}”类型的内容片段，请用 text",
    "image_not_from_user": "{place}里有图片，只有用户消息可以带图片",
    "image_broken": "{place}里的图片没有地址，请写“image_url”: {{“url”: …}}",
    "control_token": "{place}里有控制符 {token}，请从文字里删掉",
    "name_not_text": "{place}的名称是 {kind} 类型，请改成字符串",
    "name_missing": "{place}是函数结果却没有名称，请写上函数名",
    "refusal_not_text": "{place}的拒答内容是 {kind} 类型，请改成字符串",
    "reasoning_not_text": "{place}的思考内容是 {kind} 类型，请把“reasoning_content”写成字符串",
    "reasoning_not_for_role": "{place}来自 {role} 却有“reasoning_content”，只有助手消息可以有",
    "weight_not_for_role": "{place}来自 {role} 却有权重，只有助手消息可以有",
    "weight_wrong": "{place}的权重是 {weight}，请用数字 0 或 1",
    "calls_not_for_role": "{place}来自 {role} 却调用了工具，只有助手可以调用",
    "calls_not_list": "{place}的“tool_calls”是 {kind} 类型，请写成调用列表",
    "calls_empty": "{place}的工具调用列表是空的，请删掉“tool_calls”",
    "call_broken": "{place}的第 {call} 个工具调用有误，请写上“id”、“type”: “function”和“function”",
    "call_without_name": "{place}的第 {call} 个调用没有指明函数，请写上函数的“name”",
    "arguments_not_json": "{place}的第 {call} 个调用，参数不是写在字符串里的 JSON 对象，没有参数请写“{{}}”",
    "answer_without_id": "{place}是工具结果却没有“tool_call_id”，请写明是哪个调用",
    "answer_not_for_role": "{place}来自 {role} 却有“tool_call_id”，只有工具结果可以有",
    "call_unanswered": "{place}出现时，调用“{id}”还没有结果，请补上",
    "call_undefined": "{place}调用了“{name}”，而这一行的工具里没有定义，请在那里加上",
    "call_twice": "{place}里的调用“{id}”出现两次，请给每个调用自己的 id",
    "answer_to_nothing": "{place}回应的工具调用“{id}”，前面的消息里没有",
}


def _all_reasons() -> dict[str, str]:
    """Every rule for messages twice, as the rules do: in a conversation and in an output."""
    in_messages = {
        code: reason.replace("{place}", "第 {message} 条消息")
        for code, reason in _MESSAGE_REASONS.items()
    }
    in_outputs = {
        f"output_{code}": reason.replace("{place}", "“{field}”")
        for code, reason in _MESSAGE_REASONS.items()
    }
    return in_outputs | in_messages | _FILE_REASONS | _ROW_REASONS


REASONS: Final[Mapping[str, str]] = _all_reasons()
"""Chinese by code; a part of a sentence, without its full stop."""
