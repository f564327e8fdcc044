"""The command ``entropy``: its commands, and the one place where an error becomes a sentence and an exit code.

Nothing heavy is imported here.  A command's module is imported when the command is called, and imports what it computes with
inside its function, so that help and plain commands answer at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from entropy import __version__

__all__ = ["COMMANDS", "app", "main"]


class _Entry(NamedTuple):
    """A command: where its function is, and the line about it in the help."""

    module: str
    function: str
    line: str


COMMANDS: dict[str, _Entry] = {
    "plan": _Entry("plan", "plan", "Compute the safe sequence of actions that leads to a better cluster."),
    "verify": _Entry("verify", "verify", "Replay a plan against a cluster and list everything that it breaks."),
    "convert": _Entry("convert", "convert", "Convert a cluster between formats."),
    "schema": _Entry("schema", "schema", "Print the JSON Schema of a document kind."),
    "init": _Entry("init", "init", "Lay out a distribution folder: bin, config, logs, vjobs."),
    "check": _Entry("check", "check", "Before the first start: what is reachable, what is missing, how to mend it."),
    "observe": _Entry("observe", "observe", "Print the cluster as monitoring sees it now."),
    "apply": _Entry("apply", "apply", "Execute a plan on the cluster as it is now."),
    "run": _Entry("run", "run", "Run the control loop in the foreground."),
    "start": _Entry("daemon", "start", "Start the control loop in the background."),
    "stop": _Entry("daemon", "stop", "Let running actions finish, start none, and stop the control loop."),
    "status": _Entry("daemon", "status", "What the control loop is doing."),
    "simulate": _Entry("simulate", "simulate", "Run the control loop on a simulated cluster."),
    "warm-up": _Entry("warm_up", "warm_up", "Compile the placement kernels, once after installation."),
}
"""Every command, in the order of the help."""


class _Commands(MutableMapping[str, Any]):
    """Commands by name; each is imported when it is asked for."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            entry = COMMANDS[name]
            function = getattr(importlib.import_module(f"entropy.cli.{entry.module}"), entry.function)
            single = typer.Typer(rich_markup_mode=None, add_completion=False)
            single.command(name)(function)
            self._built[name] = typer.main.get_command(single)
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._built or name in COMMANDS

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _InterruptedError(Exception):
    """Ctrl-C, carried past the command-line library, which would turn it into something of its own."""


class _ReaderGoneError(Exception):
    """A broken pipe, carried past it likewise."""


class _LazyGroup(TyperGroup):
    """A group whose help needs no command's module."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as problem:
            raise _InterruptedError from problem
        except BrokenPipeError as problem:
            raise _ReaderGoneError from problem


app = typer.Typer(
    cls=_LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`entropy COMMAND --help` tells what a command takes. Documents go to standard output, messages to standard error. "
    "Exit codes: 0 done, 2 bad input, 3 proven impossible, 4 plan invalid or stale or an action failed, 5 out of time.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"entropy {__version__}")
        raise typer.Exit


@app.callback()
def _entropy(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Entropy consolidates the VMs of a cluster onto the fewest nodes with live migrations, by plans that are safe whatever
    happens on the way."""


# The base of all errors of usage; the library that the command line is built on keeps its name to itself.
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's); the exit code of the contract.  No exception of any kind comes out,
    except ``SystemExit`` where a command raises it."""
    os.umask(os.umask(0o077) | 0o002)  # nothing that is written (state, log, journal, documents) is for everybody to change
    given = list(sys.argv[1:] if arguments is None else arguments)
    _stand_in_for_closed_streams()
    try:
        code = _run(given or ["--help"])
        sys.stdout.flush()
    except (BrokenPipeError, _ReaderGoneError):
        _let_go_of_stdout()
        return 141  # as a program ended by SIGPIPE: `entropy plan ... | head` is no error worth a word
    except OSError as problem:  # a disk that is full, say
        _let_go_of_stdout()
        _say(f"standard output cannot be written: {problem.strerror or problem}")
        return 2
    return code


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _stand_in_for_closed_streams() -> None:
    """Of a standard stream that was closed before the start (``entropy ... >&-``) nothing is known; nothing is then read or written."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(fd)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, so that no file of ours gets it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the rest of the process


def _run(arguments: list[str]) -> int:
    from entropy.model.errors import EntropyError

    try:
        result = typer.main.get_command(app).main(args=arguments, prog_name="entropy", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except EntropyError as problem:
        _say(str(problem), _help_for(problem, arguments))
        return problem.exit_code
    except _UsageError as problem:
        return _usage(problem)
    except (_InterruptedError, KeyboardInterrupt, typer.Abort):
        _say("interrupted before it was done")
        return 130
    except (BrokenPipeError, _ReaderGoneError):
        raise
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in _NO_ROOM and problem.filename is None:
            raise
        if os.environ.get("ENTROPY_TRACEBACK"):
            raise
        kind = type(problem).__name__
        text = " ".join(str(problem).split())[:300]
        _say(
            f"something went wrong that should not: {kind}{': ' if text else ''}{text}",
            "please report it; set ENTROPY_TRACEBACK=1 and run it again to see where it happened",
        )
        return 70  # EX_SOFTWARE


def _usage(problem: Any) -> int:
    """What is wrong with the command line, and the command that tells what would be right."""
    text = str(problem.format_message())
    context = getattr(problem, "ctx", None)
    path = getattr(context, "command_path", "") or "entropy"
    _say(text[:1].lower() + text[1:], f"`{path} --help` tells what is accepted")
    return 2


def _help_for(problem: Exception, arguments: Sequence[str]) -> str:
    """The command that helps, where one does."""
    from entropy.model.errors import InfeasibleError, InvalidPlanError, NoPlanInTimeError, StalePlanError

    match problem:
        case NoPlanInTimeError():
            return "a longer --time-limit may find one"
        case InfeasibleError() if arguments[0] == "plan" and not {"--target", "--best-effort"} & set(arguments):
            return "`entropy plan --best-effort` mends what can be mended and lists the rest"
        case StalePlanError():
            return "`entropy observe` and `entropy plan` make a plan for the cluster as it is now"
        case InvalidPlanError():
            return "`entropy plan` makes one that holds"
    return ""


def _say(text: str, help_text: str = "") -> None:
    """To standard error; a closed one is no reason to fail."""
    try:
        typer.echo(f"entropy: {text}", err=True)
        if help_text:
            typer.echo(f"  {help_text}", err=True)
    except (BrokenPipeError, ValueError):
        pass


def _let_go_of_stdout() -> None:
    """The reader has gone: what the interpreter still flushes at exit goes nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
