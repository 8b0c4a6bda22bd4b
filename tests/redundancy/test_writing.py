"""What goes out: files whole or not at all, and text that no terminal, spreadsheet or LaTeX acts on."""

import csv
import io
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from redundancy.commands.printing import printable, refuse_existing
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tabular import csv_text, latex_text
from redundancy.files.writing import write_new, write_text

WRITE = (
    "import sys, pathlib; from redundancy.files.writing import write_text; write_text(pathlib.Path('f'), 'x' * 10**6)"
)


def test_a_new_file_replaces_none(tmp_path):
    write_new(tmp_path / "a", "1")
    with pytest.raises(InvalidInputError, match="does not exist yet"):
        write_new(tmp_path / "a", "2")
    assert (tmp_path / "a").read_text() == "1"
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(InvalidInputError, match="choose another --data"):
        refuse_existing(tmp_path / "a", "an output", "--data")
    with pytest.raises(InvalidInputError, match="make it first"):
        refuse_existing(tmp_path / "no" / "a")


def test_old_temporaries_of_the_same_file_are_swept_and_others_left(tmp_path):
    old, young, other = (tmp_path / name for name in (".a.json.x1.tmp", ".a.json.x2.tmp", ".b.json.x1.tmp"))
    for file in (old, young, other):
        file.write_text("half")
    hour = time.time() - 4000
    for file in (old, other):
        os.utime(file, (hour, hour))
    write_text(tmp_path / "a.json", "{}")
    assert sorted(os.listdir(tmp_path)) == sorted([young.name, other.name, "a.json"])


@pytest.mark.skipif(sys.platform != "linux", reason="limits of this kind are Linux's")
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    (tmp_path / "f").write_text("old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run([sys.executable, "-c", WRITE], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith(
        "redundancy.errors.StoreError: need room to write f, got: File too large"
    )
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"need to write .*; check the folder"):
            write_text(tmp_path / "a", "1")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("call", ["write", "os.fsync", "os.replace", "os.chmod", "os.open"])
def test_a_kill_at_any_call_leaves_the_old_file_or_the_new(tmp_path, call):
    (tmp_path / "f").write_text("old")
    code = "import os, pathlib, signal; from redundancy.files.writing import write_whole\n"
    code += "def kill(*a, **k): os.kill(os.getpid(), signal.SIGKILL)\n"
    code += "" if call == "write" else f"{call} = kill\n"
    code += (
        f"write_whole(pathlib.Path('f'), (kill() if i == 2 and {call == 'write'} else b'x' * 10**5 for i in range(4)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "f").read_text() in ("old", "x" * 4 * 10**5)
    write_text(tmp_path / "f", "next")
    assert (tmp_path / "f").read_text() == "next"


def test_a_terminal_is_told_nothing_by_text_from_outside():
    hostile = "\x1b]0;title\x07a\x1b[2Jb\x1b[31mc\x9b31md\re\x00\x08\u202ef\ud800\tg\nh\x1bP1;2|x\x1b\\i\x1bc"
    assert printable(hostile) == "abc31mdef\\ud800\tg\nhi"
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(map(chr, rng.integers(0, 300, size=60)))
        assert all(c.isprintable() or c in "\n\t\xa0\xad" for c in printable(text)), text


def test_commands_print_no_escape_that_a_file_holds(tmp_path, skip_it):
    file = tmp_path / "a.json"
    file.write_text('{"schema": "\\u001b[31mred"}')
    code, out, err = skip_it("recheck", str(file))
    assert (code, out) == (2, "")
    assert "\x1b" not in err
    code, _, err = skip_it("recheck", str(tmp_path / "\x1b[31mred.json"))
    assert (code, "\x1b" in err, "red.json" in err) == (2, False, True)


def test_cells_that_a_spreadsheet_would_run_are_text_and_numbers_stay_numbers():
    row = {"=name": "=1+1", "plus": "+a", "minus": "-a", "at": "@SUM(A1)", "tab": "\t=1", "n": -1.5, "text": "a=b"}
    head, cells = csv.reader(io.StringIO(csv_text([row])))
    assert head[0] == "'=name"
    assert cells == ["'=1+1", "'+a", "'-a", "'@SUM(A1)", "'\t=1", "-1.5", "a=b"]


def test_latex_sets_what_stands_there():
    assert latex_text("a_b & 5% #1 ${x}$ ~^\\end\x07") == (
        r"a\_b \& 5\% \#1 \$\{x\}\$ \textasciitilde{}\textasciicircum{}\textbackslash{}end"
    )
