"""Pydantic models of request bodies."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Auto = Literal["auto"]
MAX_SEED = 2**31 - 1

EpochCount = Annotated[StrictInt, Field(ge=1, le=50)]
BatchSize = Annotated[StrictInt, Field(ge=1, le=256)]
LearningRateMultiplier = Annotated[Number, Field(gt=0, le=1e6)]
Share = Annotated[Number, Field(ge=0, le=1)]
LoraRank = Annotated[StrictInt, Field(ge=1, le=256)]
Beta = Annotated[Number, Field(gt=0, le=2)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassificationShape(Shape):
    """Classification metrics, from OpenAI's first fine-tuning API."""

    compute_classification_metrics: Annotated[bool, Field(strict=True)] | None = None
    classification_n_classes: Annotated[StrictInt, Field(ge=2, le=1000)] | None = None
    classification_positive_class: Annotated[StrictStr, Field(min_length=1)] | None = None
    classification_betas: (
        Annotated[list[Annotated[Number, Field(gt=0, le=100)]], Field(min_length=1, max_length=10)]
        | None
    ) = None


class SupervisedHyperparameters(ClassificationShape):
    """Hyperparameters of the protocol, then those that only some engines take."""

    n_epochs: Auto | EpochCount | None = None
    batch_size: Auto | BatchSize | None = None
    learning_rate_multiplier: Auto | LearningRateMultiplier | None = None

    prompt_loss_weight: Auto | Share | None = None
    lora: Auto | Annotated[bool, Field(strict=True)] | None = None
    lora_r: Auto | LoraRank | None = None


class DpoHyperparameters(SupervisedHyperparameters):
    beta: Auto | Beta | None = None


class Supervised(Shape):
    hyperparameters: SupervisedHyperparameters | None = None


class Dpo(Shape):
    hyperparameters: DpoHyperparameters | None = None


class MethodShape(Shape):
    type: Literal["supervised", "dpo"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None


def _within_limits(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > 16:
        raise ValueError("at most 16 pairs are kept")
    for key, value in metadata.items():
        if len(key) > 64 or len(value) > 512:
            raise ValueError("a key has at most 64 characters and a value at most 512")
    return metadata


MetadataShape = Annotated[dict[StrictStr, StrictStr], AfterValidator(_within_limits)]


class CreateJob(ClassificationShape):
    model: StrictStr
    training_file: StrictStr
    validation_file: StrictStr | None = None
    method: MethodShape | None = None
    hyperparameters: SupervisedHyperparameters | None = None
    suffix: Annotated[StrictStr, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[StrictInt, Field(ge=0, le=MAX_SEED)] | None = None
    metadata: MetadataShape | None = None
    integrations: Annotated[list[object], Field(max_length=0)] | None = None


class StreamOptions(Shape):
    include_usage: Annotated[bool, Field(strict=True)] | None = None
    include_obfuscation: Annotated[bool, Field(strict=True)] | None = None


StopSequence = Annotated[StrictStr, Field(min_length=1, max_length=1000)]
Penalty = Annotated[Number, Field(ge=-2, le=2)]
TokenCount = Annotated[StrictInt, Field(ge=1, le=1_000_000)]


class SamplingShape(Shape):
    """Parameters that all completion requests have; they matter where the engine samples."""

    model: StrictStr
    stream: Annotated[bool, Field(strict=True)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=128)] | None = None
    stop: StopSequence | Annotated[list[StopSequence], Field(max_length=4)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    user: StrictStr | None = None


class ChatTemplateKwargs(Shape):
    """Arguments of the chat template, named as in vLLM and SGLang."""

    enable_thinking: Annotated[bool, Field(strict=True)] = False


class FunctionName(Shape):
    name: StrictStr


class NamedTool(Shape):
    type: Literal["function"]
    function: FunctionName


class JsonSchema(Shape):
    name: Annotated[StrictStr, Field(min_length=1, max_length=64)]
    description: StrictStr | None = None
    schema_: Annotated[dict[str, object] | None, Field(alias="schema")] = None
    strict: Annotated[bool, Field(strict=True)] | None = None


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class SchemalessFormat(Shape):
    type: Literal["text", "json_object"]


class CreateChat(SamplingShape):
    """Parameters with an effect, then parameters that are accepted and ignored."""

    messages: Annotated[list[dict[str, object]], Field(min_length=1, max_length=2048)]
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    tools: Annotated[list[dict[str, object]], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: Annotated[bool, Field(strict=True)] | None = None
    response_format: SchemalessFormat | SchemaFormat | None = None
    logprobs: Annotated[bool, Field(strict=True)] | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    chat_template_kwargs: ChatTemplateKwargs | None = None

    safety_identifier: Annotated[StrictStr, Field(max_length=64)] | None = None
    prompt_cache_key: StrictStr | None = None
    metadata: MetadataShape | None = None


class CreateCompletion(SamplingShape):
    """A bare prompt, or several prompts that are answered separately."""

    prompt: StrictStr | Annotated[list[StrictStr], Field(min_length=1, max_length=64)]
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount | None = None
    echo: Annotated[bool, Field(strict=True)] | None = None
    logprobs: Annotated[StrictInt, Field(ge=0, le=5)] | None = None
    best_of: Annotated[StrictInt, Field(ge=1, le=128)] | None = None


class ResponseTool(Shape):
    type: Literal["function"]
    name: StrictStr
    description: StrictStr | None = None
    parameters: dict[str, object] | None = None
    strict: Annotated[bool, Field(strict=True)] | None = None


class NamedResponseTool(Shape):
    type: Literal["function"]
    name: StrictStr


class ResponseSchemaFormat(JsonSchema):
    type: Literal["json_schema"]


class ResponseText(Shape):
    format: SchemalessFormat | ResponseSchemaFormat | None = None


class ReasoningShape(Shape):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None


class CreateResponse(Shape):
    """`store` is accepted, and the response says that nothing was stored."""

    model: StrictStr
    input: StrictStr | Annotated[list[dict[str, object]], Field(min_length=1, max_length=2048)]
    instructions: StrictStr | None = None
    stream: Annotated[bool, Field(strict=True)] | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: TokenCount | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedResponseTool | None = None
    parallel_tool_calls: Annotated[bool, Field(strict=True)] | None = None
    text: ResponseText | None = None
    reasoning: ReasoningShape | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None

    store: Annotated[bool, Field(strict=True)] | None = None
    user: StrictStr | None = None
    safety_identifier: Annotated[StrictStr, Field(max_length=64)] | None = None
    prompt_cache_key: StrictStr | None = None
    metadata: MetadataShape | None = None


class CreateEmbedding(Shape):
    model: StrictStr
    input: StrictStr | Annotated[list[StrictStr], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = None
    user: StrictStr | None = None
