"""`busproof vectors`: an honest example passes, a planted defect is named by its case, and nothing hangs."""

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance.cli import cli
from conformance.schemas import validate
from conformance.verdict.exits import EXITS, Outcome

EXAMPLE = Path(__file__).resolve().parents[3] / "fixtures" / "drivers" / "vectors.py"
HELLO = '{"id": 1, "ok": true, "result": {"name": "toy", "offers": ["verify"]}}'


def asked(outcome: Outcome, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["vectors", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == EXITS[outcome].code, result.output
    assert EXITS[outcome].command == "vectors" and "Traceback" not in result.output
    return result


def speaking(*lines: str) -> tuple[str, ...]:
    """A command that answers each question with the next line, and then ends."""
    return (
        "--",
        sys.executable,
        "-c",
        f"import sys\nfor l, _ in zip({lines!r}, sys.stdin): print(l, flush=1)",
    )


def planted(tmp_path: Path, old: str, new: str) -> tuple[str, ...]:
    """The example with one thing wrong."""
    source = EXAMPLE.read_text(encoding="utf-8")
    assert source.count(old) == 1
    (tmp_path / "broken.py").write_text(source.replace(old, new), encoding="utf-8")
    return ("--", sys.executable, str(tmp_path / "broken.py"))


def test_the_example_passes_and_is_short() -> None:
    result = asked(Outcome.VECTORS_PASSED, "--", sys.executable, str(EXAMPLE))
    assert "verify: 81 of 81 as they must be" in result.stdout
    assert "sign: 78 of 78 as they must be" in result.stdout
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 31, "thirty lines under a docstring"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (".translate(RAW)", "", "the payload spelled loosely"),
        ("<>&", "&", "case 72 (verify: < left unescaped"),
        ("[1-9])?Z", "[0-9])?Z", "case 76 (verify: trailing zeros"),
        ("VerifyKey(base64", "0 and VerifyKey(base64", "case 40 (verify: first signature bit flipped)"),
        ("{{86}}==", "{{86}}(?:==)?", "case 45 (verify: unpadded"),
        (", ensure_ascii=False", "", "sign: "),
        (" and compact(data) == data", "", "case 72 (verify: < left unescaped"),
    ],
)
def test_a_planted_defect_is_named_by_its_case(tmp_path: Path, old: str, new: str, named: str) -> None:
    if "==)?" in new:  # the decoder of the standard library is strict by itself
        command = planted(tmp_path, "base64.b64decode(signature))", 'base64.b64decode(signature + "=="))')
        source = Path(command[-1]).read_text(encoding="utf-8")
        Path(command[-1]).write_text(source.replace(old, new), encoding="utf-8")
    else:
        command = planted(tmp_path, old, new)
    result = asked(Outcome.VECTORS_FAILED, *command)
    assert any(line.startswith("fail case ") and named in line for line in result.stdout.splitlines())


def test_other_canonical_bytes_are_shown_where_they_part(tmp_path: Path) -> None:
    command = planted(
        tmp_path,
        '{"valid": bool(json.loads(data)) and compact(data) == data}',
        '{"valid": compact(data) == data, "canonical": data.encode().hex()}',
    )
    result = asked(Outcome.VECTORS_FAILED, *command)
    assert "fail case 1 (verify: plain ASCII payload): other canonical bytes: at character" in result.stdout


