"""The way in for outputs: what a command will write is checked, locked and claimed before any work.

A command names all its outputs at once::

    with claimed(OutputFile("x.nc", overwrite=False), inputs=["w.pt"]):
        ...  # the work, which writes x.nc by replace_file

An output is refused, with a sentence, if

- what is there is no regular file: a device, a pipe, a socket, or a folder where a file is meant;
  a link counts as what it leads to, and one to a missing name as that name;
- a file is there and may not be overwritten; this is compared again when the file is replaced, and
  a file that has appeared meanwhile stays (`losslandscape.files.atomic_files.replace_file`);
- it is an input of the command or another of its outputs, also through links and in the names of
  journals and locks;
- its folder is missing, or not writable; folders that the command makes are removed if it fails;
- its name is not UTF-8, or too long together with what is added to it;
- another process is writing it (`losslandscape.files.output_lock`).

A claim within the claim of the same output does nothing more, so that the functions that a command
calls can claim their own outputs too.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files.atomic_files import (
    TEMPORARY_SUFFIX,
    explained,
    is_staging,
    make_folder,
    no_space,
    require_regular,
    staging_in,
)
from losslandscape.files.claims import Claim, claim_of, with_claims
from losslandscape.files.file_kinds import (
    FOLDER,
    first_existing,
    is_same_file,
    is_utf8,
    kind_at,
    reason,
    shown,
)
from losslandscape.files.journal import JOURNAL
from losslandscape.files.output_lock import FOLDER_LOCK, OutputLock, lock_path

_TEMPORARY = len(".") + len(".12345678") + len(TEMPORARY_SUFFIX)  # bytes added to a name
_NAME_BYTES = 255


@dataclass(frozen=True)
class OutputFile:
    """One file that will be written.

    Attributes
    ----------
    path : path
    overwrite : bool
        Whether a file that is there may be replaced.
    option : str
        What the user calls it, for messages: ``"--output"``.
    parents : bool
        Whether missing folders around it are made.
    journals : sequence of str
        What is added to its name for files in which unfinished work is kept, ``".journal"``. The
        first is the one with which the same command continues: if it is there, so may the file.
    changed : bool
        Whether the file is there and gets new content (``losslandscape trajectory``). It may then
        be replaced unless another program changes it meanwhile.
    ending : str
        Of the names of its temporary files.
    name_endings : sequence of str
        What its name must end in, one of them; any if empty.
    """

    path: Path
    overwrite: bool = False
    option: str = ""
    parents: bool = False
    journals: Sequence[str] = ()
    changed: bool = False
    ending: str = ""
    name_endings: Sequence[str] = ()

    @property
    def names(self) -> list[Path]:
        """All files that are written beside the output, and itself."""
        kept = [Path(f"{os.fspath(self.path)}{journal}") for journal in self.journals]
        return [self.path, lock_path(self.path), *kept]

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def longest(self) -> int:
        """Most bytes that are added to the name."""
        return max(map(len, (self.ending, *self.journals))) + _TEMPORARY

    def check_kind(self) -> None:
        require_regular(self.path)
        for name in self.names[1:]:
            _require_usable(name, self.path)

    def check_free(self) -> None:
        journal = self.names[2] if self.journals else None
        if self.overwrite or self.changed or not os.path.lexists(self.path):
            return
        if os.path.exists(self.path) and not (journal and journal.exists()):
            raise OutputExistsError(_exists(self.path, "name"))

    def lock(self) -> OutputLock:
        return OutputLock(self.path, elsewhere=not self.changed)

    def claims(self) -> list[Claim]:
        claim = Claim(os.path.realpath(self.path), self.overwrite)
        claim.note()
        return [claim]


@dataclass(frozen=True)
class OutputFolder:
    """A folder of results; it and the folders around it are made.

    Attributes
    ----------
    path : path
    files : sequence of str
        The names of all files that may be written in it.
    overwrite : bool
        Whether these may be replaced if they are there.
    option : str
        What the user calls it, for messages: ``"--output"``.
    empty : bool
        Whether, without ``overwrite``, the folder must be empty.
    journals : sequence of str
        What is added to its name for files beside it in which unfinished work is kept.
    """

    path: Path
    files: Sequence[str] = ()
    overwrite: bool = False
    option: str = ""
    empty: bool = False
    journals: Sequence[str] = ()
    parents: bool = True

    @property
    def names(self) -> list[Path]:
        """All files that are written."""
        inside = [self.path / name for name in (*self.files, FOLDER_LOCK)]
        return [*inside, *map(self.journal, self.journals)]

    def journal(self, name: str = JOURNAL) -> Path:
        """The path of a journal beside the folder, as the folder was written."""
        folder = os.path.normpath(self.path)
        if os.path.basename(folder) in ("", ".", ".."):  # the journal would be inside
            folder = os.path.abspath(folder)
        return Path(f"{folder}{name}")

    @property
    def folder(self) -> Path:
        return self.path

    @property
    def longest(self) -> int:
        return max(map(len, self.journals)) + _TEMPORARY if self.journals else 0

    def check_kind(self) -> None:
        kind = kind_at(self.path)
        if kind not in (None, FOLDER):
            raise LossLandscapeError(f"{shown(self.path)}: is {kind}; give the name of a folder")
        if kind is None and os.path.islink(self.path):
            raise LossLandscapeError(
                f"{shown(self.path)}: is a link to {shown(os.readlink(self.path))}, which does not "
                "exist; give the name of a folder"
            )
        for name in self.names:
            _require_usable(name, self.path)

    def check_free(self) -> None:
        if self.overwrite or not self.path.is_dir():
            return
        if self.empty and content_of(self.path):
            raise OutputExistsError(
                f"{self.path}: is not empty; choose another folder, or replace its files "
                "(overwrite=True, --overwrite)"
            )
        for name in self.files:
            if os.path.lexists(self.path / name):
                raise OutputExistsError(_exists(self.path / name, "folder"))

    def lock(self) -> OutputLock:
        return OutputLock(self.path, inside=True)

    def claims(self) -> list[Claim]:
        found = [Claim(os.path.realpath(self.path / n), self.overwrite) for n in self.files]
        for claim in found:
            claim.note()
        # of the folder itself, so that a claim within this one is recognized
        return [Claim(os.path.realpath(self.path), overwrite=True), *found]


Output = OutputFile | OutputFolder


def _require_usable(name: Path, output: Path) -> None:
    """Check a name that the user did not give, and that is written with an output."""
    advice = f"this name is needed for {shown(output)}: rename it, or give another output"
    require_regular(name, advice)


def _exists(path: Path, what: str) -> str:
    return (
        f"{path}: already exists; choose another {what}, or replace it (overwrite=True, "
        "--overwrite)"
    )


def content_of(folder: Path) -> list[Path]:
    """What is in a folder, without its lock and what killed writers left."""
    return [
        entry
        for entry in folder.iterdir()
        if entry.name != FOLDER_LOCK and not is_staging(entry.name)
    ]


@contextmanager
def claimed(*outputs: Output, inputs: Iterable[str | os.PathLike[str]] = ()) -> Iterator[None]:
    """Check, lock and claim outputs for the work of the block.

    Parameters
    ----------
    inputs : iterable of path
        What the work reads: files or folders.

    Raises
    ------
    OutputExistsError
        If a file is there that may not be overwritten.
    LossLandscapeError
        If an output cannot or must not be written; the message says why.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> _ = (place / "w.pt").write_text("weights")
    >>> with claimed(OutputFile(place / "w.pt", overwrite=True), inputs=[place / "w.pt"]):
    ...     pass
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: .../w.pt: is an input of the same command; give another
    name
    """
    for output in outputs:
        _check_name(output)
    outputs = tuple(one for one in outputs if claim_of(one.path) is None)
    inputs = list(inputs)
    for output in outputs:
        check_output(output, inputs)
    _check_apart(outputs)
    with ExitStack() as stack:
        stack.enter_context(_removing_made_folders([one.folder for one in outputs]))
        for output in outputs:
            stack.enter_context(output.lock())
        # noted before the second look, so that no file can appear between them unseen
        claims = [claim for one in outputs for claim in one.claims()]
        for output in outputs:  # another process may have finished it before the lock
            output.check_kind()
            output.check_free()
        stack.enter_context(with_claims(claims))
        yield


def check_output(output: Output, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check an output without locking or making anything; see :func:`claimed`."""
    _check_name(output)
    try:
        _check_folder(output)
        output.check_kind()
    except OSError as error:
        raise LossLandscapeError(
            f"{_called(output)}: cannot be written: {reason(error)}"
        ) from error
    if not (isinstance(output, OutputFile) and output.changed):
        for path in inputs:
            for name in (output.path, *output.names):
                if is_same_file(name, path):
                    what = "" if name == output.path else f"{shown(name)}, which it needs, "
                    raise LossLandscapeError(
                        f"{_called(output)}: {what}is an input of the same command; give another "
                        "name"
                    )
    output.check_free()


