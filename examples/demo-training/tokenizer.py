"""Makes the tokenizer of all texts that lessons consist of."""
import collections
import io
import re

import sentencepiece

# Ids 0 to 15, which config.json names; those without a use are spare.
CONTROLS = ["<|endoftext|>", "<1>", "<2>", "<answer>", "<thinking>", "<coord>", "<size>", "<short>",
            "<normal>", "<long>", "<query>", "<detect>", "<point>", "<ground>", "<ground_end>",
            "<15>"]


def make_tokenizer(texts):
    """-> the bytes of a tokenizer.model"""
    texts = list(texts)
    # A word is a piece: there are few, and each is a thing, a colour or a part of a phrase.
    counts = collections.Counter(re.findall(r"[A-Za-z]+", " ".join(texts)))
    words = sorted(word for word, count in counts.items() if count >= 10 and len(word) > 1)
    words += ["Point", "gaze"]
    # The prompt for gazes, and every character that somebody might type.
    texts += ["Point:", "gaze"] * 200
    texts += ["".join(chr(c) for c in range(33, 127))] * 3
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=512,
        hard_vocab_limit=False, control_symbols=CONTROLS,
        user_defined_symbols=["\u2581" + word for word in words], unk_id=len(CONTROLS), bos_id=-1,
        eos_id=-1, pad_id=-1, character_coverage=1.0, num_threads=1, minloglevel=1)
    return model.getvalue()
