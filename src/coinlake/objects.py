"""Where bytes live: objects below a root, which is a folder or a `gs://` prefix. An object is created once and never
changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import LocalStore, ObjectStore, from_url

from coinlake import meter
from coinlake.errors import LakeError, brief

if TYPE_CHECKING:
    from obstore import ObjectMeta

_TRIES = 3


@dataclass(frozen=True)
class Object:
    """An object that lies in a store: its path below the root, its size in bytes, when it was written, and the store's
    tag of just these bytes.
    """

    path: str
    size: int
    modified_at: datetime
    tag: str = ""


@dataclass(frozen=True)
class Objects:
    """The objects below one root. Whatever else goes wrong with the store is a LakeError."""

    root: str
    options: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _store(self) -> ObjectStore:
        if folder := local_folder(self.root):
            return LocalStore(folder, mkdir=True)
        return _cloud_store(self.root, self.options)

    def put(self, path: str, data: bytes) -> None:
        """Create an object. One that is there already with the same bytes is our own earlier write: done.

        Raises:
            LakeError: another object has that name; it was not touched.
        """
        with self._at_the_border():
            for _ in range(_TRIES):
                try:
                    meter.count("written")
                    obstore.put(self._store, path, data, mode="create")
                    return
                # Who may create and not overwrite is perhaps told just that, where the first of two tries was done.
                except (AlreadyExistsError, PermissionDeniedError) as exc:
                    if (there := self._held(path)) == data:
                        return
                    if isinstance(exc, PermissionDeniedError):
                        raise
                    if there is not None:
                        raise LakeError(f"{path} exists with other content and was left as it is; run again") from exc
                    refusal = exc
            raise refusal

    def _held(self, path: str) -> bytes | None:
        try:
            return self.get(path)
        except FileNotFoundError:
            return None

    def put_over(self, path: str, data: bytes | Path) -> None:
        """Write an object (bytes, or a file, which is streamed) under a fixed name, in place of the one there."""
        with self._at_the_border():
            meter.count("written")
            obstore.put(self._store, path, data, mode="overwrite")

    def get(self, path: str) -> bytes:
        """The bytes of an object.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        with self._at_the_border():
            meter.count("read")
            return bytes(obstore.get(self._store, path).bytes())

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is as good as removed."""
        with self._at_the_border():
            meter.count("deleted")
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def generation(self, path: str) -> str | None:
        """Which writing of a name lies there now, in the cloud's counting; None where the name is free, or is none that
        an object of ours can have (`a//b`, `..`): the store refuses to ask for it.
        """
        with self._at_the_border():
            store = self._store  # what is wrong with the settings is no matter of names
            try:
                return obstore.head(store, path)["version"] or ""
            except (FileNotFoundError, ValueError):
                return None

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Object]:
        """Every object below a folder, in the order of their paths; those `after` a path only."""
        if (folder := local_folder(self.root)) and not Path(folder).exists():
            return iter(())
        with self._at_the_border():
            meter.count("listed")
            found = (meta for batch in obstore.list(self._store, prefix or None, offset=after) for meta in batch)
            listed = [_object(meta) for meta in found]
        return iter(sorted(listed, key=lambda each: each.path))

    @contextmanager
    def _at_the_border(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as exc:
            raise LakeError(
                f"{self.root} cannot be read or written ({brief(exc)}); look at its permissions and space"
            ) from exc


def _object(meta: ObjectMeta) -> Object:
    return Object(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"] or "")


def _cloud_store(root: str, options: Mapping[str, str]) -> ObjectStore:
    """A store in the cloud. delta-rs takes all options together; here those of the client go by themselves."""
    config = {name: value for name, value in options.items() if name.startswith("google_")}
    client = {name: value for name, value in options.items() if name not in config}
    return from_url(root, config=config or None, client_options=client or None)  # type: ignore[arg-type]  # typed dicts


def local_folder(root: str) -> str | None:
    """The absolute folder a root stands for; None where it is in the cloud."""
    if root.startswith("file://"):
        root = unquote(urlsplit(root).path)
    return None if "://" in root else str(Path(root).expanduser().absolute())
