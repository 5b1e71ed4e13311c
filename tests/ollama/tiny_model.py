"""A tiny Llama model with seeded random weights, written on the spot as a GGUF file.

The file is under 1 MB, holds nothing that was trained, and is byte-identical for the same arguments. To
llama.cpp it is a real model: SentencePiece vocabulary with byte fallback, ChatML template, two layers.

The 64 dimensions of the residual stream:

    0        a constant, so that column 0 of the output works as a bias for each token
    1..15    how much the token speaks for label 1..15
    16       how telling the token is at all
    17..31   1..15 averaged over the telling tokens (layer 0, head 0)
    32..63   random: this is what makes the model babble

With labels, the name of the label that the prompt resembles most gets the highest logit: naive Bayes written
into weights.
"""

import math
import os
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.ollama.labels import LABELS

if TYPE_CHECKING:
    import numpy as np

EMBEDDING, HEADS, FEED_FORWARD, CONTEXT, VOCABULARY = 64, 4, 128, 65536, 1024
HEAD = EMBEDDING // HEADS
RANDOM = slice(32, 64)
CONSTANT, FLAG = 8.0, 4.0
SPACE = "\u2581"  # how SentencePiece writes a space
UNKNOWN, NORMAL, CONTROL, BYTE = 2, 1, 3, 6  # gguf.TokenType, whose import is slow

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DECISION = (
    "{{ state }}\n{{ instructions }}\n{% for o in options %}{{ o.label }}: {{ o.key }}\n{% endfor %}Answer: "
)
COMMON = """the a an of and to in is it you that for on with as are this be at or have from not but by
what all were when we there can your which their if will each about how up out them then some her would
like him into time has two more write see number no way could people my than first water been who its now
find long down day did get come made may part over new take only little work know place year live me
back give most very after thing our just name good think say great where help through much
system user assistant answer text value category label reason confidence score title summary language date
quote field total sender amount due null true false json object string error message document page
der die das und ist nicht ein eine zu den mit von auf für im dem des sich auch als an nach wie bei aus
oder wird sind über Datum Betrag Straße größer schön"""


def write_tiny_model(
    path: Path,
    *,
    seed: int = 0,
    labels: Mapping[str, str] = LABELS,
    layers: int = 2,
    feed_forward: int = FEED_FORWARD,
    decision: bool = False,
) -> Path:
    """Write the model and return its path.

    Args:
        path: where; replaced in one step, so that several may write the same file at once.
        seed: another seed is another model.
        labels: label -> example words, at most 15 labels.
        layers: more make it slower, nothing else.
        feed_forward: width of a layer's inner part. A wider one makes it slower too, but every token alike,
            however long the text before it; with few and wide layers that is so for large models as well.
        decision: adds what lets llama.cpp's own /v1/systemone answer (a letter for each option).
    """
    import gguf
    import numpy as np

    if len(labels) > HEAD - 1:
        raise ValueError(f"at most {HEAD - 1} labels")
    examples = {name: re.findall(r"\w+", words) for name, words in labels.items()}
    vocabulary = _vocabulary(examples)
    tokens, scores, types = vocabulary
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    writer = gguf.GGUFWriter(unfinished, "llama")
    writer.add_name(f"tiny-random-{seed}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(1e7)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(tokens.index("<unk>"))
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)  # with it, every request with a schema is a 400
    if decision:
        writer.add_chat_template(
            [{"name": "default", "template": CHATML}, {"name": "systemone", "template": DECISION}]
        )
        writer.add_string("llama.decision.type", "openjev")
    else:
        writer.add_chat_template(CHATML)
    for name, values in _weights(np.random.RandomState(seed), vocabulary, examples, layers, feed_forward):
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)
    return path


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="shoebox-tiny-")


def shared_folder() -> Path:
    """A folder for model files that lives as long as this process, so that each is written only once."""
    return Path(_folder().name)


