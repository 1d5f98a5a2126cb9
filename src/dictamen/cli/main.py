"""Assemble the verbs, and turn errors into one clear message and an exit code.

Only the module of the verb that was asked for is imported, so that `dictamen --help` answers at once. Each module
`dictamen.cli.<verb>` offers `register(app)`, which adds its command, or its group of commands, to the application.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer

from dictamen.errors import DictamenError, InputError, UsageError, resource_error

VERBS = {
    "demo": "The whole story on a generated cohort: read, train, evaluate, one HTML page.",
    "read": "Read free-text reports into findings.",
    "cohort": "Build, describe and check a cohort of studies.",
    "phantom": "Write a generated cohort in plain NIfTI and csv.",
    "pretrain": "Pretrain an encoder on pairs of scan and report, without masks.",
    "train": "Train a segmentation model from masks and reports.",
    "predict": "Segment volumes with a trained model.",
    "ground": "Paint each finding of a report into its scan, and say how sure it is.",
    "models": "Keep models by name, import and export them.",
    "evaluate": "Measure predictions against masks or against reports alone.",
    "audit": "List where masks and reports contradict each other.",
    "review": "Score masks region by region on a web page of this machine.",
    "refine": "Repair masks from region scores.",
    "feedback": "Take feedback out of a cohort, or into it.",
    "anatomy": "Look up anatomical concepts, their names and relations.",
    "nnunet": "Use reports in nnU-Net's own training.",
    "experiment": "Train and compare arms of supervision over seeds.",
    "ablate": "Compare the parts of pretraining, with few and many labels, over seeds.",
}
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""
BAD_USAGE = 2
"""Exit code for a wrong option, ours and the option parser's."""
RESUMABLE = frozenset({"demo", "pretrain", "train", "predict", "ground", "read", "refine", "experiment", "ablate"})
"""Verbs that go on with `--resume`, as `cohort build` does."""
CHATTER = ("lightning_fabric.utilities",)
"""Loggers of libraries that tell at each start what device and precision they use; warnings still come through."""
PARSER_ERROR: type[Exception] = typer.BadParameter.mro()[1]
"""`click.UsageError`, wherever this version of typer keeps its click."""


def application(verb: str | None) -> typer.Typer:
    """The application with `verb` complete and the other verbs as names with a help line."""
    app = typer.Typer(
        name="dictamen",
        help="Train 3D medical segmentation models from what radiologists already dictate. Research use only.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: loading rich doubles the time of `--help`
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_version)
    for name, summary in VERBS.items():
        if name == verb:
            import_module(f"dictamen.cli.{name}").register(app)
        else:
            app.command(name, help=summary)(_not_loaded)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 ok, 2 usage, 3 bad input, 4 resources, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug, as_json = "--debug" in words, "--json" in words
    words = [word for word in words if word != "--debug"]
    verb = next((word for word in words if word in VERBS), None)
    _quiet(debug=debug)
    try:
        code = application(verb)(args=words, prog_name="dictamen", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except PARSER_ERROR as error:
        code = _wrong_usage(error, as_json=as_json)
    except Exception as error:  # the edge of the program: whatever it is, the user gets one message
        if debug:
            raise
        code = _fail(_for_users(error), as_json=as_json)
    if code == INTERRUPTED:
        typer.echo(f"Interrupted. {_after_interruption(verb, words)}", err=True)
    raise SystemExit(code if isinstance(code, int) else 0)


def _quiet(*, debug: bool) -> None:
    """Libraries have nothing to say to users; our own warnings are no Python warnings."""
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not debug:
        # of tasks that it cancels when a full disk or Ctrl-C ends the work
        warnings.filterwarnings("ignore", category=UserWarning, module="joblib")


def _fail(error: DictamenError, *, as_json: bool) -> int:
    typer.echo(json.dumps(error.to_dict()) if as_json else f"Error: {error}", err=True)
    return error.exit_code


def _wrong_usage(error: Any, *, as_json: bool) -> int:
    """The option parser's own message, with its hint to `--help`."""
    if not as_json:
        error.show()
        return BAD_USAGE
    return _fail(UsageError(error.format_message(), next_step="see --help"), as_json=True)


def _for_users(error: Exception) -> DictamenError:
    """What a user should read of any error; an unforeseen one's own text is left out, since it could quote a report."""
    if isinstance(error, DictamenError):
        return error
    if known := resource_error(error):
        return known
    if isinstance(error, OSError) and error.filename:
        return InputError("The file can't be used.", where=error.filename, got=error.strerror)
    return DictamenError(
        f"Something unforeseen went wrong ({type(error).__name__}).",
        next_step="run the same command with --debug to see where, and report it",
    )


def _after_interruption(verb: str | None, words: Sequence[str]) -> str:
    if verb in RESUMABLE or {"build", "pretrain"} & set(words):
        return "What was done is kept: run the same command with --resume to go on."
    if verb == "review":
        return "Every answer that was given is saved."
    if verb == "phantom":
        return "The folder is incomplete: run the same command with --overwrite."
    return "Nothing was written: run the same command again."


def _not_loaded() -> None:
    """Stand for a verb that was not asked for; never runs."""


def _version(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"dictamen {installed('dictamen')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
