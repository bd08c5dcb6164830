"""The document is found in a clone and in an installed wheel, and its absence is said plainly."""

import tomllib
from pathlib import Path

import pytest

from reference_server import contract

SOURCE = Path(__file__).parents[3] / "openapi" / contract.FILE_NAME


def test_a_clone_reads_the_one_beside_the_package() -> None:
    assert contract.document().content == contract.parse(SOURCE.read_bytes()).content


def test_the_place_inside_the_package_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = tmp_path / "inside.yaml", tmp_path / "beside.yaml"
    inside.write_text("openapi: inside")
    beside.write_text("openapi: beside")
    monkeypatch.setattr(contract, "_PLACES", (inside, beside))

    assert contract.document.__wrapped__().content == {"openapi": "inside"}
    inside.unlink()
    assert contract.document.__wrapped__().content == {"openapi": "beside"}


def test_a_damaged_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "_PLACES", ())
    with pytest.raises(contract.NoDocument, match=contract.FILE_NAME):
        contract.document.__wrapped__()


def test_a_schema_stands_on_its_own() -> None:
    schema = contract.document().schema("NodeStateSnapshot")

    assert schema["$ref"] == "#/components/schemas/NodeStateSnapshot"
    assert "NodeStatePeer" in schema["components"]["schemas"]
    with pytest.raises(contract.NoSchema):
        contract.document().schema("NoSuchSchema")


def test_the_json_is_the_same_each_time() -> None:
    text = SOURCE.read_bytes()

    assert contract.parse(text).json == contract.parse(text).json
    assert contract.parse(text).digest == contract.document().digest


def test_a_wheel_carries_the_document_where_it_is_looked_for() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert carried["openapi"] == "reference_server/openapi"
    assert contract._PLACES[0].parts[-3:] == ("reference_server", "openapi", contract.FILE_NAME)
