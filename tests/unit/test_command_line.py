"""The command line keeps its word: its page, its examples, its exit codes, its completion, and no traceback."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import redis
import typer
from rich.text import Text

from tests.servers import RedisServer, typed, wait_until
from tests.whole_line import whole_line
from threelane.interfaces.command.registry import BY_NAME, COMMANDS
from threelane.runtime.exits import Exit
from threelane.store import keys

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield all commands, and the groups that are commands themselves, by their words."""
    group = group or whole_line()
    for name, command in group.commands.items():
        if not hasattr(command, "commands"):
            yield " ".join((*path, name)), command
            continue
        if command.invoke_without_command:
            yield " ".join((*path, name)), command
        yield from commands(command, (*path, name))


def test_the_page_lists_the_commands_that_there_are() -> None:
    """Each once, with the summary and the example of its help."""
    rows = re.findall(r"^\| `threelane ([^`]+)` \| (.+?) \| `(.+)` \|$", PAGE, re.MULTILINE)
    by_name = dict(commands())
    assert sorted(by_name) == sorted(name for name, _, _ in rows)
    for name, meaning, example in rows:
        command = by_name[name]
        assert meaning == " ".join(command.help.split("\n")[0].split())
        assert example in command.epilog, name


def test_an_option_that_is_given_twice_is_refused_by_every_command() -> None:
    """The last one would count, without a word about the recipient, the batch or the limit of the first."""
    tried = 0
    for name, command in commands():
        for option in command.params:
            if option.param_type_name != "option" or option.multiple or option.is_flag or option.count:
                continue
            parser = command.make_parser(command.context_class(command, info_name=name))
            words = [option.opts[0], *["1"] * option.nargs]
            assert "1" in str(parser.parse_args(list(words))[0])
            with pytest.raises(typer.BadParameter) as refused:
                parser.parse_args([*words, *words])
            assert (option.opts[0], "given twice; keep one") == (refused.value.param.opts[0], refused.value.message)
            tried += 1
    assert tried > 100


def test_each_example_is_understood() -> None:
    """Its options exist, and its words have places."""
    for name, command in commands():
        line = next(line for line in command.epilog.splitlines() if "threelane " in line)
        words = shlex.split(line.partition(" > ")[0])
        words = words[words.index("threelane") + 1 + len(name.split()) :]
        with command.make_context(name, words) as context:
            assert not context.args, name


def test_the_page_lists_each_exit_code() -> None:
    """Those of runtime/exits.py."""
    documented = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)}
    assert {code.value for code in Exit} == documented


def test_the_registry_repeats_the_help_of_each_command() -> None:
    """The help of the whole command line is the first line of each command's own, without an import of it."""
    assert {one.name: one.help for one in COMMANDS} == {
        name: " ".join(command.help.split("\n")[0].split()) for name, command in whole_line().commands.items()
    }
    assert len(COMMANDS) == len(BY_NAME)


def test_help_lists_the_commands() -> None:
    """What people type first."""
    completed = typed("--help", environment={"COLUMNS": "200"})
    assert 0 == completed.returncode
    assert {name.split()[0] for name, _ in commands()} <= set(re.findall(r"[a-z]+", completed.stdout))


def test_no_help_loses_a_word_in_brackets() -> None:
    """A terminal takes [routes] for a style, and shows nothing of it."""
    helps = [command.help for _, command in commands()]
    helps += [parameter.help or "" for _, command in commands() for parameter in command.params]
    assert [one.replace("\\[", "[") for one in helps] == [Text.from_markup(one).plain for one in helps]


@pytest.mark.parametrize("words", [["lst"], ["list", "--lane", "x"], ["list", "--stat"], ["explain"], ["dead", "x"]])
def test_an_unknown_word_is_reported(words: list[str]) -> None:
    """Exit code 2, and a sentence."""
    completed = typed(*words, environment={})
    assert (2, "") == (completed.returncode, completed.stdout)
    assert "Traceback" not in completed.stderr
    assert completed.stderr


def test_an_internal_error_is_reported_in_one_sentence() -> None:
    """Only the place of the exception, not its text: that may hold a secret."""
    with mock.patch("threelane.interfaces.command.query.connect", side_effect=RuntimeError("hunter2")):
        completed = typed("holds", environment={})
    assert Exit.FAULT == completed.returncode
    assert "internal error, RuntimeError at " in completed.stderr
    assert "hunter2" not in completed.stderr


def _started(redis_server: RedisServer, *words: str, **more: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"THREELANE_REDIS_URL": redis_server.url}
    command = [sys.executable, "-m", "threelane", *words]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c, **more
    )


def _heed_ctrl_c() -> None:
    """A shell starts what it puts in the background with SIGINT ignored, and so would be what that starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_reader_may_go_away(redis_server: RedisServer, client: redis.Redis, tmp_path: Path) -> None:
    """``threelane bulk ... --json | head -1``: it ends with its own exit code and prints no error."""
    file = tmp_path / "some.csv"
    file.write_text("to,text\n" + "".join(f"+27831{n:06},Hello\n" for n in range(3_000)), encoding="utf-8")
    running = _started(redis_server, "bulk", str(file), "--json", stdout=subprocess.PIPE)
    assert running.stdout
    assert running.stdout.readline()
    running.stdout.close()
    assert (Exit.CLOSED, "") == (running.wait(30), running.stderr and running.stderr.read())


def test_ctrl_c_ends_a_bulk_that_can_be_run_again(
    redis_server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    """Exit code 130, and no traceback; the same command goes on."""
    file = tmp_path / "many.csv"
    file.write_text("to,text\n" + "".join(f"+27831{n:06},Hello\n" for n in range(25_000)), encoding="utf-8")
    running = _started(redis_server, "bulk", str(file), stdout=subprocess.DEVNULL)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) > 1_000, what="some rows")
    running.send_signal(signal.SIGINT)
    assert Exit.INTERRUPTED == running.wait(30)
    assert running.stderr
    assert "Traceback" not in running.stderr.read()
    assert 0 < client.zcard(keys.QUEUED[3]) < 25_000


def test_a_shell_completes_the_words() -> None:
    """As bash requests it; other shells do the same."""
    environment = os.environ | {
        "_THREELANE_COMPLETE": "complete_bash",
        "COMP_WORDS": "threelane dead re",
        "COMP_CWORD": "2",
    }
    program = "import sys; sys.argv[0] = 'threelane'; from threelane.interfaces.command.line import main; main()"
    completed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ["redrive"] == completed.stdout.split(), completed.stderr
