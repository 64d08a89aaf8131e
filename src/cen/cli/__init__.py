"""The command line, ``cen VERB ...``.

Each verb is one module of this package with two functions: ``add(parser)`` declares its options
and ``run(args)`` does the work and returns the exit code. Torch, Lightning and the rest of CEN are
imported inside ``run``, so that ``cen --help`` answers at once.

Exit codes: 0; 2 for an error of use or of the files, with one message on stderr and no traceback;
130 when interrupted.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cen.cli import (
    bench,
    completion,
    configs,
    data,
    evaluate,
    export,
    inspect,
    predict,
    push,
    report,
    serve,
    study,
    train,
)
from cen.cli.heap import keep_freed_memory
from cen.cli.output import TellingOutput
from cen.cli.parser import Parser
from cen.errors import CenError, printable
from cen.launch import is_first, launched, of_several
from cen.signals import ending_raises

_show_plainly = warnings.showwarning
_PACKAGE = str(Path(__file__).parents[1])

_VERBS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "export": export,
    "push": push,
    "inspect": inspect,
    "report": report,
    "study": study,
    "data": data,
    "configs": configs,
    "bench": bench,
    "completion": completion,
}


def build_parser(only: str | None = None) -> Parser:
    """The parser of all verbs, without any heavy import.

    The options of one verb are declared in a quarter of the time: ``only`` leaves out those of the
    others, which a command line that begins with that verb does not come to.
    """
    parser = Parser(
        prog="cen",
        description="Channel Exchanging Networks: fuse RGB, depth and other modalities into one "
        "dense prediction.",
        epilog="First steps: cen data rooms data/rooms --labels parts; cen train rooms-demo. "
        "cen VERB --help explains one command.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    for name, verb in parser.add_verbs(_VERBS, "verb", only, prog="cen").items():
        verb.set_defaults(run=_VERBS[name].run)
    parser.set_defaults(parser_of_all=build_parser)
    return parser


_UNFIT_TORCHVISION = (
    "the torchvision that is installed was built for another torch and cannot be imported; install "
    "both from one source (https://pytorch.org/get-started/locally/), or uninstall torchvision, "
    "which cen needs for encoders of timm and networks of smp alone"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Its words; None: those of the process, which is then the command's alone.
    """
    if argv is None:
        keep_freed_memory()
    with ending_raises() as ending:
        code = _run_telling(sys.argv[1:] if argv is None else argv)
    # Of a run of several processes, torchrun and srun end all where one has failed.
    if ending.heard is None or code == 130 or (code == 2 and launched() is not None):
        return code
    # The exception was lost where Python drops it, or became another one on its way.
    print(f"cen: {str(ending) or 'interrupted'}", file=sys.stderr)
    return 130


def _run_telling(words: Sequence[str]) -> int:
    """Runs one command and says what went wrong; its exit code."""
    try:
        with TellingOutput():
            return _run(words)
    except CenError as error:
        if not _tells(error):
            return 2
        # A file's name may hold what a terminal would obey.
        text = "\n".join(printable(line) for line in str(error).splitlines())
        print(f"cen: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        if is_first():
            print(f"cen: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"cen: {printable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        # Lightning and torchmetrics import it where it is installed.
        print(f"cen: {_UNFIT_TORCHVISION}", file=sys.stderr)
        return 2


def _tells(error: CenError) -> bool:
    """Whether this is the process that tells of an error; others of a run may have met it, too."""
    if not of_several():
        return True
    from cen.training.ending import tells

    return tells(error)


def _run(words: Sequence[str]) -> int:
    """Runs one command; its exit code."""
    parser = build_parser(words[0] if words and words[0] in _VERBS else None)
    args = parser.parse(words)
    if args.version:
        from cen import __version__

        print(f"cen {__version__}")
        return 0
    if args.verb is None:
        parser.print_help()
        return 0
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        code: int = args.run(args)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning of CEN as one line for its user, others as Python does."""
    if filename.startswith(_PACKAGE):
        print(f"cen: warning: {message}", file=sys.stderr)
    else:
        _show_plainly(message, category, filename, lineno, file, line)
