"""Where a model's files are: a folder, a checkpoint that ships with minilm, the hub's cache, the hub.

Only the files that are asked for are fetched. huggingface_hub does the fetching and keeps the cache,
whose layout other libraries share.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from minilm.errors import FileProblem, MissingPackage, WrongType
from minilm.files import STAGING, finish_saving

SHIPPED = Path(__file__).parent / "checkpoints"


class Source:
    """The place that a model's files come from.

    name: a folder, the name of a shipped checkpoint, or "owner/model" on the hub; looked for in
        this order
    revision: branch, tag or commit on the hub; None = its main branch
    cache_dir: another cache than the usual one    token: for private models
    local_files_only: use the cache alone, as HF_HUB_OFFLINE=1 does for all
    force_download: fetch files that the cache holds, too
    subfolder: where in that place the files are

    All files come from one commit, also if the model changes on the hub in between.
    Raises FileProblem if nothing goes by that name, WrongType if it is no name.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool | None = None,
        force_download: bool = False,
        subfolder: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(name, str | os.PathLike) or not os.fspath(name):
            raise WrongType(
                f"A model is named by a string or a path, such as 'gpt2' or a folder, and not by "
                f"{name!r}."
            )
        if not isinstance(subfolder, str | os.PathLike | None):
            raise WrongType(
                f"subfolder={subfolder!r} was given; it is the path of a folder, below the model's."
            )
        self.name = os.fspath(name)
        self.subfolder = os.fspath(subfolder) if subfolder else ""
        self.folder: Path | None = None
        if os.path.isdir(self.name):
            self.folder = Path(self.name) / self.subfolder
        elif os.path.exists(self.name):
            raise FileProblem(
                f"'{self.name}' is a file, and a model's folder was expected. Give its folder: "
                f"'{os.path.dirname(self.name) or '.'}'."
            )
        elif self.name in shipped_names():
            self.folder = SHIPPED / self.name / self.subfolder
        elif not _may_be_on_the_hub(self.name):
            raise FileProblem(
                f"There is no folder '{self.name}', and it cannot be the name of a model on the "
                f"hub, which is 'owner/model'. Check the path; {_told_where()}."
            )
        if self.folder is not None:
            if not self.folder.is_dir():
                raise FileProblem(f"There is no folder '{self.folder}'. Check subfolder.")
            finish_saving(self.folder)
        self._revision, self._cache_dir, self._token = revision, cache_dir, token
        self._force_download = force_download
        self._commit: str | None = None
        self._is_reached = False
        # Why the hub is not asked; "" as long as it may be.
        self._apart = ""
        if local_files_only or _is_offline():
            self._apart = "the hub is not asked (offline, or local_files_only)"
        self._fetched: dict[tuple[str, str], Path | None] = {}

    def __str__(self) -> str:
        if self.folder is not None:
            return f"the folder '{self.folder}'"
        return f"the hub's '{self.name}'" + (f", {self.subfolder}" if self.subfolder else "")

    def file(self, filename: str, within: str = "") -> Path | None:
        """Find a file, fetching it if need be.

        filename: its name, without a path    within: a folder below this place

        Returns where it is on this machine, or None if there is no such file.
        Raises FileProblem if that cannot be found out: no connection, no such model, no access.
        """
        check_plain_name(filename)
        if self.folder is not None:
            path = self.folder / within / filename
            return path if os.path.isfile(path) else None  # also for names that no disk takes
        if (within, filename) not in self._fetched:
            self._fetched[within, filename] = self._fetch(filename, within)
        return self._fetched[within, filename]

    def need(self, filename: str) -> Path:
        """Find a file that must be there.

        filename: its name, without a path

        Raises FileProblem if it is not.
        """
        path = self.file(filename)
        if path is None:
            raise FileProblem(f"{filename} is missing in {self}. {self.what_is_there()}")
        return path

    def names(self, within: str = "") -> list[str]:
        """Name the files that are there.

        within: a folder below this place

        Returns their names, sorted; of a model that the hub cannot be asked about, those in the
        cache.
        """
        folder = self.folder or self._snapshot()
        if self.folder is None and not self._apart:
            listed = self._listed(within)
            if listed is not None:
                return listed
        if folder is None or not (folder / within).is_dir():
            return []
        # A link of the cache leads nowhere if what it led to was deleted.
        found = (path.name for path in (folder / within).iterdir() if path.exists())
        return sorted(name for name in found if not name.startswith(STAGING))

    def what_is_there(self) -> str:
        """Say which files there are, for whoever misses one."""
        names = self.names()
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        if self.folder is not None:
            return f"The folder holds: {shown}." if names else "The folder is empty."
        if self._apart:
            return f"The cache of this machine holds {shown or 'nothing of it'}; {self._apart}."
        return f"There is: {shown}." if names else "Check the name of the model."

    def _fetch(self, filename: str, within: str) -> Path | None:
        try:
            from huggingface_hub import errors, hf_hub_download
        except ImportError as error:
            raise MissingPackage(
                f"There is no folder '{self.name}', and without the package huggingface_hub "
                "nothing is fetched. Install it: pip install huggingface_hub."
            ) from error
        inner = "/".join(filter(None, [self.subfolder, within, filename]))
        try:
            self._reach(inner)
            path = hf_hub_download(
                self.name,
                inner,
                revision=self._commit or self._revision,
                cache_dir=self._cache_dir,
                token=self._token,
                force_download=self._force_download,
                local_files_only=bool(self._apart),
            )
        except errors.LocalEntryNotFoundError as error:
            self._apart = self._apart or "no connection to the hub could be made"
            # A cache that has the model need not have every file of it.
            if self._snapshot() is None:
                raise FileProblem(self._not_cached()) from error
            return None
        except errors.GatedRepoError as error:
            raise FileProblem(
                f"'{self.name}' asks for an agreement on the hub first. Agree on its page, then "
                "log in (`hf auth login`) or give token=…."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise FileProblem(
                self._not_found("the hub has no model of that name (or not for you)")
            ) from error
        except errors.RevisionNotFoundError as error:
            raise FileProblem(
                f"'{self.name}' has no revision '{self._revision}'. Give a branch, a tag or a "
                "commit of it."
            ) from error
        except errors.EntryNotFoundError:
            return None
        except errors.HFValidationError as error:
            raise FileProblem(
                self._not_found(f"it cannot be a name on the hub ({error})")
            ) from error
        except Exception as error:  # whatever the network's libraries raise, a full disk …
            raise FileProblem(
                f"{filename} of the hub's '{self.name}' could not be fetched ({error})."
            ) from error
        commit = re.search(r"[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]", path)
        self._commit = commit[1] if commit else self._commit
        return Path(path)

    def _reach(self, inner: str) -> None:
        """Find out with one question whether the hub answers, before what is not in the cache.

        huggingface_hub asks five times more, half a minute for each file, where nobody answers.
        """
        from huggingface_hub import (
            errors,
            get_hf_file_metadata,
            hf_hub_url,
            try_to_load_from_cache,
        )

        revision = self._commit or self._revision
        cached = try_to_load_from_cache(
            self.name, inner, cache_dir=self._cache_dir, revision=revision
        )
        if self._is_reached or self._apart or isinstance(cached, str):
            return
        try:
            get_hf_file_metadata(hf_hub_url(self.name, inner, revision=revision), token=self._token)
        except (errors.HfHubHTTPError, errors.HFValidationError):
            pass  # an answer, too
        except Exception:
            self._apart = "no connection to the hub could be made"
        self._is_reached = True

    def _listed(self, within: str) -> list[str] | None:
        """The hub's own list of names, or None if it gives none."""
        try:
            from huggingface_hub import list_repo_files

            files = list_repo_files(
                self.name, revision=self._commit or self._revision, token=self._token
            )
        except Exception:  # the cache is asked instead
            return None
        start = "".join(f"{part}/" for part in (self.subfolder, within) if part)
        below = (file.removeprefix(start) for file in files if file.startswith(start))
        return sorted(name for name in below if "/" not in name)

    def _snapshot(self) -> Path | None:
        """The folder of the cache that holds what was fetched of this revision, if it is there."""
        kept = self._kept()
        if kept is None:
            return None
        revision = self._commit or self._revision or "main"
        reference = kept / "refs" / revision
        if reference.is_file():
            revision = reference.read_text(encoding="utf-8").strip()
        snapshot = kept / "snapshots" / revision
        return snapshot / self.subfolder if snapshot.is_dir() else None

    def _kept(self) -> Path | None:
        """The folder of the cache that is the model's, of whatever revisions it holds some files."""
        try:
            from huggingface_hub import constants
            from huggingface_hub.file_download import repo_folder_name
        except ImportError:
            return None
        cache = Path(self._cache_dir or constants.HF_HUB_CACHE)
        return cache / repo_folder_name(repo_id=self.name, repo_type="model")

    def _not_cached(self) -> str:
        kept = self._kept()
        held = sorted(path.name for path in kept.glob("snapshots/*")) if kept else []
        if not held:
            return self._not_found(self._apart)
        asked = f"revision '{self._revision}'" if self._revision else "main branch"
        return (
            f"There is no folder '{self.name}', and the Hugging Face cache of this machine holds "
            f"that model, but not its {asked}: {self._apart}. It holds {', '.join(held[:4])}; give "
            "one of these as revision, or connect."
        )

    def _not_found(self, why: str) -> str:
        return (
            f"There is no folder '{self.name}', and in the Hugging Face cache of this machine is "
            f"no model of that name: {why}. Check the name; {_told_where()}."
        )


def check_plain_name(filename: str) -> None:
    """Refuse a file name that leads out of its folder.

    filename: as a file says it
    """
    is_plain = not re.search(r"[/\\:\0]", filename) and filename not in ("", ".", "..")
    if not is_plain:
        raise FileProblem(
            f"The file name {filename!r:.99} leads out of the model's folder. Such a file is not read: "
            "do not trust where it came from."
        )


def shipped_names() -> list[str]:
    """Name the checkpoints that ship with minilm."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def _told_where() -> str:
    names = shipped_names()
    return f"with minilm come {', '.join(names)}" if names else "a folder is given by its path"


def _may_be_on_the_hub(name: str) -> bool:
    return not (
        os.path.isabs(name) or name.startswith((".", "~")) or "\\" in name or name.count("/") > 1
    )


def _is_offline() -> bool:
    return any(
        os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")
        for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )
