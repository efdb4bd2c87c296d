"""Whatever bytes a service sends, bronze gives them back; what was damaged says so."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coinlake.answer import Answer, decode, encode, is_json, pack, to_moment, to_text, unpack
from coinlake.errors import LakeError

AT = datetime(2022, 2, 1, 0, 45, 0, 123456, tzinfo=UTC)

BODIES = {
    "line break": b'[\n  {"id": "bitcoin"}\n]',
    "carriage return": b'{"a":\r1}',
    "not a number": b'{"a":NaN}',
    "infinity": b"[Infinity,-Infinity]",
    "byte order mark": b"\xef\xbb\xbf{}",
    "line separator": '{"a":"\u2028\u2029\x85"}'.encode(),
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "nesting that is still JSON": b"[" * 200 + b"]" * 200,
    "a body within": b'{"body":1,"body_base64":"x"}',
    "a body within, as in our own line": b',"body":{"a":1}}',
    "base64 within": b',"body_base64":"e30="}',
    "sixteen digits and more": b"[1.0e+15,2.993e-05,549149516403369440123,-0.0]",
    "half a surrogate": b'["\\ud800"]',
    "not UTF-8": b"\xff\xfe\x00",
    "HTML": b"<!DOCTYPE html>\n<title>Access denied</title>",
    "cut in half": b'{"prices":[[16210895',
    "two values": b"{} {}",
    "spaces around": b"  {}  ",
    "nothing": b"",
    "zero bytes": b"\0\0",
}

texts = st.text(max_size=20) | st.sampled_from(
    ["body", "body_base64", "sha256", "attempt", ',"body":', ',"body_base64":', '"}', "\n", "\u2028", "\0", "💲"]
)
moments = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
json_bytes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
answers = st.builds(
    Answer,
    source=texts,
    endpoint=texts,
    path=texts,
    params=st.dictionaries(texts, texts, max_size=3),
    status=st.integers(0, 999),
    headers=st.dictionaries(texts, texts, max_size=3),
    requested_at=moments,
    fetched_at=moments,
    attempt=st.integers(1, 9),
    body=st.binary(max_size=60) | json_bytes | st.sampled_from([each for each in BODIES.values() if len(each) < 999]),
)


def an_answer(body: bytes) -> Answer:
    return Answer("coingecko", "x", "/x", {"a": "b"}, 200, {"c": "d"}, AT, AT, 1, body)


@given(answers)
def test_any_answer_comes_back_as_it_was(answer: Answer) -> None:
    line = encode(answer)
    assert b"\n" not in line
    assert decode(line) == answer


@given(st.lists(answers, max_size=4))
def test_any_answers_come_back_in_their_order_from_one_object(given: list[Answer]) -> None:
    assert list(unpack(pack(given))) == given
    assert pack(given) == pack(given)


@pytest.mark.parametrize("what", BODIES)
def test_the_bytes_come_back_whatever_they_are(what: str) -> None:
    body = BODIES[what]
    back = decode(encode(an_answer(body)))
    assert back.body == body
    assert back.sha256 == hashlib.sha256(body).hexdigest()


@given(answers)
@example(an_answer(BODIES["sixteen digits and more"]))
@example(an_answer(BODIES["line separator"]))
def test_a_line_is_json_that_any_reader_understands(answer: Answer) -> None:
    read = json.loads(encode(answer))
    assert read["sha256"] == hashlib.sha256(answer.body).hexdigest()
    assert ("body" in read) != ("body_base64" in read)
    if "body" in read:
        assert repr(read["body"]) == repr(json.loads(answer.body))
    else:
        assert base64.b64decode(read["body_base64"]) == answer.body


def test_a_body_of_json_is_copied_not_printed_again() -> None:
    body = b'{"a": 1.0e+15,  "b":[ 2.993e-05 ]}'
    assert encode(an_answer(body)).endswith(b',"body":' + body + b"}")


@pytest.mark.parametrize(
    "what",
    ["line break", "carriage return", "not a number", "infinity", "byte order mark", "deep nesting", "HTML", "nothing"],
)
def test_a_body_that_would_break_its_line_is_kept_as_base64(what: str) -> None:
    assert b',"body_base64":' in encode(an_answer(BODIES[what]))


@given(st.binary(max_size=40))
def test_json_is_what_python_reads_as_json(body: bytes) -> None:
    assert not is_json(body) or json.dumps(json.loads(body)) is not None
    assert is_json(json.dumps(body.decode("latin-1")).encode())


@given(answers, st.data())
def test_a_line_that_lost_its_end_is_an_error(answer: Answer, data: st.DataObject) -> None:
    line = encode(answer)
    with pytest.raises(LakeError, match="cannot be read back"):
        decode(line[: data.draw(st.integers(0, len(line) - 1))])


@given(st.binary(max_size=60) | json_bytes)
@example(b"{}")
@example(b"null")
@example(b'{"body":1}')
@example(b'[1,"body":2}')
@example(b'{"sha256":1,"body":2}')
@example(b'{"sha256":1,"body_base64":2}')
@example(b'1,"body":2}')
def test_bytes_that_are_no_line_of_ours_are_an_error(line: bytes) -> None:
    with pytest.raises(LakeError, match="cannot be read back"):
        decode(line)


@pytest.mark.parametrize("field", ["fetched_at", "requested_at", "sha256", "status", "params"])
def test_a_line_whose_envelope_lost_a_field_is_an_error(field: str) -> None:
    envelope = json.loads(encode(an_answer(b"{}")))
    del envelope[field]
    with pytest.raises(LakeError, match="cannot be read back"):
        decode(json.dumps(envelope, separators=(",", ":")).encode())


@pytest.mark.parametrize("field", ["fetched_at", "requested_at"])
@pytest.mark.parametrize("value", [5, None, [], "yesterday"])
def test_a_line_whose_time_is_no_moment_is_an_error(field: str, value: object) -> None:
    envelope = {**json.loads(encode(an_answer(b"{}"))), field: value}
    with pytest.raises(LakeError, match="cannot be read back"):
        decode(json.dumps(envelope, separators=(",", ":")).encode())


def test_a_body_that_was_altered_is_an_error() -> None:
    line = encode(an_answer(b'{"price":42981}'))
    with pytest.raises(LakeError, match="sha256"):
        decode(line.replace(b"42981", b"42982"))


@pytest.mark.parametrize("damage", [b"", b"plain text", b"\x1f\x8b", pack([an_answer(b"{}")])[:-9]])
def test_a_damaged_object_is_an_error(damage: bytes) -> None:
    with pytest.raises(LakeError, match="damaged"):
        list(unpack(damage))


@given(st.data())
def test_an_object_with_a_flipped_bit_is_an_error_or_unchanged(data: st.DataObject) -> None:
    whole = pack([an_answer(b'{"price":42981}'), an_answer(b"<html>")])
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:place] + bytes([whole[place] ^ 1 << data.draw(st.integers(0, 7))]) + whole[place + 1 :]
    try:
        assert list(unpack(flipped)) == list(unpack(whole))
    except LakeError:
        return


def test_an_object_is_gzipped_json_lines() -> None:
    lines = gzip.decompress(pack([an_answer(b"{}"), an_answer(b"<html>")])).splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["coingecko"] * 2


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.integers(-23, 23))
def test_a_moment_comes_back_from_its_text_in_utc(naive: datetime, hours: int) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert to_moment(to_text(at)) == at
    assert to_text(at).endswith("Z")


def test_a_moment_without_an_offset_is_in_utc() -> None:
    assert to_moment("2022-02-01T00:45:00") == to_moment("2022-02-01T01:45:00+01:00") == to_moment("2022-02-01 00:45Z")
