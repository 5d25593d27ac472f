"""The docs run: README.md and docs/**/*.md are executed block by block, and their links lead somewhere.

```python blocks of one file share a namespace. The commands (`$ ...`) of a ```console block run in one shell, in a
folder that the file's blocks share, with the program first on PATH. Where output follows a command it must be
this; `...` in it stands for anything, on a line of its own for any number of lines. A comment before
a block says otherwise:
`<!-- no-run: reason -->`, `<!-- exit: 2 -->` for a block whose last command fails like this, `<!-- file: NAME -->` to
have a block written into the folder. Knows Markdown; must not know what the docs are about.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {
    "console",
    "css",
    "html",
    "ini",
    "javascript",
    "json",
    "mermaid",
    "promql",
    "python",
    "sql",
    "text",
    "toml",
    "yaml",
}
LONGEST_BLOCK = 120

_BLOCK = re.compile(
    r"(?:^<!-- (?P<order>no-run|exit|file): *(?P<value>.*?) *-->\n+)?"
    r"^(?P<fence>`{3,})(?P<language>.*)\n(?P<text>(?s:.*?))^(?P=fence)$",
    re.MULTILINE,
)
_LINK = re.compile(r"\[[^\]]*\]\(<?(?P<inline>[^)\s>]+)[^)]*\)|^\[[^\]]+\]: *(?P<listed>\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
_END = "\x1e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block and what the comment before it orders."""

    language: str
    text: str
    line: int
    order: str
    value: str


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        yield Block(
            language=block["language"].strip(),
            text=block["text"],
            line=text.count("\n", 0, block.start("text")) + 1,
            order=block["order"] or "",
            value=block["value"] or "",
        )


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_block_runs_as_written(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        where = f"{name(document)}:{block.line}"
        assert block.language in LANGUAGES, (
            f"{where}: {block.language!r} is not run or read by anyone; shell is `console`"
        )
        if block.order == "no-run":
            assert block.value, f"{where}: a block that is not run needs a reason"
        elif block.order == "file":
            (tmp_path / block.value).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            # Blank lines in front, so that a traceback shows the document's own line.
            exec(compile("\n" * (block.line - 1) + block.text, str(document), "exec"), namespace)
        elif block.language == "console":
            transcribe(block, folder=tmp_path, where=where)


def transcribe(block: Block, *, folder: Path, where: str) -> None:
    """Run the commands of a block and compare what they print."""
    said = [part.partition("\n") for part in re.split(r"^\$ ", re.sub(r"\\\n", "", block.text), flags=re.MULTILINE)[1:]]
    assert said, f"{where}: a console block needs a command: $ ..."
    heard, rest = run([command for command, _, _ in said], folder=folder)
    for position, (command, _, expected) in enumerate(said):
        assert position < len(heard), f"{where}: $ {command}\ndid not end:\n{rest}"
        code, printed = heard[position]
        wanted = int(block.value) if block.order == "exit" and position == len(said) - 1 else 0
        assert code == wanted, f"{where}: $ {command}\nended with {code}, not {wanted}:\n{printed}"
        if expected.strip():
            assert matches(expected, printed), f"{where}: $ {command}\nprinted\n{printed}\nnot\n{expected}"


def run(commands: list[str], *, folder: Path) -> tuple[list[tuple[int, str]], str]:
    """Exit code and output of each command, in one shell, and what the one printed that did not end.

    What it leaves in the background ends with it.
    """
    script = "".join(f"{command}\nprintf '{_END}%d{_END}' $?\n" for command in commands)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    # Output goes to a file: a program left in the background would hold a pipe open for ever.
    transcript = folder / ".transcript"
    with transcript.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                shell.wait(timeout=LONGEST_BLOCK)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
            shell.wait()
    pieces = transcript.read_text(encoding="utf-8").split(_END)
    transcript.unlink()
    return [(int(code), printed) for printed, code in zip(pieces[0::2], pieces[1::2], strict=False)], pieces[-1]


def matches(expected: str, printed: str) -> bool:
    """Whether a command printed what the document shows; spaces at the end of lines do not count."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
    lines = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    dead = []
    for link in _LINK.finditer(_BLOCK.sub("", document.read_text(encoding="utf-8"))):
        target = link["inline"] or link["listed"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        destination = (document.parent / path).resolve() if path else document
        if not destination.exists() or (anchor and destination.suffix == ".md" and anchor not in anchors(destination)):
            dead.append(target)
    assert dead == []


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the forges make them."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in _HEADING.findall(text)}


def test_an_ellipsis_stands_for_anything_and_nothing_else_does() -> None:
    assert matches("a\n...\nz\n", "a\nb\nc\nz\n")
    assert matches("took ... s\n", "took 0.3 s  \n")
    assert not matches("a\nz\n", "a\nb\nz\n")
    assert not matches("a\n...\n", "b\na\n")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("```console\n$ echo one\ntwo\n```\n", "printed"),
        ("```console\n$ false\n```\n", "ended with 1, not 0"),
        ("<!-- exit: 3 -->\n\n```console\n$ (exit 4)\n```\n", "ended with 4, not 3"),
        ("```console\n$ exit 0\n```\n", "did not end"),
        ("```console\n$ echo half; exit 0\n```\n", "half\n"),
        ("```console\n$ sleep 30 & echo on\noff\n```\n", "printed"),
        ("```python\nassert 1 == 2, 'arithmetic'\n```\n", "arithmetic"),
        ("```sh\nls\n```\n", "shell is `console`"),
        ("<!-- no-run: -->\n```python\nnonsense\n```\n", "needs a reason"),
    ],
)
def test_docs_that_lie_are_caught(
    document: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "lie.md").write_text(document, encoding="utf-8")
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        test_every_block_runs_as_written(tmp_path / "lie.md", tmp_path, monkeypatch)