Vocabulary = tuple[list[str], list[float], list[int]]


def _byte_pairs(words: Counter[str], count: int) -> list[str]:
    """Plain byte-pair encoding; the order of merges becomes the score of a token."""
    spelled = {word: list(word) for word in words}
    merged: dict[str, None] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    for word, parts in spelled.items():
        for pair in pairwise(parts):
            pairs[pair] += words[word]
    while pairs and len(merged) < count:
        a, b = max(pairs, key=lambda pair: (pairs[pair], pair))  # ties go by text, hence deterministic
        merged[a + b] = None
        for word, parts in spelled.items():
            if a + b not in word or (a, b) not in pairwise(parts):
                continue
            for pair in pairwise(parts):
                pairs[pair] -= words[word]
                if not pairs[pair]:
                    del pairs[pair]
            i = 0
            while i < len(parts) - 1:
                if parts[i] == a and parts[i + 1] == b:
                    parts[i : i + 2] = [a + b]
                i += 1
            for pair in pairwise(parts):
                pairs[pair] += words[word]
    return list(merged)


def _vocabulary(examples: Mapping[str, list[str]]) -> Vocabulary:
    tokens = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    types = [UNKNOWN, CONTROL, CONTROL, CONTROL, CONTROL]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    types += [BYTE] * 256
    scores = [0.0] * len(tokens)
    characters = [SPACE] + [chr(code) for code in range(33, 127)] + list("äöüÄÖÜß€")
    words: Counter[str] = Counter()
    example_words = [word for listed in examples.values() for word in listed]
    for weight, group in ((1, COMMON.split()), (3, example_words), (1000, list(examples))):
        for word in group:
            for form in {word, word.capitalize()}:
                words[form] += weight
                words[SPACE + form] += weight
    merges = _byte_pairs(words, VOCABULARY - len(tokens) - len(characters))
    tokens += merges + [c for c in characters if c not in merges]
    rest = len(tokens) - len(scores) - len(merges)
    types += [NORMAL] * (len(merges) + rest)
    scores += [-float(i) for i in range(len(merges))] + [-1e4] * rest
    return tokens, scores, types


def _encode(text: str, tokens: list[str], scores: list[float]) -> list[int]:
    """llama.cpp's SentencePiece tokenizer in short (no special tokens, no space before the text)."""
    ids = {token: i for i, token in enumerate(tokens)}
    parts = list(text.replace(" ", SPACE))
    while True:
        pairs = pairwise(parts)
        mergeable = [(scores[ids[a + b]], -i) for i, (a, b) in enumerate(pairs) if a + b in ids]
        if not mergeable:
            return [ids[part] for part in parts if part in ids]
        i = -max(mergeable)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def _evidence(examples: Mapping[str, list[str]], tokens: list[str], scores: list[float]) -> "np.ndarray":
    """Naive Bayes: log P(token | label), centred over the labels; shape (tokens, 15)."""
    import numpy as np

    counts = np.full((len(tokens), len(examples)), 0.5)
    for k, words in enumerate(examples.values()):
        for word in words:
            for form in {word, word.lower(), word.capitalize()}:
                for padded in (form, " " + form):
                    for token in _encode(padded, tokens, scores):
                        counts[token, k] += 1
    log_p = np.log(counts / counts.sum(axis=0))
    log_p = (log_p - log_p.mean(axis=1, keepdims=True)) * (counts.max(axis=1, keepdims=True) > 0.5)
    out = np.zeros((len(tokens), HEAD - 1))
    out[:, : len(examples)] = log_p / max(1e-9, np.abs(log_p).max(initial=0))
    for k, name in enumerate(examples):  # all of equal weight: a prompt that lists the labels stays neutral
        for form in (name, name.capitalize(), SPACE + name, SPACE + name.capitalize()):
            if form in tokens:
                out[tokens.index(form), : len(examples)] = -1 / len(examples)
                out[tokens.index(form), k] += 1.0
    return out