def _called(output: Output) -> str:
    return f"{output.option} {shown(output.path)}".strip()


def _check_name(output: Output) -> None:
    text = os.fspath(output.path)
    if "\0" in text:
        raise LossLandscapeError(f"{text!r}: a name cannot contain a null character")
    try:
        os.fsencode(text)
        encoded = is_utf8(os.path.abspath(text))
    except UnicodeEncodeError:
        encoded = False
    except FileNotFoundError:  # the current folder, of which more below
        encoded = is_utf8(text)
    if not encoded:
        raise LossLandscapeError(
            f"{_called(output)}: the name, or that of its folder, is not UTF-8, which files and "
            "reports need; give another name"
        )
    if isinstance(output, OutputFile) and not output.path.name:
        raise LossLandscapeError(f"{_called(output)}: is a folder; give a file name")
    endings = output.name_endings if isinstance(output, OutputFile) else ()
    if endings and output.path.suffix not in endings:
        raise LossLandscapeError(f"{_called(output)}: the name must end in {' or '.join(endings)}")
    try:
        # relative paths need the current folder, which may have been deleted
        there = first_existing(output.folder.absolute())
    except FileNotFoundError as error:
        raise LossLandscapeError(
            f"{_called(output)}: the current folder does not exist any more; change to another"
        ) from error
    except OSError as error:
        raise LossLandscapeError(
            f"{_called(output)}: cannot be written: {reason(error)}"
        ) from error
    try:
        most = os.pathconf(there, "PC_NAME_MAX") - output.longest
    except (OSError, ValueError, AttributeError):  # the system does not say
        most = _NAME_BYTES - output.longest
    length = len(os.fsencode(output.path.name))
    if length > most:
        why = " (names of temporary files and journals are longer)" if output.longest else ""
        raise LossLandscapeError(
            f"{_called(output)}: the name is {length} bytes long; give one of at most {most}{why}"
        )


