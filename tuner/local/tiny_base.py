"""Makes a tiny base without a download: a transformer, its tokenizer and its chat template.

The model knows no facts. It is trained to spell, to take turns and to repeat parts of the prompt,
which an adapter needs to build on.
"""

import random
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tuner.base_models import TEMPLATE_FILE
from tuner.job_folder import remove_path

END, OPEN, CLOSE = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY_SIZE = 2_400
TRAINING_STEPS = 40
EMBEDDING_STD = 0.12
"""Standard deviation of the initial embeddings."""
BATCH_ROWS = 16
"""Rows of a batch."""
SHARE_WITH_NUMBER = 0.3
"""Share of sentences that end with a number."""
QUESTION_OPENERS = (
    "Say",
    "Repeat",
    "Copy",
    "Write",
    "Tell me",
    "What about",
    "Do you know",
    "Is it",
)


def make_base(folder: Path, *, seed: int = 0, tell: Callable[[int, int, float], None]) -> None:
    """Makes the base in a folder, atomically; `tell` gets step, number of steps and loss."""
    draft = folder.with_name(f".{folder.name}.draft")
    remove_path(draft)
    draft.mkdir(parents=True)
    tokenizer = write_tokenizer(draft, seed)
    model = _trained(_model(len(tokenizer), seed), tokenizer, random.Random(seed + 1), tell)
    model.save_pretrained(draft)
    draft.replace(folder)


def write_tokenizer(folder: Path, seed: int) -> PreTrainedTokenizerFast:
    """Writes the tokenizer and the chat template to a folder."""
    tokenizer = _tokenizer(random.Random(seed))
    tokenizer.save_pretrained(folder)
    template = resources.files("tuner.local").joinpath("tiny.jinja").read_bytes()
    (folder / TEMPLATE_FILE).write_bytes(template)
    return tokenizer


def _words() -> list[str]:
    """Returns English words from Python's help texts."""
    text = " ".join(topics.values())
    return sorted({word for word in text.split() if word.isalpha() and len(word) < 14})


def _tokenizer(rng: random.Random) -> PreTrainedTokenizerFast:
    """Trains a tokenizer on words and sentences made of them; every byte has a token."""
    words = _words()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END, OPEN, CLOSE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    roles = ["system", "user", "assistant", "tool"] * 50
    sentences = (_sentence(words, rng) for _ in range(4_000))
    tokenizer.train_from_iterator([*roles, *sentences], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=CLOSE,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def _sentence(words: list[str], rng: random.Random) -> str:
    text = " ".join(rng.choice(words) for _ in range(rng.randint(3, 10)))
    number = f" {rng.randint(0, 999)}" if rng.random() < SHARE_WITH_NUMBER else ""
    return text[:1].upper() + text[1:] + number + rng.choice((".", "!", "?", ", or so."))


def _model(vocabulary: int, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=2,
        bos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    # With the usual small embeddings no token could get a high probability: adapters cannot change
    # them, and the norm of the last layer limits its sums.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=EMBEDDING_STD)
    return model


def _trained(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    tell: Callable[[int, int, float], None],
) -> LlamaForCausalLM:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=TRAINING_STEPS, pct_start=0.1
    )
    model.train()
    for step, rows in enumerate(_batches(rng), 1):
        batch = tokenizer(rows, return_tensors="pt", padding=True)
        labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
        loss = model(**batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            tell(step, TRAINING_STEPS, loss.item())
    model.eval()
    return model


def _batches(rng: random.Random) -> Iterator[list[str]]:
    words = _words()
    for _ in range(TRAINING_STEPS):
        yield [_exchange(words, rng) for _ in range(BATCH_ROWS)]


def _exchange(words: list[str], rng: random.Random) -> str:
    """Returns a question, and an answer that repeats the question's content with small changes."""
    sentence = _sentence(words, rng)
    question = f"{rng.choice(QUESTION_OPENERS)} {sentence[:1].lower()}{sentence[1:]}"
    answer = rng.choice(
        (sentence, f"{sentence} {sentence}", f"Well, {sentence[:1].lower()}{sentence[1:]}")
    )
    return f"{OPEN}user\n{question}{CLOSE}\n{OPEN}assistant\n{answer}{CLOSE}\n"
