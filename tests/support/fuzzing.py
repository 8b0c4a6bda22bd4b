"""What each fuzz of a door shares: how many inputs, from which seed, and that each gives a result or a sentence."""

import contextlib
import os
import signal
import warnings

from redundancy.errors import SkipItError

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = 20


@contextlib.contextmanager
def one_sentence(counts, what):
    """Count what happened; anything but a result or one sentence fails, and so does a hang."""

    def late(*_):
        raise AssertionError(f"still busy after {SECONDS} s: {what!r}")

    sentence = "a result"
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        counts["taken"] += 1
    except SkipItError as error:
        sentence = str(error)
        counts["refused"] += 1
    finally:
        signal.alarm(0)
    assert sentence.strip(), what
    assert "\n" not in sentence, (what, sentence)
