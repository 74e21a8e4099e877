"""Runs a training job on a local base: from the rows to an adapter or a whole model."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PrinterCallback, TrainingArguments, set_seed

from tuner.classification_metrics import classification_of
from tuner.job_file_checks import read_rows
from tuner.job_folder import JobFolder, read_json
from tuner.job_spec import JobSpec
from tuner.local.error_mapping import mapped_errors
from tuner.local.greedy_answers import GreedyAnswers
from tuner.local.hyperparameters import (
    MAX_TOKENS_PER_PASS_ON_CPU,
    Hyperparameters,
    plan_memory,
    resolve_hyperparameters,
)
from tuner.local.model_loading import (
    context_length,
    hidden_size,
    is_adapter,
    load_for_training,
    load_tokenizer,
    silence_libraries,
)
from tuner.local.nearest_rows import NearestRows
from tuner.local.question_rewording import reword_question
from tuner.local.token_weights import TokenWeights, without_common_start
from tuner.local.tokenizing import ChatTokenizer, TemplateError, TrainingExample
from tuner.local.training_callback import TrainingCallback
from tuner.local.training_memory import wait_for_memory
from tuner.local.training_schedule import RowAfterExamples, TrainingSchedule, Wordings
from tuner.local.weighted_trainer import WeightedSFTTrainer
from tuner.training_interface import JobRejected, Row, StopSignal, exit_stopped, write_event

if TYPE_CHECKING:
    from tuner.local.preference_trainer import PreferenceTrainer

TrainingExamples = Sequence[TrainingExample]
MAX_WORDINGS = 16
MAX_EAGER_ATTENTION_TOKENS = 128
"""Tokens up to which eager attention is faster on a CPU than the fused one.

The backward pass of fused attention takes twice as long for short rows.
"""
RenderedT = TypeVar("RenderedT")


def run_training(folder: JobFolder, spec: JobSpec, stop: StopSignal) -> dict[str, object]:
    """Trains the job's model; returns the number of epochs and of trained tokens."""
    silence_libraries()
    saved = read_json(folder.state) or {}
    # The order of sums depends on the number of threads, so a resumed job keeps that number.
    torch.set_num_threads(int(str(saved.get("threads", torch.get_num_threads()))))
    with _open_events(folder) as events, mapped_errors(folder):
        return _Job(folder, spec, stop, events).run(saved)


