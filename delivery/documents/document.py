import json
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from training.errors import InputError
from training.spec import Section


class Document(Section):
    """A frozen document with one file form. Its digest does not see a field that has its default, so that a document of
    before there was the field keeps its own."""

    def canonical_json(self) -> str:
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    def write(self, path: Path) -> None:
        """Write as indented, key-sorted JSON with a final newline."""
        path.write_text(json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it back. Raises InputError if the file is missing or of another schema."""
        try:
            return cls.parse_bytes(path.read_bytes(), str(path))
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; the step that writes it did not finish") from error

    @classmethod
    def parse_bytes(cls, raw: bytes, where: str) -> Self:
        """Of the file's bytes. Raises InputError, which names ``where`` they are from, for another schema."""
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the document"
            raise InputError(f"{where} is no {cls.__name__} of this version: {field}: {first['msg']}") from error