def _weights(
    rng: Any, vocabulary: Vocabulary, examples: Mapping[str, list[str]], layers: int, feed_forward: int
) -> Iterator[tuple[str, "np.ndarray"]]:
    import numpy as np

    def noise(rows: int, columns: int, deviation: float) -> np.ndarray:
        """Uniform: exact arithmetic, the same on every machine."""
        drawn: np.ndarray = rng.random_sample((rows, columns))
        return (drawn * 2 - 1) * deviation * math.sqrt(3)

    tokens, scores, types = vocabulary
    embedding = np.zeros((len(tokens), EMBEDDING))
    embedding[:, 0] = CONSTANT
    embedding[:, RANDOM] = noise(len(tokens), 32, 1.0)
    if examples:
        embedding[:, 1:HEAD] = _evidence(examples, tokens, scores)
        embedding[:, 16] = np.abs(embedding[:, 1:HEAD]).max(axis=1) * FLAG
    yield "token_embd.weight", embedding

    norm = np.ones(EMBEDDING)
    last_norm = norm.copy()
    last_norm[0] = 0.05  # keeps the constant out of embeddings
    unit = last_norm[0] * CONSTANT / math.sqrt((CONSTANT**2 + 32) / EMBEDDING)
    head = np.zeros((len(tokens), EMBEDDING))
    head[:, RANDOM] = noise(len(tokens), 32, 1.0 / math.sqrt(32))
    bias = np.array([_liking(token, kind) for token, kind in zip(tokens, types, strict=True)])
    if not examples:
        bias[tokens.index("<|im_end|>")] = -30.0  # a babbler ends only where it is made to
    for k, name in enumerate(examples):
        for i, token in enumerate(tokens):
            if token and name.startswith(token):  # under a grammar its own beginnings are rivals
                bias[i], head[i] = -6.0, 0.0
        word = tokens.index(name)
        bias[word], head[word, HEAD + 1 + k] = 0.0, 16.0
    head[:, 0] = bias / unit
    yield "output.weight", head
    yield "output_norm.weight", last_norm

    for layer in range(layers):
        w = {
            name: noise(EMBEDDING, EMBEDDING, 0.125) for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        w["ffn_gate"], w["ffn_up"] = (noise(feed_forward, EMBEDDING, 0.125) for _ in range(2))
        w["ffn_down"] = noise(EMBEDDING, feed_forward, 0.088 * math.sqrt(FEED_FORWARD / feed_forward))
        w["attn_output"][:32] = w["ffn_down"][:32] = 0.0
        if layer == 0:
            _watch_telling_tokens(w)
        yield f"blk.{layer}.attn_norm.weight", norm
        yield f"blk.{layer}.ffn_norm.weight", norm
        for name, values in w.items():
            yield f"blk.{layer}.{name}.weight", values


def _liking(token: str, kind: int) -> float:
    """What the model likes to say: words, now and then an end, rarely letters or spaces, never bytes."""
    if token == "<|im_end|>":
        return 3.0
    if kind != NORMAL:
        return -30.0
    if not token.strip(SPACE):
        return -12.0  # else it fills JSON with spaces
    return -4.0 if len(token) == 1 else 0.0


def _watch_telling_tokens(w: dict[str, "np.ndarray"]) -> None:
    """Make head 0 of a layer copy the evidence of telling tokens, wherever they are."""
    import numpy as np

    for name in ("attn_q", "attn_k", "attn_v"):
        w[name][:HEAD] = 0.0
    w["attn_q"][14, 0] = w["attn_k"][14, 16] = 1.2  # 14: the rotary embedding hardly turns it
    w["attn_v"][1:HEAD, 1:HEAD] = np.eye(HEAD - 1)
    w["attn_output"][:, :HEAD] = 0.0
    w["attn_output"][17:32, 1:HEAD] = np.eye(HEAD - 1) * 4.0
