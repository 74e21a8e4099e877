"""Generates answers with local models in one computing thread."""

import asyncio
import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tuner.base_models import find_bases
from tuner.engine import Base, Delta, Embedding, Generation, GenerationRequest, Sampling
from tuner.errors import ApiError, ModelLoadFailed, ServerBusy
from tuner.local.omp_wait import set_passive_omp_wait

if TYPE_CHECKING:
    from tuner.local.answer_in_progress import AnswerInProgress
    from tuner.local.json_constraints import SchemaMatcher
    from tuner.local.serving_model import LoadedModel

log = logging.getLogger(__name__)

KEPT_MODELS = 2
KEPT_ADAPTERS = 32
EXTRA_HYPERPARAMETERS = frozenset({"prompt_loss_weight", "lora", "lora_r"})

Result = TypeVar("Result")
_Output = tuple["AnswerInProgress", Delta | BaseException]


class LocalEngine:
    """The engine for local models.

    At most `max_queued_answers` answers may be in progress or wait; more raise Busy.
    """

    name = "local"
    extra_hyperparameters = EXTRA_HYPERPARAMETERS
    writes_tokens = True

    def __init__(self, bases: Mapping[str, Base], *, max_queued_answers: int) -> None:
        self.bases = bases
        self._quantization = {Path(base.place): base.quantization for base in bases.values()}
        self._longest_queue = max_queued_answers
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._models: OrderedDict[Path, LoadedModel] = OrderedDict()
        self._listeners: dict[AnswerInProgress, asyncio.Queue[Delta | BaseException]] = {}
        self._outputs: list[_Output] = []
        self._deleted: set[Path] = set()
        self._starting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._render_lock = threading.Lock()

    @classmethod
    def of(cls, configured: Iterable[str], *, max_queued_answers: int) -> "LocalEngine":
        """Returns the engine for these bases.

        Raises CannotStart for a missing or unsuitable base.
        """
        for name in ("torch", "transformers", "peft", "trl"):
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)
        set_passive_omp_wait()
        bases = find_bases(configured)
        if any(base.quantization for base in bases.values()):
            from tuner.local.model_loading import require_4bit_support

            require_4bit_support(bases.values())
        return cls(bases, max_queued_answers=max_queued_answers)

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._compute, name="chat engine", daemon=True)
        first = Path(next(iter(self.bases.values())).place)
        self._work.put(lambda: self._warm_up(first))
        thread.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._work.put(None)
            await asyncio.to_thread(thread.join, 5.0)

    async def answer(self, asked: GenerationRequest) -> Generation:
        if asked.weights is not None and not asked.weights.exists():
            raise FileNotFoundError(asked.weights)
        choices = asked.sampling.choices
        self._refuse_when_full(choices)
        # Counted before the first await, as more requests may arrive while a model is loaded.
        self._starting += choices
        try:
            return await self._start(asked)
        finally:
            self._starting -= choices

    async def _start(self, request: GenerationRequest) -> Generation:
        model, adapter = _weights_of(request)
        base = Path(request.base.place)
        loaded = self._models.get(model) or await self._load_in_thread(model, base)
        replies = await asyncio.to_thread(self._replies, loaded, adapter, request)
        outputs: asyncio.Queue[Delta | BaseException] = asyncio.Queue()
        self._listeners.update(dict.fromkeys(replies, outputs))
        self._work.put(lambda: self._begin(model, base, replies))
        return Generation(len(replies[0].prompt), self._pieces(replies, outputs))

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        """Returns embeddings of the base, each computed between two steps of other answers."""
        path = Path(base.place)
        loaded = self._models.get(path) or await self._load_in_thread(path, path)
        lists = await asyncio.to_thread(self._tokens, loaded, texts)
        return [
            Embedding(await self._run_in_thread(partial(loaded.batch.embed, tokens)), len(tokens))
            for tokens in lists
        ]

    def _tokens(self, loaded: "LoadedModel", texts: Sequence[str]) -> list[list[int]]:
        with self._render_lock:
            lists = [loaded.renderer.tokens(text) for text in texts]
        for number, tokens in enumerate(lists):
            if not 1 <= len(tokens) <= loaded.longest:
                raise ApiError(
                    f"Text {number + 1} has {len(tokens)} tokens; this model reads 1 to"
                    f" {loaded.longest}.",
                    param="input",
                    code="context_length_exceeded",
                )
        return lists

    def make_room(self, memory: int) -> None:
        """Frees idle models if a training that needs `memory` bytes would not fit beside them."""
        self._work.put(lambda: self._release_idle(memory))

    def on_weights_deleted(self, weights: Path) -> None:
        """Removes a deleted model or adapter from memory once its answers have ended."""
        self._work.put(lambda: self._deleted.add(weights))

    def _refuse_when_full(self, choices: int) -> None:
        waiting = len(self._listeners) + self._starting
        if waiting and waiting + choices > self._longest_queue:
            raise ServerBusy

    async def _load_in_thread(self, model: Path, base: Path) -> "LoadedModel":
        """Loads a model in the computing thread, unless it is loaded."""
        return await self._run_in_thread(lambda: self._load(model, base))

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Runs work in the computing thread and returns its result.

        Raises the same errors as `answer`, such as ServerBusy when memory is exhausted.
        """
        loop = asyncio.get_running_loop()
        result_future: asyncio.Future[Result] = loop.create_future()

        def compute() -> None:
            try:
                result = work()
            except Exception as error:
                log.exception("the chat engine failed")
                loop.call_soon_threadsafe(_set_error, result_future, error)
            else:
                loop.call_soon_threadsafe(_set_result, result_future, result)

        self._work.put(compute)
        return await result_future

    def _replies(
        self, loaded: "LoadedModel", adapter: Path | None, request: GenerationRequest
    ) -> list["AnswerInProgress"]:
        """Returns a reply for each choice of a request. Raises ApiError for too long prompts."""
        from tuner.local.answer_in_progress import AnswerInProgress

        prompt, opener, arguments = self._prompt(loaded, request)
        remaining = loaded.longest - len(prompt)
        if remaining < 1:
            raise ApiError(
                f"The messages have {len(prompt)} tokens; this model reads {loaded.longest - 1}.",
                param="messages",
                code="context_length_exceeded",
            )
        most = min(remaining, request.sampling.most_tokens or loaded.defaults.most_tokens)
        parameters = loaded.defaults.sampling_for(request.sampling)
        return [
            AnswerInProgress(
                choice=choice,
                prompt=prompt,
                sampling=request.sampling,
                sampling_parameters=parameters,
                adapter=adapter,
                most_tokens=most,
                stop_token_ids=loaded.stop_token_ids,
                tokenizer=loaded.tokenizer,
                may_call=bool(request.tools),
                matcher=self._matcher(loaded, request, arguments),
                opener=opener,
                has_parallel_calls=request.has_parallel_calls,
                on_delta=lambda reply, piece: self._outputs.append((reply, piece)),
            )
            for choice in range(request.sampling.choices)
        ]

    def _prompt(
        self, loaded: "LoadedModel", request: GenerationRequest
    ) -> tuple[list[int], str, str]:
        """Returns the prompt's tokens, and a forced call's opening text and arguments key."""
        from tuner.local.tokenizing import TemplateError, to_template_messages

        with self._render_lock:
            try:
                opener, arguments = "", ""
                if request.forced_tools:
                    opener, arguments = loaded.renderer.call_opening(request.forced_tools[0])
                prompt = loaded.renderer.prompt(
                    to_template_messages(request.messages),
                    request.tools,
                    opener=opener,
                    is_thinking=request.is_thinking,
                )
            except TemplateError as error:
                raise ApiError(
                    f"The model's chat template cannot show these messages: {error}",
                    param="messages",
                    code="template_unsuitable",
                ) from error
        return prompt, opener, arguments

    def _matcher(
        self, loaded: "LoadedModel", request: GenerationRequest, arguments: str
    ) -> "SchemaMatcher | None":
        """Returns a matcher for the call or the schema that a request demands, else None."""
        from tuner.local.json_constraints import call_schema

        if request.forced_tools:
            schema = call_schema(request.forced_tools, arguments)
            return loaded.constraints.matcher(schema)
        return None if request.schema is None else loaded.constraints.matcher(request.schema)

    async def _pieces(
        self, replies: list["AnswerInProgress"], outputs: asyncio.Queue[Delta | BaseException]
    ) -> AsyncGenerator[Delta, None]:
        """Yields the deltas of all choices; closing the generator drops unfinished replies."""
        unfinished = len(replies)
        try:
            while unfinished:
                piece = await outputs.get()
                if isinstance(piece, BaseException):
                    raise piece
                unfinished -= piece.finish_reason is not None
                yield piece
        finally:
            for reply in replies:
                reply.is_dropped = True
                self._listeners.pop(reply, None)

    # The following methods run in the computing thread only.

    def _compute(self) -> None:
        """Runs queued work and steps of all models until the engine ends."""
        while True:
            is_idle = all(loaded.batch.is_idle for loaded in self._models.values())
            if not self._run_queued_work(is_idle=is_idle):
                return
            for loaded in list(self._models.values()):
                self._advance_batch(loaded)
            self._remove_deleted()
            self._deliver()

    def _run_queued_work(self, *, is_idle: bool) -> bool:
        """Runs the queued work; waits for work if `is_idle`. Returns False when the engine ends."""
        while is_idle or not self._work.empty():
            work = self._work.get()
            if work is None:
                return False
            try:
                work()
            except Exception:
                log.exception("the chat engine failed at a piece of work")
            is_idle = False
        return True

    def _advance_batch(self, loaded: "LoadedModel") -> None:
        """Reads prompts and generates one token of each answer of a model.

        If memory is exhausted, the newest answer fails and the others continue.
        """
        batch = loaded.batch
        if batch.is_idle:
            return
        try:
            batch.prefill()
        except Exception as error:
            log.exception("a prompt could not be read")
            self._fail_replies(batch.drop_prefilling(), error)
        self._deliver()  # the first tokens do not wait for the next step
        try:
            batch.step()
        except Exception as error:
            log.exception("a step of the answers failed")
            if _is_out_of_memory(error):
                try:
                    self._fail_replies(batch.drop_newest(), error)
                    return
                except Exception:
                    log.exception("the other answers could not be kept")
            self._fail_replies(batch.replies, error)
            batch.clear()

    def _fail_replies(self, replies: list["AnswerInProgress"], error: Exception) -> None:
        self._outputs += [(reply, _as_answer_error(error)) for reply in replies]

    def _remove_deleted(self) -> None:
        """Removes deleted models and adapters that no answer in progress uses."""
        for weights in list(self._deleted):
            model = self._models.get(weights)
            if model is not None and not model.batch.is_idle:
                continue
            self._models.pop(weights, None)
            using = [loaded for loaded in self._models.values() if loaded.uses(weights)]
            if not using:
                for loaded in self._models.values():
                    loaded.adapters.pop(str(weights), None)
                self._deleted.discard(weights)

    def _deliver(self) -> None:
        outputs, self._outputs = self._outputs, []
        if outputs and self._loop is not None:
            self._loop.call_soon_threadsafe(self._dispatch, outputs)

    def _dispatch(self, outputs: list[_Output]) -> None:
        for reply, piece in outputs:
            if listener := self._listeners.get(reply):
                listener.put_nowait(piece)
            if isinstance(piece, BaseException) or piece.finish_reason:
                self._listeners.pop(reply, None)

    def _begin(self, model: Path, base: Path, replies: list["AnswerInProgress"]) -> None:
        """Loads the model and adapter of the replies and adds the replies to the batch."""
        try:
            loaded = self._load(model, base)
            self._fetch_adapter(loaded, replies[0].adapter)
        except Exception as error:
            log.exception("a model could not be loaded")
            self._outputs += [(reply, _as_answer_error(error)) for reply in replies]
            self._deliver()
        else:
            loaded.batch.waiting.extend(replies)

    def _load(self, path: Path, base: Path) -> "LoadedModel":
        if path not in self._models:
            self._limit_models()
            self._models[path] = _load_model(path, base, self._quantization.get(base, ""))
        self._models.move_to_end(path)
        return self._models[path]

    def _limit_models(self) -> None:
        for path in self._idle_models()[: max(0, len(self._models) + 1 - KEPT_MODELS)]:
            del self._models[path]

    def _release_idle(self, memory: int) -> None:
        from tuner.local.serving_model import free_caches
        from tuner.local.training_memory import free_memory

        if memory > (free_memory() or memory):
            for path in self._idle_models():
                del self._models[path]
            free_caches()

    def _idle_models(self) -> list[Path]:
        return [path for path, loaded in self._models.items() if loaded.batch.is_idle]

    def _fetch_adapter(self, loaded: "LoadedModel", path: Path | None) -> None:
        """Loads an adapter unless it is cached; removes the oldest unused adapters."""
        from tuner.local.lora_adapters import Adapter

        if path is None:
            return
        name, cache = str(path), loaded.adapters
        if name not in cache:
            adapter = Adapter.load(path, like=loaded.batch.reference_tensor)
            loaded.batch.refuse_foreign(adapter)
            cache[name] = adapter
        cache.move_to_end(name)
        used = {str(reply.adapter) for reply in loaded.batch.replies} | {name}
        for old in [old for old in cache if old not in used][: max(0, len(cache) - KEPT_ADAPTERS)]:
            del cache[old]
        loaded.batch.set_adapters(cache)

    def _warm_up(self, path: Path) -> None:
        """Generates an answer that is discarded, as the first computations are slow."""
        from tuner.local.answer_in_progress import AnswerInProgress

        try:
            loaded = self._load(path, path)
            prompt = loaded.renderer.prompt([{"role": "user", "content": "Hello"}], ())
        except Exception:
            # The first request gets the error; jobs and files do not need the model.
            log.exception("the first base could not be warmed up")
            return
        warm_up_reply = AnswerInProgress(
            choice=0,
            prompt=prompt,
            sampling=Sampling(),
            sampling_parameters=loaded.defaults.sampling_parameters,
            adapter=None,
            most_tokens=2,
            stop_token_ids=loaded.stop_token_ids,
            tokenizer=loaded.tokenizer,
            may_call=False,
            on_delta=lambda *_: None,
        )
        loaded.batch.waiting.append(warm_up_reply)


def _load_model(path: Path, base: Path, quantization: str) -> "LoadedModel":
    from tuner.local.serving_model import load_for_serving

    try:
        return load_for_serving(path, base, quantization if path == base else "")
    except Exception as error:
        if isinstance(error, FileNotFoundError) or _is_out_of_memory(error):
            raise
        raise ModelLoadFailed from error


def _weights_of(request: GenerationRequest) -> tuple[Path, Path | None]:
    """Returns the path of the model to load, and of the adapter on the model or None."""
    base = Path(request.base.place)
    if request.weights is None:
        return base, None
    if (request.weights / "adapter_config.json").exists():
        return base, request.weights
    return request.weights, None


def _set_result(future: "asyncio.Future[Result]", result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _set_error(future: "asyncio.Future[Result]", error: Exception) -> None:
    if not future.done():
        future.set_exception(_as_answer_error(error))


def _is_out_of_memory(error: Exception) -> bool:
    from tuner.local.error_mapping import is_out_of_memory

    return is_out_of_memory(error)


def _as_answer_error(error: Exception) -> Exception:
    if isinstance(error, FileNotFoundError):
        return error
    if _is_out_of_memory(error):
        return ServerBusy(
            "The memory is too small for this answer beside the others; try it later."
        )
    return error