def _check_folder(output: Output) -> None:
    """Check that the folder is there or can be made, and that it is writable."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(output.path)  # a folder of the path may have too long a name
    folder = output.folder.absolute()
    there = first_existing(folder)
    if there == output.path.absolute() and kind_at(there) != FOLDER:
        return  # its kind is checked after this
    if kind_at(there) != FOLDER:
        raise LossLandscapeError(
            f"{_called(output)}: {shown(there)} is {kind_at(there) or 'a link that leads nowhere'},"
            " not a folder; give another name"
        )
    if there != folder and not output.parents:
        raise LossLandscapeError(
            f"{_called(output)}: the folder {shown(output.folder)} does not exist; create it"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        read_only = os.statvfs(there).f_flag & os.ST_RDONLY if hasattr(os, "statvfs") else 0
        raise LossLandscapeError(
            f"{_called(output)}: cannot write into {shown(there)} "
            f"({os.strerror(errno.EROFS if read_only else errno.EACCES)}); choose a folder where "
            "you have write permission"
        )


def _check_apart(outputs: Sequence[Output]) -> None:
    """Check that no two outputs have a name in common, also among the names of journals."""
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            if any(is_same_file(a, b) for a in one.names for b in other.names):
                raise LossLandscapeError(
                    f"{_called(one)}: would be written over {_called(other)}; give another name"
                )


@contextmanager
def _removing_made_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Make folders for the block, and if it fails, remove those that were made and are empty."""
    made: set[Path] = set()
    try:
        for folder in folders:
            made.update(one for one in (folder, *folder.parents) if not os.path.lexists(one))
            make_folder(folder)
        yield
    except BaseException:
        for place in sorted(made, key=lambda one: len(one.parts), reverse=True):
            with suppress(OSError):  # something else is in it: it stays
                place.rmdir()
        raise


@contextmanager
def complete_results(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a folder for results; at the end of the block all of them get their places in `folder`.

    If the block raises, `folder` stays as it was. So does it if a file appeared in it that its
    claim does not allow to overwrite: the results then get a folder of their own beside it.

    Raises
    ------
    OutputExistsError
        If a file appeared; the message says where the results are.
    LossLandscapeError
        If the folder does not exist (any more), or the results cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with complete_results(folder) as place:
    ...     _ = (place / "a.txt").write_text("1")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    folder = Path(folder)
    try:
        staging = staging_in(folder)
    except OSError as error:
        raise explained(error, folder / "results") from error
    try:
        try:
            yield staging
        except LossLandscapeError as error:  # in which the place of a file is its final one
            raise type(error)(str(error).replace(str(staging), str(folder))) from error
        except Exception as error:
            if full := no_space(staging / "space"):
                raise explained(full, folder) from error
            raise
        names = sorted(file.name for file in staging.iterdir())
        for name in names:
            require_regular(folder / name)
            claim = claim_of(folder / name)
            if claim is not None and claim.is_lost():
                kept = _kept_results(staging, folder)
                raise OutputExistsError(
                    f"{folder / name}: a file appeared there during the work, and was not "
                    f"replaced; the results are in {kept}"
                )
        for name in names:
            os.replace(staging / name, os.path.realpath(folder / name))
            if (claim := claim_of(folder / name)) is not None:
                claim.note()
    except OSError as error:
        raise explained(error, folder / "results") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _kept_results(staging: Path, folder: Path) -> Path:
    """Give finished results the first free name like that of the folder, ``x_topology.1``."""
    number = 1
    while True:
        place = folder.with_name(f"{folder.name}.{number}")
        if not os.path.lexists(place):
            os.rename(staging, place)
            return place
        number += 1