def test_a_command_that_says_yes_to_all_and_one_that_says_no_to_all() -> None:
    for valid, wrong in (("true", "case 40"), ("false", "case 1 ")):
        program = (
            f"import sys\nprint('''{HELLO}''', flush=1)\nsys.stdin.readline()\n"
            f"for n, _ in enumerate(sys.stdin, 2): "
            f'print(\'{{"id": %d, "ok": true, "result": {{"valid": {valid}}}}}\' % n, flush=1)'
        )
        result = asked(Outcome.VECTORS_FAILED, "--", sys.executable, "-c", program)
        assert f"fail {wrong}" in result.stdout
        assert "sign: not tested, toy does not offer it" in result.stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (speaking(), "the command ended without an answer|the command hung up"),
        (speaking("hello"), "an answer of the command is not of the protocol: no JSON"),
        (speaking('{"id": 1, "ok": true, "result": {"name": "x"}}'), "'hello' breaks its schema"),
        (speaking(HELLO), r"case 1 \(verify: plain ASCII payload\): the command (ended|hung up)"),
        (speaking(HELLO, "Segmentation fault"), r"case 1 .*: an answer of the command is not of the protoc"),
        (speaking(HELLO, '{"id": 2, "ok": true, "result": {}}'), "case 1 .*'verify' breaks its schema"),
        (
            speaking(HELLO, '{"id": 9, "ok": true, "result": {}}'),
            "case 1 .*answered request 9, which was never",
        ),
        (("--", "/no/such/command"), "the command cannot be started"),
    ],
)
def test_a_command_that_breaks_the_protocol_is_told_where(command: tuple[str, ...], says: str) -> None:
    result = asked(Outcome.VECTORS_BROKEN, *command)
    assert re.search(says, result.stderr), result.stderr


def test_a_command_that_hangs_is_left() -> None:
    program = f"import sys, time\nprint('''{HELLO}''', flush=1)\nsys.stdin.read()"
    result = asked(Outcome.VECTORS_BROKEN, "--timeout", "0.3", "--", sys.executable, "-c", program)
    assert (
        "case 1 (verify: plain ASCII payload): the command did not answer 'verify' within 0.3 s"
        in result.stderr
    )


def test_a_refusal_to_answer_is_wrong_also_for_an_invalid_case() -> None:
    refused = '{"id": 2, "ok": false, "error": {"code": "panic", "message": "index out of range"}}'
    result = asked(Outcome.VECTORS_FAILED, "--case", "40", *speaking(HELLO, refused))
    assert "case 40" in result.stdout and "refused to answer: panic: index out of range" in result.stdout


def test_a_reason_that_no_encoding_takes_is_shown_all_the_same() -> None:
    half = '{"id": 2, "ok": true, "result": {"valid": false, "reason": "half \\ud83d"}}'
    result = asked(Outcome.VECTORS_FAILED, "--case", "1", *speaking(HELLO, half))
    assert "half \\ud83d" in result.stdout


def test_chosen_cases_and_empty_offers_certify_nothing() -> None:
    yes = '{"id": 2, "ok": true, "result": {"valid": true}}'
    asked(Outcome.VECTORS_INCOMPLETE, "--case", "1", *speaking(HELLO, yes))
    nothing = '{"id": 1, "ok": true, "result": {"name": "x", "offers": []}}'
    asked(Outcome.VECTORS_INCOMPLETE, *speaking(nothing))


@pytest.mark.parametrize(
    "arguments", [(), ("--",), ("--case", "99", "--", "true"), ("--timeout", "x", "--", "true")]
)
def test_usage(arguments: tuple[str, ...]) -> None:
    asked(Outcome.VECTORS_USAGE, *arguments)


def test_an_interruption_is_never_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("conformance.vectors.tool.ask", interrupted)
    result = asked(Outcome.VECTORS_INCOMPLETE, "--", "true")
    assert "interrupted; nothing is claimed" in result.stderr and result.stdout == ""


def test_a_fault_of_our_own_is_told_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr("conformance.vectors.tool.ask", broken)
    result = asked(Outcome.VECTORS_BROKEN, "--format", "json", "--", "true")
    assert "the suite broke: ZeroDivisionError" in result.stderr and result.stdout == ""


@pytest.mark.parametrize("command", [speaking("garbage"), speaking(HELLO), ("--", "/no/such/command")])
def test_json_is_pure_however_it_ends(command: tuple[str, ...]) -> None:
    result = asked(Outcome.VECTORS_BROKEN, "--format", "json", *command)
    document = json.loads(result.stdout)
    validate.check("vectors", document)
    assert document["exit"] == result.exit_code and document["broke"]