class _Job:
    """A run of a training job."""

    def __init__(
        self, folder: JobFolder, spec: JobSpec, stop: StopSignal, events: IO[bytes] | None
    ) -> None:
        self._folder, self._spec, self._stop, self._events = folder, spec, stop, events
        self._is_dpo = spec.method == "dpo"
        self._start = Path(spec.start_from) if spec.start_from else None
        self._tokenizer = load_tokenizer(Path(spec.base))

    def run(self, saved: Mapping[str, object]) -> dict[str, object]:
        spec, start = self._spec, self._start
        training, validation = self._rows("training_file"), self._rows("validation_file")
        is_full = None if start is None else not is_adapter(start)
        numbers = resolve_hyperparameters(spec.hyperparameters, rows=len(training), is_full=is_full)
        set_seed(spec.seed)
        model = self._model(numbers)
        renderer = ChatTokenizer(
            self._tokenizer, longest=context_length(model), prompt_weight=numbers.prompt_loss_weight
        )
        with mapped_errors(self._folder, numbers):
            schedule = self._schedule(numbers)
            if last := saved.get("last_epoch"):
                schedule.last_epoch = int(str(last))
            parts = (model, numbers, renderer, schedule)
            trainer, tokens = self._trainer(*parts, training, validation)
            reporter = TrainingCallback(
                self._folder,
                self._events,
                self._stop,
                trainer,
                numbers,
                spec,
                self._tokenizer,
                schedule,
            )
            reporter.begin(renderer.cut)
            self._train(trainer, reporter, saved.get("step"))
            if reporter.is_left:
                exit_stopped()
            reporter.save_model(self._folder.model)
            classification = classification_of(spec.hyperparameters, training, validation)
            if classification is not None and self._events is not None:
                longest = classification.longest_label_length
                answer = GreedyAnswers(trainer, self._tokenizer, renderer, self._stop, longest)
                reporter.report_classification(classification.measures(validation, answer))
        return {"n_epochs": schedule.last_epoch + 1, "tokens": tokens}

    def _train(
        self,
        trainer: "WeightedSFTTrainer | PreferenceTrainer",
        reporter: TrainingCallback,
        step: object | None,
    ) -> None:
        """Trains from the start, or from the state that was saved at a step."""
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(reporter)
        saved = self._folder.states / f"checkpoint-{step}" if step else None
        if saved is not None:
            reporter.resume(saved)
        trainer.train(resume_from_checkpoint=saved and str(saved))

    def _schedule(self, numbers: Hyperparameters) -> TrainingSchedule:
        return TrainingSchedule(
            epochs=numbers.n_epochs,
            batch=numbers.batch_size,
            seed=self._spec.seed,
            may_end_early=numbers.may_end_early and not self._is_dpo,
            is_averaged=numbers.lora,
        )

    def _rows(self, param: str) -> list[Row]:
        if param == "validation_file" and not self._spec.validation:
            return []
        return [row for _, row in read_rows(param, self._spec, self._stop)]

    def _model(self, numbers: Hyperparameters) -> PreTrainedModel | PeftModel:
        """Loads the model once there is enough memory; several processes of a job do not check."""
        spec, measured = self._spec, read_json(self._folder.checked) or {}
        if spec.quantization and not numbers.lora:
            raise JobRejected(
                "whole_in_4_bits",
                "A base in 4 bits is trained as an adapter alone: leave out 'lora'.",
                "lora",
            )
        if os.environ.get("WORLD_SIZE", "1") == "1":
            needed = int(str(measured.get("memory", 0)))
            wait_for_memory(needed, numbers, self._pause, self._note)
        quantization = spec.quantization
        return load_for_training(Path(spec.base), self._start, numbers, quantization=quantization)

    def _pause(self) -> None:
        for _ in range(50):
            self._stop.wait_or_exit()

    def _note(self, message: str) -> None:
        if self._events is not None:
            write_event(self._events, "note", {"message": message})

    def _trainer(
        self,
        model: PreTrainedModel | PeftModel,
        numbers: Hyperparameters,
        renderer: ChatTokenizer,
        schedule: TrainingSchedule,
        training: Sequence[Row],
        validation: Sequence[Row],
    ) -> tuple["WeightedSFTTrainer | PreferenceTrainer", int]:
        """Returns the trainer of the job's method, and the number of tokens of its rows."""
        if self._is_dpo:
            pairs = self._rendered(renderer.pair, training, "training_file")
            validation_pairs = self._rendered(renderer.pair, validation, "validation_file")
            tokens = sum(len(p.prompt) * 2 + len(p.chosen) + len(p.rejected) for p in pairs)
            # Imported here because TRL takes a second to import, and most jobs do not need TRL.
            from tuner.local.preference_trainer import make_preference_trainer

            arguments = self._arguments(model, numbers)
            parts = (model, arguments, self._tokenizer, pairs, validation_pairs)
            return make_preference_trainer(*parts, beta=numbers.beta), tokens
        data = self._wordings(renderer, training, numbers)
        held_out = self._rendered(renderer.training_examples, validation, "validation_file")
        if not data.rows:
            raise JobRejected("nothing_to_learn", "There is no answer to learn.", "training_file")
        _choose_attention(model, data)
        tokens = sum(len(example.tokens) for example in data.wordings[0])
        trainer = WeightedSFTTrainer(
            model,
            TrainingArguments(**self._arguments(model, numbers)),
            self._tokenizer,
            data,
            _flattened(held_out),
            schedule,
            token_weights=TokenWeights(
                data.wordings[0],
                prompt_weight=numbers.prompt_loss_weight,
                vocabulary=model.config.get_text_config().vocab_size,
            ),
        )
        return trainer, tokens

    def _wordings(
        self, renderer: ChatTokenizer, training: Sequence[Row], numbers: Hyperparameters
    ) -> Wordings:
        """Returns the original rows, and other wordings of them for later epochs."""
        originals = self._rendered(renderer.training_examples, training, "training_file")
        cut, wordings, reworded = renderer.cut, [_flattened(originals)], [training]
        for number in range(1, min(MAX_WORDINGS, numbers.n_epochs)):
            rng = random.Random(f"{self._spec.seed}:{number}")
            variants = [reword_question(row, rng) for row in training]
            rendered = _flattened(
                self._rendered(renderer.training_examples, variants, "training_file")
            )
            if len(rendered) == len(wordings[0]):
                wordings.append(rendered)
                reworded.append(variants)
        renderer.cut = cut
        learned = without_common_start(wordings, prompt_weight=numbers.prompt_loss_weight)
        is_one_each = all(len(examples) == 1 for examples in originals)
        return Wordings(learned, self._lead(reworded) if is_one_each else None)

    def _lead(self, wordings: Sequence[Sequence[Row]]) -> RowAfterExamples:
        """Returns a function that puts a row of a wording after its nearest rows.

        The function returns None if the example is too long or cannot be rendered.
        """
        nearest = NearestRows(wordings[0])
        renderer = ChatTokenizer(self._tokenizer, longest=MAX_TOKENS_PER_PASS_ON_CPU + 1)

        def lead(wording: int, number: int) -> TrainingExample | None:
            row = nearest.lead(wordings[0][number], wordings[wording][number])
            with suppress(TemplateError):
                examples = renderer.training_examples(row) if row else []
                return next(
                    (
                        example
                        for example in examples
                        if len(example.tokens) <= MAX_TOKENS_PER_PASS_ON_CPU
                    ),
                    None,
                )
            return None

        return lead

    def _rendered(
        self, render: Callable[[Row], RenderedT], rows: Sequence[Row], param: str
    ) -> list[RenderedT]:
        """Renders all rows. Raises JobRejected with the number of a row that cannot be rendered."""
        rendered = []
        for number, row in enumerate(rows, 1):
            try:
                rendered.append(render(row))
            except TemplateError as error:
                raise JobRejected(
                    "template_unsuitable",
                    f"Row {number}: the base's chat template cannot show it: {error}",
                    param,
                ) from error
        return rendered

    def _arguments(
        self, model: PreTrainedModel | PeftModel, numbers: Hyperparameters
    ) -> dict[str, object]:
        world = int(os.environ.get("WORLD_SIZE", "1"))
        has_gpu = torch.cuda.is_available()
        plan = plan_memory(
            numbers.batch_size,
            parameters=model.num_parameters(),
            processes=world,
            is_on_cpu=not has_gpu,
        )
        return {
            "output_dir": str(self._folder.states),
            "num_train_epochs": numbers.n_epochs,
            "per_device_train_batch_size": plan.rows,
            "gradient_accumulation_steps": plan.accumulation_steps,
            "learning_rate": numbers.rate(hidden_size(model), is_dpo=self._is_dpo),
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.05,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "bf16": has_gpu and not numbers.lora,
            "use_cpu": not has_gpu,
            "ddp_backend": None if has_gpu or world == 1 else "gloo",
            "gradient_checkpointing": plan.recomputes,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "save_strategy": "no",
            "save_total_limit": 2,
            "eval_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "dataloader_pin_memory": has_gpu,
            "seed": self._spec.seed,
            "data_seed": self._spec.seed,
        }


def _choose_attention(model: PreTrainedModel | PeftModel, data: Wordings) -> None:
    longest_row = max(len(example.tokens) for examples in data.wordings for example in examples)
    if longest_row <= MAX_EAGER_ATTENTION_TOKENS and not torch.cuda.is_available():
        model.set_attn_implementation("eager")


def _flattened(rows: Sequence[TrainingExamples]) -> list[TrainingExample]:
    return [example for examples in rows for example in examples]


def _open_events(folder: JobFolder) -> IO[bytes] | nullcontext[None]:
    """Returns the events file in the first process of a job, None in others."""
    return folder.open_events() if os.environ.get("RANK", "0") == "0" else nullcontext()
