"""
The corpus: statements with what SQL says of their columns and parameters, written by hand. See corpus/*.sql.

An entry: `-- name:`, any sentences, `-- expect:` with each column as `not null` or `null`, `-- params:` with each parameter as
`required` or `optional`, `-- since:` the first version that knows it, `-- before:` a change of the schema it needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "corpus"
SCHEMA = (FOLDER / "schema.sql").read_text()
_FIELD = re.compile(r"^-- (name|expect|params|since|before): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """
    One statement, and what is expected of it.
    """

    title: str
    text: str
    columns: tuple[tuple[str, bool], ...]
    """Name, and whether it is never NULL."""
    required: tuple[bool, ...]
    since: int
    before: str | None
    kind: str = "query"

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(f"p{number}" for number in range(1, len(self.required) + 1))


def _read(path: Path) -> list[Case]:
    cases: list[Case] = []
    for entry in re.split(r"(?=^-- name: )", path.read_text(), flags=re.MULTILINE)[1:]:
        fields = dict(_FIELD.findall(entry))
        columns = [] if fields["expect"] == "-" else fields["expect"].split(", ")
        verdicts = [one.partition(" ") for one in columns]
        assert all(verdict in {"null", "not null"} for _, _, verdict in verdicts), fields["name"]
        parameters = fields["params"].split(", ") if "params" in fields else []
        assert set(parameters) <= {"required", "optional"}, fields["name"]
        cases.append(
            Case(
                title=f"{path.stem}.{fields['name']}",
                text="\n".join(line for line in entry.splitlines() if not line.startswith("-- ")).strip(),
                columns=tuple((name, verdict == "not null") for name, _, verdict in verdicts),
                required=tuple(one == "required" for one in parameters),
                since=int(fields.get("since", 16)),
                before=fields.get("before"),
            )
        )
    return cases


CASES = [case for path in sorted(FOLDER.glob("*.sql")) if path.stem != "schema" for case in _read(path)]
