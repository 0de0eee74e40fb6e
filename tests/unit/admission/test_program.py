"""What other programs print."""

import pytest

from admission.program import document

WRAPPED = [
    '{"a": {"b": [1]}}',
    '{\n  "a": {\n    "b": [\n      1\n    ]\n  }\n}\n',
    'Using pulumi 3.200.0 (.tool-versions)\n[warn] an old one\n{\n  "a": {"b": [1]}\n}\n',
    '\x1b[33mwarning: a new version\x1b[0m\n  {"a": {"b": [1]}}  \r\nbye {}\n',
    '"a" is selected\n{"a": {"b": [1]}}\n"bye"\n',
    '{"level": "info", "msg": "assumed a role"}\n[1]\n{"a": {"b": [1]}}\n',
]


@pytest.mark.parametrize("text", WRAPPED)
def test_a_document_is_found_between_what_a_wrapper_prints(text: str) -> None:
    assert document(text) == {"a": {"b": [1]}}


def test_a_document_may_be_a_text_or_a_number() -> None:
    assert document('"a\\nb"\n') == "a\nb"
    assert document('hello\n"a\\nb"\n') == "a\nb"
    assert document("42\n") == 42


@pytest.mark.parametrize("text", ["", "error\n", '{"a": \n', "[1/2] fetched\n"])
def test_what_holds_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="holds no JSON"):
        document(text)
